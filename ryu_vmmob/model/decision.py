"""What the policies say to one packet: the reference that flows are held against, and what a trace names (invariant 7).

Among the policies that match, the highest priority decides, and on a tie deny wins. Without any: inside a CUG allowed, all
else denied. ARP and RARP are no matter of policies, nor is neighbour discovery (ICMPv6 133 to 137, RFC 4861).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from immutables import Map

from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.policy import TCP, UDP, Policy, Protocol, Selector
from ryu_vmmob.model.state import State

ICMP: Final = 1
ICMPV6: Final = 58
ND_TYPES: Final = range(133, 138)
"""ICMPv6 types of neighbour discovery (RFC 4861)."""
TCP_RST: Final = 0x04
TCP_ACK: Final = 0x10

_BROADCAST: Final = IPv4Address("255.255.255.255")
_NOBODY: Final[Map[str, None]] = Map()


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a packet.

    ``cug`` None: an address of no CUG of the routing domain ``domain``, so outside. ``vm`` None: no VM has the address in
    the CUG; so it is with every group address.
    """

    address: Address
    cug: str | None
    vm: str | None
    domain: str | None


class Traffic(NamedTuple):
    """What a packet is apart from its two ends.

    ``protocol``: IANA's number. Ports are those of TCP and UDP; None where a packet has none, as in a later fragment.
    ``tcp_flags``: the octet of RFC 9293, 3.1. ``icmp_type``: of ICMPv6.
    """

    protocol: int
    source_port: int | None = None
    target_port: int | None = None
    tcp_flags: int = 0
    icmp_type: int | None = None


class Decision(NamedTuple):
    """``policy`` is the one that decided; None: none matched, or none was asked."""

    allowed: bool
    policy: str | None


def member(state: State, cug: str, address: Address) -> Party:
    """The party that ``address`` is inside a CUG, whether a VM has it or not."""
    return Party(address, cug, state.ips.get((cug, address)), state.cugs[cug].routing_domain)


def outside(domain: str, address: Address) -> Party:
    """A party behind an external network of a routing domain."""
    return Party(address, None, None, domain)


def addressed(state: State, source: Party, address: Address) -> Party:
    """The party that ``address`` is when ``source`` sends to it.

    A member's group and link-local packets stay in its CUG. Looks at every CUG when the address is not in the sender's own.
    """
    if source.cug is not None:
        stays = address.is_multicast or address == _BROADCAST or (address.version == 6 and address.is_link_local)
        if stays or any(address in subnet for subnet in state.cugs[source.cug].subnets):
            return member(state, source.cug, address)
    if source.domain is not None:
        for name, cug in state.cugs.items():
            if cug.routing_domain == source.domain and any(address in subnet for subnet in cug.subnets):
                return member(state, name, address)
    return Party(address, None, None, source.domain)


def decide(state: State, source: Party, target: Party, traffic: Traffic) -> Decision:
    """Whether a packet from ``source`` to ``target`` may pass.

    Nothing passes between scopes, nor from outside to outside: no policy is asked there.
    """
    inside = source.cug is not None and source.cug == target.cug
    transit = source.cug is None and target.cug is None
    if transit or not (inside or (source.domain is not None and source.domain == target.domain)):
        return Decision(False, None)
    if traffic.protocol == ICMPV6 and traffic.icmp_type in ND_TYPES:
        return Decision(True, None)
    found = [policy for policy in candidates(state, source, target) if matches(policy, source, target, traffic)]
    if not found:
        return Decision(inside, None)
    first = min(found, key=lambda policy: (-policy.priority, policy.allow, policy.name))
    return Decision(first.allow, first.name)


def candidates(state: State, source: Party, target: Party) -> list[Policy]:
    """Every policy that can match, each once: one end at least is a party's CUG or VM, or no end names any."""
    keys = [("any", "")]
    for party in (source, target):
        keys += [(kind, name) for kind, name in (("cug", party.cug), ("vm", party.vm)) if name is not None]
    names = {name for key in keys for name in state.policies_of.get(key, _NOBODY)}
    return [state.policies[name] for name in names]


def matches(policy: Policy, source: Party, target: Party, traffic: Traffic) -> bool:
    """Whether a policy matches a packet between parties of one scope, as what it is about or as a reply to that."""
    if not _is_protocol(policy.protocol, source.address, traffic.protocol):
        return False
    if is_end(policy.source, source) and is_end(policy.target, target) and _is_port(policy, traffic, traffic.target_port):
        return True
    return (
        policy.replies
        and traffic.protocol == TCP
        and bool(traffic.tcp_flags & (TCP_ACK | TCP_RST))
        and is_end(policy.source, target)
        and is_end(policy.target, source)
        and _is_port(policy, traffic, traffic.source_port)
    )


def _is_protocol(wanted: Protocol | None, address: Address, protocol: int) -> bool:
    if wanted == "icmp":
        return protocol == (ICMP if address.version == 4 else ICMPV6)
    return wanted is None or wanted == protocol


def is_end(selector: Selector, party: Party) -> bool:
    """Whether an end of a policy stands for a party."""
    if selector.kind == "cug":
        return party.cug == selector.value
    if selector.kind == "vm":
        return party.vm == selector.value
    return selector.kind == "any" or party.address in selector.value  # type: ignore[operator]


def _is_port(policy: Policy, traffic: Traffic, port: int | None) -> bool:
    if not policy.ports:
        return True
    return traffic.protocol in (TCP, UDP) and port is not None and any(low <= port <= high for low, high in policy.ports)
