"""libvirt from this service's side: its events as `Happened`, its domains as `Domain`. libvirt-python is imported here alone.

SUSPENDED/MIGRATED comes up to 2 ms after QEMU's own STOP (measured), so QEMU's time stamp is asked for as well (libvirt-qemu's
``qemuMonitorEventRegister``). libvirt's event loop runs in a thread of its own.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from time import time_ns
from typing import Any, Final

from ryu_vmmob.hypervisor.domains import Domain, read_domain
from ryu_vmmob.hypervisor.handover import Happened, Happening
from ryu_vmmob.hypervisor.patience import pauses

LOG: Final = logging.getLogger("vmmob.hypervisor")
URI: Final = "qemu:///system"

# Numbers of libvirt's interface (libvirt-domain.h), which never change.
_STARTED, _SUSPENDED, _RESUMED, _STOPPED = 2, 3, 4, 5
_HAPPENINGS: Final[dict[tuple[int, int], Happening]] = {
    (_STARTED, 1): Happening.ARRIVING,  # MIGRATED
    (_SUSPENDED, 1): Happening.PAUSED,  # MIGRATED
    (_SUSPENDED, 7): Happening.PAUSED,  # POSTCOPY
    (_RESUMED, 1): Happening.RESUMED,  # MIGRATED
    (_RESUMED, 3): Happening.RESUMED,  # POSTCOPY
    (_STOPPED, 3): Happening.LEFT,  # MIGRATED
}
_RUNNING: Final = 1
_ARRIVED: Final = (2, 10)
"""Reasons for running: MIGRATED and POSTCOPY."""


class HostError(Exception):
    """libvirt cannot be asked; the text is one sentence."""


def happening(event: int, detail: int) -> Happening | None:
    """Return what a lifecycle event of libvirt means for a move, None: nothing."""
    if event == _STOPPED and (event, detail) not in _HAPPENINGS:
        return Happening.ENDED
    return _HAPPENINGS.get((event, detail))


def load() -> tuple[Any, Any]:
    """Return the modules libvirt and libvirt_qemu (None: it is missing). Raises HostError when libvirt-python is
    not installed.
    """
    try:
        import libvirt
    except ImportError as error:
        raise HostError(
            "libvirt-python is not installed: apt-get install python3-libvirt, or pip install 'ryu-vmmob[hypervisor]'"
        ) from error
    try:
        import libvirt_qemu
    except ImportError:
        return libvirt, None
    return libvirt, libvirt_qemu


class Libvirt:
    """The connection to this host's libvirt, which is opened again whenever it is lost.

    ``report`` is called with each `Happened`, in the thread of libvirt's loop: it must not wait. ``opened`` is called when
    there is a new connection. Raises HostError when libvirt-python is not installed.
    """

    def __init__(self, uri: str, report: Callable[[Happened], None], opened: Callable[[], None] = lambda: None) -> None:
        self._libvirt, self._qemu = load()
        self._uri, self._report, self._opened = uri, report, opened
        self._connection: Any = None
        self._stopped: dict[str, int] = {}
        self._ending = threading.Event()
        self._lost = threading.Event()
        # libvirt prints each error on standard error besides raising it.
        self._libvirt.registerErrorHandler(lambda *_: None, None)
        self._libvirt.virEventRegisterDefaultImpl()
        self._timer = self._libvirt.virEventAddTimeout(500, lambda *_: None, None)
        self._loop = threading.Thread(target=self._run, name="libvirt's events", daemon=True)
        self._keeper = threading.Thread(target=self._keep, name="libvirt's connection", daemon=True)

    def start(self) -> None:
        """Begin to listen; the connection comes when libvirt is there."""
        self._loop.start()
        self._keeper.start()

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        self._lost.set()
        self._keeper.join(10)
        self._loop.join(10)

    def domains(self) -> list[Domain]:
        """All active domains; one that cannot be read is left out with a line in the log. Raises HostError."""
        connection = self._connection
        if connection is None:
            raise HostError(f"libvirt at {self._uri} is away")
        try:
            active = connection.listAllDomains(self._libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        except self._libvirt.libvirtError as error:
            raise HostError(f"libvirt cannot be asked: {error}") from error
        found = []
        for domain in active:
            try:
                found.append(self._read(domain))
            except (ValueError, self._libvirt.libvirtError) as error:
                LOG.warning("a domain cannot be read: %s", error)
        return found

    def domain(self, name: str) -> Domain | None:
        """Return an active domain by its name, None when there is none. Raises HostError."""
        return next((row for row in self.domains() if row.name == name), None)

    def receive_index(self, name: str, alias: str) -> int | None:
        """Return the used index of the receive queue of an active domain's virtio card, 0 to 65,535; None: it is not to be had.

        Asked of QEMU through libvirt's monitor call, which libvirt notes at the domain as "tainted: custom-monitor". QEMU has
        it since 7.2.
        """
        connection = self._connection
        if connection is None or self._qemu is None:
            return None
        order = {"path": f"/machine/peripheral/{alias}/virtio-backend", "queue": 0}
        command = json.dumps({"execute": "x-query-virtio-queue-status", "arguments": order})
        try:
            answer = json.loads(self._qemu.qemuMonitorCommand(connection.lookupByName(name), command, 0))
            return int(answer["return"]["used-idx"])
        except (self._libvirt.libvirtError, LookupError, TypeError, ValueError) as error:
            LOG.debug("domain %s: the receive queue of %s cannot be read: %s", name, alias, error)
            return None

    def _read(self, domain: Any) -> Domain:
        state, reason = domain.state()
        return read_domain(domain.XMLDesc(), running=state == _RUNNING, arrived=reason in _ARRIVED)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._libvirt.virEventRunDefaultImpl()
            except self._libvirt.libvirtError as error:
                LOG.warning("libvirt's event loop: %s", error)
                self._ending.wait(0.2)

    def _keep(self) -> None:
        while not self._ending.is_set():
            for seconds in pauses(0.2, 10.0):
                try:
                    self._open()
                    break
                except self._libvirt.libvirtError as error:
                    LOG.warning("libvirt at %s cannot be reached: %s; retry in %.1f s", self._uri, error, seconds)
                if self._ending.wait(seconds):
                    return
            self._opened()
            self._lost.wait()
            connection, self._connection = self._connection, None
            self._close(connection)

    def _open(self) -> None:
        libvirt = self._libvirt
        connection = libvirt.open(self._uri)
        self._lost.clear()
        try:
            connection.registerCloseCallback(lambda *_: self._lost.set(), None)
            connection.setKeepAlive(5, 3)
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None)
            connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, self._on_iteration, None)
        except libvirt.libvirtError:
            self._close(connection)
            raise
        if self._qemu is not None:
            try:
                self._qemu.qemuMonitorEventRegister(connection, None, "STOP", self._on_stop, None)
            except libvirt.libvirtError as error:
                LOG.warning("QEMU's time stamps are not to be had, libvirt's news of a pause counts: %s", error)
        self._connection = connection
        if self._ending.is_set():
            self._lost.set()
        LOG.info("listening to libvirt at %s", self._uri)

    def _close(self, connection: Any) -> None:
        if connection is None:
            return
        try:
            connection.unregisterCloseCallback()
            connection.close()
        except self._libvirt.libvirtError:
            LOG.debug("libvirt's connection was gone")

    # Called by libvirt's loop

    def _on_stop(self, _: Any, domain: Any, event: str, seconds: int, microseconds: int, details: str, opaque: Any) -> None:
        self._stopped[domain.UUIDString()] = seconds * 1_000_000_000 + microseconds * 1000

    def _on_iteration(self, _: Any, domain: Any, iteration: int, opaque: Any) -> None:
        if iteration == 1:
            self._tell(Happening.LEAVING, domain, "its memory is being copied")

    def _on_lifecycle(self, _: Any, domain: Any, event: int, detail: int, opaque: Any) -> None:
        found = happening(event, detail)
        if found is not None:
            self._tell(found, domain, f"libvirt's event {event}, {detail}")

    def _tell(self, found: Happening, domain: Any, detail: str) -> None:
        try:
            uuid = domain.UUIDString()
            self._report(Happened(found, domain.name(), uuid, time_ns(), self._stopped.get(uuid), detail))
            if found in (Happening.LEFT, Happening.ENDED):
                self._stopped.pop(uuid, None)
        except Exception:
            LOG.exception("an event of libvirt")
