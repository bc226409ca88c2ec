"""The invariants of design.md, section 2, checked by packets: 1 isolation, 2 MACs, 3 VLAN-IDs, 4 pruning, 8 delivery.

`check` runs everything; `allocation`, `traffic`, `forgeries` and `strangers` are its parts. Each yields violations, each
with the journey that shows it; nothing yielded means that all holds. Bridged traffic only: what crosses a CUG's border by
being routed is not judged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from ryu_vmmob.fabric.model import Link, PortRef
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.network import Delivery, Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View, Violation

ISOLATION, MACS, VLAN_IDS, PRUNING, DELIVERY = 1, 2, 3, 4, 8


def check(view: View) -> Iterator[Violation]:
    """Every violation of invariants 1, 2, 3, 4 and 8 in this state."""
    yield from allocation(view)
    yield from traffic(view)
    yield from forgeries(view)
    yield from strangers(view)


def allocation(view: View) -> Iterator[Violation]:
    """Invariant 3 on paper: one VLAN-ID per CUG and domain, and seats that agree with it."""
    owner: dict[tuple[str, int], str] = {}
    for (domain, cug), vlan_id in view.vlan_ids.items():
        other = owner.setdefault((domain, vlan_id), cug)
        if other != cug:
            yield Violation(VLAN_IDS, f"VLAN-ID {vlan_id} of {domain} means {other} and {cug}")
    for seat in view.seats:
        where = view.fabric.servers[seat.server].l2_domain
        if not seat.guest and view.wire_tags(where, seat.cug) != seat.tags:
            yield Violation(VLAN_IDS, f"{seat} is tagged with {seat.vlan_id}, which is not {seat.cug} in {where}")


def traffic(view: View) -> Iterator[Violation]:
    """Members reach each other, each seat gets one copy, and no frame is anywhere it has no business."""
    for seat in view.seats:
        for port in view.live_ports(seat):
            if seat.sends is False:
                for packet in probes.own(seat):
                    yield from _nothing(_inject(view, seat, port, packet), f"{seat} must not send any more")
                continue
            for packet in probes.to_everybody(seat):
                journey = _inject(view, seat, port, packet)
                yield from judge(view, seat, journey)
                yield from _expect(view, seat, journey, _others(view, seat))
            for owner, peers in view.members[seat.cug].items():
                if owner != seat.owner:
                    yield from _pair(view, seat, port, peers)


def forgeries(view: View) -> Iterator[Violation]:
    """Invariant 1 against liars: no frame with another's MAC or address (ARP and ND included) gets anywhere."""
    for seat in view.seats:
        for port in view.live_ports(seat):
            for packet in probes.forgeries(view, seat):
                yield from _nothing(_inject(view, seat, port, packet), f"forged by {seat}")


def strangers(view: View) -> Iterator[Violation]:
    """VLAN-IDs that mean nothing at a port, or a CUG that has no business there, are dropped where they enter."""
    for link in view.fabric.links:
        for port in (link.a, link.b):
            for text, number, tags, packet in _strange_on_link(view, link):
                yield from _nothing(view.network.inject(packet.with_vlans(*tags), port), f"{text} enters {port}", number)
    for name, server in view.fabric.servers.items():
        seats = view.seats_at[name]
        here = {seat.cug for seat in seats if seat.tags == view.wire_tags(server.l2_domain, seat.cug)}
        for port in server.attach:
            strange = list(_strange(view, server.l2_domain, here, {seat.vlan_id for seat in seats if seat.vlan_id}))
            if not server.tagged:
                strange += _unknown(view, seats)
            for text, number, tags, packet in strange:
                yield from _nothing(view.network.inject(packet.with_vlans(*tags), port), f"{text} enters {port}", number)


def _unknown(view: View, seats: Sequence[Seat]) -> Iterator[_Strange]:
    """What an untagged server must refuse: a MAC that is not there, and one that is under another's tag (R24)."""
    macs = {seat.mac for seat in seats}
    for tags in {(), *(seat.tags for seat in seats)}:
        for seat in view.seats:
            if seat.mac not in macs or (seat in seats and seat.tags != tags):
                yield from ((f"{seat.mac:#x}, unknown there as {tags},", ISOLATION, tags, p) for p in probes.own(seat))


def judge(view: View, seat: Seat, journey: Journey, answer: Packet | None = None) -> Iterator[Violation]:
    """What holds for every journey of a frame that ``seat`` sent, whatever became of it (1, 2, 3, 4, 8)."""
    if journey.loop:
        yield Violation(DELIVERY, f"a frame of {seat} loops", journey)
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


def _judge_delivery(
    view: View, seat: Seat, journey: Journey, delivery: Delivery, answer: Packet | None
) -> Iterator[Violation]:
    port, packet = delivery
    server = view.fabric.server_at.get(port)
    if server is None:
        yield Violation(ISOLATION, f"a bridged frame of {seat.cug} leaves the fabric at {port}", journey)
        return
    here = view.seats_at[server.name]
    same = [other for other in here if other.cug == seat.cug]
    group = packet.is_group_addressed
    # A guest's own tag is its own wherever it is; all others have that of the domain.
    meant_for = [o for o in same if group or o.mac == packet["eth_dst"]]
    right: set[tuple[int, ...] | None] = {o.tags for o in meant_for or same}
    right = right or {view.wire_tags(server.l2_domain, seat.cug)}
    if packet.vlans not in right:
        meant = {cug for domain, cug in view.vlan_ids if view.wire_tags(server.l2_domain, cug) == packet.vlans}
        number = ISOLATION if meant else VLAN_IDS
        yield Violation(number, f"a frame of {seat.cug} is delivered at {port} as {packet.vlans}, not {right}", journey)
    else:
        # An untagged server has nothing but this tag and the destination MAC to go by, a tagged one the tag. A seat that is
        # only just coming or going hosts nobody yet, or no longer: a VM is started when the switches have confirmed its seat.
        alike = [o for o in here if o.receives is not None and o.tags == packet.vlans]
        wrong = [o for o in alike if o.cug != seat.cug and (server.tagged or group or o.mac == packet["eth_dst"])]
        if wrong:
            yield Violation(ISOLATION, f"a frame of {seat.cug} is heard by {wrong[0]} of {wrong[0].cug}", journey)
    if not same:
        yield Violation(PRUNING, f"a frame of {seat.cug} is delivered at {port}, where {seat.cug} has no seat", journey)
    if not packet.same_frame(journey.packet):
        if answer is None or not packet.same_frame(answer):
            yield Violation(MACS, f"a frame of {seat.cug} is changed when delivered at {port}", journey)
        elif server.name != seat.server:
            yield Violation(DELIVERY, f"the answer to {seat} is delivered at {port}", journey)


def _pair(view: View, seat: Seat, port: PortRef, peers: tuple[Seat, ...]) -> Iterator[Violation]:
    for packet in probes.unicast(seat, peers[0]):
        journey = _inject(view, seat, port, packet)
        yield from judge(view, seat, journey)
        yield from _expect(view, seat, journey, peers)
    for question, answer in probes.requests(seat, peers[0]):
        journey = _inject(view, seat, port, question)
        yield from judge(view, seat, journey, answer)
        answers = sum(packet.same_frame(answer) for _, packet in journey.deliveries)
        if not answers:
            yield from _expect(view, seat, journey, _others(view, seat), asked=peers)
        elif answers > 1 or answers != len(journey.deliveries):
            yield Violation(DELIVERY, f"the question of {seat} for {peers[0].vm} is answered and does more", journey)


def _others(view: View, seat: Seat) -> tuple[Seat, ...]:
    return tuple(other for other in view.seats if other.cug == seat.cug)


def _expect(
    view: View, seat: Seat, journey: Journey, receivers: tuple[Seat, ...], asked: tuple[Seat, ...] = ()
) -> Iterator[Violation]:
    """Servers of ``receivers`` get one copy for each tag, the sender's own server and all others none.

    A sender that may or may not send promises nothing.
    With ``asked``, somebody among those has to be reached even on a server that can get nothing group-addressed.
    """
    at = view.fabric.server_at
    copies = Counter((at[port].name, packet.vlans) for port, packet in journey.deliveries if port in at)
    group = journey.packet.is_group_addressed
    wanted: dict[tuple[str, tuple[int, ...]], list[Seat]] = {}
    for other in receivers:
        if other.server != seat.server:
            wanted.setdefault((other.server, other.tags), []).append(other)
    for wire, there in wanted.items():
        sure = bool(seat.sends) and view.connected(seat, there[0])
        must = sure and any(o.receives for o in there)
        may = any(o.receives is not False for o in there)
        if group and wire in view.shared:
            must = sure and any(o.receives for o in asked if (o.server, o.tags) == wire)
        if must and not copies[wire]:
            yield Violation(DELIVERY, f"a frame of {seat} does not reach {there[0]}", journey)
        if copies[wire] and not may:
            yield Violation(PRUNING, f"a frame of {seat} reaches {there[0]}, which is closed", journey)
    for (server, tags), number in copies.items():
        if server == seat.server:
            yield Violation(DELIVERY, f"a frame of {seat} comes back to its own server", journey)
        elif (server, tags) not in wanted:
            yield Violation(PRUNING, f"a frame of {seat} is delivered at {server}, for which it is not", journey)
        if number > 1:
            yield Violation(DELIVERY, f"{number} copies of one frame of {seat} are delivered at {server} as {tags}", journey)


def _inject(view: View, seat: Seat, port: PortRef, packet: Packet) -> Journey:
    return view.network.inject(packet.with_vlans(*seat.tags), port)


def _nothing(journey: Journey, text: str, number: int = ISOLATION) -> Iterator[Violation]:
    if journey.deliveries or journey.crossings:
        yield Violation(number, f"{text}, and it gets through: {journey.packet}", journey)


_Strange = tuple[str, int, tuple[int, ...], Packet]


def _strange_on_link(view: View, link: Link) -> Iterator[_Strange]:
    yield from _strange(view, link.l2_domain, {cug for cug, links in view.allowed_links.items() if link.name in links})


def _strange(view: View, domain: str | None, welcome: set[str], tags: Collection[int] = ()) -> Iterator[_Strange]:
    """(what it is, invariant, tags, packet) of frames that a port in ``domain``, with these CUGs behind it, must refuse.

    ``tags`` mean something there.
    """
    used = {*tags, *(vlan_id for (where, _), vlan_id in view.vlan_ids.items() if where == domain)}
    foreign = {vlan_id for (where, _), vlan_id in view.vlan_ids.items() if where != domain} - used
    free = next(number for number in range(4094, 0, -1) if number not in used | foreign)
    for cug, members in view.members.items():
        seat = next(iter(members.values()))[0]
        for packet in probes.own(seat):
            if domain is not None:
                yield "an untagged frame", ISOLATION, (), packet
            for vlan_id in (free, *sorted(foreign)[:2]):
                yield f"VLAN-ID {vlan_id}, unknown there,", ISOLATION, (vlan_id,), packet
            own = view.wire_tags(domain, cug)
            if domain is not None and own and cug not in welcome:
                yield f"{cug}, which is not needed there,", PRUNING, own, packet
