"""How many moves keep their VLAN-ID where each vNIC has one of its own: simulated with the product's own commands, and a seed.

60 VMs a server, each with one vNIC. Then VMs move one by one to a random server with room, as a balancer or an evacuation has
them do. Numbers rest a minute, in which several others move.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from ryu_vmmob.fabric.model import DataCenter, Fabric, L2Domain, PortRef, Role, Server, Switch
from ryu_vmmob.model.commands import Activate, Commit, EndQuarantines, Prepared, PutVm, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.state import State, with_fabric
from tests.support.commands import apply, cug, do, nic

FULL = 60
"""VMs a server."""
ROOM = 4
"""Places that a server has beyond."""
GROUPS = 100
REST = 60.0
PACE = 5.0
"""Seconds from one move to the next."""
DEFAULT = range(2, 4095)
"""VLAN-IDs of a server of which the fabric file says nothing."""


def fabric(servers: int, vlan_ids: range) -> Fabric:
    """So many servers at one ToR, with tagging per interface."""
    rows = {f"s{row}": Server(f"s{row}", (PortRef("tor", row + 1),), None, tuple(vlan_ids)) for row in range(servers)}
    tor = Switch("tor", 1, Role.TOR, "rack", "dc")
    domains = {"rack": L2Domain("rack", (100,), "dc")}
    return Fabric("share", "02:00:5e:00:00:01", {"dc": DataCenter("dc")}, domains, {"tor": tor}, (), rows)


def filled(vms: int, vlan_ids: range = DEFAULT) -> State:
    """The site before anything moves. VMs come in the order of the servers."""
    empty = with_fabric(None, fabric(-(-vms // FULL), vlan_ids))
    state = do(empty, *(cug(f"c{net}", net + 1, v6=False) for net in range(GROUPS))).state
    members = (interface(row) for row in range(vms))
    return apply(state, *(PutVm(f"vm-{row}", f"s{row // FULL}", (nic_,)) for row, nic_ in enumerate(members))).state


def interface(row: int) -> Interface:
    net, host = row % GROUPS, row // GROUPS
    return nic(host, f"c{net}", net + 1, mac=0x020000000000 + row, ips=[f"10.{net + 1}.0.{host + 2}"])


def moves(state: State, number: int, seed: int) -> Iterator[tuple[int | None, int | None]]:
    """(VLAN-ID before, VLAN-ID after) of each move."""
    chance = random.Random(seed)
    for row in range(number):
        now = PACE * (row + 1)
        vm = state.vms[f"vm-{chance.randrange(len(state.vms))}"]
        free = [name for name, its in sorted(state.server_vms.items()) if name != vm.server and len(its) < FULL + ROOM]
        state = apply(state, EndQuarantines(REST, {"tor": state.revision}), now=now).state
        state = do(state, StartMigration(str(row), vm.name, chance.choice(free)), Prepared(str(row)), now=now).state
        (leg,) = state.migrations[str(row)].legs
        yield leg.from_vlan_id, leg.to_vlan_id
        state = do(state, Activate(str(row)), Commit(str(row)), now=now).state


def share(vms: int, number: int, vlan_ids: range = DEFAULT) -> float:
    """The share of the moves that keep their VLAN-ID, printed."""
    found = list(moves(filled(vms, vlan_ids), number, seed=11))
    assert len(found) == number
    assert all(before in vlan_ids and after in vlan_ids for before, after in found)
    kept = sum(before == after for before, after in found)
    print(f"{vms} VMs, {FULL} a server, {len(vlan_ids)} VLAN-IDs: {kept} of {number} moves keep theirs ({kept / number:.2%})")
    return kept / number


def test_nearly_all_moves_keep_their_number() -> None:
    assert share(2_000, 600) >= 0.98


def test_with_more_vms_than_numbers_some_change() -> None:
    """Five VMs have the same number then. At a random server it is taken with a chance of 60 in 4,093."""
    assert 0.96 <= share(20_000, 200) < 1


def test_with_few_numbers_many_change() -> None:
    """What the range is for: with hardly more numbers than VMs on a server most are taken wherever one goes."""
    assert share(2_000, 100, range(2, 82)) < 0.9
