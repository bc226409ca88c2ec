"""Counts frames on devices by VLAN-ID, MAC and IP addresses and TTL: ``sniff.py DEVICE...``.

On cables it tells which VLAN-IDs are in use and by whom; inside a VM it tells whether anything foreign is heard. Says
``{"ready": true}`` when it listens; ``{"op": "stop"}`` is answered with ``{"frames": {DEVICE: [[direction, vlan_id, source,
destination, ethertype, ttl, IP source, IP destination, count], ...]}, "dropped": N}``; direction is "in" or "out" as seen by
the device's owner, vlan_id null for an untagged frame. The three of IP are null in other frames; of ARP, the addresses are
those of sender and target, without a TTL. ``{"op": "reset"}`` starts the counting again.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import struct
import sys
from typing import Any

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_STATISTICS, PACKET_AUXDATA = 263, 6, 8
PACKET_OUTGOING, VLAN_VALID = 4, 1 << 4
AUXDATA = struct.Struct("@IIIHHHH")
SO_RCVBUFFORCE = 33
RECEIVE_SPACE = 32 << 20
HEADER = 18 + 40
VLAN, IPV4, IPV6, ARP = 0x8100, 0x0800, 0x86DD, 0x0806
ADDRESSES = {  # where they begin and end after the Ethernet header: source, destination
    IPV4: ((12, 16), (16, 20)),
    IPV6: ((8, 24), (24, 40)),
    ARP: ((14, 18), (24, 28)),
}
TTL = {IPV4: 8, IPV6: 7}


def open_device(name: str) -> socket.socket:
    """Return a raw socket that sees every frame of one device."""
    inlet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    inlet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_SPACE)
    inlet.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    inlet.bind((name, ETH_P_ALL))
    inlet.settimeout(0)
    return inlet


def read(inlet: socket.socket) -> tuple[Any, ...]:
    """Return the next frame: direction, VLAN-ID, both MACs, ethertype, TTL, IP addresses. The kernel may have taken the tag
    off.
    """
    data, extra, _, address = inlet.recvmsg(HEADER, 64)
    kind, start = int.from_bytes(data[12:14], "big"), 14
    vlan_id: int | None = None
    for level, option, value in extra:
        if level == SOL_PACKET and option == PACKET_AUXDATA:
            status, *_, tci, _ = AUXDATA.unpack(value)
            if status & VLAN_VALID:
                vlan_id = tci & 0xFFF
    if vlan_id is None and kind == VLAN:
        vlan_id = int.from_bytes(data[14:16], "big") & 0xFFF
        kind, start = int.from_bytes(data[16:18], "big"), 18
    ttl = data[start + TTL[kind]] if kind in TTL else None
    both = tuple(data[start + begin : start + end] for begin, end in ADDRESSES.get(kind, ()))
    direction = "out" if address[2] == PACKET_OUTGOING else "in"
    return direction, vlan_id, data[6:12], data[0:6], kind, ttl, both


def readable(seen: tuple[Any, ...]) -> list[Any]:
    """Return what `read` gave, for JSON."""
    direction, vlan_id, source, destination, kind, ttl, both = seen
    family = socket.AF_INET6 if kind == IPV6 else socket.AF_INET
    addresses = [socket.inet_ntop(family, one) for one in both] or [None, None]
    return [direction, vlan_id, source.hex(":"), destination.hex(":"), kind, ttl, *addresses]


def main() -> None:
    """Run the counter."""
    gc.disable()
    inlets = {inlet.fileno(): (name, inlet) for name in sys.argv[1:] for inlet in (open_device(name),)}
    counts: dict[tuple[Any, ...], int] = {}
    poller = select.poll()
    for fd in (0, *inlets):
        poller.register(fd, select.POLLIN)
    print(json.dumps({"ready": True}), flush=True)
    while True:
        ready = [fd for fd, _ in poller.poll()]
        for fd in ready:
            if fd == 0:
                continue
            name, inlet = inlets[fd]
            while True:
                try:
                    key = (name, *read(inlet))
                except OSError:  # nothing more, or the device is down
                    break
                counts[key] = counts.get(key, 0) + 1
        if 0 not in ready:
            continue
        line = sys.stdin.readline()
        if line and json.loads(line).get("op") == "reset":
            counts.clear()
            print(json.dumps({"ok": True}), flush=True)
            continue
        frames: dict[str, list[Any]] = {name: [] for name in sys.argv[1:]}
        for (name, *rest), count in counts.items():
            frames[name].append([*readable(tuple(rest)), count])
        dropped = sum(
            struct.unpack("@II", inlet.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1] for _, inlet in inlets.values()
        )
        print(json.dumps({"frames": frames, "dropped": dropped}), flush=True)
        return


if __name__ == "__main__":
    main()
