"""A bridge that learns from each frame, as a Linux bridge does: access ports and one trunk, over AF_PACKET.

Open vSwitch learns when it makes a flow, and so overlooks most frames: what is wrong with one of them shows here.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final

_ETH_P_ALL: Final = 3
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 8, 23
_VLAN_VALID: Final = 1 << 4
"""TP_STATUS_VLAN_VALID: the kernel has taken a tag off the frame, and says which."""
_AUXDATA: Final = struct.Struct("IIIHHHH")
_GROUP: Final = 1


class LearningBridge:
    """``access``: device -> VLAN-ID; ``trunk``: the uplink, on which every frame is tagged. Use it as a context manager."""

    def __init__(self, trunk: str, access: Mapping[str, int]) -> None:
        self._tags: dict[str, int | None] = {trunk: None, **access}
        self._sockets = {name: _open(name) for name in self._tags}
        self._learned: dict[tuple[int, bytes], str] = {}
        self.moved: list[tuple[str, str]] = []
        """(from, to) of each address that was learned at another port than before."""
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> LearningBridge:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        os.write(self._wake, b"x")
        self._thread.join()
        for each in self._sockets.values():
            each.close()
        for end in (self._stop, self._wake):
            os.close(end)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop, selectors.EVENT_READ)
            for name, each in self._sockets.items():
                selector.register(each, selectors.EVENT_READ, name)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._take(key.data)

    def _take(self, port: str) -> None:
        frame, ancillary, _, _ = self._sockets[port].recvmsg(65536, 256)
        outer = next((_tag(data) for _, kind, data in ancillary if kind == _PACKET_AUXDATA), None)
        if outer is None and frame[12:14] == b"\x81\x00":
            outer, frame = int.from_bytes(frame[14:16], "big") & 0xFFF, frame[:12] + frame[16:]
        own = self._tags[port]
        vlan_id = own if own is not None and outer is None else outer if own is None else None
        if vlan_id is None:
            return  # a tagged frame at an access port, or a bare one on the trunk
        before = self._learned.get((vlan_id, frame[6:12]))
        if before is not None and before != port:
            self.moved.append((before, port))
        self._learned[vlan_id, frame[6:12]] = port
        known = None if frame[0] & _GROUP else self._learned.get((vlan_id, frame[:6]))
        for name in self._tags if known is None else [known]:
            if name != port and self._tags[name] in (None, vlan_id):
                self._give(name, frame, vlan_id)

    def _give(self, port: str, frame: bytes, vlan_id: int) -> None:
        if self._tags[port] is None:
            frame = frame[:12] + b"\x81\x00" + vlan_id.to_bytes(2, "big") + frame[12:]
        self._sockets[port].send(frame)


def _open(device: str) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    found.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    found.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    found.bind((device, _ETH_P_ALL))
    return found


def _tag(data: bytes) -> int | None:
    """The VLAN-ID of struct tpacket_auxdata; None where there was no tag."""
    status, *_, tci, _ = _AUXDATA.unpack(data[: _AUXDATA.size])
    return tci & 0xFFF if status & _VLAN_VALID else None
