"""Where the VMs of a server go that is evacuated: the servers that may take them, best first, and a plan for all of them.

Near servers first, because a segment that is there already needs no new VLAN-ID: the L2 domain of the VM's switch,
then its data centre, then anywhere; among equally near ones that with the fewest VMs, then by name. Of servers that were
named in the request, only the number of VMs and the name count. The plan moves each VM in thought before it looks at the
next, so VMs spread, and what one takes (R27, R28) is taken for the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

from immutables import Map

from ryu_vmmob.fabric.model import Fabric, Server
from ryu_vmmob.model import migration_steps as steps
from ryu_vmmob.model.batches.values import Batch, BatchState, BatchVm, Outcome
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.move_options import MoveOptions
from ryu_vmmob.model.objects import Phase, Vm
from ryu_vmmob.model.refusal import Refusal, conflict
from ryu_vmmob.model.state import State

REFUSALS: Final = 3
"""A VM refused by so many servers of an L2 domain is not offered to the others there: the reasons are mostly the domain's."""
_REASONS: Final = 3
_TRIED: Final = "planned"
_T = TypeVar("_T")


def evacuating(state: State) -> dict[str, str]:
    """Servers that are being evacuated, and the batch that does it."""
    return {server: row.id for row in state.batches.values() if row.state is BatchState.RUNNING for server in row.servers}


def candidates(state: State, batch: Batch, vm: Vm) -> list[str]:
    """Return the servers that may take a VM of a batch, best first."""
    servers = state.fabric.servers
    shut = {*evacuating(state), *batch.servers, vm.server}
    near = batch.targets is None
    rows = [
        (_distance(state.fabric, servers[vm.server], servers[name]) if near else 0, len(state.server_vms.get(name, ())), name)
        for name in (servers if batch.targets is None else batch.targets)
        if name in servers and name not in shut
    ]
    return [name for _, _, name in sorted(rows)]


def _distance(fabric: Fabric, one: Server, other: Server) -> int:
    here, there = fabric.switches[one.switch], fabric.switches[other.switch]
    if here.l2_domain == there.l2_domain:
        return 0
    return 1 if here.data_center is not None and here.data_center == there.data_center else 2


def offer(state: State, batch: Batch, vm: Vm, attempt: Callable[[str], _T], first: str | None = None) -> _T:
    """Let ``attempt`` move a VM to one server after another, ``first`` before the others, until it raises no Refusal.

    What it returns then. Raises Refusal 409 when no server takes the VM, and 503 when nothing can begin at the moment.
    """
    names = candidates(state, batch, vm)
    if first in names:
        names.remove(first)
        names.insert(0, first)
    refused: Counter[str] = Counter()
    reasons: dict[str, None] = {}
    for name in names:
        server = state.fabric.servers[name]
        place = server.l2_domain or f"{server.tagging} at {server.switch}"
        if refused[place] >= REFUSALS:
            continue
        try:
            return attempt(name)
        except Refusal as refusal:
            if refusal.status == 503:
                raise
            refused[place] += 1
            reasons.setdefault(refusal.detail)
    if not names:
        raise conflict("there is no server that it might go to" if batch.targets is None else _none_left(state, batch))
    more = f"; and {len(reasons) - _REASONS} more reasons" if len(reasons) > _REASONS else ""
    raise conflict(f"no server takes it: {'; '.join(list(reasons)[:_REASONS])}{more}")


def _none_left(state: State, batch: Batch) -> str:
    busy = {name: id_ for name, id_ in evacuating(state).items() if name in (batch.targets or ())}
    if not busy:
        return "none of the servers named is one that it might go to"
    return "; ".join(f"server {name!r} is being evacuated itself (batch {id_})" for name, id_ in sorted(busy.items()))


def overtaken(state: State, batch: Batch, row: BatchVm) -> tuple[Outcome, str] | None:
    """Return why a VM whose turn has come has no need to move, or cannot; None: it can be tried."""
    vm = state.vms.get(row.vm)
    if vm is None:
        return Outcome.GONE, f"VM {row.vm!r} was deleted"
    if vm.migration is not None:
        return Outcome.REFUSED, f"VM {vm.name!r} is moving already (migration {vm.migration})"
    if vm.server not in batch.servers:
        return Outcome.ELSEWHERE, f"VM {vm.name!r} is on server {vm.server!r} by now"
    return None


def plan(state: State, batch: Batch, now: float) -> Iterator[BatchVm]:
    """Every VM that is on the batch's servers or on its way there: first those that can move, then the others, by name.

    ``batch`` is not in ``state`` yet. Raises Refusal when nothing can move at the moment (503).
    """
    refused: list[tuple[str, str, str]] = []
    number = 0
    for name in sorted({name for server in batch.servers for name in state.server_vms.get(server, Map())}):
        vm = state.vms[name]
        if vm.server not in batch.servers:
            migration = state.migration_of(vm)
            if migration is not None and migration.phase is not Phase.ACTIVATED:
                reason = f"VM {name!r} is on its way here (migration {migration.id}): abort that, or evacuate again later"
                refused.append((name, vm.server, reason))
            continue
        if vm.migration is not None:
            refused.append((name, vm.server, f"VM {name!r} is moving already (migration {vm.migration})"))
            continue
        try:
            target, state = offer(state, batch, vm, partial(_moved, state, vm, now))
        except Refusal as refusal:
            if refusal.status == 503:
                raise
            refused.append((name, vm.server, refusal.detail))
            continue
        yield BatchVm(batch.id, number, name, vm.server, target)
        number += 1
    for name, source, why in refused:
        yield BatchVm(batch.id, number, name, source, None, Outcome.REFUSED, why)
        number += 1


def _moved(state: State, vm: Vm, now: float, to: str) -> tuple[str, State]:
    """Return the target, and the state when the VM has moved there, VLAN-IDs and all. Raises Refusal."""
    draft = Draft(state, now)
    steps.start(draft, _TRIED, vm.name, to, MoveOptions())
    draft.settle()  # both places at once: what is needed on the way must be there
    steps.enter(draft, _TRIED, steps.Step.ACTIVATE, None)
    steps.enter(draft, _TRIED, steps.Step.COMMIT, None)
    return to, draft.finish().state
