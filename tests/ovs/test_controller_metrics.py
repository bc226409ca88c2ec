"""The real controller with real switches: its numbers are those of the switches, and every line of its log is JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mininet_topos.ovs import PrivateOvs
from tests.support.controller import WEB, Site, nic, until

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def site(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Site]:
    with Site(ovs, tmp_path, settings={"log_format": "json"}) as running:
        yield running


def numbers(site: Site) -> Numbers:
    answer = site.rest.ask("GET", "/metrics")
    assert answer.status_code == 200
    return {
        (row.name, frozenset(row.labels.items())): row.value
        for family in text_string_to_metric_families(answer.text)
        for row in family.samples
    }


def total(found: Numbers, name: str, **labels: str) -> float:
    """The sum over all series that have these labels."""
    return sum(value for (row, have), value in found.items() if row == name and have >= labels.items())


def lines(site: Site) -> list[dict[str, Any]]:
    """Every line that is written to its end."""
    return [json.loads(line) for line in site.controller.log.rpartition("\n")[0].splitlines()]


def test_a_move_in_numbers_and_in_the_log(site: Site) -> None:
    before = numbers(site)
    assert total(before, "vmmob_switch_in_step") == len(site.fabric.switches)
    heard = site.listen()
    site.rest.put("/v1/cugs/web", WEB)
    site.put_vm("w1", "srv-a1", nic("web", 11))
    id_ = site.move("w1", "srv-c1")["id"]
    site.rest.post(f"/v1/migrations/{id_}/activate")
    site.until_state(id_, "committed")
    found = numbers(site)
    changes = heard.changes()
    heard.stop()
    sent = [
        total(found, "vmmob_messages_sent_total", kind=kind) - total(before, "vmmob_messages_sent_total", kind=kind)
        for kind in ("flow", "group")
    ]
    assert sum(sent) == changes
    assert min(sent) > 0
    assert total(found, "vmmob_migrations_ended_total", outcome="committed") == 1
    assert total(found, "vmmob_migration_seconds_count", state="committed") == 1
    for name in site.bridges:
        assert total(found, "vmmob_flows", switch=name) == len(site.flows(name))
    assert total(found, "vmmob_store_commit_seconds_count") > total(before, "vmmob_store_commit_seconds_count")
    assert total(found, "vmmob_store_failures_total") == 0
    assert total(found, "vmmob_rest_requests_total", route="/v1/migrations", method="POST", status="201") == 1
    until(lambda: total(numbers(site), "vmmob_loop_delay_seconds_count") > 0)  # twice a second
    of_the_process = ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds")
    for name in of_the_process:
        assert total(found, name) > 0, name

    rows = lines(site)
    steps = [row["event"] for row in rows if row.get("migration") == id_]
    assert steps[0] == "migration.preparing"
    assert "migration.committed" in steps
    for name in site.bridges:
        assert any(row.get("event") == "switch.connected" and row["switch"] == name for row in rows)
        assert any("message" in row and row.get("switch") == name for row in rows), "a session's own lines"
    # Ryu's, from the first, and the web server's.
    assert rows[0]["message"].startswith("loading app")
    assert any('"POST /v1/migrations' in row.get("message", "") for row in rows)


def test_what_an_audit_puts_right_is_counted(site: Site) -> None:
    cookie, row = next(iter(site.flows("tor-a").items()))
    assert total(numbers(site), "vmmob_repairs_total") == 0
    site.ovs.ofctl("del-flows", "tor-a", f"cookie={cookie}/-1")
    site.rest.post("/v1/switches/tor-a/audit")
    until(lambda: total(numbers(site), "vmmob_repairs_total", switch="tor-a", kind="flows", wrong="missing") == 1, lambda: row)
    assert total(numbers(site), "vmmob_repairs_total") == 1
    assert total(numbers(site), "vmmob_audits_total", switch="tor-a") == 2
    warned = [line for line in lines(site) if line.get("event") == "switch.repaired"]
    assert [(line["switch"], line["level"], line["flows_missing"]) for line in warned] == [("tor-a", "warning", 1)]
