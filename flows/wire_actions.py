"""Wire form of actions (OpenFlow 1.3.5, 7.2.4; NXAST_REG_MOVE as Open vSwitch documents it in ovs-actions(7))."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Callable, Final

from ryu_vmmob.flows.fields import FIELDS

if TYPE_CHECKING:
    from ryu_vmmob.flows import flow

_NICIRA: Final = 0x00002320
_REG_MOVE: Final = 6


def _output(action: "flow.Output") -> bytes:
    return struct.pack("!HHIH6x", 0, 16, action.port, action.max_len)


def _group(action: "flow.ToGroup") -> bytes:
    return struct.pack("!HHI", 22, 8, action.group)


def _push_vlan(_: "flow.PushVlan") -> bytes:
    return struct.pack("!HHH2x", 17, 8, 0x8100)


def _pop_vlan(_: "flow.PopVlan") -> bytes:
    return struct.pack("!HH4x", 18, 8)


def _set_field(action: "flow.SetField") -> bytes:
    field = FIELDS[action.name]
    oxm = field.header() + action.value.to_bytes(field.size, "big")
    length = (4 + len(oxm) + 7) // 8 * 8
    return struct.pack("!HH", 25, length) + oxm + bytes(length - 4 - len(oxm))


def _move(action: "flow.Move") -> bytes:
    source, target = FIELDS[action.source], FIELDS[action.target]
    if not source.nxm or not target.nxm or source.size != target.size:
        raise ValueError(f"cannot move {action.source} to {action.target}: no such pair of fields")
    return struct.pack(
        "!HHIHHHHII", 0xFFFF, 24, _NICIRA, _REG_MOVE, source.size * 8, 0, 0, source.nxm, target.nxm
    )


_ENCODERS: Final[dict[str, Callable[..., bytes]]] = {
    "Output": _output,
    "ToGroup": _group,
    "PushVlan": _push_vlan,
    "PopVlan": _pop_vlan,
    "SetField": _set_field,
    "Move": _move,
}


def encode(action: "flow.Action") -> bytes:
    """One action, padded to 8 bytes."""
    return _ENCODERS[type(action).__name__](action)
