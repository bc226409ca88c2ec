"""Local switching: interfaces that a server's own switch joins without the ToR, and policies that have no effect there (R46).

A frame between two interfaces behind one wire (server and tag) does not reach the ToR, so no policy of the fabric is asked.
Which interfaces these are depends on how the server tags (`fabric.model.Tagging`):

============= =============================================================================
per_interface none, but for guests of one CUG that send the same tag of their own
per_cug       two of one CUG under the same tag, put on by the server's switch or the guest
untagged      any two under the same guest tag or none, also of different CUGs
============= =============================================================================

A placement or a policy with which a policy would separate two such interfaces is refused (R45), unless the fabric file trusts
the server's switch to do it (``local_switching: trusted``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import chain, combinations
from typing import Final, NamedTuple

from immutables import Map

from ryu_vmmob.fabric.model import Tagging
from ryu_vmmob.model.decision import Party, Traffic, candidates, decide, is_end, member
from ryu_vmmob.model.labels import requirements, selects
from ryu_vmmob.model.objects import Address, Cug, Interface, Vm
from ryu_vmmob.model.policy import Policy, Selector
from ryu_vmmob.model.policy_index import picked
from ryu_vmmob.model.refusal import conflict
from ryu_vmmob.model.state import Member, State
from ryu_vmmob.net.protocols import ICMP, ICMPV6, TCP, UDP

_ECHO_REQUEST_V6: Final = 128
_PORTED: Final = (TCP, UDP)
_ON_LINK: Final = ip_network("fe80::/10")
_NONE: Final[Map[str, None]] = Map()


class Meeting(NamedTuple):
    """Two members that a server's own switch brings together, and the policy that separates them."""

    server: str
    one: Member
    other: Member
    policy: Policy

    def __str__(self) -> str:
        return (
            f"on server {self.server!r} VM {self.one.vm!r} and VM {self.other.vm!r} meet behind one wire, and policy "
            f"{self.policy.name!r} separates them"
        )


def together(state: State, server: str, one: Interface, other: Interface) -> bool:
    """Whether the own switch of ``server`` would bring frames of one interface to the other, if both were there."""
    kind = state.fabric.servers[server].tagging
    if kind is Tagging.UNTAGGED:
        return one.guest_vlan_id == other.guest_vlan_id
    if one.cug != other.cug:
        return False
    if kind is Tagging.PER_INTERFACE:
        return one.guest_vlan_id is not None and one.guest_vlan_id == other.guest_vlan_id
    # A guest's own tag may be the CUG's VLAN-ID as well.
    return state.wire_vlan_id(one.cug, state.wire(one, server)) == state.wire_vlan_id(other.cug, state.wire(other, server))


def peers(state: State, server: str, vm: str, among: Collection[str] | None = None) -> Iterator[tuple[int, Member]]:
    """Yield (number of the VM's interface, member of another VM) for each pair that the server's own switch brings together.

    Looks at the VMs with a place at ``server`` only, and of these (where it is given) at those ``among``.
    """
    mine = state.vms[vm].interfaces
    if state.fabric.servers[server].per_interface and all(row.guest_vlan_id is None for row in mine):
        return
    here = state.server_vms.get(server, _NONE)
    for name in sorted(here if among is None else [name for name in among if name in here]):
        for number, interface in enumerate(state.vms[name].interfaces if name != vm else ()):
            for own, row in enumerate(mine):
                if together(state, server, row, interface):
                    yield own, Member(name, number)


def _is_trusted(state: State, server: str) -> bool:
    return state.fabric.servers[server].trusts_local_switching


def separated(state: State, one: Interface, other: Interface) -> Policy | None:
    """Return the policy that denies a packet between two interfaces, in either direction; None: every packet is allowed, or no
    policy denies it.

    Judged are packets to one host. The packets tried stand for all: what a policy can tell apart (protocol, port) is tried
    on both sides of each border that a policy draws.
    """
    if state.scope(state.cugs[one.cug]) != state.scope(state.cugs[other.cug]):
        return None  # no policy is asked there
    for a, b in ((one, other), (other, one)):
        for source, target in _parties(state, a, b):
            found = candidates(state, source, target)
            known = [row for row in found if is_end(row.source, source) and is_end(row.target, target)]
            if all(policy.allow for policy in known):
                continue
            for traffic in _samples(known, source.address):
                decision = decide(state, source, target, traffic)
                if not decision.allowed and decision.policy is not None:
                    return state.policies[decision.policy]
    return None


def _parties(state: State, source: Interface, target: Interface) -> Iterator[tuple[Party, Party]]:
    """Each pair of addresses of one family that can speak to each other."""
    inside = source.cug == target.cug
    theirs: tuple[Address, ...] = target.addresses if inside else target.ips
    for address in source.addresses if inside else source.ips:
        for to in theirs:
            routed = inside or not (to.is_link_local or address.is_link_local)
            if address.version == to.version and routed:
                yield member(state, source.cug, address), member(state, target.cug, to)


def _samples(policies: Collection[Policy], address: Address) -> Iterator[Traffic]:
    """Packets of which at least one is decided by each policy that decides any.

    None has a source port or a TCP flag: as a reply a policy only allows, and only what has a flag that others need not have.
    """
    icmp = ICMP if address.version == 4 else ICMPV6
    named = {icmp if row.protocol == "icmp" else row.protocol for row in policies}
    numbers = {number for number in named if isinstance(number, int)}
    if None in named:
        numbers.update(_PORTED)
        numbers.update(next(([number] for number in range(256) if number not in numbers and number != ICMPV6), []))
    ports = {edge for row in policies for low, high in row.ports for edge in (low, high + 1) if edge <= 0xFFFF}
    for number in sorted(numbers):
        kind = _ECHO_REQUEST_V6 if number == ICMPV6 else None
        yield Traffic(number, icmp_type=kind)
        for port in sorted(ports) if number in _PORTED else ():
            yield Traffic(number, target_port=port)


def refuse_separated(
    before: State, state: State, entered: Iterable[tuple[str, str]], policies: Iterable[str], cugs: Iterable[str]
) -> None:
    """409 when a policy separates two members that a server's own switch brings together, and did not do so before.

    ``entered``: (VM, server) of places that are new; ``policies``, ``cugs``: names of those that were put or deleted.
    """
    found = chain(_newly_placed(state, entered), _newly_separated(before, state, policies), _rerouted(before, state, cugs))
    for meeting in found:
        raise conflict(
            f"R45: {meeting}; what they send to each other the server's own switch decides: choose another server, or "
            f"tagging: per_interface, or trust that switch with local_switching: trusted"
        )


def _newly_placed(state: State, entered: Iterable[tuple[str, str]]) -> Iterator[Meeting]:
    for vm, server in entered:
        if _is_trusted(state, server) or vm not in state.vms:
            continue
        if all(seat.server != server for seat in state.seats_of(state.vms[vm])):
            continue  # gone again
        for number, peer in peers(state, server, vm, _suspects(state, server, state.vms[vm])):
            yield from _meeting(state, server, Member(vm, number), peer)


def _suspects(state: State, server: str, vm: Vm) -> Collection[str] | None:
    """VMs at a server from which a policy can separate ``vm``; None: it could be any of them.

    Where no policy denies anything between members, nothing is looked at one by one, however many VMs there are.
    """
    keys = [("any", ""), ("vm", vm.name), *(("cug", row.cug) for row in vm.interfaces)]
    cugs = [state.cugs[row.cug] for row in vm.interfaces]
    alone = state.fabric.servers[server].tagging is not Tagging.UNTAGGED
    found = _named_by_denials(state, server)
    for name in {name for key in keys for name in state.policies_of.get(key, _NONE)}:
        policy = state.policies[name]
        if policy.allow or (alone and not any(_is_inside(policy, cug) for cug in cugs)):
            continue
        others = [str(end.value) for end in (policy.source, policy.target) if end.kind == "vm" and end.value != vm.name]
        if not others:
            return None
        found.update(others)
    return found


def _named_by_denials(state: State, server: str) -> set[str]:
    """VMs at a server that a policy names which denies something; the shorter of both lists is gone through."""
    here = state.server_vms.get(server, _NONE)
    if len(here) < len(state.policies_of):
        named: Iterable[str] = (name for name in here if ("vm", name) in state.policies_of)
    else:
        named = (name for kind, name in state.policies_of if kind == "vm" and name in here)
    return {name for name in named if any(not state.policies[row].allow for row in state.policies_of["vm", name])}


def _is_inside(policy: Policy, cug: Cug) -> bool:
    """Whether both ends of a policy can be members of one CUG."""
    return all(_can_be(end, cug) for end in (policy.source, policy.target))


def _can_be(end: Selector, cug: Cug) -> bool:
    if end.kind == "cug":
        return end.value == cug.name
    if end.kind == "prefix" and isinstance(end.value, IPv4Network | IPv6Network):
        networks = (*cug.subnets, _ON_LINK)
        return any(end.value.version == row.version and end.value.overlaps(row) for row in networks)
    return True


def _meeting(state: State, server: str, one: Member, other: Member) -> Iterator[Meeting]:
    policy = separated(state, state.interface(one), state.interface(other))
    if policy is not None:
        yield Meeting(server, one, other, policy)


def _newly_separated(before: State, state: State, policies: Iterable[str]) -> Iterator[Meeting]:
    """Pairs that the change of a policy separates: one that denies now, or one that allowed and does so no more."""
    for name in policies:
        new, old = state.policies.get(name), before.policies.get(name)
        versions = [row for row, wanted in ((new, False), (old, True)) if row is not None and row.allow is wanted]
        for policy in versions:
            for server in sorted(_servers_of(state, policy)):
                for one, other in _between(state, server, policy):
                    for found in _meeting(state, server, one, other):
                        if not _was_separated(before, server, one, other):
                            yield found


def _rerouted(before: State, state: State, cugs: Iterable[str]) -> Iterator[Meeting]:
    """Pairs of two CUGs on untagged servers that policies separate since one of the CUGs changed its routing domain."""
    for name in cugs:
        new, old = state.cugs.get(name), before.cugs.get(name)
        if new is None or old is None or new.routing_domain in (None, old.routing_domain):
            continue
        for server in sorted({wire.server for wire in state.occupancy.get(name, ())}):
            if state.fabric.servers[server].tagging is Tagging.UNTAGGED and not _is_trusted(state, server):
                for one, other in met(state, server):
                    if name in (state.interface(one).cug, state.interface(other).cug):
                        for found in _meeting(state, server, one, other):
                            if not _was_separated(before, server, one, other):
                                yield found


def _was_separated(before: State, server: str, one: Member, other: Member) -> bool:
    """Whether the two met there before the change, and a policy separated them already: it makes nothing worse."""
    here = before.server_vms.get(server, _NONE)
    if one.vm not in here or other.vm not in here:
        return False
    rows = [before.vms[row.vm].interfaces for row in (one, other)]
    if one.number >= len(rows[0]) or other.number >= len(rows[1]):
        return False
    return separated(before, rows[0][one.number], rows[1][other.number]) is not None


def _servers_of(state: State, policy: Policy) -> set[str]:
    """Servers with local switching that is not trusted, where both ends of a policy can be."""
    found = {name for name in state.server_vms if not _is_trusted(state, name)}
    for end in (policy.source, policy.target):
        if end.kind == "vm":
            vm = state.vms.get(str(end.value))
            found &= {seat.server for seat in state.seats_of(vm)} if vm is not None else set()
        elif end.kind == "labels":
            found &= {seat.server for name in picked(state, end.value) for seat in state.seats_of(state.vms[name])}
        elif end.kind == "cug":
            found &= {wire.server for wire in state.occupancy.get(str(end.value), ())}
    return found


def _wires(state: State, server: str) -> Iterator[list[Member]]:
    """Yield the members at a server, those together that its own switch brings together; without those that are alone."""
    kind = state.fabric.servers[server].tagging
    if kind is Tagging.PER_INTERFACE:
        claims = state.cables.get(server)
        if claims is None or not any(claim.guests and claim.seats > 1 for claim in claims.values()):
            return
    by_wire: dict[tuple[str | None, int | None], list[Member]] = {}
    for name in sorted(state.server_vms.get(server, _NONE)):
        for number, interface in enumerate(state.vms[name].interfaces):
            tag = interface.guest_vlan_id
            if kind is Tagging.PER_INTERFACE and tag is None:
                continue
            if kind is Tagging.PER_CUG:
                tag = state.wire_vlan_id(interface.cug, state.wire(interface, server))
            cug = None if kind is Tagging.UNTAGGED else interface.cug
            by_wire.setdefault((cug, tag), []).append(Member(name, number))
    yield from (there for there in by_wire.values() if len(there) > 1)


def met(state: State, server: str) -> Iterator[tuple[Member, Member]]:
    """All pairs of members of different VMs that a server's own switch brings together."""
    for there in _wires(state, server):
        for one, other in combinations(there, 2):
            if one.vm != other.vm:
                yield one, other


def _between(state: State, server: str, policy: Policy) -> Iterator[tuple[Member, Member]]:
    """Those pairs of `met` of which one can be each end of a policy."""
    for there in _wires(state, server):
        targets = [row for row in there if _stands_for(state, policy.target, row)]
        for one in there if targets else ():
            if _stands_for(state, policy.source, one):
                for other in targets:
                    if one.vm != other.vm:
                        yield min(one, other), max(one, other)


def _stands_for(state: State, selector: Selector, row: Member) -> bool:
    """Whether an end of a policy stands for a member, with one of its addresses at least."""
    if selector.kind == "vm":
        return selector.value == row.vm
    if selector.kind == "labels":
        return selects(requirements(str(selector.value)), state.vms[row.vm].labels)
    interface = state.interface(row)
    if selector.kind == "cug":
        return selector.value == interface.cug
    return any(is_end(selector, member(state, interface.cug, address)) for address in interface.addresses)


def meetings(state: State, server: str) -> Iterator[Meeting]:
    """Every pair at a server that its own switch brings together and a policy separates, whether it is trusted or not."""
    for one, other in met(state, server):
        yield from _meeting(state, server, one, other)
