"""Another fabric under the running state: what is refused, and what the trees do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from immutables import Map

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.fabric.model import Fabric, Link, PortRef, Role, Server, Switch
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import PutCug, PutVm, StartMigration
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import MAX_SWITCH_KEY, with_keys
from ryu_vmmob.store.base import StoreError
from tests.support.commands import cug, nic
from tests.support.fabrics import LEFT_A, rooted, two_planes, two_racks
from tests.support.memory_store import MemoryStore
from tests.support.world import World

P = PortRef


def started(fabric: Fabric, *commands: Any) -> World:
    world = World(fabric)
    for command in commands:
        world.do(command)
    world.settle()
    return world


def put(name: str, server: str, host: int = 11) -> PutVm:
    return PutVm(name, server, (nic(host),))


def without_link(fabric: Fabric, *names: str) -> Fabric:
    return replace(fabric, links=tuple(link for link in fabric.links if link.name not in names))


def refused(world: World, fabric: Fabric) -> dict[str, str]:
    before = world.engine.state
    with pytest.raises(Refusal) as caught:
        world.do(world.engine.fabric_replaced(fabric))
    assert caught.value.status == 409
    assert world.engine.state is before
    return {fault.path: fault.message for fault in caught.value.faults}


def servers(fabric: Fabric, **changed: Server | None) -> Fabric:
    rows = {**fabric.servers, **changed}
    return replace(fabric, servers={name: row for name, row in rows.items() if row is not None})


def test_a_server_with_vms_stays_as_it_is() -> None:
    fabric = two_racks()
    world = started(fabric, cug(), put("w1", "a1"))
    world.do(StartMigration("m", "w1", "b1"))
    found = refused(world, servers(fabric, a1=None, b1=replace(fabric.servers["b1"], attach=(P("tor-b", 9),))))
    assert found == {
        "servers.a1": "server 'a1' cannot be taken away: VM 'w1' is there",
        "servers.b1.attach": "attach of server 'b1' cannot change: VM 'w1' is moving there",
    }
    world.do(world.engine.fabric_replaced(servers(fabric, a2=None, b3=replace(fabric.servers["b3"], attach=(P("tor-b", 7),)))))


def test_vlan_ids_in_use_stay() -> None:
    fabric = two_racks()
    world = started(fabric, replace(cug(), pins={"rack-b": 105}), put("w1", "a1"))

    def ranged(**ids: Iterable[int]) -> Fabric:
        domains = {name: replace(fabric.l2_domains[name], vlan_ids=tuple(rows)) for name, rows in ids.items()}
        return replace(fabric, l2_domains={**fabric.l2_domains, **domains})

    found = refused(world, ranged(**{"rack-a": range(101, 110), "rack-b": range(100, 105)}))
    assert found == {
        "l2_domains.rack-a.vlan_ids": "L2 domain 'rack-a' cannot lose VLAN-IDs in use: CUG 'web' has VLAN-ID 100",
        "l2_domains.rack-b.vlan_ids": "L2 domain 'rack-b' cannot lose VLAN-IDs in use: CUG 'web' is pinned to VLAN-ID 105",
    }
    world.do(world.engine.fabric_replaced(ranged(core=range(300, 310))))
    with pytest.raises(StoreError, match=r"CUG 'web' has VLAN-ID 100 of L2 domain 'rack-a', which is no longer"):
        Engine(ranged(**{"rack-a": range(101, 110)}), world.store, lambda: 0.0)


def test_the_only_way_stays() -> None:
    fabric = two_racks()
    world = started(fabric, cug(), put("w1", "a1"), put("w2", "b1", 12))
    name = fabric.links[0].name
    found = refused(world, without_link(fabric, name))
    assert found[f"links.{name}"].startswith(f"link '{name}' cannot be taken away: CUG 'web' has no other way")
    spineless = replace(
        fabric, links=(), switches={name: row for name, row in fabric.switches.items() if row.role is not Role.SPINE}
    )
    assert all("of switch 'spine'" in message for message in refused(world, spineless).values())
    other = replace(fabric.links[0], l2_domain="rack-b")
    found = refused(world, replace(fabric, links=(other, fabric.links[1])))
    assert found == {f"links.{name}.l2_domain": f"l2_domain of link {name!r} cannot change: it carries CUG 'web'"}


def test_a_link_goes_while_there_is_another_way() -> None:
    fabric = two_planes()
    world = started(fabric, cug(), put("w1", "a1"), put("w2", "b1", 12))
    way = world.engine.state.presences["web"].local.keys() - {"tor-a", "tor-b"}
    (spine,) = way
    gone = next(link.name for link in fabric.links if spine in (link.a.switch, link.b.switch))
    world.do(world.engine.fabric_replaced(without_link(fabric, gone)))
    assert not world.engine.state.trees_settled
    assert world.engine.state.trees.of_segment("web").edges < world.engine.state.ways.of_segment("web").edges
    world.fabric = world.engine.state.fabric
    world.settle(checked=True)
    world.check_oracles()
    assert world.engine.state.presences["web"].local.keys() - {"tor-a", "tor-b"} != way


def test_a_domain_that_would_be_full_refuses_the_other_way() -> None:
    fabric = two_planes(first=range(200, 210), second=[300])
    names = rooted(fabric, "spine-1", 2)
    world = started(fabric, *(cug(name, number) for number, name in enumerate(names, start=1)))
    for number, name in enumerate(names, start=1):
        world.do(*(PutVm(f"{name}.{host}", server, (nic(host, name, number),)) for host, server in ((11, "a1"), (12, "b1"))))
    world.settle()
    before = world.engine.state
    with pytest.raises(Refusal, match="R28: L2 domain 'plane-2' has no free VLAN-ID"):
        world.do(world.engine.fabric_replaced(without_link(fabric, LEFT_A)))
    assert world.engine.state is before


def test_a_new_link_counts_once_its_switches_say_it_is_up() -> None:
    fabric = two_racks()
    world = started(fabric, cug(), put("w1", "a1"), put("w2", "b1", 12))
    new = Link(P("tor-a", 50), P("tor-b", 50), "core")
    world.do(world.engine.fabric_replaced(replace(fabric, links=(*fabric.links, new))))
    world.fabric = world.engine.state.fabric
    assert world.engine.state.links_down == {new.name}
    assert world.waiting() == ["tor-a", "tor-b"]
    for name in world.waiting():  # the new port's own questions to the controller, and no way over it yet
        _, delta = world.engine.fleet._places[name].pending[0]
        assert [flow.table for flow in delta.flows] == [Table.PUNT]
        world.update(name)
    world.check_oracles()
    world.links(frozenset())
    world.settle(checked=True)
    world.check_oracles()


def test_more_trees_for_a_new_spine() -> None:
    fabric = two_racks()
    world = started(fabric, *(cug(f"c{number}", number) for number in range(1, 6)))
    for number in range(1, 6):
        for host, server in ((11, "a1"), (12, "b1")):
            world.do(PutVm(f"v{number}.{host}", server, (nic(host, f"c{number}", number),)))
    world.settle()
    spine = Switch("spine-0", 9, Role.SPINE, "core", "dc1")
    links = (Link(P("tor-a", 50), P("spine-0", 1), "core"), Link(P("tor-b", 50), P("spine-0", 2), "core"))
    world.do(world.engine.fabric_replaced(
        replace(fabric, switches={**fabric.switches, "spine-0": spine}, links=(*fabric.links, *links))
    ))  # fmt: skip
    world.fabric = world.engine.state.fabric
    world.sent["spine-0"] = 0
    world.connect("spine-0")
    world.engine.progress()
    world.settle(checked=True)
    world.links(frozenset())
    world.settle(checked=True)
    world.check_oracles()
    assert len(world.engine.state.trees.trees) == 2
    assert any("spine-0" in found.local for found in world.engine.state.presences.values())


def test_gateways_and_names_stay_while_somebody_knows_them() -> None:
    fabric = two_racks()
    world = started(fabric, PutCug("web", cug().subnets, routing_domain="red"))
    assert set(refused(world, replace(fabric, name="other", gateway_mac="02:00:5e:00:00:09"))) == {"fabric", "gateway_mac"}


def test_a_switch_in_use_keeps_its_part() -> None:
    fabric = two_racks()
    world = started(fabric, cug(), put("w1", "a1"), put("w2", "b1", 12))
    switches = {**fabric.switches, "spine": replace(fabric.switches["spine"], role=Role.BORDER)}
    found = refused(world, replace(fabric, switches=switches))
    assert found == {"switches.spine.role": "role of switch 'spine' cannot change: it carries CUG 'web'"}
    switches["spine"] = replace(fabric.switches["spine"], dpid=77)
    assert "switches.spine.dpid" in refused(world, replace(fabric, switches=switches))
    place = world.engine.fleet._places["spine"]
    assert place.wake is not None
    world.engine.fleet.disconnected("spine", place.wake)
    world.do(world.engine.fabric_replaced(replace(fabric, switches=switches)))
    assert world.engine.state.fabric.switch_by_dpid[77].name == "spine"


def test_what_a_reload_leaves_is_what_a_restart_finds() -> None:
    fabric = two_racks()
    world = started(fabric, cug(), put("w1", "a1"))
    more = servers(fabric, a0=Server("a0", (P("tor-a", 8), P("tor-a", 9)), "rack-a"))
    more = replace(more, switches={**more.switches, "tor-0": Switch("tor-0", 8, Role.TOR, "rack-a", "dc1")})
    world.do(world.engine.fabric_replaced(more))
    again = Engine(more, world.store, lambda: 0.0)
    assert again.state.switch_keys == world.engine.state.switch_keys
    assert isinstance(world.store, MemoryStore)
    for name in more.switches:
        assert set(again.desired.tables[name].flows) == set(world.engine.desired.tables[name].flows)


def test_names_of_switches_are_used_again_when_all_keys_are_given_out() -> None:
    """A ToR that is renamed every month is one switch; a key is given again only when there is no other."""
    fabric = two_racks()
    keys = with_keys(Map(), fabric)
    assert sorted(keys.values()) == [1, 2, 3]

    def renamed(name: str) -> Fabric:
        rows = {row.name: row for row in fabric.switches.values() if row.name != "spine"}
        return replace(fabric, switches={**rows, name: replace(fabric.switches["spine"], name=name)})

    for month in range(MAX_SWITCH_KEY - 3):
        keys = with_keys(keys, renamed(f"spine.{month}"))
    assert (len(keys), max(keys.values())) == (MAX_SWITCH_KEY, MAX_SWITCH_KEY)
    assert with_keys(keys, renamed("spine.7")) == keys, "one that is known keeps its own"
    for month in range(20):
        keys = with_keys(keys, renamed(f"again.{month}"))
        assert len(set(keys.values())) == len(keys) == MAX_SWITCH_KEY
        assert keys["tor-a"] == with_keys(Map(), fabric)["tor-a"]
    assert "spine" not in keys
