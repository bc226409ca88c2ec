"""Cables pulled and plugged again under the running controller: other groups, the same flows of the VMs."""

from __future__ import annotations

from pathlib import Path

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.sim import packet as make
from tests.ovs.trace import port_ref, travel
from tests.support.controller import SECONDS, Site, nic, nic_ip, nic_mac, until

EDGES = ("tor-a", "tor-b", "tor-c")
W1, W2, W3 = (nic_mac("web", number) for number in (11, 12, 13))


def _links(site: Site) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = site.rest.get("/v1/fabric")["links"]
    return rows


def down(site: Site) -> set[str]:
    return {str(row["a"]) for row in _links(site) if not row["up"]}


def vm_flows(site: Site) -> dict[str, set[str]]:
    """Cookies of the VMs' flows at the edges, as the switches have them."""
    found = {}
    for name in EDGES:
        ours = {cookie for cookie, row in site.flows(name).items() if row["owner"]["kind"] == "vm"}
        there = {f"{cookie:#018x}" for cookie in site.has(name)[0]}
        assert ours <= there
        found[name] = ours
    return found


def settled(site: Site, *ports: str) -> None:
    """These links are down and no others, the trees have settled, and everything is as it should be."""
    until(lambda: down(site) == set(ports), lambda: (down(site), ports))
    until(lambda: site.stored().trees_settled)
    site.until_right()


def test_a_link_goes_and_comes_back(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, "two-dcs.yaml", settings={"link_up_delay": "0.2"}) as site:
        site.put_cugs()
        site.put_vm("w1", "srv-a1", nic("web", 11))
        site.put_vm("w2", "srv-b1", nic("web", 12))
        site.put_vm("w3", "srv-c1", nic("web", 13))
        site.until_right()
        tag = site.rest.get("/v1/vms/w1")["interfaces"][0]["vlan_id"]
        unicast = make.udp(W3, W1, nic_ip("web", 13), nic_ip("web", 11)).with_vlans(tag)
        flood = make.broadcast(W1, nic_ip("web", 11)).with_vlans(tag)
        before = {name: site.has(name) for name in site.bridges}
        flows = vm_flows(site)
        way, out = travel(site, unicast, "tor-a:1")
        assert out == ["tor-c:1"]
        assert any("tor-a:49" in name for name in way), way

        # One of two cables to the same neighbour: the switch goes over to the other by itself, without a controller.
        site.controller.kill()
        site.bridges["tor-a"].set_link(49, up=False)
        pulled = frozenset({"tor-a:49"})
        second, out = travel(site, unicast, "tor-a:1", pulled)
        assert out == ["tor-c:1"]
        assert any("tor-a:51" in name for name in second), second
        site.start()
        settled(site, "tor-a:49")
        assert travel(site, unicast, "tor-a:1", pulled) == (second, out)
        assert vm_flows(site) == flows
        crossed, reached = travel(site, flood, "tor-a:1", pulled)
        assert len(crossed) == len(set(crossed))
        assert [port for port in reached if port.startswith("tor-c")] == ["tor-c:1"]
        assert len([port for port in reached if port.startswith("tor-b")]) == 1

        # All the cables to that neighbour: the tree changes.
        every = ["tor-a:49", "tor-a:51"]
        for port in every:
            site.bridges["tor-a"].set_link(port_ref(port).port, up=False)
        settled(site, *every)
        third, out = travel(site, unicast, "tor-a:1", frozenset(every))
        assert out == ["tor-c:1"]
        assert any("tor-a:50" in name for name in third), third
        assert vm_flows(site) == flows

        # Down stays down across a restart, and costs nothing there.
        listener = site.listen()
        site.controller.kill()
        site.start()
        assert down(site) == set(every)
        assert listener.changes() == 0
        listener.stop()

        # And back: as if nothing had been.
        for port in every:
            site.bridges["tor-a"].set_link(port_ref(port).port, up=True)
        settled(site)
        assert {name: site.has(name) for name in site.bridges} == before
        assert travel(site, unicast, "tor-a:1") == (way, ["tor-c:1"])
        assert vm_flows(site) == flows


def test_a_link_that_flaps_is_not_trusted_at_once(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"link_up_delay": "3600"}) as site:
        site.put_cugs()
        site.put_vm("w1", "srv-a1", nic("web", 11))
        site.bridges["tor-a"].set_link(49, up=False)
        settled(site, "tor-a:49")
        listener = site.listen()
        site.bridges["tor-a"].set_link(49, up=True)
        # What the switch says of its port stands before its next confirmation, on one connection.
        site.put_vm("w2", "srv-a1", nic("web", 12))
        site.until_right()
        assert down(site) == {"tor-a:49"}
        assert listener.changes() > 0
        listener.stop()


def test_a_cut_off_edge_is_served_again_when_its_cable_is_back(ovs: PrivateOvs, tmp_path: Path) -> None:
    """Moves go on meanwhile: what the switches say is the only thing that counts."""
    with Site(ovs, tmp_path, settings={"link_up_delay": "0"}) as site:
        site.put_cugs()
        tag = site.put_vm("w1", "srv-a1", nic("web", 11))["interfaces"][0]["vlan_id"]
        site.put_vm("w2", "srv-b1", nic("web", 12))
        site.bridges["border-1"].set_link(2, up=False)
        settled(site, "tor-b:49")
        packet = make.udp(W2, W1, nic_ip("web", 12), nic_ip("web", 11)).with_vlans(tag)
        assert travel(site, packet, "tor-a:1", frozenset({"border-1:2"}))[1] == []
        begun = site.move("w2", "srv-c1", activate_on="request")
        assert begun["state"] == "prepared"
        site.rest.post(f"/v1/migrations/{begun['id']}/activate", wait=SECONDS)
        site.until_state(begun["id"], "committed")
        site.until_right()
        assert travel(site, packet, "tor-a:1")[1] == ["tor-c:1"]
        back = site.move("w2", "srv-b1", activate_on="request")
        site.bridges["border-1"].set_link(2, up=True)
        settled(site)
        site.rest.post(f"/v1/migrations/{back['id']}/activate", wait=SECONDS)
        site.until_state(back["id"], "committed")
        site.until_right()
        assert [port.partition(":")[0] for port in travel(site, packet, "tor-a:1")[1]] == ["tor-b"]
