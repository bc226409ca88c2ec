"""Frames refused at servers' ports: who sent them, told at most once a second for each offender, and how many there were (R49).

The switch counts every one of them (table `refuse`); the controller sees some, as many as the meter lets through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.fields import mac_text
from ryu_vmmob.flows.pipeline import SEGMENT
from ryu_vmmob.frames.content import Arp, Frame, Ipv4, Ipv6
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.state import State

REPORT_INTERVAL: Final = 1.0
"""Seconds between two reports about one offender."""
_MAX_OFFENDERS: Final = 4096

Offender = tuple[PortRef, int]
"""A server's port, and the source MAC seen there."""


class Refusals:
    """What is known of refused frames. ``counts``: by server, as the switches count since their flows stand."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._told: dict[Offender, float] = {}
        self._untold: Counter[Offender] = Counter()

    def counted(self, counts: Mapping[str, int]) -> None:
        """A switch tells how many frames it has refused, by server."""
        for server, number in counts.items():
            # A switch that lost its flows begins anew; what was counted before stays.
            self.counts[server] = max(self.counts[server], number)

    def seen(self, state: State, port: PortRef, metadata: int, frame: Frame, now: float) -> Event | None:
        """A refused frame; the event to tell, None when this offender has been told of within `REPORT_INTERVAL`."""
        server = state.fabric.server_at.get(port)
        if server is None:
            return None
        offender = port, frame.src
        if now - self._told.get(offender, -REPORT_INTERVAL) < REPORT_INTERVAL:
            self._untold[offender] += 1
            return None
        if len(self._told) >= _MAX_OFFENDERS:
            self._told.clear()
            self._untold.clear()
        self._told[offender] = now
        segment = state.segment(state.segment_names.get(metadata & SEGMENT.mask, ""))
        cug = segment.name if isinstance(segment, Cug) else None
        data = {
            "switch": port.switch,
            "port": port.port,
            "server": server.name,
            "mac": mac_text(frame.src),
            "address": _claimed(frame),
            "cug": cug,
            "more": self._untold.pop(offender, 0),
        }
        vm = state.vms.get(state.macs.get((cug, frame.src), "")) if cug is not None else None
        if vm is not None and server.name not in {seat.server for seat in state.seats_of(vm)}:
            return Event("refused.move", {**data, "vm": vm.name, "placed": vm.server})
        return Event("refused.spoofing", data)


def _claimed(frame: Frame) -> str | None:
    """The address that the sender says is its own."""
    match frame.content:
        case Arp(spa=address) | Ipv4(src=address):
            return str(IPv4Address(address))
        case Ipv6(src=address):
            return str(IPv6Address(address))
    return None
