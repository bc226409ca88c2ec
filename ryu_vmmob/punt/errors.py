"""ICMP errors for packets that cannot be routed (RFC 1812, 4.3.3 and 5.2.7; RFC 4443, 3).

A router speaks with the address that the sender knows it by, or that a trace of the way should show: to a member its own
CUG's gateway; behind the routed segment the gateway of the CUG where the packet was to end, or at a border on the way out
the edge's own address there; to the outside the edge's own address on that network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_vmmob.fabric.model import External
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.frames.content import EchoRequest, Ipv4, Ipv6
from ryu_vmmob.frames.icmp import Unreachable, echo_reply, may_report, time_exceeded, unreachable
from ryu_vmmob.model.objects import Address, Network
from ryu_vmmob.punt.context import PuntContext, address_of, gateway_of, own_address
from ryu_vmmob.punt.values import Ask, Outcome
from ryu_vmmob.punt.ways import Way, ways_back


def report(case: PuntContext) -> list[Outcome]:
    """Return what follows from a packet that GATEWAY or ROUTE did not want."""
    ip = case.frame.content
    if not isinstance(ip, Ipv4 | Ipv6):
        return []
    version = 4 if isinstance(ip, Ipv4) else 6
    source, target = address_of(ip.src, version), address_of(ip.dst, version)
    if _is_own(case, target):
        return _local(case, source, target)
    if case.punted.table is Table.GATEWAY or case.punted.ttl_invalid:
        return _tell(case, source, target, _speaker(case, target), None)
    if case.cug_of(target) is not None:
        return _tell(case, source, target, _speaker(case, target), Unreachable.HOST)
    wire = _wire(case, target) if case.external is None else None
    if wire is not None:
        return [Ask(wire.name, target)] if names_host(target, wire) else []
    return _tell(case, source, target, _speaker(case, target), Unreachable.NET)


def names_host(address: Address, external: External) -> bool:
    """Whether an address can be a neighbour's on the wire of an external network: in a subnet there, and not the subnet's own,
    its broadcast address (RFC 3021 excepts /31) or the edge's.
    """
    for own in external.addresses:
        if own.version == address.version and address in own.network:
            ends = {own.network.network_address, own.network.broadcast_address}
            few = own.max_prefixlen - own.network.prefixlen < 2
            return address != own.ip and (few or address not in ends)
    return False


def _local(case: PuntContext, source: Address, own: Address) -> list[Outcome]:
    """Return a packet for an address of ours: pings are answered, nothing else is listened to (RFC 1122, 3.2.2.1)."""
    if not isinstance(case.frame.message, EchoRequest):
        return _tell(case, source, own, own, Unreachable.PORT)
    return [way.carry(echo_reply(case.frame, int(own), *_macs(case, way))) for way in ways_back(case, source)]


def _tell(
    case: PuntContext, source: Address, target: Address, speaker: Address | None, why: Unreachable | None
) -> list[Outcome]:
    """Return an error about the packet to its sender, as far as one may be sent; ``why`` None: its time is over."""
    if speaker is None or source.is_link_local or not may_report(case.frame, _broadcasts(case, source, target)):
        return []
    packet = case.frame.network
    found: list[Outcome] = []
    for way in ways_back(case, source):
        macs = _macs(case, way)
        frame = time_exceeded(packet, int(speaker), *macs) if why is None else unreachable(packet, why, int(speaker), *macs)
        found.append(way.carry(frame))
    return found


def _macs(case: PuntContext, way: Way) -> tuple[int, int]:
    return way.eth_src, way.eth_dst


def _is_own(case: PuntContext, address: Address) -> bool:
    """Whether an address is a gateway's, or this edge's on an external network."""
    if any(address == row.ip for external in case.externals_here() for row in external.addresses):
        return True
    cug = case.cug_of(address)
    return cug is not None and address in cug.gateways


def _speaker(case: PuntContext, target: Address) -> Address | None:
    if case.cug is not None:
        return gateway_of(case.cug, target.version)
    if case.external is not None:
        return own_address(case.external, target.version)
    cug = case.cug_of(target)
    if cug is not None:
        return gateway_of(cug, target.version)
    exit_ = case.exit(target)
    here = exit_ is not None and exit_.external.attach.switch == case.switch
    return own_address(exit_.external, target.version) if exit_ is not None and here else None


def _wire(case: PuntContext, address: Address) -> External | None:
    """Return the external network here on whose own wire an address is."""
    for external in case.externals_here():
        if any(address in row.network for row in external.addresses):
            return external
    return None


def _broadcasts(case: PuntContext, *addresses: Address) -> frozenset[int]:
    """Return the broadcast addresses of the subnets that these addresses lie in (RFC 3021 excepts /31)."""
    return frozenset(
        int(network.broadcast_address)
        for network in _networks(case, addresses)
        if network.version == 4 and network.prefixlen < 31
    )


def _networks(case: PuntContext, addresses: Iterable[Address]) -> Iterator[Network]:
    for address in addresses:
        cug = case.cug_of(address)
        yield from cug.subnets if cug is not None else ()
    for external in case.externals_here():
        yield from (address.network for address in external.addresses)
