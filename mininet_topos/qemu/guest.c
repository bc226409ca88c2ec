/* The program of a guest of the laboratory: it sends numbered UDP packets at a steady rate, notes every one that arrives in
 * the order of arrival, and writes to one TCP connection as fast as it can. Its notes are in the guest's memory, so they
 * travel with a live migration: what is "received" here is what the guest itself saw.
 *
 * It is driven over a serial line, one order a line, one answer a line. An answer begins with "ok" or "error".
 *
 *   sh COMMAND                     run it; "ok STATUS OUTPUT", the output in hexadecimal
 *   send ID FROM TO PORT RATE      one more stream to send, packets a second
 *   start, stop                    begin and end sending; "ok ID:NUMBER ..." packets sent so far, and how many were refused
 *   clear                          forget all streams and all that arrived
 *   count                          "ok ID:PACKETS ..." arrived so far
 *   report                         "ok LOST ID:FIRST-LAST,FIRST-LAST ..." what arrived: rising runs in the order of arrival;
 *                                  LOST: packets that the guest's own full sockets dropped
 *   connect ADDRESS PORT           open the TCP connection and write
 *   close                          shut it down; "ok BYTES RETRANSMITTED", bytes handed to the kernel, segments sent again
 *   written                        "ok BYTES" so far
 *
 * A packet, in network order: stream (32 bits), number (64), time of sending in ns (64), padding to 52 bytes.
 * The layout is that of mininet_topos/probes/udp_send.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { INLETS = 8, STREAMS = 64, RUNS = 16384, PACKET = 52, LINE = 4096, SPACE = 8 << 20, BLOCK = 32768 };

struct source { uint32_t id; int fd; struct sockaddr_storage to; socklen_t length; double rate; uint64_t number, refused; };
struct run { uint64_t first, last; };
struct sink { uint32_t id; uint64_t packets; size_t runs; struct run run[RUNS]; };

static struct source sources[STREAMS];
static struct sink *sinks[STREAMS];
static size_t source_count, sink_count;
static int inlets[INLETS], inlet_count, timer, line, sending, connection = -1;
static uint64_t begun, overflow[INLETS], written;
static char block[BLOCK];

static uint64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void say(const char *text, size_t length)
{
    while (length) {
        ssize_t done = write(line, text, length);
        if (done > 0) { text += done; length -= (size_t)done; }
        else if (errno != EAGAIN && errno != EINTR) return;
    }
}

static void answer(const char *text) { say(text, strlen(text)); say("\n", 1); }

static void failed(const char *what)
{
    char text[256];
    snprintf(text, sizeof text, "error %s: %s", what, strerror(errno));
    answer(text);
}

static int address(const char *text, int port, struct sockaddr_storage *found, socklen_t *length)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)found;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)found;
    memset(found, 0, sizeof *found);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET; v4->sin_port = htons((uint16_t)port); *length = sizeof *v4;
        return AF_INET;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6; v6->sin6_port = htons((uint16_t)port); *length = sizeof *v6;
        return AF_INET6;
    }
    errno = EINVAL;
    return -1;
}

static void add_source(char *order)
{
    unsigned id; char from[64], to[64]; int port; double rate;
    if (sscanf(order, "%u %63s %63s %d %lf", &id, from, to, &port, &rate) != 5 || source_count == STREAMS || rate <= 0) {
        errno = EINVAL; failed("send"); return;
    }
    struct source *s = &sources[source_count];
    struct sockaddr_storage own; socklen_t length;
    int family = address(to, port, &s->to, &s->length), space = SPACE;
    if (family < 0 || address(from, 0, &own, &length) != family) { errno = EINVAL; failed("send"); return; }
    s->id = id; s->rate = rate; s->number = s->refused = 0;
    s->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &space, sizeof space);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&own, length)) { failed("send"); if (s->fd >= 0) close(s->fd); return; }
    source_count++;
    answer("ok");
}

static void send_due(void)
{
    uint64_t ticks;
    if (read(timer, &ticks, sizeof ticks) < 0 || !sending) return;
    double seconds = (double)(now(CLOCK_MONOTONIC) - begun) / 1e9;
    for (size_t i = 0; i < source_count; i++) {
        struct source *s = &sources[i];
        for (; (double)s->number < seconds * s->rate; s->number++) {
            char packet[PACKET] = {0};
            uint32_t id = htonl(s->id);
            uint64_t number = htobe64(s->number), stamp = htobe64(now(CLOCK_REALTIME));
            memcpy(packet, &id, 4); memcpy(packet + 4, &number, 8); memcpy(packet + 12, &stamp, 8);
            if (sendto(s->fd, packet, sizeof packet, 0, (struct sockaddr *)&s->to, s->length) < 0) s->refused++;
        }
    }
}

static void note(uint32_t id, uint64_t number)
{
    struct sink *k = NULL;
    for (size_t i = 0; i < sink_count; i++) if (sinks[i]->id == id) k = sinks[i];
    if (!k) {
        if (sink_count == STREAMS) return;
        k = sinks[sink_count];
        if (!k && !(k = sinks[sink_count] = malloc(sizeof *k))) return;
        sink_count++;
        k->id = id; k->packets = 0; k->runs = 0;
    }
    k->packets++;
    if (k->runs && k->run[k->runs - 1].last + 1 == number) { k->run[k->runs - 1].last = number; return; }
    if (k->runs == RUNS) return;  /* the count of packets then says more than the runs do, and the reader compares */
    k->run[k->runs++] = (struct run){number, number};
}

static void receive(int which)
{
    char packet[2048], extra[64];
    struct iovec part = {packet, sizeof packet};
    for (int i = 0; i < 256; i++) {
        struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = extra, .msg_controllen = sizeof extra};
        ssize_t got = recvmsg(inlets[which], &m, MSG_DONTWAIT);
        if (got < 0) return;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
                uint32_t lost;
                memcpy(&lost, CMSG_DATA(c), sizeof lost);
                overflow[which] = lost;
            }
        if (got < PACKET) continue;
        uint32_t id; uint64_t number;
        memcpy(&id, packet, 4); memcpy(&number, packet + 4, 8);
        note(ntohl(id), be64toh(number));
    }
}

static void sent(void)
{
    char text[64]; uint64_t refused = 0;
    say("ok", 2);
    for (size_t i = 0; i < source_count; i++) {
        say(text, (size_t)snprintf(text, sizeof text, " %u:%llu", sources[i].id, (unsigned long long)sources[i].number));
        refused += sources[i].refused;
    }
    say(text, (size_t)snprintf(text, sizeof text, " refused:%llu\n", (unsigned long long)refused));
}

static void begin(int on)
{
    struct itimerspec every = {{0, on ? 1000000 : 0}, {0, on ? 1000000 : 0}};
    if (on) begun = now(CLOCK_MONOTONIC);
    sending = on;
    timerfd_settime(timer, 0, &every, NULL);
    sent();
}

static void clear(void)
{
    for (size_t i = 0; i < source_count; i++) close(sources[i].fd);
    source_count = sink_count = 0;
    sending = 0;
    answer("ok");
}

static void report(int whole)
{
    char text[64];
    unsigned long long lost = 0;
    for (int i = 0; i < inlet_count; i++) lost += overflow[i];
    say("ok", 2);
    if (whole) say(text, (size_t)snprintf(text, sizeof text, " %llu", lost));
    for (size_t i = 0; i < sink_count; i++) {
        struct sink *k = sinks[i];
        say(text, (size_t)snprintf(text, sizeof text, " %u:", k->id));
        if (!whole) say(text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)k->packets));
        for (size_t r = 0; whole && r < k->runs; r++)
            say(text, (size_t)snprintf(text, sizeof text, "%s%llu-%llu", r ? "," : "",
                                       (unsigned long long)k->run[r].first, (unsigned long long)k->run[r].last));
    }
    say("\n", 1);
}

static void shell(const char *command)
{
    char part[512], text[2 * sizeof part + 1], head[32];
    static char output[LINE * 8];
    size_t filled = 0, got;
    FILE *from = popen(command, "r");
    if (!from) { failed("sh"); return; }
    while ((got = fread(part, 1, sizeof part, from)) > 0) {
        size_t room = sizeof output - filled, take = got < room ? got : room;
        memcpy(output + filled, part, take);
        filled += take;
    }
    int status = pclose(from);
    say(head, (size_t)snprintf(head, sizeof head, "ok %d ", WIFEXITED(status) ? WEXITSTATUS(status) : 255));
    for (size_t at = 0; at < filled; at += sizeof part) {
        size_t take = filled - at < sizeof part ? filled - at : sizeof part;
        for (size_t i = 0; i < take; i++) snprintf(text + 2 * i, 3, "%02x", (unsigned char)output[at + i]);
        say(text, 2 * take);
    }
    say("\n", 1);
}

static void open_connection(const char *order)
{
    char to[64]; int port; struct sockaddr_storage there; socklen_t length;
    if (connection >= 0 || sscanf(order, "%63s %d", to, &port) != 2) { errno = EINVAL; failed("connect"); return; }
    int family = address(to, port, &there, &length);
    int fd = family < 0 ? -1 : socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&there, length)) { failed("connect"); if (fd >= 0) close(fd); return; }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    connection = fd;
    written = 0;
    answer("ok");
}

static void close_connection(void)
{
    struct tcp_info info; socklen_t length = sizeof info; char text[96];
    memset(&info, 0, sizeof info);
    if (connection < 0) { errno = ENOTCONN; failed("close"); return; }
    if (getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &length) || info.tcpi_state != TCP_ESTABLISHED) {
        close(connection);
        connection = -1;
        answer("error close: the connection is not established any more");
        return;
    }
    shutdown(connection, SHUT_WR);
    close(connection);
    connection = -1;
    snprintf(text, sizeof text, "ok %llu %u", (unsigned long long)written, info.tcpi_total_retrans);
    answer(text);
}

static void feed(void)
{
    for (int i = 0; i < 4; i++) {
        ssize_t done = write(connection, block, sizeof block);
        if (done < 0 && errno != EAGAIN && errno != EINTR) {
            close(connection);
            connection = -1;
        }
        if (done <= 0) return;
        written += (uint64_t)done;
    }
}

static void obey(char *order)
{
    char text[64];
    if (!strncmp(order, "sh ", 3)) shell(order + 3);
    else if (!strncmp(order, "send ", 5)) add_source(order + 5);
    else if (!strcmp(order, "start")) begin(1);
    else if (!strcmp(order, "stop")) begin(0);
    else if (!strcmp(order, "clear")) clear();
    else if (!strcmp(order, "count")) report(0);
    else if (!strcmp(order, "report")) report(1);
    else if (!strncmp(order, "connect ", 8)) open_connection(order + 8);
    else if (!strcmp(order, "close")) close_connection();
    else if (!strcmp(order, "written")) {
        snprintf(text, sizeof text, "ok %llu", (unsigned long long)written);
        answer(text);
    } else answer("error unknown order");
}

/* "4:PORT" or "6:PORT" */
static int inlet(const char *text)
{
    struct sockaddr_storage own; socklen_t length;
    int family = address(text[0] == '6' ? "::" : "0.0.0.0", atoi(text + 2), &own, &length), one = 1, space = SPACE;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, length)) { perror(text); exit(1); }
    return fd;
}

int main(int count, char **argument)
{
    char order[LINE]; size_t filled = 0; struct termios raw;
    if (count < 3 || count - 2 > INLETS) { fprintf(stderr, "usage: guest SERIAL-LINE 4:PORT 6:PORT ...\n"); return 2; }
    line = open(argument[1], O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (line < 0 || tcgetattr(line, &raw)) { perror(argument[1]); return 1; }
    cfmakeraw(&raw);
    cfsetspeed(&raw, B115200);
    tcsetattr(line, TCSANOW, &raw);
    for (inlet_count = 0; inlet_count < count - 2; inlet_count++) inlets[inlet_count] = inlet(argument[inlet_count + 2]);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    mlockall(MCL_CURRENT);
    answer("ok ready");
    for (;;) {
        struct pollfd ready[INLETS + 3] = {{timer, POLLIN, 0}, {line, POLLIN, 0}, {connection, POLLOUT, 0}};
        for (int i = 0; i < inlet_count; i++) ready[i + 3] = (struct pollfd){inlets[i], POLLIN, 0};
        if (poll(ready, (nfds_t)inlet_count + 3, -1) < 0) continue;
        if (ready[0].revents) send_due();
        for (int i = 0; i < inlet_count; i++) if (ready[i + 3].revents) receive(i);
        if (ready[2].revents && connection >= 0) feed();
        if (!(ready[1].revents & POLLIN)) continue;
        ssize_t got = read(line, order + filled, sizeof order - 1 - filled);
        if (got <= 0) continue;
        filled += (size_t)got;
        char *end;
        while ((end = memchr(order, '\n', filled))) {
            *end = 0;
            obey(order);
            size_t rest = filled - (size_t)(end + 1 - order);
            memmove(order, end + 1, rest);
            filled = rest;
        }
        if (filled == sizeof order - 1) filled = 0;
    }
}
