"""The invariants by number, and what the checks of all of them need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.facts import ExternalFacts
from ryu_vmmob.sim.network import Copied, Journey
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View, Violation

ISOLATION: Final = 1
MACS: Final = 2
VLAN_IDS: Final = 3
PRUNING: Final = 4
FIRST_HOP: Final = 5
TRIANGLE: Final = 6
POLICY: Final = 7
DELIVERY: Final = 8
EDITS: Final = 13


def inject(view: View, origin: Seat | ExternalFacts, port: PortRef, packet: Packet) -> Journey:
    """Let a seat or an external host send a packet from one of its ports, under its own tag."""
    return view.network.inject(packet.with_vlans(*origin.tags), port)


def to_controller(journey: Journey) -> list[Copied]:
    """Return copies for the controller, without those made where a frame is admitted: these only tell that an awaited VM
    speaks.
    """
    admitted = _admitted(journey)
    return [copied for copied in journey.controller if (copied.switch, copied.cookie) not in admitted]


def told(journey: Journey) -> int:
    """How many copies tell the controller that a VM speaks."""
    admitted = _admitted(journey)
    return sum((copied.switch, copied.cookie) in admitted for copied in journey.controller)


def _admitted(journey: Journey) -> set[tuple[str, int]]:
    """(switch, cookie) of the flows that admitted the frame."""
    return {
        (visit.switch, step.flow.cookie)
        for visit in journey.visits
        for step in visit.result.path
        if step.table is Table.ADMIT and step.flow is not None and step.flow.goto is not None
    }


def nothing(journey: Journey, text: str, number: int = ISOLATION) -> Iterator[Violation]:
    """Check that the packet does not leave the switch it entered, by any port."""
    if journey.deliveries or journey.crossings:
        yield Violation(number, f"{text}, and it gets through: {journey.packet}", journey)


def silence(journey: Journey, text: str, number: int) -> Iterator[Violation]:
    """As `nothing`, and the controller hears nothing of it either."""
    yield from nothing(journey, text, number)
    if to_controller(journey):
        yield Violation(number, f"{text}, and the controller is told: {journey.packet}", journey)


def unheard(journey: Journey, seat: Seat, text: str, number: int) -> Iterator[Violation]:
    """As `silence`, for what a seat may send and no host takes: it is not shown as refused either."""
    yield from silence(journey, text, number)
    if seat.sends:
        yield from unshown(journey, text)


def shown(journey: Journey, text: str, at_least: int = 1) -> Iterator[Violation]:
    """Yield a refused frame is shown to the controller once, or where that is not sure at most once (R49)."""
    number = len(journey.shown)
    if not at_least <= number <= 1:
        yield Violation(ISOLATION, f"{text}, and the controller is shown it {number} times: {journey.packet}", journey)


def unshown(journey: Journey, text: str) -> Iterator[Violation]:
    """Yield what may be sent is not shown as if it were refused."""
    if journey.shown:
        yield Violation(DELIVERY, f"{text}, and the controller is shown it as refused: {journey.packet}", journey)


def stays_out(journey: Journey, text: str, number: int) -> Iterator[Violation]:
    """Check that the packet, which may go on through the fabric, is delivered nowhere."""
    if journey.deliveries:
        yield Violation(number, f"{text}, and it is delivered at {journey.deliveries[0].port}: {journey.packet}", journey)
