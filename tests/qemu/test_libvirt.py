"""Two real libvirtds migrate a real guest to each other with plain ``virsh migrate --live``: it has its network each time.

srv-a1 gives each vNIC a VLAN-ID of its own, srv-c1 in another data centre one for the CUG: so the tag that libvirt brings is
always the wrong one. What is looked at is whether the guest answers, where it runs, and what the controller says.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.laboratory import MISSING_FOR_VMS

if TYPE_CHECKING or not MISSING_FOR_VMS:
    from mininet_topos import world
    from mininet_topos.processes import ChildError
    from mininet_topos.qemu import image, libvirt_host
    from mininet_topos.qemu.libvirt_guest import LibvirtGuest
    from mininet_topos.qemu.libvirt_host import Libvirtd, VirshError, until
    from mininet_topos.qemu.streams import GuestTraffic, Outcome
    from mininet_topos.servers import Interface, Vm

NO_LIBVIRT = None if MISSING_FOR_VMS else libvirt_host.missing()
pytestmark = pytest.mark.skipif(NO_LIBVIRT is not None, reason=f"no libvirtd: {NO_LIBVIRT}")

RATE = 100.0
"""Packets a second of a stream: an emulated processor on a busy machine must keep up."""
FEW = 2
"""Never more than this many packets of a stream lost in a move."""
GUEST, SOURCE, TARGET = "web-1", "srv-a1", "srv-c1"


class TwoHypervisors:
    """The laboratory, two hypervisors, the guest, and two peers of it elsewhere."""

    def __init__(self, live: world.World, hosts: Sequence[Libvirtd], guest: LibvirtGuest, peers: Sequence[Vm]) -> None:
        self.live, self.guest, self.peers = live, guest, peers
        self.source, self.target = hosts

    @property
    def migrations(self) -> list[Any]:
        items: list[Any] = self.live.orchestrator.call("GET", "/v1/migrations", vm=GUEST)["items"]
        return items

    @property
    def moving(self) -> bool:
        return any(row["state"] not in ("committed", "aborted") for row in self.migrations)

    @property
    def placed(self) -> str:
        server: str = self.live.orchestrator.call("GET", f"/v1/vms/{GUEST}")["server"]
        return server

    def wanted_tag(self) -> int | None:
        (interface,) = self.live.orchestrator.call("GET", f"/v1/vms/{GUEST}")["interfaces"]
        tag: int | None = interface["vlan_id"]
        return tag

    def until_at(self, host: Libvirtd) -> None:
        """Until the guest runs there, the controller knows, its port has the right tag, and both peers reach it."""
        assert self.guest.place == host.name
        until(lambda: self.placed == host.name and not self.moving, self.told)
        until(lambda: self.guest.tag() == self.wanted_tag(), self.told)
        for peer in self.peers:
            until(lambda: self.reaches(peer), self.told)  # noqa: B023

    def reaches(self, peer: Vm) -> bool:
        try:
            peer.run("ping", "-c", "1", "-W", "3", self.guest.address())
        except ChildError:
            return False
        return True

    def home(self) -> None:
        """The guest at the source, everything in order."""
        for host in (self.source, self.target):
            host.configure_hook()
            if not host.is_serving:
                host.serve()
        if self.guest.place != SOURCE:
            self.guest.migrate(self.target, self.source)
        self.until_at(self.source)

    def told(self) -> str:
        rows = [(row["id"], row["to"], row["state"], row["reason"]) for row in self.migrations[-3:]]
        return f"{rows}\n{self.source.log}\n{self.target.log}"

    def slowly(self, *options: str) -> Moving:
        """A migration to the target that takes its time; returns when the guest's process waits there."""
        self.source.virsh("migrate-setspeed", GUEST, "1")
        moving = Moving(self, options)
        until(lambda: GUEST in self.target.virsh("list", "--all"), self.told)
        until(lambda: self.migrations[-1]["state"] == "prepared", self.told)
        return moving


class Moving:
    """A ``virsh migrate`` that is under way; ``end`` gives what it said, empty when it succeeded."""

    def __init__(self, site: TwoHypervisors, options: Sequence[str]) -> None:
        self._site, self._said = site, ""
        self._thread = threading.Thread(target=self._run, args=(options,), daemon=True)
        self._thread.start()

    def _run(self, options: Sequence[str]) -> None:
        try:
            self._site.guest.migrate(self._site.source, self._site.target, *options)
        except VirshError as error:
            self._said = str(error)

    def end(self) -> str:
        self._thread.join(120)
        assert not self._thread.is_alive()
        self._site.guest.hypervisor.virsh("migrate-setspeed", GUEST, "8796093022207")
        return self._said


def card(number: int) -> Interface:
    return Interface("web", f"02:00:00:00:01:{number:02x}", (f"10.1.0.{number}/24", f"2001:db8:1::{number}/64"))


@pytest.fixture(scope="module")
def site() -> Iterator[TwoHypervisors]:
    kernel = image.ensure()
    scratch = Path(tempfile.mkdtemp(prefix="vmmob-"))
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        fabric = scratch / "fabric.yaml"
        text = world.FABRIC.read_text(encoding="utf-8")
        fabric.write_text(text.replace('srv-c1: {attach: "tor-c:1"}', 'srv-c1: {attach: "tor-c:1", tagging: per_cug}'))
        controller = scratch / "controller"
        controller.mkdir()
        live = undo.enter_context(world.running(fabric, directory=controller))
        live.orchestrator.put_cug("web", ["10.1.0.0/24", "2001:db8:1::/64"])
        peers = [live.orchestrator.start_vm(*peer) for peer in (("near", "srv-b2", [card(98)]), ("far", "srv-d1", [card(99)]))]
        body = {"server": SOURCE, "interfaces": [card(11).body()]}
        made = live.orchestrator.call("PUT", f"/v1/vms/{GUEST}", body, wait=30)
        hosts = []
        for name in (SOURCE, TARGET):
            hosts.append(Libvirtd(live.lab, name, scratch / name, live.controller.rest))
            undo.callback(hosts[-1].stop)
        guest = LibvirtGuest(GUEST, card(11), kernel, hosts)
        undo.callback(guest.close)
        guest.start(hosts[0], made["interfaces"][0]["vlan_id"])
        found = TwoHypervisors(live, hosts, guest, peers)
        found.home()
        yield found
        for host in hosts:
            assert host.stop_serving() == 0, host.log


def under_traffic(site: TwoHypervisors, source: Libvirtd, target: Libvirtd, *options: str) -> Outcome:
    """What two streams to the guest and two from it came to while it was migrated."""
    near, far = site.peers
    with GuestTraffic(site.guest, [(near, 4), (far, 6)], RATE) as traffic:  # type: ignore[arg-type]
        site.guest.migrate(source, target, *options)
        outcome = traffic.stop(SimpleNamespace(stopped=0, resumed=1))  # type: ignore[arg-type]
    site.until_at(target)
    return outcome


@pytest.mark.requirement("R1", "R33a")
def test_there_and_back(site: TwoHypervisors) -> None:
    site.home()
    before, frames = len(site.migrations), 0
    there, back = (site.source, site.target), (site.target, site.source)
    outcomes = [under_traffic(site, *ends) for ends in (there, back, there, back)]
    moves = site.migrations[before:]
    assert [(row["to"], row["state"], row["delivered"]) for row in moves] == [
        (TARGET, "committed", True), (SOURCE, "committed", True), (TARGET, "committed", True), (SOURCE, "committed", True),
    ]  # fmt: skip
    for row in moves:
        assert row["interfaces"][0]["from_vlan_id"] != row["interfaces"][0]["to_vlan_id"]
        (entry,) = [entry for entry in row["timeline"] if entry["state"] == "delivered"]
        frames += entry["frames"]
    assert frames > 0, "without what was sent on, the first frames of each pause would be lost"
    for outcome in outcomes:
        print([(one.name, one.sent, one.lost, one.doubled, one.reordered) for one in outcome.to_guest])
        assert [one.doubled for one in outcome.to_guest] == [0, 0]
        assert [one.lost for one in outcome.from_guest] == [0, 0]
        assert max(one.lost for one in outcome.to_guest) <= FEW, site.told()
    assert sum(all(one.lost == 0 for one in outcome.to_guest) for outcome in outcomes) >= 2


def test_a_neighbour_whose_switch_knows_the_guest_behind_the_cable(site: TwoHypervisors) -> None:
    """The guest speaks with it up to the pause, so the target's switch has learned the guest's MAC at the cable."""
    site.home()
    site.live.orchestrator.start_vm("beside", TARGET, [card(97)])
    near, far = site.peers
    with GuestTraffic(site.guest, [(near, 4), (far, 6)], RATE) as traffic:  # type: ignore[arg-type]
        moving = site.slowly()
        site.guest.shell("ping -c 2 10.1.0.97")
        assert learned_at(site) == {"1"}
        site.source.virsh("migrate-setspeed", GUEST, "8796093022207")
        assert moving.end() == ""
        there = traffic.stop(SimpleNamespace(stopped=0, resumed=1))  # type: ignore[arg-type]
    site.until_at(site.target)
    back = under_traffic(site, site.target, site.source)
    for outcome in (there, back):
        print([(one.name, one.sent, one.lost, one.doubled, one.reordered) for one in outcome.to_guest])
        assert [one.doubled for one in outcome.to_guest] == [0, 0]
        assert max(one.lost for one in outcome.to_guest) <= FEW, site.told()


def learned_at(site: TwoHypervisors) -> set[str]:
    """The ports at which the target's switch has learned the guest's MAC; 1 is the cable."""
    rows = site.target.ovs.appctl("fdb/show", site.live.lab.servers[TARGET].bridge).splitlines()
    return {row.split()[0] for row in rows if card(11).mac in row}


def test_post_copy(site: TwoHypervisors) -> None:
    site.home()
    outcome = under_traffic(site, site.source, site.target, "--postcopy", "--postcopy-after-precopy")
    print([(one.name, one.sent, one.lost, one.doubled, one.reordered) for one in outcome.to_guest])
    assert [one.doubled for one in outcome.to_guest] == [0, 0]
    assert max(one.lost for one in outcome.to_guest) <= FEW, site.told()
    assert site.migrations[-1]["delivered"] is True


def test_a_migration_that_the_operator_ends(site: TwoHypervisors) -> None:
    site.home()
    moving = site.slowly()
    site.source.virsh("domjobabort", GUEST)
    assert "canceled" in moving.end()
    until(lambda: site.migrations[-1]["state"] == "aborted", site.told)
    site.until_at(site.source)


def test_a_target_that_is_killed(site: TwoHypervisors) -> None:
    site.home()
    moving = site.slowly()
    os.kill(site.target.pid_of(GUEST), signal.SIGKILL)
    assert moving.end() != ""
    until(lambda: site.migrations[-1]["state"] == "aborted", site.told)
    site.until_at(site.source)


def test_a_controller_that_is_away_and_closed(site: TwoHypervisors) -> None:
    site.home()
    site.live.controller.kill()
    try:
        with pytest.raises(VirshError, match="cannot be asked"):
            site.guest.migrate(site.source, site.target)
        assert site.guest.place == SOURCE
        assert all(site.reaches(peer) for peer in site.peers)
    finally:
        site.live.controller.start()
    site.until_at(site.source)
    site.guest.migrate(site.source, site.target)
    site.until_at(site.target)


def test_a_controller_that_is_away_and_open(site: TwoHypervisors) -> None:
    """The guest comes with its old tag, and has its network when the controller is back: there, and back again.

    On the way back libvirt brings the tag of the guest's XML, which is that of the source: the port alone was mended. The
    target's switch knows the guest behind the cable: it spoke with its neighbour there before it came, and is silent now.
    """
    site.home()
    home = site.guest.tag()
    site.guest.shell("ping -c 2 10.1.0.97")
    for source, target in ((site.source, site.target), (site.target, site.source)):
        target.configure_hook(on_failure="open")
        site.live.controller.kill()
        try:
            site.guest.migrate(source, target)
            assert (site.guest.place, site.guest.tag()) == (target.name, home)
            assert target is site.source or "1" in learned_at(site)
        finally:
            site.live.controller.start()
        site.until_at(target)
        assert (site.guest.tag() == home) is (target is site.source)


def test_a_guest_comes_back_from_where_the_controller_does_not_know_it(site: TwoHypervisors) -> None:
    """Without the services, and with a move that waits for a call that never comes."""
    site.home()
    for host in (site.source, site.target):
        assert host.stop_serving() == 0, host.log
    body = {"vm": GUEST, "to": TARGET, "activate_on": "request"}
    site.live.orchestrator.call("POST", "/v1/migrations", body, wait=10)
    site.guest.migrate(site.source, site.target)
    assert site.guest.place == TARGET
    assert (site.migrations[-1]["state"], site.placed) == ("prepared", SOURCE)
    site.guest.migrate(site.target, site.source)
    until(lambda: [row["state"] for row in site.migrations[-2:]] == ["committed", "committed"], site.told)
    assert [row["to"] for row in site.migrations[-2:]] == [TARGET, SOURCE]
    site.until_at(site.source)


def test_what_libvirt_called(site: TwoHypervisors) -> None:
    """The page names every call of the hook that means anything; nothing else was ever needed."""
    operations = {tuple(call.split()[1:3]) for host in (site.source, site.target) for call in host.hook_calls}
    assert {("migrate", "begin"), ("started", "begin"), ("release", "end")} <= operations
    assert ("restore", "begin") not in operations


def test_a_saved_guest_is_restored_with_the_tag_of_its_place(site: TwoHypervisors) -> None:
    site.home()
    state = site.source.directory / "lib" / "saved"
    site.source.virsh("save", GUEST, "/var/lib/libvirt/saved")
    site.guest.close()
    text = site.source.virsh("save-image-dumpxml", "/var/lib/libvirt/saved")
    tag = site.wanted_tag()
    assert f"<tag id='{tag}'/>" in text
    wrong = site.source.directory / "wrong.xml"
    wrong.write_text(text.replace(f"<tag id='{tag}'/>", "<tag id='777'/>"))
    site.source.virsh("restore", "/var/lib/libvirt/saved", "--xml", str(wrong))
    site.until_at(site.source)
    assert any(call.split()[1] == "restore" for call in site.source.hook_calls)
    state.unlink()
