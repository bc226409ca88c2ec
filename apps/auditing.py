"""Reconciliation of a switch by its session: read its entries, compare with the desired ones, send the difference, read back.

What a switch says arrives in pieces, and between two pieces all other work goes on. Only the comparison at the end is
done in one go, so that no change of the desired state is lost or counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from ryu.lib import hub

from ryu_vmmob.apps import capabilities
from ryu_vmmob.apps.transactions import Lost
from ryu_vmmob.engine.fleet import NOT_KEPT, UNREADABLE, SwitchFault
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import Finding, Habits, Reading, entries_of
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.meters import meters_of
from ryu_vmmob.flows.pipeline import TABLES, Table, meter_name
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.draft import Event
from ryu_vmmob.southbound import fragment_mode, habits

GROUPS: Final = "groups"
"""What is asked for beside the tables."""
BEYOND: Final = range(len(TABLES), len(TABLES) + 8)
"""Numbers of tables that this version does not use, and another version may have left flows in."""
MOST_ASKED: Final = 32
"""Flows of one table that are asked for one by one."""
MOST_READINGS: Final = 32
"""Readings of one switch in a row, each with more in it than is looked at in one go: 3.2 million entries."""
MAX_SAID: Final = 10
"""Flows that a switch does not keep, of one comparison, that are told one by one in the log."""


class Audited(capabilities.Subject, Protocol):
    """A session, as far as its switch is compared with what it should have, and put right."""

    habits: Habits
    held: bool
    """Whether the switch is held (`ryu_vmmob.engine.contacts`)."""
    meters: frozenset[int]
    """Ids of the meters that were sent to the switch."""
    passes_fragments: bool | None
    """What the switch was told to do with fragments."""

    def turn(self) -> None:
        """Let others have theirs first. Raises Lost when the connection has ended meanwhile."""

    def until_adopted(self) -> None:
        """Return when the desired tables are those of a revision. Raises Lost."""

    def bring(
        self, revision: int, delta: Delta, *, compared: bool = False, found: Sequence[SwitchFault] = (),
        look: Callable[[Collection[int]], list[SwitchFault]] | None = None,
    ) -> None:  # fmt: skip
        """Carry out a delta, and report what the switch confirmed and refused (`apps.session`)."""

    def apply(self, delta: Delta) -> list[SwitchFault]:
        """Send a delta; what was refused of it."""

    def delete_strays(self, finding: Finding) -> None:
        """Take away entries that only their place tells from desired flows."""

    def wipe(self, tables: Iterable[Table], groups: Iterable[int] = ()) -> None:
        """Take everything of ours out of tables, and groups away, of which the switch does not say what they have."""


def reconcile(session: Audited) -> None:
    """Make a switch right. What was wrong is counted, unless this is the first comparison of its connection.

    A switch that is right gets no message that changes anything (invariant 9).
    """
    engine, fleet, name = session.engine, session.engine.fleet, session.name
    engine.repairs.begin(name)
    repeated = fleet.is_synchronised(name)
    habits.read_ports(session)
    repaired = _put_meters_right(session)
    switch = engine.state.fabric.switches.get(name)
    mode = fragment_mode.put_right(session, switch) if switch is not None else fragment_mode.Look(altered=False, fault=None)
    session.passes_fragments = switch.passes_fragments if switch is not None else None
    repaired["fragments", "altered"] += mode.altered
    wrong = [mode.fault] if mode.fault is not None else []
    reading = read(session)
    wiped: list[Table] = []
    if not repeated and reading.groups_unread:
        # A group goes with the flows that use it, so what the switch has is not looked at: it gets all of it.
        wiped, reading = list(TABLES), Reading(session.habits)
    elif not repeated:
        wiped = sorted(reading.unread, key=lambda table: table.id)
        reading.unread.clear()
    session.until_adopted()
    if not engine.contacts.is_met(name):
        finding = reading.compare(session.desired, plain=session.is_plain)
        session.held = not engine.first_contact(name, len(finding.delta.gone) + len(finding.delta.groups_gone))
        if session.held:
            return
        session.until_adopted()  # others may have worked while the store wrote that
    session.held = False
    # From here to the end of the comparison nothing yields, so no delta is lost or counted twice.
    finding = reading.compare(session.desired, plain=session.is_plain)
    if reading.is_partial:
        # Nothing may count as confirmed while more is there than was looked at. So that goes first.
        reading, finding, gone = _reduce(session, finding)
        repaired += gone
    refused = {row.about for row in fleet.faults(name)}
    untold = fleet.take(name)
    revision = fleet.begin_reconciliation(name)
    counts = finding.counts(untold[1] if untold else Delta(), refused) + repaired if repeated else None
    session.log.info(
        "switch %s: has %d flows and %d groups of ours; %d messages to reconcile it",
        name, len(reading.right) + len(reading.odd), len(reading.groups), finding.delta.messages,
    )  # fmt: skip
    if finding.kept:
        habits.keeps_cookies(session)
    capabilities.look(session, first=not repeated)
    if wiped:
        session.wipe(wiped, [group.id for group in finding.delta.groups] if len(wiped) == len(TABLES) else ())
    again = bool(finding.doubtful or (finding.delta.flows and (repeated or session.is_plain)))
    lacking = list[SwitchFault]()

    def look(refused: Collection[int]) -> list[SwitchFault]:
        lacking.extend(_look_again(session, reading, finding, refused))
        return lacking

    # A switch of plain OpenFlow is not believed: flows may vanish there without an error. So it is looked before it counts as
    # having confirmed anything.
    session.bring(revision, finding.delta, compared=True, found=wrong, look=look if again and session.is_plain else None)
    if again and not session.is_plain:
        look({row.about for row in fleet.faults(name) if row.error != NOT_KEPT})
    fleet.looked(name, lacking)
    if again:
        engine.progress(everything=False)
    if finding.strays:
        session.delete_strays(finding)
    engine.audited(name, counts, reading.foreign)


def _reduce(session: Audited, finding: Finding) -> tuple[Reading, Finding, Counter[tuple[str, str]]]:
    """Take away what is not desired until a reading has room for the rest; return that one, and what was taken away."""
    gone = Counter[tuple[str, str]]()
    for _ in range(MOST_READINGS):
        flows, groups = finding.delta.gone.keys() - finding.kept.keys(), finding.delta.groups_gone
        session.log.warning(
            "switch %s has more flows and groups of ours than are looked at in one go: %d that are not desired go first",
            session.name, len(flows) + len(finding.strays) + len(groups),
        )  # fmt: skip
        gone.update({("flows", "alien"): len(flows) + len(finding.strays), ("groups", "alien"): len(groups)})
        session.delete_strays(finding)
        session.apply(Delta(gone={cookie: finding.delta.gone[cookie] for cookie in flows}, groups_gone=groups))
        reading = read(session)
        session.until_adopted()
        finding = reading.compare(session.desired, plain=session.is_plain)
        if not reading.is_partial:
            return reading, finding, gone
    raise Lost("its flows and groups of ours have no end")


def foreign(session: Audited) -> int:
    """Return how many flows and groups with our mark a switch has that are not desired; it is sent nothing."""
    habits.read_ports(session)
    finding = read(session).compare(session.desired, plain=session.is_plain)
    return len(finding.delta.gone) + len(finding.delta.groups_gone)


def read(session: Audited, *, flows: bool = True) -> Reading:
    """Return what the switch has, asked table by table: some switches cannot tell all of it in one answer."""
    reading, fleet, name = Reading(session.habits), session.engine.fleet, session.name
    for table in TABLES if flows else ():
        if session.is_plain and fleet.is_unreadable(name, table.label):
            reading.unread.add(table)
            continue
        fleet.reads(name, table.label)
        for body in session.ask(lambda xid, table=table: wire.flow_stats_request(xid, table.id, mask=0)):  # type: ignore[misc]
            reading.take_flows(body, session.desired.flows)
            hub.sleep(0)
        fleet.has_read(name, table.label)
    # Nothing leads there, so it may be left where the switch may be one that answers such a question by ending the connection.
    for number in BEYOND if flows and not session.is_plain and not fleet.is_synchronised(name) else ():
        for body in session.ask(lambda xid, number=number: wire.flow_stats_request(xid, number), required=False):  # type: ignore[misc]
            reading.take_flows(body, session.desired.flows)
    if session.is_plain and fleet.is_unreadable(name, GROUPS):
        reading.groups_unread = True
    else:
        fleet.reads(name, GROUPS)
        for body in session.ask(wire.group_desc_request):
            reading.take_groups(body, session.desired.groups)
            hub.sleep(0)
        fleet.has_read(name, GROUPS)
    if (reading.unread or reading.groups_unread) and fleet.note_habit(name, UNREADABLE):
        labels = [table.label for table in TABLES if table in reading.unread] + [GROUPS] * reading.groups_unread
        said = "switch %s ends its connection while it is asked for what it has: not compared are %s"
        session.log.error(said, name, ", ".join(labels))
        session.engine.emit(Event("switch.unreadable", {"switch": name, "tables": labels}))
    return reading


def _look_again(session: Audited, reading: Reading, finding: Finding, refused: Collection[int]) -> list[SwitchFault]:
    """Whether what was told is there now; what the switch confirmed and does not have. ``refused``: what it did not confirm."""
    told = finding.delta
    again = read(session, flows=bool(finding.suspects or told.flows))
    breath = Breath(session.turn)
    desired = session.desired.flows
    accepted = again.settle(reading, finding, desired, refused)
    if accepted:
        session.log.warning(
            "switch %s reports %d flows and groups in a form of its own, which is accepted while it stays the same",
            session.name, accepted,
        )  # fmt: skip
    wanted = (flow for flow in breath.through(told.flows) if flow.cookie in desired and flow.cookie not in refused)
    return not_kept(session, [flow for flow in wanted if not again.has(flow.cookie) and flow.table not in again.unread])


def not_kept(session: Audited, flows: Sequence[Flow]) -> list[SwitchFault]:
    """Flows that a switch confirmed and does not have."""
    for flow in flows[:MAX_SAID]:
        session.log.error("switch %s confirmed %s of %s and does not keep it", session.name, flow, flow.owner)
    breath, faults = Breath(session.turn), list[SwitchFault]()
    for flow in flows:
        faults.append(SwitchFault(NOT_KEPT, str(flow), flow.owner, flow.cookie))
        breath.worked()
    return faults


def missing(session: Audited, delta: Delta, refused: Collection[int]) -> list[SwitchFault]:
    """Return what of a change a plain switch confirmed and does not have.

    Each flow is asked for, or of many their whole table, all at once, because a switch that sends many packets is read slowly.
    """
    tables: dict[Table, list[Flow]] = {}
    for flow in delta.flows:
        if flow.cookie not in refused:
            tables.setdefault(flow.table, []).append(flow)
    fleet, asked = session.engine.fleet, list[Flow]()
    requests = list[Callable[[int], bytes]]()
    for table, flows in list(tables.items()):
        if fleet.is_unreadable(session.name, table.label):
            del tables[table]
            continue
        fleet.reads(session.name, table.label)
        asked += flows
        matches = [()] if len(flows) > MOST_ASKED else [(flow.key[3:],) for flow in flows]
        requests += [partial(_request, table, *match) for match in matches]
    keys, there = {flow.key for flow in asked}, set[bytes]()
    for body in session.ask_each(requests) if requests else ():
        there.update(key for entry in entries_of(body) if (key := entry.key) in keys)
        hub.sleep(0)
    for table in tables:
        fleet.has_read(session.name, table.label)
    desired = session.desired.flows
    return not_kept(session, [flow for flow in asked if flow.key not in there and flow.cookie in desired])


def _request(table: Table, *match_and_xid: Any) -> bytes:
    """Return what flows a table has, or those that match what one does, and more."""
    *match, xid = match_and_xid
    return wire.flow_stats_request(xid, table.id, 0, *match)


def _put_meters_right(session: Audited) -> Counter[tuple[str, str]]:
    """Flows may refer to them, so they come first. Meters bear no mark: only those that we use are looked at."""
    wanted = meters_of(session.engine.state.fabric, session.name)
    session.meters = frozenset(wanted)
    if not wanted:
        return Counter()
    have = dict[int, bytes]()
    for body in session.ask(wire.meter_config_request, required=False):
        have.update((meter, told) for meter, told in wire.meter_descriptions(body) if meter in wanted)
    wrong = {meter: rate for meter, rate in wanted.items() if have.get(meter) != wire.meter_body(meter, rate)}
    _set_meters(session, wrong)
    missing = sum(meter not in have for meter in wrong)
    return Counter({("meters", "missing"): missing, ("meters", "altered"): len(wrong) - missing})


def add_meters(session: Audited) -> None:
    """Set the meters of ports that the fabric did not have before: flows that are told next refer to them."""
    wanted = meters_of(session.engine.state.fabric, session.name)
    new = {meter: rate for meter, rate in wanted.items() if meter not in session.meters}
    session.meters = frozenset(wanted)
    if new:
        session.begin()
        _set_meters(session, new)


def _set_meters(session: Audited, meters: Mapping[int, int]) -> None:
    if not meters:
        return
    # Of the two messages a switch refuses the first if it has the meter, and that is no news.
    xids = {meter: (session.next_xid(), session.next_xid()) for meter in meters}
    session.tell([wire.meter_set(meter, rate, xids[meter]) for meter, rate in meters.items()])
    refused = [meter for meter, (added, changed) in xids.items() if {added, changed} <= session.refused_xids]
    if refused:
        session.log.error(
            "switch %s refuses %d of %d meters, %s first (%s): write `meters: false` for it into the fabric file",
            session.name, len(refused), len(meters), meter_name(refused[0]), session.refusal_of(xids[refused[0]][1]),
        )  # fmt: skip
