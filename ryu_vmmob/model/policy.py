"""Policies: who may send what to whom. Values only; `model.decision` says what they come to.

Stateless, each direction stated by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ryu_vmmob.model.objects import Network

Protocol = int | Literal["icmp"]
"""A number of IANA's registry, 0 to 255; ``icmp``: ICMP for IPv4 and ICMPv6 for IPv6."""

Ports = tuple[tuple[int, int], ...]
"""Ranges of port numbers, both ends included."""

MOST_SINGLE_PORTS: Final = 128
"""Ports that a policy may name where each of them takes a flow of its own: at switches that match no port under a mask."""

_ALL_BITS: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Selector:
    """One end of a policy.

    ========== =============== =============================================================
    kind       value           stands for
    ========== =============== =============================================================
    ``cug``    name of a CUG   the addresses in its subnets, as its members
    ``vm``     name of a VM    the addresses of its interfaces, each in its CUG
    ``prefix`` a network       addresses in it, in every scope that the other end is in
    ``labels`` a selector      the addresses of every VM that it picks by its labels, now and later (`labels`), canonical
    ``any``    None            every address, in every scope that the other end is in
    ========== =============== =============================================================
    """

    kind: Literal["cug", "vm", "prefix", "labels", "any"]
    value: str | Network | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The traffic from ``source`` to ``target`` that is allowed, or denied.

    The highest ``priority`` (0 to 10000) that matches decides; on a tie deny wins. ``protocol`` None: all. ``ports`` are
    destination ports of TCP or UDP, sorted and merged (`merged`), within 1 to 65535; empty: all. ``replies``, with TCP and
    ``allow`` only: segments from ``target`` to ``source`` with ACK or RST set and their source port in ``ports`` match too.
    """

    name: str
    priority: int
    allow: bool
    source: Selector
    target: Selector
    protocol: Protocol | None = None
    ports: Ports = ()
    replies: bool = False
    revision: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


def merged(ranges: Iterable[tuple[int, int]]) -> Ports:
    """Return the same numbers as few ranges as possible, in order: ranges that overlap or touch become one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def port_count(ports: Ports) -> int:
    """Return how many ports there are in ranges that do not overlap."""
    return sum(high - low + 1 for low, high in ports)


def port_masks(ports: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the same numbers as (value, mask) pairs over 16 bits, in order: the fewest whose masks are leading ones.

    A number matches a pair when ``number & mask == value``. Each matches one pair at most, so that flows made of them never
    overlap. One range makes at most 30.
    """
    return tuple(pair for low, high in merged(ports) for pair in _blocks(low, high))


def _blocks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield a range cut into aligned blocks, from each place the largest that fits."""
    while low <= high:
        size = low & -low or _ALL_BITS + 1
        while low + size - 1 > high:
            size >>= 1
        yield low, _ALL_BITS & -size
        low += size
