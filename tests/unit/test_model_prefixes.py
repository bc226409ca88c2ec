"""The index of a routing domain's prefixes, held against a look at all of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from ryu_vmmob.model.commands import PutCug
from ryu_vmmob.model.objects import Network
from ryu_vmmob.model.prefixes import Prefixes
from tests.support.commands import apply, start
from tests.support.fabrics import two_racks

SMALL = [
    ip_network((base << size, total - size))
    for total, base_bits in ((32, 4),)
    for size in range(5)
    for base in range(1 << (base_bits - size))
] + [ip_network((base << size, 128 - size)) for size in (0, 2, 3) for base in range(1 << (4 - size))]


def overlapping(held: dict[Network, str], prefix: Network, but: str) -> set[tuple[Network, str]]:
    return {(row, cug) for row, cug in held.items() if cug != but and row.version == prefix.version and row.overlaps(prefix)}


@pytest.mark.parametrize("seed", range(20))
def test_the_index_finds_the_overlaps_that_a_full_scan_finds(seed: int) -> None:
    chance, index, held = random.Random(seed), Prefixes(), dict[Network, str]()
    for step in range(150):
        prefix, cug = chance.choice(SMALL), f"c{step % 7}"
        others = overlapping(held, prefix, cug)
        found = index.overlapping(prefix, cug)
        assert (found is None) == (not others)
        assert found is None or tuple(found) in others
        if not overlapping(held, prefix, ""):
            index, held[prefix] = index.added(prefix, cug), cug
        elif held and chance.random() < 0.6:
            gone = chance.choice(sorted(held, key=str))
            index = index.removed(gone)
            del held[gone]
        for number in range(16):
            for version in (4, 6):
                address = ip_address(number) if version == 4 else ip_address(f"::{number:x}")
                owner = next((cug for row, cug in held.items() if address in row), None)
                assert index.owner(address) == owner
    for gone in list(held):
        index = index.removed(gone)
    assert index == Prefixes()


def test_very_many_cugs_in_one_routing_domain() -> None:
    """Each is compared with what is near it, not with all the others: a restart with 10,000 took minutes."""
    state = start(two_racks())
    state = apply(state, *(PutCug(f"c{n}", (ip_network((10 << 24 | n << 8, 24)),), (), "red") for n in range(5000))).state
    held = state.prefixes["red"]
    looked: list[int] = []

    class Counted(Prefixes):
        def _longer(self, version: int, length: int) -> Iterator[Network]:
            looked.append(1)
            return super()._longer(version, length)

    counted = Counted(held.owners, held.lengths, held.inside)
    assert counted.overlapping(ip_network("11.0.0.0/24"), "x") is None
    assert counted.overlapping(ip_network("10.0.9.128/25"), "x") == (ip_network("10.0.9.0/24"), "c9")
    assert not looked
    assert counted.overlapping(ip_network("10.0.8.0/22"), "x") == (ip_network("10.0.8.0/24"), "c8")
