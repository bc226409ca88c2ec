"""Ryu's parser as the second opinion on our bytes: a message as Ryu reads it, put into our own words."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from ryu.lib import type_desc
from ryu.ofproto import ofproto_parser, ofproto_v1_3, ofproto_v1_3_parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.flow import (
    Action,
    DecTtl,
    Flow,
    GivePriority,
    KeepPriority,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    ToGroup,
)
from ryu_vmmob.flows.pipeline import PCP
from ryu_vmmob.net.addresses import mac

DESC = ProtocolDesc(version=4)
OFP, PARSER = ofproto_v1_3, ofproto_v1_3_parser

_BY_NUMBER = {f"field_{field.oxm_class << 7 | field.number}": name for name, field in FIELDS.items()}
"""Fields that Ryu knows by number only."""


def read(message: bytes) -> Any:
    """One message, parsed by Ryu."""
    version, kind, length, xid = ofproto_parser.header(message)
    assert length == len(message), "the length field and the message disagree"
    return ofproto_parser.msg(DESC, version, kind, length, xid, message)


def number(value: Any) -> int:
    """A value of Ryu's (text, number, or base64 for fields it does not know) as an integer."""
    if isinstance(value, int):
        return value
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", value):
        return mac(value)
    try:
        return int(ip_address(value))
    except ValueError:
        return int.from_bytes(base64.b64decode(value), "big")


def field_name(name: str) -> str:
    """Our name of a field; Ryu gives those with NXM headers names of their own, beside OpenFlow's of the same meaning."""
    return _BY_NUMBER.get(name, name).removesuffix("_nxm")


def ryu_name(name: str) -> str:
    """Ryu's name of a field of ours."""
    return name


def match_of(ryu_match: Any) -> dict[str, tuple[int, int | None]]:
    """{field: (value, mask or None)}."""
    found: dict[str, tuple[int, int | None]] = {}
    for name, value in ryu_match.items():
        pair = value if isinstance(value, tuple) else (value, None)
        found[field_name(name)] = (number(pair[0]), None if pair[1] is None else number(pair[1]))
    return found


def action_of(action: Any) -> Action:
    """One of our actions that means what Ryu's object means."""
    match type(action).__name__:
        case "OFPActionOutput":
            return Output(action.port, action.max_len)
        case "OFPActionGroup":
            return ToGroup(action.group_id)
        case "OFPActionPushVlan":
            assert action.ethertype == 0x8100
            return PushVlan()
        case "OFPActionPopVlan":
            return PopVlan()
        case "OFPActionDecNwTtl":
            return DecTtl()
        case "OFPActionSetField":
            return SetField(field_name(action.key), number(action.value))
        case "NXActionRegMove":
            if action.n_bits == PCP.width:
                kept = ("vlan_pcp", "metadata", 0, PCP.shift)
                found = (action.src_field, action.dst_field, action.src_ofs, action.dst_ofs)
                assert found in (kept, (*kept[1::-1], PCP.shift, 0)), found
                return KeepPriority() if found == kept else GivePriority()
            source, target = field_name(action.src_field), field_name(action.dst_field)
            assert (action.src_ofs, action.dst_ofs, action.n_bits) == (0, 0, 8 * FIELDS[source].size)
            return Move(source, target)
    raise AssertionError(f"no such action of ours: {action}")


def assert_same_flow(flow: Flow, message: Any, cookie: int) -> None:
    """What Ryu read is the flow: table, priority, match, instructions, cookie."""
    assert message.table_id == flow.table.id
    assert message.priority == flow.priority
    assert message.cookie == cookie
    assert match_of(message.match) == {name: (value, mask) for name, value, mask in flow.match}
    actions: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    meter: int | None = None
    kinds = [instruction.type for instruction in message.instructions]
    assert len(set(kinds)) == len(kinds), "an instruction stands twice"
    for instruction in message.instructions:
        if instruction.type == OFP.OFPIT_APPLY_ACTIONS:
            actions = tuple(map(action_of, instruction.actions))
        elif instruction.type == OFP.OFPIT_WRITE_METADATA:
            metadata = (instruction.metadata, instruction.metadata_mask)
        elif instruction.type == OFP.OFPIT_GOTO_TABLE:
            goto = instruction.table_id
        elif instruction.type == OFP.OFPIT_METER:
            meter = instruction.meter_id
        else:
            raise AssertionError(f"unexpected instruction {instruction}")
    assert actions == flow.actions
    assert metadata == flow.metadata
    assert goto == (None if flow.goto is None else flow.goto.id)
    assert meter == flow.meter


def ryu_value(name: str, value: int) -> Any:
    """A value as Ryu's constructors want it."""
    descriptor = next(t for t in OFP.oxm_types if t.name == ryu_name(name)).type
    if isinstance(descriptor, type_desc.IntDescr):
        return value
    return descriptor.to_user(value.to_bytes(FIELDS[name].size, "big"))


def ryu_action(action: Action) -> Any:
    """Ryu's object for one of our actions."""
    match action:
        case Output(port=port, max_len=max_len):
            return PARSER.OFPActionOutput(port, max_len)
        case ToGroup(group=group):
            return PARSER.OFPActionGroup(group)
        case PushVlan():
            return PARSER.OFPActionPushVlan(0x8100)
        case PopVlan():
            return PARSER.OFPActionPopVlan()
        case DecTtl():
            return PARSER.OFPActionDecNwTtl()
        case SetField(name=name, value=value):
            return PARSER.OFPActionSetField(**{ryu_name(name): ryu_value(name, value)})
        case KeepPriority():
            return PARSER.NXActionRegMove("vlan_pcp", "metadata", PCP.width, dst_ofs=PCP.shift)
        case GivePriority():
            return PARSER.NXActionRegMove("metadata", "vlan_pcp", PCP.width, src_ofs=PCP.shift)
        case Move(source=source, target=target):
            return PARSER.NXActionRegMove(f"{source}_nxm", f"{target}_nxm", 8 * FIELDS[source].size)
    raise AssertionError(f"Ryu has no such action: {action}")


def ryu_flow_mod(flow: Flow) -> Any:
    """Ryu's object for one of our flows, to be serialised by Ryu."""
    rows = {
        name: ryu_value(name, value) if mask is None else (ryu_value(name, value), ryu_value(name, mask))
        for name, value, mask in flow.match
    }
    instructions = []
    if flow.meter is not None:
        instructions.append(PARSER.OFPInstructionMeter(flow.meter))
    if flow.actions:
        apply = OFP.OFPIT_APPLY_ACTIONS
        instructions.append(PARSER.OFPInstructionActions(apply, [ryu_action(action) for action in flow.actions]))
    if flow.metadata is not None:
        instructions.append(PARSER.OFPInstructionWriteMetadata(*flow.metadata))
    if flow.goto is not None:
        instructions.append(PARSER.OFPInstructionGotoTable(flow.goto.id))
    return PARSER.OFPFlowMod(
        DESC, cookie=flow.cookie, table_id=flow.table.id, command=OFP.OFPFC_ADD, priority=flow.priority,
        buffer_id=OFP.OFP_NO_BUFFER, out_port=OFP.OFPP_ANY, out_group=OFP.OFPG_ANY,
        match=in_this_order(rows), instructions=instructions,
    )  # fmt: skip


def in_this_order(rows: Mapping[str, Any]) -> Any:
    """A match of Ryu's with its fields as they stand here; by itself it sorts them by number."""
    plain = PARSER.OFPMatch(**rows)
    return PARSER.OFPMatch(_ordered_fields=[(name, plain[name]) for name in rows])


def serialised(message: Any, xid: int) -> bytes:
    """Ryu's bytes of a message of Ryu's."""
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


NXM_NX = 1


def known_to_ryu(flow: Flow) -> bool:
    """Whether Ryu can write these bytes itself. It does not know the class of the two fields of neighbour discovery, and in
    a match it puts Open vSwitch's fields before those they depend on.
    """
    matched = {FIELDS[name].oxm_class for name, _, _ in flow.match}
    written = {FIELDS[action.name].oxm_class for action in flow.actions if isinstance(action, SetField)}
    return matched <= {OPENFLOW_BASIC} and written <= {OPENFLOW_BASIC, NXM_NX}
