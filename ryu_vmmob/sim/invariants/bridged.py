"""Bridged traffic: 1 isolation, 2 MACs, 3 VLAN-IDs, 4 pruning, 7 policy and 8 delivery inside each CUG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import replace
from typing import Final

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_IPV6
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.facts import CugFacts
from ryu_vmmob.sim.invariants.judging import (
    DELIVERY,
    ISOLATION,
    MACS,
    POLICY,
    PRUNING,
    VLAN_IDS,
    inject,
    nothing,
    shown,
    silence,
    to_controller,
    told,
    unheard,
    unshown,
)
from ryu_vmmob.sim.invariants.neighbours import behind, misled
from ryu_vmmob.sim.network import Delivery, Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.policy import verdict
from ryu_vmmob.sim.view import Seat, View, Violation

Tags = tuple[int, ...]


def allocation(view: View) -> Iterator[Violation]:
    """Invariant 3 on paper: one VLAN-ID per segment and domain, and seats that agree with it, unless the tag is the guest's.

    On the cable of a server with tagging per interface, one for each vNIC.
    """
    owner: dict[tuple[str, int], str] = {}
    cables: dict[tuple[str, int | None], Seat] = {}
    for (domain, segment), vlan_id in view.vlan_ids.items():
        other = owner.setdefault((domain, vlan_id), segment)
        if other != segment:
            yield Violation(VLAN_IDS, f"VLAN-ID {vlan_id} of {domain} means {other} and {segment}")
    for seat in view.seats:
        server = view.fabric.servers[seat.server]
        if server.per_interface:
            if (first := cables.setdefault((server.name, seat.vlan_id), seat)) is not seat and not _may_share(seat, first):
                yield Violation(VLAN_IDS, f"{seat} and {first} both have VLAN-ID {seat.vlan_id} on one cable")
            continue
        where = server.l2_domain
        if not seat.guest and view.wire_tags(where, seat.cug) != seat.tags:
            yield Violation(VLAN_IDS, f"{seat} is tagged with {seat.vlan_id}, which is not {seat.cug} in {where}")


def _may_share(one: Seat, other: Seat) -> bool:
    """Whether two vNICs may have one tag on a cable: guests of one CUG that tag alike."""
    return one.guest and other.guest and one.cug == other.cug


def traffic(view: View) -> Iterator[Violation]:
    """Members reach each other, each seat gets one copy, and no frame is anywhere it has no business."""
    for seat in view.seats:
        for port in view.live_ports(seat):
            yield from (_closed if seat.sends is False else _speaking)(view, seat, port)


def _closed(view: View, seat: Seat, port: PortRef) -> Iterator[Violation]:
    """Nothing that a seat sends goes anywhere while it must not send."""
    for packet in probes.own(seat):
        journey = inject(view, seat, port, packet)
        yield from nothing(journey, f"{seat} must not send any more")
        if view.cugs:
            yield from shown(journey, f"{seat} must not send any more")


def _speaking(view: View, seat: Seat, port: PortRef) -> Iterator[Violation]:
    """Check what a seat that may send says at one of its ports: to all, to unknown addresses, and to each member."""
    for packet in (*probes.to_everybody(seat), *(() if view.may_have_router(seat) else probes.to_routers(seat))):
        yield from announce(view, seat, port, packet)
    for packet in probes.by_choice_to_everybody(seat) if seat.v6 else ():
        if _is_carried(view, seat, packet):
            yield from announce(view, seat, port, packet)
    if seat.v6 and seat.switch not in view.plain_edges:
        # Who else has it, only the others know; and who asks is not yet known to be the VM.
        probe = make.neighbour_solicitation(seat.mac, 0, probes.chosen(seat.mac))
        yield from announce(view, replace(seat, told="none" if seat.told else None), port, probe)
    if seat.sends and seat.tags and not view.plain_edges and view.cugs:
        yield from _with_priority(view, seat, port)
    if not seat.tags and seat.sends and not seat.told:
        yield from _as_untagged(view, seat, port)
    for packet in probes.to_nobody(view, seat):
        text = f"{seat} sends to a MAC that is not in {seat.cug}"
        yield from unheard(inject(view, seat, port, packet), seat, text, ISOLATION)
    for owner, peers in view.members[seat.cug].items():
        if owner != seat.owner:
            yield from _pair(view, seat, port, peers)
        else:
            yield from _alone(view, seat, port, peers)


def _as_untagged(view: View, seat: Seat, port: PortRef) -> Iterator[Violation]:
    """Yield a frame with a priority and no VLAN is the same frame as one without a tag (IEEE 802.1Q, 6.9)."""
    for packet in probes.own(seat):
        plain = inject(view, seat, port, packet)
        marked = view.network.inject(packet.with_vlans(0), port)
        if sorted(map(str, plain.deliveries)) != sorted(map(str, marked.deliveries)):
            yield Violation(DELIVERY, f"a frame of {seat} with VLAN-ID 0 is not taken as untagged", marked)


def judge(view: View, seat: Seat, journey: Journey, answer: Packet | None = None) -> Iterator[Violation]:
    """Yield what holds for every journey of a frame that ``seat`` sent, whatever became of it (1, 2, 3, 4, 8)."""
    if journey.loop:
        yield Violation(DELIVERY, f"a frame of {seat} loops", journey)
    if seat.sends:
        yield from unshown(journey, f"{seat} may send this")
    if seat.sends and seat.told is not None:
        wanted = int(seat.told == "all" or (seat.told == "group" and journey.packet.is_group_addressed))
        if (number := told(journey)) != wanted:
            text = f"the controller hears {number} times, not {wanted}, that {seat} speaks"
            yield Violation(DELIVERY, text, journey)
    if to_controller(journey) and seat.switch not in view.plain_edges:
        yield Violation(DELIVERY, f"the controller gets a bridged frame of {seat}", journey)
    allowed = view.allowed_links.get(seat.cug, frozenset())
    ways: Counter[tuple[str, str]] = Counter()
    for link, sender, packet in journey.crossings:
        ways[link.name, sender] += 1
        if view.wire_tags(link.l2_domain, seat.cug) != packet.vlans:
            yield Violation(VLAN_IDS, f"a frame of {seat.cug} is on {link.name} ({link.l2_domain}) as {packet.vlans}", journey)
        if link.name not in allowed:
            yield Violation(PRUNING, f"a frame of {seat.cug} is on {link.name}, which {seat.cug} does not need", journey)
        if not packet.same_frame(journey.packet):
            yield Violation(MACS, f"a frame of {seat.cug} is changed on {link.name}", journey)
    for (name, sender), copies in ways.items():
        if copies > 1 and not journey.loop:
            yield Violation(DELIVERY, f"a frame of {seat.cug} leaves {sender} over {name} {copies} times", journey)
    for delivery in journey.deliveries:
        yield from _judge_delivery(view, seat, journey, delivery, answer)


def _judge_delivery(view: View, seat: Seat, journey: Journey, delivery: Delivery, answer: Packet | None) -> Iterator[Violation]:
    port, packet = delivery
    server = view.fabric.server_at.get(port)
    if server is None:
        yield Violation(ISOLATION, f"a bridged frame of {seat.cug} leaves the fabric at {port}", journey)
        return
    here = view.seats_at[server.name]
    same = [other for other in here if other.cug == seat.cug]
    group = packet.is_group_addressed
    for_them = [other for other in same if group or other.mac == packet["eth_dst"]]
    right: set[Tags | None] = {other.tags for other in for_them or same}
    right = right or {view.wire_tags(server.l2_domain, seat.cug)}
    if packet.vlans not in right:
        meant: set[str] = {other.cug for other in here if other.tags == packet.vlans} - {seat.cug}
        if server.tagged:
            meant |= {name for _, name in view.vlan_ids if view.wire_tags(server.l2_domain, name) == packet.vlans}
        number = ISOLATION if meant else VLAN_IDS
        text = f"a frame of {seat.cug} is delivered at {port} as {packet.vlans}, not {' or '.join(map(str, right))}"
        yield Violation(number, text, journey)
    else:
        # Under one tag an untagged server has nothing but the destination MAC to go by; at a tagged one a tag is one CUG's.
        # A seat that is only just coming or going hosts no VM yet, or no longer: a VM is started when the switches have
        # confirmed its seat.
        settled = [o for o in here if o.receives is not None and o.tags == packet.vlans]
        wrong = [o for o in settled if o.cug != seat.cug and (server.tagged or group or o.mac == packet["eth_dst"])]
        if wrong:
            yield Violation(ISOLATION, f"a frame of {seat.cug} is heard by {wrong[0]} of {wrong[0].cug}", journey)
    if not same:
        yield Violation(PRUNING, f"a frame of {seat.cug} is delivered at {port}, where {seat.cug} has no seat", journey)
    if not packet.same_frame(journey.packet):
        if answer is None or not packet.same_frame(answer):
            yield Violation(MACS, f"a frame of {seat.cug} is changed when delivered at {port}", journey)
        elif server.name != seat.server or packet.vlans != seat.tags:
            yield Violation(DELIVERY, f"the answer to {seat} is delivered at {port}", journey)


def _pair(view: View, seat: Seat, port: PortRef, peers: tuple[Seat, ...]) -> Iterator[Violation]:
    for packet in probes.unicast(seat, peers[0]):
        yield from exchange(view, seat, port, packet, peers)
    for packet in probes.by_choice(seat, peers[0]) if seat.v6 and peers[0].v6 else ():
        if _is_carried(view, seat, packet):
            yield from exchange(view, seat, port, packet, peers)
    own = (make.arp_probe(seat.mac, ip) for ip in seat.v4[:1])
    for question in (*probes.gateway_questions(view, seat), *own):
        yield from exchange(view, seat, port, question.with_fields(eth_dst=peers[0].mac), peers)
    for source, target in zip(seat.v4[:1], peers[0].v4[:1], strict=False):
        yield from announce(view, seat, port, make.arp_reply(seat.mac, source, MAC_BROADCAST, target))
    for question, answer in probes.requests(seat, peers[0]):
        yield from _asks(view, seat, inject(view, seat, port, question), answer, peers)
    for question, answer in probes.duplicates(seat, peers[0]):
        yield from _takes(view, seat, inject(view, seat, port, question), answer, peers)


def _is_carried(view: View, seat: Seat, packet: Packet) -> bool:
    """Check that a plain switch, which cannot tell link-local targets from others, lets no guest advertise one of its
    own choice.
    """
    return seat.switch not in view.plain_edges or packet.get("icmpv6_type") != make.NEIGHBOUR_ADVERTISEMENT


def _with_priority(view: View, seat: Seat, port: PortRef) -> Iterator[Violation]:
    """Yield a violation where a tag's priority changes the way of a frame, or is lost from a tag on the way."""
    for packet in probes.own(seat):
        plain = inject(view, seat, port, packet)
        marked = view.network.inject(packet.with_vlans(*(make.tag(row, _PRIORITY) for row in seat.tags)), port)
        for one, other in ((plain.deliveries, marked.deliveries), (plain.crossings, marked.crossings)):
            there = sorted(str(row._replace(packet=_marked(row.packet))) for row in one)
            if there != sorted(map(str, other)):
                yield Violation(VLAN_IDS, f"a frame of {seat} loses its priority, or goes another way for it", marked)


def _marked(packet: Packet) -> Packet:
    return packet.with_vlans(*(make.tag(row, _PRIORITY) for row in packet.vlans))


_PRIORITY: Final = 5


def _takes(view: View, seat: Seat, journey: Journey, answer: Packet, asked: tuple[Seat, ...]) -> Iterator[Violation]:
    """Yield an address probe for what is a member's: its edge says so, or where the member is behind the asker's wire, it hears
    it.

    No VM arrives by it: it is not what the asker's interface may say of itself.
    """
    yield from misled(view, seat, journey, asked)
    if told(journey):
        yield Violation(ISOLATION, f"{seat} asks whether an address is taken, and arrives by it", journey)
    answers = sum(packet.same_frame(answer) for _, packet in journey.deliveries)
    sure = seat.sends and seat.receives and any(other.receives for other in asked) and not behind(seat, asked)
    if answers:
        yield from judge(view, replace(seat, told=None), journey, answer)
    if answers > 1 or (answers and answers != len(journey.deliveries)):
        yield Violation(DELIVERY, f"{seat} is told that an address is taken, and more", journey)
    elif not answers and sure and seat.cug in view.cugs and seat.switch not in view.plain_edges:
        yield Violation(DELIVERY, f"{seat} is not told by {seat.switch} that {asked[0].vm} has the address", journey)


def _alone(view: View, seat: Seat, port: PortRef, seats: tuple[Seat, ...]) -> Iterator[Violation]:
    """Check that what an interface sends to itself goes nowhere, or to its other place."""
    for packet in probes.unicast(seat, seat):
        yield from exchange(view, seat, port, packet, seats)
    for question, answer in probes.requests(seat, seat):
        if question["eth_type"] == ETH_IPV6:  # an ARP request for one's own address is an announcement
            yield from _asks(view, seat, inject(view, seat, port, question), answer, seats)


def _asks(view: View, seat: Seat, journey: Journey, answer: Packet, asked: tuple[Seat, ...]) -> Iterator[Violation]:
    """Yield a question for a member: the asker's edge answers, where it can and knows for sure; else all members hear it.

    Not where the member is behind the asker's own wire: there it answers itself.
    """
    yield from judge(view, seat, journey, answer)
    yield from misled(view, seat, journey, asked)
    answers = sum(packet.same_frame(answer) for _, packet in journey.deliveries)
    sure = seat.sends and seat.receives and any(other.receives for other in asked) and not behind(seat, asked)
    if answers > 1 or (answers and answers != len(journey.deliveries)):
        yield Violation(DELIVERY, f"the question of {seat} for {asked[0].vm} is answered and does more", journey)
    elif not answers and sure and seat.cug in view.cugs and seat.switch not in view.plain_edges:
        yield Violation(DELIVERY, f"the question of {seat} for {asked[0].vm} is not answered by {seat.switch}", journey)
    elif not answers:
        # Who asks about itself, as from its other place, need not be reached.
        yield from _expect(view, seat, journey, _others(view, seat), asked=tuple(o for o in asked if o.owner != seat.owner))


def exchange(view: View, seat: Seat, port: PortRef, packet: Packet, peers: tuple[Seat, ...]) -> Iterator[Violation]:
    """Yield a unicast packet from a seat to another interface of its CUG: one copy for each of its seats, if policy
    allows it.
    """
    journey = inject(view, seat, port, packet)
    yield from judge(view, seat, journey)
    yield from _expect(view, seat, journey, peers)


def announce(view: View, seat: Seat, port: PortRef, packet: Packet) -> Iterator[Violation]:
    """Yield a group-addressed packet from a seat: one copy for every other seat of its CUG, if policy allows it."""
    journey = inject(view, seat, port, packet)
    yield from judge(view, seat, journey)
    yield from _expect(view, seat, journey, _others(view, seat))


def _others(view: View, seat: Seat) -> tuple[Seat, ...]:
    return tuple(other for other in view.seats if other.cug == seat.cug)


def _expect(
    view: View, seat: Seat, journey: Journey, receivers: tuple[Seat, ...], asked: tuple[Seat, ...] = ()
) -> Iterator[Violation]:
    """Where ``receivers`` are, each server gets one copy under each of their tags; where the sender is, and elsewhere, none.

    A sender that may or may not send promises nothing. No member gets what a policy denies.
    With ``asked``, one among those has to be reached even where nothing group-addressed can be.
    """
    group = journey.packet.is_group_addressed
    end = view.cugs.get(seat.cug, CugFacts(seat.cug, ())) if group else receivers[0]
    allowed = verdict(view, journey.packet, seat, end)
    if allowed is False:
        yield from silence(journey, f"{seat} is denied this by policy", POLICY)
        return
    copies: Counter[tuple[str, Tags]] = Counter()
    for port, packet in journey.deliveries:
        if port in view.fabric.server_at:
            copies[view.fabric.server_at[port].name, packet.vlans] += 1
    own = (seat.server, seat.tags)
    wanted: dict[tuple[str, Tags], list[Seat]] = {}
    for other in receivers:
        if (other.server, other.tags) != own:
            wanted.setdefault((other.server, other.tags), []).append(other)
    for place, there in wanted.items():
        sure = bool(seat.sends) and allowed is True and view.connected(seat, there[0])
        must = sure and any(o.gets(group=group) for o in there)
        may = any(o.gets(group=group) is not False for o in there)
        if group and (place[0], there[0].vlan_id) in view.shared:
            must = sure and any(o.receives for o in asked if (o.server, o.tags) == place)
        apart = view.fabric.servers[place[0]].per_interface and not there[0].guest
        if group and apart and all(other.owner == seat.owner for other in there):
            must = False  # its own other place, where its server's switch would look for it behind the cable then
            if seat.sends and all(o.receives for o in there) and copies[place]:
                yield Violation(DELIVERY, f"a frame of {seat} reaches its own other place {there[0]}", journey)
        if must and not copies[place]:
            yield Violation(DELIVERY, f"a frame of {seat} does not reach {there[0]}", journey)
        if copies[place] and not may:
            yield Violation(PRUNING, f"a frame of {seat} reaches {there[0]}, which is closed", journey)
    yield from _expect_none_elsewhere(seat, journey, copies, wanted)
    if not group and seat.sends and allowed is True:
        yield from _expect_once(view, seat, journey, receivers, copies)


def _expect_none_elsewhere(
    seat: Seat, journey: Journey, copies: Counter[tuple[str, Tags]], wanted: Container[tuple[str, Tags]]
) -> Iterator[Violation]:
    """Of a frame there is one copy at a place, none where it came from, and none at a place that is not ``wanted``."""
    for place, number in copies.items():
        if place == (seat.server, seat.tags):
            yield Violation(DELIVERY, f"a frame of {seat} comes back to its own server", journey)
        elif place not in wanted:
            yield Violation(PRUNING, f"a frame of {seat} is delivered at {place[0]}, for which it is not", journey)
        if number > 1:
            yield Violation(DELIVERY, f"{number} copies of one frame of {seat} are delivered at {place[0]}", journey)


def _expect_once(
    view: View, seat: Seat, journey: Journey, receivers: tuple[Seat, ...], copies: Counter[tuple[str, Tags]]
) -> Iterator[Violation]:
    """Check that a VM whose place is changing gets one copy of a unicast frame, at one of its places."""
    own = (seat.server, seat.tags)
    shifting = [other for other in receivers if other.shifts and other.owner != seat.owner]
    if shifting and all(view.connected(seat, other) for other in shifting):
        number = sum(copies[place] for place in {(other.server, other.tags) for other in shifting})
        if number != 1 and own not in {(other.server, other.tags) for other in shifting}:
            text = f"{number} copies of one frame of {seat} are delivered to {shifting[0].vm}, whose place is changing, not one"
            yield Violation(DELIVERY, text, journey)
