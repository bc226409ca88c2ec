"""Broadcasts on a cable with tagging per interface, through the compiled pipeline, in both dialects: one copy for each vNIC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import Group, ToGroup
from ryu_vmmob.flows.pipeline import GroupKind, group_parts
from ryu_vmmob.model.commands import Activate, Command, StartMigration
from ryu_vmmob.model.state import State
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.network import Network
from ryu_vmmob.sim.switch import Tables
from tests.support.commands import cug, nic, start, vm
from tests.support.fabrics import per_interface, two_racks

DIALECTS = list(Dialect)


def fabric(dialect: Dialect) -> Fabric:
    """a1 and b3 (a LAG) tag per interface, a2 per CUG, b1 per interface too."""
    found = per_interface(two_racks(), "a1", "b1", "b3")
    return replace(found, switches={name: replace(row, dialect=dialect) for name, row in found.switches.items()})


def crowd(server: str, number: int) -> tuple[Command, ...]:
    """n0, n1, ... of CUG web on one server, one of CUG db there, and one of web elsewhere."""
    here = (vm(f"n{row}", server, nic(20 + row)) for row in range(number))
    return (cug(), cug("db", 2), *here, vm("db1", server, nic(11, "db", 2)), vm("far", "a2", nic(90)))


def heard(state: State, sender: str, server: str, port: int = 0) -> Counter[tuple[str, tuple[int, ...]]]:
    """(port, tags) of each copy of a broadcast that a VM sends at a server, by its port of this number."""
    compiled = full(state)
    tables = {name: Tables(rows.flows.values(), rows.groups.values()) for name, rows in compiled.tables.items()}
    row = state.vms[sender]
    tag = state.vnic_vlan_id(row, 0, server)
    frame = make.rarp(row.interfaces[0].mac).with_vlans(*(() if tag is None else (tag,)))
    journey = Network(state.fabric, tables).inject(frame, state.fabric.servers[server].attach[port])
    return Counter((str(its.port), tuple(its.packet.vlans)) for its in journey.deliveries)


def places(state: State, *names: str) -> Counter[tuple[str, tuple[int, ...]]]:
    """One copy for each of these, at the first port of its server and under its tag."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    for name in names:
        row = state.vms[name]
        tag = state.vnic_vlan_id(row, 0, row.server)
        found[str(state.fabric.servers[row.server].attach[0]), () if tag is None else (tag,)] += 1
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("server", ["a1", "b3"])
@pytest.mark.parametrize("number", [1, 2, 3, 9])
def test_a_broadcast_reaches_every_other_once(number: int, server: str, dialect: Dialect) -> None:
    state = start(fabric(dialect), *crowd(server, number))
    names = [f"n{row}" for row in range(number)]
    for sender in names:
        for port in range(len(state.fabric.servers[server].attach)):
            others = [name for name in names if name != sender]
            back = str(state.fabric.servers[server].attach[port])
            expected = Counter({(back, tags): count for (_, tags), count in places(state, *others).items()})
            assert heard(state, sender, server, port) == expected + places(state, "far")
    assert heard(state, "far", "a2") == places(state, *names)
    assert heard(state, "db1", server) == Counter()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_one_that_only_sends_speaks_to_all_that_hear(number: int, dialect: Dialect) -> None:
    """A VM that is about to arrive gets nothing yet, and what it says reaches everybody but itself at its source."""
    state = start(fabric(dialect), *crowd("b1", number), vm("mover", "a1", nic(80)), StartMigration("m1", "mover", "b1"))
    names = [f"n{row}" for row in range(number)]
    assert heard(state, "mover", "b1") == places(state, *names, "far")
    for sender in names:
        assert heard(state, sender, "b1") == places(state, *(name for name in names if name != sender), "far", "mover")
    assert heard(state, "far", "a2") == places(state, *names, "mover")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_where_a_vm_has_left_nothing_is_sent(dialect: Dialect) -> None:
    state = start(fabric(dialect), *crowd("a1", 3), StartMigration("m1", "n1", "b1"), Activate("m1"))
    assert heard(state, "n0", "a1") == places(state, "n1", "n2", "far")
    assert heard(state, "n1", "b1") == places(state, "n0", "n2", "far")


def kind_of(id_: int) -> GroupKind:
    parts = group_parts(id_)
    assert parts is not None
    return parts[0]


def depth(groups: Mapping[int, Group], id_: int) -> int:
    inner = [action.group for bucket in groups[id_].buckets for action in bucket.actions if isinstance(action, ToGroup)]
    return 1 + max((depth(groups, its) for its in inner), default=0)


def test_the_plain_dialect_lists_and_nests_no_deeper_than_a_lag_in_a_cable_in_a_flood() -> None:
    """OpenFlow 1.3 lets a switch refuse groups in groups; what cannot be done without is a LAG's."""
    for dialect, kinds in ((Dialect.OPENFLOW13, {GroupKind.OTHERS}), (Dialect.OPENVSWITCH, set(GroupKind))):
        for server, deepest in (("a1", 2), ("b3", 3)):
            state = start(fabric(dialect), *crowd(server, 40))
            groups = full(state).tables[state.fabric.servers[server].switch].groups
            tree = {GroupKind.OTHERS, GroupKind.BELOW, GroupKind.BESIDE, GroupKind.DOWN}
            assert set(map(kind_of, groups)) & tree == kinds & tree
            if dialect is Dialect.OPENFLOW13:
                assert max(depth(groups, id_) for id_ in groups) == deepest
                assert all(depth(groups, id_) == 1 for id_ in groups if kind_of(id_) is GroupKind.OTHERS)


def test_ports_of_servers_are_apart() -> None:
    """The same numbers on the cables of two servers of one switch: their groups are numbered by the port."""
    found = per_interface(two_racks(), "a1", "a2", vlan_ids=range(10, 20))
    hosts = [(server, row, 20 + 10 * place + row) for place, server in enumerate(("a1", "a2")) for row in range(4)]
    state = start(found, cug(), *(vm(f"{server}{row}", server, nic(host)) for server, row, host in hosts))
    for server in ("a1", "a2"):
        for row in range(4):
            others = [name for name in state.vms if name != f"{server}{row}"]
            assert heard(state, f"{server}{row}", server) == places(state, *others)
