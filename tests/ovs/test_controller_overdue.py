"""A controller that was away for longer than a move's time, on real switches: it hears the network before it closes a place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import ARP

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.sim import packet as make
from tests.ovs.port_capture import Wire
from tests.support.controller import Site, nic, nic_ip, nic_mac, until

MAC, IP = nic_mac("web", 11), nic_ip("web", 11)
GATEWAY_MAC, GATEWAY_IP = mac("02:00:5e:00:00:01"), nic_ip("web", 1)
TIMEOUT = 3.0


def prepared(site: Site) -> Any:
    """A move whose time is short."""
    site.put_cugs()
    site.put_vm("w1", "srv-a1", nic("web", 11))
    site.put_vm("w2", "srv-b1", nic("web", 12))
    site.put_vm("w9", "srv-c1", nic("web", 19))
    begun = site.move("w1", "srv-c1", timeout=TIMEOUT)
    assert begun["state"] == "prepared"
    return begun


@pytest.mark.parametrize("at", ["new", "old"])
def test_the_vm_is_asked_where_it_is(ovs: PrivateOvs, tmp_path: Path, at: str) -> None:
    """It has said that it goes on, and no controller was there to hear; or it has not gone at all."""
    port = {"new": "tor-c:1", "old": "tor-a:1"}[at]
    with Site(ovs, tmp_path) as site:
        begun = prepared(site)
        site.controller.kill()
        (leg,) = begun["interfaces"]
        number = leg["to_vlan_id" if at == "new" else "from_vlan_id"]
        if at == "new":
            site.inject(port, make.rarp(MAC).with_vlans(number))
        time.sleep(TIMEOUT + 1)
        wire = Wire(site, port, tmp_path / f"{at}.pcap")
        site.start()
        until(lambda: wire.questions(ARP))
        assert site.migration(begun["id"])["state"] == "prepared"
        site.inject(port, make.arp_reply(MAC, IP, GATEWAY_MAC, GATEWAY_IP).with_vlans(number))
        ended = site.until_state(begun["id"], "committed" if at == "new" else "aborted")
        wire.close()
        assert site.rest.get("/v1/vms/w1")["server"] == ("srv-c1" if at == "new" else "srv-a1")
        if at == "old":
            assert ended["reason"] == "not activated within 3 s, and its VM is at its source"
        site.until_right()


def test_a_switch_that_is_away_is_waited_for(ovs: PrivateOvs, tmp_path: Path) -> None:
    """Nobody can know whether the VM runs behind it. An abort is the operator's."""
    with Site(ovs, tmp_path) as site:
        begun = prepared(site)
        site.disconnect("tor-c")
        until(lambda: "migration.overdue" in site.controller.log)
        assert site.migration(begun["id"])["state"] == "prepared"
        assert site.rest.post(f"/v1/migrations/{begun['id']}/abort", {"force": True})["state"] == "aborted"
        site.reconnect("tor-c")
        site.until_right()
