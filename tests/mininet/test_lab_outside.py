"""The laboratory's world outside, its guests that tag, and what its probes see of routed packets. No controller takes part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.mininet import ways
from tests.support.laboratory import MISSING, ROOT

if TYPE_CHECKING or not MISSING:
    from mininet_topos.lab import Lab
    from mininet_topos.observers import TcpProbe, look_at_wires, route, sniffing
    from mininet_topos.processes import ChildError
    from mininet_topos.servers import Interface, Vm
    from mininet_topos.traffic import Stream, Traffic

GATEWAYS = ("10.1.0.1", "2001:db8:1::1")
VLAN_ID, UP, ACROSS = 110, 2001, 3001
BORDERS = {"internet-1": "02:ff:00:00:00:11", "internet-2": "02:ff:00:00:00:13"}  # MACs that outside has of them
TOR = "02:ff:00:00:00:0a"


def _tag(vlan_id: int) -> str:
    return f"push_vlan:0x8100,set_field:{vlan_id | 0x1000}->vlan_vid"


def _to_outside(mac: str) -> str:
    return f"pop_vlan,set_field:{mac}->eth_dst,dec_ttl,output:10"


def _program(lab: Lab, vm: Vm) -> None:
    """web on srv-a1; what it sends leaves by border-1; both borders let in, the second one by way of the first."""
    mac = vm.interfaces[0].mac
    gateway = lab.fabric.gateway_mac
    macs = {name: one.run("cat", f"/sys/class/net/{one.device}/address").strip() for name, one in lab.outside.items()}
    down = f"set_field:{UP | 0x1000}->vlan_vid,output:1"
    inward = f"set_field:{BORDERS['internet-1']}->eth_src,set_field:{TOR}->eth_dst,dec_ttl"
    tables = {
        "tor-a": [
            f"in_port=1,dl_vlan={VLAN_ID},dl_dst={gateway},{kind},actions=dec_ttl,set_field:{TOR}->eth_src,"
            f"set_field:{BORDERS['internet-1']}->eth_dst,set_field:{UP | 0x1000}->vlan_vid,output:49"
            for kind in ("ip", "ipv6")
        ] + [
            f"in_port=49,dl_vlan={UP},{kind},actions=dec_ttl,set_field:{gateway}->eth_src,set_field:{mac}->eth_dst,"
            f"set_field:{VLAN_ID | 0x1000}->vlan_vid,output:1"
            for kind in ("ip", "ipv6")
        ],
        "border-1": [
            f"in_port=1,dl_vlan={UP},{kind},actions={_to_outside(macs['internet-1'])}" for kind in ("ip", "ipv6")
        ] + [f"in_port=10,{kind},actions={inward},{_tag(UP)},output:1" for kind in ("ip", "ipv6")]
        + [f"in_port=48,dl_vlan={ACROSS},actions={down}"],
        "border-3": [f"in_port=10,{kind},actions={inward},{_tag(ACROSS)},output:48" for kind in ("ip", "ipv6")],
    }  # fmt: skip
    for switch, table in tables.items():
        lab.ovs.ofctl("--bundle", "replace-flows", lab.bridge(switch), "-", stdin="\n".join(table) + "\n")
    for name, one in lab.outside.items():
        for own in one.external.addresses:
            entry = ("lladdr", BORDERS[name], "dev", one.device, "nud", "permanent")
            one.run("ip", "neighbour", "replace", str(own.ip), *entry)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(ROOT / "etc" / "two-dcs.yaml") as running:
        yield running


@pytest.fixture(scope="module")
def web(lab: Lab) -> Vm:
    interface = Interface("web", "02:00:00:00:01:0b", ("10.1.0.11/24", "2001:db8:1::b/64"), gateways=GATEWAYS)
    vm = lab.add_vm("web", "srv-a1", [interface], [VLAN_ID])
    for gateway in GATEWAYS:
        vm.freeze_neighbour(gateway, lab.fabric.gateway_mac)
    _program(lab, vm)
    return vm


def _streams(lab: Lab, web: Vm) -> list[Stream]:
    return [
        stream for one in lab.outside.values() for version in (4, 6)
        for stream in (Stream(web, one, version), Stream(one, web, version))
    ]  # fmt: skip


def test_the_world_outside_is_one_behind_both_borders(lab: Lab, web: Vm) -> None:
    """Every address is reached over border-1; what is sent from the second one enters at border-3."""
    streams = _streams(lab, web)
    with Traffic(lab, streams) as traffic:
        time.sleep(0.5)
    assert [(r.name, r.lost, r.doubled) for r in traffic.results] == [(s.name, 0, 0) for s in streams], traffic.machine_drops
    with Traffic(lab, streams, rate=50):
        wires = look_at_wires(lab)
    for name, switch in (("internet-1", "border-1"), ("internet-2", "border-3")):
        for version in (4, 6):
            one, address = lab.outside[name], web.address(version=version)
            inward = wires.packets(one.address(version=version), address)
            assert {"tor-a:1=srv-a1", f"{switch}:10={name}"} <= inward.keys()
            outward = wires.packets(address, one.address(version=version))
            assert outward.keys() == {"tor-a:1=srv-a1", "border-1:1=tor-a:49", "border-1:10=internet-1"}
            assert ways.check(lab, wires, one, web, version) == sorted(inward)
            assert ways.check(lab, wires, web, one, version) == sorted(outward)
            assert ways.places(lab, inward) == ({"dc1"} if switch == "border-1" else {"dc1", "dc2"})


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", ["internet-1", "internet-2"])
def test_tcp_from_outside(lab: Lab, web: Vm, name: str, version: int) -> None:
    tcp = TcpProbe(lab.outside[name], web, version)
    time.sleep(0.2)
    account = tcp.stop()
    assert account["ended"] is None
    assert account["echoed"] == account["written"] > 0


@pytest.mark.parametrize("version", [4, 6])
def test_wires_show_ttl_and_macs_of_routed_packets(lab: Lab, web: Vm, version: int) -> None:
    one, gateway, mac = lab.outside["internet-1"], lab.fabric.gateway_mac, web.interfaces[0].mac
    with Traffic(lab, [Stream(one, web, version)], rate=100):
        wires = look_at_wires(lab)
    seen = wires.packets(one.address(version=version), web.address(version=version))
    (last,) = seen["tor-a:1=srv-a1"]
    (between,) = seen["border-1:1=tor-a:49"]
    (first,) = seen["border-1:10=internet-1"]
    assert (first.vlan_id, first.ttl, first.destination) == (None, 64, BORDERS["internet-1"])
    assert between[1:6] == (UP, BORDERS["internet-1"], TOR, last.ethertype, 63)
    assert last[1:6] == (VLAN_ID, gateway, mac, last.ethertype, 62)
    assert last.frames > 10


@pytest.mark.parametrize("version", [4, 6])
def test_the_probe_for_routers_finds_silent_ones_and_the_end(lab: Lab, web: Vm, version: int) -> None:
    """Switches without a controller say nothing when a TTL runs out."""
    target = lab.outside["internet-1"].address(version=version)
    assert route(web, target) == [None, None, target]
    gateway = lab.outside["internet-1"].external.next_hops[version == 6]
    assert route(lab.outside["internet-1"], str(gateway)) == [str(gateway)]  # itself


@pytest.mark.parametrize("way", ["cut", "silence"])
def test_a_dead_next_hop_hears_nothing_and_the_world_goes_round_it(lab: Lab, web: Vm, way: str) -> None:
    one = lab.outside["internet-1"]
    streams = _streams(lab, web)
    getattr(one, way)()
    try:
        with pytest.raises(ChildError, match="nothing arrives of: web > internet-1, web > internet-1"):
            Traffic(lab, streams, rate=50).start()
        inward = [stream for stream in streams if stream.target is web]
        with Traffic(lab, inward, rate=50):
            wires = look_at_wires(lab)
        entered = wires.packets(one.address(), web.address())
        assert "border-3:10=internet-2" in entered
        assert "border-1:10=internet-1" not in entered
    finally:
        one.revive()
        _program(lab, web)
    with Traffic(lab, streams, rate=200) as traffic:
        time.sleep(0.3)
    assert [(r.lost, r.doubled) for r in traffic.results] == [(0, 0)] * len(streams)


def test_forbidden_streams_are_sent_and_not_waited_for(lab: Lab, web: Vm) -> None:
    """Here nothing forbids them, so they arrive, and are counted apart."""
    one = lab.outside["internet-1"]
    lost = Stream(web, lab.outside["internet-2"], forbidden=True)
    streams = [Stream(one, web), Stream(one, web, forbidden=True), lost]
    lab.ovs.ofctl("add-flow", lab.bridge("tor-a"), f"priority=65535,in_port=1,udp,tp_dst={lost.port},actions=drop")
    with Traffic(lab, streams, rate=200) as traffic:
        time.sleep(0.3)
    _program(lab, web)
    allowed, arrived, never = traffic.results
    assert (allowed.lost, arrived.lost) == (0, 0)
    assert (never.received, never.lost) == (0, never.sent)
    assert never.sent > 50


def test_a_guest_that_tags_is_seen_with_its_tag(lab: Lab, web: Vm) -> None:
    plain, tagged = (
        Interface("tags", f"02:00:00:00:09:{n:02x}", (f"10.9.0.{n}/24",), guest_vlan_id=tag) for n, tag in ((1, None), (2, 300))
    )
    pair = [
        lab.add_vm(f"tags-{n}", "srv-a2", [one], [tag]) for n, (one, tag) in enumerate(((plain, 300), (tagged, None)), start=1)
    ]
    server = lab.servers["srv-a2"]
    devices = {vm.name: server.device(vm.name) for vm in pair}
    try:
        with sniffing(devices) as seen, sniffing(lab.link_devices()) as cables:
            pair[0].run("ping", "-c", "3", "-i", "0.1", "-W", "2", pair[1].address())
            pair[1].run("sh", "-c", "ping -c 1 -W 1 10.9.0.99 || true")  # a broadcast, so also to the fabric
        assert seen.vlan_ids() == {"tags-1": {None}, "tags-2": {300}}
        assert {row.direction for row in seen.frames["tags-2"]} == {"in", "out"}
        assert cables.vlan_ids([tagged.mac]).get("tor-a:2=srv-a2") == {300}
        assert pair[1].card()["wrong_tags"] == 0
    finally:
        for vm in pair:
            lab.remove_vm(vm)
