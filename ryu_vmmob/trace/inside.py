"""Receivers without the ToR: neighbours behind the sender's own cable, to which the server's own switch forwards."""

from __future__ import annotations

from collections.abc import Sequence

from ryu_vmmob.model.local_switching import peers
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.trace.source import Source, VmSource
from ryu_vmmob.trace.values import Verdict


def neighbours(state: State, source: Source, packet: Packet) -> tuple[str, ...]:
    """Return the VMs, by name, to which the own switch of the sender's server can bring the packet."""
    if not isinstance(source, VmSource):
        return ()
    server, found = source.seat.server, []
    for number, peer in peers(state, server, source.vm):
        is_there = any(seat.server == server and seat.receives for seat in state.seats_of(state.vms[peer.vm]))
        meant = packet.is_group_addressed or packet["eth_dst"] == state.interface(peer).mac
        if number == source.number and is_there and meant:
            found.append(peer.vm)
    return tuple(found)


def decided_inside(source: VmSource, vms: Sequence[str]) -> Verdict:
    """Return the verdict of a packet that goes to neighbours only."""
    return Verdict("local_switching", f"{_inside(source)}: {_named(vms)} on the same wire, and the ToR never sees the frame")


def with_neighbours(found: Verdict, source: Source, vms: Sequence[str]) -> Verdict:
    """Return the verdict of a group-addressed packet that neighbours hear; if it gets no further, they alone hear it."""
    if not vms or not isinstance(source, VmSource):
        return found
    if found.kind in ("dropped", "astray"):
        return decided_inside(source, vms)
    return found._replace(reason=f"{found.reason}; {_inside(source)} whether {_named(vms, 'hear')} it")


def _inside(source: VmSource) -> str:
    return f"inside {source.seat.server} its own switch decides"


def _named(vms: Sequence[str], does: str = "is") -> str:
    several = {"is": "are", "hear": "hear"}[does]
    alone = {"is": "is", "hear": "hears"}[does]
    return f"VM {vms[0]} {alone}" if len(vms) == 1 else f"VMs {', '.join(vms)} {several}"
