"""The controller's resources by name: what docs/rest.md describes, a method for each. Bodies and answers are its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from ryu_vmmob.client.events import Listener
from ryu_vmmob.client.http import Connection, path


class _Part:
    """Something of a controller."""

    def __init__(self, connection: Connection) -> None:
        self._ask = connection


class Objects(_Part):
    """A collection of objects that are put and deleted by name: CUGs, VMs or policies."""

    def __init__(self, connection: Connection, kind: str) -> None:
        super().__init__(connection)
        self._kind = kind

    def list(self, **query: str | None) -> list[Any]:
        """All, by name. ``selector`` picks some by their labels, of VMs ``server`` and ``cug`` as well."""
        items: list[Any] = self._ask.get(path(self._kind), **query)["items"]
        return items

    def each(self, *, limit: int = 1000, **query: str | None) -> Iterator[Any]:
        """All as `list` gives them, asked for ``limit`` (1 to 10,000) at a time; one that is there all the while comes once."""
        page: str | None = None
        while True:
            answer = self._ask.get(path(self._kind), limit=limit, page=page, **query)
            yield from answer["items"]
            page = answer.get("page")
            if page is None:
                return

    def get(self, name: str) -> Any:
        """One; RefusedError with status 404 when there is none."""
        return self._ask.get(path(self._kind, name))

    def put(self, name: str, body: object, *, wait: float | None = None, revision: int | None = None) -> Any:
        """Create or replace one; ``wait`` so many seconds (0 to 600) for the switches; ``revision``: only if it is at that."""
        return self._ask.put(path(self._kind, name), body, revision=revision, wait=wait)

    def delete(self, name: str, *, wait: float | None = None, revision: int | None = None) -> Any:
        """Delete one."""
        return self._ask.delete(path(self._kind, name), revision=revision, wait=wait)


class Vms(Objects):
    """VMs."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "vms")

    def placements(self, name: str) -> list[Any]:
        """For each server whether the VM may move there as things stand."""
        items: list[Any] = self._ask.get(path("vms", name, "placements"))["items"]
        return items


class Migrations(_Part):
    """Moves."""

    def list(self, *, vm: str | None = None, state: str | None = None) -> list[Any]:
        """In the order they began."""
        items: list[Any] = self._ask.get(path("migrations"), vm=vm, state=state)["items"]
        return items

    def get(self, id: str) -> Any:
        """One, with its timeline."""
        return self._ask.get(path("migrations", id))

    def start(self, vm: str, to: str, *, wait: float | None = None, dry_run: bool = False, **options: object) -> Any:
        """Begin to prepare a move; ``options`` are the body's other keys (``mode``, ``timeout``, …), None: its default.

        Never sent twice: without an answer it is unknown whether the first was taken. Look at `list` then.
        """
        body = {"vm": vm, "to": to} | {name: value for name, value in options.items() if value is not None}
        return self._ask.post(path("migrations"), body, wait=wait, dry_run="true" if dry_run else None)

    def deliver(self, id: str, *, wait: float | None = None) -> Any:
        """Say that the VM has paused at its source: what is for it goes to the target from now on."""
        return self._ask.post(path("migrations", id, "deliver"), again=True, wait=wait)

    def frames(self, id: str, interface: int, frames: Sequence[bytes]) -> int:
        """Ethernet frames that reached interface ``interface`` (from 0) at the source after `deliver`: sent on to the target.

        At most 1000 frames of 14 to 9216 bytes each, 2 MiB in all, in the order in which they came. Returns how many were sent.
        Never sent twice: they would be doubled. RefusedError 409: not between `deliver` and five seconds after the activation;
        429: too many, ``retry_after`` says for how long.
        """
        body = {"interface": interface, "frames": list(frames)}
        return int(self._ask.post(path("migrations", id, "frames"), body, packed=True)["sent"])

    def activate(self, id: str, *, wait: float | None = None) -> Any:
        """Activate the move: the VM runs at its target now."""
        return self._ask.post(path("migrations", id, "activate"), again=True, wait=wait)

    def commit(self, id: str, *, wait: float | None = None) -> Any:
        """Commit: the source goes."""
        return self._ask.post(path("migrations", id, "commit"), again=True, wait=wait)

    def abort(self, id: str, *, reason: str | None = None, force: bool = False, wait: float | None = None) -> Any:
        """Abort: the target goes; with ``force`` at once, whatever the switches say."""
        body = {**({} if reason is None else {"reason": reason}), **({"force": True} if force else {})} or None
        return self._ask.post(path("migrations", id, "abort"), body, again=True, wait=wait)


class Batches(_Part):
    """Evacuations."""

    def list(self, *, state: str | None = None) -> list[Any]:
        """In the order they began, without their VMs."""
        items: list[Any] = self._ask.get(path("batches"), state=state)["items"]
        return items

    def get(self, id: str) -> Any:
        """One, VM by VM."""
        return self._ask.get(path("batches", id))

    def start(self, name: str, *, switch: bool = False, dry_run: bool = False, **options: object) -> Any:
        """Evacuate a server, or with ``switch`` all servers of a switch; ``options`` are the body's keys, None: its default."""
        body = {name: value for name, value in options.items() if value is not None}
        where = path("switches" if switch else "servers", name, "evacuate")
        return self._ask.post(where, body, dry_run="true" if dry_run else None)

    def abort(self, id: str, *, reason: str | None = None, wait: float | None = None) -> Any:
        """Begin no more moves, and abort those that are not activated."""
        body = None if reason is None else {"reason": reason}
        return self._ask.post(path("batches", id, "abort"), body, again=True, wait=wait)


class Switches(_Part):
    """Switches."""

    def list(self) -> list[Any]:
        """All, by name, and how they stand."""
        items: list[Any] = self._ask.get(path("switches"))["items"]
        return items

    def get(self, name: str) -> Any:
        """One."""
        return self._ask.get(path("switches", name))

    def flows(self, name: str, *, table: str | None = None) -> Any:
        """Show what a switch is told to have."""
        return self._ask.get(path("switches", name, "flows"), table=table)

    def ports(self, name: str) -> Any:
        """Show what is at each port of a switch, what it has counted, and how fast that grows."""
        return self._ask.get(path("switches", name, "ports"))

    def audit(self, name: str) -> Any:
        """Have it compared with that, now."""
        return self._ask.post(path("switches", name, "audit"), again=True)

    def take_over(self, name: str) -> Any:
        """Let it be reconciled, whatever flows it has."""
        return self._ask.post(path("switches", name, "take_over"), again=True)


class L2Domains(_Part):
    """L2 domains, and how their VLAN-IDs are used."""

    def list(self) -> list[Any]:
        """All, by name."""
        items: list[Any] = self._ask.get(path("l2_domains"))["items"]
        return items

    def get(self, name: str) -> Any:
        """One."""
        return self._ask.get(path("l2_domains", name))


class Client(Listener):
    """One controller; see `Connection` for what it is made with. Every method raises ClientError."""

    @cached_property
    def cugs(self) -> Objects:
        """CUGs."""
        return Objects(self, "cugs")

    @cached_property
    def vms(self) -> Vms:
        """VMs."""
        return Vms(self)

    @cached_property
    def policies(self) -> Objects:
        """Policies."""
        return Objects(self, "policies")

    @cached_property
    def migrations(self) -> Migrations:
        """Moves."""
        return Migrations(self)

    @cached_property
    def batches(self) -> Batches:
        """Evacuations."""
        return Batches(self)

    @cached_property
    def switches(self) -> Switches:
        """Switches."""
        return Switches(self)

    @cached_property
    def l2_domains(self) -> L2Domains:
        """L2 domains."""
        return L2Domains(self)

    def controller(self) -> Any:
        """Return which version answers, and by which token and role one asks."""
        return self.get(path("controller"))

    def fabric(self) -> Any:
        """Return the fabric that is loaded."""
        return self.get(path("fabric"))

    def reload_fabric(self, *, dry_run: bool = False, wait: float | None = None) -> Any:
        """Have the fabric file read again."""
        return self.post(path("fabric", "reload"), again=True, wait=wait, dry_run="true" if dry_run else None)

    def bulk(self, body: object, *, wait: float | None = None, dry_run: bool = False, flows: bool = False) -> Any:
        """Many CUGs, VMs and policies, all or nothing. ``dry_run``: nothing is changed, and ``plan`` in the answer says what
        would be; with ``flows`` also each flow and group.
        """
        dry, shown = ("true" if row else None for row in (dry_run, flows))
        return self.post(path("bulk"), body, again=True, wait=wait, dry_run=dry, flows=shown)

    def export(self, *, numbers: bool = True) -> Any:
        """Return everything that was asked for, as `bulk` takes it; ``numbers``: with the numbers that were chosen for it."""
        return self.get(path("bulk"), numbers=None if numbers else "false")

    def backup(self) -> bytes:
        """Return a copy of the controller's store: what a file for `vmmob restore` holds."""
        found: bytes = self.post(path("backup"), again=True)
        return found

    def trace(self, body: object) -> Any:
        """Follow a packet."""
        return self.post(path("trace"), body, again=True)

    def recent_events(self, types: tuple[str, ...] = (), *, since: int | None = None, limit: int | None = None) -> Any:
        """Return a page of the events that are kept."""
        return self.get(path("events"), types=",".join(types) or None, since=since, limit=limit)

    def ready(self) -> Any:
        """Return what /readyz says, whether or not it is ready."""
        return self.ask("GET", "/readyz", also=(503,))

    def health(self) -> Any:
        """Return the health of the controller and its network: reasons in sentences, and the tiles that sum them up."""
        return self.get(path("health"))

    def is_alive(self) -> bool:
        """Whether the controller answers at all; needs no token. Raises ClientError when it does not."""
        return bool(self.get("/healthz")["status"] == "ok")
