"""The trace itself: build the packet, inject it, follow it, and give a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.network import FRAGMENTS_DROPPED, Journey, Network, Visit
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.prerequisites import TableError
from ryu_vmmob.sim.trace import LazyTables, ScannedTables
from ryu_vmmob.trace.case import Case, case_of
from ryu_vmmob.trace.endings import ending
from ryu_vmmob.trace.hops import routed, router, segment_of
from ryu_vmmob.trace.inside import decided_inside, neighbours, with_neighbours
from ryu_vmmob.trace.opinion import opinion
from ryu_vmmob.trace.packet import sent_by
from ryu_vmmob.trace.question import Question
from ryu_vmmob.trace.source import Source, VmSource, source_of
from ryu_vmmob.trace.values import Arrival, Hop, Kind, Opinion, Router, Verdict
from ryu_vmmob.trace.verdict import arrival, verdict, with_opinion


@dataclass(frozen=True, slots=True)
class Trace:
    """The answer. ``journey`` has every switch and table on the way; None when the packet could not even enter.

    ``policy`` None: no table of policies was met.
    """

    source: Source
    packet: Packet
    verdict: Verdict
    network: Network
    journey: Journey | None = None
    hops: Sequence[Hop] = field(default=())
    arrivals: Sequence[Arrival] = field(default=())
    routers: Sequence[Router] = field(default=())
    policy: Opinion | None = None
    neighbours: Sequence[str] = ()
    """VMs behind the sender's own wire to which its server's own switch can bring the packet."""


def trace(state: State, desired: Mapping[str, SwitchTables], question: Question) -> Trace:
    """Follow the packet. Raises Refusal (422) for a question that names what is not there or contradicts itself."""
    down = {str(state.fabric.externals[name].attach) for name in state.externals_down}
    network = Network(state.fabric, _tables(desired), state.links_down | down)
    source = source_of(state, network, question)
    packet, unresolved = sent_by(state, source, question)

    near = neighbours(state, source, packet)

    def ended(kind: Kind, reason: str) -> Trace:
        return Trace(source, packet, Verdict(kind, reason), network, neighbours=near)

    if near and isinstance(source, VmSource) and not packet.is_group_addressed:
        return ended(*decided_inside(source, near))
    closed = _closed(state, source)
    if closed is not None or source.port is None:
        return ended("dropped", closed or "")
    try:
        journey = network.inject(packet, source.port)
    except TableError as error:
        return ended("undefined", f"the flows do not say what happens: {error}")
    stopped = next((row.switch for row in journey.drops if row.reason == FRAGMENTS_DROPPED), None)
    if not journey.visits:
        return ended("dropped", _drops_fragments(stopped or source.port.switch))
    case = case_of(state, network, source, packet)
    hops = [_hop(case, visit) for visit in journey.visits]
    routers = [row for visit in journey.visits if (row := router(case, visit)) is not None]
    arrivals = tuple(arrival(case, row.port, row.packet) for row in journey.deliveries)
    said = opinion(case, journey.visits)
    found = with_opinion(verdict(case, journey, arrivals, hops, routers), said)
    if stopped is not None and not journey.deliveries:
        found = Verdict("dropped", _drops_fragments(stopped))
    if unresolved and found.kind in ("delivered", "dropped", "astray") and not _refused(journey):
        found = Verdict("unresolved", unresolved)
    found = with_neighbours(found, source, near)
    return Trace(source, packet, found, network, journey, hops, arrivals, routers, said, near)


def _drops_fragments(switch: str) -> str:
    return f"{switch} drops fragments (see its fragments and its dialect in the fabric file)"


def _tables(desired: Mapping[str, SwitchTables]) -> LazyTables:
    return LazyTables(desired, lambda name: ScannedTables(desired[name].flows.values(), desired[name].groups.values()))


def _closed(state: State, source: Source) -> str | None:
    """Return why the packet cannot even enter; None when it can."""
    if not isinstance(source, VmSource):
        external = source.external
        return None if source.port else f"the cable of external network {external.name} ({external.attach}) is down"
    server = state.fabric.servers[source.seat.server]
    cug = source.interface.cug
    if server.l2_domain is not None and state.server_vlan_id(cug, server.name) is None:
        return f"CUG {cug} has no VLAN-ID in L2 domain {server.l2_domain}, so {server.name} cannot tag the frame"
    if not state.speaks(cug, state.wire(source.interface, server.name)):
        return f"L2 domain {server.l2_domain} does not translate the guest's own tag {source.vlan_id}"
    return None if source.port else f"every cable of server {server.name} is down"


def _hop(case: Case, visit: Visit) -> Hop:
    end = ending(case, visit)
    died = end is not None and end.kind == "time_exceeded"
    return Hop(visit, segment_of(case.state, visit), None if died else routed(case.state, visit), end)


def _refused(journey: Journey) -> bool:
    """Whether the packet was not even let in."""
    last = journey.visits[0].result.path[-1].table
    return last in (Table.INGRESS, Table.ADMIT, Table.REFUSE)
