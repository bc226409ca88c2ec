"""The network card of one virtual machine: what QEMU's is to a guest, and what a live migration moves.

A stand-alone program (standard library only), one process for each VM. Each interface of the guest is a tap device in the
guest's network namespace; each server ("place") to which the VM is plugged has a tap device on its virtual switch. One
place is active: only its frames reach the guest, and the guest's frames go only there. A flip changes the active place
of all interfaces in one step of this single thread, so for every frame there is a clear before and after.

Orders are JSON objects, one a line, on standard input; each is answered with one line:

``{"op": "guest", "interface": 0, "tap": NAME, "mac": MAC, "vlan_id": N or null}`` make the guest's device (the caller moves and
                                                               configures it)
``{"op": "plug", "interface": 0, "place": NAME, "tap": NAME}`` take a device of a server's virtual switch (a persistent tap)
``{"op": "unplug", "place": NAME}``                            give all devices of a place back
``{"op": "flip", "to": NAME, "pick": "quiet", "patience": S, "announce": true}``
``{"op": "stats"}`` and ``{"op": "stop"}``

**A guest that tags.** With a ``vlan_id``, the card does what the guest's own VLAN device would: frames leave with that tag, and
only frames with that tag reach the guest. On the servers' devices the tag is seen as a real guest's would be. The announcement
goes without: it is the hypervisor's, which knows nothing of the guest's tags.

**When to flip.** While two places get a copy of every frame, a frame whose copies fall on two sides of the flip is
either lost or delivered twice, whatever the network does: the copies do not arrive at the same instant. A real
hypervisor has the same race. ``"pick": "quiet"`` takes it out of the measurement, so that what is lost or doubled is the
network's doing: the card pairs the copies and flips when none is outstanding. If there is no such instant within
``patience`` seconds (the two ways differ by more than the time between frames), it flips all the same and settles the
outstanding frames one by one: each reaches the guest with its second copy if its first was withheld, and not again if it was
delivered; the answer says how many. ``"pick": "now"`` flips at once and settles nothing: the raw race. The pairing also tells
whether each place got exactly one copy of each frame (``pairs``, ``alone``, ``repeated`` in the statistics).
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
PAIRING_SECONDS = 0.25  # a copy still alone after this long will stay alone
WAITING_AT_MOST = 2000
ANNOUNCE_AFTER = (0.0, 0.05, 0.15, 0.25, 0.35)  # QEMU's self-announcement: five rounds
IPV4, IPV6, VLAN, RARP = b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x80\x35"


def open_tap(name: str) -> int:
    """A tap device in our network namespace; a new one lives as long as the returned file descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def rarp(mac: bytes) -> bytes:
    """The broadcast with which a VM says where it is now, as QEMU writes it."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + mac + bytes(4) + mac + bytes(4)
    return (b"\xff" * 6 + mac + RARP + body).ljust(60, b"\0")


def identity(frame: bytes) -> bytes:
    """What two copies of one frame have in common: not the MACs, tag, TTL and checksum, which routers may write."""
    start = 16 if frame[12:14] == VLAN else 12
    kind = frame[start : start + 2]
    ip = start + 2
    if kind == IPV4:
        return frame[ip + 2 : ip + 8] + frame[ip + 9 : ip + 10] + frame[ip + 12 :]
    if kind == IPV6:
        return frame[ip + 4 : ip + 7] + frame[ip + 8 :]
    return frame


class Pairing:
    """Matches the copies of frames that came to two places; what stays alone longer than PAIRING_SECONDS is given up."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, tuple[str, float]] = {}
        self.matched = 0
        self.alone: dict[str, int] = {}
        self.repeated: dict[str, int] = {}

    def saw(self, place: str, key: bytes, now: float) -> None:
        """A copy arrived at ``place``."""
        if len(self.waiting) > WAITING_AT_MOST:
            self.outstanding(now)
        known = self.waiting.pop(key, None)
        if known is None:
            self.waiting[key] = (place, now)
        elif known[0] != place:
            self.matched += 1
        else:  # twice at one place: two such frames exist, or the network doubled one
            self.repeated[place] = self.repeated.get(place, 0) + 1
            self.waiting[key] = (place, now)

    def outstanding(self, now: float) -> int:
        """Copies whose twin may still be on its way; forgets the old ones (the mapping is in order of arrival)."""
        while self.waiting:
            key = next(iter(self.waiting))
            place, since = self.waiting[key]
            if now - since <= PAIRING_SECONDS:
                break
            del self.waiting[key]
            self.alone[place] = self.alone.get(place, 0) + 1
        return len(self.waiting)


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
        self.pairing = Pairing()
        self._flip: dict[str, Any] | None = None
        self.agenda: list[tuple[float, int, bytes]] = []
        self.sent: dict[str, int] = {}
        self.delivered: dict[str, int] = {}
        self.withheld: dict[str, int] = {}
        self.unsettled: dict[bytes, str] = {}
        self.settled = 0
        self.failed_writes = 0
        self.unplugged_sends = 0
        self.wrong_tags = 0
        self.running = True

    # orders

    def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order. A flip is answered when it has happened, everything else at once."""
        name = order["op"]
        if name == "flip":
            self._start_flip(order)
            return
        self.answer({"ok": True, **(getattr(self, f"_do_{name}")(order) or {})})

    def _do_guest(self, order: dict[str, Any]) -> None:
        interface = int(order["interface"])
        fd = open_tap(order["tap"])
        self.guests[interface] = fd
        self.macs[interface] = bytes.fromhex(order["mac"].replace(":", ""))
        if order.get("vlan_id") is not None:
            self.tags[interface] = VLAN + int(order["vlan_id"]).to_bytes(2, "big")
        self._serve_device(fd, None, interface)

    def _do_plug(self, order: dict[str, Any]) -> None:
        place, interface = order["place"], int(order["interface"])
        fd = open_tap(order["tap"])
        self.places.setdefault(place, {})[interface] = fd
        self._serve_device(fd, place, interface)
        self.active = self.active or place
        self.pairing = Pairing()
        self.unsettled = {}

    def _do_unplug(self, order: dict[str, Any]) -> None:
        place = order["place"]
        for fd in self.places.pop(place).values():
            self.poll.unregister(fd)
            del self.roles[fd]
            os.close(fd)
        if self.active == place:
            self.active = None

    def _do_stats(self, _: dict[str, Any]) -> dict[str, Any]:
        outstanding = self.pairing.outstanding(time.monotonic())
        return {
            "active": self.active,
            "sent": self.sent,
            "delivered": self.delivered,
            "withheld": self.withheld,
            "failed_writes": self.failed_writes,
            "unplugged_sends": self.unplugged_sends,
            "wrong_tags": self.wrong_tags,
            "pairs": self.pairing.matched,
            "alone": self.pairing.alone,
            "repeated": self.pairing.repeated,
            "outstanding": outstanding,
            "settled": self.settled,
        }

    def _do_stop(self, _: dict[str, Any]) -> None:
        self.running = False

    def _serve_device(self, fd: int, place: str | None, interface: int) -> None:
        self.roles[fd] = (place, interface)
        self.poll.register(fd, select.EPOLLIN)

    # the flip

    def _start_flip(self, order: dict[str, Any]) -> None:
        if order["to"] not in self.places:
            self.answer({"ok": False, "error": f"not plugged to {order['to']}"})
            return
        if self._flip is not None:
            self.answer({"ok": False, "error": "a flip is under way"})
            return
        now = time.monotonic()
        self._flip = {**order, "asked": now, "deadline": now + float(order.get("patience", 1.0))}
        self._try_flip()

    def _try_flip(self) -> None:
        """Flip if it is due: at once, in a quiet instant, or because patience ran out."""
        if self._flip is None:
            return
        now = time.monotonic()
        outstanding = self.pairing.outstanding(now)
        quiet = outstanding == 0
        if self._flip.get("pick", "quiet") == "quiet" and not quiet and now < self._flip["deadline"]:
            return
        before, self.active = self.active, self._flip["to"]
        if self._flip.get("pick", "quiet") == "quiet":
            self.unsettled = {key: place for key, (place, _) in self.pairing.waiting.items()}
        if self._flip.get("announce", True):
            for delay in ANNOUNCE_AFTER:
                for interface, mac in self.macs.items():
                    heapq.heappush(self.agenda, (now + delay, interface, rarp(mac)))
        self.answer(
            {"ok": True, "from": before, "to": self.active, "at": time.time(), "waited": now - self._flip["asked"],
             "quiet": quiet, "outstanding": outstanding}
        )  # fmt: skip
        self._flip = None

    # frames

    def _from_guest(self, interface: int, frame: bytes) -> None:
        devices = self.places.get(self.active or "", {})
        if interface not in devices:
            self.unplugged_sends += 1
            return
        self._write(devices[interface], frame)
        self.sent[str(self.active)] = self.sent.get(str(self.active), 0) + 1

    def _from_place(self, place: str, interface: int, frame: bytes) -> None:
        if frame[6:12] == self.macs.get(interface):
            return  # our own broadcast, come round to the other place
        deliver = place == self.active
        if len(self.places) > 1:
            key = identity(frame)
            self.pairing.saw(place, key, time.monotonic())
            if self.unsettled.get(key, place) != place:  # the second copy of one that was under way at the flip
                del self.unsettled[key]
                self.settled += 1
                deliver = not deliver
        if not deliver:
            self.withheld[place] = self.withheld.get(place, 0) + 1
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
                if self._flip is not None:
                    self._try_flip()

    def run(self) -> None:
        """Serve frames and orders until told to stop, or until whoever gives orders is gone."""
        os.set_blocking(0, False)
        self.poll.register(0, select.EPOLLIN)
        pending = b""
        while self.running:
            wait = self._announce()
            if self._flip is not None:
                self._try_flip()
                wait = 0.001
            for fd, _ in self.poll.poll(wait):
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
