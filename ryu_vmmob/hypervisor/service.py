"""The service of a hypervisor: events of its domains and of the controller in, calls to the controller out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from ryu_vmmob.client import Client, ClientError, RefusedError
from ryu_vmmob.hypervisor.catch_up import taps
from ryu_vmmob.hypervisor.departure import Departure, Tap, is_worth
from ryu_vmmob.hypervisor.domains import Card, Domain
from ryu_vmmob.hypervisor.forwarding import Forwarding
from ryu_vmmob.hypervisor.handover import GOING_ON, Happened, Happening, Step, paused_at, step_after, under_way
from ryu_vmmob.hypervisor.lanes import Lanes
from ryu_vmmob.hypervisor.patience import pauses
from ryu_vmmob.hypervisor.readers import is_read_by_qemu
from ryu_vmmob.hypervisor.spare_frame import send_spare

LOG: Final = logging.getLogger("vmmob.hypervisor")
TRY_SECONDS: Final = 60.0
"""How long a call that follows an event is tried again; after that the comparison with REST does what is left to do."""


class Host(Protocol):
    """What is asked of the hypervisor."""

    def domains(self) -> list[Domain]:
        """All active domains."""

    def receive_index(self, name: str, alias: str) -> int | None:
        """Return the used index of a card's receive queue; None: it is not to be had."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``here``: this server in the fabric file. ``by_uuid``: the controller calls a guest by its UUID, else by its name.

    ``monitor``: QEMU may be asked what a guest got, where it reads the tap itself.
    """

    here: str
    by_uuid: bool = False
    monitor: bool = True


class Service:
    """``connect`` makes a client of its own for each thread that needs one; ``look`` has the domains compared with REST.
    ``forwarding``: the flows in the Open vSwitch of this host.
    """

    def __init__(
        self,
        settings: Settings,
        host: Host,
        connect: Callable[[], Client],
        look: Callable[[], None] = lambda: None,
        forwarding: Forwarding | None = None,
    ) -> None:
        self._settings, self._host, self._connect, self._look = settings, host, connect, look
        self._here = settings.here
        self._lanes = Lanes()
        self._forwarding = forwarding or Forwarding(None)
        self._departures: dict[str, Departure] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._clients = threading.local()
        self._watcher = threading.Thread(target=self._watch, name="the controller's events", daemon=True)

    def start(self) -> None:
        """Begin to listen to the controller."""
        self._forwarding.start()
        self._watcher.start()

    def stop(self) -> None:
        """End it; what is under way is ended in order."""
        self._ending.set()
        self._lanes.close()
        with self._lock:
            departures = list(self._departures.values())
        for departure in departures:
            departure.close()
            departure.join(10)
        self._watcher.join(10)
        self._forwarding.stop()

    def name_of(self, name: str, uuid: str) -> str:
        """Return what the controller calls a domain."""
        return uuid if self._settings.by_uuid else name

    @property
    def departures(self) -> dict[str, Departure]:
        """Those that are under way, by VM."""
        with self._lock:
            return {vm: row for vm, row in self._departures.items() if not row.is_over}

    # What happens here

    def happened(self, event: Happened) -> None:
        """Something happened to a domain here. Returns at once."""
        vm = self.name_of(event.name, event.uuid)
        LOG.info("VM %s: %s (%s)", vm, event.happening, event.detail)
        departure = self.departures.get(vm)
        if departure is not None:
            if event.happening is Happening.PAUSED:
                departure.paused(_pause(event))
                return
            if event.happening is Happening.RESUMED:
                departure.resumed()
        if event.happening is Happening.ARRIVING:
            self._lanes.put(vm, lambda: self._receive(vm))
            return
        if event.happening in (Happening.LEFT, Happening.ENDED):
            self._lanes.put(vm, lambda: self._forwarding.close(vm))
        self._lanes.put(vm, lambda: self._follow(vm, event))

    def _receive(self, vm: str) -> None:
        """Forward frames to a VM whose process waits here, and give a QEMU that reads its taps itself a frame it may lose."""
        domains = self._host.domains()
        domain = self._find(vm, domains)
        if domain is None:
            return
        self._forwarding.open(vm, domain, domains)
        if not is_read_by_qemu(domain.uuid):
            return
        for card in domain.cards:
            if card.device is not None:
                try:
                    send_spare(card.device, card.mac)
                except OSError as error:
                    LOG.warning("VM %s: the guest may lose its first frame on %s: %s", vm, card.device, error)

    def _follow(self, vm: str, event: Happened) -> None:
        """Do what follows an event, and try again while the controller cannot be asked."""
        deadline = monotonic() + TRY_SECONDS
        for seconds in pauses(0.1, 5.0):
            try:
                self._call(vm, event)
                return
            except ClientError as error:
                if isinstance(error, RefusedError) and not error.is_for_now:
                    level = logging.INFO if error.is_about_state else logging.WARNING
                    LOG.log(level, "VM %s: after '%s' the controller says: %s", vm, event.happening, error)
                    break
                LOG.warning("VM %s: %s could not be reported: %s; retry in %.1f s", vm, event.happening, error, seconds)
                if monotonic() > deadline:
                    break
            if self._ending.wait(seconds):
                return
        self._look()

    def _call(self, vm: str, event: Happened) -> None:
        """Raise ClientError."""
        move = under_way(self._client.migrations.list(vm=vm))
        if move is None:
            if event.happening is Happening.RESUMED:
                self._look()
            return
        if event.happening is Happening.LEAVING:
            self._depart(move)
            return
        step = step_after(event.happening, self._here, move)
        if step is Step.DELIVER:
            departure = self._depart(move)
            if departure is not None:
                departure.paused(_pause(event))
        elif step is Step.ACTIVATE:
            self._client.migrations.activate(move["id"])
            LOG.info("%s: VM %s runs at %s", move["id"], vm, move["to"])
        elif step is Step.ABORT:
            self._client.migrations.abort(move["id"], reason=f"its hypervisor {self._here}: {_failure(event)}")
            LOG.info("%s: aborted, VM %s stays at %s", move["id"], vm, move["from"])

    # What the controller says

    def _watch(self) -> None:
        """Follow the controller's migrations; after each gap all of them are read."""
        while not self._ending.is_set():
            for seconds in pauses(0.2, 10.0):
                try:
                    self._listen()
                except ClientError as error:
                    LOG.warning("the controller's stream of events: %s; retry in %.1f s", error, seconds)
                except Exception:
                    LOG.exception("the controller's stream of events; retry in %.1f s", seconds)
                else:
                    break
                if self._ending.wait(seconds):
                    return

    def _listen(self) -> None:
        """Raise ClientError; returns when it is to begin again at once."""
        since = self._client.last_event()
        moves = [move for state in GOING_ON for move in self._client.migrations.list(state=state)]
        leaving = {move["id"]: move["vm"] for move in moves if is_worth(move, self._here)}
        for departure in self.departures.values():
            if departure.id not in leaving and not departure.has_paused:
                departure.close()
        for id_, vm in leaving.items():
            self._begin(vm, id_)
        self._look()
        with closing(self._client.events(["migration"], since, idle=1.0)) as events:
            for event in events:
                if self._ending.is_set() or (event is not None and event["event"] == "gap"):
                    return
                if event is not None:
                    self._told(event)

    def _told(self, event: Any) -> None:
        kind, vm = event["event"], event.get("vm")
        if kind == "migration.preparing" and event["source"] == self._here:
            self._begin(vm, event["migration"])
        elif kind in ("migration.committed", "migration.aborted", "migration.failed"):
            departure = self.departures.get(vm)
            # After a commit what came to the source is still sent on; the controller says when that is over.
            sends_on = departure is not None and kind == "migration.committed" and departure.has_paused
            if departure is not None and departure.id == event["migration"] and not sends_on:
                departure.close()
            self._lanes.put(vm, lambda: self._settle(vm))

    def _begin(self, vm: str, id_: str) -> None:
        self._lanes.put(vm, lambda: self._prepare(id_))

    def _prepare(self, id_: str) -> None:
        try:
            self._depart(self._client.migrations.get(id_))
        except ClientError as error:
            LOG.warning("%s: %s", id_, error)

    def _depart(self, move: Any) -> Departure | None:
        """Return the departure of this migration, begun now if it was not yet. Raises ClientError."""
        if not is_worth(move, self._here):
            return None
        vm = move["vm"]
        with self._lock:
            present = self._departures.get(vm)
        if present is not None and present.id == move["id"]:
            return None if present.is_over else present  # news that comes late does not begin it again
        domains = self._host.domains()
        domain = self._find(vm, domains)
        if domain is not None:
            self._forwarding.open(vm, domain, domains)
        rows = () if domain is None else taps(domain, self._client.vms.get(vm))
        asks = self._settings.monitor and domain is not None and is_read_by_qemu(domain.uuid)
        devices = [
            Tap(number, card.mac, card.device, self._index(domain, card) if asks else None)
            for number, card in rows
            if card.device is not None and domain is not None
        ]
        departure = Departure(move, devices, self._connect().migrations)
        departure.start()
        with self._lock:
            self._departures = {name: row for name, row in self._departures.items() if not row.is_over} | {vm: departure}
        if present is not None:
            present.close()
        if not is_worth(self._client.migrations.get(move["id"]), self._here):  # its end may have been told before it was there
            departure.close()
            self._settle(vm)
            return None
        LOG.info("%s: VM %s may leave for %s, %d taps are read", move["id"], vm, move["to"], len(devices))
        return departure

    def _settle(self, vm: str) -> None:
        """Leave forwarding to a VM whose move is over to what the switch learns."""
        domains = self._host.domains()
        self._forwarding.settle(vm, self._find(vm, domains), domains)

    def _find(self, vm: str, domains: list[Domain]) -> Domain | None:
        return next((row for row in domains if self.name_of(row.name, row.uuid) == vm), None)

    def _index(self, domain: Domain, card: Card) -> Callable[[], int | None] | None:
        return None if card.alias is None else partial(self._host.receive_index, domain.name, card.alias)

    @property
    def _client(self) -> Client:
        """The calling thread's own."""
        found = getattr(self._clients, "one", None)
        if found is None:
            found = self._clients.one = self._connect()
        client: Client = found
        return client


def _pause(event: Happened) -> int:
    return paused_at(event.at, event.stopped)


def _failure(event: Happened) -> str:
    if event.happening is Happening.RESUMED:
        return "the VM runs on, its migration failed"
    return f"the VM's process ended ({event.detail})"
