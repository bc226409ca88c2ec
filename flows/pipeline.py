"""The pipeline: tables in order, metadata bits, priorities and the cookie's layout. No such number stands elsewhere.

A frame runs through the tables from top to bottom; ids follow from the order here. `docs/pipeline.md` shows each table
with a real dump.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final, NamedTuple

from ryu_vmmob.flows.table_spec import TableSpec
from ryu_vmmob.net.keys import MAX_SEGMENT_KEY, MAX_VNIC_PORT, SEGMENT_KEY_BITS, SWITCH_KEY_BITS


class Meta(NamedTuple):
    """A field of the 64-bit metadata: ``shift`` and ``width`` in bits."""

    shift: int
    width: int

    @property
    def mask(self) -> int:
        """The field's bits in their place."""
        return ((1 << self.width) - 1) << self.shift

    def of(self, value: int) -> tuple[int, int]:
        """(value, mask) in place, as a match or a write wants it; ValueError when it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{value} does not fit in {self.width} bits")
        return value << self.shift, self.mask

    def read(self, metadata: int) -> int:
        """Return the field's value in a whole metadata."""
        return (metadata & self.mask) >> self.shift


SEGMENT: Final = Meta(0, SEGMENT_KEY_BITS)
"""The segment's key, written at INGRESS, and at ROUTE where a packet changes over; valid to the end of the pipeline.
0 for what comes from outside."""

HAIRPIN: Final = Meta(16, 1)
"""Set when a frame may leave by the port it came from (answers, routed packets); read at DELIVER."""

ROUTED: Final = Meta(17, 1)
"""Set at ROUTE: the packet comes from another CUG or from outside; read at POLICY_IN."""

VIA: Final = Meta(18, 1)
"""Set at INGRESS when a packet comes over a routed segment: another edge has routed it already, so it ends at this one."""

OUTSIDE: Final = Meta(19, 1)
"""Set at INGRESS when a packet comes from an external network: it goes to members only, never out again."""

CLAIMED: Final = Meta(20, 1)
"""Set at ADMIT: its IPv6 source is a link-local address that the guest has chosen itself (RFC 7217). Read at ANSWER, where
it is refused if the address is another's."""

PCP: Final = Meta(21, 3)
"""The priority (PCP, IEEE 802.1Q, 9.6) of the tag that a frame came in with, 0 without one. Kept at INGRESS, before the tag
goes, and given to the tag with which it leaves."""

ASKED: Final = Meta(24, 4)
"""The id of the table that hands the packet to the controller, written there and read by the controller: the flow of PUNT that
does it is the port's."""

TREE: Final = Meta(28, 4)
"""1 + the number of the tree that a frame's segment runs on, written at INGRESS where it comes in from another switch; 0 where
backup paths are not installed. Read at BRIDGE, where frames of a tree that does not lead here are dropped."""

SCOPE: Final = Meta(32, 16)
"""Where IP addresses are unique: the key of the routing domain's segment, or the CUG's own where it has no routing domain.
Written at INGRESS, valid to the end of the pipeline."""


WIRE: Final = Meta(48, 12)
"""The tag under which a frame came in from a server (0: none), where frames of its CUG may have several there: because each
vNIC has a number of its own, or because guests tag them. Written at INGRESS, read where a source is admitted and where a frame
may go back to that server under another tag."""


def metadata(**fields: tuple[int, int]) -> tuple[int, int]:
    """Several `Meta.of` pairs as one (value, mask); the names are for the reader only."""
    value = mask = 0
    for one, its_mask in fields.values():
        value |= one
        mask |= its_mask
    return value, mask


_POLICY = (
    "eth_src eth_dst eth_type ip_proto ip_frag/ ipv4_src/ ipv4_dst/ ipv6_src/ ipv6_dst/ udp_src/ udp_dst/ tcp_src/ tcp_dst/ "
    "tcp_flags/ icmpv4_type icmpv6_type"
)
_TAG = "vlan vlan_vid give_pcp"


class Table(Enum):
    """The tables of every switch, as declared (`table_spec.TableSpec`). The order here is the order in the switch."""

    INGRESS = TableSpec(
        "the segment of a frame: by port and VLAN-ID, or by source MAC on an untagged server port",
        matches="in_port vlan_vid eth_src",
        sets="vlan keep_pcp",
        writes=SEGMENT.mask | SCOPE.mask | VIA.mask | OUTSIDE.mask | WIRE.mask | TREE.mask,
        leads_to="admit gateway bridge refuse",
    )
    ADMIT = TableSpec(
        "server ports: an interface sends from its own MAC and IPs only (ARP and ND too); "
        "external ports: no host sends from an inside address",
        matches="in_port eth_src eth_dst/ eth_type ip_proto ip_frag/ ipv4_src/ ipv6_src/ udp_src udp_dst "
        "arp_op arp_spa/ arp_tpa arp_sha arp_tha icmpv6_type ipv6_nd_target/ ipv6_nd_sll ipv6_nd_tll",
        reads=SEGMENT.mask | WIRE.mask,
        writes=CLAIMED.mask,
        sends="controller",
        meters="neighbours",
        leads_to="answer bridge refuse",
        miss="refuse",
    )
    ANSWER = TableSpec(
        "requests for the address of a gateway or a known member, which the edge of the asker answers",
        matches="in_port eth_dst/ eth_type ip_proto ip_frag ipv4_dst ipv6_src ipv6_dst icmpv4_type icmpv6_type "
        "arp_op arp_spa arp_tpa ipv6_nd_target/",
        reads=SEGMENT.mask | SCOPE.mask | WIRE.mask | OUTSIDE.mask | CLAIMED.mask,
        sets="eth_src eth_dst ipv4_src ipv4_dst ipv6_src ipv6_dst nw_ttl icmpv4_type icmpv6_type nd_reserved "
        f"arp_op arp_spa arp_tpa arp_sha arp_tha {_TAG}",
        writes=HAIRPIN.mask | ASKED.mask,
        sends="in_port controller",
        leads_to="advertise policy_out bridge deliver refuse punt",
        miss="policy_out",
    )
    ADVERTISE = TableSpec(
        "the second half of an answered neighbour solicitation: the link-layer option of the advertisement",
        matches="in_port eth_type ip_proto icmpv6_type ipv6_nd_target",
        reads=SEGMENT.mask,
        sets=f"nd_options_type ipv6_nd_tll {_TAG}",
        sends="in_port",
        leads_to="deliver",
    )
    POLICY_OUT = TableSpec(
        "the policies for packets that an interface here sends; to another CUG or to the outside only what a policy allows",
        matches=_POLICY,
        reads=SEGMENT.mask | SCOPE.mask | OUTSIDE.mask,
        leads_to="gateway bridge",
        miss="gateway",
    )
    GATEWAY = TableSpec(
        "frames for the gateway's MAC, or for this edge's own, which are routed; all others are bridged",
        matches="eth_dst eth_type nw_ttl",
        reads=SEGMENT.mask | SCOPE.mask | VIA.mask | OUTSIDE.mask,
        writes=ASKED.mask,
        leads_to="route bridge punt",
        miss="bridge",
    )
    ROUTE = TableSpec(
        "the next hop of a routed packet: an interface here, the edge that hosts it, or an external network",
        matches="eth_type ipv4_dst/ ipv6_dst/ ipv6_src/",
        reads=SCOPE.mask | VIA.mask | OUTSIDE.mask,
        sets=f"eth_src eth_dst ttl {_TAG}",
        writes=SEGMENT.mask | ROUTED.mask | HAIRPIN.mask | ASKED.mask,
        sends="port next_hop",
        leads_to="policy_in punt",
    )
    BRIDGE = TableSpec(
        "the next step of a frame in its segment: a local port, the next hop to an edge, or the flood tree",
        matches="in_port eth_src eth_dst/",
        reads=SEGMENT.mask | WIRE.mask | TREE.mask,
        sets=_TAG,
        sends="in_port next_hop flood below others twin",
        leads_to="policy_in",
    )
    POLICY_IN = TableSpec(
        "the policies for packets that an interface here receives; routed packets only where a policy allows them",
        matches=_POLICY,
        reads=SEGMENT.mask | SCOPE.mask | ROUTED.mask,
        leads_to="deliver",
        miss="deliver",
    )
    DELIVER = TableSpec(
        "the last step to a local interface: its port, with the VLAN-ID of the port's domain, the guest's own tag, or none",
        matches="in_port eth_dst",
        reads=SEGMENT.mask | WIRE.mask | HAIRPIN.mask | ROUTED.mask,
        sets=_TAG,
        sends="port in_port lag",
    )
    REFUSE = TableSpec(
        "frames refused at a server's port, counted by port; a few of them are sent to the controller",
        matches="in_port eth_type",
        sends="controller",
        meters="refusals announcements",
    )
    PUNT = TableSpec(
        "packets sent to the controller for an answer, limited by the meter of their port",
        matches="in_port",
        sends="controller",
        meters="answers",
    )

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.id = len(type(self).__members__)
        """The table's number in the switch: its place in the order."""

    def __repr__(self) -> str:
        return f"Table.{self.name}"

    @property
    def label(self) -> str:
        """The name in traces, metrics and the REST interface."""
        return self.name.lower()

    @property
    def purpose(self) -> str:
        """Return the purpose of the table, as a phrase."""
        return self.spec.purpose

    @property
    def leads_to(self) -> tuple[Table, ...]:
        """The tables that a flow of this one may name as the next."""
        return tuple(Table[label.upper()] for label in self.spec.leads_to)

    @property
    def miss(self) -> Table | None:
        """The next table of a packet that no flow of this one takes; None: it is dropped, and counted."""
        return None if self.spec.miss is None else Table[self.spec.miss.upper()]


TABLES: Final = tuple(Table)

META: Final = {
    "segment": SEGMENT, "scope": SCOPE, "wire": WIRE, "asked": ASKED, "hairpin": HAIRPIN, "routed": ROUTED, "via": VIA,
    "outside": OUTSIDE, "claimed": CLAIMED, "pcp": PCP, "tree": TREE,
}  # fmt: skip
"""The fields of the metadata by the names under which they are shown, in the order in which people read them."""


def fields_of(mask: int) -> list[str]:
    """Return the names of the fields that have a bit in ``mask``."""
    return [name for name, meta in META.items() if meta.mask & mask]


def show_metadata(value: int, mask: int) -> str:
    """Return bits of the metadata by name: ``segment:3+routed-via`` is segment 3, ROUTED set, VIA not set; the rest is open.

    Bits that are no whole field stand at the end as value and mask. Different pairs have different texts.
    """
    text, rest = "", mask
    for name, meta in META.items():
        if mask & meta.mask != meta.mask:
            continue
        rest &= ~meta.mask
        number = meta.read(value)
        if meta.width == 1:
            text += f"{'+' if number else '-'}{name}"
        elif meta is ASKED and number < len(TABLES):
            text += f"+{name}:{TABLES[number].label}"
        else:
            text += f"+{name}:{number}"
    if rest or value & ~mask or not text:
        text += f"+{value & (rest | ~mask):#x}/{rest:#x}"
    return text.removeprefix("+")


class Priority(IntEnum):
    """The ladder of priorities. To ROUTE a prefix length is added, to POLICY what `policy_priority` says, to others nothing but
    1 for a watched interface's flow in ADMIT (`admission.admitted`).
    """

    MISS = 0
    LAST = 50
    FALLBACK = 100
    ROUTE = 500
    WIDE = 700
    NORMAL = 1000
    PROBE = 1200
    BEHIND = 1500
    SPECIAL = 2000
    CLAIM = 2500
    EXCEPTION = 3000
    OVERRIDING = 4000
    FRAGMENT = 5000
    RESERVED = 6000
    POLICY = 10000
    EXEMPT = 40000


def policy_priority(priority: int, *, allow: bool) -> int:
    """Return the flow priority of a policy (0 to `net.keys.MAX_POLICY_PRIORITY`, the higher wins): on a tie deny wins."""
    return Priority.POLICY + 2 * priority + (not allow)


def route_priority(prefix_length: int) -> int:
    """Return the flow priority of a route: the longest prefix wins."""
    return Priority.ROUTE + prefix_length


# Cookie: the top 8 bits say "ours", the other 56 are the hash of the flow's canonical form.
COOKIE_MARK: Final = 0x7A << 56
COOKIE_MARK_MASK: Final = 0xFF << 56
COOKIE_FULL_MASK: Final = 0xFFFFFFFFFFFFFFFF


class Meter(IntEnum):
    """Meters: what reaches the controller, in packets a second, one for each purpose at each port. A packet over it is dropped.

    So what comes in at one port delays nothing that comes in at another, and no purpose delays another.
    """

    ANSWERS = 1  # packets that need an answer
    REFUSALS = 2  # frames refused at a server's port
    AWAITED = 3  # copies of frames of awaited VMs: the first one reports an arrival
    WATCHED = 4  # copies of broadcasts and multicasts of watched VMs
    NEIGHBOURS = 5  # answers of hosts on external networks, which keep these reachable
    ANNOUNCEMENTS = 6  # refused frames of the kinds that announce a VM: RARP and ARP


METER_RATES: Final = {
    Meter.ANSWERS: 100, Meter.REFUSALS: 20, Meter.AWAITED: 50, Meter.WATCHED: 10,
    Meter.NEIGHBOURS: 100, Meter.ANNOUNCEMENTS: 20,
}  # fmt: skip
_METER_BITS: Final = 3
MAX_METERED_PORT: Final = 0xFFFF
"""The highest port that has meters of its own; ports above it share those of port 0."""


def meter_id(meter: Meter, port: int) -> int:
    """Return the stable id of a meter: the port above, its purpose in the lowest 3 bits."""
    return (port if 0 < port <= MAX_METERED_PORT else 0) << _METER_BITS | meter


def meter_parts(number: int) -> tuple[Meter, int] | None:
    """(purpose, port) of one of our meter ids, None for a foreign one."""
    try:
        return Meter(number & (1 << _METER_BITS) - 1), number >> _METER_BITS
    except ValueError:
        return None


def meter_name(number: int) -> str:
    """Return a meter id as people read it: ``refusals/7`` (purpose, port)."""
    parts = meter_parts(number)
    return f"{parts[0].name.lower()}/{parts[1]}" if parts else str(number)


class GroupKind(IntEnum):
    """The top 4 bits of a group id. Below stand 16 bits of segment key, or (`PORT_KINDS`) of port, and 12 bits of index."""

    NEXT_HOP = 1  # index: key of the remote edge
    FLOOD = 2  # index: 0, or 1 + the ordinal of the LAG the frame came from
    TRUNK = 3  # index: key of the neighbour, where several parallel links lead to it
    LAG = 4  # index: ordinal of the LAG on this switch
    CABLE = 5  # index: ordinal of the server on this switch
    BELOW = 6  # port; index: the VLAN-ID that numbers a node (`horizon`)
    BESIDE = 7  # port; index: the same
    OTHERS = 8  # port; index: VLAN-ID
    DOWN = 9  # port; index: as BELOW
    TWIN = 10  # port; index: VLAN-ID
    PROBE = 14  # of no segment: asks whether a switch takes such a group (`kinds`)


PORT_KINDS: Final = (GroupKind.BELOW, GroupKind.BESIDE, GroupKind.OTHERS, GroupKind.DOWN, GroupKind.TWIN)
"""Kinds of groups that belong to a server's port: the VLAN-ID says the segment there."""
MAX_GROUP_INDEX: Final = (1 << SWITCH_KEY_BITS) - 1


def vnic_group_id(kind: GroupKind, port: int, index: int) -> int:
    """Return the stable id of a group of `PORT_KINDS`; ValueError when the port does not fit its bits."""
    if not 0 < port <= MAX_VNIC_PORT:
        raise ValueError(f"port {port} is not in 1..{MAX_VNIC_PORT}")
    return kind << 28 | port << 12 | index


def group_id(kind: GroupKind, segment: int, index: int) -> int:
    """Return the stable id of a group; ValueError when a key does not fit its bits."""
    if not 0 < segment <= MAX_SEGMENT_KEY:
        raise ValueError(f"segment key {segment} is not in 1..{MAX_SEGMENT_KEY}")
    if not 0 <= index <= MAX_GROUP_INDEX:
        raise ValueError(f"group index {index} is not in 0..{MAX_GROUP_INDEX}")
    return kind << 28 | segment << 12 | index


def group_parts(number: int) -> tuple[GroupKind, int, int] | None:
    """(kind, segment key or port, index) of one of our group ids, None for a foreign one."""
    try:
        kind = GroupKind(number >> 28)
    except ValueError:
        return None
    return kind, number >> 12 & MAX_SEGMENT_KEY, number & MAX_GROUP_INDEX
