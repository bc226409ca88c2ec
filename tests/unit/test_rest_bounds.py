"""What one request may cost: elements and faults are bounded, long reading pauses, and what it took is its client's."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from ryu_vmmob.fabric import examine
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command, PutCug, PutVm
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State, with_fabric
from ryu_vmmob.rest.problems import MOST_FAULTS
from ryu_vmmob.rest.rates import BURST, Rates
from ryu_vmmob.rest.routes import LARGE_BODY, SMALL_COUNT
from tests.support.commands import apply
from tests.support.rest_service import TOKEN, WEB, Service, vm

VMS = 400


def pauses(service: Service) -> list[int]:
    """Filled at each pause."""
    found: list[int] = []
    service.queue.paused = lambda: found.append(1)
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_of_very_many_elements_is_refused_before_it_is_judged(packed: bool) -> None:
    service = Service()
    value: Any = {"from": [[]] * (SMALL_COUNT + 1)}
    data = msgpack.packb(value) if packed else json.dumps(value).encode()
    kind = "application/msgpack" if packed else "application/json"
    answer = service.ask("POST", "/v1/trace", data, Content_Type=kind)
    told = f"the body has more than {SMALL_COUNT} keys and elements, the most that is taken"
    assert (answer.status_int, answer.json["detail"]) == (413, told)


def test_the_first_faults_are_told_and_the_others_counted() -> None:
    service = Service()
    answer = service.ask("PUT", "/v1/cugs/web", {f"unknown{number}": 0 for number in range(MOST_FAULTS + 20)} | {"subnets": []})
    assert answer.status_int == 422
    assert len(answer.json["errors"]) == MOST_FAULTS
    assert answer.json["errors_left_out"] == 21
    assert answer.json["detail"].endswith("; and 21 more")
    few = service.ask("PUT", "/v1/cugs/web", {f"unknown{number}": 0 for number in range(MOST_FAULTS - 1)} | {"subnets": []})
    assert (len(few.json["errors"]), "errors_left_out" in few.json) == (MOST_FAULTS, False)


def test_a_faulty_bulk_is_read_to_the_first_faults_only() -> None:
    service = Service(max_body=LARGE_BODY)
    seen = pauses(service)
    rows: dict[str, Any] = {f"v{number}": {} for number in range(300_000)}
    answer = service.ask("POST", "/v1/bulk", {"vms": rows})
    assert answer.status_int == 422
    assert len(answer.json["errors"]) == MOST_FAULTS
    assert len(answer.body) < 20_000
    assert seen, "counting the elements paused"


def test_reading_a_bulk_pauses_and_reads_what_it_did() -> None:
    service = Service(max_body=LARGE_BODY)
    service.ask("PUT", "/v1/cugs/web", {"subnets": ["10.0.0.0/8"]})
    rows: dict[str, Any] = {}
    for number in range(1000):
        high, low = divmod(number, 256)
        interface = {"cug": "web", "mac": f"02:00:00:00:{high:02x}:{low:02x}", "ips": [f"10.1.{high}.{low}"]}
        rows[f"v{number}"] = {"server": "srv-a1", "interfaces": [interface]}
    rows["v7"]["interfaces"][0]["mac"] = "no MAC"
    rows["v 8"] = rows.pop("v8")
    seen = pauses(service)
    answer = service.ask("POST", "/v1/bulk", {"vms": rows, "cug": {}, "policies": []})
    assert answer.status_int == 422
    assert [row["path"] for row in answer.json["errors"]] == ["vms.v7.interfaces[0].mac", 'vms."v 8"', "cug", "policies"]
    assert len(seen) >= 3
    assert service.ask("POST", "/v1/bulk", []).status_int == 422


def full_domain() -> tuple[State, list[Command]]:
    """A bulk whose last VM finds its domain full: it has 400 VLAN-IDs, and each VM another CUG."""
    fabric = examine(
        """
version: 1
fabric: one-rack
gateway_mac: "02:00:5e:00:00:01"
data_centers: {dc: {}}
l2_domains: {rack: {data_center: dc, vlan_ids: 2-401}}
switches: {tor: {dpid: 1, role: tor, l2_domain: rack, data_center: dc}}
servers: {srv: {attach: "tor:1", tagging: per_cug}}
""",
        "fabric.yaml",
    ).fabric
    assert fabric is not None
    commands: list[Command] = []
    for number in range(VMS + 1):
        commands.append(PutCug(f"c{number:03}", (net(number),), (), None, {}))
    for number in range(VMS + 1):
        interface = Interface(f"c{number:03}", 0x020000000000 + number, (net(number)[9],))
        commands.append(PutVm(f"v{number:03}", "srv", (interface,)))
    return with_fabric(None, fabric), commands


def net(number: int) -> Any:
    return ip_network(f"10.{number >> 8}.{number & 255}.0/24")


def test_a_refused_bulk_costs_little_more_than_an_accepted_one() -> None:
    """It was done once more from the beginning for each command; a full rack is an everyday refusal."""
    state, commands = full_domain()
    done: list[int] = []
    apply(state, *commands[:-1], breath=Breath(lambda: done.append(1), 1))
    accepted = len(done)
    done.clear()
    with pytest.raises(Refusal) as refused:
        apply(state, *commands, breath=Breath(lambda: done.append(1), 1))
    assert refused.value.command == len(commands) - 1
    assert len(done) <= accepted * (len(commands).bit_length() + 1)


def test_a_client_that_has_much_worked_out_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only requests count: what they took of the processor does."""
    now, used = [0.0], [0.0]
    monkeypatch.setattr("ryu_vmmob.rest.gate.process_time", lambda: used[0])
    service = Service(tokens=(TOKEN, "b3RoZXI="), rates=Rates(10, lambda: now[0]))
    service.ask("PUT", "/v1/cugs/web", WEB)
    service.ask("PUT", "/v1/vms/v", vm())
    trial = service.engine.trial

    def slow(*commands: Command) -> Any:
        used[0] += 0.2
        return trial(*commands)

    monkeypatch.setattr(service.engine, "trial", slow)
    statuses = [service.ask("GET", "/v1/vms/v/placements").status_int for _ in range(int(BURST * 10))]
    assert statuses[0] == 200
    assert statuses.count(200) < 5
    assert statuses[-1] == 429
    assert service.ask("GET", "/v1/cugs", Authorization="Bearer b3RoZXI=").status_int == 200, "another client does not"
    now[0] += BURST
    assert service.ask("GET", "/v1/cugs").status_int == 200, "not for ever"


def test_placements_work_out_no_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    service.ask("PUT", "/v1/cugs/web", WEB)
    service.ask("PUT", "/v1/vms/v", vm())
    planned: list[int] = []
    plan = service.engine.desired.plan

    def counted(*arguments: Any) -> Any:
        planned.append(1)
        return plan(*arguments)

    monkeypatch.setattr(service.engine.desired, "plan", counted)
    answer = service.ask("GET", "/v1/vms/v/placements")
    assert (answer.status_int, planned) == (200, [])
    assert {row["server"] for row in answer.json["items"]} == set(service.engine.state.fabric.servers)
