"""One process has an etcd store open. How a second one is refused, and how a process that died is told from one that lives.

The owner's key hangs on a lease that its process renews. Beside that the epoch fences it: each opening counts it up, and every
transaction compares it. So a process that was stopped for longer than its lease, and wakes up, changes nothing any more.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import Final

from ryu_vmmob.store.base import StoreError
from ryu_vmmob.store.etcd.gateway import Gateway, RefusedError, absent, put, same
from ryu_vmmob.store.etcd.layout import Epoch, Keys, read, text

LEASE: Final = 20
"""Seconds. Renewed when a quarter of it is over, and longer than a commit tries."""
_LOOK: Final = 1.0
"""Seconds between two looks whether another process renews its lease."""


class Owner:
    """The opening of a store by this process. ``epoch`` is as etcd has it; ``mark`` is its text."""

    def __init__(self, gateway: Gateway, keys: Keys) -> None:
        self._gateway = gateway
        self._keys = keys
        self._renewed = 0.0
        self._lease: str | None = None
        self.epoch = Epoch(0, secrets.token_hex(8), socket.gethostname(), os.getpid(), _process(os.getpid()))
        self.mark = b""

    def claim(self, until: float) -> None:
        """Open the store. Raises StoreError where another process has it open, or takes it at the same moment."""
        while True:
            now, owner = self._gateway.read((self._keys.epoch, self._keys.owner), until)
            lives = None if owner is None else _lives(read(Epoch, owner))
            if owner is not None and lives:
                raise StoreError(_has_it(owner))
            if owner is not None and lives is None:
                self._wait_for_end(owner)
                owner = None
                until = max(until, self._gateway.clock() + LEASE / 2)
            last = read(Epoch, now)
            self.epoch = self.epoch._replace(number=last.number + 1)
            self.mark = text(self.epoch)
            self._grant(until)
            then = [put(self._keys.epoch, self.mark), put(self._keys.owner, self.mark, self._lease)]
            free = absent(self._keys.owner) if owner is None else same(self._keys.owner, owner)
            done, found = self._gateway.txn(
                [same(self._keys.epoch, now or b""), free], then, (self._keys.epoch, self._keys.owner), until
            )
            if done or found[0] == self.mark:  # an earlier request was carried out, and its answer lost
                return
            self._revoke(until)
            if found[0] != now:
                raise StoreError(f"{_told(read(Epoch, found[0]))} has just opened it: one store serves one controller")

    def _wait_for_end(self, owner: bytes) -> None:
        """Return when the owner's lease has ended. Raises StoreError when it is renewed."""
        shortest = float("inf")
        while True:
            until = self._gateway.clock() + LEASE / 2
            lease = self._lease_of(until)
            if lease is None:
                return
            left = self._time_to_live(lease, until)
            if left > shortest:
                raise StoreError(_has_it(owner))
            shortest = left
            self._gateway.sleep(_LOOK)

    def _lease_of(self, until: float) -> str | None:
        answer = self._gateway.call("kv/range", {"key": _key64(self._keys.owner)}, until)
        rows = answer.get("kvs", ())
        return str(rows[0].get("lease", "0")) if rows else None

    def _time_to_live(self, lease: str, until: float) -> int:
        answer = self._gateway.call("lease/timetolive", {"ID": lease}, until)
        return int(answer.get("TTL", 0))

    def _grant(self, until: float) -> None:
        self._lease = str(self._gateway.call("lease/grant", {"TTL": str(LEASE)}, until)["ID"])
        self._renewed = self._gateway.clock()

    def renew(self, until: float) -> None:
        """Renew the lease when a quarter of it is over. One that has ended is replaced, unless the epoch went on."""
        now = self._gateway.clock()
        if now - self._renewed < LEASE / 4 or self._lease is None:
            return
        answer = self._gateway.call("lease/keepalive", {"ID": self._lease}, until)
        if int((answer.get("result") or {}).get("TTL") or 0) > 0:
            self._renewed = now
            return
        self._grant(until)
        self._gateway.txn([same(self._keys.epoch, self.mark)], [put(self._keys.owner, self.mark, self._lease)], (), until)

    def release(self, until: float) -> None:
        """Let the next process in at once."""
        if self._lease is not None:
            self._revoke(until)

    def _revoke(self, until: float) -> None:
        lease, self._lease = self._lease, None
        try:
            self._gateway.call("lease/revoke", {"ID": lease}, until)
        except RefusedError:
            return  # it has ended by itself


def _key64(key: str) -> str:
    return str(same(key, b"")["key"])


def _told(epoch: Epoch) -> str:
    return f"another controller (process {epoch.pid} on {epoch.host}, opening {epoch.number})"


def _has_it(owner: bytes) -> str:
    return f"{_told(read(Epoch, owner))} has it open: one store serves one controller"


def _lives(epoch: Epoch) -> bool | None:
    """Whether a process of this machine runs; None for one that this process cannot see."""
    if epoch.alone.rpartition(" ")[0] != _process(os.getpid()).rpartition(" ")[0]:
        return None
    return epoch.alone == _process(epoch.pid)


def _process(pid: int) -> str:
    """Return what no other process has: the start of the machine, the space of process numbers, the number, and the start."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return f"{secrets.token_hex(8)} unknown"
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            start = file.read().rpartition(")")[2].split()[19]  # proc(5): field 22, the second after the name is 3
    except OSError:
        start = "none"
    return f"{boot} {space} {pid}:{start}"
