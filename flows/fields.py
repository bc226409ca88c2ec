"""OXM fields: the names this project matches and sets, with their wire form (OpenFlow 1.3.5, 7.2.3.7).

Values are unsigned integers throughout (addresses too), so that flows compare, hash and print cheaply. The `NXM` headers
are Open vSwitch's older names of the same fields, which its field-move action wants.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from ryu_vmmob.net.addresses import mac_text

VID_PRESENT: Final = 0x1000
"""OFPVID_PRESENT: set in ``vlan_vid`` whenever a frame carries a tag; 0 matches frames without one."""


class Field(NamedTuple):
    """One OXM field: ``order`` is that of people's listings, ``place`` that on the wire, ``size`` the value's bytes."""

    name: str
    order: int
    place: int
    oxm_class: int
    number: int
    size: int
    nxm: int = 0

    @property
    def all_bits(self) -> int:
        """The mask that says nothing: every bit counts."""
        return (1 << 8 * self.size) - 1

    def header(self, *, masked: bool = False) -> bytes:
        """Return what stands before the value, or the value and its mask: the OXM header, and whose field it is where that says
        so.
        """
        whose = _ONF if self.oxm_class == _EXPERIMENTER else b""
        length = len(whose) + (self.size * 2 if masked else self.size)
        return struct.pack("!HBB", self.oxm_class, self.number << 1 | masked, length) + whose


OPENFLOW_BASIC: Final = 0x8000
"""The OXM class of the fields that every OpenFlow 1.3 switch may have."""
_BASIC: Final = OPENFLOW_BASIC
_NICIRA: Final = 0x0001  # Open vSwitch's class NXM_NX: what a packet has and OpenFlow 1.3 cannot say
_EXPERIMENTER: Final = 0xFFFF
_ONF: Final = bytes.fromhex("4f4e4600")
"""The experimenter of the fields that OpenFlow got later, as Open vSwitch tells a switch of 1.3 about TCP flags (EXT-109)."""
_ERICSSON: Final = 0x1000  # Open vSwitch's class for the two ND fields that OpenFlow lacks (seen on 3.1.0)

_ROWS: Final[tuple[tuple[str, int, int, int, int], ...]] = (
    # name, class, number, bytes, NXM header for field moves
    ("in_port", _BASIC, 0, 4, 0),
    ("metadata", _BASIC, 2, 8, 0),
    ("eth_dst", _BASIC, 3, 6, 0x00000206),
    ("eth_src", _BASIC, 4, 6, 0x00000406),
    ("eth_type", _BASIC, 5, 2, 0),
    ("vlan_vid", _BASIC, 6, 2, 0),
    ("ip_proto", _BASIC, 10, 1, 0),
    ("ip_frag", _NICIRA, 26, 1, 0),
    ("nw_ttl", _NICIRA, 29, 1, 0),
    ("ipv4_src", _BASIC, 11, 4, 0x00000E04),
    ("ipv4_dst", _BASIC, 12, 4, 0x00001004),
    ("tcp_src", _BASIC, 13, 2, 0),
    ("tcp_dst", _BASIC, 14, 2, 0),
    ("tcp_flags", _EXPERIMENTER, 42, 2, 0),
    ("udp_src", _BASIC, 15, 2, 0),
    ("udp_dst", _BASIC, 16, 2, 0),
    ("icmpv4_type", _BASIC, 19, 1, 0),
    ("icmpv4_code", _BASIC, 20, 1, 0),
    ("arp_op", _BASIC, 21, 2, 0),
    ("arp_spa", _BASIC, 22, 4, 0x00002004),
    ("arp_tpa", _BASIC, 23, 4, 0x00002204),
    ("arp_sha", _BASIC, 24, 6, 0x00012206),
    ("arp_tha", _BASIC, 25, 6, 0x00012406),
    ("ipv6_src", _BASIC, 26, 16, 0x00012610),
    ("ipv6_dst", _BASIC, 27, 16, 0x00012810),
    ("icmpv6_type", _BASIC, 29, 1, 0),
    ("icmpv6_code", _BASIC, 30, 1, 0),
    ("ipv6_nd_target", _BASIC, 31, 16, 0),
    ("ipv6_nd_sll", _BASIC, 32, 6, 0),
    ("ipv6_nd_tll", _BASIC, 33, 6, 0),
    ("nd_reserved", _ERICSSON, 1, 4, 0),
    ("nd_options_type", _ERICSSON, 2, 1, 0),
)

_ON_THE_WIRE: Final = (
    "in_port", "eth_src", "eth_dst", "eth_type", "vlan_vid", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst", "arp_op",
    "arp_spa", "arp_tpa", "arp_sha", "arp_tha", "ip_frag", "nw_ttl", "ip_proto", "tcp_src", "tcp_dst", "tcp_flags", "udp_src",
    "udp_dst", "icmpv4_type", "icmpv4_code", "icmpv6_type", "icmpv6_code", "ipv6_nd_target", "nd_reserved",
    "nd_options_type", "ipv6_nd_sll", "ipv6_nd_tll", "metadata",
)  # fmt: skip
"""The order in which Open vSwitch writes fields, whichever it got them in, with prerequisites first as every switch wants
them (7.2.3.8). A flow that was told in this order comes back byte for byte, so comparing a switch costs a fifth.
"""

FIELDS: Final = {
    name: Field(name, order, _ON_THE_WIRE.index(name), oxm_class, number, size, nxm)
    for order, (name, oxm_class, number, size, nxm) in enumerate(_ROWS)
}


FIRST_FRAGMENT: Final = 1
"""``ip_frag`` of a fragment at offset 0 that is not the whole packet (NXM_NX_IP_FRAG)."""
LATER_FRAGMENT: Final = 3
"""``ip_frag`` of every other fragment. Of a packet that is none it is 0."""
NO_FRAGMENT: Final = (0, 1)
ANY_FRAGMENT: Final = (1, 1)


PRIORITY_TAG: Final = VID_PRESENT
"""``vlan_vid`` of a frame with a tag that says a priority and no VLAN (VLAN-ID 0): as good as untagged (IEEE 802.1Q, 6.9)."""


def vid(vlan_id: int) -> int:
    """``vlan_vid`` of a tagged frame with this VLAN-ID (1 to 4094)."""
    return VID_PRESENT | vlan_id


def show(name: str, value: int) -> str:
    """Return a field's value as people write it."""
    if (name.startswith("eth_") and name != "eth_type") or name.endswith(("_sha", "_tha", "_sll", "_tll")):
        return mac_text(value)
    if name.startswith("ipv4") or name in ("arp_spa", "arp_tpa"):
        return str(IPv4Address(value))
    if name.startswith("ipv6"):
        return str(IPv6Address(value))
    if name in ("eth_type", "metadata", "nd_reserved", "tcp_flags"):
        return f"{value:#x}"
    if name == "vlan_vid":
        return str(value & 0xFFF) if value & VID_PRESENT else "none"
    return str(value)
