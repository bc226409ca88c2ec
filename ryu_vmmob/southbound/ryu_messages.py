"""Conversion of Ryu's message objects to values of ours. It never raises, whatever a switch sends.

Ryu gives a match field that came with a mask as a pair, and one of an unexpected length as whatever its bytes come to; an error
of an experimenter has no type and no code.
"""

from __future__ import annotations

from typing import Any

from ryu_vmmob.southbound.packets import PacketIn


def packet_in(message: Any) -> PacketIn:
    """Return a packet-in (OpenFlow 1.3.5, 7.4.1); a field that is not there, or no plain number, counts as 0."""
    match = message.match
    ttl_invalid = message.reason == message.datapath.ofproto.OFPR_INVALID_TTL
    return PacketIn(
        message.cookie, _number(match.get("in_port")), _number(match.get("metadata")), bytes(message.data), ttl_invalid
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def error_number(message: Any) -> tuple[int, int] | None:
    """Type and code of an OpenFlow error; None of an experimenter's."""
    kind, code = getattr(message, "type", None), getattr(message, "code", None)
    return None if kind is None or code is None else (kind, code)


def error_text(message: Any) -> str:
    """Return an OpenFlow error by its names in the specification (7.4.4), as far as it has any."""
    ofproto = message.datapath.ofproto
    kind, code = getattr(message, "type", None), getattr(message, "code", None)
    if kind is None or code is None:
        return "experimenter"
    return f"{ofproto.ofp_error_type_to_str(kind)} {ofproto.ofp_error_code_to_str(kind, code)}"
