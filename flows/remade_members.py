"""The part of `Recompute` for members: their flows, the routes to them, and their CUGs on the cables of servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from immutables import Map

from ryu_vmmob.flows import cable
from ryu_vmmob.flows.interface import elsewhere, interface_flows
from ryu_vmmob.flows.making import Making, identity_of, local_of
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.ports import tags_at
from ryu_vmmob.flows.routes import interface_routes
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.presence import Local, Presence
from ryu_vmmob.model.state import Member, State, Twin

_NO_VNICS: Map[int, int] = Map()
_NO_TWINS: Map[int, Twin] = Map()
_NO_EDGES: frozenset[str] = frozenset()


class Members(Making):
    """The part of a plan that concerns VMs, and switches that have flows for a CUG's members."""

    def _members(self, name: str, old: Presence | None, new: Presence | None, *, same_tree: bool) -> None:
        """Members' flows at switches that joined or left the segment, became or ceased to be an edge, or got new tags.

        A changed tree alone changes groups, not members: except for a VM that moves, whose two ways may now part elsewhere.
        ``same_tree``: neither that nor the links between neighbours have changed.
        """
        before, now = local_of(old), local_of(new)
        left = before.keys() - now.keys()
        another = identity_of(self.before, name) != identity_of(self.state, name) or name in self.change.whole
        changed = [
            switch
            for switch, local in now.items()
            if another
            or switch not in before
            or before[switch].edge != local.edge
            or (local.edge and self._renumbered(name, local))
            or self._tags(self.before, name, before[switch]) != self._tags(self.state, name, local)
        ]
        if not left and not changed and same_tree:
            return
        for member in self.state.members.get(name, Map()):
            moving = not same_tree and self.state.vms[member.vm].migration is not None
            if member.vm in self._vms or not (left or changed or moving):
                continue
            key = _vm_key(member)
            for switch in left:
                self._plan.contributions[switch, key] = ()
            if new is None:
                continue
            self._interface(member, now if moving else changed, new)

    def _tags(self, state: State | None, name: str, local: Local) -> list[tuple[str, tuple[int | None, ...]]]:
        """Local servers where frames of the CUG have several tags, and which: there its members are spoken to across tags."""
        if state is None or all(wire.guest_vlan_id is None for wire in local.wires):
            return []
        found = [(server, tags_at(state, name, local, server)) for server in local.servers]
        return [(server, tags) for server, tags in found if len(tags) > 1]

    def _renumbered(self, name: str, local: Local) -> bool:
        """Whether local servers are spoken to under another VLAN-ID than before."""
        domains = {self.state.fabric.servers[server].l2_domain for server in local.servers}
        before = self.before.vlan_ids(name) if self.before is not None else Map()
        now = self.state.vlan_ids(name)
        return any(before.get(domain) != now.get(domain) for domain in domains if domain is not None)

    def _interface(self, member: Member, switches: Iterable[str], found: Presence) -> None:
        """Redo an interface's flows at some switches of its CUG; where they are equal they are the same objects."""
        vm = self.state.vms[member.vm]
        interface, key = vm.interfaces[member.number], _vm_key(member)
        cug, seats = self.state.cugs[interface.cug], self.state.seats_of(vm)
        made: dict[tuple[object, ...], tuple[Entry, ...]] = {}
        for switch in switches:
            alike = elsewhere(self.state, cug, seats, switch, found)
            if alike is not None and alike in made:
                self._plan.contributions[switch, key] = made[alike]
                continue
            self._put(switch, key, interface_flows(self.state, cug, vm, member.number, seats, switch, found))
            if alike is not None:
                made[alike] = self._plan.contributions[switch, key]

    def _routes(self, member: Member, at: frozenset[str] | None = None, left: frozenset[str] = _NO_EDGES) -> None:
        """Host routes to an interface at the edges of its routing domain: at all, or at those named and no more at ``left``."""
        vm = self.state.vms[member.vm]
        interface = vm.interfaces[member.number]
        cug, key = self.state.cugs[interface.cug], _route_key(member)
        domain = self.state.routing_domain(cug)
        if domain is None:
            self._gone(key)
            return
        edges, seats = self.state.edges_of_scope(cug), self.state.seats_of(vm)
        if at is None:
            self._gone(key, edges)
        else:
            for switch in left & self._where(key) if left else ():
                self._plan.contributions[switch, key] = ()
        for switch in edges if at is None else at & edges:
            self._put(switch, key, interface_routes(self.state, domain, interface, seats, switch))

    def _vm(self, name: str) -> None:
        """Redo a VM that came, went, changed or moved on: its interfaces at every switch that carries or routes to
        their CUGs.
        """
        vm = self.state.vms.get(name)
        interfaces = vm.interfaces if vm is not None else ()
        for number, interface in enumerate(interfaces):
            member = Member(name, number)
            found = self.state.presences[interface.cug]
            self._gone(_vm_key(member), found.local)
            self._interface(member, found.local, found)
            self._routes(member)
        old = self.before.vms.get(name) if self.before is not None else None
        for number in range(len(interfaces), len(old.interfaces) if old is not None else 0):
            self._gone(_vm_key(Member(name, number)))
            self._gone(_route_key(Member(name, number)))

    def _cables_touched(self) -> Mapping[tuple[str, str], set[int]]:
        """(CUG, server) -> VLAN-IDs of every cable on which vNICs came, went, or changed."""
        found: dict[tuple[str, str], set[int]] = {}
        states = [state for state in (self.before, self.state) if state is not None]
        names = self._breath.through(sorted(self._vms))
        for vm in (state.vms[name] for name in names for state in states if name in state.vms):
            for server, row in vm.vlan_ids.items():
                for interface, tag in zip(vm.interfaces, row, strict=True):
                    found.setdefault((interface.cug, server), set()).add(tag)
        return found

    def _cable(self, name: str, server: str, changed: set[int] | None) -> None:
        """Redo a CUG on the cable of a server with tagging per interface: what ``changed`` touches there, or (None)
        all of it.
        """
        pair, key = (name, server), Owner(OwnerKind.CABLE, name, server)
        before = self.before.vnics.get(pair, _NO_VNICS) if self.before is not None else _NO_VNICS
        now = self.state.vnics.get(pair, _NO_VNICS)
        if pair in self._cables or (not before and not now):
            return
        tags, nodes = cable.touched(self.before, self.state, name, server, changed or set())
        if changed is None:
            self._cables.add(pair)
            tags, nodes = {*before, *now}, {*before, *now}
        where = self.state.fabric.servers.get(server)
        twins_before = self.before.twins.get(pair, _NO_TWINS) if self.before is not None else _NO_TWINS
        twins = self.state.twins.get(pair, _NO_TWINS)
        for tag in set(twins_before) - set(twins):
            self._gone(_twin_key(key, tag))
        if not now or where is None:
            for part in (key, *(_vnic_key(key, tag) for tag in tags), *(_node_key(key, number) for number in nodes)):
                self._gone(part)
            return
        local = self.state.presences[name].local[where.switch]
        made = cable.Cable(self.state, self.state.cugs[name], where, local)
        self._put(where.switch, key, made.whole())
        for tag in sorted(tags):
            self._put(where.switch, _vnic_key(key, tag), made.of_vnic(tag) if tag in now else ())
        for number in sorted(nodes):
            self._put(where.switch, _node_key(key, number), made.of_node(number))
        for tag in sorted(twins):
            self._put(where.switch, _twin_key(key, tag), made.of_twin(tag))


# One object for all switches, as the owner of all its flows.
@lru_cache(maxsize=4096)
def _vm_key(member: Member) -> Owner:
    return Owner(OwnerKind.VM, member.vm, str(member.number))


def _vnic_key(cable_key: Owner, tag: int) -> Owner:
    return cable_key._replace(piece="vnic", number=str(tag))


def _node_key(cable_key: Owner, number: int) -> Owner:
    return cable_key._replace(piece="node", number=str(number))


def _twin_key(cable_key: Owner, tag: int) -> Owner:
    return cable_key._replace(piece="twin", number=str(tag))


@lru_cache(maxsize=4096)
def _route_key(member: Member) -> Owner:
    return Owner(OwnerKind.ROUTE, member.vm, str(member.number))
