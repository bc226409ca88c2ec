"""The packet that a sender would send: to the MAC that its neighbour table would say, with the tag of its wire."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from ryu_vmmob.fabric.model import External
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.model.objects import Address, Cug
from ryu_vmmob.model.refusal import invalid
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import MAC_BROADCAST, eui64_link_local, mac, multicast_mac
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.trace.question import Question
from ryu_vmmob.trace.source import Source, VmSource

UNNAMED: Final = make.EXPERIMENT
"""The IP protocol of a packet of which none is said: for experiments (RFC 3692), so that no rule for a protocol means it."""
DISCARD, SOURCE_PORT = 9, 40000
"""Destination port where none is said (RFC 863), and the source port, for TCP and UDP."""
UNKNOWN_MAC: Final = 0x020000FFFFFE
"""Stands for the MAC of an external neighbour that has not answered yet."""


class Sent(NamedTuple):
    """The packet; ``unresolved``: it is the guest's request for an address that no host has, and this is the explanation."""

    packet: Packet
    unresolved: str | None = None


def sent_by(state: State, source: Source, question: Question) -> Sent:
    """Raise Refusal (422) for a question that contradicts itself."""
    sent = _of_vm(state, source, question) if isinstance(source, VmSource) else _of_external(state, source.external, question)
    return sent._replace(packet=sent.packet.with_vlans(*(() if source.vlan_id is None else (source.vlan_id,))))


def _of_vm(state: State, source: VmSource, question: Question) -> Sent:
    cug = state.cugs[source.interface.cug]
    eth_src = source.interface.mac if question.claimed_mac is None else question.claimed_mac
    target = _target(state, source, question)
    sender = int(_own_address(source, target, question))
    eth_dst = _next_mac(state, cug, target) if question.mac is None else question.mac
    if question.protocol == "rs":
        return Sent(_asks_for_routers(eth_src, sender, target, question))
    if question.protocol == "arp" or eth_dst is None:
        unresolved = f"no member of CUG {cug.name} has {target}: shown is the request for it, which gets no answer"
        return Sent(_asks(eth_src, sender, target, question), unresolved if eth_dst is None else None)
    return Sent(_datagram(eth_dst, eth_src, target, sender, question))


def _of_external(state: State, external: External, question: Question) -> Sent:
    """From outside everything goes to the edge's own MAC: it is the router there."""
    if question.ip is None:
        raise invalid(("to.ip", "is required: outside, a MAC does not say who is meant"))
    sender = _neighbour(state, external, question.ip, question)
    known = state.neighbours.get((external.name, sender), UNKNOWN_MAC)
    eth_src = known if question.claimed_mac is None else question.claimed_mac
    if question.protocol == "rs":
        return Sent(_asks_for_routers(eth_src, int(sender), question.ip, question))
    if question.protocol == "arp":
        return Sent(_asks(eth_src, int(sender), question.ip, question))
    eth_dst = router_mac(state, external.attach.switch) if question.mac is None else question.mac
    return Sent(_datagram(eth_dst, eth_src, question.ip, int(sender), question))


def _target(state: State, source: VmSource, question: Question) -> Address:
    """Return the destination address: the one given, or one that the owner of the MAC given has."""
    if question.ip is not None:
        return question.ip
    if question.protocol == "arp":
        raise invalid(("to.ip", "is required: arp asks for an address"))
    versions = [ip.version for ip in (source.interface.ips if question.claimed_ip is None else (question.claimed_ip,))]
    cug = state.cugs[source.interface.cug]
    candidates: list[Address] = []
    if question.mac == mac(state.fabric.gateway_mac):
        candidates += cug.gateways
    name = state.macs.get((cug.name, question.mac or 0))
    for interface in state.vms[name].interfaces if name is not None else ():
        candidates += interface.ips if interface.cug == cug.name else ()
    for ip in candidates:
        if ip.version in versions:
            return ip
    return IPv4Address(0xFFFFFFFF) if 4 in versions else IPv6Address(make.ALL_NODES)


def _claimed(target: Address, question: Question) -> Address | None:
    found = question.claimed_ip
    if found is not None and found.version != target.version:
        raise invalid(("from.ip", f"{found} and {target} are of different families"))
    return found


def _own_address(source: VmSource, target: Address, question: Question) -> Address:
    """Return the source address: of the target's family, and from link-local to link-local."""
    claimed = _claimed(target, question)
    if claimed is not None:
        return claimed
    own = [ip for ip in source.interface.addresses if ip.version == target.version]
    if not own:
        raise invalid(("to.ip", f"interface {source.number} of VM {source.vm!r} has no IPv{target.version} address"))
    return max(own, key=lambda ip: ip.is_link_local == target.is_link_local)


def _neighbour(state: State, external: External, target: Address, question: Question) -> Address:
    """Return the sender: a next hop, one that answers if there is one, or else a host on the external network's own wire."""
    claimed = _claimed(target, question)
    if claimed is not None:
        return claimed
    hops = [hop for hop in external.next_hops if hop.version == target.version]
    if hops:
        return next((hop for hop in hops if (external.name, hop) in state.neighbours), hops[0])
    for address in external.addresses:
        host = next((ip for ip in address.network.hosts() if ip != address.ip), None)
        if host is not None and host.version == target.version:
            return host
    raise invalid(("to.ip", f"external network {external.name!r} has no IPv{target.version} address; say from.ip"))


def _next_mac(state: State, cug: Cug, target: Address) -> int | None:
    """Return what the guest's neighbour table would say: a group's MAC, a member's, or the gateway's; None: no host has it."""
    gateway_mac = mac(state.fabric.gateway_mac)
    subnet = next((subnet for subnet in cug.subnets if target in subnet), None)
    if isinstance(target, IPv6Address) and target.is_multicast:
        return multicast_mac(int(target))
    if isinstance(target, IPv4Address):
        if target == IPv4Address(0xFFFFFFFF) or (subnet is not None and target == subnet.broadcast_address):
            return MAC_BROADCAST
        if target.is_multicast:
            return 0x01005E000000 | int(target) & 0x7FFFFF  # RFC 1112, 6.4
    name = state.ips.get((cug.name, target))
    if name is not None:
        return next(row.mac for row in state.vms[name].interfaces if row.cug == cug.name)
    if target in cug.gateways or (subnet is None and not target.is_link_local):
        return gateway_mac
    return gateway_mac if target.version == 6 and int(target) == eui64_link_local(gateway_mac) else None


def _asks(eth_src: int, sender: int, target: Address, question: Question) -> Packet:
    """Return the request for the MAC of ``target``: to the broadcast or multicast address, or to the MAC given."""
    if question.protocol == "arp":
        _refuse_details(question)
    build = make.arp_request if target.version == 4 else make.neighbour_solicitation
    packet = build(eth_src, sender, int(target))
    return packet if question.mac is None else packet.with_fields(eth_dst=question.mac)


def _asks_for_routers(eth_src: int, sender: int, target: Address, question: Question) -> Packet:
    """Is there a router (RFC 4861, 4.1)?"""
    _refuse_details(question)
    if int(target) != make.ALL_ROUTERS:
        raise invalid(("to.ip", f"rs asks all routers: write {IPv6Address(make.ALL_ROUTERS)}"))
    packet = make.router_solicitation(eth_src, sender)
    return packet if question.mac is None else packet.with_fields(eth_dst=question.mac)


def _refuse_details(question: Question) -> None:
    """Check for the fields that a question of the link does not have."""
    details = ("port", question.port), ("source_port", question.source_port), ("ttl", question.ttl)
    icmp = ("icmp_type", question.icmp_type), ("icmp_code", question.icmp_code)
    for path, value in (*details, ("tcp_flags", question.tcp_flags), *icmp):
        if value is not None:
            raise invalid((path, f"{question.protocol} has none"))
    if question.fragment != "no":
        raise invalid(("fragment", f"{question.protocol} is asked whole"))


def _datagram(eth_dst: int, eth_src: int, target: Address, sender: int, question: Question) -> Packet:
    build = make.ipv4 if target.version == 4 else make.ipv6
    number = question.protocol
    if number == "icmp":
        number = make.ICMP if target.version == 4 else make.ICMPV6
    if not isinstance(number, int):
        number = UNNAMED
    extra = _transport(number, target.version, question)
    if question.ttl is not None:
        extra["nw_ttl"] = question.ttl
    return _piece(build(eth_dst, eth_src, int(target), sender, number, **extra), question)


def _piece(packet: Packet, question: Question) -> Packet:
    match question.fragment:
        case "first":
            return make.first_fragment(packet)
        case "tiny" if packet["ip_proto"] in (make.TCP, make.UDP):
            return make.tiny_fragment(packet)
        case "tiny":
            raise invalid(("fragment", "only tcp and udp have ports that a first fragment may lack"))
        case "later":
            return make.later_fragment(packet)
    return packet


def _transport(number: int, version: int, question: Question) -> dict[str, int]:
    to = DISCARD if question.port is None else question.port
    by = SOURCE_PORT if question.source_port is None else question.source_port
    if question.tcp_flags is not None and number != make.TCP:
        raise invalid(("tcp_flags", "only tcp has flags"))
    for path, value in (("icmp_type", question.icmp_type), ("icmp_code", question.icmp_code)):
        if value is not None and number != (make.ICMP if version == 4 else make.ICMPV6):
            raise invalid((path, "only icmp has types and codes"))
    if number == make.TCP:
        return {"tcp_dst": to, "tcp_src": by, "tcp_flags": make.TCP_SYN if question.tcp_flags is None else question.tcp_flags}
    if number == make.UDP:
        return {"udp_dst": to, "udp_src": by}
    for path, value in (("port", question.port), ("source_port", question.source_port)):
        if value is not None:
            raise invalid((path, "only tcp and udp have ports"))
    echo = {(make.ICMP, 4): make.ECHO_REQUEST, (make.ICMPV6, 6): make.ECHO_REQUEST_V6}.get((number, version))
    if echo is not None:
        kind = echo if question.icmp_type is None else question.icmp_type
        return {f"icmpv{version}_type": kind, f"icmpv{version}_code": question.icmp_code or 0}
    return {}
