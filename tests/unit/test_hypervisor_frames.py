"""Frames of a pause: finished as on a wire (scapy judges), and none kept that the VM has read."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from ryu_vmmob.hypervisor.offload import HEADER_BYTES, NEEDS_CHECKSUM, TCP4, TCP6, UDP_L4, Offload, finished, split
from ryu_vmmob.hypervisor.received import INDEX_SIZE, SAMPLES, Received
from ryu_vmmob.hypervisor.tail import BATCH_BYTES, BATCH_FRAMES, BEFORE_SECONDS, LARGEST, Arrival, Tail

ETHER = Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:01")
V4, V6 = IP(src="10.1.0.1", dst="10.1.0.11", id=7), IPv6(src="2001:db8:1::1", dst="2001:db8:1::b")
SECOND = 1_000_000_000


def partial(packet: Any, layer: Any) -> tuple[Offload, bytes]:
    """A frame whose checksum Linux has left to its reader: the field holds the sum of the pseudo header only."""
    whole = bytearray(bytes(packet))
    transport = bytes(packet[layer])
    start = len(whole) - len(transport)
    place = {TCP: 16, UDP: 6}[layer]
    ip = packet[IP] if IP in packet else packet[IPv6]
    addresses = whole[start - 8 : start] if IP in packet else whole[start - 32 : start]
    pseudo = bytes(addresses) + struct.pack("!II", {TCP: 6, UDP: 17}[layer], len(transport))
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", whole, start + place, total)
    assert ip is not None
    return Offload(NEEDS_CHECKSUM, 0, 0, 0, start, place), bytes(whole)


@pytest.mark.parametrize("packet", [
    ETHER / V4 / UDP(sport=1, dport=2) / b"odd", ETHER / V6 / UDP(sport=1, dport=2) / b"even",
    ETHER / V4 / TCP(sport=1, dport=2) / b"x", ETHER / Dot1Q(vlan=42) / V6 / TCP(sport=1, dport=2) / b"xyz",
])  # fmt: skip
def test_a_checksum_is_completed(packet: Any) -> None:
    layer = UDP if UDP in packet else TCP
    offload, frame = partial(packet, layer)
    assert finished(offload, frame) == [bytes(packet)]
    assert finished(Offload(), frame) == [frame]


@pytest.mark.parametrize("tags", [0, 1])
@pytest.mark.parametrize(("network", "kind"), [(V4, TCP4), (V6, TCP6)])
def test_a_large_segment_is_cut(network: Any, kind: int, tags: int) -> None:
    data = bytes(range(256)) * 12  # 3072 bytes: two whole pieces and a rest
    base = ETHER / Dot1Q(vlan=42) / network if tags else ETHER / network
    large = base / TCP(sport=1, dport=2, seq=2**32 - 1000, flags="FPA", options=[("NOP", None)] * 4) / data
    offload, frame = partial(large, TCP)
    pieces = finished(offload._replace(kind=kind, segment_bytes=1400), frame)
    wanted = []
    for number, place in enumerate(range(0, len(data), 1400)):
        last = place + 1400 >= len(data)
        piece = large.copy()
        ip, tcp = piece[IP] if kind == TCP4 else piece[IPv6], piece[TCP]
        tcp.remove_payload()
        tcp.add_payload(data[place : place + 1400])
        tcp.seq, tcp.flags = (2**32 - 1000 + place) % 2**32, "FPA" if last else "A"
        if kind == TCP4:
            ip.id = 7 + number
        wanted.append(bytes(piece))
    assert pieces == wanted


@pytest.mark.parametrize("offload", [
    Offload(kind=UDP_L4, segment_bytes=100), Offload(NEEDS_CHECKSUM, 0, 0, 0, 5000, 16),
    Offload(kind=TCP4, segment_bytes=100, checksum_start=3), Offload(kind=TCP4, segment_bytes=100, checksum_start=60),
])  # fmt: skip
def test_an_offload_that_does_not_fit_the_frame_is_refused(offload: Offload) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for the log
        finished(offload, bytes(ETHER / V4 / UDP() / b"0123456789"))


def test_a_header_before_a_frame() -> None:
    frame = bytes(ETHER / V4)
    assert split(struct.pack("=BBHHHH", 1, 2, 3, 4, 5, 6) + frame) == (Offload(1, 2, 3, 4, 5, 6), frame)
    with pytest.raises(ValueError, match="is none"):
        split(bytes(HEADER_BYTES + 13))


# The tail


def frame(number: int, size: int = 60) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def test_only_what_came_after_the_pause_is_sent_on() -> None:
    tail = Tail()
    for number in range(10):
        tail.add(Arrival(0, number * SECOND // 10, frame(number)))
    assert tail.take() is None
    tail.pause(SECOND // 2)
    tail.add(Arrival(0, SECOND // 2, frame(50)))  # its time stamp is that of the pause: it was read
    tail.add(Arrival(0, SECOND, frame(10)))
    assert tail.take() == (0, [frame(n) for n in range(6, 11)])
    assert (tail.take(), tail.lost) == (None, 0)


def test_what_was_queued_at_the_pause_was_not_read() -> None:
    tail = Tail()
    for number in range(1, 11):
        tail.add(Arrival(number % 2, number, frame(number), number))
    tail.pause(9, {0: 4})
    tail.add(Arrival(0, 8, frame(3), 3))
    tail.add(Arrival(0, 8, frame(8), 8))
    found = []
    while (batch := tail.take()) is not None:
        found += batch[1]
    assert found == [frame(n) for n in (6, 8, 10, 8)], "of interface 1 only the time is known"


def test_what_is_old_is_forgotten_before_the_pause() -> None:
    tail = Tail(before_bytes=600)
    for number in range(100):
        tail.add(Arrival(0, number * SECOND, frame(number)))
    assert len(tail) == BEFORE_SECONDS + 1
    for number in range(100):
        tail.add(Arrival(0, 100 * SECOND, frame(number)))
    assert len(tail) == 10
    tail.pause(0)
    assert tail.lost == 0


def test_memory_is_bounded_after_the_pause() -> None:
    tail = Tail(after_bytes=600)
    tail.pause(0)
    for number in range(100):
        tail.add(Arrival(0, 1, frame(number)))
    assert (len(tail), tail.lost) == (10, 90)
    tail.take()
    tail.add(Arrival(0, 1, frame(7)))
    assert tail.take() == (0, [frame(7)])
    for size in (12, LARGEST + 4):
        tail.add(Arrival(0, 1, frame(1, size)))
    assert (len(tail), tail.lost) == (0, 92)


def test_a_batch_is_of_one_interface_and_not_too_large() -> None:
    tail = Tail()
    tail.pause(0)
    for interface, count in ((0, BATCH_FRAMES + 3), (1, 2), (0, 1)):
        for _ in range(count):
            tail.add(Arrival(interface, 1, frame(interface)))
    sizes = []
    while (batch := tail.take()) is not None:
        sizes.append((batch[0], len(batch[1])))
    assert sizes == [(0, BATCH_FRAMES), (0, 3), (1, 2), (0, 1)]
    for _ in range(500):
        tail.add(Arrival(0, 1, bytes(9000)))
    batch = tail.take()
    assert batch is not None
    assert sum(map(len, batch[1])) <= BATCH_BYTES < sum(map(len, batch[1])) + 9008 + 8 * len(batch[1])


def test_a_vm_that_goes_on_here() -> None:
    tail = Tail()
    tail.pause(0)
    tail.add(Arrival(0, 1, frame(1)))
    tail.resume()
    assert (len(tail), tail.take(), tail.paused_at) == (0, None, None)


def test_what_qemu_read_and_the_guest_did_not_get_is_sent_on() -> None:
    tail = Tail()
    for number in range(1, 11):
        tail.add(Arrival(number % 2, number, frame(number), number))
    tail.pause(8, {0: 10, 1: 9})
    tail.add(Arrival(1, 8, frame(11), 9))
    assert tail.settle(0, 6) == 1, "number 8; number 10 came later, and is sent on anyway"
    assert tail.settle(0, 0) == 0, "once"
    assert tail.settle(1, 9) == 0
    found = []
    while (batch := tail.take()) is not None:
        found += batch[1]
    assert found == [frame(8), frame(9), frame(10)]


# What the guest got


class Guest:
    """A tap, QEMU and a guest, a frame every millisecond; QEMU loses what it reads of the tap while the guest is stopped."""

    def __init__(self, index: int) -> None:
        self.received = Received()
        self.index = index
        self.time = self.number = self.read = 0

    def frames(self, count: int, got: bool = True, filtered: bool = False, certain: bool = True) -> None:
        for _ in range(count):
            self.time += 1000
            self.number += 1
            self.received.seen(self.number, self.time, certain=certain)
            self.read += 1
            self.index = (self.index + (got and not filtered)) % INDEX_SIZE

    def sample(self, takes: int = 10, late: int = 0) -> None:
        """QEMU is asked; ``late``: frames that come while it answers, after it has looked."""
        before, index = self.time + 1, self.index
        self.frames(late)
        self.received.sample(before, self.time + takes, index)

    def last(self) -> int | None:
        return self.received.last(self.index, self.number, self.read)


@pytest.mark.parametrize("start", [0, 65_530])
@pytest.mark.parametrize("lost", [0, 1, 2])
def test_how_many_the_guest_got(start: int, lost: int) -> None:
    guest = Guest(start)
    for _ in range(20):
        guest.frames(7)
        guest.sample()
        guest.frames(2, filtered=True, certain=False)
        guest.frames(1, certain=False)
        guest.frames(1)
        guest.sample(late=3)
    guest.frames(5)
    for _ in range(SAMPLES):
        guest.sample()
    got = guest.number
    guest.frames(lost, got=False)
    assert guest.last() == got


def test_samples_that_frames_came_into_are_better_than_none() -> None:
    guest = Guest(3)
    guest.sample(late=1)
    guest.sample()
    guest.frames(1)
    got = guest.number
    guest.frames(2, got=False)
    assert guest.last() == got


@pytest.mark.parametrize(("filtered", "told"), [(True, 2), (False, 1)])
def test_a_frame_that_the_card_may_have_filtered_out(filtered: bool, told: int) -> None:
    """Whether it did is not known before the next sample: no frame is sent on for it."""
    guest = Guest(3)
    guest.frames(1)
    guest.sample()
    guest.frames(1, filtered=filtered, certain=False)
    guest.frames(2, got=False)
    assert guest.last() == guest.number - told
    guest = Guest(3)
    guest.frames(1)
    guest.sample()
    guest.frames(1, filtered=filtered, certain=False)
    guest.sample()
    guest.frames(2, got=False)
    assert guest.last() == guest.number - 2


@pytest.mark.parametrize("wrong", [-3, 5, 1000])
def test_a_count_that_qemu_does_not_allow_says_nothing(wrong: int) -> None:
    guest = Guest(100)
    assert guest.last() is None, "no sample"
    guest.frames(3)
    guest.sample()
    guest.frames(1)
    guest.index -= wrong
    assert guest.last() is None
