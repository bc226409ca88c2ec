"""One comparison of a switch with what it should have, as its session carries it out: ask, compare, put right, look again.

What a switch says arrives in pieces, and between two pieces everybody else's work goes on. Only the comparison at the end is
done in one go, so that no change of the desired state is lost or counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ryu.lib import hub

from ryu_vmmob.engine.fleet import NOT_KEPT, UNREADABLE, SwitchFault
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import Finding, Reading
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.meters import meters_of
from ryu_vmmob.flows.pipeline import TABLES, Table, meter_name
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.draft import Event
from ryu_vmmob.southbound import fragment_mode, habits

if TYPE_CHECKING:
    from ryu_vmmob.apps.session import Session

GROUPS: Final = "groups"
"""What is asked for beside the tables."""
BEYOND: Final = range(len(TABLES), len(TABLES) + 8)
"""Numbers of tables that this version does not use, and another version may have left flows in."""
MAX_SAID: Final = 10
"""Flows that a switch does not keep, of one comparison, that are told one by one in the log."""


def reconcile(session: Session) -> None:
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
    # From here to the end of the comparison nothing yields, so no delta is lost or counted twice.
    finding = reading.compare(session.desired, plain=session.is_plain)
    session.held = not engine.first_contact(name, len(finding.delta.gone) + len(finding.delta.groups_gone))
    if session.held:
        return
    refused = {row.about for row in fleet.faults(name)}
    untold = fleet.take(name)
    revision = fleet.begin_reconciliation(name)
    counts = finding.counts(untold[1] if untold else Delta(), refused) + repaired if repeated else None
    session.log.info(
        "switch %s: has %d flows and %d groups of ours; %d messages to put it right",
        name, len(reading.right) + len(reading.odd), len(reading.groups), finding.delta.messages,
    )  # fmt: skip
    if finding.kept:
        habits.keeps_cookies(session)
    if wiped:
        session.wipe(wiped, [group.id for group in finding.delta.groups] if len(wiped) == len(TABLES) else ())
    session.bring(revision, finding.delta, compared=True, found=wrong)
    # A switch of plain OpenFlow is not believed at the first time either: flows may vanish there without an error.
    if finding.doubtful or (finding.delta.flows and (repeated or session.is_plain)):
        _look_again(session, reading, finding)
    else:
        fleet.looked(name, ())
        if finding.strays:
            session.delete_strays(finding)
    engine.audited(name, counts, reading.foreign)


def foreign(session: Session) -> int:
    """How many flows and groups with our mark a switch has that are not desired; it is sent nothing."""
    habits.read_ports(session)
    finding = read(session).compare(session.desired, plain=session.is_plain)
    return len(finding.delta.gone) + len(finding.delta.groups_gone)


def read(session: Session, *, flows: bool = True) -> Reading:
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
            reading.take_groups(body)
            hub.sleep(0)
        fleet.has_read(name, GROUPS)
    if (reading.unread or reading.groups_unread) and fleet.note_habit(name, UNREADABLE):
        labels = [table.label for table in TABLES if table in reading.unread] + [GROUPS] * reading.groups_unread
        said = "switch %s ends its connection while it is asked for what it has: not compared are %s"
        session.log.error(said, name, ", ".join(labels))
        session.engine.emit(Event("switch.unreadable", {"switch": name, "tables": labels}))
    return reading


def _look_again(session: Session, reading: Reading, finding: Finding) -> None:
    """Whether what was told is there now. It is confirmed already, so nobody waits for the second look."""
    engine, told = session.engine, finding.delta
    again = read(session, flows=bool(finding.suspects or told.flows))
    breath = Breath(session.turn)
    refused = {row.about for row in engine.fleet.faults(session.name) if row.error != NOT_KEPT}
    desired = session.desired.flows
    accepted = again.settle(reading, finding, desired, refused)
    if accepted:
        session.log.warning(
            "switch %s writes %d flows and groups in a way of its own: believed as long as it writes them so",
            session.name, accepted,
        )  # fmt: skip
    wanted = (flow for flow in breath.through(told.flows) if flow.cookie in desired and flow.cookie not in refused)
    lacking = [flow for flow in wanted if not again.has(flow.cookie) and flow.table not in again.unread]
    for flow in lacking[:MAX_SAID]:
        session.log.error("switch %s confirmed %s of %s and does not keep it", session.name, flow, flow.owner)
    faults = []
    for flow in lacking:
        faults.append(SwitchFault(NOT_KEPT, str(flow), flow.owner, flow.cookie))
        breath.worked()
    engine.fleet.looked(session.name, faults)
    engine.progress(everything=False)
    if finding.strays:
        session.delete_strays(finding)


def _put_meters_right(session: Session) -> Counter[tuple[str, str]]:
    """Flows may refer to them, so they come first. Meters bear no mark: only those that we use are looked at."""
    wanted = meters_of(session.engine.state.fabric, session.name)
    session.meters = frozenset(wanted)
    if not wanted:
        return Counter()
    have = dict[int, bytes]()
    for body in session.ask(wire.meter_config_request, required=False):
        have.update(wire.meter_descriptions(body))
    wrong = {meter: rate for meter, rate in wanted.items() if have.get(meter) != wire.meter_body(meter, rate)}
    _set_meters(session, wrong)
    missing = sum(meter not in have for meter in wrong)
    return Counter({("meters", "missing"): missing, ("meters", "altered"): len(wrong) - missing})


def add_meters(session: Session) -> None:
    """Set the meters of ports that the fabric did not have before: flows that are told next refer to them."""
    wanted = meters_of(session.engine.state.fabric, session.name)
    new = {meter: rate for meter, rate in wanted.items() if meter not in session.meters}
    session.meters = frozenset(wanted)
    if new:
        session.begin()
        _set_meters(session, new)


def _set_meters(session: Session, meters: Mapping[int, int]) -> None:
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
