"""What the host sends to a guest, read at its tap: an AF_PACKET socket with a filter and time stamps of the kernel.

The tap's own counter of sent packets says how many of them QEMU has read: the kernel counts them when they are read (tun.c),
not when they are queued. Frames of all kinds are counted here for that, and those for the guest's MAC are copied.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress
from typing import Final

from ryu_vmmob.hypervisor.offload import HEADER_BYTES, finished, split
from ryu_vmmob.hypervisor.received import Received

_ETH_P_ALL: Final = 0x0003
_SOL_PACKET: Final = 263
_PACKET_STATISTICS, _PACKET_AUXDATA, _PACKET_VNET_HDR = 6, 8, 15
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 26, 33, 35
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_PACKET_OUTGOING: Final = 4
_BROADCAST: Final = b"\xff" * 6
_HEADER_ONLY: Final = 13
"""Bytes that are taken of a frame for another MAC: fewer than any frame has."""
_RECEIVE_BYTES: Final = 16 * 2**20
"""Of the socket: what comes while this process does not run. The kernel lets root have it."""
_LARGEST: Final = 2**16 + 64
_ANCILLARY: Final = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(20)


def outgoing_to(mac: bytes) -> bytes:
    """Return a filter program (BPF, `struct sock_filter`): frames that the host sends to this MAC whole, of others
    the header.
    """
    high, low = int.from_bytes(mac[:4]), int.from_bytes(mac[4:])
    program = (
        (0x28, 0, 0, 0xFFFFF004),  # load half word: the packet's type, an extension of Linux
        (0x15, 0, 6, _PACKET_OUTGOING),
        (0x20, 0, 0, 0),  # load word: the destination's first four bytes
        (0x15, 0, 3, high),
        (0x28, 0, 0, 4),
        (0x15, 0, 1, low),
        (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
        (0x06, 0, 0, _HEADER_ONLY),
        (0x06, 0, 0, 0),  # take nothing
    )
    return b"".join(struct.pack("=HBBI", *row) for row in program)


class Capture:
    """The frames that reach one tap for one MAC. Needs CAP_NET_RAW. Raises OSError when there is no such device."""

    def __init__(self, device: str, mac: str) -> None:
        self.device = device
        self.spoiled = 0
        """Frames that could not be finished (segments of a kind that is not cut)."""
        self.counted = 0
        """Frames of all kinds that the host has sent to the guest since this began."""
        self.received = Received()
        self._mac = bytes.fromhex(mac.replace(":", ""))
        self._offset: int | None = None
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._prepare(self._mac)
        except BaseException:
            self._socket.close()
            raise

    def _prepare(self, mac: bytes) -> None:
        self._socket.settimeout(0)
        program = ctypes.create_string_buffer(outgoing_to(mac))
        attached = struct.pack("HL", len(program.raw) // 8, ctypes.addressof(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)
        with suppress(OSError):  # without the right the system's limit holds
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.bind((self.device, _ETH_P_ALL))

    def fileno(self) -> int:
        """For a selector: readable when frames are there, or the device is gone."""
        return self._socket.fileno()

    def read(self, most: int = 256) -> list[tuple[int, int, bytes]]:
        """(its number, nanoseconds since the epoch, frame) of what is there for the MAC, at most so many of all frames.

        Raises OSError when the device is gone.
        """
        found: list[tuple[int, int, bytes]] = []
        for _ in range(most):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LARGEST + HEADER_BYTES, _ANCILLARY)
            except BlockingIOError:
                break
            self.counted += 1
            time, tag = _told(ancillary)
            target = data[HEADER_BYTES : HEADER_BYTES + 6]
            self.received.seen(self.counted, time, certain=target in (self._mac, _BROADCAST))
            if len(data) <= HEADER_BYTES + _HEADER_ONLY:
                continue
            try:
                offload, frame = split(data)
                found.extend((self.counted, time, _tagged(row, tag)) for row in finished(offload, frame))
            except ValueError:
                self.spoiled += 1
        return found

    def missed(self) -> int:
        """Frames that found the socket's buffer full since the last call."""
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self.counted += dropped
        return int(dropped)

    def compare(self) -> list[tuple[int, int, bytes]]:
        """`read` all that is there, and learn how the tap's counter and the numbers here belong together.

        The counter is read first. What comes in between makes the difference larger, as does what is still queued; the smallest
        difference seen is the right one.
        """
        read = taken(self.device)
        self.missed()
        found: list[tuple[int, int, bytes]] = []
        while rows := self.read():
            found += rows
        if read is not None:
            offset = self.counted - read
            self._offset = offset if self._offset is None else min(self._offset, offset)
        return found

    def last_read(self) -> int | None:
        """Return the number of the last frame that QEMU has read, now; None while that is not known."""
        read = taken(self.device)
        return None if read is None or self._offset is None else read + self._offset

    def last_got(self, index: int) -> int | None:
        """Return the number of the last frame that the stopped guest got; ``index``: of its receive queue. None: not known."""
        read = self.last_read()
        return None if read is None else self.received.last(index, self.counted, read)

    def close(self) -> None:
        """End it."""
        self._socket.close()


def taken(device: str) -> int | None:
    """Packets of a tap that its reader has taken, or the tap has dropped; None when there is no such device."""
    with open("/proc/self/net/dev", encoding="ascii") as file:
        for line in file:
            name, colon, rest = line.partition(":")
            if colon and name.strip() == device:
                columns = rest.split()
                return int(columns[9]) + int(columns[11])
    return None


def _told(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, bytes]:
    """Return the kernel's time stamp in nanoseconds, and the tag that it keeps beside the frame (empty: none)."""
    time, tag = 0, b""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack_from("=qq", data)
            time = seconds * 1_000_000_000 + nanoseconds
        elif level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = struct.unpack_from("=IIIHHHH", data)
            if status & _VLAN_VALID:
                tag = struct.pack("!HH", tpid if status & _TPID_VALID else 0x8100, tci)
    return time, tag


def _tagged(frame: bytes, tag: bytes) -> bytes:
    return frame[:12] + tag + frame[12:] if tag else frame
