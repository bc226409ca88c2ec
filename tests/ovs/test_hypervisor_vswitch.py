"""A hypervisor's Open vSwitch that has learned a VM's MAC at the cable, and the flows that carry its frames to the tap."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.hypervisor.domains import Card, Domain, Tag
from ryu_vmmob.hypervisor.forwarding import LEARNED_SECONDS, Forwarding
from ryu_vmmob.hypervisor.vswitch import OpenVSwitch, SwitchError

MAC, PEER = "02:00:00:00:01:0b", "02:00:00:00:01:62"
BRIDGE = "server"
TAPS: dict[str, Tag] = {"tap0": 500, "tap1": 500, "tap2": 600, "plain0": None, "plain1": None}
CABLE, PORTS = 1, {"cable": 1, "tap0": 2, "tap1": 3, "tap2": 4, "plain0": 5, "plain1": 6}


@pytest.fixture
def switch(ovs: PrivateOvs) -> Iterator[OpenVSwitch]:
    change = ["add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, "datapath_type=dummy", "protocols=OpenFlow13"]
    for name, number in PORTS.items():
        change += ["--", "add-port", BRIDGE, name]
        change += [f"tag={TAPS[name]}"] if TAPS.get(name) is not None else []
        change += ["--", "set", "Interface", name, "type=dummy", f"ofport_request={number}"]
    ovs.vsctl(*change)
    with ovs.activated():
        yield OpenVSwitch()
    ovs.vsctl("del-br", BRIDGE)


def reaches(ovs: PrivateOvs, port: str, vlan: int | None) -> set[int]:
    """The ports that a frame of the peer for the VM is sent to."""
    tag = "" if vlan is None else f",dl_vlan={vlan}"
    said = ovs.appctl("ofproto/trace", BRIDGE, f"in_port={port},dl_src={PEER},dl_dst={MAC}{tag}", "-generate")
    (actions,) = re.findall(r"^Datapath actions: (.*)$", said, re.M)
    names = {number: name for name, number in re.findall(r"^ +(\w+) \d+/(\d+): \(dummy\)", ovs.appctl("dpif/show"), re.M)}
    return {PORTS[names[number]] for number in re.findall(r"(?<![\w(=])\d+(?![\w)=])", actions)}


def learned_at_the_cable(ovs: PrivateOvs, vlan: int) -> None:
    ovs.appctl("fdb/add", BRIDGE, "cable", str(vlan), MAC)


def domain(device: str) -> Domain:
    return Domain("web1", "u", (Card(MAC, device, None, True),))


@pytest.mark.parametrize(("device", "vlan", "beside"), [("tap0", 500, "tap1"), ("plain0", None, "plain1")])
def test_frames_of_the_cable_go_to_the_tap_and_those_of_neighbours_where_it_speaks(
    ovs: PrivateOvs, switch: OpenVSwitch, device: str, vlan: int | None, beside: str
) -> None:
    learned_at_the_cable(ovs, vlan or 0)
    assert reaches(ovs, "cable", vlan) == set()  # what a learning switch does, and the reason for all this
    assert reaches(ovs, beside, None) == {CABLE}
    forwarding = Forwarding(switch)
    forwarding.open("web1", domain(device), [domain(device), domain(beside)])
    assert reaches(ovs, "cable", vlan) == {PORTS[device]}
    assert reaches(ovs, beside, None) == {CABLE}
    forwarding.settle("web1", domain(device), [domain(device), domain(beside)])
    assert f"hard_timeout={LEARNED_SECONDS}" in ovs.ofctl("dump-flows", BRIDGE)
    assert reaches(ovs, "cable", vlan) == {PORTS[device]}
    forwarding.close("web1")
    assert reaches(ovs, "cable", vlan) == set()
    assert ovs.ofctl("dump-flows", BRIDGE).count("actions=") == 1


def test_a_guest_with_tags_of_its_own(ovs: PrivateOvs, switch: OpenVSwitch) -> None:
    ovs.vsctl("clear", "Port", "tap2", "tag", "--", "set", "Port", "tap2", "trunks=600")
    learned_at_the_cable(ovs, 600)
    assert reaches(ovs, "cable", 600) == set()
    Forwarding(switch).open("web1", domain("tap2"), [domain("tap2")])
    assert reaches(ovs, "cable", 600) == {PORTS["tap2"]}


def test_another_vlan_is_none_of_its_business(ovs: PrivateOvs, switch: OpenVSwitch) -> None:
    learned_at_the_cable(ovs, 600)
    Forwarding(switch).open("web1", domain("tap0"), [domain("tap0")])
    assert reaches(ovs, "cable", 600) == set()


def test_flows_of_an_earlier_run_go_and_those_of_others_stay(ovs: PrivateOvs, switch: OpenVSwitch) -> None:
    Forwarding(switch).open("web1", domain("tap0"), [domain("tap0")])
    assert switch.is_only_learning(BRIDGE)
    ovs.ofctl("add-flow", BRIDGE, "cookie=0x5,priority=9,actions=drop")
    assert not switch.is_only_learning(BRIDGE)
    Forwarding(switch).start()
    shown = ovs.ofctl("dump-flows", BRIDGE)
    assert "cookie=0x5" in shown
    assert shown.count("actions=") == 2
    forwarding = Forwarding(switch)
    forwarding.open("web1", domain("tap0"), [domain("tap0")])
    assert ovs.ofctl("dump-flows", BRIDGE).count("actions=") == 2


def test_places(ovs: PrivateOvs, switch: OpenVSwitch) -> None:
    assert {name: switch.place_of(name) for name in TAPS} == {name: (BRIDGE, tag) for name, tag in TAPS.items()}
    assert switch.place_of("cable") == (BRIDGE, None)
    ovs.vsctl("set", "Port", "tap2", "vlan_mode=native-tagged", "trunks=600")
    assert switch.place_of("tap2") == (BRIDGE, "trunk")
    with pytest.raises(SwitchError, match="no port named nosuch"):
        switch.place_of("nosuch")
    assert set(switch.ports(BRIDGE)) == set(PORTS)
    assert BRIDGE in switch.bridges()
