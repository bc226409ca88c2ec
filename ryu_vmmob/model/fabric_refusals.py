"""Refusals of a reload: what of the fabric is in use, and so may not be removed or changed, with its users."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from ryu_vmmob.fabric.difference import Difference
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.fabric.trees import Trees
from ryu_vmmob.model.local_switching import meetings
from ryu_vmmob.model.objects import Phase
from ryu_vmmob.model.policy import MOST_SINGLE_PORTS, port_count
from ryu_vmmob.model.presence import links_of
from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.model.routing_domains import refuse_overlaps
from ryu_vmmob.model.state import Claim, State
from ryu_vmmob.net.keys import MAX_SWITCH_KEY

_SHOWN = 5
_NO_CLAIMS: Mapping[int, Claim] = {}
_HARMLESS = ("description", "vlan_ids", "local_switching")
"""Keys of a server that may change under its VMs, or that a rule of their own judges."""


@dataclass(frozen=True)
class Replacement:
    """A fabric in the place of another. ``state`` is on the old one, ``after`` the same on the new one.

    ``before_trees`` and ``trees`` are those of both with the links that are down. ``connected``: switches that are.
    """

    state: State
    after: State
    difference: Difference
    before_trees: Trees
    trees: Trees
    connected: Collection[str]


def refusals(step: Replacement) -> list[Fault]:
    """Every reason why the new fabric cannot take the old one's place; empty when it can."""
    found: list[Fault] = []
    for rule in (_top, _switches, _port_masks, _servers, _cables, _local_switching, _externals, _domains, _links):
        found.extend(rule(step))
    return found


def _top(step: Replacement) -> Iterator[Fault]:
    state, top = step.state, step.difference.top
    if "gateway_mac" in top and state.cugs:
        yield Fault("gateway_mac", f"the VMs of {_named('CUG', state.cugs)} have it in their ARP and neighbour caches")
    if "fabric" in top and state.routing_domains:
        users = _named("routing domain", state.routing_domains)
        yield Fault("fabric", f"the MACs of edges as routers are made of this name, and {users} uses them")
    if max(step.after.switch_keys.values(), default=0) > MAX_SWITCH_KEY:
        yield Fault("switches", f"these are more than {MAX_SWITCH_KEY}, the most that can be told apart")


def _switches(step: Replacement) -> Iterator[Fault]:
    state, fabric = step.state, step.state.fabric
    for name in step.difference.removed.get("switches", ()):
        users = [*_users_at(state, name)]
        if users:
            yield Fault(f"switches.{name}", f"switch {name!r} cannot be taken away: {'; '.join(users)}")
    for name in step.difference.altered("switches"):
        keys = step.difference.changed["switches"][name]
        if "dpid" in keys and name in step.connected:
            dpid = fabric.switches[name].dpid
            said = f"switch {name!r} is connected with dpid {dpid:#x}: it must go before another takes its place"
            yield Fault(f"switches.{name}.dpid", said)
        plain = step.after.fabric.switches[name].dialect is Dialect.OPENFLOW13
        # There the flows of policies depend on it; Open vSwitch is set to another mode, and no flow changes.
        for key in ("role", "l2_domain", "data_center", "dialect", "meters", *(("fragments",) if plain else ())):
            users = [*_users_at(state, name), *_carried_at(state, name)] if key in keys else []
            if users:
                yield Fault(f"switches.{name}.{key}", f"{key} of switch {name!r} cannot change: {'; '.join(users)}")


def _port_masks(step: Replacement) -> Iterator[Fault]:
    """Refuse that a switch matches no ports under a mask while a policy has more ports than flows for each of them."""
    for name in step.difference.altered("switches", "l4_masks"):
        row = step.after.fabric.switches[name]
        wide = [policy.name for policy in step.state.policies.values() if port_count(policy.ports) > MOST_SINGLE_PORTS]
        if row.dialect is Dialect.OPENFLOW13 and not row.l4_masks and wide:
            said = f"policies {', '.join(map(repr, sorted(wide)))} name more than {MOST_SINGLE_PORTS} ports"
            yield Fault(f"switches.{name}.l4_masks", f"l4_masks of switch {name!r} cannot change: {said}")


def _users_at(state: State, switch: str) -> Iterator[str]:
    """Return who hangs on a switch, in words."""
    for server in state.fabric.servers_of[switch]:
        if server.name in state.server_vms:
            yield f"{_vms(state, server.name)} on its server {server.name!r}"
    for external in state.fabric.externals_of[switch]:
        if external.routing_domain in state.routing_domains:
            yield f"routing domain {external.routing_domain!r} uses its external network {external.name!r}"


def _carried_at(state: State, switch: str) -> Iterator[str]:
    names = [name for name, found in state.presences.items() if switch in found.local and not found.local[switch].standby]
    if names:
        yield f"it carries {_segments(state, names)}"


def _servers(step: Replacement) -> Iterator[Fault]:
    state, difference = step.state, step.difference
    for name in difference.removed.get("servers", ()):
        if name in state.server_vms:
            yield Fault(f"servers.{name}", f"server {name!r} cannot be taken away: {_vms(state, name)} there")
    for name in difference.altered("servers"):
        if name in state.server_vms:
            keys = [key for key in difference.changed["servers"][name] if key not in _HARMLESS]
            if not keys:
                continue
            said = f"{' and '.join(keys)} of server {name!r} cannot change: {_vms(state, name)} there"
            yield Fault(f"servers.{name}.{keys[0]}", said)


def _local_switching(step: Replacement) -> Iterator[Fault]:
    """Trust in a server's own switch may not go while a policy leans on it (R45, R46)."""
    for name in step.difference.altered("servers", "local_switching"):
        if step.after.fabric.servers[name].trusts_local_switching:
            continue
        for meeting in islice(meetings(step.after, name), 1):
            said = f"R45: local_switching of server {name!r} must stay trusted: {meeting}"
            yield Fault(f"servers.{name}.local_switching", said)


def _cables(step: Replacement) -> Iterator[Fault]:
    """No VLAN-ID that a vNIC has on a server's cable may be taken from those it may get there."""
    for name in step.difference.altered("servers", "vlan_ids"):
        kept = frozenset(step.after.fabric.servers[name].vlan_ids)
        claims = step.state.cables.get(name, _NO_CLAIMS)
        lost = sorted(vlan_id for vlan_id, claim in claims.items() if not claim.guests and vlan_id not in kept)
        if lost:
            numbers = _some([str(vlan_id) for vlan_id in lost])
            said = f"server {name!r} cannot lose VLAN-IDs that vNICs have on its cable: {numbers}"
            yield Fault(f"servers.{name}.vlan_ids", said)


def _vms(state: State, server: str) -> str:
    """Return the VMs with a place on a server, in words."""
    here, coming, leaving = [], [], []
    for name in state.server_vms[server]:
        vm = state.vms[name]
        migration = state.migration_of(vm)
        if migration is not None and server == migration.target and migration.phase is not Phase.ACTIVATED:
            coming.append(name)
        elif migration is not None and server == migration.source and migration.phase is Phase.ACTIVATED:
            leaving.append(name)
        else:
            here.append(name)
    parts = ((here, "is"), (coming, "is moving"), (leaving, "is leaving"))
    return ", ".join(f"{_named('VM', names)} {does}" for names, does in parts if names)


def _externals(step: Replacement) -> Iterator[Fault]:
    state, difference = step.state, step.difference
    for name in difference.removed.get("externals", ()):
        domain = state.fabric.externals[name].routing_domain
        if domain in state.routing_domains:
            users = _named("CUG", state.routed_cugs.get(domain, ()))
            said = f"external network {name!r} cannot be taken away: routing domain {domain!r} with {users} uses it"
            yield Fault(f"externals.{name}", said)
    fixed = ("attach", "vlan_id", "routing_domain")
    for name in difference.altered("externals", *fixed):
        domain = state.fabric.externals[name].routing_domain
        if domain in state.routing_domains:
            keys = [key for key in difference.changed["externals"][name] if key in fixed]
            what = f"{' and '.join(keys)} of external network {name!r}"
            users = _named("CUG", state.routed_cugs.get(domain, ()))
            said = f"{what} cannot change: routing domain {domain!r} with {users} uses it"
            yield Fault(f"externals.{name}.{keys[0]}", said)
    for name in (*difference.added.get("externals", ()), *difference.altered("externals")):
        for cug in sorted(step.after.routed_cugs.get(step.after.fabric.externals[name].routing_domain, ())):
            try:
                refuse_overlaps(step.after, step.after.cugs[cug])
            except Refusal as refusal:
                yield Fault(f"externals.{name}", f"CUG {cug!r} does not go with it: {refusal.detail}")


def _domains(step: Replacement) -> Iterator[Fault]:
    """No VLAN-ID that is in use, or asked for, may leave an L2 domain."""
    state, new, difference = step.state, step.after.fabric, step.difference
    concerned = {*difference.removed.get("l2_domains", ()), *difference.altered("l2_domains", "vlan_ids")}
    kept = {name: frozenset(new.l2_domains[name].vlan_ids) if name in new.l2_domains else frozenset() for name in concerned}
    lost: dict[tuple[str, int], str] = {}
    if concerned:
        for domain, vlan_id in state.pins:
            if domain in kept and vlan_id not in kept[domain]:
                lost[domain, vlan_id] = f"CUG {state.pins[domain, vlan_id]!r} is pinned to VLAN-ID {vlan_id}"
        for key, mine in state.allocations.items():
            for domain, vlan_id in mine.items():
                if domain in kept and vlan_id not in kept[domain]:
                    lost[domain, vlan_id] = f"{state.segment(state.segment_names[key])} has VLAN-ID {vlan_id}"
    for domain in sorted(concerned):
        users = [said for (its, _), said in sorted(lost.items()) if its == domain]
        if users and domain in new.l2_domains:
            yield Fault(f"l2_domains.{domain}.vlan_ids", f"L2 domain {domain!r} cannot lose VLAN-IDs in use: {_some(users)}")
        elif users:
            yield Fault(f"l2_domains.{domain}", f"L2 domain {domain!r} cannot be taken away: {_some(users)}")
    for domain in difference.altered("l2_domains", "translate_guest_tags"):
        cugs = {cug for (its, _), row in state.guest_tags.items() if its == domain for cug in row}
        if cugs:
            said = f"guests of {_named('CUG', cugs)} have tags of their own in L2 domain {domain!r}"
            yield Fault(f"l2_domains.{domain}.translate_guest_tags", said)


def _links(step: Replacement) -> Iterator[Fault]:
    """Refuse that a link goes while something needs it to stay joined, or that it changes its L2 domain while it carries
    anything.
    """
    state, difference = step.state, step.difference
    removed = frozenset(difference.removed.get("links", ()))
    altered = frozenset(difference.altered("links"))
    if not removed and not altered:
        return
    carried: dict[str, list[str]] = {}
    cut: dict[str, list[str]] = {}
    for segment, found in state.presences.items():
        over = links_of(state.fabric, found)
        for name in over & altered:
            carried.setdefault(name, []).append(segment)
        if not removed:
            continue
        before, after = (trees.of_segment(segment) for trees in (step.before_trees, step.trees))
        if all(part & after.nodes == part and len(after.joined(part)) == 1 for part in before.joined(found.edges)):
            continue
        for name in over & removed or removed:
            cut.setdefault(name, []).append(segment)
    for name, segments in sorted(carried.items()):
        said = f"l2_domain of link {name!r} cannot change: it carries {_segments(state, segments)}"
        yield Fault(f"links.{name}.l2_domain", said)
    for name, segments in sorted(cut.items()):
        link = state.fabric.link_by_name[name]
        gone = {link.a.switch, link.b.switch}.intersection(difference.removed.get("switches", ()))
        whose = f"link {name!r}" + "".join(f" of switch {switch!r}" for switch in sorted(gone))
        said = f"{whose} cannot be taken away: {_segments(state, segments)} has no other way (a new link counts once it is up)"
        yield Fault(f"links.{name}", said)


def _segments(state: State, names: Iterable[str]) -> str:
    return _some([str(state.segment(name)) for name in sorted(names)])


def _named(kind: str, names: Iterable[str]) -> str:
    return _some([f"{kind} {name!r}" for name in sorted(names)])


def _some(rows: list[str]) -> str:
    more = len(rows) - _SHOWN
    return ", ".join(rows[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
