"""The choice of senders, receivers and packets for the checks.

Everything is chosen by counting, never by chance: a failure repeats itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple, TypeVar

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.facts import Address, CugFacts, ExternalFacts, routed_segment
from ryu_vmmob.sim.packet import DEFAULT_TTL, Packet
from ryu_vmmob.sim.policy import End, Talk, talks, verdict
from ryu_vmmob.sim.view import Seat, View
from ryu_vmmob.sim.whereabouts import outside_addresses

_T = TypeVar("_T")


class Pair(NamedTuple):
    """A packet that policy allows between two ends, and one that it denies; None where nothing tried is such."""

    allowed: Packet | None
    denied: Packet | None


class Choice:
    """Takes turns: what is tried for one pair of ends, and what for the next."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._turns = count()

    def turn(self, rows: Sequence[_T]) -> _T:
        """One of several, another each time."""
        return rows[next(self._turns) % len(rows)]

    def packets(self, origin: Seat | ExternalFacts, target: End, dst: Address) -> Pair:
        """Of all that rules could tell apart the first allowed and the first denied, beginning elsewhere each time."""
        return self.packets_from(origin, source_address(self.view, origin, dst.version), target, dst)

    def packets_from(self, origin: Seat | ExternalFacts, src: Address | None, target: End, dst: Address) -> Pair:
        """As `packets`, from this address; nothing without one."""
        if src is None:
            return Pair(None, None)
        rows = talks(self.view.policies)
        start = next(self._turns) % len(rows)
        found: dict[bool | None, Packet] = {}
        for talk in (*rows[start:], *rows[:start]):
            packet = said(self.view, origin, talk, dst, src)
            found.setdefault(verdict(self.view, packet, origin, target), packet)
            if True in found and False in found:
                break
        return Pair(found.get(True), found.get(False))


def said(view: View, origin: Seat | ExternalFacts, talk: Talk, dst: Address, src: Address) -> Packet:
    """Return what a sender hands to its router: a member to the gateway, a host outside to the edge."""
    if isinstance(origin, Seat):
        return talk.packet(view.gateway_mac, origin.mac, dst, src)
    return talk.packet(view.router_macs[origin.switch], neighbour_mac(origin), dst, src)


def neighbour_mac(external: ExternalFacts) -> int:
    """Return the MAC of a router outside, known or not."""
    return next((mac for mac in external.next_hops.values() if mac is not None), probes.STRANGER_MAC)


def source_address(view: View, origin: Seat | ExternalFacts, version: int) -> Address | None:
    """Return an address that a sender may send from, in an address family; None without one."""
    if isinstance(origin, Seat):
        return next((ip for ip in origin.ips if ip.version == version), None)
    return outside_addresses(view, origin).get(version)


def senders_at(view: View, seats: Sequence[Seat]) -> dict[str, list[Seat]]:
    """By edge, seats that can be tried as senders of routed packets: some port is up, and what they are is settled."""
    found: dict[str, list[Seat]] = {}
    for seat in seats:
        if view.live_ports(seat) and view.cugs[seat.cug].settled:
            found.setdefault(seat.switch, []).append(seat)
    return found


def doors(view: View, switch: str, segment: str) -> Iterator[tuple[PortRef, tuple[int, ...]]]:
    """(port, tags) of the live links of a switch on which a segment is at home."""
    for link in view.fabric.links_of[switch]:
        tags = view.wire_tags(link.l2_domain, segment)
        if tags and link.name in view.allowed_links.get(segment, ()) and link.name not in view.links_down:
            yield link.end_at(switch), tags


def over_trunks(view: View, origin: Seat | ExternalFacts, edge: str, packet: Packet) -> Iterator[tuple[PortRef, Packet]]:
    """Yield a packet as it comes to another edge over the routed segment, when the sender's edge has let it through."""
    routed = {"eth_src": view.router_macs[origin.switch], "eth_dst": view.router_macs[edge], "nw_ttl": DEFAULT_TTL - 1}
    for port, tags in doors(view, edge, routed_segment(view.routing_domain(origin) or "")):
        yield port, packet.with_fields(**routed).with_vlans(*tags)


def ports_for(view: View, choice: Choice, seat: Seat, targets: Sequence[Seat | ExternalFacts]) -> Iterator[PortRef]:
    """Ports to send from: all of them where the way back may be the same port, else one."""
    live = view.live_ports(seat)
    if any(isinstance(target, Seat) and target.server == seat.server for target in targets):
        yield from live
    elif live:
        yield choice.turn(live)


def unused(view: View, facts: CugFacts) -> Iterator[Address]:
    """Addresses of a CUG that no member and no gateway has: beside theirs, and one at the end of each subnet."""
    yield from view.beside(facts)
    taken = {ip for seats in view.members.get(facts.name, {}).values() for ip in seats[0].ips} | set(facts.gateways)
    for subnet in facts.subnets:
        for number in range(2, min(subnet.num_addresses, 300)):
            address = subnet.network_address + (subnet.num_addresses - number)
            if address not in taken:
                yield address
                break
