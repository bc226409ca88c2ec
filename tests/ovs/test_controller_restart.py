"""The controller is killed, switches come and go, flows are tampered with: all is made right, and no more is touched."""

from __future__ import annotations

import threading
from pathlib import Path

import requests

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.sim import packet as make
from tests.support.controller import SECONDS, Site, nic, nic_mac, populate, until

FOREIGN_COOKIE = "0x7a00000000000001"
"""Bears our mark, and is none of our flows'."""


def test_killed_and_started_again_it_changes_nothing(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path) as site:
        populate(site)
        site.until_right()
        listener = site.listen()
        site.controller.kill()
        site.start()
        assert listener.counts()["OFPST_FLOW"] >= len(site.bridges)  # every switch was asked, and heard so
        assert listener.changes() == 0
        assert site.differences() == []
        # In the middle of a move, prepared: it goes on where it was.
        begun = site.move("w1", "srv-c1", commit="request")
        assert begun["state"] == "prepared"
        listener = site.listen()
        site.controller.kill()
        site.start()
        assert listener.changes() == 0
        assert site.migration(begun["id"])["state"] == "prepared"
        (vlan_id,) = (leg["to_vlan_id"] for leg in begun["interfaces"] if leg["cug"] == "web")
        site.inject("tor-c:1", make.rarp(nic_mac("web", 11)).with_vlans(vlan_id))
        site.until_state(begun["id"], "activated")
        # Activated: likewise.
        listener = site.listen()
        site.controller.kill()
        site.start()
        assert listener.changes() == 0
        assert site.rest.post(f"/v1/migrations/{begun['id']}/commit", wait=SECONDS)["state"] == "committed"
        site.until_right()
        listener.stop()


def test_killed_while_it_works_it_loses_nothing_that_it_acknowledged(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path) as site:
        site.put_cugs()
        acknowledged: list[str] = []

        def work() -> None:
            servers = sorted(site.fabric.servers)
            for number in range(2, 250):
                body = {"server": servers[number % len(servers)], "interfaces": [nic("web", number)]}
                try:
                    site.rest.put(f"/v1/vms/v{number}", body)
                except requests.RequestException:
                    return
                acknowledged.append(f"v{number}")

        worker = threading.Thread(target=work)
        worker.start()
        until(lambda: len(acknowledged) > 20)
        site.controller.kill()
        worker.join(SECONDS)
        assert not worker.is_alive()
        site.start()
        there = {row["name"] for row in site.rest.get("/v1/vms")["items"]}
        assert set(acknowledged) <= there
        assert len(there) <= len(acknowledged) + 1  # the one that was asked for and not answered
        site.until_right()


def tamper(site: Site) -> None:
    """Faults of every kind at tor-a, and rows of somebody else's that stay."""
    name = "tor-a"
    _, groups = site.has(name)
    fresh = site.fresh().tables[name]
    ofctl = site.ovs.ofctl
    ofctl("add-flow", name, f"cookie={FOREIGN_COOKIE},table=3,priority=77,in_port=9,actions=drop")
    ofctl("add-flow", name, "cookie=0x99,table=4,priority=78,in_port=9,actions=drop")
    ofctl("add-group", name, "group_id=5,type=all,bucket=output:1")
    lost = next(flow for flow in fresh.flows.values() if flow.owner == Owner(OwnerKind.VM, "w1", "0"))
    ofctl("del-flows", name, f"cookie={lost.cookie:#x}/-1")
    # Another flow in the place of one of ours, without our mark.
    ofctl("add-flow", name, "cookie=0x98,table=0,priority=0,actions=output:1")
    changed, gone = (number for number in sorted(groups) if number >> 28 == 1)
    ofctl("mod-group", name, f"group_id={changed},type=indirect,bucket=output:1")
    ofctl("del-groups", name, f"group_id={gone}")  # with the flows that point to it
    ofctl("add-group", name, f"group_id={1 << 28 | 77 << 12 | 1},type=indirect,bucket=output:1")


def check_foreign(site: Site) -> None:
    rows = site.ovs.ofctl("dump-flows", "tor-a").splitlines()
    strangers = [row for row in rows if "cookie=0x7a" not in row and "cookie=" in row]
    assert len(strangers) == 1, strangers
    assert "cookie=0x99" in strangers[0]
    assert "group_id=5,type=all,bucket=actions=output:" in site.ovs.ofctl("dump-groups", "tor-a")


def test_what_was_tampered_with_is_put_right_when_the_switch_connects(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path) as site:
        populate(site)
        site.until_right()
        tamper(site)
        found = site.differences()
        assert len(found) >= 7, found
        assert not any("GET" in row for row in found)
        listener = site.listen()
        since = site.switch("tor-a")["connected_since"]
        site.disconnect("tor-a")
        site.reconnect("tor-a")
        assert site.switch("tor-a")["connected_since"] != since
        site.until_right()
        check_foreign(site)
        assert 7 <= listener.changes() < 20  # what was wrong, not everything
        listener.stop()


def test_what_was_tampered_with_is_put_right_by_an_audit(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"audit_interval": "0.5"}) as site:
        populate(site)
        since = {row["name"]: row["connected_since"] for row in site.rest.get("/v1/switches")["items"]}
        listener = site.listen()
        tamper(site)
        site.until_right()
        until(lambda: listener.changes() >= 7, listener.counts)
        listener.stop()
        check_foreign(site)
        assert {row["name"]: row["connected_since"] for row in site.rest.get("/v1/switches")["items"]} == since


def test_a_switch_away_holds_up_nobody_and_is_made_right_when_it_returns(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"link_up_delay": "0"}) as site:
        populate(site)
        site.disconnect("tor-c")
        answer = site.put_vm("d1", "srv-b1", nic("db", 14))
        assert answer["switches"] == {"acknowledged": ["border-1", "tor-a", "tor-b"], "pending": []}
        answer = site.put_vm("w5", "srv-c1", nic("web", 15))
        assert answer["switches"]["pending"] == ["tor-c"]
        assert {"border-1", "border-2", "tor-a", "tor-b"} >= set(answer["switches"]["acknowledged"]) >= {"border-2"}
        begun = site.move("w1", "srv-c1")
        assert (begun["state"], begun["switches"]["pending"]) == ("preparing", ["tor-c"])
        row = site.switch("tor-c")
        assert (row["connected"], row["in_step"]) == (False, False)
        site.until_in_step(but=frozenset({"tor-c"}))
        site.reconnect("tor-c")
        site.until_state(begun["id"], "prepared")
        site.until_right()
        site.rest.post(f"/v1/migrations/{begun['id']}/activate")
        site.until_state(begun["id"], "committed")
        # A switch that was replaced by an empty one is filled.
        for name in ("tor-c", "border-1"):
            site.remove_bridge(name)
            until(lambda name=name: not site.switch(name)["connected"])  # type: ignore[misc]
            site.add_bridge(name)
            site.until_right()
            assert site.has(name)[0]


def test_a_port_that_is_gone_when_its_switch_returns_takes_its_link_with_it(ovs: PrivateOvs, tmp_path: Path) -> None:
    def down() -> list[str]:
        return [row["a"] for row in site.rest.get("/v1/fabric")["links"] if not row["up"]]

    with Site(ovs, tmp_path, settings={"link_up_delay": "0"}) as site:
        populate(site)
        assert down() == []
        site.disconnect("tor-b")
        site.ovs.vsctl("del-port", "tor-b", site.bridges["tor-b"].device(49))
        site.reconnect("tor-b")
        until(lambda: down() == ["tor-b:49"], down)
        site.until_right()


def test_a_busy_switch_is_audited_too(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"audit_interval": "1"}) as site:
        populate(site)
        site.ovs.ofctl("add-flow", "tor-a", f"cookie={FOREIGN_COOKIE},table=3,priority=77,in_port=9,actions=drop")

        def gone() -> bool:
            body = {"server": "srv-a1", "interfaces": [nic("web", 50)]}
            site.rest.put("/v1/vms/busy", body, wait=SECONDS)
            site.rest.call("DELETE", "/v1/vms/busy", wait=SECONDS)
            return int(FOREIGN_COOKIE, 16) not in site.has("tor-a")[0]

        until(gone)


def test_two_switches_with_one_dpid_are_not_taken_for_one(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"link_up_delay": "0"}) as site:
        populate(site)
        site.ovs.vsctl("set", "bridge", "tor-b", "other_config:datapath-id=000000000000000a")
        until(lambda: "switch tor-a connected again" in site.controller.log, lambda: site.controller.log)
        site.ovs.vsctl("set", "bridge", "tor-b", "other_config:datapath-id=000000000000000b")
        site.disconnect("tor-a", "tor-b")
        site.reconnect("tor-a", "tor-b")
        site.until_right()


def test_a_switch_that_nobody_knows_is_left_alone(ovs: PrivateOvs, tmp_path: Path) -> None:
    name = "tor-a"
    with Site(ovs, tmp_path) as site:
        site.ovs.vsctl("set", "bridge", name, "other_config:datapath-id=00000000000000ff")
        site.ovs.ofctl("add-flow", name, f"cookie={FOREIGN_COOKIE},table=3,priority=77,in_port=9,actions=drop")
        until(lambda: "dpid 0xff connected" in site.controller.log, lambda: site.controller.log)
        site.put_cugs()
        answer = site.put_vm("w1", "srv-a1", nic("web", 11))
        assert answer["switches"]["pending"] == [name]
        site.ovs.vsctl("set", "bridge", name, "other_config:datapath-id=000000000000000a")
        site.until_right()
