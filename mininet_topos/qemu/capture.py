"""What reaches a guest's tap device, with the kernel's time stamps: an AF_PACKET socket on the host's side of it."""

from __future__ import annotations

import ctypes
import socket
import struct
from dataclasses import dataclass

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_AUXDATA, PACKET_STATISTICS = 263, 8, 6
SO_ATTACH_FILTER, SO_TIMESTAMPNS, SO_RCVBUFFORCE = 26, 35, 33
TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
AUXDATA = struct.Struct("@IIIHHHH")
TIME = struct.Struct("@qq")
SPACE = 32 << 20
FRAME_SPACE = 65600
TO_THE_GUEST = (  # a filter of the kernel: the packet's type is "outgoing" (4), take all of it, else nothing
    (0x20, 0, 0, 0xFFFFF004),
    (0x15, 0, 1, 4),
    (0x06, 0, 0, 0xFFFFFFFF),
    (0x06, 0, 0, 0),
)


@dataclass(frozen=True)
class Frame:
    """One frame as the guest would read it. ``time``: when it was put into the tap's queue, in ns since the epoch."""

    time: int
    data: bytes


class Capture:
    """Frames that the switch puts into a tap's queue for a guest, from now on."""

    def __init__(self, device: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        code = b"".join(struct.pack("@HBBI", *line) for line in TO_THE_GUEST)
        self._code = ctypes.create_string_buffer(code)
        program = struct.pack("@HxxxxxxP", len(TO_THE_GUEST), ctypes.addressof(self._code))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SPACE)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._socket.settimeout(0)
        self._socket.bind((device, ETH_P_ALL))  # from here on the filter is in force, so nothing else is in the queue

    def read(self) -> list[Frame]:
        """All frames that came since the last call, in their order."""
        found: list[Frame] = []
        while True:
            try:
                data, extra, _, _ = self._socket.recvmsg(FRAME_SPACE, 256)
            except BlockingIOError:
                return found
            time, tag = 0, b""
            for level, kind, value in extra:
                if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                    seconds, nanoseconds = TIME.unpack(value)
                    time = seconds * 1_000_000_000 + nanoseconds
                elif (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    tag = _tag(value)
            found.append(Frame(time, data[:12] + tag + data[12:]))

    def dropped(self) -> int:
        """Frames that this socket had no room for since the last call."""
        _, drops = struct.unpack("@II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(drops)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def _tag(auxdata: bytes) -> bytes:
    """Return the VLAN tag that the kernel took off a frame and kept beside it."""
    status, _, _, _, _, tci, tpid = AUXDATA.unpack(auxdata[: AUXDATA.size])
    if not status & TP_STATUS_VLAN_VALID:
        return b""
    return struct.pack("!HH", tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100, tci)
