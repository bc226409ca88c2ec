"""``/v1/switches/{switch}/ports``: what is at each port of a switch, what it has counted, and how fast that grows.

Asking is what makes the controller ask the switch (`engine.port_counters`): the first answer may have no numbers yet.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.engine.port_counters import Counts
from ryu_vmmob.engine.switch_ports import MAX_PORT
from ryu_vmmob.fabric.attached import attached
from ryu_vmmob.rest.answers import Count, Time
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.switches import named
from ryu_vmmob.rest.views import View, time_text

_PerSecond = Annotated[float, Field(ge=0)]
PortNumber = Annotated[int, Field(ge=1, le=MAX_PORT, description="The OpenFlow number of the port, 1 to 0xffffff00.")]


class Counted(TypedDict):
    """Counters of one direction since the port came up."""

    packets: Annotated[Count | None, says("How many packets. null: the switch does not count them.")]
    bytes: Annotated[Count | None, says("How many bytes. null: the switch does not count them.")]
    dropped: Annotated[Count | None, says("How many packets the port dropped. null: the switch does not count them.")]
    errors: Annotated[Count | None, says("How many packets had errors. null: the switch does not count them.")]


class Rate(TypedDict):
    """What came in one direction within the last `seconds` of the answer."""

    packets_per_second: Annotated[_PerSecond | None, says("Packets per second. null: the switch does not count them.")]
    bits_per_second: Annotated[_PerSecond | None, says("Bits per second. null: the switch does not count bytes.")]
    dropped: Annotated[
        Count | None, says("How many packets the port dropped within that time. null: the switch does not count them.")
    ]
    errors: Annotated[Count | None, says("How many packets had errors within that time. null: the switch does not count them.")]


_RECEIVED: Final = says("What came into the switch by the port.")
_SENT: Final = says("What left the switch by the port.")


class PortRates(TypedDict):
    """How fast the counters of both directions grow."""

    received: Annotated[Rate, _RECEIVED]
    sent: Annotated[Rate, _SENT]


class PortCounts(TypedDict):
    """The counters of both directions, as the switch sees them."""

    received: Annotated[Counted, _RECEIVED]
    sent: Annotated[Counted, _SENT]


class Port(TypedDict):
    """A port of a switch."""

    port: PortNumber
    kind: Annotated[Literal["server", "link", "external"] | None, says("What the fabric file has at this port. null: nothing.")]
    name: Annotated[str | None, says("The name of what the fabric file has there. null: it has nothing.")]
    there: Annotated[bool | None, says("Whether the switch has this port. null: it has not connected yet.")]
    device: Annotated[str | None, says("What the switch calls the port. null: not known.")]
    counts: Annotated[
        PortCounts | None, says("What the port has counted since it came up. null: the switch has not reported it.")
    ]
    rates: Annotated[PortRates | None, says("How fast that grows. null: not known yet, or the port has begun to count again.")]


class Ports(TypedDict):
    """Ports by number."""

    counted: Annotated[Time | None, says("When the switch was asked for its counters last. null: it was not yet.")]
    seconds: Annotated[
        Annotated[float, Field(gt=0)] | None, says("Seconds over which `rates` are taken. null: there are no rates yet.")
    ]
    items: Annotated[list[Port], says("Every port that the fabric file or the switch has.")]


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
