"""The network card of one virtual machine: what QEMU's is to a guest, and what a live migration moves.

A stand-alone program (standard library only), one process for each VM. Each interface of the guest is a tap device in the
guest's network namespace; each server ("place") to which the VM is plugged has a tap device on its virtual switch. One
place is active: only its frames reach the guest, and the guest's frames go only there.

Orders are JSON objects, one a line, on standard input; each is answered with one line:

``{"op": "guest", "interface": 0, "tap": NAME, "mac": MAC, "vlan_id": N or null}`` make the guest's device (the caller moves and
                                                               configures it)
``{"op": "plug", "interface": 0, "place": NAME, "tap": NAME}`` take a device of a server's virtual switch (a persistent tap)
``{"op": "unplug", "place": NAME}``                            give all devices of a place back
``{"op": "pause"}``                                            the guest stops: nothing is read from it, nothing reaches it
``{"op": "rescue"}``                                           what was sent to the guest at the place it paused at since then,
                                                               or since the last such order: ``frames``, a list of [interface,
                                                               hexadecimal]; to groups are left out
``{"op": "flip", "to": NAME, "announce": true}``               the guest goes on at that place (and pauses first, if it has not)
``{"op": "stats"}`` and ``{"op": "stop"}``

**As QEMU does.** A place's devices are read while the guest runs there, and not before: frames that come earlier wait in the
kernel's queue, oldest first, and are the guest's when it goes on there. So copies that are sent to a target too early
reach the guest late and twice. While it is paused, frames from the guest wait in its own device's queue.

**A guest that tags.** With a ``vlan_id``, the card does what the guest's own VLAN device would: frames leave with that tag, and
only frames with that tag reach the guest. On the servers' devices the tag is seen as a real guest's would be. The announcement
goes without: it is the hypervisor's, which knows nothing of the guest's tags.
"""

from __future__ import annotations

import fcntl
import gc
import heapq
import json
import os
import select
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_SPACE = 65600
FRAMES_IN_A_ROW = 64  # of one device, then the others get their turn
RESCUED_AT_MOST = 10000  # frames kept for an order that may never come
ANNOUNCE_AFTER = (0.0, 0.05, 0.15, 0.25, 0.35)  # QEMU's self-announcement: five rounds
VLAN, RARP = b"\x81\x00", b"\x80\x35"


def open_tap(name: str) -> int:
    """Return a tap device in our network namespace; a new one lives as long as the returned file descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def rarp(mac: bytes) -> bytes:
    """Return the broadcast with which a VM says where it is now, as QEMU writes it."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + mac + bytes(4) + mac + bytes(4)
    return (b"\xff" * 6 + mac + RARP + body).ljust(60, b"\0")


class Card:
    """All interfaces of one VM."""

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        self.answer = answer
        self.poll = select.epoll()
        self.roles: dict[int, tuple[str | None, int]] = {}  # of a device: its place (None: the guest), its interface
        self.guests: dict[int, int] = {}
        self.macs: dict[int, bytes] = {}
        self.tags: dict[int, bytes] = {}
        self.places: dict[str, dict[int, int]] = {}
        self.active: str | None = None
        self.paused_at: str | None = None
        self.rescued: list[tuple[int, bytes]] = []
        self.agenda: list[tuple[float, int, bytes]] = []
        self.sent: dict[str, int] = {}
        self.delivered: dict[str, int] = {}
        self.failed_writes = 0
        self.wrong_tags = 0
        self.running = True

    # orders

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order and answer it."""
        self.answer({"ok": True, **(getattr(self, f"_do_{order['op']}")(order) or {})})

    def _do_guest(self, order: dict[str, Any]) -> None:
        interface = int(order["interface"])
        fd = open_tap(order["tap"])
        self.guests[interface] = fd
        self.macs[interface] = bytes.fromhex(order["mac"].replace(":", ""))
        if order.get("vlan_id") is not None:
            self.tags[interface] = VLAN + int(order["vlan_id"]).to_bytes(2, "big")
        self.roles[fd] = (None, interface)
        self.poll.register(fd, select.EPOLLIN)

    def _do_plug(self, order: dict[str, Any]) -> None:
        place, interface = order["place"], int(order["interface"])
        fd = open_tap(order["tap"])
        self.places.setdefault(place, {})[interface] = fd
        self.roles[fd] = (place, interface)
        if self.active is None and self.paused_at is None:
            self.active = place
        if self.active == place:
            self.poll.register(fd, select.EPOLLIN)

    def _do_unplug(self, order: dict[str, Any]) -> None:
        place = order["place"]
        for fd in self.places.pop(place).values():
            if place in (self.active, self.paused_at):
                self.poll.unregister(fd)
            del self.roles[fd]
            os.close(fd)
        if self.active == place:
            self.active = None
        if self.paused_at == place:
            self.paused_at = None

    def _do_stats(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "active": self.active,
            "sent": self.sent,
            "delivered": self.delivered,
            "failed_writes": self.failed_writes,
            "wrong_tags": self.wrong_tags,
        }

    def _do_stop(self, _: dict[str, Any]) -> None:
        self.running = False

    # the switch-over

    def _do_pause(self, _: dict[str, Any]) -> dict[str, Any]:
        if self.active is None:
            raise ValueError("the guest does not run")
        for fd in self.guests.values():
            self.poll.unregister(fd)
        self._forget_old_place()
        self.paused_at, self.active = self.active, None
        return {"at": time.time()}

    def _forget_old_place(self) -> None:
        """Stop listening at the place before the last one: what still comes there is of no use."""
        for fd in self.places.get(self.paused_at or "", {}).values():
            self.poll.unregister(fd)
        self.paused_at = None
        self.rescued = []

    def _do_rescue(self, _: dict[str, Any]) -> dict[str, Any]:
        rescued, self.rescued = self.rescued, []
        return {"frames": [(interface, frame.hex()) for interface, frame in rescued]}

    def _do_flip(self, order: dict[str, Any]) -> dict[str, Any]:
        to = order["to"]
        if to not in self.places:
            raise ValueError(f"not plugged to {to}")
        if self.active is not None:
            self._do_pause({})
        before, self.active = self.paused_at, to
        if before == to:  # it goes on where it was
            self._forget_old_place()
        for fd in (*self.places[to].values(), *self.guests.values()):
            self.poll.register(fd, select.EPOLLIN)
        now = time.monotonic()
        if order.get("announce", True):
            for delay in ANNOUNCE_AFTER:
                for interface, mac in self.macs.items():
                    heapq.heappush(self.agenda, (now + delay, interface, rarp(mac)))
        return {"from": before, "to": to, "at": time.time()}

    # frames

    def _from_guest(self, interface: int, frame: bytes) -> None:
        devices = self.places.get(self.active or "", {})
        if interface not in devices:
            return
        self._write(devices[interface], frame)
        self.sent[str(self.active)] = self.sent.get(str(self.active), 0) + 1

    def _from_place(self, place: str, interface: int, frame: bytes) -> None:
        if place != self.active:
            if place == self.paused_at and frame[:6] == self.macs.get(interface) and len(self.rescued) < RESCUED_AT_MOST:
                self.rescued.append((interface, frame))
            return
        self.delivered[place] = self.delivered.get(place, 0) + 1
        tag = self.tags.get(interface)
        if tag is not None:
            if frame[12:14] != tag[:2] or (frame[14] & 0x0F, frame[15]) != tuple(tag[2:]):
                self.wrong_tags += 1
                return
            frame = frame[:12] + frame[16:]
        self._write(self.guests[interface], frame)

    def _write(self, fd: int, frame: bytes) -> None:
        try:
            os.write(fd, frame)
        except OSError:
            self.failed_writes += 1  # the device is down: as with a cable pulled

    def _announce(self) -> float | None:
        """Send what is due; seconds until the next announcement, None without any."""
        now = time.monotonic()
        while self.agenda and self.agenda[0][0] <= now:
            _, interface, frame = heapq.heappop(self.agenda)
            self._from_guest(interface, frame)
        return max(0.0, self.agenda[0][0] - now) if self.agenda else None

    def _serve(self, fd: int, place: str | None, interface: int) -> None:
        if place is None and self.active is None:
            return  # the order to pause came with the same events: what the guest has sent waits in its device's queue
        for _ in range(FRAMES_IN_A_ROW):
            try:
                frame = os.read(fd, FRAME_SPACE)
            except OSError:  # nothing more, or the device is down
                return
            if place is None:
                if interface in self.tags:
                    frame = frame[:12] + self.tags[interface] + frame[12:]
                self._from_guest(interface, frame)
            else:
                self._from_place(place, interface, frame)

    def run(self) -> None:
        """Serve frames and orders until told to stop, or until the peer closes the connection."""
        os.set_blocking(0, False)
        self.poll.register(0, select.EPOLLIN)
        pending = b""
        while self.running:
            for fd, _ in self.poll.poll(self._announce()):
                if fd in self.roles:
                    self._serve(fd, *self.roles[fd])
                elif fd == 0:
                    data = os.read(0, 65536)
                    if not data:
                        return
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        self._obey_line(line)

    def _obey_line(self, line: bytes) -> None:
        try:
            self.obey(json.loads(line))
        except Exception as error:  # the caller hears what was wrong with the order
            self.answer({"ok": False, "error": f"{type(error).__name__}: {error}"})


def _answer(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    gc.disable()  # nothing here makes cycles, and a pause would look like the network's
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
    except PermissionError:
        print("no real-time scheduling: expect gaps", file=sys.stderr)
    Card(_answer).run()
