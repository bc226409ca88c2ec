"""Tags that guests themselves put on their frames, and what they ask of a domain's VLAN-IDs (R24, R25, R27, R28).

A guest's tag is on the wire between its server and the switch, in both directions, and never changes. In the domain the
frames have the CUG's VLAN-ID; where that is another number the port translates, if the fabric file lets it. At one server a
tag means one CUG, whether a guest or the virtual switch has put it on.
"""

from __future__ import annotations

from immutables import Map

from ryu_vmmob.model.objects import Segment
from ryu_vmmob.model.presence import Wire
from ryu_vmmob.model.refusal import conflict
from ryu_vmmob.model.state import State

_TITLE = "a guest's own tag"
_NOBODY: Map[str, int] = Map()
_NOWHERE: Map[Wire, int] = Map()


def used_by_others(state: State, segment: Segment, domain: str, vlan_id: int) -> bool:
    """Whether a guest of another CUG uses the number as its own tag at some server of the domain."""
    return any(name != segment.segment for name in state.guest_tags.get((domain, vlan_id), _NOBODY))


def beside(state: State, segment: Segment, domain: str, vlan_id: int) -> tuple[str, str] | None:
    """(CUG, server) of another CUG's guest with this tag at a server where ``segment`` has guests without one.

    With this VLAN-ID in the domain the two could not be told apart there.
    """
    if not used_by_others(state, segment, domain, vlan_id):
        return None
    for wire in state.occupancy.get(segment.segment, _NOWHERE):
        if wire.guest_vlan_id is None and state.fabric.servers[wire.server].l2_domain == domain:
            for name in state.wires.get(Wire(wire.server, vlan_id), _NOBODY):
                if name != segment.segment:
                    return name, wire.server
    return None


def tags_in(state: State, segment: Segment, domain: str) -> list[int]:
    """Return the tags of the segment's guests at servers of a domain, in order."""
    return sorted(
        {
            wire.guest_vlan_id
            for wire in state.occupancy.get(segment.segment, _NOWHERE)
            if wire.guest_vlan_id is not None and state.fabric.servers[wire.server].l2_domain == domain
        }
    )


def refuse_wires(state: State, vm: str, server: str) -> None:
    """409 when a VM's frames could not be told from others', or carried at all, at a tagged server where it has a seat now.

    ``state`` has the VM seated and VLAN-IDs given out. A clash that has ended (the VM is gone again) is no fault.
    """
    found, domain = state.vms.get(vm), state.fabric.servers[server].l2_domain
    if found is None or domain is None or all(seat.server != server for seat in state.seats_of(found)):
        return
    for interface in found.interfaces:
        wire = state.wire(interface, server)
        tag = state.wire_vlan_id(interface.cug, wire)
        if tag is None:
            continue
        if not state.speaks(interface.cug, wire):
            raise conflict(_untranslated(state, interface.cug, domain, tag), _TITLE)
        other = _same_wire(state, interface.cug, wire.server, domain, tag)
        if other is not None:
            raise conflict(_alike(interface.cug, other, server, tag), _TITLE)


def clash(state: State) -> str | None:
    """Two CUGs that look the same at a tagged server, in a sentence. Only a changed fabric file can bring this about."""
    for wire, cugs in state.wires.items():
        domain = state.fabric.servers[wire.server].l2_domain
        if domain is None or wire.guest_vlan_id is None:
            continue
        for name in cugs:
            other = _same_wire(state, name, wire.server, domain, wire.guest_vlan_id)
            if other is not None:
                return _alike(name, other, wire.server, wire.guest_vlan_id)
    return None


def _same_wire(state: State, cug: str, server: str, domain: str, tag: int) -> str | None:
    """Another CUG whose frames carry this tag at a server: put on by its guests, or by the virtual switch."""
    for name in state.wires.get(Wire(server, tag), _NOBODY):
        if name != cug:
            return name
    holder = state.segment_names.get(state.holders.get((domain, tag), 0))
    if holder is None or holder == cug or state.vlan_id(holder, domain) != tag:
        return None
    return holder if Wire(server, None) in state.occupancy.get(holder, _NOWHERE) else None


def _alike(cug: str, other: str, server: str, tag: int) -> str:
    return f"R24, R28: at server {server!r} frames of CUG {cug!r} and of CUG {other!r} would both have VLAN-ID {tag}"


def _untranslated(state: State, cug: str, domain: str, tag: int) -> str:
    here = state.vlan_id(cug, domain)
    has = f"has VLAN-ID {here}" if here is not None else "has no VLAN-ID"
    return (
        f"R24, R27, R28: VLAN-ID {tag} is the guest's own in CUG {cug!r} and stays so, and L2 domain {domain!r}, where the CUG "
        f"{has}, does not translate guests' tags{_why(state, cug, domain, tag)}"
    )


def _why(state: State, cug: str, domain: str, tag: int) -> str:
    """Return why the CUG could not have the guest's number in the domain."""
    if tag not in state.fabric.l2_domains[domain].vlan_ids:
        return f"; {tag} is not among its VLAN-IDs"
    key = state.holders.get((domain, tag))
    name = state.segment_names.get(key) if key is not None else None
    segment = state.segment(name) if name is not None else None
    if segment is not None and state.vlan_id(segment.segment, domain) == tag:
        return f"; {tag} is that of {segment}"
    if key is not None:
        return f"; {tag} is in quarantine"
    pinned = state.pins.get((domain, tag), cug)
    return f"; {tag} is pinned by CUG {pinned!r}" if pinned != cug else ""
