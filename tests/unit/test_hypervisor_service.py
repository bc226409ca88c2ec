"""The service of a hypervisor against the real REST application and its events, with domains that the test makes up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any

import pytest
from webob import Response

from ryu_vmmob.client import Client
from ryu_vmmob.hypervisor import service
from ryu_vmmob.hypervisor.domains import Card, Domain, Tag
from ryu_vmmob.hypervisor.forwarding import LEARNED_SECONDS, Forwarding
from ryu_vmmob.hypervisor.handover import Happened, Happening
from ryu_vmmob.hypervisor.libvirt_events import HostError
from ryu_vmmob.hypervisor.service import Service as Hypervisor
from ryu_vmmob.hypervisor.service import Settings
from ryu_vmmob.hypervisor.steward import Steward
from ryu_vmmob.hypervisor.vswitch import OpenVSwitch, SwitchError
from tests.support.rest_service import TOKEN, Service, per_cug
from tests.unit.event_server import SECONDS, EventServer, serving_events

MAC = "02:00:00:00:00:0b"
UUID = "6ad9a4c1-3c1c-4a3e-9d0a-2f0b8f1d7a11"


def until(look: Callable[[], Any], what: Callable[[], object] = lambda: "") -> None:
    deadline = monotonic() + SECONDS
    while not look():
        assert monotonic() < deadline, what()
        sleep(0.01)


class Front:
    """Stands before the REST application: it notes all steps, and can be away. With each request time passes."""

    def __init__(self, service: Service) -> None:
        self.service, self.app = service, service.app
        self.steps: list[str] = []
        self.away = False

    def __call__(self, environ: Any, start: Any) -> Any:
        if self.away:
            return Response(status=503, json_body={"detail": "away"})(environ, start)
        self.service.passes(0.05)
        found = re.fullmatch(r"/v1/migrations/.+/(\w+)", environ["PATH_INFO"])
        if found is not None and environ["REQUEST_METHOD"] == "POST":
            self.steps.append(found[1])
        return self.app(environ, start)


@dataclass
class Host:
    """A hypervisor's domains."""

    rows: list[Domain] = field(default_factory=list)
    away: bool = False

    def domains(self) -> list[Domain]:
        if self.away:
            raise HostError("libvirt is away")
        return list(self.rows)

    def receive_index(self, name: str, alias: str) -> int | None:
        return None


class Switch(OpenVSwitch):
    """Ports that are not there."""

    def __init__(self) -> None:
        super().__init__()
        self.taps: dict[str, Tag] = {}
        self.broken = False
        self.other_flows = 0
        self.led: dict[str, tuple[str, int, int]] = {}
        """By MAC, the device, the tag and the seconds of flows for it."""

    def tags(self, devices: Any) -> dict[str, Tag]:
        if self.broken:
            raise SwitchError("no database")
        return {name: self.taps[name] for name in devices if name in self.taps}

    def set_tag(self, device: str, tag: int | None) -> None:
        self.taps[device] = tag

    def place_of(self, device: str) -> tuple[str, Tag]:
        if device not in self.taps:
            raise SwitchError(f"no port named {device}")
        return "br0", self.taps[device]

    def bridges(self) -> list[str]:
        return ["br0"]

    def _flows(self, *arguments: str) -> str:
        if arguments[0] == "add-flow":
            found = re.search(r"hard_timeout=(\d+),dl_dst=([0-9a-f:]+),dl_vlan=(\d+).*output:(\w+)", arguments[2])
            assert found is not None
            self.led[found[2]] = found[4], int(found[3]), int(found[1])
        elif arguments[0] == "del-flows":
            mac = arguments[2].partition("dl_dst=")[2]
            self.led = {key: row for key, row in self.led.items() if mac and key != mac}
        return (
            "".join(f" table=9, priority={n} actions=drop\n" for n in range(self.other_flows)) + " priority=0 actions=NORMAL\n"
        )


def domain(tag: int | None = 100, **more: Any) -> Domain:
    return Domain("web1", UUID, (Card(MAC, "nosuchtap", tag, True),), **more)


class ServiceSite:
    """web1 on srv-a1, and the services of two hypervisors."""

    def __init__(self, server: EventServer, front: Front) -> None:
        self.server, self.front = server, front
        self.source, self.target = self.hypervisor("srv-a1"), self.hypervisor("srv-c1")
        self.source.host.rows = [domain()]

    def hypervisor(self, name: str) -> Side:
        return Side(name, lambda: Client(self.server.url, TOKEN, retries=0))

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        def run() -> Any:
            answer = self.server.service.ask(method, path, body)
            self.server.service.confirm()
            return answer.json

        return self.server.do(run)

    def moves(self) -> list[tuple[str, str]]:
        return [(row["to"], row["state"]) for row in self.ask("GET", "/v1/migrations")["items"]]


class Side:
    """One hypervisor."""

    def __init__(self, name: str, connect: Callable[[], Client]) -> None:
        self.host, self.switch, self.connect = Host(), Switch(), connect
        forwarding = Forwarding(self.switch)
        self.service = Hypervisor(Settings(name), self.host, connect, lambda: self.steward.look(), forwarding)
        self.steward = Steward(
            name, self.host, connect, self.service.name_of, self.switch, forwarding, interval=3600, settle=0.01
        )  # fmt: skip

    def sees(self, happening: Happening) -> None:
        self.service.happened(Happened(happening, "web1", UUID, time_ns()))

    def compare(self, times: int = 1) -> None:
        client = self.connect()
        for _ in range(times):
            self.steward.compare(client)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ServiceSite]:
    monkeypatch.setenv("no_proxy", "*")
    service = Service(fabric=per_cug(tmp_path)).with_web()
    service.connect()
    service.while_waiting = service.confirm
    front = Front(service)
    service.app = front  # type: ignore[assignment]
    with serving_events(service) as server:
        made = ServiceSite(server, front)
        for side in (made.source, made.target):
            side.service.start()
        yield made
        for side in (made.source, made.target):
            side.service.stop()


def announced(site: ServiceSite) -> None:
    site.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    until(lambda: "web1" in site.source.service.departures)


def test_a_live_migration(site: ServiceSite) -> None:
    announced(site)
    site.source.sees(Happening.LEAVING)
    site.source.sees(Happening.PAUSED)
    until(lambda: site.front.steps == ["deliver"])
    site.target.sees(Happening.RESUMED)
    until(lambda: site.front.steps == ["deliver", "activate"])
    site.source.sees(Happening.LEFT)
    until(lambda: site.moves() == [("srv-c1", "committed")])
    assert set(site.front.steps[2:]) <= {"activate"}
    until(lambda: not site.source.service.departures)


@pytest.mark.parametrize("by_qemu", [True, False])
def test_a_waiting_qemu_gets_a_spare_frame(site: ServiceSite, monkeypatch: pytest.MonkeyPatch, *, by_qemu: bool) -> None:
    """With vhost no frame is read before the guest runs, and none is needed."""
    spared: list[tuple[str, str]] = []
    asked: list[str] = []

    def is_read(uuid: str) -> bool:
        asked.append(uuid)
        return by_qemu

    monkeypatch.setattr(service, "is_read_by_qemu", is_read)
    monkeypatch.setattr(service, "send_spare", lambda device, mac: spared.append((device, mac)))
    site.target.host.rows = [domain(running=False)]
    site.target.sees(Happening.ARRIVING)
    site.target.sees(Happening.ENDED)  # a VM's events are followed in their order
    until(lambda: asked == [UUID])
    site.target.service.stop()
    assert spared == ([("nosuchtap", MAC)] if by_qemu else [])
    assert site.front.steps == []


def test_a_tap_that_is_gone_costs_a_warning(
    site: ServiceSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "is_read_by_qemu", lambda _uuid: True)
    site.target.host.rows = [domain(running=False)]
    site.target.sees(Happening.ARRIVING)
    until(lambda: "the guest may lose its first frame on nosuchtap" in caplog.text)


def test_frames_from_the_cable_reach_a_vm_that_moves_whatever_the_switch_has_learned(site: ServiceSite) -> None:
    """At both ends, from before the pause until the VM has gone, or the switch has forgotten where it was."""
    source, target = site.source, site.target
    source.switch.taps, target.switch.taps = {"nosuchtap": 100}, {"nosuchtap": 200}
    announced(site)
    until(lambda: source.switch.led == {MAC: ("nosuchtap", 100, 0)})
    target.host.rows = [domain(200, running=False)]
    target.sees(Happening.ARRIVING)
    until(lambda: target.switch.led == {MAC: ("nosuchtap", 200, 0)})
    source.sees(Happening.PAUSED)
    target.sees(Happening.RESUMED)
    source.host.rows = []
    source.sees(Happening.LEFT)
    until(lambda: not source.switch.led)
    until(lambda: site.moves() == [("srv-c1", "committed")])  # each look confirms what the switches were told
    until(lambda: target.switch.led == {MAC: ("nosuchtap", 200, LEARNED_SECONDS)})
    target.service.stop()
    assert not target.switch.led


def test_a_move_that_fails_leaves_no_flow_at_its_target(site: ServiceSite) -> None:
    site.target.switch.taps = {"nosuchtap": 200}
    announced(site)
    site.target.host.rows = [domain(200, running=False)]
    site.target.sees(Happening.ARRIVING)
    until(lambda: MAC in site.target.switch.led)
    site.target.host.rows = []
    site.target.sees(Happening.ENDED)
    until(lambda: not site.target.switch.led)
    until(lambda: site.moves() == [("srv-c1", "aborted")])


def test_a_bridge_with_flows_of_its_own_is_left_alone(site: ServiceSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    site.target.switch.taps, site.target.switch.other_flows = {"nosuchtap": 200}, 1
    site.target.host.rows = [domain(200, running=False)]
    for _ in range(2):
        site.target.sees(Happening.ARRIVING)
    site.target.sees(Happening.ENDED)
    until(lambda: "bridge br0 has flows of its own" in caplog.text)
    site.target.service.stop()
    assert site.target.switch.led == {}
    assert caplog.text.count("has flows of its own") == 1


def test_the_target_is_silent(site: ServiceSite) -> None:
    announced(site)
    site.source.sees(Happening.PAUSED)
    until(lambda: site.front.steps == ["deliver"])
    site.source.sees(Happening.LEFT)
    until(lambda: site.moves() == [("srv-c1", "committed")])
    assert site.front.steps == ["deliver", "activate"]


def test_a_move_that_is_seen_at_the_pause_only(site: ServiceSite) -> None:
    site.source.host.away = True
    site.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    sleep(0.05)
    site.source.host.away = False
    site.source.sees(Happening.PAUSED)
    until(lambda: site.front.steps == ["deliver"])


def test_a_migration_that_fails_after_the_pause(site: ServiceSite) -> None:
    announced(site)
    site.source.sees(Happening.PAUSED)
    until(lambda: site.front.steps == ["deliver"])
    site.source.sees(Happening.RESUMED)
    until(lambda: site.moves() == [("srv-c1", "aborted")])
    assert site.ask("GET", "/v1/migrations")["items"][0]["reason"] == (
        "its hypervisor srv-a1: the VM runs on, its migration failed"
    )


def test_a_target_whose_process_ends(site: ServiceSite) -> None:
    announced(site)
    site.target.sees(Happening.ENDED)
    until(lambda: site.moves() == [("srv-c1", "aborted")])
    until(lambda: not site.source.service.departures)


def test_a_controller_that_is_away_at_the_pause(site: ServiceSite) -> None:
    announced(site)
    site.front.away = True
    site.source.sees(Happening.PAUSED)
    site.target.sees(Happening.RESUMED)
    sleep(0.2)
    assert site.front.steps == []
    site.front.away = False
    until(lambda: site.moves()[-1:] == [("srv-c1", "committed")])
    until(lambda: set(site.front.steps) == {"deliver", "activate"})


def test_events_that_mean_nothing(site: ServiceSite) -> None:
    for side in (site.source, site.target):
        for happening in Happening:
            side.sees(happening)
    site.source.service._lanes.close()
    site.target.service._lanes.close()
    assert (site.moves(), site.front.steps) == ([], [])


def test_a_service_that_starts_late_finds_the_moves(site: ServiceSite) -> None:
    announced(site)
    late = site.hypervisor("srv-a1")
    late.host.rows = [domain()]
    late.service.start()
    until(lambda: "web1" in late.service.departures)
    late.service.stop()
    assert late.service.departures == {}


# The comparison with REST


def test_what_moved_unannounced_is_posted(site: ServiceSite) -> None:
    site.source.host.rows, site.target.host.rows = [], [domain(500, arrived=True)]
    site.target.switch.taps = {"nosuchtap": 100}
    site.target.compare()
    assert site.moves() == [], "once is a coincidence"
    site.target.compare()
    until(lambda: site.moves() == [("srv-c1", "committed")] or site.ask("GET", "/readyz") is None)
    assert site.target.switch.taps == {"nosuchtap": 100}, "the tag there is known when it is there"
    site.target.compare()
    assert site.target.switch.taps == {"nosuchtap": 500}
    assert site.target.switch.led == {MAC: ("nosuchtap", 500, LEARNED_SECONDS)}, "it may be silent for as long as it likes"
    site.target.compare(3)
    assert site.moves() == [("srv-c1", "committed")]


def test_two_that_run_it_do_not_fight(site: ServiceSite) -> None:
    site.source.host.rows = site.target.host.rows = [domain(arrived=True)]
    for _ in range(5):
        site.target.compare()
        site.source.compare()
        site.moves()
    assert [to for to, _ in site.moves()] == ["srv-c1", "srv-a1"], "each of them once a minute at most"


def test_an_arrival_that_was_missed(site: ServiceSite) -> None:
    announced(site)
    site.target.host.rows = [domain(500)]
    site.target.compare()
    until(lambda: site.moves() == [("srv-c1", "committed")])


def test_a_vm_that_counts_as_gone_is_taken_back(site: ServiceSite) -> None:
    site.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": "request"})
    (row,) = site.ask("GET", "/v1/migrations")["items"]
    site.ask("POST", f"/v1/migrations/{row['id']}/activate")
    site.source.compare()
    assert site.moves() == [("srv-c1", "activated")]
    site.source.compare()
    until(lambda: site.moves() == [("srv-c1", "aborted")])


def test_a_tag_that_cannot_be_corrected_is_logged_once(site: ServiceSite, caplog: pytest.LogCaptureFixture) -> None:
    site.source.host.rows = [domain(7)]
    for _ in range(3):
        site.source.compare()
    assert [row.message for row in caplog.records if "has tag 7 and must have 100" in row.message] == [
        f"VM web1: interface {MAC} (nosuchtap) has tag 7 and must have 100: that can only be set where the guest is defined"
    ]
    site.source.switch.broken = True
    site.source.compare()
    assert "the ports' tags are not known: no database" in caplog.text


def test_one_domains_trouble_is_not_anothers(site: ServiceSite, caplog: pytest.LogCaptureFixture) -> None:
    stranger = replace(domain(), name="no such VM")
    odd = replace(domain(), name="..")
    site.target.host.rows = [stranger, odd, domain(500, arrived=True)]
    site.target.compare(2)
    until(lambda: site.moves() == [("srv-c1", "committed")], lambda: caplog.text)


def test_a_thread_compares_until_it_is_stopped(site: ServiceSite, caplog: pytest.LogCaptureFixture) -> None:
    site.target.host.away = True
    site.target.steward.start()
    until(lambda: "could not be compared" in caplog.text)
    site.target.host.away = False
    site.target.host.rows = [domain(500, arrived=True)]
    site.target.steward.look()
    until(lambda: site.moves() == [("srv-c1", "committed")], lambda: caplog.text)
    site.target.steward.stop()
