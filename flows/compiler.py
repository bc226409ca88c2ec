"""From state to flows: contributions kept per (object, switch), so that a change recomputes only what it touches.

Objects and what they contribute:

- ``("switch",)``: the flows every switch has (`base`);
- ``("cug", name)``: a segment at a switch that carries it (`segment.segment_entries`);
- ``("hop", name, edge)``: the group that leads to a remote edge (`segment.next_hop`);
- ``("vm", name, number)``: an interface, at every switch that carries its CUG (`interface.interface_flows`).

`Compiler.plan` is pure: it says what would change; `Compiler.adopt` makes that the desired state. Whatever the sequence of
plans, the outcome equals a compile from nothing (`full`): tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from immutables import Map

from ryu_vmmob.flows.base import base_flows
from ryu_vmmob.flows.delta import Delta, SwitchTables, difference
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.interface import interface_flows
from ryu_vmmob.flows.segment import Entry, next_hop, segment_entries
from ryu_vmmob.model.state import Member, State
from ryu_vmmob.paths.presence import Local, Presence

Key = tuple[str, ...]
"""An object: its kind, its name, and what tells its parts apart."""


@dataclass(slots=True)
class Plan:
    """What a new state changes: per (switch, object) the new contribution (empty: gone), and the delta per switch."""

    state: State
    contributions: dict[tuple[str, Key], tuple[Entry, ...]] = field(default_factory=dict)
    deltas: dict[str, Delta] = field(default_factory=dict)


class Compiler:
    """The desired flows and groups of every switch."""

    def __init__(self) -> None:
        self.tables: dict[str, SwitchTables] = {}
        self._state: State | None = None
        self._contributions: dict[str, dict[Key, tuple[Entry, ...]]] = {}
        self._where: dict[Key, set[str]] = {}

    def plan(self, state: State, cugs: Iterable[str], vms: Iterable[str]) -> Plan:
        """What ``state`` changes, given the names of what was touched since the state adopted last. Pure."""
        plan = Plan(state)
        vms = frozenset(vms)
        new = _Recompute(self, state, plan, vms)
        if self._state is None or self._state.fabric is not state.fabric:
            new.switches()
        for name in sorted(cugs):
            new.segment(name)
        for name in sorted(vms):
            new.vm(name)
        by_switch: dict[str, list[tuple[tuple[Entry, ...], tuple[Entry, ...]]]] = {}
        for (switch, key), entries in plan.contributions.items():
            before = self._contributions.get(switch, {}).get(key, ())
            if before != entries:
                by_switch.setdefault(switch, []).append((before, entries))
        for switch, pairs in by_switch.items():
            delta = difference(pairs)
            if switch in self.tables:
                self.tables[switch].check(delta)
            if delta:
                plan.deltas[switch] = delta
        return plan

    def adopt(self, plan: Plan) -> None:
        """Make a plan's outcome the desired state. Only the latest state's plan may be adopted."""
        for (switch, key), entries in plan.contributions.items():
            rows = self._contributions.setdefault(switch, {})
            if entries:
                rows[key] = entries
                self._where.setdefault(key, set()).add(switch)
            else:
                rows.pop(key, None)
                places = self._where.get(key)
                if places is not None:
                    places.discard(switch)
                    if not places:
                        del self._where[key]
        for switch, delta in plan.deltas.items():
            self.tables.setdefault(switch, SwitchTables()).apply(delta)
        # What stays may be another's now: whose a flow is belongs to what people are told, and is in no delta.
        for (switch, _), entries in plan.contributions.items():
            if entries:
                self.tables[switch].own(entries)
        self._state = plan.state

    def where(self, key: Key) -> frozenset[str]:
        """Switches to which an object contributes now."""
        return frozenset(self._where.get(key, ()))

    def presence(self, cug: str) -> Presence | None:
        """Presence of a CUG in the adopted state."""
        return self._state.presences.get(cug) if self._state is not None else None

    @property
    def state(self) -> State | None:
        """The state adopted last; None before the first."""
        return self._state

    def flows(self, switch: str) -> Iterable[Flow]:
        """Desired flows of a switch."""
        tables = self.tables.get(switch)
        return tables.flows.values() if tables is not None else ()

    def groups(self, switch: str) -> Iterable[Group]:
        """Desired groups of a switch."""
        tables = self.tables.get(switch)
        return tables.groups.values() if tables is not None else ()


class _Recompute:
    """One plan in the making."""

    def __init__(self, compiler: Compiler, state: State, plan: Plan, vms: frozenset[str]) -> None:
        self.compiler = compiler
        self.state = state
        self.plan = plan
        self.vms = vms
        """VMs that are recomputed for their own sake."""

    def put(self, switch: str, key: Key, entries: Iterator[Entry] | tuple[Entry, ...]) -> None:
        made = tuple(entries)
        for entry in made:
            entry.owner = key
        self.plan.contributions[switch, key] = made

    def gone(self, key: Key, kept: Iterable[str] = ()) -> None:
        for switch in self.compiler.where(key) - frozenset(kept):
            self.plan.contributions[switch, key] = ()

    def switches(self) -> None:
        for switch in self.state.fabric.switches:
            self.put(switch, ("switch",), base_flows())

    def segment(self, name: str) -> None:
        """A CUG whose presence, VLAN-IDs or tree may have changed: only switches that see a difference are redone."""
        old, new = self.compiler.presence(name), self.state.presences.get(name)
        same_numbers = self._numbers(self.compiler.state, name) == self._numbers(self.state, name)
        if old == new and same_numbers:
            return
        before: Mapping[str, Local] = old.local if old is not None else {}
        now: Mapping[str, Local] = new.local if new is not None else {}
        same_tree = old is not None and new is not None and old.way == new.way
        for switch in sorted(before.keys() - now.keys()):
            self.plan.contributions[switch, ("cug", name)] = ()
        if new is not None:
            cug = self.state.cugs[name]
            for switch, local in now.items():
                if before.get(switch) != local or not same_numbers:
                    self.put(switch, ("cug", name), segment_entries(self.state, cug, switch, local))
        self._hops(name, old, new, same_tree and same_numbers)
        self._members(name, old, new, same_tree)

    def _renumbered(self, name: str, local: Local) -> bool:
        """Whether local servers are spoken to under another VLAN-ID than before."""
        domains = {self.state.fabric.servers[server].l2_domain for server in local.servers}
        before, now = self._numbers(self.compiler.state, name)[1], self._numbers(self.state, name)[1]
        return any(before.get(domain) != now.get(domain) for domain in domains if domain is not None)

    def _numbers(self, state: State | None, name: str) -> tuple[int, Map[str, int]]:
        """A CUG's segment key (0: there is none) and its VLAN-IDs."""
        cug = state.cugs.get(name) if state is not None else None
        return (cug.key, state.vlan_ids(name)) if state is not None and cug is not None else (0, Map())

    def _hops(self, name: str, old: Presence | None, new: Presence | None, same: bool) -> None:
        """Next hops: everywhere to a new edge, from a new switch to every edge; all of them when the tree changed."""
        edges_before = old.edges if old is not None else frozenset()
        edges_now = new.edges if new is not None else frozenset()
        for edge in edges_before - edges_now:
            self.gone(("hop", name, edge))
        if new is None:
            return
        left = frozenset(old.local if old is not None else ()) - frozenset(new.local)
        joined = frozenset(new.local) - frozenset(old.local if old is not None else ())
        cug = self.state.cugs[name]
        for edge in edges_now:
            key = ("hop", name, edge)
            for switch in left & self.compiler.where(key):
                self.plan.contributions[switch, key] = ()
            for switch in joined if same and edge in edges_before else new.local:
                if switch != edge:
                    self.put(switch, key, (next_hop(self.state, cug, switch, edge, new),))

    def _members(self, name: str, old: Presence | None, new: Presence | None, same_tree: bool) -> None:
        """Members' flows at switches that joined or left the segment, became or ceased to be an edge, or got a new VLAN-ID.

        A changed tree alone changes groups, not members: except for a VM that moves, whose two ways may now part elsewhere.
        """
        before: Mapping[str, Local] = old.local if old is not None else {}
        now: Mapping[str, Local] = new.local if new is not None else {}
        left = before.keys() - now.keys()
        changed = [
            switch
            for switch, local in now.items()
            if switch not in before or before[switch].edge != local.edge or (local.edge and self._renumbered(name, local))
        ]
        if not left and not changed and same_tree:
            return
        for member in self.state.members.get(name, Map()):
            if member.vm in self.vms:
                continue
            key = _vm_key(member)
            for switch in left:
                self.plan.contributions[switch, key] = ()
            if new is None:
                continue
            moving = not same_tree and self.state.vms[member.vm].migration is not None
            for switch in now if moving else changed:
                self._interface(member, switch, new)

    def _interface(self, member: Member, switch: str, found: Presence) -> None:
        vm = self.state.vms[member.vm]
        interface = vm.interfaces[member.number]
        cug = self.state.cugs[interface.cug]
        flows = interface_flows(self.state, cug, interface, self.state.seats_of(vm), switch, found)
        self.put(switch, _vm_key(member), flows)

    def vm(self, name: str) -> None:
        """A VM that came, went, changed or moved on: its interfaces at every switch that carries their CUGs."""
        vm = self.state.vms.get(name)
        interfaces = vm.interfaces if vm is not None else ()
        for number, interface in enumerate(interfaces):
            member = Member(name, number)
            found = self.state.presences[interface.cug]
            self.gone(_vm_key(member), found.local)
            for switch in found.local:
                self._interface(member, switch, found)
        old = self.compiler.state.vms.get(name) if self.compiler.state is not None else None
        for number in range(len(interfaces), len(old.interfaces) if old is not None else 0):
            self.gone(_vm_key(Member(name, number)))


def _vm_key(member: Member) -> Key:
    return ("vm", member.vm, str(member.number))


def full(state: State) -> Compiler:
    """A compile from nothing."""
    compiler = Compiler()
    compiler.adopt(compiler.plan(state, state.cugs, state.vms))
    return compiler
