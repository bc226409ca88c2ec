"""``/v1/switches/{switch}/ports``: what is at each port of a switch, what it has counted, and how fast that grows.

Asking is what makes the controller ask the switch (`engine.port_counters`): the first answer may have no numbers yet.
"""

from __future__ import annotations

from typing import Final, Literal

from typing_extensions import TypedDict

from ryu_vmmob.engine.port_counters import Counts
from ryu_vmmob.engine.switch_ports import MAX_PORT
from ryu_vmmob.fabric.attached import attached
from ryu_vmmob.rest.answers import Time
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.switches import named
from ryu_vmmob.rest.views import View, time_text


class Counted(TypedDict):
    """Counters of one direction since the port came up. Null: the switch does not count it."""

    packets: int | None
    bytes: int | None
    dropped: int | None
    errors: int | None


class Rate(TypedDict):
    """Rates of one direction."""

    packets_per_second: float | None
    bits_per_second: float | None
    dropped: int | None
    errors: int | None


class PortRates(TypedDict):
    """What came within the last ``seconds`` of the answer; ``dropped`` and ``errors`` are numbers of frames."""

    received: Rate
    sent: Rate


class PortCounts(TypedDict):
    """Both ways, as the switch sees it."""

    received: Counted
    sent: Counted


class Port(TypedDict):
    """A port. ``kind`` and ``name``: what the fabric file has there, or null. ``there``: whether the switch has it; null: it
    has not connected yet. ``device``: what the switch calls it. ``counts`` null: the switch has not reported such a port.
    """

    port: int
    kind: Literal["server", "link", "external"] | None
    name: str | None
    there: bool | None
    device: str | None
    counts: PortCounts | None
    rates: PortRates | None


class Ports(TypedDict):
    """Ports by number. ``counted``: when the switch was asked last; ``seconds``: the time over which ``rates`` are taken."""

    counted: Time | None
    seconds: float | None
    items: list[Port]


def list_ports(call: Call) -> Answer:
    """Every port that the fabric file or the switch has, by number."""
    switch = named(call)
    engine = call.engine
    if engine.fleet.is_connected(switch.name):
        engine.port_counters.look(switch.name)
    sample, seconds = engine.port_counters.sample(switch.name), engine.port_counters.seconds(switch.name)
    told = {} if sample is None else {number: row for number, row in sample.ports.items() if number <= MAX_PORT}
    at, there = attached(engine.state.fabric, switch.name), engine.switch_ports.of(switch.name)

    def view(number: int) -> View:
        kind, name = at.get(number, (None, None))
        counts, growth = told.get(number), engine.port_counters.growth(switch.name, number)
        return {
            "port": number,
            "kind": kind,
            "name": name,
            "there": None if there is None else number in there,
            "device": None if there is None else there.get(number) or None,
            "counts": None if counts is None else _counts(counts),
            "rates": None if growth is None or seconds is None else _rates(growth, seconds),
        }

    counted = None if sample is None else time_text(engine.clock.told(sample.at))
    rows = call.each(sorted(at.keys() | told.keys() | (there or {}).keys()), view)
    return Answer(200, {"counted": counted, "seconds": None if seconds is None else round(seconds, 3), "items": rows})


def _counts(row: Counts) -> View:
    return {
        "received": {"packets": row.rx_packets, "bytes": row.rx_bytes, "dropped": row.rx_dropped, "errors": row.rx_errors},
        "sent": {"packets": row.tx_packets, "bytes": row.tx_bytes, "dropped": row.tx_dropped, "errors": row.tx_errors},
    }


def _rates(row: Counts, seconds: float) -> View:
    def rate(packets: int | None, octets: int | None, dropped: int | None, errors: int | None) -> View:
        return {
            "packets_per_second": None if packets is None else round(packets / seconds, 1),
            "bits_per_second": None if octets is None else round(8 * octets / seconds, 1),
            "dropped": dropped,
            "errors": errors,
        }

    return {
        "received": rate(row.rx_packets, row.rx_bytes, row.rx_dropped, row.rx_errors),
        "sent": rate(row.tx_packets, row.tx_bytes, row.tx_dropped, row.tx_errors),
    }


ROUTES: Final = (Route("GET", "/v1/switches/{switch}/ports", list_ports, listing("list_ports", "Fabric", Ports)),)
