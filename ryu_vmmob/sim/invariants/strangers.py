"""Invariants 1 and 4 at the edge: a frame that does not belong at a port is dropped where it enters."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.fabric.model import Link, Server
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.facts import ROUTED
from ryu_vmmob.sim.invariants.judging import ISOLATION, PRUNING, nothing, shown, silence
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View, Violation

_Strange = tuple[str, int, tuple[int, ...], Packet]
"""What it is, the invariant it would break, its tags, the packet."""


def strangers(view: View) -> Iterator[Violation]:
    """VLAN-IDs that mean nothing at a port, or a segment that has no business there, are dropped where they enter."""
    for link in view.fabric.links:
        for port in (link.a, link.b):
            for text, number, tags, packet in _on_link(view, link):
                yield from nothing(view.network.inject(packet.with_vlans(*tags), port), f"{text} enters {port}", number)
    for server in view.fabric.servers.values():
        for port in server.attach:
            for text, number, tags, packet in _at_server(view, server):
                journey = view.network.inject(packet.with_vlans(*tags), port)
                yield from silence(journey, f"{text} enters {port}", number)
                if view.cugs:
                    yield from shown(journey, f"{text} enters {port}")


def _on_link(view: View, link: Link) -> Iterator[_Strange]:
    known = (*view.allowed_links.items(), *view.ready_links.items())
    welcome = {name for name, links in known if link.name in links}
    yield from _strange(view, link.l2_domain, welcome, set(), tagged=True)


def _at_server(view: View, server: Server) -> Iterator[_Strange]:
    here = view.seats_at[server.name]
    tags = {seat.tags for seat in here}
    welcome = {seat.cug for seat in here if seat.tags == view.wire_tags(server.l2_domain, seat.cug)}
    yield from _strange(view, server.l2_domain, welcome, {tag for row in tags for tag in row}, tagged=server.tagged)
    if not server.tagged:
        yield from _priority_tagged(here)
        for seat in here:
            for tag in [(4094,), *sorted({(number,) for number in view.vlan_ids.values()})[:2]]:
                if not any(other.mac == seat.mac and other.tags == tag for other in here):
                    for packet in probes.own(seat):
                        yield f"{seat}, under a tag that is not its own,", ISOLATION, tag, packet
        for own in sorted(tags | {()}):
            macs = {seat.mac for seat in here if seat.tags == own}
            for seat in view.seats:
                if seat.mac not in macs:
                    for packet in probes.own(seat):
                        yield f"{seat.mac:#x}, unknown there,", ISOLATION, own, packet


def _priority_tagged(here: tuple[Seat, ...]) -> Iterator[_Strange]:
    """Check that a tag with VLAN-ID 0 changes no owner: with a foreign MAC the frame is refused as the untagged one is."""
    for seat in here:
        if not any(other.mac == seat.mac and not other.tags for other in here):
            for packet in probes.own(seat):
                yield f"{seat}, which has a tag of its own, with VLAN-ID 0", ISOLATION, (0,), packet


def _strange(view: View, domain: str | None, welcome: set[str], own: set[int], *, tagged: bool) -> Iterator[_Strange]:
    """Frames that a port in ``domain`` must refuse: these segments are behind it, and tags of guests or vNICs."""
    used = {vlan_id for (where, _), vlan_id in view.vlan_ids.items() if where == domain} | own
    foreign = {vlan_id for (where, _), vlan_id in view.vlan_ids.items() if where != domain} - used
    free = next(number for number in range(4094, 0, -1) if number not in used | foreign)
    for cug, members in view.members.items():
        seat = next(iter(members.values()))[0]
        at_gateway = [make.udp(view.gateway_mac, seat.mac, probes.STRANGER_V4, ip).with_fields(nw_ttl=1) for ip in seat.v4[:1]]
        for packet in (*probes.own(seat), *at_gateway):
            if tagged:
                yield "an untagged frame", ISOLATION, (), packet
            for vlan_id in (free, *sorted(foreign)[:2]):
                yield f"VLAN-ID {vlan_id}, unknown there,", ISOLATION, (vlan_id,), packet
            its = view.wire_tags(domain, cug)
            if domain is not None and its and cug not in welcome:
                yield f"{cug}, which is not needed there,", PRUNING, its, packet
    if domain is not None:
        yield from _routed(view, domain, welcome)


def _routed(view: View, domain: str, welcome: set[str]) -> Iterator[_Strange]:
    """Yield a packet that claims to come from another router, where no router is."""
    for name, seats in view.seats_of.items():
        own = view.wire_tags(domain, ROUTED + name)
        if own and ROUTED + name not in welcome:
            for seat in seats[:1]:
                for router in sorted({*view.router_macs.values(), view.gateway_mac, seat.mac}):
                    for ip in seat.v4[:1]:
                        packet = make.udp(router, probes.STRANGER_MAC, ip, probes.STRANGER_V4)
                        yield f"{ROUTED}{name}, which is not needed there,", PRUNING, own, packet
