"""Port counters: a switch is asked only while somebody looks, and not more often; numbers, rates, and what cannot be said."""

from __future__ import annotations

import struct
from typing import Any, cast

import pytest

from ryu_vmmob.engine.port_counters import INTERVAL, MOST, Counts, PortCounters
from ryu_vmmob.flows import wire
from ryu_vmmob.southbound import port_counters
from ryu_vmmob.southbound.exchange import Exchange
from tests.support.rest_service import Service, problem

PORTS = "/v1/switches/tor-a/ports"
NOTHING = Counts(*[0] * 8)


@pytest.fixture
def service() -> Service:
    found = Service()
    found.connect()
    return found


def entry(port: int, *counts: int) -> bytes:
    """Struct ofp_port_stats, as OpenFlow 1.3.5, 7.3.5.6, has it."""
    return struct.pack("!I4x12QII", port, *counts, *[0] * (12 - len(counts)), 7, 0)


class Session:
    """As much of a session as asks for statistics; ``bodies`` is what the switch answers."""

    def __init__(self, service: Service, *bodies: bytes) -> None:
        self.name = "tor-a"
        self.engine = service.engine
        self.bodies = bodies
        self.asked: list[bytes] = []

    def ask(self, request: Any, *, required: bool = True) -> Any:
        assert not required, "a switch that refuses is no reason to end the connection"
        self.asked.append(request(7))
        return iter(self.bodies)


def read(session: Session) -> None:
    port_counters.read(cast(Exchange, session))


def rows(service: Service) -> dict[int, Any]:
    return {row["port"]: row for row in service.get(PORTS)["items"]}


def test_the_request_and_the_reply_on_the_wire() -> None:
    request = wire.port_stats_request(7)
    assert request == bytes.fromhex("04120018000000070004000000000000ffffffff00000000")
    body = entry(1, 10, 20, 30, 40, 5, 6, 7, 8) + entry(0xFFFFFFFE)
    assert list(wire.port_stats(body)) == [(1, (10, 20, 30, 40, 5, 6, 7, 8)), (0xFFFFFFFE, (0,) * 8)]
    with pytest.raises(wire.MalformedReply):
        list(wire.port_stats(body[:-1]))


def test_a_switch_is_asked_only_while_somebody_looks_and_not_more_often(service: Service) -> None:
    engine, woken = service.engine, list[str]()
    engine.fleet.connected("tor-a", lambda: woken.append("tor-a"), service.time)
    for _ in range(100):
        assert not engine.port_counters.take("tor-a"), "nobody looks"
        service.passes(INTERVAL)
    woken.clear()
    asked = 0
    for _ in range(40):  # two look, twice a second, for ten seconds
        service.get(PORTS)
        service.get(PORTS)
        asked += engine.port_counters.take("tor-a")
        service.time += INTERVAL / 20
    assert asked == len(woken) == 2
    service.passes(INTERVAL)
    assert not engine.port_counters.take("tor-a")
    assert not engine.port_counters.take("tor-b"), "nobody looked at it"


def test_a_switch_that_is_away_is_not_asked(service: Service) -> None:
    service = Service()
    answer = service.get(PORTS)
    assert answer["counted"] is None
    assert not service.engine.port_counters.take("tor-a")
    problem(service.ask("GET", "/v1/switches/tor-x/ports"), 404)


def test_numbers_and_how_fast_they_grow(service: Service) -> None:
    first = Session(service, entry(1, 10, 20, 1000, 2000, 1, 0, 0, 2), entry(99, *[wire_unknown()] * 8) + entry(0xFFFFFFFE))
    read(first)
    assert first.asked == [wire.port_stats_request(7)]
    found = rows(service)
    assert found[1] == {
        "port": 1, "kind": "server", "name": "srv-a1", "there": None, "device": None, "rates": None,
        "counts": {"received": {"packets": 10, "bytes": 1000, "dropped": 1, "errors": 0},
                   "sent": {"packets": 20, "bytes": 2000, "dropped": 0, "errors": 2}},
    }  # fmt: skip
    assert found[99]["kind"] is None
    assert found[99]["counts"]["received"] == {"packets": None, "bytes": None, "dropped": None, "errors": None}
    assert (found[49]["kind"], found[49]["counts"]) == ("link", None), "the switch has no such port"
    assert 0xFFFFFFFE not in found, "its own port is no cable"
    assert service.get(PORTS)["seconds"] is None
    service.time += 5
    read(Session(service, entry(1, 110, 20, 6000, 2000, 4, 0, 0, 2) + entry(99, *[wire_unknown()] * 8)))
    answer = service.get(PORTS)
    assert answer["seconds"] == 5.0
    assert answer["counted"] == "2023-11-14T22:13:25.250000Z"
    rates = rows(service)[1]["rates"]
    assert rates["received"] == {"packets_per_second": 20.0, "bits_per_second": 8000.0, "dropped": 3, "errors": 0}
    assert rates["sent"] == {"packets_per_second": 0.0, "bits_per_second": 0.0, "dropped": 0, "errors": 0}
    assert rows(service)[99]["rates"]["sent"]["bits_per_second"] is None


def wire_unknown() -> int:
    return (1 << 64) - 1


def test_a_counter_that_restarted_or_is_old_has_no_rate(service: Service) -> None:
    read(Session(service, entry(1, 100)))
    service.time += 5
    read(Session(service, entry(1, 3)))
    assert rows(service)[1]["rates"] is None, "it was switched off in between"
    service.time += MOST + 1
    read(Session(service, entry(1, 500)))
    assert rows(service)[1]["rates"] is None, "that would be a mean over a time when nobody looked"


def test_a_switch_that_refuses_has_told_nothing(service: Service) -> None:
    read(Session(service))
    assert service.get(PORTS)["counted"] is None


def test_samples_at_one_time_have_no_rate() -> None:
    counters = PortCounters(lambda: 5.0, lambda name: None)
    for _ in range(2):
        counters.counted("tor-a", {1: NOTHING})
    assert counters.seconds("tor-a") is None
