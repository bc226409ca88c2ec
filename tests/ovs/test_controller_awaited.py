"""Who makes a VM arrive, on real switches: an admitted frame and no other, and of a flood of them the controller sees a few."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.tap import Tap
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import Copy, Flow, Output, match
from ryu_vmmob.flows.pipeline import METER_RATES, Meter, Table
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.packet import Packet
from tests.support.bridges import MakeBridge
from tests.support.controller import FABRICS, Site, nic, nic_ip, nic_mac, until
from tests.support.frames import to_bytes

MAC, IP, FALSE_IP = nic_mac("web", 11), nic_ip("web", 11), nic_ip("web", 99)
EVERYBODY = (1 << 48) - 1
FRAMES, AT_ONCE = 20_000, 100
ODD = Packet({"eth_dst": EVERYBODY, "eth_src": MAC, "eth_type": 0x9999})
FORGED = {"RARP": make.rarp(MAC), "an announcement": make.gratuitous_arp(MAC, IP), "a packet": make.broadcast(MAC, IP)}
"""What only the VM itself may say, and a neighbour behind the same wire can feign."""


def fabric(directory: Path, tagging: str) -> str:
    """The example, with servers that tag in one way."""
    text = (FABRICS / "example.yaml").read_text()
    for server, port in (("srv-a1", "tor-a:1"), ("srv-c1", "tor-c:1")):
        row = f'{server}: {{attach: "{port}", tagging: {tagging}}}'
        text, number = re.subn(rf'{server}: \{{attach: "{port}"[^}}]*\}}', row, text)
        assert number == 1
    (directory / "fabric.yaml").write_text(text)
    return str(directory / "fabric.yaml")


@contextmanager
def running(ovs: PrivateOvs, directory: Path, tagging: str) -> Iterator[tuple[Site, Tap]]:
    """A site whose switch tor-c is listened to."""
    taps: list[Tap] = []

    def via(port: int) -> dict[str, int]:
        taps.append(Tap(["tor-c"], port))
        return {"tor-c": taps[0].port("tor-c")}

    with Site(ovs, directory, fabric(directory, tagging), via=via) as site, taps[0]:
        yield site, taps[0]


@pytest.fixture(scope="module", params=["per_cug", "per_interface"])
def lab(request: pytest.FixtureRequest, ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running(ovs, tmp_path_factory.mktemp(request.param), request.param) as (site, tap):
        yield site, tap, request.param


@pytest.fixture
def parts(lab: Any) -> Iterator[tuple[Site, Tap, str, int]]:
    """web1 on srv-a1, and web5 on srv-c1, to which web1 will move; the tag under which web5 speaks there."""
    site, tap, tagging = lab
    site.put_cugs()
    site.put_vm("web1", "srv-a1", nic("web", 11))
    tag = site.put_vm("web5", "srv-c1", nic("web", 15))["interfaces"][0]["vlan_id"]
    yield site, tap, tagging, tag
    site.clear()


def said(site: Site, kind: str) -> int:
    """How many events of a kind the controller's log tells of."""
    return len(re.findall(rf"\b{re.escape(kind)} ", site.controller.log))


def test_what_admission_refuses_makes_no_vm_arrive(parts: tuple[Site, Tap, str, int]) -> None:
    """The neighbour sends frames with the VM's MAC that the VM itself may not send."""
    site, _, _, tag = parts
    id_ = site.move("web1", "srv-c1")["id"]
    site.until_state(id_, "prepared")
    site.inject("tor-c:1", ODD.with_vlans(tag))
    site.inject("tor-c:1", make.gratuitous_arp(MAC, FALSE_IP).with_vlans(tag))
    until_looked_at(site, tag)
    assert site.migration(id_)["state"] == "prepared"


def until_looked_at(site: Site, tag: int) -> None:
    """The controller has seen all that came in before: what a switch shows comes in its order, and a lie is reported.

    The lie is an address that is not the VM's. One frame a second of one sender is reported, so it is sent again and again.
    """
    told = said(site, "refused.spoofing")

    def is_told() -> bool:
        site.inject("tor-c:1", make.broadcast(MAC, FALSE_IP).with_vlans(tag))
        return said(site, "refused.spoofing") > told

    until(is_told)


@pytest.mark.parametrize("what", FORGED)
def test_a_neighbour_passes_for_the_vm_behind_one_wire_only(parts: tuple[Site, Tap, str, int], what: str) -> None:
    """Behind one wire it passes for the VM, until the VM itself speaks at its place; behind a wire of its own it does not."""
    site, _, tagging, tag = parts
    before = said(site, "migration.conflict")
    id_ = site.move("web1", "srv-c1")["id"]
    site.until_state(id_, "prepared")
    home = next(row["vlan_id"] for row in site.rest.get("/v1/vms/web1")["interfaces"])
    site.inject("tor-c:1", FORGED[what].with_vlans(tag))
    if tagging == "per_interface":
        until_looked_at(site, tag)
        assert site.migration(id_)["state"] == "prepared"
        return
    site.until_state(id_, "activated")
    site.inject("tor-a:1", make.broadcast(MAC, IP).with_vlans(home))
    row = site.until_state(id_, "aborted")
    assert row["reason"] == "VM web1 still speaks at srv-a1 after it was seen at srv-c1"
    assert site.rest.get("/v1/vms/web1")["server"] == "srv-a1"
    assert said(site, "migration.conflict") == before + 1
    site.until_right()


def test_a_flood_of_a_watched_vm_reaches_the_controller_in_drops(parts: tuple[Site, Tap, str, int]) -> None:
    """It speaks at its target as fast as it can, and waits to be activated by request."""
    site, tap, _, _ = parts
    row = site.move("web1", "srv-c1", activate_on="request", commit="request")
    site.until_state(row["id"], "prepared")
    frame = to_bytes(make.rarp(MAC).with_vlans(row["interfaces"][0]["to_vlan_id"]))
    line = tap.line("tor-c")
    before, began = line.packet_ins, time.monotonic()
    for _ in range(FRAMES // AT_ONCE):
        site.bridges["tor-c"].receive(1, *[frame] * AT_ONCE)
    site.put_vm("web6", "srv-c1", nic("web", 16))  # which this switch confirms behind all that it had to say before
    most = METER_RATES[Meter.WATCHED] * (time.monotonic() - began + 2)
    assert 0 < line.packet_ins - before <= most
    until(lambda: said(site, "migration.announced") > 0)
    assert site.migration(row["id"])["state"] == "prepared"


@pytest.mark.parametrize("meter", [Meter.AWAITED, Meter.WATCHED])
def test_what_the_meter_drops_is_the_copy_and_not_the_frame(bridge: MakeBridge, meter: Meter) -> None:
    made = bridge("metered", 1, 2)
    flow = Flow.undeclared(Table.INGRESS, 1, match(vlan_vid=vid(7)), (Copy(128, meter), Output(2)))
    frame = to_bytes(make.rarp(MAC).with_vlans(7))
    with made.client() as switch:
        assert switch.install([flow]) == []
        # A connection for management hears of packets when it has said how much of them it wants (OFPT_SET_CONFIG).
        switch.transact(struct.pack("!BBHIHH", wire.VERSION, 9, 12, switch.xid(), 0, 128))
        began, shown = time.monotonic(), []
        for _ in range(FRAMES // AT_ONCE):
            made.receive(1, *[frame] * AT_ONCE)
            shown += [message for message in switch.transact() if message.kind == 10]
        most = METER_RATES[meter] * (time.monotonic() - began + 2)
    assert 0 < len(shown) <= most
    assert {struct.unpack_from("!HBBQ", message.body, 4)[3] for message in shown} == {flow.cookie}
    until(lambda: packets(made.ovs, made.name, 2, "tx") == packets(made.ovs, made.name, 1, "rx"))
    assert packets(made.ovs, made.name, 2, "tx") > 10 * len(shown)


def packets(ovs: PrivateOvs, bridge: str, port: int, way: str) -> int:
    """How many a port has received or sent; a dummy device drops what it is given faster than the switch takes it."""
    found = re.search(rf"{way} pkts=(\d+)", ovs.ofctl("dump-ports", bridge, str(port)))
    assert found is not None
    return int(found[1])
