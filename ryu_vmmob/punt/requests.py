"""Questions that the switch cannot answer by itself: router solicitations everywhere, ARP, neighbour discovery and pings on
switches that cannot move fields (`flows.dialect`). The answers are those that `flows.reply` makes elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.frames.arp_nd import arp_reply, neighbour_advertisement
from ryu_vmmob.frames.content import (
    ARP_REQUEST,
    Arp,
    EchoRequest,
    Ipv4,
    Ipv6,
    NeighbourSolicitation,
    RouterSolicitation,
)
from ryu_vmmob.frames.icmp import echo_reply
from ryu_vmmob.model.objects import Address, Cug
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac
from ryu_vmmob.punt.advertise import router_advertisement_of
from ryu_vmmob.punt.context import PuntContext, address_of, is_behind
from ryu_vmmob.punt.values import Outcome
from ryu_vmmob.punt.ways import ways_back


class _Owner(NamedTuple):
    mac: int
    is_router: bool


def reply(case: PuntContext) -> list[Outcome]:
    """Return the answer to a question that met a flow of ANSWER."""
    answer = _answer(case)
    if answer is None:
        return []
    frame, asker = answer
    return [way.carry(frame) for way in ways_back(case, asker)]


def _answer(case: PuntContext) -> tuple[bytes, Address] | None:
    """Return the frame, and the address it goes to; None where there is nothing to say."""
    frame, content, message = case.frame, case.frame.content, case.frame.message
    if isinstance(content, Arp) and content.op == ARP_REQUEST:
        owner = _owner(case, address_of(content.tpa, 4))
        if owner is None:
            return None
        said = arp_reply(owner.mac, content.tpa, content.sha, content.spa)
        # To the station that asked, as the switch would, whatever sender the question names.
        return frame.src.to_bytes(6) + said[6:], address_of(content.spa, 4)
    nameless = isinstance(message, RouterSolicitation | NeighbourSolicitation)
    if not isinstance(content, Ipv4 | Ipv6) or not (content.src or nameless):
        return None
    asker = address_of(content.src, 4 if isinstance(content, Ipv4) else 6)
    if isinstance(message, EchoRequest):
        return (echo_reply(frame, content.dst, frame.dst, frame.src), asker) if content.to_one_host else None
    if isinstance(message, NeighbourSolicitation):
        owner = _owner(case, address_of(message.target, 6))
        if owner is None:
            return None
        # Who only asks whether the address is taken has none yet, and is told what all nodes are (RFC 4861, 7.2.4).
        to = (frame.src, content.src) if content.src else (0, 0)
        said = neighbour_advertisement(
            owner.mac, message.target, *to, router=owner.is_router, solicited=bool(content.src), override=True
        )
        return frame.src.to_bytes(6) + said[6:], asker
    if isinstance(message, RouterSolicitation) and case.cug is not None:
        if content.src:
            return router_advertisement_of(case.state, case.cug, frame.src, content.src), asker
        # Who has no address yet is told what all nodes are (RFC 4861, 6.2.6), in a frame of its own: others may be on the wire.
        return frame.src.to_bytes(6) + router_advertisement_of(case.state, case.cug)[6:], asker
    return None


def _owner(case: PuntContext, address: Address) -> _Owner | None:
    """Return who has an address on the link that the question comes from, as far as the edge answers for it."""
    state = case.state
    if case.external is not None:
        mine = any(address == row.ip for row in case.external.addresses)
        return _Owner(router_mac(state, case.switch), is_router=True) if mine else None
    if case.cug is None:
        return None
    if _is_gateway(state, case.cug, address):
        return _Owner(mac(state.fabric.gateway_mac), is_router=True)
    vm = state.ips.get((case.cug.name, address))
    for number, interface in enumerate(state.vms[vm].interfaces if vm is not None else ()):
        if interface.cug == case.cug.name and address in interface.addresses:
            # An answer there would bear its MAC to where it is itself (`flows.answers.unanswered`).
            return None if is_behind(case, state.vms[str(vm)], number) else _Owner(interface.mac, is_router=False)
    return None


def _is_gateway(state: State, cug: Cug, address: Address) -> bool:
    if address in cug.gateways:
        return True
    on_link = int(address) == eui64_link_local(mac(state.fabric.gateway_mac))
    return address.version == 6 and on_link and any(ip.version == 6 for ip in cug.gateways)
