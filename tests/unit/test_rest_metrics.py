"""``/metrics``: the numbers are right after things have happened, and nobody who makes VMs or sends frames makes them more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from ryu_vmmob.engine.event_kinds import KINDS
from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import ASKED, METER_RATES, TABLES, Meter, Priority, Table
from ryu_vmmob.rest.metrics import Metrics
from ryu_vmmob.southbound.packets import MAX_FRAME, PacketIn, Packets
from ryu_vmmob.store import Record, StoreError, Write, open_store
from ryu_vmmob.store.timed import TimedStore
from tests.support.rest_service import TOKEN, Service, per_cug, problem, vm
from tests.unit.documented_events import documented

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


def numbers(text: str) -> Numbers:
    """Every sample of an exposition."""
    return {(row.name, frozenset(row.labels.items())): row.value for family in plain_text(text) for row in family.samples}


@pytest.fixture
def service() -> Service:
    return Service().with_web()


def read(service: Service) -> Any:
    """Ask, and be able to ask for single numbers: ``get("vmmob_flows", switch="tor-a", table="admit")``."""
    found = numbers(service.ask("GET", "/metrics").text)

    def get(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    return get


# How it is answered


def test_the_text_that_prometheus_reads(service: Service) -> None:
    answer = service.ask("GET", "/metrics", Accept="text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
    assert answer.status_int == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in plain_text(answer.text)}
    assert {"vmmob_build_info", "vmmob_migrations", "process_resident_memory_bytes", "python_gc_collections"} <= names


def test_openmetrics_when_it_is_asked_for(service: Service) -> None:
    answer = service.ask("GET", "/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families: list[Metric] = list(openmetrics(answer.text))  # type: ignore[no-untyped-call]
    found = {row.name: row.value for family in families for row in family.samples}
    assert found["vmmob_revision"] == service.engine.state.revision


@pytest.mark.parametrize("accept", ["application/json", "image/png", "rubbish;;q=,"])
def test_whoever_wants_something_else_gets_text(service: Service, accept: str) -> None:
    answer = service.ask("GET", "/metrics", Accept=accept)
    assert answer.status_int == 200
    assert answer.content_type == "text/plain"


def test_a_token_is_needed(service: Service) -> None:
    problem(service.ask("GET", "/metrics", Authorization=""), 401)
    problem(service.ask("GET", "/metrics", Authorization="Bearer wrong"), 401)
    assert TOKEN not in service.ask("GET", "/metrics").text


def test_other_methods_and_parameters_are_refused(service: Service) -> None:
    assert service.ask("HEAD", "/metrics").status_int == 200
    assert service.ask("POST", "/metrics").headers["Allow"] == "GET, HEAD"
    problem(service.ask("GET", "/metrics?name=vmmob_flows"), 400, "?name")


# Moves


def move(service: Service, to: str, **more: Any) -> str:
    answer = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": to, "activate_on": "request", **more})
    assert answer.status_int == 201, answer.text
    id_ = answer.json["id"]
    assert isinstance(id_, str)
    return id_


def test_a_move_that_is_committed(service: Service) -> None:
    service.connect()
    id_ = move(service, "srv-b1", commit="request")
    get = read(service)
    assert get("vmmob_migrations", state="preparing") == 1
    assert get("vmmob_migrations_begun_total", mode="hot") == 1
    service.time += 2
    assert read(service)("vmmob_migration_oldest_seconds", state="preparing") == 2
    service.confirm()
    service.time += 5
    get = read(service)
    assert get("vmmob_migrations", state="prepared") == 1
    assert get("vmmob_migration_oldest_seconds", state="prepared") == 5
    assert get("vmmob_migration_oldest_seconds", state="preparing") == 0
    assert service.ask("POST", f"/v1/migrations/{id_}/activate").status_int == 200
    service.confirm()
    service.time += 3
    assert service.ask("POST", f"/v1/migrations/{id_}/commit").status_int == 200
    get = read(service)
    for state, seconds in (("prepared", 2), ("activated", 7), ("committed", 10)):
        assert get("vmmob_migration_seconds_count", state=state) == 1
        assert get("vmmob_migration_seconds_sum", state=state) == pytest.approx(seconds)
    assert get("vmmob_migration_seconds_bucket", state="prepared", le="1.0") == 0
    assert get("vmmob_migration_seconds_bucket", state="prepared", le="2.5") == 1
    assert get("vmmob_migrations_ended_total", outcome="committed") == 1
    assert all(get("vmmob_migrations", state=state) == 0 for state in ("preparing", "prepared", "activated", "returning"))
    assert get("vmmob_events_total", event="migration.committed") == 1


def test_moves_that_end_otherwise(service: Service) -> None:
    service.connect()
    assert service.ask("POST", f"/v1/migrations/{move(service, 'srv-b1', mode='cold')}/abort").status_int == 200
    service.confirm()
    move(service, "srv-c1")
    for name in service.engine.fleet.names:
        taken = service.engine.fleet.take(name)
        if taken is not None:
            fault = SwitchFault("TABLE_FULL", "a flow", Owner(OwnerKind.VM, "web1", "0"), 1)
            service.engine.fleet.confirm(name, taken[0], [fault])
    service.engine.progress()
    get = read(service)
    assert [get("vmmob_migrations_ended_total", outcome=row) for row in ("committed", "aborted", "failed")] == [0, 1, 1]
    assert [get("vmmob_migrations_begun_total", mode=row) for row in ("hot", "cold")] == [1, 1]
    assert get("vmmob_migration_seconds_count", state="prepared") == 0
    assert sum(get("vmmob_switch_faults", switch=name) for name in service.engine.fleet.names) > 0


def test_an_abort_on_the_way_back_is_no_second_activation(service: Service) -> None:
    service.connect()
    id_ = move(service, "srv-b1", commit="request")
    service.confirm()
    service.ask("POST", f"/v1/migrations/{id_}/activate")
    service.confirm()
    service.ask("POST", f"/v1/migrations/{id_}/abort")
    get = read(service)
    assert get("vmmob_migrations", state="returning") == 1
    assert get("vmmob_migrations", state="activated") == 0
    assert get("vmmob_migration_seconds_count", state="activated") == 1
    service.confirm()
    assert read(service)("vmmob_migrations_ended_total", outcome="aborted") == 1


# Switches


def test_switches_connected_and_behind(service: Service) -> None:
    assert read(service)("vmmob_switch_connected", switch="tor-a") == 0
    service.connect()
    get = read(service)
    assert (get("vmmob_switch_connected", switch="tor-a"), get("vmmob_switch_in_step", switch="tor-a")) == (1, 1)
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    get = read(service)
    assert get("vmmob_switch_behind_revisions", switch="tor-a") == 1
    assert get("vmmob_switch_in_step", switch="tor-a") == 0
    service.confirm()
    assert read(service)("vmmob_switch_in_step", switch="tor-a") == 1


def assert_flows(service: Service) -> None:
    get, desired = read(service), service.engine.desired
    for name in service.engine.fleet.names:
        counts = Counter(flow.table for flow in desired.flows(name))
        assert {table: get("vmmob_flows", switch=name, table=table.label) for table in TABLES} == {
            table: counts[table] for table in TABLES
        }
        assert get("vmmob_groups", switch=name) == len(list(desired.groups(name)))


def test_flows_by_table_while_they_come_and_go(service: Service) -> None:
    service.connect()
    assert_flows(service)
    assert read(service)("vmmob_flows", switch="tor-a", table="admit") > 0
    id_ = move(service, "srv-b1")
    assert_flows(service)
    service.confirm()
    service.ask("POST", f"/v1/migrations/{id_}/activate")
    service.confirm()
    assert_flows(service)
    for number in range(12, 20):
        service.put(f"/v1/vms/web{number}", vm("srv-c1", number))
    assert_flows(service)
    for number in range(12, 20):
        assert service.ask("DELETE", f"/v1/vms/web{number}").status_int == 204
    assert service.ask("DELETE", "/v1/vms/web1").status_int == 204
    assert service.ask("DELETE", "/v1/cugs/web").status_int == 204
    assert_flows(service)


def test_audits_and_what_they_put_right(service: Service) -> None:
    service.engine.repairs.begin("tor-a")
    service.engine.audited("tor-a", Counter({("flows", "missing"): 2, ("groups", "altered"): 1}), 3)
    service.time += 30
    get = read(service)
    assert get("vmmob_repairs_total", switch="tor-a", kind="flows", wrong="missing") == 2
    assert get("vmmob_repairs_total", switch="tor-a", kind="groups", wrong="altered") == 1
    assert get("vmmob_repairs_total", switch="tor-b", kind="flows", wrong="missing") == 0
    assert get("vmmob_audits_total", switch="tor-a") == 1
    assert get("vmmob_audit_age_seconds", switch="tor-a") == 30
    assert get("vmmob_foreign_flows", switch="tor-a") == 3


def test_frames_refused_as_switches_count_them(service: Service) -> None:
    service.engine.refusals.counted({"srv-a1": 7})
    get = read(service)
    assert get("vmmob_frames_refused_total", server="srv-a1", switch="tor-a") == 7
    assert get("vmmob_frames_refused_total", server="srv-b1", switch="tor-b") == 0


def test_packets_handed_up_and_dropped(service: Service) -> None:
    packets = Packets(service.engine, lambda packet: None)
    flow = next(row for row in service.engine.desired.flows("tor-a") if row.table is Table.REFUSE)
    packets.came("tor-a", PacketIn(1, 1, 0, b""), 0.0)
    packets.came("tor-a", PacketIn(flow.cookie, 1, 0, bytes(MAX_FRAME + 1)), 0.0)
    each = 2 * METER_RATES[Meter.REFUSALS]
    for _ in range(each + 3):
        packets.came("tor-a", PacketIn(flow.cookie, 1, 0, b"noise"), 0.0)
    service.engine.fleet.dropped["tor-a"] += 5
    get = read(service)
    assert get("vmmob_packets_in_total", switch="tor-a", table="refuse") == each + 4
    drops = {row: get("vmmob_drops_total", switch="tor-a", reason=row) for row in ("stale", "size", "rate", "unread", "queue")}
    assert drops == {"stale": 1, "size": 1, "rate": 3, "unread": 5, "queue": 0}


def test_no_port_and_no_purpose_starves_another(service: Service) -> None:
    """Where a switch has no meters, or lets too much through: a flood at one port, of one kind, costs only itself."""
    packets = Packets(service.engine, lambda packet: None)
    flows = list(service.engine.desired.flows("tor-a"))

    def at(port: int, priority: int) -> Flow:
        rows = (row for row in flows if row.table is Table.REFUSE and row.priority == priority)
        return next(row for row in rows if ("in_port", port, None) in row.match)

    one, other = sorted(end.port for end in service.engine.state.fabric.server_at if end.switch == "tor-a")[:2]
    refuse = {port: at(port, Priority.NORMAL) for port in (one, other)}
    announced = at(one, Priority.SPECIAL)
    punt = next(row for row in flows if row.table is Table.PUNT and row.match)
    asked = ASKED.of(Table.ROUTE.id)[0]

    def taken(flow: Flow, port: int, metadata: int = 0) -> bool:
        before = service.engine.tally.drops["tor-a", "rate"]
        packets.came("tor-a", PacketIn(flow.cookie, port, metadata, b"noise"), 0.0)
        return service.engine.tally.drops["tor-a", "rate"] == before

    assert not all(taken(refuse[one], one) for _ in range(1000))
    assert not taken(refuse[one], one)
    assert taken(refuse[other], other)
    assert taken(announced, one)
    assert taken(punt, one, asked)
    assert not all(taken(punt, one, asked) for _ in range(1000))
    assert taken(punt, other, asked)
    assert taken(announced, one)
    get = read(service)
    assert get("vmmob_packets_in_total", switch="tor-a", table="route") > 2 * METER_RATES[Meter.ANSWERS]


def test_links_externals_and_vlan_ids(tmp_path: Path) -> None:
    service = Service(fabric=per_cug(tmp_path)).with_web()
    service.connect()
    link = service.engine.state.fabric.links[0]
    service.engine.network.links_seen(frozenset({link.name}))
    get = read(service)
    assert get("vmmob_link_up", link=link.name) == 0
    assert get("vmmob_link_up", link=service.engine.state.fabric.links[1].name) == 1
    assert get("vmmob_external_up", external="internet-1") == 1
    domain = service.engine.state.fabric.l2_domains["rack-a"]
    assert get("vmmob_vlan_ids", l2_domain="rack-a") == len(domain.vlan_ids)
    taken = get("vmmob_vlan_ids_taken", l2_domain="rack-a")
    assert taken == 1
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})
    body = vm("srv-a1", 50, "db")
    body["interfaces"][0]["ips"] = ["10.2.0.50"]
    service.put("/v1/vms/db1", body)
    assert read(service)("vmmob_vlan_ids_taken", l2_domain="rack-a") == 2


# The store


class Full:
    """A store whose disk is full when the test says so."""

    def __init__(self) -> None:
        self.inner = open_store("sqlite:///:memory:")
        self.full = False
        self.time = 0.0

    @property
    def revision(self) -> int:
        return self.inner.revision

    def load(self) -> Iterable[Record]:
        return self.inner.load()

    def commit(self, revision: int | None, writes: Iterable[Write], *, sync: bool = True) -> None:
        self.time += 0.03
        if self.full:
            raise StoreError("the disk is full")
        self.inner.commit(revision, writes)

    def backup(self, path: str, pause: Callable[[], None]) -> None:
        self.inner.backup(path, pause)

    def tidy(self) -> bool:
        return False

    def close(self) -> None:
        self.inner.close()


def test_commits_are_timed_and_failures_counted() -> None:
    metrics, disk = Metrics(), Full()
    service = Service(store=TimedStore(disk, lambda: disk.time, metrics.stored))
    before = numbers(metrics.exposition("")[0].decode())["vmmob_store_commit_seconds_count", frozenset()]
    service.put("/v1/cugs/web", {"subnets": ["10.1.0.0/24"]})
    disk.full = True
    problem(service.ask("PUT", "/v1/cugs/db", {"subnets": ["10.2.0.0/24"]}), 503)
    found = numbers(metrics.exposition("")[0].decode())
    assert found["vmmob_store_commit_seconds_count", frozenset()] == before + 2
    assert found["vmmob_store_commit_seconds_sum", frozenset()] == pytest.approx(0.03 * (before + 2))
    assert found["vmmob_store_commit_seconds_bucket", frozenset({("le", "0.025")})] == 0
    assert found["vmmob_store_failures_total", frozenset()] == 1
    assert read(service)("vmmob_health", status="not_ready") == 1
    assert read(service)("vmmob_health_reasons", kind="store.failing") == 1


# Requests


def test_requests_by_route_and_status(service: Service) -> None:
    service.ask("GET", "/v1/vms/web1")
    service.ask("GET", "/v1/vms/nobody")
    service.ask("GET", "/v1/nothing/here")
    service.ask("BREW", "/v1/vms/web1")
    service.ask("GET", "/v1/vms/web1", Authorization="")
    get = read(service)
    assert get("vmmob_rest_requests_total", method="GET", route="/v1/vms/{vm}", status="200") == 1
    assert get("vmmob_rest_requests_total", method="GET", route="/v1/vms/{vm}", status="404") == 1
    assert get("vmmob_rest_requests_total", method="GET", route="none", status="404") == 1
    assert get("vmmob_rest_requests_total", method="other", route="none", status="405") == 1
    assert get("vmmob_rest_requests_total", method="GET", route="none", status="401") == 1
    assert get("vmmob_rest_request_seconds_count", method="GET", route="/v1/vms/{vm}") == 2


def test_a_delay_and_what_ryu_was_kept_from() -> None:
    metrics = Metrics(refused=lambda: (3, 1))
    metrics.delayed(0.2)
    metrics.delayed(-0.1)
    found = numbers(metrics.exposition("")[0].decode())
    assert found["vmmob_loop_delay_seconds_count", frozenset()] == 2
    assert found["vmmob_loop_delay_seconds_sum", frozenset()] == pytest.approx(0.2)
    assert found["vmmob_openflow_refused_total", frozenset({("reason", "malformed")})] == 3
    assert found["vmmob_openflow_refused_total", frozenset({("reason", "too_slow")})] == 1


# How many


def test_neither_vms_nor_whoever_asks_makes_more_series(service: Service) -> None:
    service.connect()
    service.ask("GET", "/metrics")
    service.put("/v1/vms/web30", vm("srv-a1", 30))
    before = numbers(service.ask("GET", "/metrics").text).keys()
    for number in range(31, 60):
        service.put(f"/v1/vms/web{number}", vm("srv-b1", number))
        service.ask("PUT", f"/v1/vms/web{number}", vm("srv-b1", number))
    service.confirm()
    text = service.ask("GET", "/metrics").text
    new = {(name, labels) for name, labels in numbers(text).keys() - before if not name.startswith("vmmob_rest_")}
    assert new == set()
    assert "web3" not in text
    assert "02:00:00" not in text
    assert read(service)("vmmob_objects", kind="vm") == 31


def test_a_switch_that_leaves_takes_its_series_along(service: Service) -> None:
    gone = "tor-c"
    service.engine.tally.sent[gone, "flow"] += 1
    fabric = service.engine.state.fabric
    assert gone in fabric.switches
    service.engine.fleet.use([name for name in fabric.switches if name != gone])
    text = service.ask("GET", "/metrics").text
    assert f'vmmob_messages_sent_total{{kind="flow",switch="{gone}"}}' not in text
    assert 'vmmob_messages_sent_total{kind="flow",switch="tor-a"}' in text


def test_every_kind_of_event_is_counted_from_nought(service: Service) -> None:
    assert set(KINDS) == set(documented()) - {"gap"}
    get = read(service)
    assert get("vmmob_events_total", event="switch.held") == 0
    assert get("vmmob_events_total", event="vm.created") == 1
    assert get("vmmob_event_listeners") == 0
