"""Habits of switches of other projects, as a fake switch takes them on by name.

Each was seen at a switch of plain OpenFlow 1.3 in software, while this controller ran it. A fake switch with one of them is a
recording of that switch, as far as the habit goes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_tables import BAD_FIELD, FLOW_MOD, Refused, match_size
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC

_ADD: Final = 0
_EXACT_ONLY: Final = frozenset(
    (OPENFLOW_BASIC, FIELDS[name].number)
    for name in ("tcp_src", "tcp_dst", "udp_src", "udp_dst", "ip_proto", "eth_type", "ipv6_nd_target", "icmpv6_type", "arp_op")
)
"""Fields that OpenFlow 1.3.5 has no mask for (7.2.3.7, table 12)."""


def keeps_cookies(switch: FakeSwitch) -> None:
    """Replace the instructions at an ADD in the place of another flow, and leave the cookie (against 6.4)."""
    switch.tables.keeps_cookies = True


def wraps_statistics(switch: FakeSwitch) -> None:
    """Send a reply as one message, whatever its length: the header has 16 bits of it, and all of it is sent."""
    switch.behaviour.wraps_statistics = True


def drops_silently(switch: FakeSwitch) -> None:
    """One flow in eight is confirmed and not there, always the same ones."""
    switch.behaviour.loses = lambda message: is_add(message) and message[15] % 8 == 0


def tells_no_ports(switch: FakeSwitch) -> None:
    """Ports change and no PORT_STATUS comes; who asks is told."""
    switch.behaviour.tells_ports = False


def refuses_masks(switch: FakeSwitch) -> None:
    """OFPBMC_BAD_FIELD to a mask on a field that the standard has no mask for, and to fields that it does not have."""
    switch.behaviour.refuses = _judge_match


def matches_no_discovery(switch: FakeSwitch) -> None:
    """OFPBMC_BAD_FIELD to the fields of neighbour discovery: it does not look into ICMPv6."""
    numbers = {FIELDS[name].number for name in ("ipv6_nd_target", "ipv6_nd_sll", "ipv6_nd_tll")}
    switch.behaviour.refuses = lambda message: BAD_FIELD if is_add(message) and numbers & set(_fields_of(message)) else None


def has_no_bundles(switch: FakeSwitch) -> None:
    """Refuse the experimenter as unknown."""
    switch.behaviour.bundles = False


def has_no_roles(switch: FakeSwitch) -> None:
    """Refuse a request for a role as a type of message that it does not know."""
    switch.behaviour.roles = False


def writes_otherwise(switch: FakeSwitch) -> None:
    """Tell the fields of a match in an order of its own."""
    switch.behaviour.rewrites = True


HABITS: Final[Mapping[str, Callable[[FakeSwitch], None]]] = MappingProxyType(
    {
        row.__name__: row
        for row in (
            keeps_cookies, wraps_statistics, drops_silently, tells_no_ports, refuses_masks, matches_no_discovery,
            has_no_bundles, has_no_roles, writes_otherwise,
        )
    }
)  # fmt: skip
"""By name."""


def take_on(switch: FakeSwitch, *names: str) -> None:
    """Let a switch have these habits from now on. KeyError for a name that is none."""
    for name in names:
        HABITS[name](switch)


def is_add(message: bytes) -> bool:
    """Whether a message is a flow-mod that adds."""
    return message[1] == FLOW_MOD and message[25] == _ADD


def _fields_of(message: bytes) -> Iterator[int]:
    """Numbers of the fields that a flow-mod matches, of those that every switch may have."""
    match = message[48 : 48 + match_size(message, 48)]
    offset, end = 4, int.from_bytes(match[2:4], "big")
    while offset < end:
        oxm_class, field, size = struct.unpack_from("!HBB", match, offset)
        if oxm_class == OPENFLOW_BASIC:
            yield field >> 1
        offset += 4 + size


def _judge_match(message: bytes) -> Refused | None:
    if not is_add(message):
        return None
    match = message[48 : 48 + match_size(message, 48)]
    offset, end = 4, int.from_bytes(match[2:4], "big")
    while offset < end:
        oxm_class, field, size = struct.unpack_from("!HBB", match, offset)
        if oxm_class != OPENFLOW_BASIC or (field & 1 and (oxm_class, field >> 1) in _EXACT_ONLY):
            return BAD_FIELD
        offset += 4 + size
    return None
