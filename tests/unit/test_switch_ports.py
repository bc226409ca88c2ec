"""Ports that switches have, held against the fabric file: what is missing, and who is told."""

from __future__ import annotations

from typing import Any

from ryu_vmmob.engine.switch_ports import SwitchPorts
from ryu_vmmob.fabric.attached import Attached, attached
from tests.support.fabrics import two_racks
from tests.support.rest_service import Service

FABRIC = two_racks()
NAMED = attached(FABRIC, "tor-a")
LOCAL = 0xFFFFFFFE


def whole() -> dict[int, str]:
    return {number: f"eth{number}" for number in NAMED} | {LOCAL: "tor-a"}


def test_what_the_file_names() -> None:
    assert NAMED[1] == Attached("server", "a1")
    assert {at.kind for at in NAMED.values()} >= {"server", "link"}
    assert attached(FABRIC, "nowhere") == {}


def test_nothing_is_missing_before_a_switch_tells() -> None:
    ports = SwitchPorts()
    assert (ports.of("tor-a"), ports.missing(FABRIC, "tor-a")) == (None, {})
    ports.changed("tor-a", 1, None)
    assert ports.missing(FABRIC, "tor-a") == {}


def test_ports_that_are_not_there() -> None:
    ports = SwitchPorts()
    ports.connected("tor-a", {LOCAL: "tor-a", 3: "eth3"})
    assert sorted(ports.missing(FABRIC, "tor-a")) == sorted(NAMED.keys() - {3})
    assert ports.of("tor-a") == {3: "eth3"}, "a reserved port is none of the switch's own"
    ports.connected("tor-a", whole())
    assert ports.missing(FABRIC, "tor-a") == {}


def test_a_port_comes_and_goes() -> None:
    ports = SwitchPorts()
    ports.connected("tor-a", whole())
    ports.changed("tor-a", 49, None)
    assert ports.missing(FABRIC, "tor-a") == {49: NAMED[49]}
    ports.changed("tor-a", 49, "uplink")
    assert ports.missing(FABRIC, "tor-a") == {}
    ports.counted("tor-a", set(whole()) - {1})
    assert ports.missing(FABRIC, "tor-a") == {1: NAMED[1]}
    assert (ports.of("tor-a") or {})[49] == "uplink", "names that are known stand"


def test_rest_and_health_tell_of_it() -> None:
    service = Service()
    service.connect()

    def missing() -> Any:
        return service.get("/v1/switches/tor-a")["missing_ports"]

    def told() -> list[str]:
        return [row["what"] for row in service.get("/v1/health")["reasons"] if row["kind"] == "switch.ports_missing"]

    assert (missing(), told()) == ([], [])
    names = {number: f"eth{number}" for number in attached(service.engine.state.fabric, "tor-a")}
    del names[1]
    service.engine.switch_ports.connected("tor-a", names | {7: "eth7"})
    assert missing() == [{"port": 1, "kind": "server", "name": "srv-a1"}]
    assert told() == ["switch tor-a has no port 1 (server srv-a1), which the fabric file names"]
    rows = {row["port"]: (row["name"], row["there"], row["device"]) for row in service.get("/v1/switches/tor-a/ports")["items"]}
    assert (rows[1], rows[7]) == (("srv-a1", False, None), (None, True, "eth7"))
