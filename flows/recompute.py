"""Which contributions a change makes anew: those of what was touched, at the switches that see a difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain

from immutables import Map

from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows import cable, fragments
from ryu_vmmob.flows.base import base_flows, punt, refusals
from ryu_vmmob.flows.dialect import questions, spoken
from ryu_vmmob.flows.external import external_entries
from ryu_vmmob.flows.gateway import gateway_in_scope, gateway_on_link
from ryu_vmmob.flows.interface import elsewhere, interface_flows
from ryu_vmmob.flows.meters import ports_of
from ryu_vmmob.flows.owner import EVERY_SWITCH, Owner, OwnerKind
from ryu_vmmob.flows.plan import Plan
from ryu_vmmob.flows.policy import edges_of_policy, policy_flows
from ryu_vmmob.flows.ports import tags_at
from ryu_vmmob.flows.routes import interface_routes, routing_entries, transit
from ryu_vmmob.flows.segment import Entry, next_hop, segment_entries
from ryu_vmmob.flows.trees import closed
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.draft import Change
from ryu_vmmob.model.objects import Cug, RoutingDomain, Segment, routed_segment
from ryu_vmmob.model.presence import Local, Presence
from ryu_vmmob.model.state import Member, State, Twin
from ryu_vmmob.net.addresses import mac

_NOWHERE: Mapping[str, Local] = {}
_NO_VNICS: Map[int, int] = Map()
_NO_TWINS: Map[int, Twin] = Map()
_NO_EDGES: frozenset[str] = frozenset()
_PUNT = Owner(OwnerKind.PUNT)
_TREES = Owner(OwnerKind.TREES)


class Recompute:
    """One plan in the making: from the state ``before`` (None: nothing yet), where objects contribute as ``where`` says."""

    def __init__(
        self, before: State | None, where: Callable[[Owner], frozenset[str]], change: Change, plan: Plan, breath: Breath
    ) -> None:
        self.before = before
        self.state = change.state
        self.change = change
        self._where = where
        self._plan = plan
        self._breath = breath
        self._gateway_mac = mac(change.state.fabric.gateway_mac)
        self._cables: set[tuple[str, str]] = set()
        self._vms = frozenset(name for name in change.vms if self._differs(name))

    def everything(self) -> None:
        """Make all of it."""
        change = self.change
        if self.before is None or self.before.fabric is not self.state.fabric:
            self._switches()
        self._trees()
        for name in sorted(change.cugs):
            self._cug(name)
        for name in sorted(change.routing_domains):
            self._routing_domain(name)
        for name in sorted(self._vms):
            self._vm(name)
        for (cug, server), tags in self._cables_touched().items():
            self._cable(cug, server, tags)
        for name, edges in self._policies_touched().items():
            self._policy(name, edges)

    def _differs(self, name: str) -> bool:
        """Whether a VM itself gives its flows a reason to change: a phase that leaves its seats alone does not."""
        before, state = self.before, self.state
        if before is None or name not in before.vms or name not in state.vms:
            return True
        old, new = before.vms[name], state.vms[name]
        if (old.interfaces, old.vlan_ids) != (new.interfaces, new.vlan_ids):
            return True
        return before.seats_of(old) != state.seats_of(new)

    def _put(self, switch: str, key: Owner, entries: Iterable[Entry]) -> None:
        found = self.state.fabric.switches[switch]
        told = fragments.told(found, entries)
        known = {"l4_masks": found.l4_masks, "meters": found.meters}
        made = tuple(spoken(found.dialect, told, **known, gateway_mac=self._gateway_mac))
        for entry in made:
            entry.owner = key
        self._plan.contributions[switch, key] = made
        self._breath.worked()

    def _gone(self, key: Owner, kept: Iterable[str] = ()) -> None:
        for switch in self._where(key) - frozenset(kept):
            self._plan.contributions[switch, key] = ()

    def _switches(self) -> None:
        gateway_mac = self._gateway_mac
        for switch in self.state.fabric.switches:
            plain = self.state.fabric.switches[switch].dialect is Dialect.OPENFLOW13
            self._put(switch, EVERY_SWITCH, chain(base_flows(gateway_mac), questions(gateway_mac) if plain else ()))
            self._put(switch, _PUNT, map(punt, ports_of(self.state.fabric, switch)))
        for name, server in self.state.fabric.servers.items():
            self._gone(Owner(OwnerKind.SERVER, name), (server.switch,))
            self._put(server.switch, Owner(OwnerKind.SERVER, name), refusals(server))
        if self.before is not None:
            self._taken_away(self.before.fabric)

    def _trees(self) -> None:
        """Which trees lead where, at the switches where that has changed: with backup paths installed frames are told apart
        by it (`trees.closed`).
        """
        before, state = self.before, self.state
        if not state.backups:
            self._gone(_TREES)
            return
        if before is not None and before.fabric is state.fabric and (before.trees, before.ways) == (state.trees, state.ways):
            return
        for switch in state.fabric.switches:
            self._put(switch, _TREES, closed(state, switch))

    def _taken_away(self, before: Fabric) -> None:
        """Drop what the fabric had and has no more, beside segments."""
        fabric = self.state.fabric
        for switch in before.switches.keys() - fabric.switches.keys():
            self._gone_at(switch, EVERY_SWITCH)
            self._gone_at(switch, _PUNT)
            self._gone_at(switch, _TREES)
        for name in before.servers.keys() - fabric.servers.keys():
            self._gone(Owner(OwnerKind.SERVER, name))
        for name, external in before.externals.items():
            now = fabric.externals.get(name)
            if now is None or (now.routing_domain, now.attach.switch) != (external.routing_domain, external.attach.switch):
                self._gone(Owner(OwnerKind.EXTERNAL, name))

    def _gone_at(self, switch: str, key: Owner) -> None:
        self._plan.contributions[switch, key] = ()

    # Segments

    def _presences(self, segment: str) -> tuple[Presence | None, Presence | None]:
        old = self.before.presences.get(segment) if self.before is not None else None
        return old, self.state.presences.get(segment)

    def _cug(self, name: str) -> None:
        """Redo a CUG whose presence, VLAN-IDs, tree or addresses may have changed, at the switches that see a difference."""
        old, new = self._presences(name)
        cug = self.state.cugs.get(name)
        inside = _facts(self.before, name) == _facts(self.state, name) and name not in self.change.whole
        same = inside and name not in self.change.anew
        domains = self._renumbered_domains(name)
        numbers = self._switches_of(domains)
        self._gateway(name, again=not inside)
        if old == new and same and not domains:
            return
        before, now = _local(old), _local(new)
        for switch in sorted(before.keys() - now.keys()):
            self._plan.contributions[switch, Owner(OwnerKind.CUG, name)] = ()
        if cug is not None:
            for switch, local in now.items():
                if before.get(switch) != local or not same or switch in numbers:
                    self._put(switch, Owner(OwnerKind.CUG, name), self._segment(cug, switch, local))
                    for server in local.servers:
                        self._cable(name, server, None)
        same_tree = old is not None and new is not None and old.way == new.way
        self._hops(name, cug, old, new, same=same_tree and same, numbers=numbers)
        # Frames in passing are known by their ports, so links that came or went between neighbours count as well.
        self._members(name, old, new, same_tree=same_tree and name not in self.change.anew)
        if not inside or self._had_seats(name, domains):
            for member in self.state.members.get(name, Map()):
                if member.vm not in self._vms and (not inside or self._sits_in(member.vm, domains)):
                    self._routes(member)

    def _renumbered_domains(self, segment: str) -> frozenset[str]:
        """L2 domains where the segment has another VLAN-ID than before, or has one only before or only now."""
        before = self.before.vlan_ids(segment) if self.before is not None else Map[str, int]()
        now = self.state.vlan_ids(segment)
        if before is now:
            return frozenset()
        return frozenset(domain for domain in {*before, *now} if before.get(domain) != now.get(domain))

    def _switches_of(self, domains: Iterable[str]) -> frozenset[str]:
        """Switches with a port in one of these L2 domains: a segment's own flows there say its VLAN-ID."""
        fabric = self.state.fabric
        return frozenset().union(*(fabric.switches_of_domain.get(domain, ()) for domain in domains))

    def _had_seats(self, cug: str, domains: frozenset[str]) -> bool:
        """Whether the CUG had a seat at a server of these domains before: there it was starved, or is now (`State.speaks`)."""
        if self.before is None or not domains:
            return False
        servers = self.before.fabric.servers
        return any(servers[wire.server].l2_domain in domains for wire in self.before.occupancy.get(cug, ()))

    def _sits_in(self, vm: str, domains: frozenset[str]) -> bool:
        servers = self.state.fabric.servers
        return any(servers[seat.server].l2_domain in domains for seat in self.state.seats_of(self.state.vms[vm]))

    def _segment(self, cug: Cug, switch: str, local: Local) -> Iterator[Entry]:
        yield from segment_entries(self.state, cug, switch, local)
        if local.edge:
            yield from gateway_on_link(self.state, cug)

    def _cables_touched(self) -> Mapping[tuple[str, str], set[int]]:
        """(CUG, server) -> VLAN-IDs of every cable on which vNICs came, went, or changed."""
        found: dict[tuple[str, str], set[int]] = {}
        states = [state for state in (self.before, self.state) if state is not None]
        for vm in [state.vms[name] for name in sorted(self._vms) for state in states if name in state.vms]:
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

    def _gateway(self, name: str, *, again: bool) -> None:
        """Redo a CUG's gateway at the edges of its scope: at those that are new there, or at all of them."""
        cug, key = self.state.cugs.get(name), Owner(OwnerKind.GATEWAY, name)
        if cug is None:
            self._gone(key)
            return
        edges = self.state.edges_of_scope(cug)
        self._gone(key, edges)
        for switch in edges if again else edges - self._where(key):
            self._put(switch, key, gateway_in_scope(self.state, cug, switch))

    def _routing_domain(self, name: str) -> None:
        """Redo a routing domain whose presence, VLAN-IDs, tree or exits may have changed."""
        segment = routed_segment(name)
        old, new = self._presences(segment)
        domain = self.state.routing_domains.get(name)
        inside = _facts(self.before, segment) == _facts(self.state, segment) and segment not in self.change.whole
        same = inside and segment not in self.change.anew
        numbers = self._switches_of(self._renumbered_domains(segment))
        exits = self.before is not None and _outside(self.before) == _outside(self.state)
        if old == new and same and exits and not numbers:
            return
        before, now = _local(old), _local(new)
        same_tree = old is not None and new is not None and old.way == new.way
        for switch in sorted(before.keys() - now.keys()):
            self._plan.contributions[switch, Owner(OwnerKind.ROUTING_DOMAIN, name)] = ()
        if domain is not None and new is not None:
            for switch, local in now.items():
                # How far an exit is away is a matter of the whole tree.
                far = local.edge and not (exits and same_tree)
                if before.get(switch) != local or not same or switch in numbers or far:
                    self._put(
                        switch, Owner(OwnerKind.ROUTING_DOMAIN, name), routing_entries(self.state, domain, switch, local, new)
                    )
        self._hops(segment, domain, old, new, same=same_tree and same, numbers=numbers)
        self._edges(name, old, new, same=inside)
        for external in self.state.fabric.externals.values():
            if external.routing_domain == name:
                entries = external_entries(self.state, domain, external) if domain is not None else ()
                self._put(external.attach.switch, Owner(OwnerKind.EXTERNAL, external.name), entries)

    def _edges(self, name: str, old: Presence | None, new: Presence | None, *, same: bool) -> None:
        """Gateways and routes of the whole domain at edges that joined; nothing of it at those that left."""
        before = old.edges if old is not None and same else frozenset()
        now = new.edges if new is not None else frozenset()
        if (old.edges if old is not None else frozenset()) == now and same:
            return
        for cug in self.state.routed_cugs.get(name, Map()):
            self._gateway(cug, again=not same)
            for member in self.state.members.get(cug, Map()):
                if member.vm not in self._vms:
                    self._routes(member, now - before, before - now)

    def _hops(
        self,
        name: str,
        segment: Segment | None,
        old: Presence | None,
        new: Presence | None,
        *,
        same: bool,
        numbers: frozenset[str],
    ) -> None:
        """Next hops: everywhere to a new edge, from a new switch to every edge; all of them when the tree changed.

        ``numbers``: switches where the segment has another VLAN-ID on some port; from there to every edge as well.
        """
        edges_before = old.edges if old is not None else frozenset()
        edges_now = new.edges if new is not None else frozenset()
        for edge in edges_before - edges_now:
            self._gone(Owner(OwnerKind.HOP, name, edge))
        if new is None or segment is None:
            return
        left = frozenset(_local(old)) - frozenset(new.local)
        joined = frozenset(new.local) - frozenset(_local(old)) | (numbers & frozenset(new.local))
        # A switch that stood by, or that the segment came to by another way only, has next hops that led nowhere.
        joined |= {at for at, local in new.local.items() if local.ready and at not in joined and _ways(old, at) != local.ways}
        for edge in edges_now:
            key = Owner(OwnerKind.HOP, name, edge)
            for switch in left & self._where(key):
                self._plan.contributions[switch, key] = ()
            for switch in joined if same and edge in edges_before else new.local:
                if switch != edge:
                    self._put(switch, key, self._hop(segment, switch, edge, new))

    def _hop(self, segment: Segment, switch: str, edge: str, found: Presence) -> Iterator[Entry]:
        yield next_hop(self.state, segment, switch, edge, found)
        if isinstance(segment, RoutingDomain):
            yield transit(self.state, segment, edge)

    # Members

    def _members(self, name: str, old: Presence | None, new: Presence | None, *, same_tree: bool) -> None:
        """Members' flows at switches that joined or left the segment, became or ceased to be an edge, or got new tags.

        A changed tree alone changes groups, not members: except for a VM that moves, whose two ways may now part elsewhere.
        ``same_tree``: neither that nor the links between neighbours have changed.
        """
        before, now = _local(old), _local(new)
        left = before.keys() - now.keys()
        another = _identity(self.before, name) != _identity(self.state, name) or name in self.change.whole
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

    # Policies

    def _policies_touched(self) -> Mapping[str, frozenset[str] | None]:
        """Policies to be made anew, with the edges where (None: all of them)."""
        found: dict[str, frozenset[str] | None] = {}

        def touch(names: Iterable[str], edges: frozenset[str] | None) -> None:
            for name in names:
                before = found.get(name, _NO_EDGES)
                found[name] = None if edges is None or before is None else before | edges

        touch(self.change.policies, None)
        for vm in self._vms:
            touch(self.state.policies_of.get(("vm", vm), ()), self._edges_of_vm(vm))
        for cug in self.change.cugs:
            joined, found_cug = self._joined(cug), self.state.cugs.get(cug)
            alone = found_cug is not None and found_cug.routing_domain is None
            if _facts(self.before, cug) != _facts(self.state, cug):
                touch(self._policies_about(cug), None)
            elif joined:
                touch(self._policies_about(cug) if alone else self.state.policies_of.get(("cug", cug), ()), joined)
            touch(self.state.policies_of.get(("any", ""), ()), joined)
        for domain in self.change.routing_domains:
            if joined := self._joined(routed_segment(domain)):
                for cug in self.state.routed_cugs.get(domain, ()):
                    touch(self._policies_about(cug), joined)
                touch(self.state.policies_of.get(("any", ""), ()), joined)
        return found

    def _policies_about(self, cug: str) -> Iterator[str]:
        """Policies with an end that names the CUG, or a VM in it."""
        index = self.state.policies_of
        yield from index.get(("cug", cug), ())
        for member in self.state.members.get(cug, ()):
            yield from index.get(("vm", member.vm), ())

    def _joined(self, segment: str) -> frozenset[str]:
        """Edges that joined a segment or left it."""
        old, new = self._presences(segment)
        return (old.edges if old is not None else _NO_EDGES) ^ (new.edges if new is not None else _NO_EDGES)

    def _edges_of_vm(self, name: str) -> frozenset[str] | None:
        """Where a VM's seats differ; None when its addresses do."""
        old = self.before.vms.get(name) if self.before is not None else None
        new = self.state.vms.get(name)
        if old is None or new is None or self.before is None or old.interfaces != new.interfaces:
            return None
        seats = (*self.before.seats_of(old), *self.state.seats_of(new))
        return frozenset(self.state.fabric.servers[seat.server].switch for seat in seats)

    def _policy(self, name: str, edges: frozenset[str] | None) -> None:
        """Redo a policy at the edges where it can matter: at those named, or at all of them."""
        policy, key = self.state.policies.get(name), Owner(OwnerKind.POLICY, name)
        if policy is None:
            self._gone(key)
            return
        wanted = edges_of_policy(self.state, policy)
        self._gone(key, wanted)
        for switch in wanted if edges is None else wanted & edges:
            self._put(switch, key, policy_flows(self.state, policy, switch))


def _local(found: Presence | None) -> Mapping[str, Local]:
    return found.local if found is not None else _NOWHERE


def _ways(found: Presence | None, at: str) -> tuple[str, ...]:
    local = _local(found).get(at)
    return local.ways if local is not None else ()


def _identity(state: State | None, segment: str) -> tuple[int, int]:
    """Return a segment's key and scope (0: there is none): what its members' flows say in the metadata."""
    found = state.segment(segment) if state is not None else None
    if state is None or found is None:
        return 0, 0
    return found.key, state.scope(found) if isinstance(found, Cug) else found.key


def _facts(state: State | None, segment: str) -> object:
    """All that a segment's own flows depend on beside its presence and its VLAN-IDs, which count where they are on a port."""
    found = state.segment(segment) if state is not None else None
    if state is None or found is None:
        return None
    addresses = (found.subnets, found.gateways) if isinstance(found, Cug) else ()
    return _identity(state, segment), addresses


def _outside(state: State) -> object:
    """Return what exits depend on beside the tree."""
    return state.neighbours, state.externals_down


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
