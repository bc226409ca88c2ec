"""A switch's examination from beginning to end, and what came of it in plain sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.pipeline import METER_RATES, TABLES, Meter
from ryu_vmmob.whitebox.dialogue import Dialogue, DialogueError
from ryu_vmmob.whitebox.features import Portrait
from ryu_vmmob.whitebox.judge import Judgement, by_features, by_trial, punted, room
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

    @property
    def is_of_use(self) -> bool:
        """Whether it can be anything."""
        return any(self.judgement.verdict(role) != "of no use" for role in ROLES)

    @property
    def max_flows(self) -> int | None:
        """What the fabric file should say of it."""
        described = self.portrait.described
        if described is not None and described.is_openvswitch:
            return None  # it has room for more than it says, and more than we ever ask for
        return room(self.portrait)

    def fabric_keys(self) -> str:
        """What belongs into the fabric file beside its dpid."""
        keys = {"dpid": f'"{self.portrait.dpid:#x}"', "dialect": self.judgement.dialect.value}
        if self.max_flows is not None:
            keys["max_flows"] = str(self.max_flows)
        return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"

    def handed_up(self) -> list[str]:
        """What the controller would have to do for it, a sentence each."""
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
            "max_flows": self.max_flows,
            "fabric": self.fabric_keys(),
            "roles": {
                role: {"verdict": self.judgement.verdict(role), "lacks": [str(row) for row in self.judgement.of_role(role)]}
                for role in ROLES
            },
            "controller": self.handed_up(),
            "remarks": self.remarks,
        }


def examine(dialogue: Dialogue, try_out: bool) -> Report:
    """Ask a switch, and with ``try_out`` give it the sample's flows as well. Raises DialogueError."""
    portrait = dialogue.portrait()
    is_ovs = portrait.described is not None and portrait.described.is_openvswitch
    dialects = [Dialect.OPENVSWITCH, Dialect.OPENFLOW13] if is_ovs or try_out else [Dialect.OPENFLOW13]
    if try_out:
        if portrait.flows_of_ours:
            raise DialogueError(f"it has {portrait.flows_of_ours} flows of a controller of ours: nothing is tried on it")
        if len(portrait.ports) < PORTS:
            raise DialogueError(f"a trial needs {PORTS} ports, and the switch has {len(portrait.ports)}")
        found = [
            by_trial(one, {role: dialogue.try_out(rows) for role, rows in told(one, portrait.ports[:PORTS]).items()})
            for one in dialects
        ]
    else:
        found = [by_features(portrait, one, told(one)) for one in dialects]
    return Report(portrait, min(found, key=lambda row: row.rank), try_out, list(_remarks(portrait, try_out, is_ovs)))


def _remarks(portrait: Portrait, tried: bool, is_ovs: bool) -> list[str]:
    found = [f"it does not tell {_QUESTIONS[name]} ({why})" for name, why in portrait.why.items()]
    if portrait.tables is None and "tables" not in portrait.why:
        found.append("it tells table features of no table")
    if portrait.tables is None and not tried:
        found.append("what is said here takes for granted whatever it does not tell: --try finds out")
    if portrait.number_of_tables < len(TABLES):
        found.append(f"it has {portrait.number_of_tables} tables, and the pipeline has {len(TABLES)}")
    if not portrait.bundles:
        found.append("it has no bundles: changes go message by message, in an order that opens no hole")
    if not is_ovs and not tried:
        found.append("it is not Open vSwitch, so its extensions are not counted on; --try finds out whether it has them")
    if portrait.flows_of_ours:
        found.append(f"it has {portrait.flows_of_ours} flows of a controller of ours already")
    return found
