"""The whole logical state as one immutable value, with the indexes that keep every command's cost local.

Persistent maps (`immutables.Map`) make a new state in time that does not depend on how much there is (invariant 10).
Indexes are derived from the objects; `tests/property` holds them against a rebuild.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from immutables import Map

from ryu_vmmob.fabric.backup import Backup, build_backups
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.fabric.trees import Trees, build_trees, tree_number
from ryu_vmmob.model.batches.values import Batch, BatchVm
from ryu_vmmob.model.objects import (
    Address,
    Cug,
    Interface,
    Migration,
    RoutingDomain,
    Seat,
    Segment,
    Vm,
    routed_segment,
    seats,
)
from ryu_vmmob.model.policy import Policy
from ryu_vmmob.model.prefixes import Prefixes
from ryu_vmmob.model.presence import Presence, Wire


class Quarantined(NamedTuple):
    """A VLAN-ID that its segment has given back, kept from others: ``since`` in seconds, ``revision`` of the release."""

    vlan_id: int
    since: float
    revision: int


class Claim(NamedTuple):
    """Who has a VLAN-ID on the cable of a server with tagging per interface: ``seats`` of one CUG.

    It is one interface, or (``guests``) all those of a CUG whose guests send this tag themselves.
    """

    cug: str
    seats: int
    guests: bool


class Twin(NamedTuple):
    """The MAC of an interface, the server of its VM's other place, and its VLAN-ID on the cable there (None: not its own)."""

    mac: int
    server: str
    tag: int | None


class Resting(NamedTuple):
    """A VLAN-ID that an interface gave back on a cable, kept from others: ``since`` in seconds, ``revision`` of the release."""

    vm: str
    cug: str
    since: float
    revision: int


class Member(NamedTuple):
    """One interface of one VM, as a member of its CUG."""

    vm: str
    number: int


@dataclass(frozen=True, slots=True)
class State:
    """Everything logical, and the fabric it stands on."""

    fabric: Fabric
    trees: Trees
    ways: Trees
    """Trees for unicast frames: ahead of ``trees`` while links change."""
    backups: tuple[Backup, ...] = ()
    """What stands by for each tree of the fabric; none where backup paths are not installed."""
    revision: int = 0
    links_down: frozenset[str] = frozenset()
    trees_settled: bool = True
    """False while the trees are between two states of the links (`links.LinksChanged`)."""
    trees_shrunk: int = 0
    """The revision that took edges out of them, while they are not settled; else 0."""
    cugs: Map[str, Cug] = Map()
    vms: Map[str, Vm] = Map()
    migrations: Map[str, Migration] = Map()
    batches: Map[str, Batch] = Map()
    batch_vms: Map[str, Map[int, BatchVm]] = Map()
    """Batch -> its VMs by number."""
    questioned: Map[str, None] = Map()
    """VMs that are listened for where they sit: one of their MACs was seen elsewhere, or their move is overdue. Not stored."""
    routing_domains: Map[str, RoutingDomain] = Map()
    externals_down: frozenset[str] = frozenset()
    """External networks whose port has no live cable."""
    neighbours: Map[tuple[str, Address], int] = Map()
    """(external network, address) -> MAC: next hops and hosts outside that have answered, and still do."""
    policies: Map[str, Policy] = Map()
    allocations: Map[int, Map[str, int]] = Map()
    """Segment key -> domain -> VLAN-ID in use."""
    quarantine: Map[tuple[str, int], Quarantined] = Map()
    """(domain, segment key) -> the VLAN-ID it had there last."""
    resting: Map[tuple[str, int], Resting] = Map()
    """(server, VLAN-ID) -> the interface that had it last on the server's cable."""
    starved: frozenset[tuple[str, str]] = frozenset()
    """(segment, domain) that found no free VLAN-ID when a link failed; tried again whenever one is freed."""
    switch_keys: Map[str, int] = Map()
    last_segment_key: int = 0
    # Indexes
    holders: Map[tuple[str, int], int] = Map()
    """(domain, VLAN-ID) -> segment key that has it, in use or in quarantine."""
    pins: Map[tuple[str, int], str] = Map()
    """(domain, VLAN-ID) -> CUG that asked for it."""
    presences: Map[str, Presence] = Map()
    """Segment that is present anywhere -> where: CUGs with members, routing domains with members."""
    members: Map[str, Map[Member, None]] = Map()
    """CUG -> its interfaces."""
    occupancy: Map[str, Map[Wire, int]] = Map()
    """CUG -> wire -> seats on it."""
    receivers: Map[str, Map[Wire, int]] = Map()
    """CUG -> wire -> seats on it that are open for delivery and hear broadcasts (`Seat.hears`)."""
    wires: Map[Wire, Map[str, int]] = Map()
    """Wire -> CUG -> seats on it."""
    guest_tags: Map[tuple[str, int], Map[str, int]] = Map()
    """(domain, VLAN-ID) -> CUG -> seats of guests that use the VLAN-ID as their own tag at a server there."""
    cables: Map[str, Map[int, Claim]] = Map()
    """Server with tagging per interface -> VLAN-ID -> who has it on its cable."""
    vnics: Map[tuple[str, str], Map[int, int]] = Map()
    """(CUG, such a server) -> VLAN-ID -> seats under it that hear broadcasts; 0 where it only sends."""
    twins: Map[tuple[str, str], Map[int, Twin]] = Map()
    """(CUG, such a server) -> VLAN-ID -> an interface that hears broadcasts there, but for its own (`Seat.twin`)."""
    vnic_counts: Map[int, int] = Map()
    """VLAN-ID -> interfaces that have it as a number of their own, on whatever cable."""
    vnics_in_all: int = 0
    """The sum of ``vnic_counts``."""
    reserved: Map[int, int] = Map()
    """VLAN-ID -> interfaces whose guests tag with it, or that are pinned to it."""
    rested: Map[tuple[str, str, str], tuple[int, ...]] = Map()
    """(server, VM, CUG) -> the VLAN-IDs that rest there for the interface, the last one given back at the end."""
    server_vms: Map[str, Map[str, None]] = Map()
    """Server -> VMs with a seat there."""
    macs: Map[tuple[str, int], str] = Map()
    """(CUG, MAC) -> VM."""
    mac_cugs: Map[int, Map[str, None]] = Map()
    """MAC -> CUGs in which an interface has it."""
    ips: Map[tuple[str, Address], str] = Map()
    """(CUG, address) -> VM."""
    segment_names: Map[int, str] = Map()
    """Segment key -> segment."""
    routed_cugs: Map[str, Map[str, None]] = Map()
    """Routing domain -> its CUGs."""
    prefixes: Map[str, Prefixes] = Map()
    """Routing domain -> the prefixes of its CUGs."""
    routed_seats: Map[str, Map[str, int]] = Map()
    """Routing domain -> edge -> seats of its CUGs there."""
    policies_of: Map[tuple[str, str], Map[str, None]] = Map()
    """("cug", name), ("vm", name) -> policies with such an end; ("any", "") -> those with neither; ("labels", selector) ->
    those with this end, which stand under each ("vm", name) that it picks too (`policy_index`)."""
    selections: Map[str, Map[str, None]] = Map()
    """Selector of labels that is an end of a policy -> VMs that it picks."""

    def migration_of(self, vm: Vm) -> Migration | None:
        """Return the migration that a VM is in, None when it stays."""
        return self.migrations[vm.migration] if vm.migration is not None else None

    def seats_of(self, vm: Vm) -> tuple[Seat, ...]:
        """Return where a VM sits now; the placement comes first."""
        found = seats(vm, self.migration_of(vm))
        if vm.name not in self.questioned:
            return found
        return tuple(seat._replace(awaited=True, watched=False) for seat in found)

    def interface(self, member: Member) -> Interface:
        """Return the interface that a member is."""
        return self.vms[member.vm].interfaces[member.number]

    def segment(self, name: str) -> Segment | None:
        """Return the CUG or routing domain whose segment has this name."""
        if name in self.cugs:
            return self.cugs[name]
        return self.routing_domains.get(name.removeprefix(_ROUTED)) if name.startswith(_ROUTED) else None

    def backup_number(self, segment: str) -> int:
        """Return which of the ``backups`` is that of a segment. There must be some."""
        return tree_number(segment, len(self.backups))

    def backup_of(self, segment: str) -> Backup | None:
        """Return what stands by for the tree of a segment; None where backup paths are not installed."""
        return self.backups[self.backup_number(segment)] if self.backups else None

    def routing_domain(self, cug: Cug) -> RoutingDomain | None:
        """Return the routing domain of a CUG; None where it is not routed."""
        return self.routing_domains[cug.routing_domain] if cug.routing_domain is not None else None

    def scope(self, cug: Cug) -> int:
        """Return the key of what the CUG's addresses are unique in: its routing domain, or else itself."""
        return (self.routing_domain(cug) or cug).key

    def edges_of_scope(self, cug: Cug) -> frozenset[str]:
        """Return the edges that have to know the addresses of the CUG: those of its routing domain, or else its own."""
        found = self.presences.get(cug.name if cug.routing_domain is None else routed_segment(cug.routing_domain))
        return found.edges if found is not None else frozenset()

    def vlan_ids(self, segment: str) -> Map[str, int]:
        """Return the VLAN-IDs of a segment, by domain, transit domains included."""
        found = self.segment(segment)
        return self.allocations.get(found.key, _NO_VLAN_IDS) if found is not None else _NO_VLAN_IDS

    def vlan_id(self, segment: str, domain: str | None) -> int | None:
        """Return the VLAN-ID of a segment in a domain; None in a trivial domain and where the segment is absent."""
        return None if domain is None else self.vlan_ids(segment).get(domain)

    def server_vlan_id(self, cug: str, server: str) -> int | None:
        """Return what the virtual switch of ``server`` tags the frames of guests without a tag with; None: untagged."""
        return self.vlan_id(cug, self.fabric.servers[server].l2_domain)

    def added_vlan_id(self, vm: Vm, number: int, server: str) -> int | None:
        """Return what the virtual switch of ``server`` adds to the interface's frames; None: nothing, they are tagged or stay
        bare.
        """
        return self.vnic_vlan_id(vm, number, server) if vm.interfaces[number].guest_vlan_id is None else None

    def vnic_vlan_id(self, vm: Vm, number: int, server: str) -> int | None:
        """Return the tag of an interface's frames on the cable of a server where it has a seat; None: untagged, or starved."""
        if self.fabric.servers[server].per_interface:
            return vm.vlan_ids[server][number]
        interface = vm.interfaces[number]
        return self.wire_vlan_id(interface.cug, self.wire(interface, server))

    def wire(self, interface: Interface, server: str) -> Wire:
        """Return the wire on which an interface's frames are at a server. With tagging per interface all of a CUG
        count as one.
        """
        return Wire(server, None if self.fabric.servers[server].per_interface else interface.guest_vlan_id)

    def wire_vlan_id(self, cug: str, wire: Wire) -> int | None:
        """Return the tag of the CUG's frames on a wire: the guest's, or else the domain's; None: untagged, or starved."""
        return self.server_vlan_id(cug, wire.server) if wire.guest_vlan_id is None else wire.guest_vlan_id

    def translated(self, cug: str, wire: Wire) -> bool:
        """Whether a guest's tag is another than the VLAN-ID that its CUG has in the server's domain."""
        domain = self.fabric.servers[wire.server].l2_domain
        return domain is not None and wire.guest_vlan_id not in (None, self.vlan_id(cug, domain))

    def speaks(self, cug: str, wire: Wire) -> bool:
        """Whether the CUG's frames can go to and fro on a wire.

        Not where the server's domain has no VLAN-ID left for the CUG, or one that a guest's tag may not be translated to.
        """
        domain = self.fabric.servers[wire.server].l2_domain
        if domain is None:
            return True
        if self.vlan_id(cug, domain) is None:
            return False
        return self.fabric.l2_domains[domain].translate_guest_tags or not self.translated(cug, wire)


def with_fabric(state: State | None, fabric: Fabric) -> State:
    """Return the state on this fabric: empty, or the one before with keys for the switches that are new.

    A switch keeps its key (part of group ids), so that adding one renames no group of another.
    """
    trees = build_trees(fabric, state.links_down if state is not None else frozenset())
    keys = with_keys(state.switch_keys if state is not None else Map(), fabric)
    backups = build_backups(fabric)
    if state is None:
        return State(fabric, trees, trees, backups, switch_keys=keys)
    return replace(state, fabric=fabric, trees=trees, ways=trees, backups=backups, switch_keys=keys)


MAX_SWITCH_KEY = 4095
"""Keys are 1 to this: 12 bits of a group id."""


def with_keys(keys: Map[str, int], fabric: Fabric) -> Map[str, int]:
    """Keys for every switch of the fabric; those that there are stay, also of switches that it does not have any more.

    A switch that comes back so has the key that it had. Only when all keys have been given out, the name that has gone with the
    lowest key, which is the oldest, gives it to a new one. With more switches than keys some are greater (`fabric_refusals`).
    """
    for name in sorted(fabric.switches):
        if name in keys:
            continue
        highest = max(keys.values(), default=0)
        gone = min(((key, old) for old, key in keys.items() if old not in fabric.switches), default=None)
        if highest < MAX_SWITCH_KEY or gone is None:
            keys = keys.set(name, highest + 1)
        else:
            keys = keys.delete(gone[1]).set(name, gone[0])
    return keys


_NO_VLAN_IDS: Map[str, int] = Map()
_NO_SEATS: Map[Wire, int] = Map()
_ROUTED = routed_segment("")
_NO_PREFIXES = Prefixes()


_Outer = TypeVar("_Outer")
_Inner = TypeVar("_Inner")


def _bump(index: Map[_Outer, Map[_Inner, int]], outer: _Outer, inner: _Inner, by: int) -> Map[_Outer, Map[_Inner, int]]:
    """Return a two-level counter with zeroes removed."""
    row = index.get(outer, Map())
    count = row.get(inner, 0) + by
    row = row.set(inner, count) if count else row.delete(inner)
    return index.set(outer, row) if row else index.delete(outer)


def seat_vm(state: State, vm: Vm, seat: Seat, by: int) -> State:
    """Count (+1) or uncount (-1) a VM's interfaces at one of its seats."""
    occupancy, receivers, wires, routed_seats = state.occupancy, state.receivers, state.wires, state.routed_seats
    guest_tags, domain = state.guest_tags, state.fabric.servers[seat.server].l2_domain
    for interface in vm.interfaces:
        wire = state.wire(interface, seat.server)
        occupancy = _bump(occupancy, interface.cug, wire, by)
        wires = _bump(wires, wire, interface.cug, by)
        if seat.receives and (seat.hears or state.fabric.servers[seat.server].per_interface):
            receivers = _bump(receivers, interface.cug, wire, by)
        if domain is not None and wire.guest_vlan_id is not None:
            guest_tags = _bump(guest_tags, (domain, wire.guest_vlan_id), interface.cug, by)
        routing_domain = state.cugs[interface.cug].routing_domain
        if routing_domain is not None:
            routed_seats = _bump(routed_seats, routing_domain, state.fabric.servers[seat.server].switch, by)
    names = state.server_vms.get(seat.server, Map())
    names = names.set(vm.name, None) if by > 0 else names.delete(vm.name)
    server_vms = state.server_vms.set(seat.server, names) if names else state.server_vms.delete(seat.server)
    state = replace(
        state, occupancy=occupancy, receivers=receivers, wires=wires, guest_tags=guest_tags, server_vms=server_vms,
        routed_seats=routed_seats,
    )  # fmt: skip
    return _plug(state, vm, seat, by) if state.fabric.servers[seat.server].per_interface else state


def _plug(state: State, vm: Vm, seat: Seat, by: int) -> State:
    """Count a VM's vNICs on the cable of a server where each has a VLAN-ID of its own, or out."""
    cable, vnics, counts, twins = state.cables.get(seat.server, Map()), state.vnics, state.vnic_counts, state.twins
    in_all = state.vnics_in_all
    for number, (interface, vlan_id) in enumerate(zip(vm.interfaces, vm.vlan_ids[seat.server], strict=True)):
        own = interface.guest_vlan_id is None
        claim = cable.get(vlan_id, Claim(interface.cug, 0, not own))
        seats = claim.seats + by
        cable = cable.set(vlan_id, claim._replace(seats=seats)) if seats else cable.delete(vlan_id)
        pair = interface.cug, seat.server
        row = vnics.get(pair, Map())
        hearing = row.get(vlan_id, 0) + (by if seat.receives else 0)
        row = row.set(vlan_id, hearing) if seats else row.delete(vlan_id)
        vnics = vnics.set(pair, row) if row else vnics.delete(pair)
        if seat.twin is not None and own:
            speakers = twins.get(pair, Map())
            twin = Twin(interface.mac, seat.twin, vm.vlan_ids[seat.twin][number] if seat.twin in vm.vlan_ids else None)
            speakers = speakers.set(vlan_id, twin) if by > 0 else speakers.delete(vlan_id)
            twins = twins.set(pair, speakers) if speakers else twins.delete(pair)
        if own:
            counts = _count(counts, vlan_id, by)
            in_all += by
    cables = state.cables.set(seat.server, cable) if cable else state.cables.delete(seat.server)
    return replace(state, cables=cables, vnics=vnics, twins=twins, vnic_counts=counts, vnics_in_all=in_all)


def _count(counts: Map[int, int], number: int, by: int) -> Map[int, int]:
    """Return a counter with zeroes removed."""
    count = counts.get(number, 0) + by
    return counts.set(number, count) if count else counts.delete(number)


def route_cug(state: State, cug: Cug, by: int) -> State:
    """Count (+1) a CUG with all its seats into the routing domain it names, or (-1) out of it."""
    if cug.routing_domain is None:
        return state
    routed_seats = state.routed_seats
    for wire, count in state.occupancy.get(cug.name, _NO_SEATS).items():
        routed_seats = _bump(routed_seats, cug.routing_domain, state.fabric.servers[wire.server].switch, by * count)
    names = state.routed_cugs.get(cug.routing_domain, Map())
    names = names.set(cug.name, None) if by > 0 else names.delete(cug.name)
    routed_cugs = state.routed_cugs
    routed_cugs = routed_cugs.set(cug.routing_domain, names) if names else routed_cugs.delete(cug.routing_domain)
    prefixes = state.prefixes.get(cug.routing_domain, _NO_PREFIXES)
    for subnet in cug.subnets:
        prefixes = prefixes.added(subnet, cug.name) if by > 0 else prefixes.removed(subnet)
    held = state.prefixes.set(cug.routing_domain, prefixes) if names else state.prefixes.delete(cug.routing_domain)
    return replace(state, routed_seats=routed_seats, routed_cugs=routed_cugs, prefixes=held)


def index_vm(state: State, vm: Vm) -> State:
    """Enter a VM's interfaces into the indexes that do not depend on its place."""
    members, macs, ips, reserved, mac_cugs = state.members, state.macs, state.ips, state.reserved, state.mac_cugs
    for number, interface in enumerate(vm.interfaces):
        if (fixed := interface.guest_vlan_id or interface.vlan_id) is not None:
            reserved = _count(reserved, fixed, +1)
        row = members.get(interface.cug, Map())
        members = members.set(interface.cug, row.set(Member(vm.name, number), None))
        macs = macs.set((interface.cug, interface.mac), vm.name)
        mac_cugs = mac_cugs.set(interface.mac, mac_cugs.get(interface.mac, Map()).set(interface.cug, None))
        for ip in interface.addresses:
            ips = ips.set((interface.cug, ip), vm.name)
    return replace(state, members=members, macs=macs, ips=ips, reserved=reserved, mac_cugs=mac_cugs)


def unindex_vm(state: State, vm: Vm) -> State:
    """Return the inverse of `index_vm`."""
    members, macs, ips, reserved, mac_cugs = state.members, state.macs, state.ips, state.reserved, state.mac_cugs
    for number, interface in enumerate(vm.interfaces):
        if (fixed := interface.guest_vlan_id or interface.vlan_id) is not None:
            reserved = _count(reserved, fixed, -1)
        row = members[interface.cug].delete(Member(vm.name, number))
        members = members.set(interface.cug, row) if row else members.delete(interface.cug)
        macs = macs.delete((interface.cug, interface.mac))
        cugs = mac_cugs[interface.mac].delete(interface.cug)
        mac_cugs = mac_cugs.set(interface.mac, cugs) if cugs else mac_cugs.delete(interface.mac)
        for ip in interface.addresses:
            ips = ips.delete((interface.cug, ip))
    return replace(state, members=members, macs=macs, ips=ips, reserved=reserved, mac_cugs=mac_cugs)
