"""Two data centres with routed CUGs and the outside, and what their switches hand to the controller, for the tests of `punt`.

web (10.1.0.0/24, 2001:db8:1::/64) and db (10.2.0.0/24, 2001:db8:2::/64) are in routing domain red; lone (10.3.0.0/24,
2001:db8:3::/64) is in none. web1 is on srv-a1, web2 on srv-c1, db1 on srv-b1 (a LAG), lone1 on srv-a2.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from scapy.layers.l2 import Ether

from ryu_vmmob.fabric import load
from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows.flow import Output, PushVlan, SetField
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import OUTSIDE, SCOPE, SEGMENT, VIA, Table, metadata
from ryu_vmmob.flows.router import router_mac
from ryu_vmmob.flows.segment import into
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local, mac, mac_text
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import Outcome, PacketOut, Punted
from tests.support.commands import cug, start, vm

DCS = load(Path(__file__).parents[2] / "etc" / "two-dcs.yaml")
GATEWAY_MAC = mac(DCS.gateway_mac)
GATEWAY_LOCAL = str(ip_address(eui64_link_local(GATEWAY_MAC)))
HOP_1, HOP_2 = 0x02AA00000001, 0x02AA00000002
"""MACs of the next hops of internet-1 and internet-2."""
HOPS = (
    NeighbourHeard("internet-1", ip_address("192.0.2.254"), HOP_1),
    NeighbourHeard("internet-1", ip_address("2001:db8:ffff::fe"), HOP_1),
    NeighbourHeard("internet-2", ip_address("198.51.100.254"), HOP_2),
    NeighbourHeard("internet-2", ip_address("2001:db8:fffe::fe"), HOP_2),
)


def nic(cug_name: str, number: int, host: int) -> Interface:
    """Host ``host`` of a CUG, dual stack."""
    ips = (ip_address(f"10.{number}.0.{host}"), ip_address(f"2001:db8:{number:x}::{host}"))
    return Interface(cug_name, 0x020000000000 | number << 8 | host, ips)


WEB1, WEB2, DB1, LONE1 = nic("web", 1, 11), nic("web", 1, 12), nic("db", 2, 11), nic("lone", 3, 11)
CUGS = (cug("web", 1, routing_domain="red"), cug("db", 2, routing_domain="red"), cug("lone", 3))
VMS = (vm("web1", "srv-a1", WEB1), vm("web2", "srv-c1", WEB2), vm("db1", "srv-b1", DB1), vm("lone1", "srv-a2", LONE1))


def dcs(*more: Any, fabric: Fabric = DCS) -> State:
    """The sample with all next hops known, and then these commands."""
    return start(fabric, *CUGS, *VMS, *HOPS, *more)


def plain(fabric: Fabric) -> Fabric:
    """The same fabric, of switches that know OpenFlow 1.3 and nothing else."""
    switches = {name: replace(row, dialect=Dialect.OPENFLOW13) for name, row in fabric.switches.items()}
    return replace(fabric, switches=switches)


def from_member(state: State, cug_name: str) -> int:
    """Metadata of a frame of a member on this switch."""
    return into(state, state.cugs[cug_name])[0]


def from_edge(state: State) -> int:
    """Metadata of a packet that came over the routed segment of red."""
    key = state.routing_domains["red"].key
    return metadata(segment=SEGMENT.of(key), scope=SCOPE.of(key), via=VIA.of(1))[0]


def from_outside(state: State) -> int:
    """Metadata of a packet that came from an external network of red."""
    return metadata(scope=SCOPE.of(state.routing_domains["red"].key), outside=OUTSIDE.of(1))[0]


def ether(dst: int, src: int) -> Any:
    """Scapy's Ethernet header."""
    return Ether(dst=mac_text(dst), src=mac_text(src))


def ask(
    state: State, where: str, meta: int, table: Table, frame: Any, *, ttl_invalid: bool = False, owner: str = "switch"
) -> list[Outcome]:
    """What follows when ``switch:port`` hands over a frame of Scapy's."""
    switch, _, port = where.partition(":")
    return answer(state, Punted(switch, int(port), meta, table, Owner(OwnerKind(owner)), bytes(frame), ttl_invalid))


def sent(outcomes: list[Outcome]) -> tuple[str, Any]:
    """The one packet that is sent: (``switch:port`` or ``switch:port/tag``, the frame as Scapy reads it)."""
    (out,) = outcomes
    assert isinstance(out, PacketOut)
    return place(out), Ether(out.frame)


def place(out: PacketOut) -> str:
    """Where a packet leaves: ``switch:port``, with ``/tag`` if it gets one."""
    tag = ""
    for action in out.actions:
        match action:
            case PushVlan():
                pass
            case SetField(name="vlan_vid", value=value):
                tag = f"/{value & 0xFFF}"
            case Output(port=port):
                return f"{out.switch}:{port}{tag}"
            case _:
                return f"{out.switch}:{action}"
    raise AssertionError(f"{out} leaves nowhere")


def at(state: State, name: str, server: str | None = None) -> str:
    """Where what is for the first interface of a VM leaves, at its placement or at another server where it has a seat."""
    found = state.fabric.servers[server or state.vms[name].server]
    tag = state.vnic_vlan_id(state.vms[name], 0, found.name)
    return f"{found.attach[0]}" if tag is None else f"{found.attach[0]}/{tag}"


def mine(state: State, switch: str) -> int:
    """The router MAC of an edge."""
    return router_mac(state, switch)
