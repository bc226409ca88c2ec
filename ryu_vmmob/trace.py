"""The way of one packet through the desired flows of all switches, and the verdict with its reason.

A question names an interface and a destination; the packet is the one the interface's guest would send. Pure: what is
traced is what the switches have been told, not what they hold at this moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal, NamedTuple

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.fields import MAC_BROADCAST, mac, mac_text, multicast_mac
from ryu_vmmob.model.objects import Address, Cug, Interface, Seat, Vm
from ryu_vmmob.model.refusal import invalid
from ryu_vmmob.model.state import State
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.prerequisites import TableError
from ryu_vmmob.sim.trace import LazyTables, ScannedTables, ends_at_controller, ends_unwanted, reasons, vlan_id

IpProtocol = int | Literal["icmp", "arp"] | None
"""A number of IP; ``icmp``: an echo request of the destination's family; ``arp``: who has it (IPv6: neighbour solicitation)."""

UNNAMED: Final = 253
"""The IP protocol of a packet of which none is said: for experiments (RFC 3692), so that no rule for a protocol means it."""
DISCARD, SOURCE_PORT = 9, 40000
"""Destination port where none is said (RFC 863), and the source port, for TCP and UDP."""
_ECHO_REQUEST_V4, _ECHO_REQUEST_V6 = 8, 128
_MAX_PLACES = 4
_ALONE = ", which is in no routing domain"

Kind = Literal["delivered", "answered", "controller", "unresolved", "astray", "dropped", "loop", "undefined"]


@dataclass(frozen=True, slots=True)
class Question:
    """A packet to trace. ``at`` chooses the place of a VM that is moving; ``claimed_*``: addresses the sender pretends to have.

    At least one of ``ip`` and ``mac`` is given; the MAC is looked up when it is not. ``port`` for TCP and UDP only.
    """

    vm: str
    interface: int = 0
    at: str | None = None
    claimed_mac: int | None = None
    claimed_ip: Address | None = None
    ip: Address | None = None
    mac: int | None = None
    protocol: IpProtocol = None
    port: int | None = None


class Source(NamedTuple):
    """Where the packet enters; ``port`` None: every cable of the server is down."""

    vm: str
    number: int
    interface: Interface
    seat: Seat
    port: PortRef | None
    vlan_id: int | None


class Arrival(NamedTuple):
    """A copy that left the fabric; ``vms`` are those whose interfaces there take it in."""

    port: PortRef
    server: str | None
    external: str | None
    packet: Packet
    vms: tuple[str, ...]


class Verdict(NamedTuple):
    """What became of the packet, and why, in a sentence."""

    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The answer. ``journey`` has every switch and table on the way; None when the packet could not even enter."""

    source: Source
    packet: Packet
    verdict: Verdict
    network: Network
    journey: Journey | None = None
    arrivals: Sequence[Arrival] = field(default=())


def trace(state: State, desired: Mapping[str, SwitchTables], question: Question) -> Trace:
    """Follow the packet. Raises Refusal (422) for a question that names what is not there or contradicts itself."""
    vm = state.vms.get(question.vm)
    if vm is None:
        raise invalid(("from.vm", f"there is no VM {question.vm!r}"))
    network = Network(state.fabric, _tables(desired), state.links_down)
    source = _source(state, network, vm, question)
    packet, unresolved = _packet(state, source, question)

    def ended(kind: Kind, reason: str) -> Trace:
        return Trace(source, packet, Verdict(kind, reason), network)

    server = state.fabric.servers[source.seat.server]
    cug = source.interface.cug
    if server.tagged and state.server_vlan_id(cug, server.name) is None:
        return ended(
            "dropped", f"CUG {cug} has no VLAN-ID in L2 domain {server.l2_domain}, so {server.name} cannot tag the frame"
        )
    if not state.speaks(cug, state.wire(source.interface, server.name)):
        return ended("dropped", f"L2 domain {server.l2_domain} does not translate the guest's own tag {source.vlan_id}")
    if source.port is None:
        return ended("dropped", f"every cable of server {server.name} is down")
    try:
        journey = network.inject(packet, source.port)
    except TableError as error:
        return ended("undefined", f"the flows do not say what happens: {error}")
    arrivals = tuple(_arrival(state, source, row.port, row.packet) for row in journey.deliveries)
    verdict = _verdict(state, network, source, journey, arrivals)
    if unresolved and verdict.kind in ("delivered", "dropped") and not ends_unwanted(journey.visits[0]):
        verdict = Verdict("unresolved", unresolved)
    return Trace(source, packet, verdict, network, journey, arrivals)


def _tables(desired: Mapping[str, SwitchTables]) -> LazyTables:
    return LazyTables(desired, lambda name: ScannedTables(desired[name].flows.values(), desired[name].groups.values()))


# The packet


def _source(state: State, network: Network, vm: Vm, question: Question) -> Source:
    if not question.interface < len(vm.interfaces):
        count = len(vm.interfaces)
        raise invalid(("from.interface", f"VM {vm.name!r} has {count} interface{'' if count == 1 else 's'}, counted from 0"))
    seats = {seat.server: seat for seat in state.seats_of(vm)}
    at = next(iter(seats)) if question.at is None else question.at
    if at not in seats:
        raise invalid(("from.at", f"VM {vm.name!r} has no place at {at!r}; it is at {', '.join(seats)}"))
    interface = vm.interfaces[question.interface]
    port = next((port for port in state.fabric.servers[at].attach if network.port_up(port)), None)
    tag = state.wire_vlan_id(interface.cug, state.wire(interface, at))
    return Source(vm.name, question.interface, interface, seats[at], port, tag)


def _packet(state: State, source: Source, question: Question) -> tuple[Packet, str | None]:
    """The packet, and what it means when nobody answers it: set when it is the guest's question for an unknown address."""
    cug = state.cugs[source.interface.cug]
    eth_src = source.interface.mac if question.claimed_mac is None else question.claimed_mac
    target = _target(state, source, question)
    sender = int(_sender(source, target, question))
    eth_dst = _next_mac(state, cug, target) if question.mac is None else question.mac
    if question.protocol == "arp" and question.ip is None:
        raise invalid(("to.ip", "is required: arp asks for an address"))
    if question.protocol == "arp" or eth_dst is None:
        packet = _asks(eth_src, sender, target)
        if question.mac is not None:
            packet = packet.with_fields(eth_dst=question.mac)
    else:
        packet = _datagram(eth_dst, eth_src, target, sender, question)
    unresolved = None
    if eth_dst is None:
        unresolved = f"no member of CUG {cug.name} has {target}: shown is the question for it, which nobody answers"
    return packet.with_vlans(*(() if source.vlan_id is None else (source.vlan_id,))), unresolved


def _target(state: State, source: Source, question: Question) -> Address:
    """The destination address: the one given, or one that the interface with the MAC given has."""
    if question.ip is not None:
        return question.ip
    versions = [ip.version for ip in (source.interface.ips if question.claimed_ip is None else (question.claimed_ip,))]
    name = state.macs.get((source.interface.cug, question.mac or 0))
    for interface in state.vms[name].interfaces if name is not None else ():
        if interface.cug == source.interface.cug:
            for ip in interface.ips:
                if ip.version in versions:
                    return ip
    return IPv4Address(0xFFFFFFFF) if 4 in versions else IPv6Address(make.ALL_NODES)


def _sender(source: Source, target: Address, question: Question) -> Address:
    """The source address: of the target's family, and from link-local to link-local."""
    if question.claimed_ip is not None:
        if question.claimed_ip.version != target.version:
            raise invalid(("from.ip", f"{question.claimed_ip} and {target} are of different families"))
        return question.claimed_ip
    own = [ip for ip in source.interface.addresses if ip.version == target.version]
    if not own:
        raise invalid(("to.ip", f"interface {source.number} of VM {source.vm!r} has no IPv{target.version} address"))
    return max(own, key=lambda ip: ip.is_link_local == target.is_link_local)


def _next_mac(state: State, cug: Cug, target: Address) -> int | None:
    """What the guest's neighbour table would say: a group's MAC, a member's, or the gateway's; None: nobody has it."""
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
        return mac(state.fabric.gateway_mac)
    return None


def _asks(eth_src: int, sender: int, target: Address) -> Packet:
    if target.version == 4:
        return make.arp_request(eth_src, sender, int(target))
    return make.neighbour_solicitation(eth_src, sender, int(target))


def _datagram(eth_dst: int, eth_src: int, target: Address, sender: int, question: Question) -> Packet:
    build = make.ipv4 if target.version == 4 else make.ipv6
    number = question.protocol
    if number == "icmp":
        number = make.ICMP if target.version == 4 else make.ICMPV6
    if not isinstance(number, int):
        number = UNNAMED
    extra: dict[str, int] = {}
    port = DISCARD if question.port is None else question.port
    if number == make.TCP:
        extra = {"tcp_dst": port, "tcp_src": SOURCE_PORT}
    elif number == make.UDP:
        extra = {"udp_dst": port, "udp_src": SOURCE_PORT}
    elif question.port is not None:
        raise invalid(("port", "only tcp and udp have ports"))
    elif number == make.ICMP and target.version == 4:
        extra = {"icmpv4_type": _ECHO_REQUEST_V4, "icmpv4_code": 0}
    elif number == make.ICMPV6 and target.version == 6:
        extra = {"icmpv6_type": _ECHO_REQUEST_V6, "icmpv6_code": 0}
    return build(eth_dst, eth_src, int(target), sender, number, **extra)


# What became of it


def _arrival(state: State, source: Source, port: PortRef, packet: Packet) -> Arrival:
    server = state.fabric.server_at.get(port)
    if server is None:
        name = next((row.name for row in state.fabric.externals.values() if row.attach == port), None)
        return Arrival(port, None, name, packet, ())
    takers = []
    for vm in sorted(state.server_vms.get(server.name, ())):
        for interface in state.vms[vm].interfaces:
            wire = state.wire(interface, server.name)
            same_wire = state.wire_vlan_id(interface.cug, wire) == vlan_id(packet)
            for_it = packet["eth_dst"] == interface.mac or (
                packet.is_group_addressed and (vm, server.name) != (source.vm, source.seat.server)
            )
            if same_wire and for_it:
                takers.append(vm)
    return Arrival(port, server.name, None, packet, tuple(dict.fromkeys(takers)))


def _verdict(
    state: State, network: Network, source: Source, journey: Journey, arrivals: Sequence[Arrival]
) -> Verdict:
    if journey.loop:
        return Verdict("loop", "a copy came back to where it had been, and would go round for ever")
    sent = journey.packet
    for row in arrivals:
        if row.server == source.seat.server and row.packet["eth_dst"] == sent["eth_src"] != row.packet["eth_src"]:
            return Verdict("answered", f"{row.port.switch} answers in the name of {mac_text(row.packet['eth_src'])}")
    ignored = {source.vm} if sent.is_group_addressed else set()
    taken = [row for row in arrivals if row.external or set(row.vms) - ignored]
    if taken:
        return Verdict("delivered", _places(taken))
    if any(ends_at_controller(visit) for visit in journey.visits):
        where = next(visit.switch for visit in journey.visits if ends_at_controller(visit))
        return Verdict("controller", f"{where} hands it to the controller, which decides what becomes of it")
    said = list(dict.fromkeys(text for visit in journey.visits for text in reasons(network, visit)))
    if arrivals:
        row = arrivals[0]
        where = f"{row.server} ({row.port}), {_tag(row.packet)}"
        return Verdict("astray", f"it came out at {where}, where no other interface takes it")
    if not source.seat.sends:
        said.append(f"at this stage of its migration VM {source.vm} may not send at {source.seat.server}")
    elif sent["eth_dst"] == mac(state.fabric.gateway_mac):
        lone = state.cugs[source.interface.cug].routing_domain is None
        said.append(f"it was for the gateway of CUG {source.interface.cug}{_ALONE if lone else ''}")
    return Verdict("dropped", "; ".join(said) or "no copy came out of any port")


def _places(rows: Sequence[Arrival]) -> str:
    texts = []
    for row in rows[:_MAX_PLACES]:
        who = f"{', '.join(row.vms)} at {row.server}" if row.server else f"network {row.external}"
        texts.append(f"{who} ({row.port}), {_tag(row.packet)}")
    more = len(rows) - _MAX_PLACES
    return f"it reaches {'; '.join(texts)}" + (f"; and {more} more places" if more > 0 else "")


def _tag(packet: Packet) -> str:
    found = vlan_id(packet)
    return "untagged" if found is None else f"VLAN-ID {found}"
