"""A draft: the state while commands are applied to it, and the objects that they touched.

All or nothing: a refusal throws the draft away and the old state stands. `Draft.finish` derives presence and VLAN-IDs once
for everything that was touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import chain
from typing import Any, NamedTuple

from immutables import Map

from ryu_vmmob.model.allocation import Lowest, allocate, free_segment_key
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.cables import number, refuse_other_tag
from ryu_vmmob.model.extent import presence, routed_presence
from ryu_vmmob.model.guests import refuse_wires
from ryu_vmmob.model.local_switching import refuse_separated
from ryu_vmmob.model.news import Event as Event
from ryu_vmmob.model.news import freed_news, objects_news, presence_news, vnic_news
from ryu_vmmob.model.objects import Address, Cug, Leg, Migration, RoutingDomain, Seat, Segment, Vm, routed_segment
from ryu_vmmob.model.policy import Policy
from ryu_vmmob.model.policy_index import index_labels, index_policy, refuse_large, unindex_labels, unindex_policy
from ryu_vmmob.model.presence import Presence, domains
from ryu_vmmob.model.state import State, index_vm, route_cug, seat_vm, unindex_vm


class Change(NamedTuple):
    """The result of commands: the new state, and the names of the objects that they touched."""

    state: State
    cugs: frozenset[str]
    vms: frozenset[str]
    migrations: frozenset[str]
    policies: frozenset[str]
    events: tuple[Event, ...]
    routing_domains: frozenset[str] = frozenset()
    neighbours: frozenset[tuple[str, Address]] = frozenset()
    batches: frozenset[str] = frozenset()
    batch_vms: frozenset[tuple[str, int]] = frozenset()
    """(batch, number)."""
    quarantined: frozenset[tuple[str, int]] = frozenset()
    """(domain, segment key) whose VLAN-ID began or ended to rest."""
    rested: frozenset[tuple[str, int]] = frozenset()
    """(server, VLAN-ID) that began or ended to rest on a cable."""
    rebuilt: frozenset[str] = frozenset()
    """Segments whose trunks the fabric itself has changed: their own flows and groups are made again."""
    whole: frozenset[str] = frozenset()
    """Those of them whose members' and gateways' flows are made again as well."""


def everything(state: State) -> Change:
    """Return the change that made all of ``state``, as if it had come at once."""
    return Change(
        state, frozenset(state.cugs), frozenset(state.vms), frozenset(state.migrations), frozenset(state.policies), (),
        frozenset(state.routing_domains), frozenset(state.neighbours),
    )  # fmt: skip


class Draft:
    """One all-or-nothing change. ``now`` in seconds since the epoch."""

    def __init__(self, state: State, now: float, breath: Breath | None = None) -> None:
        self.before = state
        self.breath = breath or Breath()
        self.state = replace(state, revision=state.revision + 1)
        self.now = now
        self.strict = True
        self.cugs: set[str] = set()
        self.vms: set[str] = set()
        self.migrations: set[str] = set()
        self.routing_domains: set[str] = set()
        self.neighbours: set[tuple[str, Address]] = set()
        self.policies: set[str] = set()
        self.batches: set[str] = set()
        self.batch_vms: set[tuple[str, int]] = set()
        self.quarantined: set[tuple[str, int]] = set()
        self.rested: set[tuple[str, int]] = set()
        self.rebuilt: set[str] = set()
        self.whole: set[str] = set()
        self.wanted_keys: dict[str, int] = {}
        """Segment that may come -> the key kept for it (`numbers.KeepNumbers`)."""
        self._entered: set[tuple[str, str]] = set()
        """(VM, server) of new seats."""
        self.events: list[Event] = []
        self._lowest = Lowest()

    def event(self, kind: str, **data: Any) -> None:
        """Note something to tell once the change is durable."""
        self.events.append(Event(kind, data))

    def new_key(self, segment: str) -> int:
        """Return the key for a segment that comes: the one kept for it, or the next free one. Raises Refusal (409)."""
        kept = self.wanted_keys.pop(segment, None)
        if kept is not None and kept not in self.state.segment_names:
            return kept
        return free_segment_key(self.state, frozenset(self.wanted_keys.values()))

    def put_cug(self, cug: Cug) -> None:
        """Write a CUG, with its pins and its key, in the routing domain that it names."""
        old = self.state.cugs.get(cug.name)
        self._unroute(old)
        state = self.state
        pins = state.pins
        for pair in old.pins.items() if old is not None else ():
            pins = pins.delete(pair)
        for pair in cug.pins.items():
            pins = pins.set(pair, cug.name)
        cug = replace(cug, revision=state.revision)
        self.state = replace(
            state,
            cugs=state.cugs.set(cug.name, cug),
            pins=pins,
            segment_names=state.segment_names.set(cug.key, cug.segment),
            last_segment_key=cug.key if old is None else state.last_segment_key,
        )
        self._route(cug)
        self.cugs.add(cug.name)

    def drop_cug(self, cug: Cug) -> None:
        """Delete a CUG that has no members."""
        self._unroute(cug)
        state = self.state
        pins = state.pins
        for pair in cug.pins.items():
            pins = pins.delete(pair)
        self.state = replace(
            state, cugs=state.cugs.delete(cug.name), pins=pins, segment_names=state.segment_names.delete(cug.key)
        )
        # At once: a CUG that is made again under this name, by the same change even, is another segment.
        self._number(cug, frozenset(), frozenset())
        self.cugs.add(cug.name)

    def _route(self, cug: Cug) -> None:
        """Count a CUG into its routing domain, which begins with its first one."""
        name = cug.routing_domain
        if name is None:
            return
        if name not in self.state.routing_domains:
            made = RoutingDomain(name, self.new_key(routed_segment(name)))
            self.state = replace(
                self.state,
                routing_domains=self.state.routing_domains.set(name, made),
                segment_names=self.state.segment_names.set(made.key, made.segment),
                last_segment_key=made.key,
            )
        self.state = route_cug(self.state, cug, +1)
        self.routing_domains.add(name)

    def _unroute(self, cug: Cug | None) -> None:
        """Count a CUG out of its routing domain. `_end_empty` ends that when no CUG of the whole change names it."""
        if cug is None or cug.routing_domain is None:
            return
        self.state = route_cug(self.state, cug, -1)
        self.routing_domains.add(cug.routing_domain)

    def _end_empty(self) -> None:
        """End the routing domains that no CUG names any more.

        Only at the end of a change: a domain that loses its last CUG and gets one again within the change keeps its key and
        its VLAN-IDs, so what is routed in it is never interrupted (invariant 13).
        """
        for name in sorted(self.routing_domains):
            gone = self.state.routing_domains.get(name)
            if gone is not None and name not in self.state.routed_cugs:
                self._number(gone, frozenset(), frozenset())
                self.state = replace(
                    self.state,
                    routing_domains=self.state.routing_domains.delete(name),
                    segment_names=self.state.segment_names.delete(gone.key),
                )

    def put_neighbour(self, external: str, address: Address, mac: int | None) -> None:
        """Note the MAC that answers for an address outside; None: none does any more."""
        pair = (external, address)
        rows = self.state.neighbours
        self.state = replace(self.state, neighbours=rows.delete(pair) if mac is None else rows.set(pair, mac))
        self.neighbours.add(pair)
        self.routing_domains.add(self.state.fabric.externals[external].routing_domain)

    def put_vm(self, vm: Vm) -> None:
        """Write a VM whose interfaces are the same as before (or that is indexed already)."""
        vm = replace(vm, revision=self.state.revision)
        self.state = replace(self.state, vms=self.state.vms.set(vm.name, vm))
        self.vms.add(vm.name)
        self.question(vm.name, listen=False)

    def describe_vm(self, vm: Vm) -> None:
        """Write a VM of which only labels and description are others: wherever it is and whatever is under way."""
        before = self.state
        state = unindex_labels(before, vm)
        state = replace(state, vms=state.vms.set(vm.name, replace(vm, revision=state.revision)))
        self.state = index_labels(state, vm)
        self.vms.add(vm.name)
        if any((vm.name in names) is not (vm.name in self.state.selections[text]) for text, names in before.selections.items()):
            # Other policies stand between it and its neighbours now.
            self._entered.update((vm.name, seat.server) for seat in self.state.seats_of(vm))

    def question(self, vm: str, *, listen: bool) -> None:
        """Listen for a VM at its placement, or not any more: whatever else is done with it ends that."""
        rows = self.state.questioned
        if listen is not (vm in rows):
            self.state = replace(self.state, questioned=rows.set(vm, None) if listen else rows.delete(vm))
            self.vms.add(vm)

    def add_vm(self, vm: Vm) -> None:
        """Write a VM that is new, and seat it."""
        self.put_vm(vm)
        self.state = index_labels(index_vm(self.state, vm), vm)
        self.reseat(vm.name, (), self.state.seats_of(vm))

    def drop_vm(self, vm: Vm) -> None:
        """Delete a VM, unseated."""
        self.reseat(vm.name, self.state.seats_of(vm), ())
        self.state = unindex_labels(unindex_vm(self.state, vm), vm)
        self.state = replace(self.state, vms=self.state.vms.delete(vm.name))
        self.vms.add(vm.name)
        self.question(vm.name, listen=False)

    def step(self, vm: Vm, migration: Migration) -> None:
        """Write a VM and its migration together: the VM goes over to the seats of the new phase."""
        before = self.state.seats_of(self.state.vms[vm.name])
        self.put_migration(migration)
        self.put_vm(vm)
        self.reseat(vm.name, before, self.state.seats_of(vm))

    def reseat(self, name: str, before: tuple[Seat, ...], after: tuple[Seat, ...]) -> None:
        """Count a VM out of its seats and into others, with VLAN-IDs on their cables; every CUG that this concerns is touched.

        Raises Refusal 409 when a cable has no VLAN-ID for it.
        """
        vm = self.state.vms[name]
        for seat in before:
            self._seat(vm, seat, -1)
        self.state, numbered = number(self.state, vm, frozenset(seat.server for seat in after), self.now)
        if numbered is not vm:
            for server in numbered.vlan_ids.keys() ^ vm.vlan_ids.keys():
                row = numbered.vlan_ids.get(server) or vm.vlan_ids[server]
                self.rested.update((server, vlan_id) for vlan_id in row)
            self.state = replace(self.state, vms=self.state.vms.set(name, numbered))
        for seat in after:
            self._seat(numbered, seat, +1)
        self._entered.update((name, seat.server) for seat in after if seat.server not in {old.server for old in before})

    def _seat(self, vm: Vm, seat: Seat, by: int) -> None:
        self.state = seat_vm(self.state, vm, seat, by)
        server = self.state.fabric.servers[seat.server]
        for interface in vm.interfaces:
            self.cugs.add(interface.cug)
            routing_domain = self.state.cugs[interface.cug].routing_domain
            if routing_domain is not None:
                self.routing_domains.add(routing_domain)
            if not server.tagged:
                # Whether broadcasts can be told apart there is a matter of all whose frames look the same.
                self.cugs.update(self.state.wires.get(self.state.wire(interface, seat.server), ()))
        if by < 0 and any(interface.guest_vlan_id is not None for interface in vm.interfaces):
            # A number that was kept from a CUG beside the guest may be its own now.
            self.cugs.update(
                name for name, domain in self.state.starved if domain == server.l2_domain and name in self.state.cugs
            )

    def put_migration(self, migration: Migration) -> None:
        """Write a migration."""
        migration = replace(migration, revision=self.state.revision)
        self.state = replace(self.state, migrations=self.state.migrations.set(migration.id, migration))
        self.migrations.add(migration.id)

    def forget_migrations(self, kept: int) -> None:
        """Drop the oldest finished migrations once there are a fifth more than ``kept``."""
        migrations = self.state.migrations
        if len(migrations) <= kept * 6 // 5:
            return
        finished = sorted((row for row in migrations.values() if row.phase.is_final), key=lambda row: row.revision)
        for row in finished[: len(migrations) - kept]:
            migrations = migrations.delete(row.id)
            self.migrations.add(row.id)
        self.state = replace(self.state, migrations=migrations)

    def put_policy(self, policy: Policy) -> None:
        """Write a policy."""
        old = self.state.policies.get(policy.name)
        if old is not None:
            self.state = unindex_policy(self.state, old)
        policy = replace(policy, revision=self.state.revision)
        self.state = replace(self.state, policies=self.state.policies.set(policy.name, policy))
        self.state = index_policy(self.state, policy)
        self.policies.add(policy.name)

    def drop_policy(self, policy: Policy) -> None:
        """Delete a policy."""
        self.state = unindex_policy(self.state, policy)
        self.state = replace(self.state, policies=self.state.policies.delete(policy.name))
        self.policies.add(policy.name)

    def finish(self) -> Change:
        """Derive presence and VLAN-IDs of all that was touched. Raises Refusal when a domain is full."""
        self.settle()
        if self._nothing_done():
            return Change(self.before, frozenset(), frozenset(), frozenset(), frozenset(), ())
        for name in sorted(self.migrations):
            if name in self.state.migrations:
                self._fill_legs(self.state.migrations[name])
        return Change(
            self.state, frozenset(self.cugs), frozenset(self.vms), frozenset(self.migrations), frozenset(self.policies),
            self._news(), frozenset(self.routing_domains), frozenset(self.neighbours),
            frozenset(self.batches), frozenset(self.batch_vms),
            frozenset(self.quarantined), frozenset(self.rested), frozenset(self.rebuilt), frozenset(self.whole),
        )  # fmt: skip

    def _news(self) -> tuple[Event, ...]:
        """Everything to tell: what became of objects, then what commands noted, then where segments came to and left."""
        before, after = self.before, self.state
        rows = chain(
            objects_news(before, after, self.cugs, self.vms, self.policies, self.routing_domains, self.breath),
            self.events,
            presence_news(before, after, self.cugs, self.routing_domains, self.breath),
            vnic_news(before, after, self.vms, self.breath),
            freed_news(before, after, self.quarantined, self.rested, self.breath),
        )
        return tuple(self.breath.through(rows))

    def _nothing_done(self) -> bool:
        """Whether the state is what it was: a repeated PUT costs no revision."""
        names = (row.name for row in fields(State) if row.name != "revision")
        return all(getattr(self.state, name) is getattr(self.before, name) for name in names)

    def settle(self) -> None:
        """Derive presence and VLAN-IDs of all that was touched so far. Raises Refusal when a domain is full."""
        self._end_empty()
        for name in sorted(self.cugs):
            self.breath.worked()
            self._settle(name, self.state.cugs.get(name), presence(self.state, name) if name in self.state.occupancy else None)
        for name in sorted(self.routing_domains):
            self.breath.worked()
            self._settle(routed_segment(name), self.state.routing_domains.get(name), routed_presence(self.state, name))
        for name, server in self.breath.through(sorted(self._entered)):
            refuse_wires(self.state, name, server)
            vm = self.state.vms.get(name)
            if vm is not None and any(seat.server == server for seat in self.state.seats_of(vm)):
                refuse_other_tag(self.state, vm, server)
        refuse_large(self.state, self.breath.through(sorted(self.policies)), self.breath.through(sorted(self.vms)))
        entered, through = self.breath.through(sorted(self._entered)), self.breath.through
        refuse_separated(self.before, self.state, entered, through(sorted(self.policies)), through(sorted(self.cugs)))

    def _settle(self, name: str, segment: Segment | None, found: Presence | None) -> None:
        """Let a segment be present where ``found`` says, with VLAN-IDs to match."""
        if segment is not None:
            used = domains(self.state.fabric, found) if found is not None else frozenset()
            wanted = domains(self.state.fabric, found, ready=True) if found is not None else frozenset()
            # A backup path is no reason to refuse: where no number is left there is none.
            may_starve = self._starved_before(name) | (wanted - used) if self.strict else wanted
            self._number(segment, wanted, may_starve)
        presences = self.state.presences
        if found is not None:
            if presences.get(name) != found:
                presences = presences.set(name, found)
        elif name in presences:
            presences = presences.delete(name)
        self.state = replace(self.state, presences=presences)

    def _number(self, segment: Segment, wanted: frozenset[str], may_starve: frozenset[str]) -> None:
        """VLAN-IDs of a segment in exactly the domains ``wanted``."""
        whose = {"cug" if isinstance(segment, Cug) else "routing_domain": segment.name}
        before = self.state.allocations.get(segment.key, Map())
        self.state = allocate(self.state, segment, wanted, self.now, may_starve=may_starve, lowest=self._lowest)
        after = self.state.allocations.get(segment.key, Map())
        self.quarantined.update((domain, segment.key) for domain in frozenset(after) ^ frozenset(before))
        for domain in sorted(frozenset(after) - frozenset(before)):
            self.event("vlan_id.allocated", **whose, l2_domain=domain, vlan_id=after[domain])
        for domain in sorted(frozenset(before) - frozenset(after)):
            self.event("vlan_id.released", **whose, l2_domain=domain, vlan_id=before[domain])

    def _starved_before(self, name: str) -> frozenset[str]:
        """Domains without a VLAN-ID since a link failed, which no new server is in need of: no reason to refuse now."""
        found = frozenset(domain for segment, domain in self.before.starved if segment == name)
        if not found:
            return found
        was = self.before.presences.get(name)
        found &= domains(self.before.fabric, was) if was is not None else frozenset()
        wires = frozenset(self.state.occupancy.get(name, ())) - frozenset(self.before.occupancy.get(name, ()))
        return found - {self.state.fabric.servers[wire.server].l2_domain for wire in wires}

    def _fill_legs(self, migration: Migration) -> None:
        if migration.legs or migration.phase.is_final:
            return
        state = self.state
        vm = state.vms[migration.vm]
        legs = tuple(
            Leg(
                interface.cug,
                state.added_vlan_id(vm, position, migration.source),
                state.added_vlan_id(vm, position, migration.target),
            )
            for position, interface in enumerate(vm.interfaces)
        )
        switches = sorted({switch for leg in legs for switch in _carriers(state, leg.cug)})
        self.put_migration(replace(migration, legs=legs, switches=tuple(switches)))


def _carriers(state: State, cug: str) -> Iterator[str]:
    """Switches that carry a CUG's frames, and those that route to it."""
    yield from _carrying(state.presences[cug])
    routing_domain = state.cugs[cug].routing_domain
    if routing_domain is not None:
        yield from _carrying(state.presences[routed_segment(routing_domain)])


def _carrying(found: Presence) -> Iterator[str]:
    """Switches that carry a segment now. One that only stands by may be away: nothing comes its way."""
    for switch, local in found.local.items():
        if not local.standby:
            yield switch
