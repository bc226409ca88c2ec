"""Invariant 7: every rule, at every edge that it concerns, does what the oracle says: on either side of each of its ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.addresses import eui64_link_local, multicast_mac
from ryu_vmmob.sim.facts import Address, ExternalFacts, Rule
from ryu_vmmob.sim.invariants.bridged import announce, exchange
from ryu_vmmob.sim.invariants.choosing import doors, over_trunks, said
from ryu_vmmob.sim.invariants.forwarding import route
from ryu_vmmob.sim.invariants.judging import POLICY, silence, stays_out
from ryu_vmmob.sim.packet import TCP, TCP_SYN, Packet
from ryu_vmmob.sim.policy import (
    ERROR_TALKS,
    REPLY_FLAGS,
    Talk,
    covers,
    is_end,
    reply_talks,
    rule_talks,
    talks,
    turns_on,
    verdict,
)
from ryu_vmmob.sim.view import Seat, View, Violation
from ryu_vmmob.sim.whereabouts import outside_addresses

MAX_TALKS: Final = 40
"""What is said under one rule between one pair of ends, at most; enough for a range of ports and both its sides."""
MAX_DECIDED: Final = 3

_Ends = tuple[Seat | ExternalFacts, Seat | ExternalFacts]


def rules(view: View) -> Iterator[Violation]:
    """Yield what each rule is about, between ends that it names: bridged, routed, in and out."""
    for rule in dict.fromkeys(view.policies):
        for version in (4, 6):
            for number, (origin, target) in enumerate(dict.fromkeys(_pairs(view, rule, version))):
                yield from _under(view, rule, origin, target, version, _some(rule_talks(rule), number))
                yield from _under(view, rule, target, origin, version, _back(rule, number))
                if rule.replies or number == 0:
                    yield from _under(view, rule, origin, target, version, ERROR_TALKS)
            for origin, target in dict.fromkeys(_beside(view, rule, version)):
                for talk in _covered(rule):
                    yield from say(view, origin, target, version, talk)
                for talk in [talk for talk in reply_talks(rule) if covers(rule, talk.src_port) and talk.flags != TCP_SYN][:2]:
                    yield from say(view, target, origin, version, talk)
                for talk in ERROR_TALKS if rule.allow else ():
                    yield from say(view, target, origin, version, talk)
                    if rule.replies:
                        yield from say(view, origin, target, version, talk)
        yield from _to_groups(view, rule)


def _under(
    view: View, rule: Rule, origin: Seat | ExternalFacts, target: Seat | ExternalFacts, version: int, own: Sequence[Talk]
) -> Iterator[Violation]:
    """Yield what is said about a rule itself, and from what all rules are about the first few that it decides."""
    decided = []
    for talk in talks(view.policies):
        for packet, _ in _packets(view, origin, target, version, talk):
            if turns_on(view, rule, packet, origin, target):
                decided.append(talk)
        if len(decided) == MAX_DECIDED:
            break
    for talk in dict.fromkeys((*own, *decided)):
        yield from say(view, origin, target, version, talk)


def say(
    view: View, origin: Seat | ExternalFacts, target: Seat | ExternalFacts, version: int, talk: Talk
) -> Iterator[Violation]:
    """One packet between two ends, whatever lies between them."""
    for packet, bridged in _packets(view, origin, target, version, talk):
        port = view.live_ports(origin)[0] if isinstance(origin, Seat) else origin.port
        if bridged and isinstance(origin, Seat) and isinstance(target, Seat):
            yield from exchange(view, origin, port, packet, view.members[target.cug][target.owner])
        else:
            yield from route(view, origin, port, packet)
        yield from _at_the_other_end(view, origin, target, packet)


def _packets(
    view: View, origin: Seat | ExternalFacts, target: Seat | ExternalFacts, version: int, talk: Talk
) -> Iterator[tuple[Packet, bool]]:
    """Yield (the packet that says it, whether it is bridged); nothing where an end has no address of this family."""
    for src in _addresses(view, origin, version)[:1]:
        for dst in _addresses(view, target, version)[:1]:
            if isinstance(origin, Seat) and isinstance(target, Seat) and origin.cug == target.cug:
                yield talk.packet(target.mac, origin.mac, dst, src), True
                if version == 6:
                    near, far = (IPv6Address(eui64_link_local(end.mac)) for end in (origin, target))
                    own, its = (IPv6Address(probes.chosen(end.mac)) for end in (origin, target))
                    for one, other in ((near, dst), (src, far), (near, far), (own, dst), (own, its), (src, its)):
                        yield talk.packet(target.mac, origin.mac, other, one), True
            else:
                yield said(view, origin, talk, dst, src), False


def _at_the_other_end(
    view: View, origin: Seat | ExternalFacts, target: Seat | ExternalFacts, packet: Packet
) -> Iterator[Violation]:
    """Check that what the sender's edge should have denied is denied by the receiver's as well."""
    if not isinstance(target, Seat) or origin.switch == target.switch or verdict(view, packet, origin, target) is not False:
        return
    text = f"{target} is denied this of {origin} by policy at its own edge {target.switch}"
    if isinstance(origin, Seat) and origin.cug == target.cug:
        for port, tags in doors(view, target.switch, target.cug):
            yield from stays_out(view.network.inject(packet.with_vlans(*tags), port), text, POLICY)
    else:
        for port, routed in over_trunks(view, origin, target.switch, packet):
            yield from silence(view.network.inject(routed, port), text, POLICY)


def _to_groups(view: View, rule: Rule) -> Iterator[Violation]:
    """Check that a rule judges what is said to a whole CUG as well."""
    for seats in view.members.values():
        able = [one for rows in seats.values() for one in rows if view.live_ports(one) and _settled(view, one)]
        for seat in {one.switch: one for one in able}.values():
            for group in _GROUPS:
                own = _addresses(view, seat, group.version)[:1]
                links = (eui64_link_local(seat.mac), probes.chosen(seat.mac))
                near = [IPv6Address(ip) for ip in links] if own and group.version == 6 else []
                for src in (*own, *near):
                    named = is_end(rule.source, seat, src)
                    tried = rule_talks(rule)[:MAX_TALKS] if named else _covered(rule)
                    for talk in tried:
                        mac = MAC_BROADCAST if group.version == 4 else multicast_mac(int(group))
                        yield from announce(view, seat, view.live_ports(seat)[0], talk.packet(mac, seat.mac, group, src))


_GROUPS: Final = tuple(
    ip_address(text) for text in ("255.255.255.255", "224.0.0.251", "239.255.255.250", "ff02::fb", "ff05::1:3")
)


def _covered(rule: Rule) -> list[Talk]:
    """One thing that the rule is about."""
    return [talk for talk in rule_talks(rule) if covers(rule, talk.dst_port)][:1]


def _back(rule: Rule, number: int) -> Sequence[Talk]:
    """Return what comes back under a rule to one pair of ends: answers, and what is not delivered."""
    rows = reply_talks(rule)
    return (*_some(rows, number, len(REPLY_FLAGS) if rule.protocol in ("tcp", TCP) else 1), *ERROR_TALKS)


def _some(rows: Sequence[Talk], number: int, width: int = 1) -> Sequence[Talk]:
    """All of the first pair's; of the others' a part each, another one for each. ``width`` talks are about one port."""
    if number == 0:
        return rows[:MAX_TALKS]
    ports = [rows[start : start + width] for start in range(0, len(rows), width)]
    step = max(1, len(ports) // 4)
    return [talk for part in ports[number % step :: step] for talk in part]


def _pairs(view: View, rule: Rule, version: int) -> Iterator[_Ends]:
    """For each edge, ends there that the rule names, as senders and as receivers, each with one of every kind of other end."""
    seats = [one for one in view.seats if view.live_ports(one) and _settled(view, one)]
    ends: list[Seat | ExternalFacts] = [*seats, *(row for row in view.externals if view.seats_of.get(row.routing_domain))]
    ends = [one for one in ends if _addresses(view, one, version)]
    sources = [one for one in ends if is_end(rule.source, one, _addresses(view, one, version)[0])]
    targets = [one for one in ends if is_end(rule.target, one, _addresses(view, one, version)[0])]
    for here in _by_edge(sources):
        yield from _kinds(view, [(one, other) for one in here for other in targets])
    for here in _by_edge(targets):
        yield from _kinds(view, [(other, one) for one in here for other in sources])


def _beside(view: View, rule: Rule, version: int) -> Iterator[_Ends]:
    """Yield ends of which the rule does not name both, but would if it were a little wider: at most of other CUGs or RDs."""
    seats = [one for one in view.seats if view.live_ports(one) and _settled(view, one)]
    ends: list[Seat | ExternalFacts] = [*seats, *(row for row in view.externals if view.seats_of.get(row.routing_domain))]
    ends = [one for one in ends if _addresses(view, one, version)]
    sources = {one for one in ends if is_end(rule.source, one, _addresses(view, one, version)[0])}
    targets = {one for one in ends if is_end(rule.target, one, _addresses(view, one, version)[0])}
    for here in _by_edge(ends):
        for named in (True, False):
            left = [one for one in here if (one in sources) is named]
            right = [one for one in here if (one in targets) is named]
            yield from _kinds(view, [(one, other) for one in left for other in ends if not (named and other in targets)])
            yield from _kinds(view, [(other, one) for one in right for other in ends if not (named and other in sources)])


def _by_edge(ends: Sequence[Seat | ExternalFacts]) -> Iterator[list[Seat | ExternalFacts]]:
    found: dict[str, list[Seat | ExternalFacts]] = {}
    for one in ends:
        found.setdefault(one.switch, []).append(one)
    yield from found.values()


def _kinds(view: View, pairs: Sequence[_Ends]) -> Iterator[_Ends]:
    """Yield the first pair inside one CUG, the first that is routed, the first from outside and the first to it."""
    seen: set[tuple[bool, bool, bool, bool]] = set()
    for origin, target in pairs:
        both = isinstance(origin, Seat) and isinstance(target, Seat)
        same = isinstance(origin, Seat) and isinstance(target, Seat) and origin.cug == target.cug
        if same and isinstance(origin, Seat) and isinstance(target, Seat) and origin.owner == target.owner:
            continue
        if not same and (view.routing_domain(origin) is None or view.routing_domain(origin) != view.routing_domain(target)):
            continue
        if isinstance(origin, ExternalFacts) and isinstance(target, ExternalFacts):
            continue
        kind = (same, both, isinstance(origin, Seat), origin.switch == target.switch)
        if kind not in seen:
            seen.add(kind)
            yield origin, target


def _settled(view: View, seat: Seat) -> bool:
    facts = view.cugs.get(seat.cug)
    return facts is None or facts.settled


def _addresses(view: View, end: Seat | ExternalFacts, version: int) -> list[Address]:
    if isinstance(end, Seat):
        return [ip for ip in end.ips if ip.version == version]
    strangers: dict[int, Address] = {4: IPv4Address(probes.STRANGER_V4), 6: IPv6Address(probes.STRANGER_V6)}
    return [outside_addresses(view, end).get(version, strangers[version])]
