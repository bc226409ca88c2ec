"""Frames as a tap's reader gets them, finished as they must be on a wire: checksums completed, large TCP segments cut.

Pure. Linux leaves both to the reader, and says so in the header that virtio puts before a frame (virtio 1.2, 5.1.6).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

NEEDS_CHECKSUM: Final = 1
"""Flag VIRTIO_NET_HDR_F_NEEDS_CSUM."""
NO_SEGMENTS, TCP4, UDP, TCP6, UDP_L4 = 0, 1, 3, 4, 5
"""Kinds of VIRTIO_NET_HDR_GSO."""
_ECN: Final = 0x80
_HEADER: Final = struct.Struct("=BBHHHH")
HEADER_BYTES: Final = _HEADER.size
_FIN_PSH: Final = 0x09
_CWR: Final = 0x80
_LAST_FRAGMENT: Final = 0x3FFF


class Offload(NamedTuple):
    """The header of one frame: what Linux has left to its reader."""

    flags: int = 0
    kind: int = NO_SEGMENTS
    header_bytes: int = 0
    segment_bytes: int = 0
    checksum_start: int = 0
    checksum_offset: int = 0


def split(data: bytes) -> tuple[Offload, bytes]:
    """Header and frame of what an AF_PACKET socket with PACKET_VNET_HDR gives. Raises ValueError when it is too short."""
    if len(data) < HEADER_BYTES + 14:
        raise ValueError(f"a frame of {len(data)} bytes with its header is none")
    return Offload(*_HEADER.unpack_from(data)), data[HEADER_BYTES:]


def finished(offload: Offload, frame: bytes) -> list[bytes]:
    """Return the frames that go out on a wire. Raises ValueError for what cannot be finished (UDP segments, a torn header)."""
    kind = offload.kind & ~_ECN
    if kind == NO_SEGMENTS:
        return [_with_checksum(offload, frame) if offload.flags & NEEDS_CHECKSUM else frame]
    if kind in (TCP4, TCP6) and offload.segment_bytes:
        return _segments(offload, frame, version=4 if kind == TCP4 else 6)
    raise ValueError(f"segments of kind {offload.kind} are not cut")


def internet_checksum(data: bytes) -> int:
    """RFC 1071, over ``data``; 0 to 65535."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


def _with_checksum(offload: Offload, frame: bytes) -> bytes:
    """Finish the checksum of a frame: the pseudo header's sum stands in the field, so sum all from ``checksum_start``."""
    start, place = offload.checksum_start, offload.checksum_start + offload.checksum_offset
    if place + 2 > len(frame):
        raise ValueError("its checksum lies behind its end")
    done = bytearray(frame)
    struct.pack_into("!H", done, place, internet_checksum(bytes(done[start:])) or 0xFFFF)
    return bytes(done)


def _segments(offload: Offload, frame: bytes, version: int) -> list[bytes]:
    ip, tcp = _network_header(frame), offload.checksum_start
    if not ip + (20 if version == 4 else 40) <= tcp <= len(frame) - 20:
        raise ValueError("its TCP header lies outside")
    payload = tcp + (frame[tcp + 12] >> 4) * 4
    if payload > len(frame):
        raise ValueError("its TCP header is torn")
    identification, sequence = struct.unpack_from("!H", frame, ip + 4)[0], struct.unpack_from("!I", frame, tcp + 4)[0]
    pieces = range(payload, len(frame), offload.segment_bytes)
    found = []
    for number, place in enumerate(pieces):
        piece = bytearray(frame[:payload] + frame[place : place + offload.segment_bytes])
        if version == 4:
            struct.pack_into("!HH", piece, ip + 2, len(piece) - ip, (identification + number) & 0xFFFF)
            struct.pack_into("!H", piece, ip + 10, 0)
            struct.pack_into("!H", piece, ip + 10, internet_checksum(bytes(piece[ip:tcp])))
        else:
            struct.pack_into("!H", piece, ip + 4, len(piece) - ip - 40)
        struct.pack_into("!I", piece, tcp + 4, (sequence + place - payload) & 0xFFFFFFFF)
        if place + offload.segment_bytes < len(frame):
            piece[tcp + 13] &= ~_FIN_PSH
        if number and offload.kind & _ECN:
            piece[tcp + 13] &= ~_CWR
        struct.pack_into("!H", piece, tcp + 16, 0)
        addresses = piece[ip + 12 : ip + 20] if version == 4 else piece[ip + 8 : ip + 40]
        pseudo = bytes(addresses) + struct.pack("!II", 6, len(piece) - tcp)
        struct.pack_into("!H", piece, tcp + 16, internet_checksum(pseudo + bytes(piece[tcp:])))
        found.append(bytes(piece))
    return found or [frame]


def _network_header(frame: bytes) -> int:
    """Return where the IP header begins: behind the guest's own tags, if there are any."""
    place = 12
    while frame[place : place + 2] in (b"\x81\x00", b"\x88\xa8"):
        place += 4
    return place + 2
