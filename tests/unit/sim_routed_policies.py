"""Policies of the network of `sim_routed_facts` as flows written out by hand: nothing here is from the compiler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from ryu_vmmob.flows.flow import (
    Flow,
    match,
)
from ryu_vmmob.flows.pipeline import SCOPE, SEGMENT, Table, metadata
from ryu_vmmob.net.protocols import TCP_ACK, TCP_RST
from ryu_vmmob.sim.facts import Rule, Selector
from ryu_vmmob.sim.view import Seat
from tests.unit.sim_routed_facts import (
    CUGS,
    KEYS,
    SCOPES,
    prefix,
)


def policy(name: str, seats: Sequence[Seat], rules: Sequence[Rule]) -> Iterator[Flow]:
    """Flows of every rule for every pair of ends that it names, one each."""
    if name == "core":
        return
    made: dict[tuple[bytes, Table], Flow] = {}
    for rule in rules:
        priority = 10000 + 2 * rule.priority + (not rule.allow)
        for fields in _rule_fields(seats, rule):
            for table, goto in ((Table.POLICY_OUT, Table.GATEWAY), (Table.POLICY_IN, Table.DELIVER)):
                flow = Flow.undeclared(table, priority, match(**fields), goto=goto if rule.allow else None)
                made.setdefault((flow.key, table), flow)
    yield from made.values()


def _rule_fields(seats: Sequence[Seat], rule: Rule) -> Iterator[dict[str, Any]]:
    for version in (4, 6):
        sources = list(_selected(seats, rule.source, version))
        yield from _on_link(rule, version, [subnet for _, subnet in sources])
        yield from _errors(seats, rule, version) if rule.allow else ()
        for here, source in sources:
            for there, target in _selected(seats, rule.target, version):
                if None not in (here, there) and here != there:
                    continue
                scope = here or there
                for back in (False, True) if rule.replies else (False,):
                    sides = ("dst", "src") if back else ("src", "dst")
                    ends = {**prefix(sides[0], source), **prefix(sides[1], target)}
                    if scope is not None:
                        ends["metadata"] = SCOPE.of(scope)
                    yield from _spoken(rule, version, ends, "src" if back else "dst")


def _on_link(rule: Rule, version: int, sources: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Inside one CUG: what is said to all of it, and between addresses that mean something there only."""
    if rule.target.kind != "cug" or rule.source != rule.target:
        return
    name = str(rule.target.value)
    near = [ip_network("fe80::/10")] if version == 6 else []
    groups = [ip_network(text) for text in (("224.0.0.0/4", "255.255.255.255/32") if version == 4 else ("ff00::/8",))]
    for source in (*sources, *near):
        for target in (*sources, *near, *groups):
            if target not in sources or source not in sources:
                ends = {
                    **prefix("src", source),
                    **prefix("dst", target),
                    "metadata": metadata(segment=SEGMENT.of(KEYS[name]), scope=SCOPE.of(SCOPES[name])),
                }
                yield from _spoken(rule, version, ends, "dst")


def _spoken(rule: Rule, version: int, ends: dict[str, Any], side: str) -> Iterator[dict[str, Any]]:
    if rule.protocol is None:
        yield ends
        return
    number = {"tcp": 6, "udp": 17, "icmp": 1 if version == 4 else 58}[str(rule.protocol)]
    only = {**ends, "ip_proto": number}
    back = side == "src"
    for flag in (TCP_ACK, TCP_RST) if back and rule.protocol == "tcp" else (0,):
        flags = {"tcp_flags": (flag, flag), "ip_frag": (0, 1)} if flag else {}
        answer = {f"icmpv{version}_type": 0 if version == 4 else 129} if back and rule.protocol == "icmp" else {}
        for low, _ in rule.ports or ((0, 0),):
            ports = {f"{rule.protocol}_{side}": low} if low else {}
            yield {**only, **ports, **flags, **answer}
    if rule.allow and not (back and rule.protocol == "tcp"):
        if version == 6:
            yield {**ends, "ip_frag": 3}
        elif rule.ports:
            yield {**only, "ip_frag": 3}
    elif not rule.allow and rule.ports:
        yield {**only, "ip_frag": 1, f"{rule.protocol}_dst": 0}


def _errors(seats: Sequence[Seat], rule: Rule, version: int) -> Iterator[dict[str, Any]]:
    """What routers say to who may send, and with replies to who answers."""
    everywhere = ip_network("0.0.0.0/0" if version == 4 else "::/0")
    number, kinds = (1, (3, 11, 12)) if version == 4 else (58, (1, 2, 3, 4))
    for near, far in [(rule.source, rule.target), (rule.target, rule.source)][: 1 + rule.replies]:
        speakers = list(_selected(seats, far, version))
        if far.kind == "prefix":
            speakers = [(None, everywhere) for _ in speakers]
        for here, told in _selected(seats, near, version):
            for there, speaker in speakers:
                if None in (here, there) or here == there:
                    scope = here or there
                    ends = {**prefix("src", speaker), **prefix("dst", told), **({"metadata": SCOPE.of(scope)} if scope else {})}
                    for kind in kinds:
                        yield {**ends, "ip_proto": number, f"icmpv{version}_type": kind}


def _selected(seats: Sequence[Seat], selector: Selector, version: int) -> Iterator[tuple[int | None, Any]]:
    match selector.kind:
        case "any":
            yield None, ip_network("0.0.0.0/0" if version == 4 else "::/0")
        case "prefix":
            if selector.value.version == version:  # type: ignore[union-attr]
                yield None, selector.value
        case "cug":
            name = str(selector.value)
            yield from ((SCOPES[name], subnet) for subnet in CUGS[name].subnets if subnet.version == version)
        case "vm":
            for one in dict.fromkeys(one for one in seats if one.vm == selector.value):
                yield from ((SCOPES[one.cug], ip_network(ip)) for ip in one.ips if ip.version == version)
