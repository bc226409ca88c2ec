"""Meters on real switches: a flood costs the port and the purpose that it comes by, and nothing else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.tap import Tap
from ryu_vmmob.flows.meters import meters_of
from ryu_vmmob.flows.pipeline import METER_RATES, Meter, meter_id
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim import probes
from tests.support.controller import Site, nic, nic_ip, nic_ip6, nic_mac, until
from tests.support.frames import to_bytes

AT_ONCE = 100
MAC = nic_mac("web", 11)


@pytest.fixture
def lab(ovs: PrivateOvs, tmp_path: Path) -> Iterator[tuple[Site, Tap]]:
    """The example's switches, of which tor-a is listened to; web1 at tor-a:1, web2 at tor-a:2."""
    taps: list[Tap] = []

    def via(port: int) -> dict[str, int]:
        taps.append(Tap(["tor-a"], port))
        return {"tor-a": taps[0].port("tor-a")}

    with Site(ovs, tmp_path, via=via) as site, taps[0]:
        site.put_cugs()
        yield site, taps[0]


def meters(site: Site, switch: str) -> dict[int, int]:
    """(id: rate) of the meters that a real switch has."""
    shown = site.ovs.ofctl("dump-meters", switch)
    return {int(number): int(rate) for number, rate in re.findall(r"meter=(\d+) .*\n.*rate=(\d+)", shown)}


def dropped(site: Site, switch: str, meter: int) -> int:
    """Packets that a meter's band has dropped."""
    shown = site.ovs.ofctl("meter-stats", switch, f"meter={meter}")
    found = re.search(r"bands:\n0: packet_count:(\d+)", shown)
    assert found is not None, shown
    return int(found[1])


def test_a_flood_costs_only_its_own_port_and_purpose(lab: tuple[Site, Tap]) -> None:
    """One port floods with refused frames; refused announcements there, and questions at both ports, get through."""
    site, tap = lab
    assert meters(site, "tor-a") == dict(meters_of(site.fabric, "tor-a"))
    one = site.put_vm("web1", "srv-a1", nic("web", 11))["interfaces"][0]["vlan_id"]
    site.put_vm("web2", "srv-a2", nic("web", 12))
    lie = to_bytes(make.broadcast(MAC, nic_ip("web", 99)).with_vlans(one))
    line, began = tap.line("tor-a"), time.monotonic()
    before = line.packet_ins
    for _ in range(60):
        site.bridges["tor-a"].receive(1, *[lie] * AT_ONCE)
    spent = time.monotonic() - began
    flooded = line.packet_ins - before
    assert 0 < flooded <= METER_RATES[Meter.REFUSALS] * (spent + 2)
    assert dropped(site, "tor-a", meter_id(Meter.REFUSALS, 1)) > 1000

    def shown(port: int, frame: bytes) -> None:
        count = line.packet_ins
        site.bridges["tor-a"].receive(1, *[lie] * AT_ONCE)  # its meter is empty
        taken = line.packet_ins
        site.bridges["tor-a"].receive(port, frame)
        until(lambda: line.packet_ins > max(count, taken), lambda: line.packet_ins)

    # What announces a VM (here of a stranger), and what wants an answer, at the flooded port and at another.
    shown(1, to_bytes(make.rarp(probes.STRANGER_MAC).with_vlans(one)))
    shown(1, to_bytes(make.router_solicitation(MAC, nic_ip6(11)).with_vlans(one)))
    shown(2, to_bytes(make.router_solicitation(nic_mac("web", 12), nic_ip6(12))))
    shown(2, to_bytes(make.broadcast(nic_mac("web", 12), nic_ip("web", 99))))
    for meter, port in ((Meter.ANNOUNCEMENTS, 1), (Meter.ANSWERS, 1), (Meter.ANSWERS, 2), (Meter.REFUSALS, 2)):
        assert dropped(site, "tor-a", meter_id(meter, port)) == 0


def test_a_scan_that_wants_answers_does_not_starve_another_port(lab: tuple[Site, Tap]) -> None:
    """Packets whose TTL is used up, as fast as they can, at one port; at the other a guest asks for its router."""
    site, _ = lab
    site.rest.put("/v1/cugs/web", {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "routing_domain": "red"}, wait=60)
    site.rest.put("/v1/policies/out", {"action": "allow", "from": {"cug": "web"}, "to": {"any": True}}, wait=60)
    one = site.put_vm("web1", "srv-a1", nic("web", 11))["interfaces"][0]["vlan_id"]
    site.put_vm("web2", "srv-a2", nic("web", 12))
    gateway = 0x02005E000001
    scan = to_bytes(make.udp(gateway, MAC, 10 << 24 | 9 << 8 | 9, nic_ip("web", 11)).with_fields(nw_ttl=1).with_vlans(one))
    for _ in range(60):
        site.bridges["tor-a"].receive(1, *[scan] * AT_ONCE)
    assert dropped(site, "tor-a", meter_id(Meter.ANSWERS, 1)) > 1000
    asked = to_bytes(make.router_solicitation(nic_mac("web", 12), nic_ip6(12)))

    def answered() -> bool:
        found = re.search(r"tx pkts=(\d+)", site.ovs.ofctl("dump-ports", "tor-a", "2"))
        assert found is not None
        return int(found[1]) > sent

    found = re.search(r"tx pkts=(\d+)", site.ovs.ofctl("dump-ports", "tor-a", "2"))
    assert found is not None
    sent = int(found[1])
    site.bridges["tor-a"].receive(2, asked)
    until(answered)
    assert dropped(site, "tor-a", meter_id(Meter.ANSWERS, 2)) == 0
