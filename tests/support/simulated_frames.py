"""A frame put into the simulator, and what the switches send the controller handed over."""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.pipeline import SEGMENT, WIRE
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Tables
from tests.support.engine_site import Site
from tests.support.frames import to_bytes


def send(made: Site, port: PortRef, packet: Packet) -> Journey:
    """A frame comes in; the controller gets what the switches send it, as a session would hand it over."""
    tables = {name: Tables(rows.flows.values(), rows.groups.values()) for name, rows in made.engine.desired.tables.items()}
    journey = Network(made.fabric, tables).inject(packet, port)
    for copy in journey.controller:
        made.engine.network.frame_seen(copy.switch, copy.cookie)
    for _ in journey.shown:
        frame = parse(to_bytes(packet))
        assert frame is not None
        # A frame that the switch could place comes without its tag.
        placed = any(step.table.label == "admit" for visit in journey.visits for step in visit.result.path)
        wire = WIRE.of(packet.vlans[0])[0] if made.fabric.server_at[port].per_interface and packet.vlans else 0
        made.engine.network.frame_refused(
            port.switch, port.port, SEGMENT.of(made.state.cugs["web"].key)[0] | wire if placed else 0,
            replace(frame, vlan_ids=()) if placed else frame,
        )  # fmt: skip
    return journey
