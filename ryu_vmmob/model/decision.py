"""The decision of all policies about one packet: the reference for flows and traces (invariant 7).

Among the policies that match, the highest priority decides, and on a tie deny wins. Without any: inside a CUG allowed, all
else denied. ARP and RARP are no matter of policies, nor is neighbour discovery (ICMPv6 133 to 137, RFC 4861).

Fragments (RFC 791, 3.2; RFC 8200, 4.5):

- A first fragment is judged like the whole packet, by the ports that it carries. One that ends before them matches every
  deny of ports of its protocol and no allow of ports (RFC 1858, 3; RFC 3128).
- A later fragment has no ports; of IPv6 not even its protocol is read. It matches an allow that could be meant, and a deny
  that is certainly meant: one without ports, and in IPv6 without a protocol. So an allow of ports carries the whole datagram.
  A later fragment may reach a receiver that is denied the first: nothing can be reassembled of it there.
- TCP flags count in whole segments alone: a later fragment may overwrite those of the first (RFC 3128).
- Neighbour discovery in fragments is denied (RFC 6980), and so is a first fragment of ICMPv6 that ends before the type
  (RFC 7112).

An ICMP error belongs to the connection that it is about: where X may send to Y, errors reach X from Y, and from everywhere
in X's scope if Y is a prefix or any, since routers on the way there may speak. Which packet the error quotes is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final, Literal, NamedTuple

from immutables import Map

from ryu_vmmob.model.labels import requirements, selects
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.policy import Policy, Protocol, Selector
from ryu_vmmob.model.state import State
from ryu_vmmob.net.protocols import (
    ECHO_REPLY,
    ICMP,
    ICMP_ERRORS,
    ICMPV6,
    ND_TYPES,
    TCP,
    TCP_ACK,
    TCP_RST,
    UDP,
)

Fragment = Literal["no", "first", "later"]

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
    labels: Mapping[str, str] | None = field(default=None, compare=False)
    """Those of the VM; None where there is none."""


class Traffic(NamedTuple):
    """The traffic of a packet, apart from its two ends.

    ``protocol``: IANA's number, and 44 of a later fragment of IPv6. Ports are those of TCP and UDP; None where a packet has
    none, as in a later fragment and in a first one that ends before them. ``tcp_flags``: the octet of RFC 9293, 3.1.
    ``icmp_type``: of ICMP and ICMPv6; None as for ports.
    """

    protocol: int
    source_port: int | None = None
    target_port: int | None = None
    tcp_flags: int = 0
    icmp_type: int | None = None
    fragment: Fragment = "no"


class Decision(NamedTuple):
    """``policy`` is the one that decided; None: none matched, or none was asked."""

    allowed: bool
    policy: str | None


def member(state: State, cug: str, address: Address) -> Party:
    """Return the party that ``address`` is inside a CUG, whether a VM has it or not."""
    vm = state.ips.get((cug, address))
    return Party(address, cug, vm, state.cugs[cug].routing_domain, None if vm is None else state.vms[vm].labels)


def outside(domain: str, address: Address) -> Party:
    """Return a party behind an external network of a routing domain."""
    return Party(address, None, None, domain)


def addressed(state: State, source: Party, address: Address) -> Party:
    """Return the party that ``address`` is when ``source`` sends to it.

    A member's group and link-local packets stay in its CUG.
    """
    if source.cug is not None:
        stays = address.is_multicast or address == _BROADCAST or (address.version == 6 and address.is_link_local)
        if stays or any(address in subnet for subnet in state.cugs[source.cug].subnets):
            return member(state, source.cug, address)
    if source.domain is not None:
        held = state.prefixes.get(source.domain)
        name = held.owner(address) if held is not None else None
        if name is not None:
            return member(state, name, address)
    return Party(address, None, None, source.domain)


def decide(state: State, source: Party, target: Party, traffic: Traffic) -> Decision:
    """Whether a packet from ``source`` to ``target`` may pass.

    Nothing passes between scopes, nor from outside to outside: no policy is asked there.
    """
    inside = source.cug is not None and source.cug == target.cug
    transit = source.cug is None and target.cug is None
    if transit or not (inside or (source.domain is not None and source.domain == target.domain)):
        return Decision(allowed=False, policy=None)
    if traffic.protocol == ICMPV6 and traffic.fragment == "first" and traffic.icmp_type in (None, *ND_TYPES):
        return Decision(allowed=False, policy=None)
    if traffic.protocol == ICMPV6 and traffic.icmp_type in ND_TYPES:
        return Decision(allowed=True, policy=None)
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
    """Whether a policy matches a packet between parties of one scope: as what it is about, as a reply or as an error."""
    ends = (policy.source, source), (policy.target, target)
    if all(is_end(selector, party) for selector, party in ends) and _is_meant(policy, target.address.version, traffic):
        return True
    back = (policy.source, target), (policy.target, source)
    answered = policy.replies and all(is_end(selector, party) for selector, party in back)
    if answered and _is_reply(policy, target.address.version, traffic):
        return True
    return policy.allow and _is_error(policy, source, target, traffic)


def _is_meant(policy: Policy, version: int, traffic: Traffic) -> bool:
    """Whether a packet in the policy's own direction is what it is about, as far as can be told."""
    if traffic.fragment == "later":
        certain = policy.protocol is None or _is_protocol(policy.protocol, version, traffic.protocol)
        return (certain and not policy.ports) or (policy.allow and _could_be(policy, version, traffic))
    if not _is_protocol(policy.protocol, version, traffic.protocol):
        return False
    if traffic.fragment == "first" and policy.ports and traffic.target_port is None:
        return not policy.allow and traffic.protocol in (TCP, UDP)
    return _is_port(policy, traffic, traffic.target_port)


def _could_be(policy: Policy, version: int, traffic: Traffic) -> bool:
    """Whether a later fragment could belong to a packet that the policy covers. In IPv6 any could."""
    return version == 6 or _is_protocol(policy.protocol, version, traffic.protocol)


def _is_reply(policy: Policy, version: int, traffic: Traffic) -> bool:
    """Whether a packet in the other direction may be an answer to what the policy is about: no state says that it is one."""
    if policy.protocol == TCP:
        flagged = traffic.fragment == "no" and bool(traffic.tcp_flags & (TCP_ACK | TCP_RST))
        return flagged and traffic.protocol == TCP and _is_port(policy, traffic, traffic.source_port)
    if traffic.fragment == "later":
        return _could_be(policy, version, traffic)
    if not _is_protocol(policy.protocol, version, traffic.protocol):
        return False
    if policy.protocol == "icmp":
        return traffic.icmp_type == ECHO_REPLY[version]
    return _is_port(policy, traffic, traffic.source_port)


def _is_error(policy: Policy, source: Party, target: Party, traffic: Traffic) -> bool:
    """Whether a packet is an ICMP error for an end that the policy lets send."""
    version = target.address.version
    if traffic.protocol != (ICMP if version == 4 else ICMPV6) or traffic.icmp_type not in ICMP_ERRORS[version]:
        return False
    if traffic.fragment == "later":
        return False
    told = _is_routable_end(policy.source, target) and _is_on_the_way(policy.target, source)
    return told or (policy.replies and _is_routable_end(policy.target, target) and _is_on_the_way(policy.source, source))


def _is_on_the_way(far: Selector, source: Party) -> bool:
    """Whether ``source`` may report what happens on the way to ``far``. To a CUG or VM there is nothing but the fabric."""
    if far.kind == "prefix":
        return source.address.version == far.value.version  # type: ignore[union-attr]
    return _is_routable_end(far, source)


def _is_routable_end(selector: Selector, party: Party) -> bool:
    """As `is_end`, but for the link-local addresses of a CUG or VM: on their link no router is on the way."""
    on_link = party.address.is_link_local and (party.address.version == 6 or selector.kind in ("vm", "labels"))
    return is_end(selector, party) and not (selector.kind in ("cug", "vm", "labels") and on_link)


def _is_protocol(wanted: Protocol | None, version: int, protocol: int) -> bool:
    if wanted == "icmp":
        return protocol == (ICMP if version == 4 else ICMPV6)
    return wanted is None or wanted == protocol


def is_end(selector: Selector, party: Party) -> bool:
    """Whether an end of a policy stands for a party."""
    if selector.kind == "cug":
        return party.cug == selector.value
    if selector.kind == "vm":
        return party.vm == selector.value
    if selector.kind == "labels":
        return party.labels is not None and selects(requirements(str(selector.value)), party.labels)
    return selector.kind == "any" or party.address in selector.value  # type: ignore[operator]


def _is_port(policy: Policy, traffic: Traffic, port: int | None) -> bool:
    if not policy.ports:
        return True
    return traffic.protocol in (TCP, UDP) and port is not None and any(low <= port <= high for low, high in policy.ports)
