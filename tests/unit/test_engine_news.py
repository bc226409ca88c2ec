"""What the network tells the engine, and what the engine tells those who ask and listen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.engine.tickets import Switches
from ryu_vmmob.flows.flow import Flow, tells_controller
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import Activate
from ryu_vmmob.model.objects import Phase
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import LATER, MOVE, Site, migration, phase, racks
from tests.support.fabrics import two_racks


def awaited(made: Site, switch: str) -> list[int]:
    """Cookies of the flows by which a VM that is awaited says that it has arrived."""
    return [row.cookie for row in shown(made, switch) if row.table is Table.ADMIT and row.owner[0] == "vm"]


def shown(made: Site, switch: str) -> list[Flow]:
    """The flows that send a copy to the controller, whosever they are."""
    flows = made.engine.desired.flows(switch)
    return [row for row in flows if any(map(tells_controller, row.actions))]


@pytest.mark.parametrize("target", ["a2", "b1", "b2", "b3", "a3"])
def test_the_first_frame_at_the_target_activates(target: str) -> None:
    made = Site(two_racks(), cug(), vm(), replace(LATER, to=target))
    edge = made.fabric.servers[target].switch
    cookies = awaited(made, edge)
    rows = [row for row in shown(made, edge) if row.cookie in cookies]
    ports = [next(value for name, value, _ in row.match if name == "in_port") for row in rows]
    assert set(ports) == {port.port for port in made.fabric.servers[target].attach}
    port = made.fabric.servers[target].attach[-1]
    last = cookies[ports.index(port.port)]
    made.engine.network.frame_seen(edge, last)
    assert phase(made) is Phase.ACTIVATED
    assert migration(made).reason == f"seen at {port}"
    assert not awaited(made, edge)
    before = made.state
    made.engine.network.frame_seen(edge, last)
    assert made.state is before


def test_it_activates_while_the_preparation_is_still_under_way() -> None:
    made = racks()
    made.engine.execute(MOVE)
    made.engine.network.frame_seen("tor-b", awaited(made, "tor-b")[0])
    assert phase(made) is Phase.ACTIVATED


def test_a_frame_at_the_target_activates_nothing_where_a_request_has_to() -> None:
    made = racks(replace(LATER, activate_on="request"))
    assert phase(made) is Phase.PREPARED
    before = made.state
    for cookie in awaited(made, "tor-b"):  # that it speaks is told, and that is all
        made.engine.network.frame_seen("tor-b", cookie)
    assert made.state is before
    told = {"id": "m1", "vm": "web1", "switch": "tor-b", "port": 1, "server": "b1", "mac": "02:00:00:01:00:0b", "more": 0}
    assert made.events("migration.announced") == [{**told, "reason": "activation waits for a request"}]


def test_any_other_frame_means_nothing() -> None:
    """Whatever cookie a switch names: unknown, another VM's, of a table without ports, of the place it is leaving."""
    made = racks(LATER)
    before = made.state
    made.engine.network.frame_seen("nobody", 1)
    made.engine.network.frame_seen("tor-b", 1)
    for switch in made.fabric.switches:
        for cookie in set(made.engine.desired.tables[switch].flows) - set(awaited(made, switch)):
            made.engine.network.frame_seen(switch, cookie)
    assert made.state is before


# Counting and telling


def test_the_timeline_counts_what_each_switch_is_sent() -> None:
    made = racks()
    made.engine.execute(LATER)
    first = migration(made).timeline[0]
    sent = {}
    for name in made.engine.fleet.names:
        taken = made.engine.fleet.take(name)
        if taken is not None:
            sent[name] = taken[1].messages
            made.engine.fleet.confirm(name, taken[0])
    assert first.flow_mods == sent
    assert set(sent) == {"spine", "tor-a", "tor-b"}
    made.engine.progress()
    assert migration(made).timeline[1].flow_mods == {}
    assert made.restart().state.migrations["m1"].timeline == migration(made).timeline


def test_a_ticket_names_the_switches_concerned() -> None:
    made = racks()
    ticket = made.engine.execute(MOVE)
    assert ticket.switches == ("spine", "tor-a", "tor-b")
    assert made.engine.acknowledged(ticket) == Switches([], ["spine", "tor-a", "tor-b"], [])
    made.take("spine")
    assert made.engine.acknowledged(ticket) == Switches(["spine"], ["tor-a", "tor-b"], [])
    made.confirm()
    assert made.engine.acknowledged(ticket).pending == []


def test_a_repeated_command_waits_for_what_is_still_on_its_way() -> None:
    made = racks()
    made.engine.execute(vm("web3", "a1", nic(13)))
    assert made.engine.execute(vm("web3", "a1", nic(13))).switches == ("tor-a",)
    made.confirm()
    assert made.engine.execute(vm("web3", "a1", nic(13))).switches == ()


def test_events_of_a_move() -> None:
    made = Site(two_racks(), cug(), vm())
    heard: list[str] = []
    made.engine.on_event.add(lambda event: heard.append(event.kind))
    made.engine.execute(MOVE)
    made.confirm()
    made.engine.execute(Activate("m1", "seen at tor-b:1"))
    made.confirm()
    made.now += 61
    made.engine.progress()
    assert heard == [
        "migration.preparing", "vlan_id.allocated", "vlan_id.allocated", "presence.extended", "migration.confirmed",
        "migration.prepared", "vm.changed", "migration.activated", "migration.confirmed", "migration.committed",
        "vlan_id.released", "vlan_id.released", "presence.pruned", "migration.confirmed", "vlan_id.free", "vlan_id.free",
    ]  # fmt: skip
    assert [event.kind for event in made.engine.events][-len(heard) :] == heard
    assert made.events("presence.extended")[-1] == {
        "cug": "web", "edges": ["tor-b"], "l2_domains": ["core", "rack-b"], "data_centers": [],
    }  # fmt: skip
    assert made.events("presence.pruned") == [
        {"cug": "web", "edges": ["tor-a"], "l2_domains": ["core", "rack-a"], "data_centers": []}
    ]
    assert made.events("vm.changed") == [{"vm": "web1", "server": "b1"}]
    assert made.events("vlan_id.free") == [
        {"l2_domain": "core", "vlan_id": 200}, {"l2_domain": "rack-a", "vlan_id": 100},
    ]  # fmt: skip
    assert made.events("migration.preparing") == [{"id": "m1", "vm": "web1", "source": "a1", "target": "b1"}]
    assert made.events("migration.activated") == [{"id": "m1", "vm": "web1", "reason": "seen at tor-b:1"}]
    assert made.events("vlan_id.released") == [
        {"cug": "web", "l2_domain": "core", "vlan_id": 200}, {"cug": "web", "l2_domain": "rack-a", "vlan_id": 100},
    ]  # fmt: skip


def test_events_of_links() -> None:
    made = racks()
    made.engine.network.links_seen(frozenset({"spine:1=tor-a:49"}))
    made.engine.network.links_seen(frozenset({"spine:1=tor-a:49"}))
    made.engine.network.links_seen(frozenset({"spine:2=tor-b:49"}))
    assert made.events("link.down") == [{"link": "spine:1=tor-a:49"}, {"link": "spine:2=tor-b:49"}]
    assert made.events("link.up") == [{"link": "spine:1=tor-a:49"}]


def test_waiters_are_told_of_every_progress() -> None:
    made = racks()
    told: list[int] = []
    made.engine.on_progress.add(lambda: told.append(made.state.revision))
    made.engine.execute(replace(MOVE, commit="request"))
    made.take("spine")
    made.confirm()
    assert len(told) >= 3
    assert told[-1] == made.state.revision
