"""The policy oracle: what docs/rest.md (policies) says of a packet, without any flow.

It shares no code with `model.decision`, which says the same for the product: an oracle must not make the product's mistakes.

Among the rules that match, the highest priority wins, and deny wins a tie. Where none matches, a CUG's own traffic is allowed
and everything that is routed is denied. Neighbour discovery (ICMPv6 133 to 137) and packets other than IP are exempt.

A fragment that does not say all that a rule asks for falls under the rule if that is the side of caution: what may be
denied is denied where the whole is read from it or its missing ports hide it, and what may be part of something allowed passes
where the denied rest cannot be put together without a first fragment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal, NamedTuple

from ryu_vmmob.flows.fields import FIRST_FRAGMENT, LATER_FRAGMENT
from ryu_vmmob.net.protocols import ETH_IPV4, ETH_IPV6, IPV6_FRAGMENT, TCP_ACK, TCP_RST
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.facts import Address, CugFacts, ExternalFacts, Rule, Selector
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View

End = Seat | ExternalFacts | CugFacts | None
"""The end of a packet: an interface; a host outside; a CUG (a group of it, or an address there that no member has);
or None, an unknown address."""

_EXEMPT: Final = range(133, 138)
_NUMBERS: Final = {"tcp": make.TCP, "udp": make.UDP}
SOURCE_PORT: Final = 40000


Piece = Literal["whole", "first", "tiny", "later"]
_PIECES: Final[dict[Piece, Callable[[Packet], Packet]]] = {
    "whole": lambda packet: packet,
    "first": make.first_fragment,
    "tiny": make.tiny_fragment,
    "later": make.later_fragment,
}
Kind = Literal["echo", "reply", "unreachable", "too big", "exceeded", "parameter"]
_KINDS: Final[dict[Kind, tuple[int, int]]] = {
    "echo": (8, 128), "reply": (0, 129), "unreachable": (3, 1), "too big": (3, 2), "exceeded": (11, 3), "parameter": (12, 4),
}  # fmt: skip
"""Messages of ICMP and of ICMPv6 (RFC 792; RFC 4443); with IPv4, a packet too big is one that cannot be delivered."""


class Talk(NamedTuple):
    """What two ends may say to each other: a protocol, where it has them ports and TCP flags, or which message of ICMP; and
    which piece of it.
    """

    protocol: int
    dst_port: int = 0
    src_port: int = SOURCE_PORT
    flags: int = make.TCP_SYN
    piece: Piece = "whole"
    kind: Kind = "echo"

    def packet(self, eth_dst: int, eth_src: int, dst: Address, src: Address) -> Packet:
        """Return the packet that says it. ICMP is in the version of the addresses."""
        return _PIECES[self.piece](self._whole(v4=dst.version == 4, ends=(eth_dst, eth_src, int(dst), int(src))))

    def _whole(self, *, v4: bool, ends: tuple[int, int, int, int]) -> Packet:
        match self.protocol:
            case make.TCP:
                return (make.tcp if v4 else make.tcp6)(*ends, self.dst_port, self.src_port, self.flags)
            case make.UDP:
                return (make.udp if v4 else make.udp6)(*ends, self.dst_port, self.src_port)
            case make.ICMP | make.ICMPV6:
                return (make.ping if v4 else make.ping6)(*ends, _KINDS[self.kind][not v4])
        return (make.ipv4 if v4 else make.ipv6)(*ends, self.protocol)


def decide(view: View, packet: Packet, source: End, target: End) -> bool:
    """Whether this packet may pass from one end to the other, by the policies as they are wanted now."""
    return _decide(view, view.policies, packet, source, target)


def decide_by_gateway(view: View, packet: Packet, source: End, target: End) -> bool:
    """`decide` for a packet that is handed to the gateway: between two ends of one CUG, too, a rule has to allow it."""
    return _decide(view, view.policies, packet, source, target, bridged=False)


def turns_on(view: View, rule: Rule, packet: Packet, source: End, target: End) -> bool:
    """Whether this rule decides about a packet: without it the other way would be right."""
    without = _decide(view, view.policies, packet, source, target, without=rule)
    return without != _decide(view, view.policies, packet, source, target)


def verdict(view: View, packet: Packet, source: End, target: End) -> bool | None:
    """`decide` in all the versions of the policies that some switch may have; None where they differ."""
    found = {_decide(view, rules, packet, source, target) for rules in (view.policies, *view.former_policies)}
    return found.pop() if len(found) == 1 else None


def addresses(packet: Packet) -> tuple[Address, Address] | None:
    """(source, destination) of an IP packet; None for any other."""
    return _addresses(packet) if packet["eth_type"] in (ETH_IPV4, ETH_IPV6) else None


def _addresses(packet: Packet) -> tuple[Address, Address]:
    if packet["eth_type"] == ETH_IPV4:
        return IPv4Address(packet["ipv4_src"]), IPv4Address(packet["ipv4_dst"])
    return IPv6Address(packet["ipv6_src"]), IPv6Address(packet["ipv6_dst"])


def destination(packet: Packet) -> Address:
    """Return the destination address of an IP packet; ValueError when it is none."""
    ends = addresses(packet)
    if ends is None:
        raise ValueError(f"no IP packet: {packet}")
    return ends[1]


def _decide(
    view: View,
    rules: tuple[Rule, ...],
    packet: Packet,
    source: End,
    target: End,
    *,
    bridged: bool = True,
    without: Rule | None = None,
) -> bool:
    if packet["eth_type"] not in (ETH_IPV4, ETH_IPV6):
        return True
    if packet["ip_proto"] == make.ICMPV6 and packet.get("icmpv6_type") in (0, *_EXEMPT):
        return packet.get("icmpv6_type") in _EXEMPT and not packet.get("ip_frag")
    inside = _cug(source) is not None and _cug(source) == _cug(target)
    if not (inside and bridged) and not _routed(view, source, target):
        return False
    best: tuple[int, bool] | None = None
    for found in _between(view, rules, packet, source, target):
        rule = found.rule
        if rule != without and _applies(found, packet):
            rank = (rule.priority, not rule.allow)
            best = rank if best is None else max(best, rank)
    return (inside and bridged) if best is None else not best[1]


def _cug(end: End) -> str | None:
    match end:
        case Seat(cug=name) | CugFacts(name=name):
            return name
    return None


def _routed(view: View, source: End, target: End) -> bool:
    """Whether there is a routing domain that both ends are in; from outside to outside nothing is carried."""
    if isinstance(source, ExternalFacts) and isinstance(target, ExternalFacts):
        return False
    here = view.routing_domain(source)
    return here is not None and (target is None or here == view.routing_domain(target))


class _Named(NamedTuple):
    """What a rule says of two ends, whatever the packet: it is about packets this way; about answers this way; errors this way
    are to a sender under it.
    """

    rule: Rule
    about: bool
    back: bool
    reports: bool


def _between(view: View, rules: tuple[Rule, ...], packet: Packet, source: End, target: End) -> tuple[_Named, ...]:
    """Return the rules that name both ends of an IP packet. ``rules``: the view's own or one of its former ones.

    Worked out once for each two ends and addresses. Objects are told apart by identity, which is quick; the memo keeps them.
    """
    names = ("ipv4_src", "ipv4_dst") if packet["eth_type"] == ETH_IPV4 else ("ipv6_src", "ipv6_dst")
    key = id(rules), id(source), id(target), names, packet[names[0]], packet[names[1]]
    found: tuple[End, End, tuple[_Named, ...]] | None = view.memo.get(key)
    if found is None:
        ends = _addresses(packet)
        rows = [_named(rule, (source, ends[0]), (target, ends[1])) for rule in rules]
        found = source, target, tuple(row for row in rows if row.about or row.back or row.reports)
        view.memo[key] = found
    return found[2]


def _named(rule: Rule, source: tuple[End, Address], target: tuple[End, Address]) -> _Named:
    sides = [(rule.source, rule.target), *([(rule.target, rule.source)] if rule.replies else [])]
    return _Named(
        rule,
        about=is_end(rule.source, *source) and is_end(rule.target, *target),
        back=rule.replies and is_end(rule.target, *source) and is_end(rule.source, *target),
        reports=rule.allow and any(_is_told(near, *target) and _tells(far, *source) for near, far in sides),
    )


def _applies(found: _Named, packet: Packet) -> bool:
    if found.about and _covered_by(found.rule, packet, "dst"):
        return True
    if found.back and _answers(found.rule, packet):
        return True
    return found.reports and _is_error(packet)


def _number(rule: Rule, packet: Packet) -> int | None:
    """Return the protocol that a rule is about in the packet's family; None: all."""
    if rule.protocol == "icmp":
        return make.ICMP if packet["eth_type"] == ETH_IPV4 else make.ICMPV6
    return _NUMBERS[rule.protocol] if isinstance(rule.protocol, str) else rule.protocol


def _covered_by(rule: Rule, packet: Packet, side: str) -> bool:
    """Whether a packet is one of a rule's, by its port at one side; a fragment: whether it has to be taken for one."""
    number, fragment = _number(rule, packet), packet.get("ip_frag")
    if fragment == LATER_FRAGMENT:
        unread = packet["eth_type"] == ETH_IPV6 and number != IPV6_FRAGMENT
        known = number is None or (number == packet["ip_proto"] and not rule.ports)
        return known or (rule.allow and (unread or number == packet["ip_proto"]))
    if number not in (None, packet["ip_proto"]):
        return False
    port = _port(packet, side)
    if fragment == FIRST_FRAGMENT and rule.ports and port <= 0:
        return not rule.allow
    return covers(rule, port)


def _answers(rule: Rule, packet: Packet) -> bool:
    """Whether a packet from a rule's target to its source looks like an answer."""
    number, fragment = _number(rule, packet), packet.get("ip_frag")
    if number == make.TCP:
        flags = packet.get("tcp_flags") & (TCP_ACK | TCP_RST)
        return bool(flags) and not fragment and packet["ip_proto"] == make.TCP and covers(rule, _port(packet, "src"))
    if rule.protocol == "icmp" and fragment != LATER_FRAGMENT:
        said = packet.get("icmpv4_type", packet.get("icmpv6_type", -1))
        return number == packet["ip_proto"] and said in (make.ECHO_REPLY, make.ECHO_REPLY_V6)
    return _covered_by(rule, packet, "src")


_ERRORS: Final = {make.ICMP: ("icmpv4_type", {3, 11, 12}), make.ICMPV6: ("icmpv6_type", {1, 2, 3, 4})}


def _is_error(packet: Packet) -> bool:
    """Whether a packet is an ICMP error, which may come from where what its receiver sent may have come to."""
    name, kinds = _ERRORS.get(packet["ip_proto"], ("icmpv4_type", set()))
    return packet.get(name, -1) in kinds and (packet["ip_proto"] == make.ICMP) is (packet["eth_type"] == ETH_IPV4)


def _is_told(near: Selector, end: End, address: Address) -> bool:
    return is_end(near, end, address) and not (near.kind in ("cug", "vm", "vms") and address.is_link_local)


def _tells(far: Selector, end: End, address: Address) -> bool:
    """Routers outside are on the way to a prefix; to a CUG or VM there are none but the fabric's own."""
    if isinstance(far.value, (IPv4Network, IPv6Network)):
        return far.value.version == address.version
    return _is_told(far, end, address)


def is_end(selector: Selector, end: End, address: Address) -> bool:
    """Whether a selector matches an end with this address. A group of a CUG is the CUG's, and no VM's.

    The unspecified address (0.0.0.0, ::) matches no named selector.
    """
    match selector:
        case Selector("any"):
            return True
        case Selector("cug", name):
            return _cug(end) == name and not address.is_unspecified
        case Selector("vm", name):
            return isinstance(end, Seat) and end.vm == name and not address.is_unspecified
        case Selector("vms", frozenset() as names):
            return isinstance(end, Seat) and end.vm in names and not address.is_unspecified
        case Selector("prefix", IPv4Network() | IPv6Network() as network):
            return address in network
    return False


def covers(rule: Rule, port: int) -> bool:
    """Whether a port is one of a rule's."""
    return not rule.ports or any(low <= port <= high for low, high in rule.ports)


def _port(packet: Packet, side: str) -> int:
    return packet.get(f"tcp_{side}", packet.get(f"udp_{side}", -1))


# What is worth trying


def edge_ports(low: int, high: int) -> Iterator[int]:
    """Yield the ports beside a range, and one in each of the aligned blocks that a switch might cut the range into."""
    found = {low - 1, high + 1}
    for size in (1 << bits for bits in range(17)):
        found |= {-(-low // size) * size, (high + 1) // size * size - 1} & set(range(low, high + 1))
    yield from sorted(number for number in found if 0 <= number <= 0xFFFF)


@lru_cache(maxsize=256)
def rule_talks(rule: Rule) -> tuple[Talk, ...]:
    """Return what a rule could be about, at the edges of its ports, in pieces too."""
    numbers = {"tcp": make.TCP, "udp": make.UDP, "icmp": make.ICMP, None: make.EXPERIMENT}
    protocol = rule.protocol if isinstance(rule.protocol, int) else numbers[rule.protocol]
    ports = [number for low, high in rule.ports for number in edge_ports(low, high)]
    if protocol not in (make.TCP, make.UDP):
        return (Talk(protocol), Talk(make.UDP, 9), Talk(protocol, piece="later"), Talk(protocol, piece="first"))
    rows = [Talk(protocol, number) for number in ports or (9, 80)]
    middle = rule.ports[0][0] if rule.ports else 9
    rows[1:1] = [Talk(protocol, middle, piece=piece) for piece in _IN_PIECES]
    return tuple(dict.fromkeys(rows))


_IN_PIECES: Final[tuple[Piece, ...]] = ("first", "tiny", "later")


@lru_cache(maxsize=256)
def reply_talks(rule: Rule) -> tuple[Talk, ...]:
    """Return what could come back under a rule about TCP, UDP or pings: with and without what makes it look like a reply."""
    if rule.protocol in ("tcp", make.TCP):
        rows = [Talk(make.TCP, SOURCE_PORT, talk.dst_port, flags) for talk in _whole(rule) for flags in REPLY_FLAGS]
        port = rule.ports[0][0] if rule.ports else 9
        return (*rows, *(Talk(make.TCP, SOURCE_PORT, port, TCP_ACK, piece) for piece in ("first", "later")))
    if rule.protocol in ("udp", make.UDP):
        port = rule.ports[0][0] if rule.ports else 9
        pieces = [Talk(make.UDP, SOURCE_PORT, port, piece=piece) for piece in _IN_PIECES]
        return (*(Talk(make.UDP, SOURCE_PORT, talk.dst_port) for talk in _whole(rule)), *pieces)
    if rule.protocol == "icmp":
        return (Talk(make.ICMP, kind="reply"), Talk(make.ICMP), Talk(make.ICMP, piece="later", kind="reply"))
    return ()


def _whole(rule: Rule) -> list[Talk]:
    return [talk for talk in rule_talks(rule) if talk.piece == "whole"]


ERROR_TALKS: Final = tuple(Talk(make.ICMP, kind=kind) for kind in ("unreachable", "too big", "exceeded", "parameter"))
"""What routers say of a packet that they could not deliver."""
REPLY_FLAGS: Final = (make.TCP_SYN, TCP_ACK | make.TCP_SYN, TCP_RST)
_ALWAYS: Final = (
    Talk(make.UDP, 9), Talk(make.TCP, 80), Talk(make.ICMP), Talk(make.EXPERIMENT), Talk(make.ICMP, kind="unreachable"),
    Talk(make.UDP, 9, piece="first"), Talk(make.TCP, 80, piece="tiny"), Talk(make.UDP, 9, piece="later"),
)  # fmt: skip


@lru_cache(maxsize=64)
def talks(rules: tuple[Rule, ...]) -> tuple[Talk, ...]:
    """Return a few of everything that any of these rules could tell apart."""
    found = dict.fromkeys(_ALWAYS)
    for rule in rules:
        for rows in (rule_talks(rule), reply_talks(rule)):
            found.update(dict.fromkeys(rows[:: max(1, len(rows) // 4)]))
    return tuple(found)
