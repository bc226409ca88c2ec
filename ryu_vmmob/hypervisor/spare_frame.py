"""A frame that a waiting QEMU may lose: sent first, it stands in for the guest's own first frame.

A QEMU that waits for a guest's memory reads one frame of each tap and keeps it. Until the state of the card is there it
takes the frame's virtio header for 10 bytes; the guest's card has 12 (virtio 1.1, 5.1.6.1). A frame read that early never
reaches the guest. Frames behind it stay in the tap's queue. With vhost none is read before the guest runs.
"""

from __future__ import annotations

import socket
from typing import Final

_ETHERTYPE: Final = 0x88B5
"""IEEE 802, 9.2.3: local experimental; no guest takes it for anything."""
_SOURCE: Final = bytes.fromhex("02766d6d6f62")
_LEAST: Final = 60
"""Bytes of the smallest frame, without its check sequence."""


def spare_frame(mac: str) -> bytes:
    """Return an Ethernet frame for this MAC that means nothing."""
    frame = bytes.fromhex(mac.replace(":", "")) + _SOURCE + _ETHERTYPE.to_bytes(2, "big")
    return frame.ljust(_LEAST, b"\0")


def send_spare(device: str, mac: str) -> None:
    """Put one into a tap's queue. Needs CAP_NET_RAW. Raises OSError when there is no such device."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((device, 0))
        sender.sendall(spare_frame(mac))
