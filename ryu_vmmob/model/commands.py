"""Commands: the only way the state changes. Each is a value; `apply` turns a state and commands into a new state.

Pure: time and ids come in with the command. A command that cannot be carried out raises `Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ryu_vmmob.fabric.trees import build_trees
from ryu_vmmob.model import migration_steps as steps
from ryu_vmmob.model.allocation import check_pins, free_segment_key, refuse_taken_pins, release
from ryu_vmmob.model.batches import (
    AbortBatch,
    BatchMove,
    BatchPass,
    StartBatch,
    abort_batch,
    batch_move,
    batch_pass,
    start_batch,
)
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.cables import wake
from ryu_vmmob.model.draft import Change, Draft
from ryu_vmmob.model.fabric_change import FabricReplaced, replace_fabric
from ryu_vmmob.model.membership import check_interfaces, refuse_taken_addresses, refuse_untagged_clash
from ryu_vmmob.model.migration_steps import Deliver, Fail, Returned, deliver, fail, returned
from ryu_vmmob.model.move_options import MoveOptions
from ryu_vmmob.model.objects import Address, Cug, Interface, Network, RaMode, Vm
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy, delete_policy, put_policy
from ryu_vmmob.model.questions import EndQuestion, Question, end_question, question
from ryu_vmmob.model.refusal import Refusal, conflict, invalid, not_found
from ryu_vmmob.model.routing import (
    ExternalsChanged,
    NeighbourHeard,
    externals_changed,
    neighbour_heard,
    refuse_overlaps,
    refuse_while_moving,
)
from ryu_vmmob.model.state import State
from ryu_vmmob.model.tree_steps import turn, use_trees


@dataclass(frozen=True, slots=True)
class PutCug:
    """Create or replace a CUG. No gateways: the first host address of each subnet."""

    name: str
    subnets: tuple[Network, ...]
    gateways: tuple[Address, ...] = ()
    routing_domain: str | None = None
    pins: Mapping[str, int] = field(default_factory=dict)
    ipv6_ra_mode: RaMode | None = None


@dataclass(frozen=True, slots=True)
class DeleteCug:
    """Delete a CUG that has no members."""

    name: str
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class PutVm:
    """Create a VM on a server, or change its interfaces where it is."""

    name: str
    server: str
    interfaces: tuple[Interface, ...]
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class DeleteVm:
    """Delete a VM that is not moving."""

    name: str
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class StartMigration(MoveOptions):
    """Prepare a move. ``seen``: the ``switch:port`` where the VM spoke, of a move that was not announced."""

    id: str
    vm: str
    to: str
    now: float = 0.0
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every switch concerned has acknowledged the preparation."""

    id: str
    now: float


@dataclass(frozen=True, slots=True)
class Activate:
    """The VM runs at the target now: seen there, or the orchestrator says so."""

    id: str
    now: float
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """End an activated migration: what was kept at the source goes."""

    id: str
    now: float


@dataclass(frozen=True, slots=True)
class Abort:
    """Undo a migration that is not committed yet; ``reason`` is kept for whoever asks.

    One that is activated goes back in two steps: the source opens again, and the target goes when that is confirmed. With
    ``force`` it goes back at once, whatever the switches say: for when one of them is dead.
    """

    id: str
    now: float
    reason: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class LinksChanged:
    """The links that are down now. Trees shrink to what old and new have in common; `SettleTrees` follows.

    Broadcasts must not meet a mixture of two trees, so they wait for the second step. Unicast frames go the new way at once:
    where a tree changes by one edge, old and new next hops lie on one ring, and a frame that a switch would send back the way
    it came is not sent; so it goes on in one direction until it is there, or is dropped, and never circles. That holds for
    frames with one place to go to: while a VM is moving, or ``calm`` is False (a switch may still have the flows of a move),
    unicast frames wait as well.
    """

    down: frozenset[str]
    now: float
    calm: bool = True


@dataclass(frozen=True, slots=True)
class SettleTrees:
    """Every switch has acknowledged the shrinking: grow to the new trees."""

    now: float


@dataclass(frozen=True, slots=True)
class FabricLoaded:
    """The fabric file was read: presence and VLAN-IDs of every CUG are derived anew."""

    now: float


@dataclass(frozen=True, slots=True)
class EndQuarantines:
    """Free the VLAN-IDs whose quarantine of ``seconds`` is over (`allocation.release`)."""

    now: float
    seconds: float
    acknowledged: Mapping[str, int]


Command = (
    PutCug
    | DeleteCug
    | PutVm
    | DeleteVm
    | PutPolicy
    | DeletePolicy
    | StartMigration
    | Prepared
    | Deliver
    | Activate
    | Commit
    | Abort
    | StartBatch
    | BatchMove
    | BatchPass
    | AbortBatch
    | Question
    | EndQuestion
    | Returned
    | Fail
    | LinksChanged
    | SettleTrees
    | EndQuarantines
    | FabricLoaded
    | FabricReplaced
    | NeighbourHeard
    | ExternalsChanged
)


_SLAAC_PREFIX: Final = 64
"""Bits of a prefix that leave room for the interface identifier of Ethernet (RFC 4862, 5.5.3 d; RFC 2464, 4)."""

ASKED_FOR: Final = (PutCug, PutVm, PutPolicy, StartMigration, BatchMove, FabricReplaced)
"""Commands that want something new of the switches, and can be refused when one of them cannot carry it."""


def apply(state: State, *commands: Command, now: float = 0.0, breath: Breath | None = None) -> Change:
    """Carry out all ``commands`` as one change, one revision. Raises Refusal, and then nothing has changed."""
    now = max([now, *(getattr(command, "now", 0.0) for command in commands)])
    draft = Draft(state, now)
    for number, command in enumerate(commands):
        try:
            _HANDLERS[type(command)](draft, command)
        except Refusal as refusal:
            refusal.command = number
            raise
        if breath is not None:
            breath.worked()
    try:
        return draft.finish()
    except Refusal as refusal:
        refusal.command = _where_numbers_end(state, commands, now, breath)
        raise


def _where_numbers_end(state: State, commands: Sequence[Command], now: float, breath: Breath | None) -> int:
    """The number of the command with which a domain is full, of commands that are all good but for that.

    Found by halving: VLAN-IDs are given out after so many commands, and there either are enough or not. So a bulk that is
    refused costs a few times what an accepted one costs, whatever its size.
    """
    enough, too_many = 0, len(commands)
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        if _has_numbers(state, commands[:middle], now, breath):
            enough = middle
        else:
            too_many = middle
    return too_many - 1


def _has_numbers(state: State, commands: Sequence[Command], now: float, breath: Breath | None) -> bool:
    draft = Draft(state, now)
    try:
        for command in commands:
            _HANDLERS[type(command)](draft, command)
            if breath is not None:
                breath.worked()
        draft.settle()
    except Refusal:
        return False
    return True


def _put_cug(draft: Draft, command: PutCug) -> None:
    state = draft.state
    old = state.cugs.get(command.name)
    families = [subnet.version for subnet in command.subnets]
    if not families or len(set(families)) != len(families):
        raise invalid(("subnets", "R9: one prefix per address family, and at least one"))
    gateways = command.gateways or tuple(subnet[1] for subnet in command.subnets)
    cug = Cug(
        command.name,
        old.key if old is not None else free_segment_key(state),
        command.subnets,
        gateways,
        command.routing_domain,
        dict(command.pins),
        ipv6_ra_mode=command.ipv6_ra_mode,
    )
    faults = [*_gateway_faults(cug), *_ra_mode_faults(cug), *check_pins(state, cug)]
    if faults:
        raise invalid(*faults)
    if old is not None and replace(cug, revision=old.revision) == old:
        return
    refuse_taken_pins(state, cug)
    refuse_overlaps(state, cug)
    if old is not None:
        refuse_while_moving(state, old, cug)
    if old is not None and (old.subnets, old.gateways) != (cug.subnets, cug.gateways):
        for member in state.members.get(cug.name, ()):
            check_interfaces(state, state.vms[member.vm].interfaces, {cug.name: cug}, f"vms.{member.vm}.interfaces")
    draft.put_cug(cug)


def _gateway_faults(cug: Cug) -> list[tuple[str, str]]:
    faults = []
    for number, gateway in enumerate(cug.gateways):
        subnet = next((subnet for subnet in cug.subnets if gateway in subnet), None)
        if subnet is None:
            faults.append((f"gateways[{number}]", f"{gateway} is in none of the CUG's subnets"))
        elif gateway.version == 6 and gateway.is_link_local:
            faults.append((f"gateways[{number}]", f"{gateway} is a link-local address; the gateway has one of its own MAC"))
        elif subnet.num_addresses > 2 and gateway in (subnet[0], subnet[-1]) and gateway.version == 4:
            faults.append((f"gateways[{number}]", f"{gateway} is the network or broadcast address of {subnet}"))
    if len({gateway.version for gateway in cug.gateways}) != len(cug.gateways):
        faults.append(("gateways", "one gateway per address family"))
    return faults


def _ra_mode_faults(cug: Cug) -> list[tuple[str, str]]:
    """What hosts are told has to be something they can do (RFC 4861, RFC 4862)."""
    if cug.ipv6_ra_mode is None:
        return []
    if not any(gateway.version == 6 for gateway in cug.gateways):
        return [("ipv6_ra_mode", "only an IPv6 gateway advertises anything, and this CUG has none")]
    length = next(subnet.prefixlen for subnet in cug.subnets if subnet.version == 6)
    if cug.ipv6_ra_mode != "dhcpv6_stateful" and length != _SLAAC_PREFIX:
        said = f"RFC 4862: hosts take addresses out of a /{_SLAAC_PREFIX} by themselves, and out of no /{length}"
        return [("ipv6_ra_mode", said)]
    return []


def _delete_cug(draft: Draft, command: DeleteCug) -> None:
    cug = draft.state.cugs.get(command.name)
    if cug is None:
        raise not_found("CUG", command.name)
    members = draft.state.members.get(command.name)
    if members:
        some = ", ".join(sorted({member.vm for member in members})[:5])
        raise conflict(f"CUG {command.name!r} has {len(members)} interfaces (of {some}); take the VMs away first")
    draft.drop_cug(cug)


def _put_vm(draft: Draft, command: PutVm) -> None:
    state = draft.state
    old = state.vms.get(command.name)
    if command.server not in state.fabric.servers:
        raise invalid(("server", f"there is no server {command.server!r} in the fabric"))
    if old is not None:
        if old.server != command.server:
            raise conflict(
                f"VM {old.name!r} is on server {old.server!r}: POST a migration to move it", "moves are migrations"
            )
        if old.interfaces == command.interfaces:
            return
        if old.migration is not None:
            raise conflict(f"VM {old.name!r} is moving (migration {old.migration})")
    check_interfaces(state, command.interfaces, {}, "interfaces")
    if old is not None:
        draft.drop_vm(old)
    refuse_taken_addresses(draft.state, command.interfaces)
    vm = Vm(command.name, command.server, command.interfaces)
    refuse_untagged_clash(draft.state, vm, command.server)
    draft.add_vm(vm)


def _delete_vm(draft: Draft, command: DeleteVm) -> None:
    vm = draft.state.vms.get(command.name)
    if vm is None:
        raise not_found("VM", command.name)
    if vm.migration is not None:
        raise conflict(f"VM {vm.name!r} is moving (migration {vm.migration}); abort or commit that first")
    draft.drop_vm(vm)


def _start_migration(draft: Draft, command: StartMigration) -> None:
    steps.start(draft, command.id, command.vm, command.to, command, seen=command.seen)


def _prepared(draft: Draft, command: Prepared) -> None:
    steps.enter(draft, command.id, steps.Step.PREPARED, None)


def _activate(draft: Draft, command: Activate) -> None:
    steps.enter(draft, command.id, steps.Step.ACTIVATE, command.reason)


def _commit(draft: Draft, command: Commit) -> None:
    steps.enter(draft, command.id, steps.Step.COMMIT, None)


def _abort(draft: Draft, command: Abort) -> None:
    steps.enter(draft, command.id, steps.Step.FORCE if command.force else steps.Step.ABORT, command.reason)


def _links_changed(draft: Draft, command: LinksChanged) -> None:
    state = draft.state
    if command.down == state.links_down:
        return
    for name in sorted(command.down - state.links_down):
        draft.event("link.down", link=name)
    for name in sorted(state.links_down - command.down):
        draft.event("link.up", link=name)
    # A failed link is a fact: a full domain starves a segment there instead of refusing.
    draft.strict = False
    draft.state = replace(state, links_down=command.down)
    turn(draft, build_trees(state.fabric, command.down), command.calm)


def _settle_trees(draft: Draft, command: SettleTrees) -> None:
    draft.state = replace(draft.state, trees_settled=True, trees_shrunk=0)
    target = build_trees(draft.state.fabric, draft.state.links_down)
    draft.strict = False
    use_trees(draft, target, target)


def _fabric_loaded(draft: Draft, command: FabricLoaded) -> None:
    draft.strict = False
    draft.cugs.update(draft.state.occupancy)
    draft.routing_domains.update(draft.state.routing_domains)


def _end_quarantines(draft: Draft, command: EndQuarantines) -> None:
    before = draft.state
    rested = wake(before, command.now, command.seconds, command.acknowledged)
    draft.state = release(rested, command.now, command.seconds, command.acknowledged)
    if draft.state is not before and before.starved:
        draft.strict = False
        for name, _ in before.starved:
            segment = before.segment(name)
            if isinstance(segment, Cug):
                draft.cugs.add(segment.name)
            elif segment is not None:
                draft.routing_domains.add(segment.name)


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    PutCug: _put_cug,
    DeleteCug: _delete_cug,
    PutVm: _put_vm,
    DeleteVm: _delete_vm,
    PutPolicy: put_policy,
    DeletePolicy: delete_policy,
    StartMigration: _start_migration,
    Prepared: _prepared,
    Deliver: deliver,
    Activate: _activate,
    Commit: _commit,
    Abort: _abort,
    StartBatch: start_batch,
    BatchMove: batch_move,
    BatchPass: batch_pass,
    AbortBatch: abort_batch,
    Question: question,
    EndQuestion: end_question,
    Returned: returned,
    Fail: fail,
    LinksChanged: _links_changed,
    SettleTrees: _settle_trees,
    EndQuarantines: _end_quarantines,
    FabricLoaded: _fabric_loaded,
    FabricReplaced: replace_fabric,
    NeighbourHeard: neighbour_heard,
    ExternalsChanged: externals_changed,
}
