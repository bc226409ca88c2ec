"""Which CUG of a routing domain has an address or a prefix, found without looking at all the others.

The prefixes of a domain do not overlap (R9), and there are few lengths among them. So one look-up for each length finds the
prefix that an address lies in, or that a prefix overlaps. What lies inside a shorter one is counted beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from immutables import Map

from ryu_vmmob.model.objects import Address, Network


class Owned(NamedTuple):
    """A prefix and the CUG that has it."""

    prefix: Network
    cug: str


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Those of one routing domain. Immutable: `added` and `removed` give another one."""

    owners: Map[Network, str] = Map()
    lengths: Map[tuple[int, int], int] = Map()
    """(version of IP, length) -> prefixes of that length."""
    inside: Map[Network, int] = Map()
    """A prefix of one of these lengths -> how many of ``owners`` are equal to it or lie in it."""

    def added(self, prefix: Network, cug: str) -> Prefixes:
        """With one more, which overlaps none of another CUG."""
        key = prefix.version, prefix.prefixlen
        inside = self.inside
        if key not in self.lengths:
            for other in self._longer(*key):
                inside = _count(inside, other.supernet(new_prefix=prefix.prefixlen), +1)
        lengths = self.lengths.set(key, self.lengths.get(key, 0) + 1)
        for length in _shorter(lengths, *key):
            inside = _count(inside, prefix.supernet(new_prefix=length), +1)
        return Prefixes(self.owners.set(prefix, cug), lengths, inside)

    def removed(self, prefix: Network) -> Prefixes:
        """Without one that is there."""
        key = prefix.version, prefix.prefixlen
        inside = self.inside
        for length in _shorter(self.lengths, *key):
            inside = _count(inside, prefix.supernet(new_prefix=length), -1)
        count = self.lengths[key] - 1
        lengths = self.lengths.set(key, count) if count else self.lengths.delete(key)
        if not count:
            for other in self._longer(*key):
                inside = _count(inside, other.supernet(new_prefix=prefix.prefixlen), -1)
        return Prefixes(self.owners.delete(prefix), lengths, inside)

    def owner(self, address: Address) -> str | None:
        """Return the CUG in whose prefix an address lies."""
        for version, length in self.lengths:
            if version == address.version:
                found = self.owners.get(ip_network((address, length), strict=False))
                if found is not None:
                    return found
        return None

    def overlapping(self, prefix: Network, but: str) -> Owned | None:
        """Return a prefix of another CUG than ``but`` that overlaps this one."""
        version, length = prefix.version, prefix.prefixlen
        for shorter in _shorter(self.lengths, version, length):
            around = prefix.supernet(new_prefix=shorter)
            owner = self.owners.get(around)
            if owner is not None and owner != but:
                return Owned(around, owner)
        longer = any(its_version == version and its > length for its_version, its in self.lengths)
        if not longer or ((version, length) in self.lengths and not self.inside.get(prefix)):
            return None
        within = (row for row in self._longer(version, length) if row.supernet(new_prefix=length) == prefix)
        others = (row for row in within if self.owners[row] != but)
        first = min(others, default=None, key=lambda row: (int(row.network_address), row.prefixlen))
        return None if first is None else Owned(first, self.owners[first])

    def _longer(self, version: int, length: int) -> Iterator[Network]:
        return (row for row in self.owners if row.version == version and row.prefixlen > length)


def _shorter(lengths: Map[tuple[int, int], int], version: int, length: int) -> Iterator[int]:
    """Lengths that there are, up to ``length``."""
    return (its for its_version, its in lengths if its_version == version and its <= length)


def _count(index: Map[Network, int], key: IPv4Network | IPv6Network, by: int) -> Map[Network, int]:
    count = index.get(key, 0) + by
    return index.set(key, count) if count else index.delete(key)
