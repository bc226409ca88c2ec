"""Flows that the controller told come back from Open vSwitch byte for byte: what a fast comparison stands on. Needs no root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.raw import RawController
from ryu_vmmob.bench.site import BenchSite
from ryu_vmmob.bench.tap import FLOW_MOD, wait_for
from ryu_vmmob.flows.decode import match

FABRIC = Path(__file__).parents[2] / "etc" / "example.yaml"


def _vm(server: str, cug: str, net: int, number: int) -> dict[str, object]:
    ips = [f"10.{net}.0.{number}", f"2001:db8:{net}::{number:x}"]
    return {"server": server, "interfaces": [{"cug": cug, "mac": f"02:00:00:00:0{net}:{number:02x}", "ips": ips}]}


BODIES: dict[str, Any] = {
    "cugs": {
        name: {"subnets": [f"10.{net}.0.0/24", f"2001:db8:{net}::/64"], "routing_domain": "red"}
        for net, name in enumerate(("web", "db"), start=1)
    },
    "vms": {
        f"{cug}-{server}": _vm(server, cug, net, number)
        for net, cug in enumerate(("web", "db"), start=1)
        for number, server in enumerate(("srv-a1", "srv-a2", "srv-c1"), start=11)
    },
}
POLICIES: dict[str, dict[str, Any]] = {
    "tcp": {"protocol": "tcp", "ports": ["80", "8000-8099"], "replies": True},
    "udp": {"protocol": "udp", "ports": ["53"]},
    "ping": {"protocol": "icmp"},
}


def test_every_flow_comes_back_as_it_was_told(ovs: PrivateOvs) -> None:
    ends = {"priority": 100, "action": "allow", "from": {"cug": "web"}, "to": {"cug": "db"}}
    with BenchSite(FABRIC, ["tor-a"]) as site:
        site.load({**BODIES, "policies": {name: {**ends, **body} for name, body in POLICIES.items()}})
        line = site.connect("tor-a")
        wait_for(lambda: line.commits > 0, "the bridge is not filled")
        site.disconnect("tor-a")
        told = {message[8:16]: message[48:] for message in line.messages() if message[1] == FLOW_MOD}
        with RawController() as raw:
            site.point("tor-a", f"tcp:127.0.0.1:{raw.port}")
            _, bodies = raw.read_flows()
    back = {}
    for body in bodies:
        offset = 0
        while offset < len(body):
            size = int.from_bytes(body[offset : offset + 2], "big")
            back[body[offset + 24 : offset + 32]] = body[offset + 48 : offset + size]
            offset += size
    assert len(back) > 150
    differing = {cookie.hex(): (match(told[cookie]), match(back[cookie])) for cookie in told if told[cookie] != back[cookie]}
    assert differing == {}
    assert back.keys() == told.keys()
    seen = {name for body in back.values() for name, _, _ in match(body)}
    assert seen >= {"tcp_dst", "tcp_flags", "udp_dst", "nw_ttl", "vlan_vid", "arp_sha", "ipv6_nd_target", "metadata"}
