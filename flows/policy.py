"""A policy as flows: the same decision where a packet leaves its sender's edge and where it reaches its receiver's (R45, R46).

Addresses say who is meant, and of IPv6 link-local ones the MAC: in a scope (a routing domain, or a CUG that has none) every
address is one interface's, and admission ensures that no VM uses another's. So the flows name addresses and ports, not
places, and are the same at every edge: a move takes them along and changes no decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import product
from typing import Any, Final, NamedTuple

from ryu_vmmob.flows import fragments
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.gateway import in_network
from ryu_vmmob.flows.pipeline import SCOPE, SEGMENT, Table, metadata, policy_priority
from ryu_vmmob.model.objects import Address, Network, routed_segment
from ryu_vmmob.model.policy import Policy, Selector, port_masks
from ryu_vmmob.model.state import State
from ryu_vmmob.net.protocols import ECHO_REPLY, ICMP, ICMP_ERRORS, ICMPV6, TCP, TCP_ACK, TCP_RST

_EVERYWHERE: Final[tuple[Network, ...]] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_ON_LINK: Final = ip_network("fe80::/10")
_GROUPS: Final[tuple[Network, ...]] = (ip_network("224.0.0.0/4"), ip_network("255.255.255.255/32"), ip_network("ff00::/8"))


class End(NamedTuple):
    """One thing that a selector stands for: addresses, in a scope, of a CUG (None: whichever).

    ``on_link``: they mean something inside the CUG only. ``mac``: that of the interface whose link-local addresses they
    are. Which it has, the guest decides.
    """

    network: Network
    scope: int | None = None
    cug: int | None = None
    on_link: bool = False
    mac: int | None = None


def policy_flows(state: State, policy: Policy, at: str) -> Iterator[Flow]:
    """Yield the flows of ``policy`` at edge ``at``: POLICY_OUT where a sender it names can be, POLICY_IN where a
    receiver can.
    """
    made: dict[int, Flow] = {}
    there, back = (policy.source, policy.target), (policy.target, policy.source)
    ways = [(there, [*_ends(state, policy.target), *_groups(state, policy.target)], _meant(policy))]
    if policy.replies:
        ways.append((back, [*_ends(state, policy.source)], _replies(policy)))
    for selectors, receivers, rows in ways:
        for ends in product(_ends(state, selectors[0]), receivers):
            _say(state, made, policy, selectors, ends, rows, at)
    # An error goes against the packet that it is about.
    for far, near in ((back, there) if policy.replies else (back,)) if policy.allow else ():
        for source, target in product(_on_the_way(state, far), _ends(state, near)):
            if not (source.on_link or target.on_link):
                _say(state, made, policy, (_reporter(far), near), (source, target), _ERRORS, at)
    yield from made.values()


_Rows = dict[int, list[dict[str, Any]]]
"""Matches on what IP carries, by version."""
_ERRORS: Final[_Rows] = {
    4: [{"ip_proto": ICMP, "icmpv4_type": kind} for kind in ICMP_ERRORS[4]],
    6: [{"ip_proto": ICMPV6, "icmpv6_type": kind} for kind in ICMP_ERRORS[6]],
}


def _say(
    state: State, made: dict[int, Flow], policy: Policy, selectors: tuple[Selector, Selector], ends: tuple[End, End],
    rows: _Rows, at: str,
) -> None:  # fmt: skip
    """Enter the flows for packets from one end to another, ``selectors`` say at which edges those can be."""
    source, target = ends
    where = _together(source, target)
    if where is None or not _scope_is_at(state, where, at):
        return
    there = {**where, **in_network("src", source.network), **in_network("dst", target.network)}
    there |= {name: end.mac for name, end in (("eth_src", source), ("eth_dst", target)) if end.mac is not None}
    out, into = _tables(state, *selectors, at)
    for what in rows.get(source.network.version, ()):
        _add(made, policy, {**there, **what}, out=out, into=into)


def _on_the_way(state: State, far: Selector) -> Iterator[End]:
    """Return the sources of ICMP errors on the way to an end: the end itself, or for a prefix and any, every address."""
    if far.kind != "prefix":
        yield from _ends(state, far)
    else:
        yield from (End(network) for network in _EVERYWHERE if network.version == far.value.version)  # type: ignore[union-attr]


def _reporter(far: Selector) -> Selector:
    return Selector("any") if far.kind == "prefix" else far


def edges_of_policy(state: State, policy: Policy) -> frozenset[str]:
    """Every edge at which the policy can matter: those of the scopes that it is in."""
    scopes = {
        where["metadata"] if where else None
        for source, target in product(_ends(state, policy.source), _ends(state, policy.target))
        if (where := _together(source, target)) is not None
    }
    found: set[str] = set()
    for value in scopes:
        key = (value[0] & SCOPE.mask) >> SCOPE.shift if value is not None else 0
        found |= _edges(state, key)
    return frozenset(found)


def _add(made: dict[int, Flow], policy: Policy, fields: dict[str, Any], *, out: bool, into: bool) -> None:
    priority = policy_priority(policy.priority, allow=policy.allow)
    for wanted, table, then in ((out, Table.POLICY_OUT, Table.GATEWAY), (into, Table.POLICY_IN, Table.DELIVER)):
        if wanted:
            flow = Flow(table, priority, match(**fields), (), then if policy.allow else None)
            made[flow.cookie] = flow


def _ends(state: State, selector: Selector) -> Iterator[End]:
    """Yield what a selector stands for; nothing for a name that is gone."""
    value = selector.value
    if selector.kind == "any":
        yield from map(End, _EVERYWHERE)
    elif selector.kind == "prefix" and not isinstance(value, str) and value is not None:
        yield End(value)
    elif selector.kind == "cug" and isinstance(value, str) and value in state.cugs:
        cug = state.cugs[value]
        for subnet in cug.subnets:
            yield End(subnet, state.scope(cug), cug.key)
            if subnet.version == _ON_LINK.version:
                yield End(_ON_LINK, state.scope(cug), cug.key, on_link=True)
    elif selector.kind == "vm" and isinstance(value, str) and value in state.vms:
        yield from _ends_of_vm(state, value)
    elif selector.kind == "labels" and isinstance(value, str):
        for name in sorted(state.selections[value]):
            yield from _ends_of_vm(state, name)


def _ends_of_vm(state: State, name: str) -> Iterator[End]:
    for interface in state.vms[name].interfaces:
        cug = state.cugs[interface.cug]
        yield from (End(ip_network(ip), state.scope(cug), cug.key) for ip in interface.ips if not _is_on_link(ip))
        if any(ip.version == _ON_LINK.version for ip in interface.ips):
            yield End(_ON_LINK, state.scope(cug), cug.key, on_link=True, mac=interface.mac)


def _is_on_link(ip: Address) -> bool:
    return ip.version == _ON_LINK.version and ip.is_link_local


def _groups(state: State, selector: Selector) -> Iterator[End]:
    """Yield the group addresses of a CUG: they are sent to, and are never the sender."""
    if selector.kind == "cug" and isinstance(selector.value, str) and selector.value in state.cugs:
        cug = state.cugs[selector.value]
        for network in _GROUPS:
            if any(network.version == subnet.version for subnet in cug.subnets):
                yield End(network, state.scope(cug), cug.key, on_link=True)


def _together(source: End, target: End) -> dict[str, Any] | None:
    """Return the match on the metadata for a packet from one end to the other; None when there can be no such packet."""
    if source.network.version != target.network.version:
        return None
    fields = {}
    if source.scope is not None and target.scope is not None and source.scope != target.scope:
        return None
    scope = source.scope if source.scope is not None else target.scope
    if scope is not None:
        fields["scope"] = SCOPE.of(scope)
    if source.on_link or target.on_link:
        if source.cug is not None and target.cug is not None and source.cug != target.cug:
            return None
        cug = source.cug if source.on_link else target.cug
        if cug is not None:
            fields["segment"] = SEGMENT.of(cug)
    return {"metadata": metadata(**fields)} if fields else {}


def _meant(policy: Policy) -> _Rows:
    """Return what the policy is about, in its own direction."""
    return {
        version: [*_transport(policy, "dst", version), *fragments.beside(policy, _number(policy, version), version)]
        for version in (4, 6)
    }


def _replies(policy: Policy) -> _Rows:
    """Return what may come back: TCP with a flag that no opening segment has, UDP from the ports, echo replies."""
    found: _Rows = {4: [], 6: []}
    for version, rows in found.items():
        number = _number(policy, version)
        if policy.protocol == TCP:
            both = product(_transport(policy, "src", version), (TCP_ACK, TCP_RST))
            rows += ({**what, **fragments.WHOLE, "tcp_flags": (flag, flag)} for what, flag in both)
        elif number is not None:
            kind = {f"icmpv{version}_type": ECHO_REPLY[version]} if policy.protocol == "icmp" else {}
            rows += ({**what, **kind} for what in _transport(policy, "src", version))
            # In IPv4 a later fragment of ICMP has type 0 to the switch, which is that of the answer.
            rows += fragments.later(policy, number, version)
    return found


def _number(policy: Policy, version: int) -> int | None:
    """Return the number of the policy's protocol in a version of IP; None: all."""
    return {4: ICMP, 6: ICMPV6}[version] if policy.protocol == "icmp" else policy.protocol


def _transport(policy: Policy, end: str, version: int) -> Iterator[dict[str, Any]]:
    """Protocol and ports; ``end`` says whose ports."""
    number = _number(policy, version)
    if number is None:
        yield {}
    elif not policy.ports:
        yield {"ip_proto": number}
    else:
        name = f"{'tcp' if number == TCP else 'udp'}_{end}"
        for value, mask in port_masks(policy.ports):
            yield {"ip_proto": number, name: value if mask == 0xFFFF else (value, mask)}


def _tables(state: State, source: Selector, target: Selector, at: str) -> tuple[bool, bool]:
    """Whether a sender, and whether a receiver, can be at this edge."""
    return _can_be(state, source, at), _can_be(state, target, at)


def _can_be(state: State, selector: Selector, at: str) -> bool:
    if selector.kind == "cug" and isinstance(selector.value, str):
        found = state.presences.get(selector.value)
        return found is not None and at in found.edges
    if selector.kind in ("vm", "labels") and isinstance(selector.value, str):
        names = [selector.value] if selector.kind == "vm" else state.selections[selector.value]
        seats = (seat for name in names for seat in state.seats_of(state.vms[name]))
        return any(state.fabric.servers[seat.server].switch == at for seat in seats)
    return True


def _scope_is_at(state: State, where: dict[str, Any], at: str) -> bool:
    key = (where["metadata"][0] & SCOPE.mask) >> SCOPE.shift if where else 0
    return at in _edges(state, key)


def _edges(state: State, scope: int) -> frozenset[str]:
    """Return the edges of a scope; of every scope when it is 0."""
    if scope:
        found = state.presences.get(state.segment_names[scope])
        return found.edges if found is not None else frozenset()
    hosts = frozenset(state.fabric.servers[name].switch for name in state.server_vms)
    return hosts.union(*(state.presences[routed_segment(name)].edges for name in state.routed_seats))
