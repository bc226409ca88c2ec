"""Moves that nobody announced, on real switches: the VM is asked for at its old port before anything moves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS
from scapy.layers.l2 import ARP
from scapy.utils import rdpcap

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.packet import Packet
from tests.ovs.port_capture import IP, MAC, Wire
from tests.support.controller import FABRICS, Site, nic, nic_ip, nic_ip6, nic_mac, until

GATEWAY_MAC, GATEWAY_IP = mac("02:00:5e:00:00:01"), nic_ip("web", 1)


@pytest.fixture(scope="module")
def running(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Unannounced moves are accepted in rack-b, and refused elsewhere."""
    directory = tmp_path_factory.mktemp("unannounced")
    text = (FABRICS / "example.yaml").read_text()
    changed = text.replace("rack-b: {data_center: dc1,", "rack-b: {data_center: dc1, unannounced_moves: accept,")
    assert changed != text
    (directory / "fabric.yaml").write_text(changed)
    with Site(ovs, directory, str(directory / "fabric.yaml")) as started:
        yield started


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    yield running
    running.clear()


def populate(site: Site) -> int:
    """web on srv-a1, srv-b1 and srv-c1; the VLAN-ID of w1 on the cable of srv-a1, which it brings along wherever it goes."""
    site.put_cugs()
    number = site.put_vm("w1", "srv-a1", nic("web", 11))["interfaces"][0]["vlan_id"]
    site.put_vm("w3", "srv-c1", nic("web", 13))
    site.put_vm("w2", "srv-b1", nic("web", 12))
    assert isinstance(number, int)
    return number


def said(site: Site, kind: str) -> list[str]:
    """The events of a kind, as the controller's log tells them."""
    return [line for line in site.controller.log.splitlines() if re.search(rf"\b{re.escape(kind)} ", line)]


def unannounced(site: Site) -> list[Any]:
    return [row for row in site.rest.get("/v1/migrations", vm="w1")["items"] if row["id"].startswith("u-")]


def test_silence_at_the_old_place(site: Site, tmp_path: Path) -> None:
    number = populate(site)
    wire = Wire(site, "tor-a:1", tmp_path / "silent.pcap")
    known = len(unannounced(site))
    site.inject("tor-b:2", make.rarp(MAC).with_vlans(number))
    until(lambda: len(unannounced(site)) > known)
    moved = site.until_state(unannounced(site)[-1]["id"], "committed")
    assert moved["reason"] == "unannounced, seen at tor-b:2"
    assert [row["state"] for row in moved["timeline"]] == ["preparing", "prepared", "activated", "committed"]
    assert site.rest.get("/v1/vms/w1")["server"] == "srv-b1"
    assert wire.questions(ARP)[0][ARP].pdst == "10.1.0.11"
    assert wire.questions(ICMPv6ND_NS)[0][ICMPv6ND_NS].tgt == "2001:db8:1::b"
    wire.close()
    site.until_right()


@pytest.mark.parametrize("family", ["ARP", "ND"])
def test_an_answer_from_the_old_place(site: Site, tmp_path: Path, family: str) -> None:
    """The answer has a second to come. On a machine that is too busy for that the VM goes, and another one is tried."""
    populate(site)
    kind: Any = ARP if family == "ARP" else ICMPv6ND_NS
    for host in (21, 22, 23, 24) if family == "ARP" else (31, 32, 33, 34):
        name, own = f"x{host}", nic_mac("web", host)
        home = site.put_vm(name, "srv-a1", nic("web", host))["interfaces"][0]["vlan_id"]
        before = {switch: site.has(switch) for switch in site.bridges}
        wire = Wire(site, "tor-a:1", tmp_path / f"{family}-{host}.pcap", own)
        site.inject("tor-b:1", make.gratuitous_arp(own, nic_ip("web", host)).with_vlans(home))
        (asked, *_) = until(partial(wire.questions, kind))
        answer: Packet = make.arp_reply(own, nic_ip("web", host), GATEWAY_MAC, GATEWAY_IP)
        if family == "ND":
            answer = make.neighbour_advertisement(own, nic_ip6(host), GATEWAY_MAC, int(IPv6Address(asked["IPv6"].src)))
        site.inject("tor-a:1", answer.with_vlans(home))
        wire.close()
        until(partial(decided, site, name))
        if told(site, name):
            break
    assert "the VM answers at its place" in told(site, name)[-1]
    site.until_right()
    assert site.rest.get("/v1/migrations", vm=name)["items"] == []
    assert site.rest.get(f"/v1/vms/{name}")["server"] == "srv-a1"
    assert {switch: site.has(switch) for switch in site.bridges} == before


def decided(site: Site, name: str) -> bool:
    return bool(told(site, name)) or site.rest.get(f"/v1/vms/{name}")["server"] != "srv-a1"


def told(site: Site, name: str) -> list[str]:
    """What was refused of a VM's moves."""
    return [line for line in said(site, "refused.move") if f" vm={name} " in line]


def test_elsewhere_it_is_refused_and_no_switch_is_told(site: Site) -> None:
    populate(site)
    listener = site.listen()
    refused = len(said(site, "refused.move"))
    site.inject("tor-a:2", make.rarp(MAC))  # rack-a does not accept
    until(lambda: len(said(site, "refused.move")) > refused)
    assert "the VM is neither placed nor prepared here" in said(site, "refused.move")[-1]
    assert listener.changes() == 0
    listener.stop()
    assert site.rest.get("/v1/vms/w1")["server"] == "srv-a1"


@pytest.mark.parametrize("delivery", ["at_pause", "early", "on_activation"])
def test_an_early_announcement_is_told_and_changes_nothing(site: Site, delivery: str) -> None:
    populate(site)
    begun = site.move("w1", "srv-c1", activate_on="request", delivery=delivery)
    (leg,) = begun["interfaces"]
    listener, known = site.listen(), len(said(site, "migration.announced"))

    def announced() -> bool:
        """Told at most once a second, so the first of its frames may not be."""
        site.inject("tor-c:1", make.rarp(MAC).with_vlans(leg["to_vlan_id"]))
        return len(said(site, "migration.announced")) > known

    until(announced)
    assert begun["id"] in said(site, "migration.announced")[-1]
    assert listener.changes() == 0
    listener.stop()
    assert site.migration(begun["id"])["state"] == "prepared"
    site.rest.post(f"/v1/migrations/{begun['id']}/activate")
    site.until_state(begun["id"], "committed")
    site.until_right()


def test_a_cold_move_lets_the_vm_speak_first_and_copies_nothing(site: Site, tmp_path: Path) -> None:
    """The DHCP request by which it starts reaches its peer. Nothing for it came to its target before."""
    populate(site)
    mine, tags = nic_mac("web", 13), site.rest.get("/v1/vms/w1")["interfaces"][0]["vlan_id"]
    begun = site.move("w3", "srv-a2", mode="cold", delivery="on_activation")
    at_peer, at_target = tmp_path / "peer.pcap", tmp_path / "target.pcap"
    peer, target = Wire(site, "tor-a:1", at_peer), Wire(site, "tor-a:2", at_target)
    to_it = make.udp(mine, MAC, nic_ip("web", 13), IP).with_vlans(tags)
    site.inject("tor-a:1", to_it)
    site.inject("tor-a:2", make.udp((1 << 48) - 1, mine, 0xFFFFFFFF, 0, 67, 68))
    heard = until(lambda: [row for row in _frames(at_peer) if mac(row.src) == mine])
    assert heard[0]["UDP"].dport == 67
    assert [row for row in _frames(at_target) if mac(row.dst) == mine] == []
    site.until_state(begun["id"], "committed")
    site.inject("tor-a:1", to_it)
    until(lambda: [row for row in _frames(at_target) if mac(row.dst) == mine])
    peer.close()
    target.close()
    site.until_right()


def _frames(file: Path) -> list[Any]:
    return list(rdpcap(str(file))) if file.exists() and file.stat().st_size > 24 else []
