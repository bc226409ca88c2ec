"""The planner: the servers that a VM may move to now, and the reasons against the others (R27).

A guest's own tag goes with the VM, so whether a server will do depends on the VLAN-IDs that are given out there already.
Nothing is worked out a second way: each server is tried by a move that is not carried out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.refusal import Refusal, not_found
from ryu_vmmob.model.state import State

_TRIED = "dry-run"
PIECES = 8
"""Of work that one server is: half a millisecond."""


class PlacedInterface(NamedTuple):
    """One interface of the VM at a server it may move to: VLAN-IDs as in a migration's legs.

    ``translated``: the guest's own tag is not the CUG's VLAN-ID in the domain there, so the port translates (R25).
    """

    cug: str
    from_vlan_id: int | None
    to_vlan_id: int | None
    guest_vlan_id: int | None
    translated: bool


class Placement(NamedTuple):
    """A server, and why the VM cannot move there (None: it can). ``interfaces`` is empty where it cannot."""

    server: str
    reason: str | None
    interfaces: tuple[PlacedInterface, ...]


def placements(state: State, vm: str, dry_run: Callable[[Command], State], breath: Breath | None = None) -> list[Placement]:
    """Every server by name, that where the VM is included. Raises Refusal 404 when there is no such VM.

    ``dry_run`` gives the state that a command would make of ``state``, or of what has become of that in the pauses of
    ``breath``; or raises Refusal.
    """
    if vm not in state.vms:
        raise not_found("VM", vm)
    rows, breath = [], breath or Breath()
    for server in sorted(state.fabric.servers):
        breath.worked(PIECES)
        try:
            there = dry_run(StartMigration(_TRIED, vm, server))
        except Refusal as refusal:
            rows.append(Placement(server, refusal.detail, ()))
        else:
            rows.append(Placement(server, None, tuple(_placed(there, row, server) for row in there.vms[vm].interfaces)))
    return rows


def _placed(there: State, interface: Interface, server: str) -> PlacedInterface:
    leg = next(leg for leg in there.migrations[_TRIED].legs if leg.cug == interface.cug)
    translated = there.translated(interface.cug, there.wire(interface, server))
    return PlacedInterface(*leg, interface.guest_vlan_id, translated)
