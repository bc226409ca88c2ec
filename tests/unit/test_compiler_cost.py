"""Invariant 10: what a move costs depends on where its CUG is present, never on how many VMs or CUGs there are."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network

import pytest

from ryu_vmmob.fabric.loader import VNIC_VLAN_IDS
from ryu_vmmob.model.commands import Activate, Command, Commit, PutCug, PutVm, StartMigration
from ryu_vmmob.model.objects import Interface
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks

STEPS = ("prepare", "activate", "commit")
Counts = dict[str, dict[str, int]]
"""Step -> switch -> flow-mods and group-mods."""


def member(number: int, cug: int, host: int, server: str) -> PutVm:
    """A VM with one interface in CUG number ``cug``, 10.CUG.0.0/16."""
    address = IPv4Address((10 << 24 | cug << 16) + host)
    return PutVm(f"vm-{number}", server, (Interface(f"cug-{cug}", 0x020000000000 | cug << 32 | host, (address,)),))


def others(where: str, count: int) -> list[PutVm]:
    """So many other VMs: in 20 other CUGs on both racks, or in the mover's own."""
    servers = ("a2", "b1", "b3", "a1")
    if where == "other CUGs":
        return [member(n, 1 + n % 20, 100 + n, servers[n // 20 % 4]) for n in range(count)]
    return [member(n, 0, 100 + n, servers[n % 4]) for n in range(count)]


def cost(where: str, count: int, own: bool = False) -> Counts:
    """Messages per step and switch of one move from rack a to rack b, as the switches take them.

    ``own``: each vNIC has a VLAN-ID of its own.
    """
    fabric = two_racks(*[range(100, 200)] * 3)
    if own:
        servers = {name: replace(row, l2_domain=None, vlan_ids=VNIC_VLAN_IDS) for name, row in fabric.servers.items()}
        fabric = replace(fabric, servers=servers)
    cugs = [PutCug(f"cug-{number}", (ip_network(f"10.{number}.0.0/16"),)) for number in range(21)]
    mover = member(-1, 0, 50, "a1")
    peers = [member(-2, 0, 51, "a2"), member(-3, 0, 52, "b3")]
    site = Site(fabric)
    site.engine.execute(*cugs, mover, *peers, *others(where, count))
    site.confirm()
    assert len(site.state.vms) == count + 3
    found: Counts = {}
    commands: tuple[Command, ...] = (
        StartMigration("m", "vm--1", "b1", commit="request"),
        Activate("m"),
        Commit("m"),
    )
    for step, command in zip(STEPS, commands, strict=True):
        site.engine.execute(command)
        taken = {name: site.engine.fleet.take(name) for name in site.engine.fleet.names}
        found[step] = {name: row[1].messages for name, row in taken.items() if row is not None}
        for name, row in taken.items():
            if row is not None:
                site.engine.fleet.confirm(name, row[0])
        site.engine.progress()
    assert site.state.migrations["m"].phase.value == "committed"
    return found


@pytest.mark.parametrize("where", ["other CUGs", "the same CUG"])
def test_a_move_costs_the_same_with_10_and_10000_other_vms(where: str) -> None:
    few, many = cost(where, 10), cost(where, 10_000)
    for step in STEPS:
        print(f"{where}: {step}: with 10 others {few[step]}, with 10000 others {many[step]}")
    assert few == many
    assert few["prepare"].keys() == {"spine", "tor-b"}
    assert few["activate"].keys() == {"tor-a", "spine", "tor-b"}
    assert sum(sum(row.values()) for row in few.values()) < 100


@pytest.mark.parametrize("where", ["other CUGs", "the same CUG"])
def test_with_a_vlan_id_for_each_vnic_it_costs_a_few_messages_more(where: str) -> None:
    """More neighbours on the cable make its tree of groups deeper, and a vNIC still touches one place in it."""
    shared, few, many = cost(where, 10), cost(where, 10, own=True), cost(where, 10_000, own=True)
    for step in STEPS:
        print(f"{where}: {step}: with 10 others {few[step]}, with 10000 others {many[step]}; per CUG {shared[step]}")
        for switch in shared[step]:
            for counts in (few, many):
                assert counts[step].get(switch, 0) <= shared[step][switch] + 14, (step, switch)
