"""What a hypervisor's events and domains come to: the rules without any I/O, over libvirt's own numbers and XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.hypervisor.catch_up import Activate, Claim, Complaint, Mend, TakeBack, compare, taps
from ryu_vmmob.hypervisor.domains import Card, Domain, read_domain
from ryu_vmmob.hypervisor.handover import STOP_IS_FRESH, Happening, Step, paused_at, step_after, under_way
from ryu_vmmob.hypervisor.libvirt_events import happening
from ryu_vmmob.hypervisor.readers import is_read_by_qemu

MAC = "02:00:00:00:00:0b"


def move(state: str, source: str = "a", target: str = "b") -> dict[str, Any]:
    legs = [{"cug": "web", "from_vlan_id": 100, "to_vlan_id": 500}]
    return {"id": "m-1", "vm": "web1", "from": source, "to": target, "state": state, "interfaces": legs}


STATES = ("preparing", "prepared", "activated", "committed", "aborted", "failed")


@pytest.mark.parametrize(
    ("happened", "source", "target", "elsewhere"),
    [
        # for each state of STATES: d(eliver), c (activate), x (abort), -
        (Happening.ARRIVING, "------", "------", "------"),
        (Happening.LEAVING, "------", "------", "------"),
        (Happening.PAUSED, "dd----", "------", "------"),
        (Happening.RESUMED, "xxx---", "cc----", "------"),
        (Happening.LEFT, "cc----", "------", "------"),
        (Happening.ENDED, "------", "xx----", "------"),
    ],
)
def test_every_event_in_every_state(happened: Happening, source: str, target: str, elsewhere: str) -> None:
    letters = {Step.DELIVER: "d", Step.ACTIVATE: "c", Step.ABORT: "x", None: "-"}
    for here, wanted in (("a", source), ("b", target), ("z", elsewhere)):
        assert "".join(letters[step_after(happened, here, move(state))] for state in STATES) == wanted


@pytest.mark.parametrize(
    ("event", "detail", "found"),
    [
        (3, 1, Happening.PAUSED), (3, 7, Happening.PAUSED), (3, 0, None), (3, 2, None), (3, 8, None),
        (4, 1, Happening.RESUMED), (4, 3, Happening.RESUMED), (4, 0, None), (4, 4, None),
        (5, 3, Happening.LEFT), (5, 1, Happening.ENDED), (5, 5, Happening.ENDED),
        (2, 1, Happening.ARRIVING), (2, 0, None), (1, 0, None),
    ],
)  # fmt: skip
def test_libvirts_numbers(event: int, detail: int, found: Happening | None) -> None:
    assert happening(event, detail) is found


def test_the_moment_of_the_pause() -> None:
    now = 1_700_000_000 * 10**9
    assert paused_at(now, now - 2_000_000) == now - 2_000_000
    assert paused_at(now, None) == now
    assert paused_at(now, now - STOP_IS_FRESH - 1) == now, "the STOP of an earlier pause"
    assert paused_at(now, now + 1) == now


def test_the_migration_under_way() -> None:
    moves = [move("committed"), move("prepared"), move("aborted")]
    assert under_way(moves) is moves[1]
    assert under_way(moves[:1]) is None


XML = f"""<domain type='kvm' id='3'>
  <name>web1</name><uuid>6ad9a4c1-3c1c-4a3e-9d0a-2f0b8f1d7a11</uuid>
  <devices>
    <interface type='bridge'>
      <mac address='02:00:00:00:00:0B'/><source bridge='br0'/><vlan><tag id='100'/></vlan>
      <virtualport type='openvswitch'><parameters interfaceid='x'/></virtualport><target dev='vnet3'/>
      <model type='virtio'/><driver name='qemu'/><alias name='net0'/>
    </interface>
    <interface type='bridge'><mac address='02:00:00:00:00:0c'/><vlan trunk='yes'><tag id='1'/><tag id='2'/></vlan>
      <model type='virtio'/><driver queues='4'/><alias name='net1'/></interface>
    <interface type='user'/>
  </devices>
  <metadata><interface type='bridge'><mac address='{MAC}'/></interface></metadata>
</domain>"""


def test_a_domain_is_read() -> None:
    found = read_domain(XML, running=True, arrived=True)
    assert found.cards == (Card(MAC, "vnet3", 100, True, "net0"), Card("02:00:00:00:00:0c", None, "trunk"))
    assert (found.name, found.uuid[:4], found.arrived) == ("web1", "6ad9", True)
    with pytest.raises(ValueError, match="cannot be read"):
        read_domain("<domain", running=True, arrived=False)


# Comparison


def vm(server: str = "a", tag: int | None = 100, **more: Any) -> dict[str, Any]:
    return {"name": "web1", "server": server, "interfaces": [{"cug": "web", "mac": MAC.upper(), "vlan_id": tag, **more}]}


def domain(tag: int | None = 100, running: bool = True, arrived: bool = False) -> Domain:
    return Domain("web1", "u", (Card(MAC, "vnet3", tag, True),), running, arrived)


def differences(here: str, found: Domain, there: Any, under: Any = None, ports: Any = None, claims: str = "migrated") -> Any:
    return compare(here, "web1", found, there, under, {} if ports is None else ports, claims)


def test_all_is_well() -> None:
    assert differences("a", domain(), vm()) == []
    assert differences("a", domain(), vm(), move("prepared")) == [], "it has not left yet"
    assert differences("a", domain(), None) == []
    assert differences("b", domain(running=False), vm()) == [], "an incoming VM does not run yet"
    assert differences("a", domain(7), vm(guest_vlan_id=7, tag=None)) == [], "a guest's own tag"


def test_a_vm_that_arrived_while_nothing_was_heard() -> None:
    assert differences("b", domain(500), vm(), move("prepared")) == [Activate("web1", "m-1")]
    assert differences("b", domain(500), vm(), move("activated")) == []
    assert differences("b", domain(100), vm(), move("prepared"), {"vnet3": 100}) == [
        Activate("web1", "m-1"), Mend("web1", MAC, "vnet3", 500, 100, True),
    ]  # fmt: skip


def test_a_vm_that_moved_unannounced() -> None:
    assert differences("b", domain(arrived=True), vm()) == [Claim("web1", "a")]
    assert differences("b", domain(), vm(), claims="running") == [Claim("web1", "a")]
    for arrived, claims in ((False, "migrated"), (True, "none")):
        (found,) = differences("b", domain(arrived=arrived), vm(), claims=claims)
        assert found == Complaint("web1", "VM web1 runs here and is placed at a: it has no network here")
    (found,) = differences("b", domain(arrived=True), vm(), move("prepared", target="c"))
    assert "on its way from a to c" in found.text


def test_a_vm_that_counts_as_gone_and_runs_here() -> None:
    assert differences("a", domain(), vm("b", 500), move("activated")) == [TakeBack("web1", "m-1")]


def test_tags() -> None:
    assert differences("a", domain(7), vm(), ports={"vnet3": 100}) == [], "the port counts, the XML is only what was asked for"
    assert differences("a", domain(100), vm(), ports={"vnet3": 7}) == [Mend("web1", MAC, "vnet3", 100, 7, True)]
    assert differences("a", domain(7), vm()) == [Mend("web1", MAC, "vnet3", 100, 7, False)]
    assert differences("a", domain(7), vm(tag=None), ports={"vnet3": 7}) == [Mend("web1", MAC, "vnet3", None, 7, True)]
    assert differences("a", Domain("web1", "u", (Card(MAC, None, 7),)), vm()) == []


def test_taps_have_the_controllers_numbers() -> None:
    there = {"interfaces": [{"mac": "02:00:00:00:00:99"}, {"mac": MAC}]}
    assert taps(domain(), there) == [(1, Card(MAC, "vnet3", 100, True))]


# Who reads the taps


def process(proc: Path, number: int, comm: str, *arguments: str) -> Path:
    place = proc / str(number)
    (place / "task" / str(number)).mkdir(parents=True)
    for file in (place / "comm", place / "task" / str(number) / "comm"):
        file.write_text(comm + "\n")
    (place / "cmdline").write_bytes(b"".join(row.encode() + b"\0" for row in arguments))
    return place


def test_who_reads_the_taps(tmp_path: Path) -> None:
    process(tmp_path, 7, "qemu-system-x86", "qemu", "-uuid", "uuid-7", "-S")
    process(tmp_path, 8, "qemu-system-x86", "qemu", "-uuid", "uuid-8")
    process(tmp_path, 9, "qemu-system-x86", "qemu", "-uuid", "uuid-9")
    process(tmp_path, 10, "sh", "sh", "uuid-10")
    process(tmp_path, 78, "vhost-8")
    thread = tmp_path / "9" / "task" / "99"
    thread.mkdir()
    (thread / "comm").write_text("vhost-9\n")
    (tmp_path / "11").mkdir()
    found = [is_read_by_qemu(f"uuid-{number}", tmp_path) for number in range(7, 12)]
    assert found == [True, False, False, False, False]
    assert not is_read_by_qemu("uuid-7", tmp_path / "none")
