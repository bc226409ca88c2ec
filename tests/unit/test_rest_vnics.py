"""VLAN-IDs of single vNICs by REST: pins and what refuses them (R27), and the events that tell of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.fabric import loads
from ryu_vmmob.store import open_store
from tests.support.fabric_examples import complete
from tests.support.rest_service import WEB, Service, per_cug, problem, vm

PIN = 700


def pinned(server: str = "srv-a1", number: int = 11, pin: int | None = PIN, **keys: Any) -> dict[str, Any]:
    """The body of a VM whose interface is pinned."""
    body = vm(server, number)
    body["interfaces"][0].update({"vlan_id": pin, **keys})
    return body


@pytest.fixture
def service() -> Service:
    made = Service()
    made.connect()
    made.put("/v1/cugs/web", WEB)
    return made


def tag(service: Service, name: str = "web1") -> Any:
    """The VLAN-ID of a VM's first interface, as it is answered."""
    return service.get(f"/v1/vms/{name}")["interfaces"][0]["vlan_id"]


def moves(service: Service, to: str, vm_name: str = "web1") -> str | None:
    """The refusal of a move, which its dry run and `placements` have too; None: it begins."""
    rows = {row["server"]: row for row in service.get(f"/v1/vms/{vm_name}/placements")["items"]}
    body = {"vm": vm_name, "to": to, "activate_on": "request"}
    dry, real = (service.ask("POST", f"/v1/migrations{query}", body) for query in ("?dry_run=true", ""))
    if real.status_int == 201:
        assert (dry.status_int, rows[to]["possible"]) == (200, True)
        assert dry.json["interfaces"] == real.json["interfaces"]
        return None
    detail = problem(real, 409)
    assert (problem(dry, 409), rows[to]["possible"], rows[to]["reason"]) == (detail, False, detail)
    assert dry.json["title"] == real.json["title"] == "a pinned VLAN-ID"
    return detail


# Pins


@pytest.mark.requirement("R27")
def test_a_pin_is_the_number_and_stays_it_everywhere(service: Service) -> None:
    assert service.put("/v1/vms/web1", pinned())["interfaces"][0]["vlan_id"] == PIN
    service.confirm()
    assert moves(service, "srv-c1") is None
    move = service.get("/v1/migrations")["items"][0]
    assert move["interfaces"] == [{"cug": "web", "from_vlan_id": PIN, "to_vlan_id": PIN}]
    service.confirm()
    service.ask("POST", f"/v1/migrations/{move['id']}/activate")
    service.confirm()
    assert tag(service) == PIN
    assert service.get(f"/v1/migrations/{move['id']}")["state"] == "committed"


@pytest.mark.requirement("R27")
def test_a_pin_may_be_set_changed_and_taken_off(service: Service) -> None:
    service.put("/v1/vms/web1", pinned(pin=None))
    before = tag(service)
    revision = service.get("/v1/vms/web1")["revision"]
    assert service.put("/v1/vms/web1", pinned(pin=before))["interfaces"][0]["vlan_id"] == before
    assert service.get("/v1/vms/web1")["revision"] == revision + 1, "a pin is another body"
    assert service.put("/v1/vms/web1", pinned())["interfaces"][0]["vlan_id"] == PIN
    assert service.put("/v1/vms/web1", pinned(pin=PIN + 1))["interfaces"][0]["vlan_id"] == PIN + 1
    assert service.put("/v1/vms/web1", vm())["interfaces"][0]["vlan_id"] == PIN + 1, "it keeps the number it has"


@pytest.mark.requirement("R27", "R28")
def test_a_pin_that_another_vnic_has_on_the_cable(service: Service) -> None:
    service.put("/v1/vms/web1", pinned())
    detail = problem(service.ask("PUT", "/v1/vms/web2", pinned(number=12)), 409)
    assert detail == ("R27, R28: VM 'web2' is pinned to VLAN-ID 700 in CUG 'web', but at server 'srv-a1' another vNIC has it")
    assert "web2" not in {row["name"] for row in service.get("/v1/vms")["items"]}
    assert service.put("/v1/vms/web2", pinned("srv-c1", 12))["interfaces"][0]["vlan_id"] == PIN
    service.confirm()
    refused = moves(service, "srv-c1")
    assert refused is not None
    assert refused.startswith("R27, R28: VM 'web1' is pinned to VLAN-ID 700")
    assert "'srv-c1' another vNIC has it" in refused
    assert (service.get("/v1/migrations"), service.get("/v1/vms/web1")["migration"]) == ({"items": []}, None)
    assert moves(service, "srv-b1") is None


@pytest.mark.requirement("R27", "R28")
def test_a_pin_that_another_vnic_had_a_moment_ago(service: Service) -> None:
    service.put("/v1/vms/web2", pinned(number=12))
    service.ask("DELETE", "/v1/vms/web2")
    service.confirm()
    detail = problem(service.ask("PUT", "/v1/vms/web1", pinned()), 409)
    assert detail.endswith("at server 'srv-a1' another vNIC had it until a moment ago")
    service.time += 61
    service.engine.progress()
    assert service.put("/v1/vms/web1", pinned())["interfaces"][0]["vlan_id"] == PIN


@pytest.mark.requirement("R27")
def test_a_pin_outside_the_numbers_of_a_server() -> None:
    service = Service(fabric=loads(complete("servers: {srv-c1: {vlan_ids: '20-29'}}")))
    service.connect()
    service.put("/v1/cugs/web", WEB)
    said = "VM 'web1' is pinned to VLAN-ID 700 in CUG 'web', but at server 'srv-c1' it is not among those that vNICs may get"
    assert problem(service.ask("PUT", "/v1/vms/web1", pinned("srv-c1")), 409) == f"R27: {said}"
    service.put("/v1/vms/web1", pinned())
    assert moves(service, "srv-c1") == f"R27: {said}"
    assert service.put("/v1/vms/web2", pinned("srv-c1", 12, 20))["interfaces"][0]["vlan_id"] == 20


@pytest.mark.requirement("R12", "R27")
def test_a_pin_at_an_untagged_server(service: Service) -> None:
    said = "R27: VM 'web1' is pinned to VLAN-ID 700 in CUG 'web', and at server 'srv-a2' it would have none"
    assert problem(service.ask("PUT", "/v1/vms/web1", pinned("srv-a2")), 409) == said
    service.put("/v1/vms/web1", pinned())
    assert moves(service, "srv-a2") == said


@pytest.mark.requirement("R27")
def test_a_pin_where_the_number_is_the_cugs(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path))
    service.connect()
    service.put("/v1/cugs/web", WEB | {"vlan_ids": {"rack-a": 150, "rack-c": 550}})
    said = "R27: VM 'web1' is pinned to VLAN-ID {} in CUG 'web', and at server '{}' it would have VLAN-ID {}"
    assert problem(service.ask("PUT", "/v1/vms/web1", pinned()), 409) == said.format(PIN, "srv-a1", 150)
    assert service.put("/v1/vms/web1", pinned(pin=150))["interfaces"][0]["vlan_id"] == 150
    assert moves(service, "srv-c1") == said.format(150, "srv-c1", 550)
    service.put("/v1/cugs/web", WEB | {"vlan_ids": {"rack-a": 150, "rack-b": 150}})
    assert moves(service, "srv-b1") is None


@pytest.mark.requirement("R24", "R27")
def test_a_guest_that_tags_itself_has_nothing_to_pin(service: Service) -> None:
    for number in (PIN, PIN + 1):
        detail = problem(service.ask("PUT", "/v1/vms/web1", pinned(guest_vlan_id=number)), 422, "interfaces[0].vlan_id")
        assert "R24, R27" in detail
    assert service.get("/v1/vms") == {"items": []}
    assert service.put("/v1/vms/web1", pinned(pin=None, guest_vlan_id=PIN))["interfaces"][0]["vlan_id"] is None


def test_a_pin_is_kept_free_for_where_its_vm_goes(service: Service) -> None:
    """Other interfaces get it only when nothing else is left."""
    taken = tag_of_a_new_vm(service)
    service.put("/v1/vms/other", pinned("srv-c1", 30, taken))
    assert tag_of_a_new_vm(service) != taken


def tag_of_a_new_vm(service: Service) -> int:
    service.put("/v1/vms/web1", vm())
    found = tag(service)
    service.ask("DELETE", "/v1/vms/web1")
    service.confirm()
    service.time += 61
    service.engine.progress()
    assert isinstance(found, int)
    return found


def test_what_a_body_pins_survives_a_restart(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/state.db"
    service = Service(store=open_store(place))
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/vms/web1", pinned())
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    tags = tag(service), tag(service, "web2")
    service.engine.close()
    again = Service(store=open_store(place))
    assert (tag(again), tag(again, "web2")) == tags
    again.connect()
    problem(again.ask("PUT", "/v1/vms/web3", pinned(number=13)), 409)
    assert moves(again, "srv-a2") is not None
    again.engine.close()


# Events


def told(service: Service) -> list[dict[str, Any]]:
    """The events about VLAN-IDs on cables, without ids, times and what the table of events adds."""
    rows = service.get("/v1/events?types=vlan_id&limit=1000")["items"]
    return [{key: row[key] for key in row if key not in ("id", "time", "level", "text")} for row in rows if "server" in row]


def test_events_of_a_vnics_number_from_its_first_server_to_its_last(service: Service) -> None:
    service.put("/v1/vms/web1", vm())
    number = tag(service)

    def event(word: str, server: str, **more: Any) -> dict[str, Any]:
        return {"event": f"vlan_id.{word}", "server": server, "vlan_id": number, **more}

    whose = {"vm": "web1", "cug": "web"}
    story = [event("allocated", "srv-a1", **whose)]
    assert told(service) == story
    service.confirm()
    assert moves(service, "srv-b1") is None
    story.append(event("allocated", "srv-b1", **whose))
    assert told(service) == story
    service.confirm()
    service.ask("POST", "/v1/migrations/m-000000000002/deliver")
    service.confirm()
    assert told(service) == story, "it has both numbers until the source goes"
    service.ask("POST", "/v1/migrations/m-000000000002/activate")
    service.confirm()
    assert told(service) == story, "frames may still be under way to the source"
    service.passes()
    story.append(event("released", "srv-a1", **whose))
    assert told(service) == story
    service.time += 61
    service.engine.progress()
    story.append(event("free", "srv-a1"))
    assert told(service) == story
    service.ask("DELETE", "/v1/vms/web1")
    service.confirm()
    service.time += 61
    service.engine.progress()
    assert told(service) == [*story, event("released", "srv-b1", **whose), event("free", "srv-b1")]


def test_events_of_a_pin_that_is_changed(service: Service) -> None:
    service.put("/v1/vms/web1", pinned())
    service.put("/v1/vms/web1", pinned(pin=PIN + 1))
    assert [(row["event"], row["vlan_id"]) for row in told(service)] == [
        ("vlan_id.allocated", PIN), ("vlan_id.released", PIN), ("vlan_id.allocated", PIN + 1),
    ]  # fmt: skip


def test_a_number_that_comes_back_before_its_rest_is_over_is_not_free(service: Service) -> None:
    service.put("/v1/vms/web1", pinned())
    service.ask("DELETE", "/v1/vms/web1")
    service.put("/v1/vms/web1", pinned())
    service.confirm()
    service.time += 61
    service.engine.progress()
    assert [row["event"] for row in told(service)] == ["vlan_id.allocated", "vlan_id.released", "vlan_id.allocated"]


def test_a_guests_own_tag_is_none_of_these(service: Service) -> None:
    service.put("/v1/vms/web1", pinned(pin=None, guest_vlan_id=77))
    service.ask("DELETE", "/v1/vms/web1")
    service.confirm()
    service.time += 61
    service.engine.progress()
    assert told(service) == []
