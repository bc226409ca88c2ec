"""Two real controllers on one fabric, one on a copy of the other's store: one changes the switches, the other says why not."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scapy.layers.inet import UDP
from scapy.utils import rdpcap

from mininet_topos.controller import Controller, free_ports
from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.fake_connection import MASTER
from ryu_vmmob.bench.fake_habits import take_on
from ryu_vmmob.sim import packet as make
from tests.ovs.fakes import FakeSite
from tests.support.controller import SECONDS, Listener, Rest, Site, nic, nic_ip, nic_mac, until

TOUCHES = ("FLOW_MOD", "GROUP_MOD", "ADD_MESSAGE", "METER_MOD", "PACKET_OUT", "SET_CONFIG", "PORT_MOD", "TABLE_MOD")


def touches(listener: Listener) -> Counter[str]:
    """What switches heard from a controller that changes them, or has them send packets."""
    return Counter({kind: count for kind, count in listener.counts().items() if kind.endswith(TOUCHES)})


class Second:
    """Another controller with a store and a directory of its own, and every switch connected to both."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        directory.mkdir()
        self.port, rest = free_ports(2)
        self.directory = directory
        self.controller = Controller(
            site.fabric_file, directory, openflow_port=self.port, rest_port=rest, settings={"audit_interval": "1"}
        )
        self.rest = Rest(self.controller.rest)

    def copy_store(self) -> None:
        """Take the files of the first one's store, as they are: the log first, then what it is folded into."""
        for file in sorted(self.site.directory.glob("vmmob.db*"), reverse=True):
            shutil.copy(file, self.directory)

    def dial(self, *, both: bool = True) -> None:
        """Let every switch connect to both controllers, or to this one alone."""
        for name in self.site.bridges:
            first = [f"tcp:127.0.0.1:{self.site.openflow_port}"] if both else []
            self.site.ovs.vsctl("set-controller", name, *first, f"tcp:127.0.0.1:{self.port}")

    def listen(self) -> Listener:
        return Listener(self.site.ovs, self.port)


def roles(rest: Rest) -> dict[str, Any]:
    """Of each switch, what a controller is to it."""
    return {row["name"]: row["controller_role"] for row in rest.get("/v1/switches")["items"]}


def events(rest: Rest, kind: str) -> list[Any]:
    return [row for row in rest.get("/v1/events", limit=10000)["items"] if row["event"] == kind]


@contextmanager
def second_of(site: Site, directory: Path) -> Iterator[Second]:
    second = Second(site, directory)
    try:
        yield second
    finally:
        second.controller.kill()


class Stream:
    """Frames from w1 to w3 at another port of its switch, counted where they leave."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sent = 0
        self._file = site.directory / "stream.pcap"
        site.ovs.vsctl("set", "interface", "tor-a.2", f"options:tx_pcap={self._file}")
        vlan_id = site.rest.get("/v1/vms/w1")["interfaces"][0]["vlan_id"]
        frame = make.udp(nic_mac("web", 13), nic_mac("web", 11), nic_ip("web", 13), nic_ip("web", 11))
        self.frame = frame.with_vlans(vlan_id)

    def run(self, number: int = 20) -> None:
        for _ in range(number):
            self.site.inject("tor-a:1", self.frame)
        self.sent += number

    def lost(self) -> int:
        """Frames that did not leave; fewer than none: doubled."""
        return self.sent - sum(1 for row in rdpcap(str(self._file)) if UDP in row and row[UDP].dport == 9)


def populate(site: Site) -> None:
    site.put_cugs()
    site.put_vm("w1", "srv-a1", nic("web", 11))
    site.put_vm("w3", "srv-a2", nic("web", 13))
    site.put_vm("w9", "srv-c1", nic("web", 19))
    site.until_right()


def test_one_on_a_copy_that_was_left_behind_says_so_and_touches_nothing(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Site(ovs, tmp_path, settings={"audit_interval": "1"}) as site, second_of(site, tmp_path / "second") as second:
        populate(site)
        assert set(roles(site.rest).values()) == {"master"}
        stream = Stream(site)
        second.copy_store()
        site.controller.kill()
        site.start()  # a life that the copy knows nothing of
        heard = second.listen()
        second.controller.start()
        second.dial()
        stream.run()
        until(lambda: set(roles(second.rest).values()) == {"slave"}, lambda: roles(second.rest))
        # It says so wherever somebody may look, and goes on saying it.
        rows = second.rest.get("/v1/switches")["items"]
        assert all("another controller is its master" in row["faults"][0]["error"] and not row["in_step"] for row in rows)
        ready = second.rest.ask("GET", "/readyz")
        assert ready.status_code == 503
        assert len(ready.json()["troubles"]) == len(rows)
        assert all("take_over" in row for row in ready.json()["troubles"])
        assert {row["switch"] for row in events(second.rest, "switch.other_controller")} == set(site.bridges)
        assert 'vmmob_switch_other_controller{switch="tor-a"} 1.0' in second.rest.ask("GET", "/metrics").text
        assert "switch.other_controller" in second.controller.log
        # Whatever it is told, it changes its own store and no switch; the first one goes on.
        second.rest.call("DELETE", "/v1/vms/w3")
        second.rest.put("/v1/vms/w5", {"server": "srv-a1", "interfaces": [nic("web", 15)]})
        site.put_vm("w4", "srv-b1", nic("web", 14))
        stream.run()
        before = second.rest.get("/v1/switches/tor-a")["audits"]
        for _ in range(2):  # two comparisons of the first, in which nothing was wrong
            number = site.rest.post("/v1/switches/tor-a/audit")["audit"]
            until(lambda number=number: site.switch("tor-a")["audits"] >= number)  # type: ignore[misc]
        site.until_right()
        assert touches(heard) == Counter()
        assert second.rest.get("/v1/switches/tor-a")["audits"] == before
        assert not any(number for row in site.switch("tor-a")["repairs"].values() for number in row.values())
        assert len(events(second.rest, "switch.other_controller")) == len(site.bridges)
        # Both are started again, in either order: nothing changes hands, and nothing is sent.
        second.controller.kill()
        second.controller.start()
        second.dial()
        until(lambda: set(roles(second.rest).values()) == {"slave"})
        site.controller.kill()
        by_first = site.listen()
        site.controller.start()
        second.dial()
        until(lambda: set(roles(site.rest).values()) == {"master"}, lambda: roles(site.rest))
        site.until_in_step()
        stream.run()
        assert by_first.changes() == 0
        assert touches(heard) == Counter()
        assert stream.lost() == 0
        heard.stop()


def test_one_that_loses_a_switch_sends_nothing_more_to_it(ovs: PrivateOvs, tmp_path: Path) -> None:
    """A copy of a store in use knows all that the store knows: who is started on it cannot be told from a restart."""
    with Site(ovs, tmp_path, settings={"audit_interval": "1"}) as site, second_of(site, tmp_path / "second") as second:
        populate(site)
        stream = Stream(site)
        second.copy_store()
        second.controller.start()
        second.dial()
        stream.run()
        until(lambda: set(roles(second.rest).values()) == {"master"}, lambda: roles(second.rest))
        until(lambda: set(roles(site.rest).values()) == {"slave"}, lambda: roles(site.rest))
        until(lambda: second.rest.ask("GET", "/readyz").status_code == 200)
        heard = site.listen()
        assert {row["switch"] for row in events(site.rest, "switch.other_controller")} == set(site.bridges)
        stream.run()
        site.rest.put("/v1/vms/w6", {"server": "srv-a1", "interfaces": [nic("web", 16)]})
        answer = second.rest.put("/v1/vms/w7", {"server": "srv-a1", "interfaces": [nic("web", 17)]}, wait=SECONDS)
        assert answer["switches"]["pending"] == []
        site.rest.post("/v1/switches/tor-a/audit")
        # The deposed one started again has a newer generation of its own, and may not use it.
        site.controller.kill()
        site.controller.start()
        second.dial()
        until(lambda: set(roles(site.rest).values()) == {"slave"}, lambda: roles(site.rest))
        stream.run()
        assert touches(heard) == Counter()
        assert set(roles(second.rest).values()) == {"master"}
        assert stream.lost() == 0
        # An operator decides for the first.
        site.rest.post("/v1/switches/tor-a/take_over")
        until(lambda: roles(site.rest)["tor-a"] == "master" and roles(second.rest)["tor-a"] == "slave")
        site.until_in_step(but=frozenset(site.bridges.keys() - {"tor-a"}))
        heard = site.listen()
        # A switch that has forgotten who was its master, and the other one is gone: still nothing is taken back by itself.
        second.controller.kill()
        site.remove_bridge("tor-c")
        site.add_bridge("tor-c")
        until(lambda: site.switch("tor-c")["connected"] and roles(site.rest)["tor-c"] == "slave")
        assert touches(heard) == Counter()
        site.rest.post("/v1/switches/tor-c/take_over")
        site.until_in_step(but=frozenset(site.bridges.keys() - {"tor-a", "tor-c"}))
        assert touches(heard) != Counter()
        heard.stop()


def test_a_switch_that_knows_no_roles_is_served_as_ever(tmp_path: Path) -> None:
    site = FakeSite(tmp_path)
    take_on(site.fakes["tor-a"], "has_no_roles")
    with site:
        site.put_cugs()
        site.put_vm("w1", "srv-a1", nic("web", 11))
        site.until_right()
        found = roles(site.rest)
        assert found.pop("tor-a") == "unknown"
        assert set(found.values()) == {"master"}
        assert "switch tor-a has no roles" in site.controller.log


def test_a_switch_that_does_not_tell_is_found_out(tmp_path: Path) -> None:
    """OpenFlow 1.3 has no message by which a switch tells of a lost role: the next change shows it, or the next question."""
    with FakeSite(tmp_path) as site:
        site.put_cugs()
        fake = site.fakes["tor-a"]
        site.fleet.do(lambda: fake.depose(77 << 32, tells=False))
        answer = site.rest.put("/v1/vms/w1", {"server": "srv-a1", "interfaces": [nic("web", 11)]})
        assert answer["name"] == "w1"
        until(lambda: roles(site.rest)["tor-a"] == "slave", lambda: roles(site.rest))
        assert "77-00000000" in site.switch("tor-a")["faults"][0]["error"]
        # Without a change, by asking.
        other = site.fakes["border-2"]
        site.fleet.do(lambda: other.depose(78 << 32, tells=False))
        until(lambda: roles(site.rest)["border-2"] == "slave", lambda: roles(site.rest))
        # A reconnection does not take it back; an operator does, with a generation that is newer still.
        site.fleet.do(fake.lose)
        until(lambda: fake.connections == 2 and roles(site.rest)["tor-a"] == "slave")
        said = fake.said[14]
        assert site.rest.post("/v1/switches/tor-a/take_over")["name"] == "tor-a"
        site.until_in_step(but=frozenset({"border-2"}))
        assert fake.said[14] > said
        assert fake.generation is not None
        assert fake.generation >> 32 == 78
        assert fake.connection is not None
        assert fake.connection.role == MASTER
        assert events(site.rest, "switch.taken_over")[-1]["switch"] == "tor-a"
