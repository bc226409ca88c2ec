"""The controller on real switches: what REST asks for is what the switches have, through whole moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.sim import packet as make
from tests.support.controller import SECONDS, WEB, Site, nic, nic_ip, nic_ip6, nic_mac

W1_MAC, W1_IP = nic_mac("web", 11), nic_ip("web", 11)


@pytest.fixture(scope="module")
def running(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(ovs, tmp_path_factory.mktemp("moves")) as started:
        yield started


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """One controller for all tests here; each leaves it without a VM or a CUG."""
    yield running
    running.clear()


def populate(site: Site) -> None:
    """Both CUGs on several kinds of server; some VMs in both."""
    site.put_cugs()
    site.put_vm("w1", "srv-a1", nic("web", 11), nic("db", 11))
    site.put_vm("w2", "srv-b1", nic("web", 12))
    site.put_vm("w3", "srv-c1", nic("web", 13))
    site.put_vm("d1", "srv-b1", nic("db", 14))


def test_what_is_acknowledged_is_in_the_switches_and_nothing_else(site: Site) -> None:
    site.until_right()
    listener = site.listen()
    site.rest.put("/v1/cugs/web", WEB, wait=SECONDS)
    site.rest.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]}, wait=SECONDS)
    given: dict[str, list[int | None]] = {}
    for number, server in enumerate(["srv-a1", "srv-b1", "srv-a2", "srv-c1", "srv-a1"], 11):
        answer = site.put_vm(f"w{number}", server, nic("web", number), *([nic("db", number)] if number % 2 else []))
        assert answer["switches"]["pending"] == []
        assert site.fabric.servers[server].switch in answer["switches"]["acknowledged"]
        vlan_ids = [row["vlan_id"] for row in answer["interfaces"]]
        if server == "srv-a2":
            assert set(vlan_ids) == {None}
        else:  # each interface has one of its own on the server's cable
            assert all(vlan_id in range(2, 4095) for vlan_id in vlan_ids)
            there = given.setdefault(server, [])
            there += vlan_ids
            assert len(set(there)) == len(there)
        # Acknowledged means there, at this very moment: nothing is waited for here.
        assert site.differences() == []
    assert listener.changes() > 200  # else the count of nothing, in other tests, would mean nothing
    site.rest.call("DELETE", "/v1/vms/w15", wait=SECONDS)
    assert site.differences() == []
    for name in ("w11", "w12", "w13", "w14"):
        site.rest.call("DELETE", f"/v1/vms/{name}", wait=SECONDS)
    assert site.differences() == []
    listener.stop()


@pytest.mark.requirement("R22", "R26")
def test_a_move_by_request_step_by_step(site: Site) -> None:
    populate(site)
    before = {name: site.has(name) for name in site.bridges}
    listener = site.listen()
    begun = site.move("w1", "srv-c1", activate_on="request", commit="request")
    assert begun["state"] == "prepared"
    here = [row["vlan_id"] for row in site.rest.get("/v1/vms/w1")["interfaces"]]
    assert [leg["from_vlan_id"] for leg in begun["interfaces"]] == here
    assert [leg["to_vlan_id"] for leg in begun["interfaces"]] == here  # free at the target, so it keeps them
    assert len(set(here) & set(range(2, 4095))) == 2
    assert begun["switches"]["pending"] == []
    assert site.differences() == []
    assert site.rest.get("/v1/vms/w1")["server"] == "srv-a1"
    step = f"/v1/migrations/{begun['id']}"
    assert site.rest.ask("POST", f"{step}/commit").status_code == 409
    assert begun["delivered"] is False
    over = site.rest.post(f"{step}/deliver", wait=SECONDS)
    assert (over["state"], over["delivered"], over["switches"]["pending"]) == ("prepared", True, [])
    assert site.differences() == []
    again = site.rest.post(f"{step}/deliver", wait=SECONDS)
    assert again["timeline"] == over["timeline"]
    assert site.rest.get("/v1/vms/w1")["server"] == "srv-a1"
    assert site.rest.post(f"{step}/activate", wait=SECONDS)["state"] == "activated"
    assert site.differences() == []
    assert site.rest.get("/v1/vms/w1")["server"] == "srv-c1"
    done = site.rest.post(f"{step}/commit", wait=SECONDS)
    assert site.rest.ask("POST", f"{step}/abort").status_code == 409
    assert done["state"] == "committed"
    assert site.differences() == []
    assert [entry["state"] for entry in done["timeline"]] == ["preparing", "prepared", "delivered", "activated", "committed"]
    told = sum(number for entry in done["timeline"] for number in entry["flow_mods"].values())
    assert listener.changes() == told > 0
    # And home again, the other way: the tables are those from which the journey began.
    home = site.move("w1", "srv-a1", activate_on="request")
    assert [leg["from_vlan_id"] for leg in home["interfaces"]] == [leg["to_vlan_id"] for leg in begun["interfaces"]]
    site.rest.post(f"/v1/migrations/{home['id']}/activate")
    site.until_state(home["id"], "committed")
    site.until_right()
    assert {name: site.has(name) for name in site.bridges} == before
    listener.stop()


@pytest.mark.parametrize("paused", [False, True], ids=["prepared", "delivered"])
def test_an_aborted_move_leaves_no_trace(site: Site, paused: bool) -> None:
    populate(site)
    before = {name: site.has(name) for name in site.bridges}
    begun = site.move("w1", "srv-c1")
    assert begun["state"] == "prepared"
    if paused:
        prepared = {name: site.has(name) for name in site.bridges}
        site.rest.post(f"/v1/migrations/{begun['id']}/deliver", wait=SECONDS)
        assert {name: site.has(name) for name in site.bridges} != prepared
    assert {name: site.has(name) for name in site.bridges} != before
    aborted = site.rest.post(f"/v1/migrations/{begun['id']}/abort", {"reason": "no room"}, wait=SECONDS)
    assert (aborted["state"], aborted["reason"]) == ("aborted", "no room")
    # After a delivery the switches have confirmed that the source is open again; that the target goes is a step of its own.
    site.until_right()
    assert {name: site.has(name) for name in site.bridges} == before
    assert site.differences() == []


def test_an_activated_move_that_is_aborted_leaves_no_trace(site: Site) -> None:
    populate(site)
    before = {name: site.has(name) for name in site.bridges}
    begun = site.move("w1", "srv-c1", activate_on="request", commit="request")
    site.rest.post(f"/v1/migrations/{begun['id']}/activate", wait=SECONDS)
    asked = site.rest.post(f"/v1/migrations/{begun['id']}/abort", {"reason": "it does not run"}, wait=SECONDS)
    assert site.rest.get("/v1/vms/w1")["server"] == "srv-a1"
    done = site.until_state(begun["id"], "aborted")
    assert asked["reason"] == done["reason"] == "it does not run"
    # First what opens the source, which takes nothing away that is needed, then what closes the target.
    assert [row["state"] for row in done["timeline"]] == ["preparing", "prepared", "activated", "activated", "aborted"]
    assert all(sum(row["flow_mods"].values()) for row in done["timeline"][2:])
    assert {name: site.has(name) for name in site.bridges} == before
    again = site.move("w1", "srv-c1", activate_on="request")
    site.rest.post(f"/v1/migrations/{again['id']}/activate")
    site.until_state(again["id"], "committed")
    site.until_right()


@pytest.mark.requirement("R23", "R26")
def test_moves_announced_by_the_first_frame(site: Site) -> None:
    """From place to place, each time announced by another kind of frame at another kind of server port."""
    populate(site)
    before = {name: site.has(name) for name in site.bridges}
    other = make.rarp(nic_mac("web", 13))
    for target, port, frame in (
        ("srv-c1", "tor-c:1", make.rarp(W1_MAC)),
        ("srv-a2", "tor-a:2", make.gratuitous_arp(W1_MAC, W1_IP)),
        ("srv-b1", "tor-b:2", make.udp(nic_mac("web", 12), W1_MAC, nic_ip("web", 12), W1_IP)),
        ("srv-a1", "tor-a:1", make.neighbour_advertisement(W1_MAC, nic_ip6(11))),
    ):
        listener = site.listen()
        begun = site.move("w1", target)
        assert begun["state"] == "prepared"
        (vlan_id,) = (leg["to_vlan_id"] for leg in begun["interfaces"] if leg["cug"] == "web")
        tags = () if vlan_id is None else (vlan_id,)
        assert (vlan_id is None) is (target == "srv-a2")
        site.inject(port, other.with_vlans(*tags))
        site.inject(port, frame.with_vlans(*tags))
        done = site.until_state(begun["id"], "committed")
        assert done["reason"] == f"seen at {port}"
        assert site.rest.get("/v1/vms/w1")["server"] == target
        site.until_right()
        told = sum(number for entry in done["timeline"] for number in entry["flow_mods"].values())
        assert listener.changes() == told > 0
    assert {name: site.has(name) for name in site.bridges} == before
    listener.stop()
