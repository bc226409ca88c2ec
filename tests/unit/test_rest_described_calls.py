"""Calls made up from the description, against the application over the real engine: every answer is as it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import schemathesis

from ryu_vmmob.rest.app import ROUTES
from tests.support.described_calls import Outcome, callable_from, config, run, show
from tests.support.rest_service import POLICY, TOKEN, Service, vm

SECONDS_BETWEEN = 20.0
"""By the controller's clock: so moves that nobody activates come to their end."""


def a_place() -> Service:
    """Switches that confirm, a few VMs, a policy and a move."""
    service = Service().with_web()
    service.connect()
    service.while_waiting = service.confirm
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"], "routing_domain": "red"})
    for number, (name, server) in enumerate({"web2": "srv-a2", "web3": "srv-b1", "web4": "srv-c1"}.items(), 12):
        service.put(f"/v1/vms/{name}", vm(server, number))
    service.put("/v1/policies/web-in", POLICY)
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    service.confirm()
    return service


def calls(**phases: int | None) -> Outcome:
    """Make up calls, each phase as `config` says; after each the switches confirm and time passes."""
    service = a_place()

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        answer = service.app(environ, start)
        service.time += SECONDS_BETWEEN
        service.confirm()
        return answer

    schema = schemathesis.openapi.from_dict(callable_from(service.get("/openapi.json")), config=config(TOKEN, phases))
    schema.app = application
    return run(schema)


def test_good_calls_and_bad_ones() -> None:
    outcome = calls(examples=None, coverage=None)
    assert outcome.faults == [], show(outcome.faults)
    assert outcome.statuses.keys() == {f"{route.method} {route.pattern}" for route in ROUTES}
    assert outcome.calls > 1000


def test_calls_by_chance() -> None:
    outcome = calls(fuzzing=12)
    assert outcome.faults == [], show(outcome.faults)
    assert outcome.statuses.keys() == {f"{route.method} {route.pattern}" for route in ROUTES}


def test_sequences_that_follow_links() -> None:
    outcome = calls(stateful=60)
    assert outcome.faults == [], show(outcome.faults)
    # What is made up depends on chance, so no more than this is sure.
    for step in ("activate", "commit", "abort"):
        assert outcome.statuses[f"POST /v1/migrations/{{id}}/{step}"]
