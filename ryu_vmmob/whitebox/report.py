"""The examination of a switch from beginning to end, and its report in plain sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.pipeline import METER_RATES, TABLES, Meter
from ryu_vmmob.whitebox.dialogue import Dialogue
from ryu_vmmob.whitebox.errors import DialogueError
from ryu_vmmob.whitebox.features import Portrait
from ryu_vmmob.whitebox.habits import Habits, habits
from ryu_vmmob.whitebox.judge import Judgement, by_features, by_trial, contradicts_itself, punted, table_sizes
from ryu_vmmob.whitebox.sample import PORTS, ROLES, told

_PUNTED: Final = {
    "answer": "ARP requests and neighbour solicitations for gateways and known members, and pings to gateways: the controller "
    f"answers in the switch's place (Open vSwitch does it itself), up to {METER_RATES[Meter.ANSWERS]} a second for a port",
}
_TTL: Final = (
    "packets whose TTL is used up: the controller tells the sender, if the switch hands them over by itself "
    "(OFPR_INVALID_TTL); if not, traceroute does not see this switch"
)
_LIMITS: Final = "packets to the controller are not limited by meters there; the controller limits what it takes and answers"
_QUESTIONS: Final = {
    "described": "its description", "tables": "its table features", "groups": "its group features",
    "meters": "its meter features", "ports": "its ports",
}  # fmt: skip


@dataclass(slots=True)
class Report:
    """What is known of a switch now. ``remarks`` are sentences."""

    portrait: Portrait
    judgement: Judgement
    tried: bool
    remarks: list[str] = field(default_factory=list)
    room: int | None = None
    """So many flows the table of a trial took, where it did not take all of them."""

    @property
    def is_of_use(self) -> bool:
        """Whether it can be anything, as far as that is known."""
        return any(self.judgement.verdict(role) in ("works", "works in part") for role in ROLES)

    @property
    def is_known(self) -> bool:
        """Whether it is known what it can be."""
        return all(self.judgement.verdict(role) != "not known" for role in ROLES)

    @property
    def table_sizes(self) -> dict[str, int]:
        """Return what the fabric file should say of the room in its tables."""
        described = self.portrait.described
        if described is not None and described.is_openvswitch:
            return {}  # it has room for more than it says, and more than we ever ask for
        found = table_sizes(self.portrait)
        if self.room is not None:
            found["bridge"] = min(self.room, found.get("bridge", self.room))
        return found

    def fabric_keys(self) -> str:
        """Return what belongs into the fabric file beside its dpid."""
        keys = {"dpid": f'"{self.portrait.dpid:#x}"', "dialect": self.judgement.dialect.value}
        if sizes := self.table_sizes:
            keys["table_sizes"] = "{" + ", ".join(f"{label}: {size}" for label, size in sizes.items()) + "}"
        return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"

    def handed_up(self) -> list[str]:
        """Return what the controller would have to do for it, a sentence each."""
        if self.judgement.dialect is Dialect.OPENVSWITCH:
            return []
        labels = punted(told(Dialect.OPENFLOW13), told(Dialect.OPENVSWITCH))
        return [text for label, text in _PUNTED.items() if labels.get(label)] + [_TTL, _LIMITS]

    def document(self) -> dict[str, Any]:
        """All of it, for programs."""
        portrait = self.portrait
        return {
            "dpid": f"{portrait.dpid:#018x}",
            "description": None if portrait.described is None else str(portrait.described),
            "tables": portrait.number_of_tables,
            "ports": len(portrait.ports),
            "bundles": portrait.bundles,
            "tried": self.tried,
            "dialect": self.judgement.dialect.value,
            "table_sizes": self.table_sizes,
            "fabric": self.fabric_keys(),
            "roles": {
                role: {"verdict": self.judgement.verdict(role), "lacks": [str(row) for row in self.judgement.of_role(role)]}
                for role in ROLES
            },
            "controller": self.handed_up(),
            "remarks": self.remarks,
        }


def examine(dialogue: Dialogue, *, try_out: bool) -> Report:
    """Ask a switch, and with ``try_out`` give it the sample's flows as well. Raises DialogueError."""
    portrait = dialogue.portrait()
    is_ovs = portrait.described is not None and portrait.described.is_openvswitch
    remarks, many = list(_remarks(portrait, tried=try_out, is_ovs=is_ovs)), Habits()
    if try_out:
        if portrait.flows_of_ours:
            raise DialogueError(f"it has {portrait.flows_of_ours} flows of a controller of ours: nothing is tried on it")
        if len(portrait.ports) < PORTS:
            raise DialogueError(f"a trial needs {PORTS} ports, and the switch has {len(portrait.ports)}")
        # The plain way first: what only Open vSwitch has may be too much for a switch that is none.
        found = [_tried(dialogue, portrait, Dialect.OPENFLOW13)]
        try:
            found.append(_tried(dialogue, portrait, Dialect.OPENVSWITCH))
        except DialogueError as error:
            said = "it stopped answering while it was given what only Open vSwitch has"
            remarks.append(f"{said} ({error}): that is not counted on")
            many.answers = False
        if many.answers:
            many = habits(dialogue)
            remarks.extend(many.remarks)
    else:
        dialects = (Dialect.OPENVSWITCH, Dialect.OPENFLOW13) if is_ovs else (Dialect.OPENFLOW13,)
        found = [by_features(portrait, one, told(one)) for one in dialects]
    best = min(found, key=lambda row: (row.rank, row.dialect is not Dialect.OPENVSWITCH))
    return Report(portrait, best, try_out, remarks, many.room)


def _tried(dialogue: Dialogue, portrait: Portrait, dialect: Dialect) -> Judgement:
    sample = told(dialect, portrait.ports[:PORTS])
    return by_trial(dialect, {role: dialogue.try_out(rows) for role, rows in sample.items()})


def _remarks(portrait: Portrait, *, tried: bool, is_ovs: bool) -> list[str]:
    found = [f"it does not tell {_QUESTIONS[name]} ({why})" for name, why in portrait.why.items()]
    if portrait.tables is None and "tables" not in portrait.why:
        found.append("it tells table features of no table")
    if portrait.tables is None and not tried:
        found.append("what is said here takes for granted whatever it does not tell: --try finds out")
    if contradicts_itself(portrait) and not tried:
        found.append("it says that no flow may do anything in any table, which cannot be true: --try finds out")
    missing = [table.id for table in TABLES if table.id not in (portrait.tables or {}) and table.id < portrait.number_of_tables]
    if portrait.tables and missing and not tried:
        found.append(f"it says nothing of tables {', '.join(map(str, missing))}, which it has: --try finds out")
    if portrait.number_of_tables < len(TABLES):
        found.append(f"it has {portrait.number_of_tables} tables, and the pipeline has {len(TABLES)}")
    if not portrait.bundles:
        found.append("it has no bundles: changes go message by message, in an order that opens no hole")
    if not is_ovs and not tried:
        found.append("it is not Open vSwitch, so its extensions are not counted on; --try finds out whether it has them")
    if portrait.flows_of_ours:
        found.append(f"it has {portrait.flows_of_ours} flows of a controller of ours already")
    return found
