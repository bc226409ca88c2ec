"""Switches that refuse: a full table, a message they do not take, an extension they do not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.flows.wire import ONF_EXPERIMENTER
from ryu_vmmob.sim import packet as make
from tests.ovs.openflow_proxy import (
    BARRIER_REQUEST,
    EXPERIMENTER,
    FLOW_MOD,
    FLOW_MOD_FAILED,
    TABLE_FULL,
    Message,
    Proxy,
    error,
    no_experimenters,
)
from tests.support.controller import SECONDS, Site, nic, nic_mac, until

FLOW_DELETE = 3


def limit(site: Site, switch: str, table: Table, room: int) -> None:
    """The table takes ``room`` flows more than it has."""
    number = len(site.ovs.ofctl("dump-flows", switch, f"table={table.id}").splitlines()) - 1 + room
    site.ovs.vsctl(
        "--", "--id=@limit", "create", "Flow_Table", f"flow_limit={number}", "overflow_policy=refuse",
        "--", "set", "bridge", switch, f"flow_tables:{table.id}=@limit",
    )  # fmt: skip


def populate(site: Site) -> None:
    site.put_cugs()
    site.put_vm("w1", "srv-a1", nic("web", 11))
    site.put_vm("w2", "srv-a2", nic("web", 12))
    site.put_vm("d1", "srv-a1", nic("db", 14))
    site.put_vm("d2", "srv-c1", nic("db", 15))
    site.put_vm("d3", "srv-b1", nic("db", 16))


@pytest.mark.parametrize(
    ("switch", "table"), [("tor-c", Table.BRIDGE), ("tor-c", Table.ADMIT), ("border-1", Table.INGRESS)], ids=str
)
def test_a_full_table_ends_the_move_that_needs_it_and_no_other(
    ovs: PrivateOvs, tmp_path: Path, switch: str, table: Table
) -> None:
    """At the edge the VM's own flows find no room; at the border, only those of its CUG."""
    with Site(ovs, tmp_path) as site:
        populate(site)
        before = {name: site.has(name) for name in site.bridges}
        limit(site, switch, table, 0)
        begun = site.move("w1", "srv-c1")
        ended = site.until_state(begun["id"], "failed")
        assert "refused" in ended["reason"], ended
        assert "TABLE_FULL" in ended["reason"], ended
        assert f"table={table.label}" in ended["reason"], ended
        # It left no trace, and what it could not have is not missed any more.
        site.until_right()
        assert site.switch(switch)["faults"] == []
        assert {name: site.has(name) for name in site.bridges} == before
        # Others move on meanwhile.
        other = site.move("d1", "srv-b1", activate_on="request")
        site.rest.post(f"/v1/migrations/{other['id']}/activate")
        site.until_state(other["id"], "committed")
        # With room, the same move goes through at once.
        site.ovs.vsctl("clear", "bridge", switch, "flow_tables")
        again = site.move("w1", "srv-c1", activate_on="request")
        assert again["state"] == "prepared", again
        site.rest.post(f"/v1/migrations/{again['id']}/activate")
        site.until_state(again["id"], "committed")
        site.until_right()


def test_what_a_switch_refused_is_shown_with_its_owner_until_it_has_it(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path) as site:
        populate(site)
        limit(site, "tor-a", Table.BRIDGE, 1)
        made = site.put_vm("w3", "srv-a2", nic("web", 13), nic("db", 13))  # two flows there, and room for one
        assert "tor-a" not in made["switches"]["acknowledged"]
        assert [refused["switch"] for refused in made["switches"]["refused"]] == ["tor-a"]
        row = until(lambda: _faulty(site, "tor-a"))
        (fault,) = row["faults"]
        assert "TABLE_FULL" in fault["error"]
        assert (fault["owner"]["kind"], fault["owner"]["name"]) == ("vm", "w3")
        lacking = site.differences()
        assert len(lacking) == 1
        assert lacking[0].startswith("tor-a lacks ")
        assert lacking[0].removeprefix("tor-a lacks ") == fault["cause"]
        ready = site.rest.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["switches"]["refused"]) == (200, "degraded", ["tor-a"])
        # A change of the same VM that goes through does not make that good.
        site.put_vm("w3", "srv-a2", {**nic("web", 13), "ips": ["10.1.0.99"]}, {**nic("db", 13), "ips": ["10.2.0.99"]})
        assert [found["cause"] for found in site.switch("tor-a")["faults"]] == [fault["cause"]]
        assert site.differences() == lacking
        # Everybody else goes on, on that switch too.
        assert site.put_vm("w4", "srv-c1", nic("web", 16))["switches"]["pending"] == []
        # Once its flow is not wanted any more, nothing is wrong.
        site.rest.call("DELETE", "/v1/vms/w4", wait=SECONDS)
        site.rest.call("DELETE", "/v1/vms/w3", wait=SECONDS)
        site.until_right()


def test_room_made_is_found_by_the_next_audit(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"audit_interval": "0.5"}) as site:
        populate(site)
        limit(site, "tor-a", Table.BRIDGE, 0)
        site.put_vm("w3", "srv-a1", nic("web", 13))
        until(lambda: _faulty(site, "tor-a"))
        site.ovs.vsctl("clear", "bridge", "tor-a", "flow_tables")
        site.until_right()


def _faulty(site: Site, switch: str) -> Any:
    row = site.switch(switch)
    return row if row["faults"] and not row["in_step"] else None


def whole_life(site: Site) -> None:
    """Commands of every kind, and a move by announcement."""
    populate(site)
    begun = site.move("w1", "srv-c1")
    (vlan_id,) = (leg["to_vlan_id"] for leg in begun["interfaces"])
    site.inject("tor-c:1", make.rarp(nic_mac("web", 11)).with_vlans(vlan_id))
    site.until_state(begun["id"], "committed")
    site.rest.call("DELETE", "/v1/vms/d2", wait=SECONDS)
    aborted = site.move("w2", "srv-b1")
    site.rest.post(f"/v1/migrations/{aborted['id']}/abort", wait=SECONDS)
    site.until_right()


def test_without_bundles_the_end_is_the_same(ovs: PrivateOvs, tmp_path: Path) -> None:
    proxies: list[Proxy] = []

    def through(port: int) -> Any:
        proxies.append(Proxy(["tor-a", "tor-b", "tor-c", "border-1", "border-2"], port, no_experimenters))
        return proxies[0].ports

    with Site(ovs, tmp_path, via=through) as site, proxies[0] as proxy:
        whole_life(site)
        for name, said in proxy.said.items():
            tried = [message for message in said if message[1] == EXPERIMENTER]
            assert tried, name
            assert len({message[16:20] for message in tried}) == 1, f"{name} was asked for bundles again and again"
            assert sum(message[1] == FLOW_MOD for message in said) > 20
            _additions_stand_before_anything_goes(said)
        # The same on a controller that starts again: nothing to do.
        heard = {name: len(said) for name, said in proxy.said.items()}
        site.controller.kill()
        site.start()
        for name, said in proxy.said.items():
            assert not [message for message in said[heard[name] :] if message[1] in (EXPERIMENTER, FLOW_MOD)]


def _additions_stand_before_anything_goes(said: list[Message]) -> None:
    """Between two barriers there is either what comes or what goes."""
    kinds: set[bool] = set()
    for message in said:
        if message[1] == BARRIER_REQUEST:
            kinds = set()
        elif message[1] == FLOW_MOD:
            kinds.add(message[25] == FLOW_DELETE)
            assert len(kinds) == 1


def test_a_message_refused_on_its_way_into_a_bundle(ovs: PrivateOvs, tmp_path: Path) -> None:
    """Open vSwitch does not fail the bundle then: it would commit the rest, and nobody would know."""
    add = 0  # the command OFPFC_ADD: a full table refuses no deletion
    unwanted = bytes.fromhex("02000000010d")
    proxies: list[Proxy] = []

    def refuse(message: Message) -> Message | None:
        bundled = message[1] == EXPERIMENTER and int.from_bytes(message[8:12], "big") == ONF_EXPERIMENTER
        mod = message[24:] if bundled else message
        added = len(mod) > 25 and mod[1] == FLOW_MOD and mod[25] == add
        if added and mod[24] == Table.DELIVER.id and unwanted in mod:
            return error(message, FLOW_MOD_FAILED, TABLE_FULL)
        return None

    def through(port: int) -> Any:
        proxies.append(Proxy(["tor-c"], port, refuse))
        return proxies[0].ports

    with Site(ovs, tmp_path, via=through) as site, proxies[0] as proxy:
        populate(site)
        site.put_vm("w3", "srv-a1", nic("web", 13))
        site.until_right()
        assert unwanted.hex() == f"{nic_mac('web', 13):012x}"
        begun = site.move("w3", "srv-c1")
        ended = site.until_state(begun["id"], "failed")
        assert "table=deliver" in ended["reason"]
        site.until_right()
        proxy.answer = lambda message: None
        assert site.move("w3", "srv-c1")["state"] == "prepared"
        assert site.differences() == []
