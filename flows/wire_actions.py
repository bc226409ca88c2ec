"""Wire form of actions (OpenFlow 1.3.5, 7.2.4; NXAST_REG_MOVE and NXAST_CONTROLLER2 as Open vSwitch
documents them in ovs-actions(7)).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ryu_vmmob.flows.fields import FIELDS, Field
from ryu_vmmob.flows.pipeline import PCP

if TYPE_CHECKING:
    from ryu_vmmob.flows import action as kinds

_NICIRA: Final = 0x00002320
_REG_MOVE: Final = 6
_CONTROLLER2: Final = 37
_MAX_LEN, _METER_ID = 0, 5
"""Properties of NXAST_CONTROLLER2 (NXAC2PT_*). The length of each counts its padding, as Open vSwitch writes it."""


def _output(action: kinds.Output) -> bytes:
    return struct.pack("!HHIH6x", 0, 16, action.port, action.max_len)


def _copy(action: kinds.Copy) -> bytes:
    head = struct.pack("!HHIH6x", 0xFFFF, 32, _NICIRA, _CONTROLLER2)
    return head + struct.pack("!HHH2xHHI", _MAX_LEN, 8, action.max_len, _METER_ID, 8, action.meter)


def _group(action: kinds.ToGroup) -> bytes:
    return struct.pack("!HHI", 22, 8, action.group)


def _push_vlan(_: kinds.PushVlan) -> bytes:
    return struct.pack("!HHH2x", 17, 8, 0x8100)


def _pop_vlan(_: kinds.PopVlan) -> bytes:
    return struct.pack("!HH4x", 18, 8)


def _dec_ttl(_: kinds.DecTtl) -> bytes:
    return struct.pack("!HH4x", 24, 8)


def _set_field_frame(field: Field) -> tuple[bytes, int, bytes]:
    """Return what stands before the value, the value's size, and the padding behind it."""
    header = field.header()
    used = 4 + len(header) + field.size
    length = (used + 7) // 8 * 8
    return struct.pack("!HH", 25, length) + header, field.size, bytes(length - used)


_SET_FIELD: Final = {name: _set_field_frame(field) for name, field in FIELDS.items()}


def _set_field(action: kinds.SetField) -> bytes:
    before, size, after = _SET_FIELD[action.name]
    return before + action.value.to_bytes(size, "big") + after


@lru_cache(maxsize=256)
def _move_fields(source_name: str, target_name: str) -> bytes:
    source, target = FIELDS[source_name], FIELDS[target_name]
    if not source.nxm or not target.nxm or source.size != target.size:
        raise ValueError(f"cannot move {source_name} to {target_name}: no such pair of fields")
    return struct.pack("!HHIHHHHII", 0xFFFF, 24, _NICIRA, _REG_MOVE, source.size * 8, 0, 0, source.nxm, target.nxm)


def _move(action: kinds.Move) -> bytes:
    return _move_fields(action.source, action.target)


_PCP, _METADATA = 0x80000E01, 0x80000408
"""OXM headers of ``vlan_pcp`` and ``metadata``, as NXAST_REG_MOVE wants them."""
KEEP_PRIORITY: Final = struct.pack("!HHIHHHHII", 0xFFFF, 24, _NICIRA, _REG_MOVE, PCP.width, 0, PCP.shift, _PCP, _METADATA)
GIVE_PRIORITY: Final = struct.pack("!HHIHHHHII", 0xFFFF, 24, _NICIRA, _REG_MOVE, PCP.width, PCP.shift, 0, _METADATA, _PCP)


def _keep_priority(_: kinds.KeepPriority) -> bytes:
    return KEEP_PRIORITY


def _give_priority(_: kinds.GivePriority) -> bytes:
    return GIVE_PRIORITY


_ENCODERS: Final[dict[str, Callable[..., bytes]]] = {
    "Output": _output,
    "Copy": _copy,
    "ToGroup": _group,
    "PushVlan": _push_vlan,
    "PopVlan": _pop_vlan,
    "SetField": _set_field,
    "Move": _move,
    "DecTtl": _dec_ttl,
    "KeepPriority": _keep_priority,
    "GivePriority": _give_priority,
}


def encode(action: kinds.Action) -> bytes:
    """One action, padded to 8 bytes."""
    return _ENCODERS[type(action).__name__](action)
