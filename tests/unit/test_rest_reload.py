"""The fabric file read again by REST: what differs, what is refused and why."""

from __future__ import annotations

import pytest

from ryu_vmmob.engine.reload import reload, tell_refused
from ryu_vmmob.fabric import FabricError, examine
from ryu_vmmob.fabric.difference import KINDS
from ryu_vmmob.model.refusal import Refusal
from tests.support.rest_service import EXAMPLE, Service, problem

TEXT = EXAMPLE.read_text(encoding="utf-8")
NOTHING: dict[str, list[str]] = {kind: [] for kind in KINDS}


@pytest.fixture
def service() -> Service:
    made = Service()
    made.connect()
    return made


def edited(service: Service, *pairs: tuple[str, str]) -> Service:
    """The file with each first text of a pair in place of the second."""
    text = TEXT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    service.file = text
    return service


def test_an_unchanged_file_changes_nothing(service: Service) -> None:
    answer = service.ask("POST", "/v1/fabric/reload").json
    assert (answer["unchanged"], answer["revision"], answer["added"]) == (True, 0, NOTHING)


def test_a_description_is_shown_and_no_flow_is_touched(service: Service) -> None:
    service.with_web()
    service.confirm()
    revision = service.engine.state.revision
    edited(service, ("srv-a1: {attach:", "srv-a1: {description: by the door, attach:"))
    answer = service.ask("POST", "/v1/fabric/reload?wait=1").json
    assert answer["changed"]["servers"] == {"srv-a1": ["description"]}
    assert answer["switches"] == {"acknowledged": [], "pending": []}
    assert answer["revision"] == revision + 1
    assert all(service.engine.fleet.take(name) is None for name in service.engine.fleet.names)
    assert service.get("/v1/fabric")["servers"][0]["description"] == "by the door"
    assert service.get("/readyz")["ready"] is True


def test_a_dry_run_says_what_would_be(service: Service) -> None:
    edited(service, ("  srv-a1:", '  srv-a9: {attach: "tor-a:9"}\n  srv-a1:'))
    before = service.engine.state
    answer = service.ask("POST", "/v1/fabric/reload?dry_run=true").json
    assert (answer["dry_run"], answer["added"]["servers"]) == (True, ["srv-a9"])
    assert service.engine.state is before
    assert service.ask("POST", "/v1/fabric/reload").json["added"]["servers"] == ["srv-a9"]
    answer = service.ask("PUT", "/v1/cugs/web", {"subnets": ["10.1.0.0/24"]})
    body = {"server": "srv-a9", "interfaces": [{"cug": "web", "mac": "02:00:00:00:00:01", "ips": ["10.1.0.11"]}]}
    assert service.ask("PUT", "/v1/vms/w", body).status_int == 201


def test_a_file_with_errors_is_refused_with_every_finding(service: Service) -> None:
    edited(service, ('dpid: "0x0a"', 'dpid: "0x0b"'), ("  srv-a1:", '  srv-x: {attach: "tor-x:1"}\n  srv-a1:'))
    before = service.engine.state
    answer = service.ask("POST", "/v1/fabric/reload")
    detail = problem(answer, 422, *(row["path"] for row in answer.json["errors"]))
    assert len(answer.json["errors"]) >= 2
    assert "example.yaml:" in detail
    assert all(row["message"].startswith("line ") for row in answer.json["errors"])
    assert service.engine.state is before


def test_what_is_in_use_is_refused_by_name(service: Service) -> None:
    service.with_web()
    before = service.engine.state
    line = next(row for row in TEXT.splitlines() if row.strip().startswith("srv-a1:"))
    edited(service, (line + "\n", ""), ("0x0a", "0x1a"), ("02:00:5e:00:00:01", "02:00:5e:00:00:02"))
    answer = service.ask("POST", "/v1/fabric/reload")
    detail = problem(answer, 409, "servers.srv-a1", "switches.tor-a.dpid", "gateway_mac")
    assert "VM 'web1' is there" in detail
    assert service.engine.state is before
    assert service.ask("POST", "/v1/fabric/reload?dry_run=true").status_int == 409


def test_a_switch_comes_and_goes(service: Service) -> None:
    service.with_web()
    service.confirm()
    edited(
        service,
        ("switches:\n", 'switches:\n  tor-z: {dpid: "0x99", role: tor, l2_domain: rack-a, data_center: dc1}\n'),
        ('  - {a: "tor-a:49"', '  - {a: "tor-z:1", b: "border-1:30", l2_domain: core-1}\n  - {a: "tor-a:49"'),
    )
    answer = service.ask("POST", "/v1/fabric/reload").json
    assert (answer["added"]["switches"], answer["added"]["links"]) == (["tor-z"], ["border-1:30=tor-z:1"])
    shown = service.get("/v1/switches/tor-z")
    assert (shown["connected"], sum(shown["flows"].values()) > 0) == (False, True)
    assert [row["up"] for row in service.get("/v1/fabric")["links"]].count(False) == 1, "until its switches say it is up"
    service.confirm("border-1")  # it has a port more, from which packets may come that want an answer
    service.connect("tor-z")
    edited(service)
    answer = service.ask("POST", "/v1/fabric/reload").json
    assert answer["removed"]["switches"] == ["tor-z"]
    problem(service.ask("GET", "/v1/switches/tor-z"), 404)
    service.confirm("border-1")
    taken = service.engine.fleet.take("tor-z")
    assert taken is not None
    assert taken[1].gone
    assert not taken[1].flows
    assert service.engine.fleet.is_leaving("tor-z")
    assert service.get("/readyz")["ready"] is True


def test_a_refused_file_is_told_of(service: Service) -> None:
    service.with_web()
    for text in (TEXT.replace("version: 1", "version: 2"), TEXT.replace("02:00:5e:00:00:01", "02:00:5e:00:00:02")):
        with pytest.raises((FabricError, Refusal)) as caught:
            reload(service.engine, examine(text, "example.yaml"))
        tell_refused(service.engine, caught.value)
    rows = [event.data["reasons"] for event in service.engine.events if event.kind == "fabric.refused"]
    assert rows[0] == ["example.yaml:1: error: version: version 2 is not known: this is 1 [version-unsupported]"]
    assert rows[1] == ["gateway_mac: the VMs of CUG 'web' have it in their ARP and neighbour caches"]
