"""What a plain OpenFlow 1.3 switch can carry of our pipeline, found out before anything is promised for it.

First it reads the switch's own descriptions (OFPMP_DESC, OFPMP_TABLE_FEATURES, OFPMP_GROUP_FEATURES), field by field and mask
by mask. For what they leave open (`whitebox.asking`) it probes: it adds a flow of that kind which no packet matches, or which
does what the table-miss flow does anyhow, reads it back, and deletes it at its place. Probes bear our cookie mark, so the next
reconciliation deletes those left by a lost connection. The result is kept by dpid (`engine.abilities`), so a restart does not
probe again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from ryu.lib import hub

from ryu_vmmob.engine.fleet import CAPABILITY, UNASKABLE
from ryu_vmmob.fabric.model import Dialect, Role, Switch
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.ability import Ability
from ryu_vmmob.flows.audit import entries_of
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.flow import Bucket, Flow, Group, GroupType, Output
from ryu_vmmob.flows.kinds import (
    PROBES,
    deed_probe,
    ends,
    group_probe,
    match_kind,
    match_probe,
    narrower,
    probe_group_id,
    representatives,
)
from ryu_vmmob.flows.pipeline import COOKIE_FULL_MASK, Table
from ryu_vmmob.southbound.exchange import Exchange
from ryu_vmmob.whitebox import features
from ryu_vmmob.whitebox.asking import is_told
from ryu_vmmob.whitebox.judge import table_sizes
from ryu_vmmob.whitebox.sample import told

_DESCRIPTION, _GROUP_FEATURES, _TABLE_FEATURES = 0, 8, 12
_STEP: Final = 512
"""Flows that are looked at without a pause."""
MOST_FEATURES: Final = 1 << 23
"""Bytes of a description: those of Open vSwitch's 254 tables are less than a tenth of it."""
MAX_SAID: Final = 10
_ANY_PORT: Final = 1
_BESIDE: Final = 1 << 12
"""Between the priorities of two probes of the same deeds."""
_MATCH_ERRORS: Final = ("OFPBMC_", "BAD_TABLE_ID")
_DEED_ERRORS: Final = ("OFPBAC_", "OFPBIC_", "BAD_TABLE_ID")
_GROUP_ERRORS: Final = ("OFPGMFC_", "OFPBAC_")
_OF_THE_MOMENT: Final = (
    "BAD_OUT_PORT", "BAD_OUT_GROUP", "EPERM", "OUT_OF_GROUPS", "GROUP_EXISTS", "UNKNOWN_GROUP", "IS_SLAVE",
)  # fmt: skip
"""Errors that say nothing of what a switch can do."""


class Subject(Exchange, Protocol):
    """A session, as far as it is asked what its switch can carry."""

    datapath: Any
    """Ryu's connection; of it the numbers of the ports are read."""
    portrait: features.Portrait | None
    """What the switch has said of its abilities, if it was asked."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a switch of plain OpenFlow 1.3."""

    @property
    def desired(self) -> SwitchTables:
        """Return what the switch should have now."""


def look(session: Subject, *, first: bool) -> None:
    """Ask a plain switch what is not known yet of what it can do. Deltas wait meanwhile.

    ``first``: it has just connected; then it is looked whether it is the switch that it was, and of which kinds its flows are.
    """
    switch, fleet = _plain(session), session.engine.fleet
    if switch is None:
        return
    known = session.engine.abilities.of(switch)
    if fleet.is_unreadable(session.name, CAPABILITY):
        if fleet.note_habit(session.name, UNASKABLE):
            session.log.error("switch %s closes its connection when it is probed: it is not probed any more", session.name)
        return
    if not first and known is not None:
        return
    session.portrait = None
    description = _described(session)
    if known is not None and known.described != description:
        known = None
    rows = list(_needed(session, switch))
    _ask(session, switch, known or Ability(description), rows)


def look_closer(session: Subject, entries: Iterable[Flow | Group], refused: Iterable[Flow | Group]) -> None:
    """Ask for those of ``entries`` just told whose kinds are not known, and by probes for those that the switch ``refused``."""
    switch = _plain(session)
    known = None if switch is None else session.engine.abilities.of(switch)
    if switch is None or known is None or session.engine.fleet.is_unreadable(session.name, CAPABILITY):
        return
    doubted = representatives(row for row in refused if known.lacking(row) is None)  # the others it was known to refuse
    answers = {kind: why for kind, why in known.answers.items() if why or kind not in doubted}
    ability = Ability(known.described, answers, known.sizes, known.probed)
    _ask(session, switch, ability, [*ability.unknown(entries), *doubted.values()], believe=not doubted)


def _plain(session: Subject) -> Switch | None:
    switch = session.engine.state.fabric.switches.get(session.name)
    return switch if switch is not None and switch.dialect is Dialect.OPENFLOW13 and session.is_plain else None


def _needed(session: Subject, switch: Switch) -> Iterator[Flow | Group]:
    """Yield what a switch of its role may have to carry (an edge may have external networks), and what it has to now."""
    sample = told(switch.dialect, l4_masks=switch.l4_masks, passes_fragments=switch.passes_fragments)
    for role in ("spine",) if switch.role is Role.SPINE else ("tor", "border"):
        yield from sample[role].flows
        yield from sample[role].groups
    desired = session.desired
    for number, flow in enumerate(list(desired.flows.values())):
        if number % _STEP == 0:
            hub.sleep(0)
        yield flow
    yield from list(desired.groups.values())


def _ask(session: Subject, switch: Switch, known: Ability, entries: Iterable[Flow | Group], *, believe: bool = True) -> None:
    found = representatives(entries)
    left = {kind: entry for kind, entry in found.items() if kind not in known.answers}
    if not left and session.engine.abilities.of(switch) is not None:
        return
    answers, sizes, fleet = dict(known.answers), dict(known.sizes), session.engine.fleet
    fleet.reads(session.name, CAPABILITY)
    if believe:
        if session.portrait is None:
            session.portrait = _portrait(session, switch)
        portrait = session.portrait
        sizes = table_sizes(portrait)
        answers.update((kind, "") for kind, entry in left.items() if is_told(kind, entry, portrait))
        left = {kind: entry for kind, entry in left.items() if kind not in answers}
    probed = _Asked(session, ends(session.desired.flows.values())).all(left)
    fleet.has_read(session.name, CAPABILITY)
    answers.update(probed)
    ability = Ability(known.described, answers, sizes, known.probed + len(probed))
    if session.engine.learned(switch, ability):
        for lack in ability.lacks[:MAX_SAID]:
            session.log.warning("switch %s %s", session.name, lack)
    session.log.info(
        "switch %s: of %d kinds of flows and groups, %d were asked for by probes; %d things it cannot do",
        session.name, len(answers), len(left), len(ability.lacks),
    )  # fmt: skip


def _portrait(session: Subject, switch: Switch) -> features.Portrait:
    """Return what the switch says of its tables and groups; nothing where it says something that cannot be read."""
    found = features.Portrait(switch.dpid, len(Table))
    bodies = [_multipart(session, kind) for kind in (_TABLE_FEATURES, _GROUP_FEATURES)]
    try:
        found.tables = features.tables(bodies[0], len(Table)) or None
        found.groups = features.groups(bodies[1]) if bodies[1] else None
    except features.MalformedError as error:
        session.log.warning("switch %s sent malformed table features: %s", session.name, error)
    return found


def _described(session: Subject) -> str:
    try:
        return str(features.description(_multipart(session, _DESCRIPTION)))
    except features.MalformedError:
        return ""


def _multipart(session: Subject, kind: int) -> bytes:
    """All parts of an answer; nothing where the switch refuses to answer."""
    return b"".join(session.ask(lambda xid: wire.multipart_request(xid, kind), required=False, most=MOST_FEATURES))


class _Asked:
    """Probes at one switch. ``ends_of``: where the last flow of each table leads."""

    def __init__(self, session: Subject, ends_of: Mapping[Table, Table | None]) -> None:
        self._session = session
        self._ends = ends_of
        ports = sorted(session.datapath.ports or ())
        self._port = ports[0] if ports else _ANY_PORT
        self._inner: int | None = None
        """A group that leads to a port and to which nothing leads."""
        self._groups = list[Group]()
        """Those that stand."""

    def all(self, left: Mapping[str, Flow | Group]) -> dict[str, str]:
        """Kind -> why the switch cannot, or nothing where it can; without those of which nothing could be found out."""
        if not left:
            return {}
        try:
            for kind in (GroupType.INDIRECT, GroupType.ALL):
                if self._inner is None:
                    row = Group(probe_group_id(len(self._groups) + 1), kind, (Bucket((Output(self._port),)),))
                    if not self._send([row]):
                        self._groups.append(row)
                        self._inner = row.id
            found = self._try_groups({kind: row for kind, row in left.items() if isinstance(row, Group)})
            return found | self._try_flows({kind: row for kind, row in left.items() if isinstance(row, Flow)})
        finally:
            self._send_all([wire.group_delete(row.id, self._session.next_xid()) for row in reversed(self._groups)])

    def _try_groups(self, models: Mapping[str, Group]) -> dict[str, str]:
        probes = [
            (kind, probe) for number, (kind, model) in enumerate(models.items(), start=3)
            if (probe := group_probe(model, number, self._port, self._inner)) is not None
        ]  # fmt: skip
        errors = self._send([probe for _, probe in probes])
        self._groups += [probe for at, (_, probe) in enumerate(probes) if at not in errors]
        return _answers(probes, errors, _GROUP_ERRORS, "refuses such a group")

    def _try_flows(self, models: Mapping[str, Flow]) -> dict[str, str]:
        matches, deeds = list[tuple[str, Flow]](), list[tuple[str, Flow]]()
        for number, (kind, model) in enumerate(models.items(), start=1):
            if kind == match_kind(model):
                matches.append((kind, match_probe(model, self._ends.get(model.table))))
            elif (probe := deed_probe(model, number, self._port, self._inner)) is not None:
                deeds.append((kind, probe))
        return self._try(matches, _MATCH_ERRORS, "refuses such a match") | self._try(deeds, _DEED_ERRORS, "refuses such flows")

    def _try(self, probes: list[tuple[str, Flow]], errors_of: tuple[str, ...], words: str) -> dict[str, str]:
        """Flows that the switch is given, and asked for, and has to give up again."""
        errors = self._send([probe for _, probe in probes])
        found = _answers(probes, errors, errors_of, words)
        there = self._there([probe for at, (_, probe) in enumerate(probes) if at not in errors])
        for at, (kind, probe) in enumerate(probes):
            if at in errors:
                if found.get(kind) and errors_of is _MATCH_ERRORS:
                    found[kind] = self._culprit(probe) or found[kind]
            elif probe.key not in there and not self._keeps(probe):
                found[kind] = "confirms such flows and does not keep them"
        self._send_all([self._removal(probe) for at, (_, probe) in enumerate(probes) if at not in errors])
        return found

    def _keeps(self, probe: Flow) -> bool:
        """Whether the switch has the same flow when it is told again, under another cookie: it may lose one now and then."""
        if probe.priority not in PROBES:
            beside = probe.priority + _BESIDE
            again = Flow.undeclared(probe.table, beside, probe.match, probe.actions, probe.goto, probe.metadata)
        else:
            again = match_probe(probe, probe.goto, PROBES[-1])
        kept = not self._send([again]) and again.key in self._there([again])
        self._send_all([self._removal(again)])
        return kept

    def _culprit(self, probe: Flow) -> str | None:
        for what, rows in narrower(probe.match):
            less = Flow.undeclared(probe.table, probe.priority, rows, (), probe.goto)
            if not self._send([less]):
                self._send_all([self._removal(less)])
                return f"cannot match {what}"
        return None

    def _there(self, probes: Sequence[Flow]) -> set[bytes]:
        """Places of probes that the switch says it has. For one that matches everything it is not asked: that may be long."""
        keys, found = {probe.key for probe in probes}, {probe.key for probe in probes if not probe.match}
        requests = [partial(_request, probe) for probe in probes if probe.match]
        for body in self._session.ask_each(requests, required=False) if requests else ():
            found.update(key for entry in entries_of(body) if (key := entry.key) in keys)
            hub.sleep(0)
        return found

    def _removal(self, probe: Flow) -> bytes:
        xid = self._session.next_xid()
        return wire.flow_delete_strict(probe.table.id, probe.priority, probe.key[3:], probe.cookie, xid)

    def _send(self, entries: Sequence[Flow | Group]) -> dict[int, str]:
        """Return by the number of an entry why it is refused."""
        session = self._session
        session.begin()
        xids = [session.next_xid() for _ in entries]
        rows = zip(entries, xids, strict=True)
        session.tell([wire.flow_add(row, xid) if isinstance(row, Flow) else wire.group_add(row, xid) for row, xid in rows])
        return {at: session.refusal_of(xid) for at, xid in enumerate(xids) if xid in session.refused_xids}

    def _send_all(self, messages: list[bytes]) -> None:
        """Send deletions; what the switch says to them is no news."""
        if messages:
            self._session.tell(messages)


def _request(probe: Flow, xid: int) -> bytes:
    return wire.flow_stats_request(xid, probe.table.id, COOKIE_FULL_MASK, probe.key[3:], probe.cookie)


def _answers(
    probes: Sequence[tuple[str, Flow | Group]], errors: Mapping[int, str], telling: tuple[str, ...], words: str
) -> dict[str, str]:
    found = dict[str, str]()
    for at, (kind, _) in enumerate(probes):
        error = errors.get(at)
        if error is None:
            found[kind] = ""
        elif any(row in error for row in telling) and not any(row in error for row in _OF_THE_MOMENT):
            found[kind] = f"{words} ({error})"
    return found
