"""The routers on the way to an address: ``traceroute.py OWN ADDRESS [MOST]``.

One ICMP or ICMPv6 echo request with each TTL from 1 to MOST. Prints one JSON object: ``{"hops": [ADDRESS or null, ...],
"reached": true}``; the last hop is the one that answered the echo, or said that the address cannot be reached (then
``reached`` is false). Null: no answer within WAIT_SECONDS.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

WAIT_SECONDS = 2.0
MOST = 8
ECHO_REPLY, TIME_EXCEEDED, UNREACHABLE = 1, 2, 3
KINDS = {  # by IP version: types of ICMP (RFC 792) and of ICMPv6 (RFC 4443)
    4: {0: ECHO_REPLY, 11: TIME_EXCEEDED, 3: UNREACHABLE},
    6: {129: ECHO_REPLY, 3: TIME_EXCEEDED, 1: UNREACHABLE},
}
REQUEST = {4: 8, 6: 128}
IPV6_HEADER = 40


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(version: int, ident: int, number: int) -> bytes:
    """Return an echo request; of ICMPv6 the kernel writes the checksum."""
    head = struct.pack("!BBHHH", REQUEST[version], 0, 0, ident, number)
    body = bytes(24)
    if version == 4:
        head = struct.pack("!BBHHH", REQUEST[version], 0, checksum(head + body), ident, number)
    return head + body


def understood(version: int, data: bytes, ident: int, number: int) -> int | None:
    """Return what a received packet says of the request with that number; None: nothing."""
    message = data[(data[0] & 0xF) * 4 :] if version == 4 else data
    kind = KINDS[version].get(message[0])
    if kind == ECHO_REPLY:
        told = message[4:8]
    elif kind in (TIME_EXCEEDED, UNREACHABLE):  # the packet it is about follows the first eight bytes
        about = message[8:]
        if not about:
            return None
        inner = about[(about[0] & 0xF) * 4 :] if version == 4 else about[IPV6_HEADER:]
        told = inner[4:8]
    else:
        return None
    return kind if told == struct.pack("!HH", ident, number) else None


def main() -> None:
    """Ask hop by hop."""
    own, target = sys.argv[1], sys.argv[2]
    most = int(sys.argv[3]) if len(sys.argv) > 3 else MOST
    version = 6 if ":" in target else 4
    if version == 4:
        line = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    else:
        line = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    line.bind((own, 0))
    ident, hops, kind = os.getpid() & 0xFFFF, [], None
    for ttl in range(1, most + 1):
        if version == 4:
            line.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        else:
            line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        line.sendto(request(version, ident, ttl), (target, 0))
        hop, kind = None, None
        deadline = time.monotonic() + WAIT_SECONDS
        while kind is None and select.select([line], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data, address = line.recvfrom(2048)
            kind = understood(version, data, ident, ttl)
            if kind is not None:
                hop = address[0]
        hops.append(hop)
        if kind in (ECHO_REPLY, UNREACHABLE):
            break
    print(json.dumps({"hops": hops, "reached": kind == ECHO_REPLY}))


if __name__ == "__main__":
    main()
