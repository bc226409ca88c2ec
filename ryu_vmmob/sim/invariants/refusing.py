"""Invariant 1 against spoofing: a frame that an interface may not send is dropped, and reported once (R49)."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.sim import probes
from ryu_vmmob.sim.invariants.judging import ISOLATION, inject, nothing, shown, to_controller
from ryu_vmmob.sim.network import Journey
from ryu_vmmob.sim.view import Seat, View, Violation


def forgeries(view: View) -> Iterator[Violation]:
    """No frame with another's MAC or address (ARP and ND included), or under another's tag, and no router's, gets anywhere."""
    for seat in view.seats:
        for port in view.live_ports(seat):
            for packet in probes.forgeries(view, seat):
                yield from _refused(view, inject(view, seat, port, packet), f"forged by {seat}", seat)
            for packet in probes.unsuitable(seat):
                yield from _refused(view, inject(view, seat, port, packet), f"not for {seat} to say", seat)
            for other in _under_other_tags(view, seat):
                for packet in (*probes.own(seat), *probes.unicast(seat, other)):
                    journey = view.network.inject(packet.with_vlans(*other.tags), port)
                    yield from _refused(view, journey, f"{seat} speaks as {other.cug}", other)


def _refused(view: View, journey: Journey, text: str, here: Seat) -> Iterator[Violation]:
    """Check a seat under the frame's tag, ``here``: while it is only coming or going, the tag may mean nothing yet."""
    yield from nothing(journey, text)
    if view.cugs:
        yield from shown(journey, text, at_least=int(here.sends is not None))
    tagged = view.fabric.server_at[journey.port].tagged and here.sends is not None
    if any(not copied.packet.same_frame(journey.packet) or (tagged and copied.packet.vlans) for copied in journey.shown):
        yield Violation(ISOLATION, f"{text}, and the controller is shown something else", journey)
    if to_controller(journey):
        yield Violation(ISOLATION, f"{text}, and the controller takes it for true: {journey.packet}", journey)


def _under_other_tags(view: View, seat: Seat) -> Iterator[Seat]:
    """Yield a seat for each other tag at the same server under which this one's MAC is no interface's."""
    here = view.seats_at[seat.server]
    mine = {other.tags for other in here if other.mac == seat.mac}
    yield from {other.tags: other for other in here if other.tags not in mine}.values()
