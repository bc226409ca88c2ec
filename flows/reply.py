"""A request turned into its own reply by field moves (Open vSwitch's NXAST_REG_MOVE), with no packet to the controller.

Where the reply goes is the asker's affair: `HAIRPINNED` leads it on to be delivered at the port the request came from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ryu_vmmob.flows.fields import LATER_FRAGMENT
from ryu_vmmob.flows.flow import IN_PORT, Action, Flow, Move, SetField, match
from ryu_vmmob.flows.pipeline import HAIRPIN, Priority, Table
from ryu_vmmob.flows.ports import out
from ryu_vmmob.net.protocols import (
    ECHO_REPLY_V4,
    ECHO_REPLY_V6,
    ECHO_REQUEST_V4,
    ECHO_REQUEST_V6,
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ICMP,
    ICMPV6,
    NEIGHBOUR_ADVERTISEMENT,
    NEIGHBOUR_SOLICITATION,
)

_ARP_REQUEST, _ARP_REPLY = 1, 2
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000  # RFC 4861, 4.4: flags of an advertisement
_ALL_NODES = 0xFF02 << 112 | 1
_ROUTER = 0x80000000
_TARGET_LINK_LAYER_OPTION = 2
_ECHO = {4: (ECHO_REQUEST_V4, ECHO_REPLY_V4), 6: (ECHO_REQUEST_V6, ECHO_REPLY_V6)}
_FIRST_TTL = 64


class Back(NamedTuple):
    """How a reply leaves."""

    actions: tuple[Action, ...] = ()
    goto: Table | None = None
    metadata: tuple[int, int] | None = None


HAIRPINNED: Final = Back((), Table.DELIVER, HAIRPIN.of(1))
"""To the interface that asked, by the table that knows its port and tag."""


def straight_back(vlan_id: int | None) -> Back:
    """Out of the port the request came from, with this tag or none."""
    return Back(out(IN_PORT, vlan_id))


def arp_reply(where: dict[str, Any], mac: int, ip: int, back: Back) -> Flow:
    """``where`` is the match of the requests that ``mac`` answers for ``ip``."""
    return Flow(
        Table.ANSWER,
        Priority.NORMAL,
        match(**where, eth_type=ETH_ARP, arp_op=_ARP_REQUEST, arp_tpa=ip),
        (
            Move("eth_src", "eth_dst"),
            SetField("eth_src", mac),
            SetField("arp_op", _ARP_REPLY),
            Move("arp_sha", "arp_tha"),
            Move("arp_spa", "arp_tpa"),
            SetField("arp_sha", mac),
            SetField("arp_spa", ip),
            *back.actions,
        ),
        back.goto,
        back.metadata,
    )


def advertisement(
    where: dict[str, Any], eth_dst: int | tuple[int, int], mac: int, target: int, back: Back, *, router: bool = False
) -> Iterator[Flow]:
    """Two tables, because a switch lets `nd_tll` be set only where the match already says type 136."""
    icmp: dict[str, Any] = {**where, "eth_type": ETH_IPV6, "ip_proto": ICMPV6, "ipv6_nd_target": target}
    yield Flow(
        Table.ANSWER,
        Priority.NORMAL,
        match(eth_dst=eth_dst, icmpv6_type=NEIGHBOUR_SOLICITATION, **icmp),
        (
            Move("eth_src", "eth_dst"),
            SetField("eth_src", mac),
            Move("ipv6_src", "ipv6_dst"),
            SetField("ipv6_src", target),
            SetField("nd_reserved", _SOLICITED | _OVERRIDE | (_ROUTER if router else 0)),
            SetField("icmpv6_type", NEIGHBOUR_ADVERTISEMENT),
        ),
        Table.ADVERTISE,
        back.metadata,
    )
    yield from advertised(where, mac, target, back)


def taken(
    where: dict[str, Any], eth_dst: int | tuple[int, int], mac: int, target: int, back: Back, *, router: bool = False
) -> Flow:
    """Return an address probe (a solicitation whose source is unspecified) for ``target`` is told that ``mac`` has it.

    What it says is for all nodes and not solicited (RFC 4861, 7.2.4), but goes to the asker alone. A probe brings no link-layer
    option that could be rewritten, so the answer has none: duplicate address detection needs none (RFC 4862, 5.4.4).
    """
    return Flow(
        Table.ANSWER,
        Priority.PROBE,
        match(
            **where, eth_dst=eth_dst, eth_type=ETH_IPV6, ip_proto=ICMPV6, icmpv6_type=NEIGHBOUR_SOLICITATION,
            ipv6_src=0, ipv6_nd_target=target,
        ),
        (
            Move("eth_src", "eth_dst"),
            SetField("eth_src", mac),
            SetField("ipv6_src", target),
            SetField("ipv6_dst", _ALL_NODES),
            SetField("nd_reserved", _OVERRIDE | (_ROUTER if router else 0)),
            SetField("icmpv6_type", NEIGHBOUR_ADVERTISEMENT),
            *back.actions,
        ),
        back.goto,
        back.metadata,
    )  # fmt: skip


def advertised(where: dict[str, Any], mac: int, target: int, back: Back) -> Iterator[Flow]:
    """Yield the second half of `advertisement`; one for all requests for the same target."""
    yield Flow(
        Table.ADVERTISE,
        Priority.NORMAL,
        match(**where, eth_type=ETH_IPV6, ip_proto=ICMPV6, icmpv6_type=NEIGHBOUR_ADVERTISEMENT, ipv6_nd_target=target),
        (SetField("nd_options_type", _TARGET_LINK_LAYER_OPTION), SetField("ipv6_nd_tll", mac), *back.actions),
        back.goto,
    )


def echo_replies(where: dict[str, Any], mac: int, version: int, ip: int, back: Back) -> Iterator[Flow]:
    """Yield the answer to a ping to ``ip`` at ``mac`` (RFC 1122, 3.2.2.6; RFC 4443, 4.2), also to one in fragments.

    The first fragment becomes the answer's, and a later one goes back as it is: its data are the answer's data. Of IPv6 a
    later fragment may be of anything; without a first one its sender makes nothing of it.
    """
    request, reply = _ECHO[version]
    kind = {4: "icmpv4_type", 6: "icmpv6_type"}[version]
    there: dict[str, Any] = {
        **where,
        "eth_dst": mac,
        "eth_type": ETH_IPV4 if version == 4 else ETH_IPV6,
        f"ipv{version}_dst": ip,
    }
    protocol = {"ip_proto": ICMP if version == 4 else ICMPV6}
    answers: list[tuple[dict[str, Any], tuple[Action, ...]]] = [
        ({**protocol, kind: request}, (SetField(kind, reply),)),
        ({**(protocol if version == 4 else {}), "ip_frag": LATER_FRAGMENT}, ()),
    ]
    for what, becomes in answers:
        yield Flow(
            Table.ANSWER,
            Priority.NORMAL,
            match(**there, **what),
            (
                Move("eth_src", "eth_dst"),
                SetField("eth_src", mac),
                Move(f"ipv{version}_src", f"ipv{version}_dst"),
                SetField(f"ipv{version}_src", ip),
                *becomes,
                SetField("nw_ttl", _FIRST_TTL),
                *back.actions,
            ),
            back.goto,
            back.metadata,
        )
