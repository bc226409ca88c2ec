"""The engine: the single writer. It turns commands into durable state and per-switch deltas.

Goals, and how each is met:

1. *A change happens as a whole or not at all.* `execute` applies the commands to a draft, compiles the flows, checks that every
   switch can carry them, and commits to the store, in this order. Only then does it adopt the new state. A refusal, a full disk
   or a fault of the compiler comes before that and leaves the old state in place.
2. *An answer is durable (invariant 9).* `execute` returns after the commit. Switches get their deltas later.
3. *Commands are serialised.* `alone` is held while a command runs. Long work pauses (`Breath`), so that an urgent command can
   overtake it; the overtaken work starts again on the new state (`precedence.finished`).
4. *No thread waits for a switch.* The fleet keeps the delta of each switch until its session takes it. A caller that wants
   confirmations waits for them itself (`?wait=`).
5. *Nothing is forgotten in a crash.* Follow-ups (a migration whose switches have all confirmed, a time-out, a quarantine that
   ends) are found by looking at the state (`progress`). After a restart the same look finds the same work.
6. *It is testable.* It is pure but for the store and the clock that it is given, and knows neither Ryu nor threads.

The parts of the work are objects of their own: `Fleet` (what each switch has confirmed), `Compiler` (what each should have),
`Progress` (follow-ups), `Arrivals`, `Overdue` and `Conflicts` (frames of VMs), `Roles` and `Contacts` (whose a switch is).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ryu_vmmob.engine.abilities import Abilities
from ryu_vmmob.engine.acknowledgements import Acknowledgements
from ryu_vmmob.engine.arrivals import Arrivals
from ryu_vmmob.engine.clock import Clock, ahead_of, ahead_write
from ryu_vmmob.engine.conflicts import Conflicts
from ryu_vmmob.engine.contacts import Contacts
from ryu_vmmob.engine.event_ids import EventIds
from ryu_vmmob.engine.events import EventStream
from ryu_vmmob.engine.fleet import Fleet, Refused, SwitchFault, SwitchStatus
from ryu_vmmob.engine.follow import FollowUps, needed_owners, refused_moves
from ryu_vmmob.engine.keeper import Keeper
from ryu_vmmob.engine.listeners import Listeners
from ryu_vmmob.engine.network_news import NetworkNews
from ryu_vmmob.engine.overdue import Overdue
from ryu_vmmob.engine.persist import migration_writes, restore, switch_key_writes, writes
from ryu_vmmob.engine.port_counters import PortCounters
from ryu_vmmob.engine.precedence import Exclusion, Unshared, finished, is_urgent
from ryu_vmmob.engine.progress import Progress
from ryu_vmmob.engine.refusals import Refusals
from ryu_vmmob.engine.repairs import Repairs
from ryu_vmmob.engine.roles import Roles, shown
from ryu_vmmob.engine.sent_on import Frames, SentOn
from ryu_vmmob.engine.standing import Standing, fault_news
from ryu_vmmob.engine.switch_ports import SwitchPorts
from ryu_vmmob.engine.tally import Tally
from ryu_vmmob.engine.tickets import Rehearsal, Switches, Ticket, by_confirmation
from ryu_vmmob.engine.wellbeing import facts
from ryu_vmmob.fabric.model import Fabric, Switch
from ryu_vmmob.flows.ability import Ability
from ryu_vmmob.flows.capability import overcharged
from ryu_vmmob.flows.compiler import Compiler
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.plan import Plan
from ryu_vmmob.health import Health, judge
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import ASKED_FOR, Command, FabricLoaded, apply
from ryu_vmmob.model.draft import Change, Event, everything
from ryu_vmmob.model.fabric_change import FabricReplaced
from ryu_vmmob.model.guests import clash
from ryu_vmmob.model.objects import Migration
from ryu_vmmob.model.refusal import Refusal, conflict
from ryu_vmmob.model.state import State
from ryu_vmmob.model.times import newest
from ryu_vmmob.store.base import Store, StoreError, ready
from ryu_vmmob.store.codec import write

MOST_TOLD = 20
"""Things that a switch cannot do that one event tells."""


class Engine:
    """``wall`` gives seconds since the epoch, ``passed`` seconds of a monotonic clock (None: the wall is never set).

    ``quarantine`` is how long a VLAN-ID rests, in seconds. ``alone`` is entered while a command is carried out.
    ``life``: 32 bits by chance, which tell this start from others. ``send_frames`` has a switch send frames (`send_on`), and
    says whether it takes them.
    """

    def __init__(
        self, fabric: Fabric, store: Store, wall: Callable[[], float], quarantine: float = 60.0,
        passed: Callable[[], float] | None = None, *, life: int = 0, alone: Exclusion | None = None,
        send_frames: Callable[[Frames], bool] = lambda frames: True,
    ) -> None:  # fmt: skip
        self.alone: Final = alone or Unshared()
        self._send_frames = send_frames
        self.on_event: Final = Listeners[[Event]]()
        """Called with every event, after it is in the stream."""
        self.on_step: Final = Listeners[[Migration]]()
        """Told when a migration has begun or has entered another phase."""
        self.on_fabric: Final = Listeners[[Fabric]]()
        """Told when another fabric has been adopted, before anything is handed out on it."""
        self.on_progress: Final = Listeners[[]]()
        """Told when a switch has confirmed something: who waits may look again."""
        self.on_question: Final = Listeners[[str]]()
        """Told the name of a VM that is to be asked, at each of its places, whether it is there (`punt.ask_vm`)."""
        self.clock = self._clock = Clock(wall, passed or wall)
        self._store = Keeper(store, self._clock, self.emit)
        records = list(store.load())
        self._event_ids = EventIds(records, wall(), self._store.note)
        self.events = EventStream(lambda: self._clock.told(self._clock()), first=self._event_ids.first)
        self.state, known_keys = restore(records, fabric, store.revision)
        self._clock.go_on(newest(self.state), ahead_of(records))
        self.contacts = Contacts(records, fabric.switches, self._store.note)
        self.abilities = Abilities(records, self._store.note)
        first = [*switch_key_writes(known_keys, self.state.switch_keys), *self.contacts.first_writes]
        if first:  # a controller may start with a full disk, on what is stored
            self._store.note(first)
        self.roles = Roles(records, life, self._store.note)
        self._adapt_to_fabric()
        self.desired = Compiler()
        self.desired.adopt(self.desired.plan(everything(self.state)))
        self.fleet = Fleet(fabric.switches, self.state.revision)
        self.fleet.on_confirm.add(self._confirmed)
        self.standing = Standing()
        self._acknowledgements = Acknowledgements(self.state.migrations.values())
        self.sent_on = SentOn()
        self._follow_ups = FollowUps(self.state, quarantine, lambda row: self.overdue.may_have_gone_on(row))
        self.fleet.on_change.add(self._follow_ups.switch_changed)
        self._progress = Progress(
            self, self._follow_ups, lambda commands, *, sync: self._execute(commands, sync=sync), self._store.look
        )
        self.is_adopting = False
        """Whether a command is being adopted: in the pauses of that the desired tables are neither the old ones nor the new."""
        self.refusals = Refusals()
        self.repairs = Repairs()
        self.tally = Tally()
        self.port_counters = PortCounters(self._clock, self.fleet.wake)
        self.switch_ports = SwitchPorts()
        self.arrivals = Arrivals(self)
        self.overdue: Overdue = Overdue(self, self.under_way)
        self.conflicts = Conflicts(self)
        self.network = NetworkNews(self, self._follow_ups.announced)
        self._event_ids.look(self.events.next_id)

    def _adapt_to_fabric(self) -> None:
        """Derive the store's VLAN-IDs again where the fabric file differs from the one on which they were given."""
        change = apply(self.state, FabricLoaded(), now=self._clock())
        fault = clash(change.state)
        if fault is not None:
            raise StoreError(f"{fault}, on the fabric file as it is now")
        if change.state is not self.state:
            self._store.commit(change.state.revision, [*writes(self.state, change), *migration_writes(self.state, change)])
            self.state = change.state

    # Commands

    def execute(self, *commands: Command) -> Ticket:
        """Carry out all commands or none. On return the outcome is durable and on its way to the switches.

        Raises Refusal, or StoreError when the store did not take it; the state is then what it was.
        """
        if is_urgent(commands):
            with self.alone.urgently():
                return self._execute(commands)
        return finished(lambda breath: self._execute(commands, breath), self.alone, self._clock)

    def _execute(self, commands: Sequence[Command], breath: Breath | None = None, *, sync: bool = True) -> Ticket:
        before, breath = self.state, breath or Breath(self.alone.pause)
        change = apply(before, *commands, now=self._clock(), breath=breath)
        if change.state is before:
            # A no-op, perhaps a retry after a lost answer: the caller waits for what is still on its way.
            late = [name for name in self.fleet.names if not self.fleet.has(name, before.revision) or self.fleet.faults(name)]
            return Ticket(before.revision, tuple(sorted(late)), before)
        plan = self.desired.plan(change, breath)
        self._refuse_overcharge(plan, commands, breath)
        rows = [ready(row) for row in breath.through(writes(before, change))]
        # A store may let others work while it writes. What they count or confirm then is not in what is written: see `stored`.
        change, sent = self._with_acknowledgements(_with_counts(change, plan)), self.sent_on.unstored()
        noted = self._acknowledgements.noted(change.migrations)
        plan.state = change.state
        self._store.commit(change.state.revision, [*rows, *migration_writes(before, change)], sync=sync)
        self.sent_on.stored(change.migrations, sent)
        self._acknowledgements.stored(change.migrations, change.state.migrations, noted)
        self._adopt(change, plan)
        return Ticket(change.state.revision, tuple(sorted(plan.deltas)), change.state, plan.deltas)

    def _adopt(self, change: Change, plan: Plan) -> None:
        breath = Breath(self.alone.pause)  # not one that an urgent command ends: from the commit on it stands
        self.is_adopting = True
        try:
            self.desired.adopt(plan, breath)
            self._adopted(change, plan)
        finally:
            self.is_adopting = False
        # Other work than the adoption: what that has done does not make a pause in the middle of a few events.
        for event in Breath(self.alone.pause).through(change.events):
            self.emit(event)
        if not plan.deltas:
            self.progress(everything=False)

    def _adopted(self, change: Change, plan: Plan) -> None:
        another = self.state.fabric is not change.state.fabric
        self.state = change.state
        if another:
            self.fleet.use(change.state.fabric.switches)
            self.roles.use(change.state.fabric.switches)
            self.on_fabric(change.state.fabric)
        for id_ in change.migrations:
            row = change.state.migrations.get(id_)
            if row is not None and row.step_revision == change.state.revision:
                self._acknowledgements.begin(row)
                self.on_step(row)
        self._follow_ups.adopted(change)
        self.fleet.decide(change.state.revision, plan.deltas)

    @property
    def under_way(self) -> frozenset[str]:
        """Ids of the migrations that are not finished."""
        return self._follow_ups.under_way

    def dry_run(self, *commands: Command) -> State:
        """Return the state that ``commands`` would make. Raises Refusal; changes nothing."""
        return self.rehearse(*commands).ticket.state

    def rehearse(self, *commands: Command) -> Rehearsal:
        """Return what ``commands`` would do, and tell the switches for it. Raises Refusal; changes nothing."""

        def work(breath: Breath) -> Rehearsal:
            before = self.state
            change = apply(before, *commands, now=self._clock(), breath=breath)
            if change.state is before:
                return Rehearsal(before, Ticket(before.revision, (), before), {})
            plan = self.desired.plan(change, breath)
            self._refuse_overcharge(plan, commands, breath)
            ticket = Ticket(change.state.revision, tuple(sorted(plan.deltas)), change.state, plan.deltas)
            return Rehearsal(before, ticket, {name: self._going(name, plan.deltas[name], breath) for name in ticket.switches})

        return finished(work, self.alone, self._clock)

    def _going(self, switch: str, delta: Delta, breath: Breath) -> dict[int, Flow]:
        flows = self.desired.tables[switch].flows
        return {cookie: flows[cookie] for cookie in breath.through(delta.gone)}

    def trial(self, *commands: Command) -> State:
        """As `dry_run`, and far cheaper: flows are worked out only where some switch has a limit for them. Raises Refusal."""
        able = self.abilities.judging(self.state.fabric).values()
        limited = any(row.max_flows is not None or row.table_sizes for row in self.state.fabric.switches.values())
        if limited or any(row.lacks or row.sizes for row in able):
            return self.dry_run(*commands)
        return apply(self.state, *commands, now=self._clock()).state

    def fabric_replaced(self, fabric: Fabric) -> FabricReplaced:
        """Return the command that puts ``fabric`` in the place of the one there is, as things stand with the switches."""
        connected = frozenset(name for name in self.fleet.names if self.fleet.is_connected(name))
        return FabricReplaced(fabric, connected, self.calm())

    def _refuse_overcharge(self, plan: Plan, commands: Iterable[Command], breath: Breath) -> None:
        """409 when a switch cannot carry what is asked for (R45). What the network itself reports is not asked for."""
        if any(isinstance(command, ASKED_FOR) for command in commands):
            reason = overcharged(plan, self.desired.tables, breath, self.abilities.judging(plan.state.fabric))
            if reason is not None:
                raise conflict(reason, "a switch cannot carry it")

    def emit(self, event: Event) -> None:
        """Publish an event to the stream and to all listeners."""
        self.events.append(event)
        self.on_event(event)

    # Switches

    def look(self) -> None:
        """To be called every half second or so: tells which switches fell behind and which caught up, then `progress`."""
        self._event_ids.look(self.events.next_id)
        step = self.clock.look()
        if step:
            with suppress(StoreError):  # after a restart the line then goes on as the wall says
                self._store.note([ahead_write(self.clock.ahead)])
            self.emit(Event("clock.set", {"seconds": round(step, 3)}))
        for event in self.standing.look(self.fleet, self._clock()):
            self.emit(event)
        self.progress()

    def _confirmed(self, switch: str, revision: int, faults: tuple[SwitchFault, ...]) -> None:
        for fault in faults:
            self.emit(fault_news(switch, fault))
        for event in refused_moves(self.state, self.under_way, switch, faults):
            self.emit(event)
        for event in self._acknowledgements.confirmed(switch, revision, self._clock(), self.state.migrations):
            row = self.state.migrations[event.data["id"]]
            if not self.migration_switches(row).refused:  # refused is not confirmed
                self.emit(event)

    def with_acknowledgements(self, migration: Migration) -> Migration:
        """Return a migration whose timeline says when its switches confirmed, also what is not stored yet."""
        return self.sent_on.filled(self._acknowledgements.filled(migration))

    def send_on(self, migration: Migration, interface: int, frames: Sequence[bytes]) -> int:
        """Have the target's switch send frames that reached the source after its pause; how many.

        Raises Refusal (`SentOn.judge`), and 503 when the switch is not connected or has too much to send already.
        """
        found = self.sent_on.judge(self.state, migration, interface, frames, self._clock())
        if not self._send_frames(found):
            said = f"switch {found.switch!r}, on which the target hangs, takes no frames now"
            raise Refusal(503, "the switch is away", said, retry_after=1)
        self.sent_on.count(migration.id, len(frames))
        self.tally.sent_on[found.switch] += len(frames)
        return len(frames)

    def _with_acknowledgements(self, change: Change) -> Change:
        """Return confirmations noted in the timelines of the migrations that this change writes, and of those that no step
        will.
        """
        ids = change.migrations | self._acknowledgements.unstored() | self.sent_on.unstored().keys()
        rows = change.state.migrations
        for id_ in ids:
            row = rows.get(id_)
            if row is not None and (filled := self.with_acknowledgements(row)) is not row:
                rows = rows.set(id_, filled)
        return change._replace(state=replace(change.state, migrations=rows), migrations=ids)

    def acknowledged(self, ticket: Ticket) -> Switches:
        """Return which of the switches a command concerns have confirmed it, and what they refused of it."""
        return by_confirmation(self.fleet, ticket.switches, ticket.revision, ticket.concerns)

    def migration_switches(self, migration: Migration) -> Switches:
        """Return which switches have confirmed the present phase of a migration, and what they refused of what it needs."""
        if not any(self.fleet.faults(name) for name in migration.switches if self.fleet.has_place(name)):
            return by_confirmation(self.fleet, migration.switches, migration.step_revision, lambda row: False)
        owners = needed_owners(self.state, migration)
        concerned: Callable[[Refused], bool] = lambda row: row.fault.owner.whole in owners  # noqa: E731
        return by_confirmation(self.fleet, migration.switches, migration.step_revision, concerned)

    def switch_status(self, name: str) -> SwitchStatus:
        """Return the state of a switch. Raises KeyError for an unknown name."""
        return self.fleet.status(name)

    def first_contact(self, name: str, foreign: int) -> bool:
        """Whether a switch may be put right that has ``foreign`` flows and groups with our mark which are not desired.

        If not, it says so itself from now on (`switch_status`), and nothing may be sent to it.
        """
        try:
            fault = self.contacts.meet(name, foreign)
        except StoreError:
            return True  # nothing foreign: it may be met another time
        if fault is not None:
            self.fleet.hold(name, fault)
            self.emit(Event("switch.held", {"switch": name, "foreign": foreign}))
        return fault is None

    def yields(self, name: str, generation: int | None) -> None:
        """Leave a switch alone from now on: it is another controller's, whose ``generation`` it names."""
        fault = self.roles.yields(name, generation)
        self.fleet.hold(name, self.roles.fault(name))
        if fault is not None:
            data = {"switch": name, "generation": shown(generation), "reason": fault.error}
            self.emit(Event("switch.other_controller", data))

    def take_over(self, name: str) -> None:
        """Let a switch be put right although this store has never known what it has, or another controller has it. Raises
        StoreError.
        """
        was_left = self.roles.is_yielded(name) or not self.contacts.is_met(name)
        self.contacts.take_over(name)
        self.roles.take_over(name)
        if was_left:
            self.emit(Event("switch.taken_over", {"switch": name}))
        self.fleet.wake(name)

    def learned(self, switch: Switch, ability: Ability) -> bool:
        """Take in what a plain switch was found able to do; whether that is news."""
        news = self.abilities.learn(switch, ability)
        if news:
            lacks = [str(row) for row in ability.lacks[:MOST_TOLD]]
            self.emit(Event("switch.capability", {"switch": switch.name, "kinds": len(ability.answers), "lacks": lacks}))
        return news

    def ask_audit(self, name: str, *, capability: bool = False) -> bool:
        """Have a switch compared as soon as it has time, and with ``capability`` asked again what it can do; False when it is
        away. Raises StoreError.
        """
        if capability and self.fleet.is_connected(name):
            self.abilities.forget(self.state.fabric.switches[name])
        return self.fleet.ask_audit(name)

    def health(self) -> Health:
        """Return the health of the controller and its network."""
        return judge(facts(self, self._store.trouble, self.standing.is_late))

    def audited(self, switch: str, counts: Mapping[tuple[str, str], int] | None, foreign: int) -> None:
        """Take the comparison of a switch with what it should have; `Repairs.audited`."""
        for event in self.repairs.audited(switch, counts, foreign, self._clock()):
            self.emit(event)

    def progress(self, *, everything: bool = True) -> None:
        """Look for what has to follow by itself, and do it: of all there is, or of what changed since the last look."""
        if self._progress.look(everything=everything):
            self.on_progress()

    def calm(self) -> bool:
        """Whether every connected switch has confirmed all there is."""
        here = [name for name in self.fleet.names if self.fleet.is_connected(name)]
        return all(self.fleet.has(name, self.state.revision) for name in here)

    def flow_met(self, switch: str, cookie: int) -> Flow | None:
        """Return the desired flow of a switch that bears a cookie; None when there is none (any more)."""
        return self.desired.tables[switch].flows.get(cookie) if switch in self.desired.tables else None

    def tidy_store(self) -> bool:
        """Have the store do a piece of its housekeeping; whether there is more to do at once."""
        return self._store.tidy()

    def backup(self, path: str) -> None:
        """Write a copy of the store to a new file while everything goes on. Raises StoreError."""
        self._store.backup(path, self.alone.pause)

    def close(self) -> None:
        """Let go of the store. Confirmations that are in memory only are written down, if it takes them."""
        ids = self._acknowledgements.unwritten() | self.sent_on.unstored().keys()
        rows = (self.state.migrations.get(id_) for id_ in sorted(ids))
        late = [write(self.with_acknowledgements(row)) for row in rows if row is not None]
        # No answer depends on these, so a store that rejects them does not prevent an orderly end.
        with suppress(StoreError):
            if late:
                self._store.commit(self.state.revision, late)
        self._store.close()


def _with_counts(change: Change, plan: Plan) -> Change:
    """Note in the timeline of the migrations that moved on what each switch is sent for it."""
    state = change.state
    counts = {name: delta.messages for name, delta in sorted(plan.deltas.items())}
    for id_ in change.migrations:
        row = state.migrations.get(id_)
        if row is not None and row.timeline and row.step_revision == state.revision:
            last = row.timeline[-1]._replace(flow_mods=counts)
            row = replace(row, timeline=(*row.timeline[:-1], last))
            state = replace(state, migrations=state.migrations.set(id_, row))
    return change._replace(state=state)
