"""The judge's facts of routing and policies, read from the states that switches may be in: certain where all agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from ryu_vmmob.fabric.model import External
from ryu_vmmob.model.objects import routed_segment
from ryu_vmmob.model.policy import Policy
from ryu_vmmob.model.policy import Selector as Chosen
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.net.protocols import TCP, UDP
from ryu_vmmob.sim.facts import CugFacts, ExternalFacts, Rule, Selector

_NAMES = {TCP: "tcp", UDP: "udp"}


def facts(window: Sequence[State]) -> dict[str, Any]:
    """What `View` wants to know beside seats, links and VLAN-IDs; the last state is the newest."""
    state = window[-1]
    fabric = state.fabric
    rules = [_rules(one) for one in window]
    return {
        "cugs": {name: _cug(window, name) for name in state.cugs},
        "gateway_mac": mac(fabric.gateway_mac),
        "router_macs": {name: router_mac(state, name) for name, row in fabric.switches.items() if row.role.is_edge},
        "externals": tuple(
            _external(window, name)
            for name, row in sorted(fabric.externals.items())
            if row.routing_domain in state.routing_domains and name not in state.externals_down
        ),
        "policies": rules[-1],
        "former_policies": tuple(row for row in dict.fromkeys(rules) if row != rules[-1]),
        "plain_edges": frozenset(name for name, row in fabric.switches.items() if row.dialect.value != "openvswitch"),
    }


def router_mac(state: State, switch: str) -> int:
    """An edge's own MAC as a router, written again: 02, three octets of the hash of the fabric's name, and the switch's key."""
    return int("02" + blake2b(state.fabric.name.encode(), digest_size=3).hexdigest() + f"{state.switch_keys[switch]:04x}", 16)


def _cug(window: Sequence[State], name: str) -> CugFacts:
    versions = [
        CugFacts(name, row.subnets, row.gateways, row.routing_domain) if (row := state.cugs.get(name)) is not None else None
        for state in window
    ]
    newest = versions[-1]
    assert newest is not None
    former = tuple(row for row in dict.fromkeys(versions) if row is not None and row != newest)
    return replace(newest, former=former, is_new=None in versions)


def _external(window: Sequence[State], name: str) -> ExternalFacts:
    state = window[-1]
    row = state.fabric.externals[name]
    found = {(one.neighbours, name in one.externals_down, _routes(one, row), one.ways) for one in window}
    return ExternalFacts(
        name,
        row.attach,
        row.routing_domain,
        row.addresses,
        row.prefixes,
        {hop: state.neighbours.get((name, hop)) for hop in row.next_hops},
        row.vlan_id,
        settled=len(found) == 1,
    )


def _routes(state: State, external: External) -> bool:
    """Whether an external network's edge routes for it: not before its routing domain has a member somewhere."""
    found = state.presences.get(routed_segment(external.routing_domain))
    return found is not None and external.attach.switch in found.edges


def _rules(state: State) -> tuple[Rule, ...]:
    return tuple(_rule(state, policy) for _, policy in sorted(state.policies.items()))


def _rule(state: State, policy: Policy) -> Rule:
    protocol = _NAMES.get(policy.protocol, policy.protocol) if isinstance(policy.protocol, int) else policy.protocol
    return Rule(
        policy.allow, _selector(state, policy.source), _selector(state, policy.target), protocol, policy.ports, policy.priority,
        policy.replies,
    )  # fmt: skip


def _selector(state: State, chosen: Chosen) -> Selector:
    if chosen.kind == "labels":
        return Selector("vms", frozenset(name for name, vm in state.vms.items() if _picks(str(chosen.value), vm.labels)))
    return Selector(chosen.kind, chosen.value)


def _picks(text: str, labels: Mapping[str, str]) -> bool:
    """Read apart from the product: whether labels meet every requirement of a selector."""
    for part in text.split(","):
        if "!=" in part:
            key, value = part.split("!=")
            met = labels.get(key) != value
        elif "=" in part:
            key, value = part.split("=")
            met = labels.get(key) == value
        else:
            met = (part.lstrip("!") in labels) is not part.startswith("!")
        if not met:
            return False
    return True
