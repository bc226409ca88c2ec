"""Persistence: the writes of a change, and the state restored from a store's records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from immutables import Map

from ryu_vmmob.fabric.model import Fabric, Tagging
from ryu_vmmob.model.batches.values import Batch, BatchVm
from ryu_vmmob.model.cables import with_resting
from ryu_vmmob.model.draft import Change
from ryu_vmmob.model.extent import presence, routed_presence
from ryu_vmmob.model.objects import Address, Cug, Migration, RoutingDomain, Vm
from ryu_vmmob.model.policy import Policy
from ryu_vmmob.model.policy_index import index_policy
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import refuse_overlaps
from ryu_vmmob.model.state import Resting, State, index_vm, route_cug, seat_vm, with_fabric
from ryu_vmmob.net.keys import MAX_SWITCH_KEY
from ryu_vmmob.store.base import Record, StoreError, Write
from ryu_vmmob.store.codec import decode, encode, pair_of, pair_write, write


def writes(before: State, change: Change) -> Iterator[Write]:
    """Exactly what differs between two states but for migrations (`migration_writes`), found from what was touched."""
    after = change.state
    yield from _objects("cug", change.cugs, before.cugs, after.cugs)
    yield from _objects("vm", change.vms, before.vms, after.vms)
    yield from _objects("routing_domain", change.routing_domains, before.routing_domains, after.routing_domains)
    yield from _objects("policy", change.policies, before.policies, after.policies)
    yield from _objects("batch", change.batches, before.batches, after.batches)
    for id_, number in sorted(change.batch_vms):
        turn = after.batch_vms.get(id_, Map()).get(number)
        if turn != before.batch_vms.get(id_, Map()).get(number):
            yield pair_write("batch_vm", (id_, number), turn)
    yield from _allocations(before, change)
    yield from _pairs("quarantine", change.quarantined, before.quarantine, after.quarantine)
    yield from _pairs("resting", change.rested, before.resting, after.resting)
    if before.switch_keys is not after.switch_keys:
        yield from switch_key_writes(before.switch_keys, after.switch_keys)
    if before.last_segment_key != after.last_segment_key:
        yield Write("meta", "last_segment_key", encode(after.last_segment_key))
    for external, address in sorted(change.neighbours, key=str):
        mac = after.neighbours.get((external, address))
        if before.neighbours.get((external, address)) != mac:
            yield Write("neighbour", f"{external}/{address}", None if mac is None else encode(mac))
    if before.externals_down != after.externals_down:
        yield Write("meta", "externals_down", encode(sorted(after.externals_down)))
    if before.links_down != after.links_down:
        yield Write("meta", "links_down", encode(sorted(after.links_down)))


def _allocations(before: State, change: Change) -> Iterator[Write]:
    """Yield the VLAN-IDs of the segments touched, where they differ."""
    after = change.state
    keys = {cug.key for name in change.cugs for state in (before, after) if (cug := state.cugs.get(name)) is not None}
    keys |= {
        row.key
        for name in change.routing_domains
        for state in (before, after)
        if (row := state.routing_domains.get(name)) is not None
    }
    for key in sorted(keys):
        old, new = before.allocations.get(key, Map()), after.allocations.get(key, Map())
        for domain in sorted({*old, *new}):
            if old.get(domain) != new.get(domain):
                yield pair_write("allocation", (domain, key), new.get(domain))


def _pairs(kind: str, touched: Iterable[Any], before: Map[Any, Any], after: Map[Any, Any]) -> Iterator[Write]:
    """Yield the records of a kind whose names are pairs, where two states differ."""
    for pair in sorted(touched):
        if before.get(pair) != after.get(pair):
            yield pair_write(kind, pair, after.get(pair))


def migration_writes(before: State, change: Change) -> Iterator[Write]:
    """Return the migrations that differ."""
    return _objects("migration", change.migrations, before.migrations, change.state.migrations)


def _objects(kind: str, names: Iterable[str], before: Map[str, object], after: Map[str, object]) -> Iterator[Write]:
    for name in sorted(names):
        new = after.get(name)
        if new is None and name in before:
            yield Write(kind, name, None)
        elif isinstance(new, (Cug, Vm, Migration, RoutingDomain, Policy, Batch)) and new != before.get(name):
            yield write(new)


def switch_key_writes(before: Map[str, int], after: Map[str, int]) -> Iterator[Write]:
    """Keys given to switches that are new in the fabric, and taken from names that had gone."""
    for name in sorted(set(before) - set(after)):
        yield Write("switch_key", name, None)
    for name, key in sorted(after.items()):
        if name not in before:
            yield Write("switch_key", name, encode(key))


def restore(records: Iterable[Record], fabric: Fabric, revision: int) -> tuple[State, Map[str, int]]:
    """Return the state a store holds, on ``fabric``; and the switch keys the store knew.

    Raises StoreError when an object refers to something that the fabric file no longer has.
    """
    found: dict[str, dict[str, object]] = {}
    for record in records:
        found.setdefault(record.kind, {})[record.name] = decode(record.kind, record.name, record.body)
    keys = Map({name: key for name, key in found.get("switch_key", {}).items() if isinstance(key, int)})
    meta = found.get("meta", {})
    down = meta.get("links_down", [])
    known = {link.name for link in fabric.links}
    links_down = frozenset(name for name in down if name in known) if isinstance(down, list) else frozenset()
    last = meta.get("last_segment_key", 0)
    empty = with_fabric(None, fabric)
    state = replace(
        empty, revision=revision, links_down=links_down, switch_keys=keys, last_segment_key=last if isinstance(last, int) else 0
    )
    state = with_fabric(state, fabric)
    if max(state.switch_keys.values(), default=0) > MAX_SWITCH_KEY:
        raise StoreError(f"the fabric has more than {MAX_SWITCH_KEY} switches, the most this controller can tell apart")
    state = _with_segments(state, found.get("routing_domain", {}), found.get("cug", {}))
    migrations = {row.id: row for row in found.get("migration", {}).values() if isinstance(row, Migration)}
    state = replace(state, migrations=Map(migrations))
    state = _with_batches(state, found.get("batch", {}), found.get("batch_vm", {}))
    for vm in found.get("vm", {}).values():
        if isinstance(vm, Vm):
            state = _with_vm(state, vm)
    for policy in found.get("policy", {}).values():
        if isinstance(policy, Policy):
            state = index_policy(replace(state, policies=state.policies.set(policy.name, policy)), policy)
    allocations: dict[int, Map[str, int]] = {}
    holders: dict[tuple[str, int], int] = {}
    for name, vlan_id in found.get("allocation", {}).items():
        domain, key = pair_of(name)
        if isinstance(vlan_id, int):
            _require(holds=domain in fabric.l2_domains, fact=f"L2 domain {domain!r} carries a CUG")
            _require(
                holds=vlan_id in fabric.l2_domains[domain].vlan_ids,
                fact=f"{state.segment(state.segment_names.get(key, ''))} has VLAN-ID {vlan_id} of L2 domain {domain!r}",
            )
            allocations[key] = allocations.get(key, Map()).set(domain, vlan_id)
            holders[domain, vlan_id] = key
    quarantine = {}
    for name, row in found.get("quarantine", {}).items():
        domain, key = pair_of(name)
        if domain in fabric.l2_domains and row.vlan_id in fabric.l2_domains[domain].vlan_ids:  # type: ignore[attr-defined]
            quarantine[domain, key] = row
            holders[domain, row.vlan_id] = key  # type: ignore[attr-defined]
    state = replace(
        state,
        allocations=Map(allocations),
        holders=Map(holders),
        quarantine=Map(quarantine),  # type: ignore[arg-type]
    )
    state = _with_resting(state, found.get("resting", {}))
    state = _with_outside(state, found.get("neighbour", {}), meta.get("externals_down", []))
    presences = {name: presence(state, name) for name in state.occupancy}
    for name, row in state.routing_domains.items():
        if (routed := routed_presence(state, name)) is not None:
            presences[row.segment] = routed
    return replace(state, presences=Map(presences)), keys


def _with_batches(state: State, batches: Mapping[str, object], rows: Mapping[str, object]) -> State:
    found: dict[str, Map[int, BatchVm]] = {}
    for row in rows.values():
        if isinstance(row, BatchVm):
            found[row.batch] = found.get(row.batch, Map()).set(row.number, row)
    kept = {row.id: row for row in batches.values() if isinstance(row, Batch)}
    return replace(state, batches=Map(kept), batch_vms=Map({id_: found.get(id_, Map()) for id_ in kept}))


def _with_resting(state: State, rows: Mapping[str, object]) -> State:
    """VLAN-IDs at rest on cables that the fabric file still has."""
    resting: dict[tuple[str, int], Resting] = {}
    for name, row in rows.items():
        server, vlan_id = pair_of(name)
        found = state.fabric.servers.get(server)
        if isinstance(row, Resting) and found is not None and found.per_interface:
            resting[server, vlan_id] = row
    return with_resting(state, Map(resting))


def _with_outside(state: State, neighbours: Mapping[str, object], down: object) -> State:
    """Return what was last heard of external networks that the fabric file still has."""
    rows: dict[tuple[str, Address], int] = {}
    for name, mac in neighbours.items():
        external, _, address = name.partition("/")
        if external in state.fabric.externals and isinstance(mac, int):
            rows[external, ip_address(address)] = mac
    known = frozenset(down).intersection(state.fabric.externals) if isinstance(down, list) else frozenset()
    return replace(state, neighbours=Map(rows), externals_down=known)


def _with_segments(state: State, domains: Mapping[str, object], cugs: Mapping[str, object]) -> State:
    """Return ``state`` with routing domains and CUGs. Raises StoreError where the fabric file now has their addresses."""
    for row in domains.values():
        if isinstance(row, RoutingDomain):
            state = replace(
                state,
                routing_domains=state.routing_domains.set(row.name, row),
                segment_names=state.segment_names.set(row.key, row.segment),
            )
    for cug in cugs.values():
        if isinstance(cug, Cug):
            try:
                refuse_overlaps(state, cug)
            except Refusal as refusal:
                raise StoreError(f"CUG {cug.name!r} in the store does not go with the fabric file: {refusal}") from refusal
            state = _with_cug(state, cug)
    return state


def _with_cug(state: State, cug: Cug) -> State:
    pins = state.pins
    for domain, vlan_id in cug.pins.items():
        pins = pins.set((domain, vlan_id), cug.name)
    state = replace(
        state,
        cugs=state.cugs.set(cug.name, cug),
        pins=pins,
        segment_names=state.segment_names.set(cug.key, cug.segment),
        last_segment_key=max(state.last_segment_key, cug.key) if not state.last_segment_key else state.last_segment_key,
    )
    return route_cug(state, cug, +1)


def _with_vm(state: State, vm: Vm) -> State:
    for interface in vm.interfaces:
        fact = f"VM {vm.name!r} belongs to CUG {interface.cug!r}"
        _require(holds=interface.cug in state.cugs, fact=fact, where="in the store")
    state = index_vm(replace(state, vms=state.vms.set(vm.name, vm)), vm)
    for seat in state.seats_of(vm):
        _require(holds=seat.server in state.fabric.servers, fact=f"VM {vm.name!r} has a place on server {seat.server!r}")
        own, now = seat.server in vm.vlan_ids, state.fabric.servers[seat.server].tagging
        if own != (now is Tagging.PER_INTERFACE):
            then = Tagging.PER_INTERFACE.value if own else f"{Tagging.PER_CUG} or {Tagging.UNTAGGED}"
            raise StoreError(
                f"server {seat.server!r} had tagging {then} when VM {vm.name!r} came to it, and the fabric file says {now}: "
                "what tags the VM's frames would not follow; put the old tagging back, and change it when the server is empty"
            )
        for interface, vlan_id in zip(vm.interfaces, vm.vlan_ids.get(seat.server, ()), strict=False):
            _require(
                holds=interface.guest_vlan_id is not None or vlan_id in state.fabric.servers[seat.server].vlan_ids,
                fact=f"VM {vm.name!r} has VLAN-ID {vlan_id} in CUG {interface.cug!r} on the cable of server {seat.server!r}",
            )
        state = seat_vm(state, vm, seat, +1)
    return state


def _require(*, holds: bool, fact: str, where: str = "in the fabric file") -> None:
    if not holds:
        raise StoreError(f"{fact}, which is no longer {where}")
