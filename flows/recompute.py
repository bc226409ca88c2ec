"""Recompute: which contributions a change makes again.

A change names the objects that a command touched. From these follow the contributions at risk: those of the objects themselves,
and those that read them. Each is made again at the switches that can see a difference, and nowhere else.

| touched | made again | at |
|---|---|---|
| CUG, routing domain | its segment, next hops and gateway | switches whose presence, VLAN-ID or tree differs |
| its addresses or its scope | its gateway, the routes to its members | every edge of the scope |
| VM | its interfaces, its cables, the routes to it | its seats; the edges of its scope |
| policy | its flows | edges of its scope where an end can be |
| fabric, trees | the switch's own flows, servers, external networks | switches that differ |

When a contribution is missed here, the property tests fail: the tables then differ from those of `full`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from immutables import Map

from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows.base import base_flows, punt, refusals
from ryu_vmmob.flows.dialect import questions
from ryu_vmmob.flows.external import external_entries
from ryu_vmmob.flows.gateway import gateway_in_scope, gateway_on_link
from ryu_vmmob.flows.making import facts_of, local_of
from ryu_vmmob.flows.meters import ports_of
from ryu_vmmob.flows.owner import EVERY_SWITCH, Owner, OwnerKind
from ryu_vmmob.flows.remade_members import Members
from ryu_vmmob.flows.remade_policies import Policies
from ryu_vmmob.flows.routes import routing_entries, transit
from ryu_vmmob.flows.segment import Entry, next_hop, segment_entries
from ryu_vmmob.flows.trees import closed
from ryu_vmmob.model.objects import Cug, RoutingDomain, Segment, routed_segment
from ryu_vmmob.model.presence import Local, Presence
from ryu_vmmob.model.state import State

_PUNT = Owner(OwnerKind.PUNT)
_TREES = Owner(OwnerKind.TREES)


class Recompute(Members, Policies):
    """One plan in the making: switches, segments and their next hops, with `Members` and `Policies`."""

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
        """Redo the drops of frames outside their tree (`trees.closed`): with backup paths, and where trees have changed."""
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

    def _cug(self, name: str) -> None:
        """Redo a CUG whose presence, VLAN-IDs, tree or addresses may have changed, at the switches that see a difference."""
        old, new = self._presences(name)
        cug = self.state.cugs.get(name)
        inside = facts_of(self.before, name) == facts_of(self.state, name) and name not in self.change.whole
        same = inside and name not in self.change.rebuilt
        domains = self._renumbered_domains(name)
        numbers = self._switches_of(domains)
        self._gateway(name, again=not inside)
        if old == new and same and not domains:
            return
        before, now = local_of(old), local_of(new)
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
        self._members(name, old, new, same_tree=same_tree and name not in self.change.rebuilt)
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
        inside = facts_of(self.before, segment) == facts_of(self.state, segment) and segment not in self.change.whole
        same = inside and segment not in self.change.rebuilt
        numbers = self._switches_of(self._renumbered_domains(segment))
        exits = self.before is not None and _outside(self.before) == _outside(self.state)
        if old == new and same and exits and not numbers:
            return
        before, now = local_of(old), local_of(new)
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
        left = frozenset(local_of(old)) - frozenset(new.local)
        joined = frozenset(new.local) - frozenset(local_of(old)) | (numbers & frozenset(new.local))
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


def _ways(found: Presence | None, at: str) -> tuple[str, ...]:
    local = local_of(found).get(at)
    return local.ways if local is not None else ()


def _outside(state: State) -> object:
    """Return what exits depend on beside the tree."""
    return state.neighbours, state.externals_down
