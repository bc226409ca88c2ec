"""Rules of external networks: addresses, next hops, and prefixes that meet on one edge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from ryu_vmmob.fabric.findings import Path, Report, quote
from ryu_vmmob.fabric.resolve import ExternalValues, Resolved
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.fabric.values import Network


def next_hops(fabric: Resolved, report: Report) -> None:
    """Check that a next hop is on one of the external network's own subnets, and is another host."""
    for name, doc, external in fabric.external_networks():
        if not doc.addresses or len(external.addresses) < len(doc.addresses):
            continue  # the subnet that is missed may be that of a faulty or missing address
        for path, hop in external.next_hops:
            subnets = [address.network for _, address in external.addresses if hop in address.network]
            if not subnets:
                said = f"next hop {hop} is outside the subnets of {quote(name)}'s addresses"
                report.add(Rule.NEXT_HOP_OUTSIDE, path, said)
            elif any(hop == address.ip for _, address in external.addresses):
                report.add(Rule.NEXT_HOP_OWN, path, f"next hop {hop} is the fabric's own address there")
            elif all(_names_no_host(hop, subnet) for subnet in subnets):
                report.add(Rule.IP_UNUSABLE, path, f"next hop {hop} names no host of {subnets[0]}")


def _names_no_host(address: object, subnet: Network) -> bool:
    """Whether an address is the subnet's own or, in IPv4, its broadcast address (RFC 3021 excepts /31)."""
    if subnet.max_prefixlen - subnet.prefixlen < 2:
        return False
    return address == subnet.network_address or (subnet.version == 4 and address == subnet.broadcast_address)


def families(fabric: Resolved, report: Report) -> None:
    """There are addresses; prefixes and next hops of a family come together."""
    for name, doc, external in fabric.external_networks():
        place: Path = ("externals", name)
        if not doc.addresses:
            report.add(Rule.ADDRESSES_EMPTY, (*place, "addresses"), f"external network {quote(name)} has no address")
        parsed = len(external.prefixes) + len(external.next_hops)
        if parsed < len(doc.prefixes) + len(doc.next_hops):
            continue
        for version in (4, 6):
            prefixes = [path for path, prefix in external.prefixes if prefix.version == version]
            hops = [path for path, hop in external.next_hops if hop.version == version]
            if prefixes and not hops:
                said = f"IPv{version} prefixes are reached through next hops, and there is no IPv{version} next hop"
                report.add(Rule.PREFIX_WITHOUT_NEXT_HOP, prefixes[0], said)
            if hops and not prefixes:
                said = f"no IPv{version} prefix is reached through this next hop; connected subnets need none"
                report.add(Rule.NEXT_HOP_UNUSED, hops[0], said)


def overlaps(fabric: Resolved, report: Report) -> None:
    """Prefixes of one routing domain on one edge do not overlap.

    Compared are: routed prefixes with each other, subnets of the addresses of different networks with each other, and
    a routed prefix with the subnets that hold it. A default route beside a connected subnet is no overlap.
    """
    together: dict[tuple[str, str], list[tuple[str, ExternalValues]]] = defaultdict(list)
    for name, doc, external in fabric.external_networks():
        if external.attach is not None:
            together[external.attach.switch, doc.routing_domain].append((name, external))
    for (edge, domain), networks in together.items():
        for (one_path, one), (other_path, other) in _overlapping(networks):
            said = (
                f"{other} overlaps {one} of {report.show(one_path)} in line {report.line(one_path)}: "
                f"both in routing domain {quote(domain)} on edge {quote(edge)}"
            )
            report.add(Rule.EXTERNAL_PREFIX_OVERLAP, other_path, said)


_Placed = tuple[Path, Network]


def _overlapping(networks: list[tuple[str, ExternalValues]]) -> Iterator[tuple[_Placed, _Placed]]:
    routed = [item for _, external in networks for item in external.prefixes]
    for one, other in combinations(routed, 2):
        if _overlap(one[1], other[1]):
            yield one, other
    on_link = [(name, path, address) for name, external in networks for path, address in external.addresses]
    for (name, path, address), (other_name, other_path, other_address) in combinations(on_link, 2):
        if (name != other_name or address == other_address) and _overlap(address.network, other_address.network):
            yield (path, address.network), (other_path, other_address.network)
    for _, path, address in on_link:
        for placed in routed:
            if _overlap(placed[1], address.network) and placed[1].prefixlen >= address.network.prefixlen:
                yield (path, address.network), placed


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


RULES = (next_hops, families, overlaps)
