"""A policy as flows: the same decision where a packet leaves its sender's edge and where it reaches its receiver's (R45, R46).

Addresses say who is meant: in a scope (a routing domain, or a CUG that has none) every address is one interface's, and
admission has seen to it that nobody uses another's. So the flows name addresses and ports, not places, and are the
same at every edge: a move takes them along and changes no decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import product
from typing import Any, Final, NamedTuple

from ryu_vmmob.flows.base import ICMPV6
from ryu_vmmob.flows.fields import TCP_ACK, TCP_RST
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.gateway import in_network
from ryu_vmmob.flows.pipeline import SCOPE, SEGMENT, Table, metadata, policy_priority
from ryu_vmmob.model.objects import Cug, Network, routed_segment
from ryu_vmmob.model.policy import TCP, Policy, Selector, port_masks
from ryu_vmmob.model.state import State

_ICMP: Final = 1
_EVERYWHERE: Final[tuple[Network, ...]] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_ON_LINK: Final = ip_network("fe80::/10")
_GROUPS: Final[tuple[Network, ...]] = (ip_network("224.0.0.0/4"), ip_network("255.255.255.255/32"), ip_network("ff00::/8"))


class End(NamedTuple):
    """One thing that a selector stands for: addresses, in a scope, in a segment (None: whichever)."""

    network: Network
    scope: int | None = None
    segment: int | None = None


def policy_flows(state: State, policy: Policy, at: str) -> Iterator[Flow]:
    """The flows of ``policy`` at edge ``at``: POLICY_OUT where a sender it names can be, POLICY_IN where a receiver can."""
    sources, targets = list(_ends(state, policy.source)), list(_ends(state, policy.target, receives=True))
    made: dict[int, Flow] = {}
    for source, target in product(sources, targets):
        where = _together(source, target)
        if where is None or not _scope_is_at(state, where, at):
            continue
        there = {**where, **in_network("src", source.network), **in_network("dst", target.network)}
        for what in _transport(policy, "dst", source.network.version):
            _add(made, policy, {**there, **what}, *_tables(state, policy.source, policy.target, at))
        if not policy.replies:
            continue
        back = {**where, **in_network("src", target.network), **in_network("dst", source.network)}
        for what, flag in product(_transport(policy, "src", source.network.version), (TCP_ACK, TCP_RST)):
            reply = {**back, **what, "tcp_flags": (flag, flag)}
            _add(made, policy, reply, *_tables(state, policy.target, policy.source, at))
    yield from made.values()


def edges_of_policy(state: State, policy: Policy) -> frozenset[str]:
    """Every edge at which the policy can matter: those of the scopes that it is in."""
    scopes = {
        where["metadata"] if where else None
        for source, target in product(_ends(state, policy.source), _ends(state, policy.target, receives=True))
        if (where := _together(source, target)) is not None
    }
    found: set[str] = set()
    for value in scopes:
        key = (value[0] & SCOPE.mask) >> SCOPE.shift if value is not None else 0
        found |= _edges(state, key)
    return frozenset(found)


def _add(made: dict[int, Flow], policy: Policy, fields: dict[str, Any], out: bool, into: bool) -> None:
    priority = policy_priority(policy.priority, policy.allow)
    for wanted, table, then in ((out, Table.POLICY_OUT, Table.GATEWAY), (into, Table.POLICY_IN, Table.DELIVER)):
        if wanted:
            flow = Flow(table, priority, match(**fields), (), then if policy.allow else None)
            made[flow.cookie] = flow


def _ends(state: State, selector: Selector, *, receives: bool = False) -> Iterator[End]:
    """What a selector stands for; nothing for a name that is gone. A group of its CUG's segment receives too."""
    value = selector.value
    if selector.kind == "any":
        yield from map(End, _EVERYWHERE)
    elif selector.kind == "prefix" and not isinstance(value, str) and value is not None:
        yield End(value)
    elif selector.kind == "cug" and isinstance(value, str) and value in state.cugs:
        yield from _of_cug(state, state.cugs[value], receives)
    elif selector.kind == "vm" and isinstance(value, str) and value in state.vms:
        for interface in state.vms[value].interfaces:
            cug = state.cugs[interface.cug]
            for ip in interface.addresses:
                segment = cug.key if ip.is_link_local else None
                yield End(ip_network(ip), state.scope(cug), segment)


def _of_cug(state: State, cug: Cug, receives: bool) -> Iterator[End]:
    versions = {subnet.version for subnet in cug.subnets}
    for subnet in cug.subnets:
        yield End(subnet, state.scope(cug))
    for network in (_ON_LINK, *(_GROUPS if receives else ())):
        if network.version in versions:
            yield End(network, state.scope(cug), cug.key)


def _together(source: End, target: End) -> dict[str, Any] | None:
    """What the metadata has to say for a packet from one end to the other; None when there can be none."""
    if source.network.version != target.network.version:
        return None
    fields = {}
    for name, meta, one, other in (
        ("scope", SCOPE, source.scope, target.scope),
        ("segment", SEGMENT, source.segment, target.segment),
    ):
        if one is not None and other is not None and one != other:
            return None
        key = one if one is not None else other
        if key is not None:
            fields[name] = meta.of(key)
    return {"metadata": metadata(**fields)} if fields else {}


def _transport(policy: Policy, end: str, version: int) -> Iterator[dict[str, Any]]:
    """Protocol and ports; ``end`` says whose ports."""
    if policy.protocol is None:
        yield {}
    elif policy.protocol == "icmp":
        yield {"ip_proto": _ICMP if version == 4 else ICMPV6}
    elif not policy.ports:
        yield {"ip_proto": policy.protocol}
    else:
        name = f"{'tcp' if policy.protocol == TCP else 'udp'}_{end}"
        for value, mask in port_masks(policy.ports):
            yield {"ip_proto": policy.protocol, name: value if mask == 0xFFFF else (value, mask)}


def _tables(state: State, source: Selector, target: Selector, at: str) -> tuple[bool, bool]:
    """Whether a sender, and whether a receiver, can be at this edge."""
    return _can_be(state, source, at), _can_be(state, target, at)


def _can_be(state: State, selector: Selector, at: str) -> bool:
    if selector.kind == "cug" and isinstance(selector.value, str):
        found = state.presences.get(selector.value)
        return found is not None and at in found.edges
    if selector.kind == "vm" and isinstance(selector.value, str):
        vm = state.vms[selector.value]
        return any(state.fabric.servers[seat.server].switch == at for seat in state.seats_of(vm))
    return True


def _scope_is_at(state: State, where: dict[str, Any], at: str) -> bool:
    key = (where["metadata"][0] & SCOPE.mask) >> SCOPE.shift if where else 0
    return at in _edges(state, key)


def _edges(state: State, scope: int) -> frozenset[str]:
    """The edges of a scope; of every scope when it is 0."""
    if scope:
        found = state.presences.get(state.segment_names[scope])
        return found.edges if found is not None else frozenset()
    hosts = frozenset(state.fabric.servers[name].switch for name in state.server_vms)
    return hosts.union(*(state.presences[routed_segment(name)].edges for name in state.routed_seats))
