"""The laboratory itself: is what it counts right, and does it clean up after itself? No controller takes part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.mininet import static_fabric
from tests.support.laboratory import MISSING, ROOT

if TYPE_CHECKING or not MISSING:
    from mininet_topos import registry
    from mininet_topos.lab import Lab
    from mininet_topos.observers import TcpProbe, foreign, listening, look_at_wires
    from mininet_topos.servers import Interface, Vm
    from mininet_topos.switchover import switch_over
    from mininet_topos.traffic import Stream, Traffic

PEERS = {"near": "srv-a2", "third": "srv-b2", "beside": "srv-a1", "ahead": "srv-c1"}


def _interface(number: int, cug: str = "blue") -> Interface:
    return Interface(cug, f"02:00:00:00:00:{number:02x}", (f"10.1.0.{number}/24",))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(ROOT / "etc" / "two-dcs.yaml") as running:
        yield running


@pytest.fixture(scope="module")
def vms(lab: Lab) -> dict[str, Vm]:
    found = {}
    for number, (name, server) in enumerate({"mover": "srv-a1", **PEERS}.items(), start=1):
        found[name] = lab.add_vm(name, server, [_interface(number)], [static_fabric.vlan_id(lab, server)])
    for one in found.values():
        for other in found.values():
            if one is not other:
                one.freeze_neighbour(other.address(), other.interfaces[0].mac)
    return found


def _places(vms: dict[str, Vm], **elsewhere: str) -> dict[str, set[str]]:
    return {vm.interfaces[0].mac: {elsewhere.get(name, vm.server)} for name, vm in vms.items()}


class _Switches:
    """What a controller does at the pause, by hand: all frames go to the target, late ones are sent there."""

    def __init__(self, lab: Lab, vms: dict[str, Vm], to: str) -> None:
        self.lab, self.vms, self.to = lab, vms, to

    def deliver(self) -> None:
        old = self.lab.fabric.servers[self.vms["mover"].server].switch
        static_fabric.install(self.lab, _places(self.vms, mover=self.to), last=old)

    def send_on(self, interface: int, frames: Sequence[bytes]) -> int:
        assert interface == 0
        there = self.lab.fabric.servers[self.to]
        tag = (static_fabric.vlan_id(self.lab, self.to) or 0) | 0x1000
        out = f"push_vlan:0x8100,set_field:{tag}->vlan_vid,output:{there.attach[0].port}"
        orders = [f"packet-out in_port=controller packet={frame.hex()} actions={out}" for frame in frames]
        self.lab.ovs.ofctl("bundle", self.lab.bridge(there.switch), "-", stdin="\n".join(orders) + "\n")
        return len(frames)


def _move(lab: Lab, vms: dict[str, Vm], to: str) -> dict[str, Any]:
    mover = vms["mover"]
    before = mover.server
    lab.prepare_server(mover, to, [static_fabric.vlan_id(lab, to)])
    done = switch_over(lab, mover, to, _Switches(lab, vms, to), pause=0.1)
    lab.release_server(mover, before)
    return done


def test_ports_and_datapath_ids_are_those_of_the_file(lab: Lab) -> None:
    for name, switch in lab.fabric.switches.items():
        said = lab.ovs.ofctl("show", lab.bridge(name))
        assert f"dpid:{switch.dpid:016x}" in said
        for link in lab.fabric.links_of[name]:
            end = link.end_at(name)
            assert f" {end.port}({lab.device(end)}):" in said


def test_a_move_under_traffic_loses_and_doubles_nothing(lab: Lab, vms: dict[str, Vm]) -> None:
    static_fabric.install(lab, _places(vms))
    # neighbours in one VLAN of one server are its own switch's business
    streams = [s for peer in ("near", "third") for s in (Stream(vms["mover"], vms[peer]), Stream(vms[peer], vms["mover"]))]
    traffic = Traffic(lab, streams, rate=250)
    tcp = TcpProbe(vms["mover"], vms["third"])
    with traffic:
        moves = [_move(lab, vms, to) for to in ("srv-c1", "srv-a1")]
    account = tcp.stop()
    print(moves, *traffic.results, sep="\n")
    counted = {(r.name, r.lost, r.doubled) for r in traffic.results}
    assert counted == {(s.name, 0, 0) for s in streams}, f"the machine itself dropped: {traffic.machine_drops}"
    assert [move["sent_on"] > 0 and move["pause_ms"] >= 100 for move in moves] == [True, True]
    assert account["ended"] is None
    assert account["out_of_order"] == 0
    assert account["echoed"] == account["written"] > 0


def test_copies_before_the_pause_are_stale_doubles(lab: Lab, vms: dict[str, Vm]) -> None:
    """The card keeps what comes to a place where the guest does not run yet, as QEMU's tap does."""
    mover = vms["mover"]
    static_fabric.install(lab, _places(vms))
    lab.prepare_server(mover, "srv-d1", [static_fabric.vlan_id(lab, "srv-d1")])
    with Traffic(lab, [Stream(vms["third"], mover)], rate=200) as traffic:
        both = _places(vms)
        both[mover.interfaces[0].mac].add("srv-d1")
        static_fabric.install(lab, both)
        time.sleep(0.5)
        lab.flip(mover, "srv-d1")
        static_fabric.install(lab, _places(vms))
    lab.flip(mover, "srv-a1")
    static_fabric.install(lab, _places(vms))
    lab.release_server(mover, "srv-d1")
    (result,) = traffic.results
    print(result)
    assert result.doubled > 50
    assert result.reordered > 0


def test_a_guest_that_is_paused_neither_sends_nor_hears(lab: Lab, vms: dict[str, Vm]) -> None:
    mover, near = vms["mover"], vms["near"]
    static_fabric.install(lab, _places(vms))
    streams = [Stream(mover, near), Stream(near, mover)]
    with Traffic(lab, streams, rate=200) as traffic:
        mover.nic.ask({"op": "pause"})
        before = traffic.counts()
        time.sleep(0.3)
        after = traffic.counts()
        kept = mover.nic.ask({"op": "rescue"})["frames"]
        lab.flip(mover, "srv-a1")
    assert after[1] == before[1]
    assert len(kept) > 30
    sent, heard = traffic.results
    assert (sent.lost, sent.doubled) == (0, 0)  # they waited in the guest
    assert heard.doubled == 0
    assert heard.lost >= len(kept)


def test_a_loss_is_counted(lab: Lab, vms: dict[str, Vm]) -> None:
    static_fabric.install(lab, _places(vms))
    traffic = Traffic(lab, [Stream(vms["near"], vms["mover"]), Stream(vms["third"], vms["mover"])], rate=200)
    mover = vms["mover"].interfaces[0].mac
    with traffic:
        lab.ovs.ofctl("add-flow", lab.bridge("tor-b"), f"priority=99,dl_dst={mover},actions=drop")
        time.sleep(0.3)
        lab.ovs.ofctl("--strict", "del-flows", lab.bridge("tor-b"), f"priority=99,dl_dst={mover}")
        time.sleep(0.3)
    near, third = traffic.results
    assert near.lost == 0
    assert third.lost > 10
    assert third.longest_gap > third.lost * 5 * 0.8  # one packet every 5 ms


def test_a_double_is_counted(lab: Lab, vms: dict[str, Vm]) -> None:
    places = _places(vms)
    static_fabric.install(lab, places)
    traffic = Traffic(lab, [Stream(vms["near"], vms["mover"])], rate=200)
    mover = vms["mover"].interfaces[0].mac
    flow = f"priority=99,dl_vlan=110,dl_dst={mover}"
    with traffic:
        lab.ovs.ofctl("add-flow", lab.bridge("tor-a"), f"{flow},actions=output:1,output:1")
        time.sleep(0.3)
        lab.ovs.ofctl("--strict", "del-flows", lab.bridge("tor-a"), flow)
    (result,) = traffic.results
    assert result.lost == 0
    assert result.doubled > 10


def test_wires_show_each_domains_vlan_id(lab: Lab, vms: dict[str, Vm]) -> None:
    static_fabric.install(lab, _places(vms))
    with Traffic(lab, [Stream(vms["mover"], vms["ahead"])], rate=200):
        sniff = look_at_wires(lab, 0.3)
    assert sniff.vlan_ids([vms["mover"].interfaces[0].mac]) == {
        "tor-a:1=srv-a1": {110},
        "border-1:1=tor-a:49": {2001},
        "border-1:48=border-3:48": {3001},
        "border-3:1=tor-c:49": {601},
        "tor-c:1=srv-c1": {510},
    }


def test_cugs_on_one_server_do_not_hear_each_other(lab: Lab, vms: dict[str, Vm]) -> None:
    static_fabric.install(lab, _places(vms))
    red = [lab.add_vm(f"red{n}", "srv-a1", [_interface(100 + n, "red")], [111]) for n in (1, 2)]
    members = {
        "blue": [vm.interfaces[0].mac for vm in vms.values()],
        "red": [vm.interfaces[0].mac for vm in red],
    }
    try:
        with listening(red[1]) as heard, listening(vms["beside"]) as also_heard:
            red[0].run("ping", "-c", "3", "-i", "0.1", "-W", "2", red[1].address())  # with ARP, so broadcast
            vms["mover"].run("ping", "-c", "3", "-i", "0.1", "-W", "2", vms["beside"].address())
            subprocess.run(["mnexec", "-a", str(vms["mover"].pid), "ping", "-c", "1", "-W", "1", red[1].address()], check=False)
        assert heard.count(members["red"])["eth0"] >= 6
        assert foreign(red[1], heard, members) == {}
        assert also_heard.count([vms["mover"].interfaces[0].mac])["eth0"] >= 6
        assert foreign(vms["beside"], also_heard, members) == {}
        assert foreign(vms["beside"], also_heard, {**members, "blue": []})  # the check can fail
    finally:
        for vm in red:
            lab.remove_vm(vm)


CRASH = """
import signal, sys
from mininet_topos.lab import Lab
from mininet_topos.servers import Interface
lab = Lab(sys.argv[1]).start()
vm = lab.add_vm("x", "srv-a1", [Interface("blue", "02:00:00:00:00:01", ("10.1.0.1/24",))], [110])
print(lab.ovs.run_dir, vm.nic.pid, vm.pid, *lab.ovs.pids, flush=True)
signal.pause()
"""


def test_a_crashed_run_is_cleaned_up(lab: Lab) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(ROOT / "etc" / "one-dc.yaml")], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert child.stdout is not None
    run_dir, *numbers = child.stdout.readline().split()
    assert all(registry.start_time(int(pid)) is not None for pid in numbers)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 20
    while any(registry.start_time(int(pid)) is not None for pid in numbers):
        assert time.monotonic() < deadline, "processes outlived their laboratory"
        time.sleep(0.05)
    registry.clean()
    assert not Path(run_dir).exists()
    known = {record.run_dir for record in registry.records()}
    assert run_dir not in known
    assert str(lab.ovs.run_dir) in known  # the living one is left alone
    assert lab.ovs.pids
