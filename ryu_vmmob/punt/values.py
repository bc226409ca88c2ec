"""What comes from the switches and what it leads to, as values."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_vmmob.flows.flow import Action
from ryu_vmmob.flows.owner import Owner
from ryu_vmmob.flows.packet_ins import Meaning, meaning
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.routing_domains import NeighbourHeard


@dataclass(frozen=True, slots=True)
class Punted:
    """A frame as a switch hands it over: untagged, with the metadata it had when it met a flow of ``table`` and ``owner``.

    ``ttl_invalid``: the switch was to count its TTL down, and could not (OFPR_INVALID_TTL).
    """

    switch: str
    in_port: int
    metadata: int
    table: Table
    owner: Owner
    frame: bytes
    ttl_invalid: bool = False

    @property
    def meaning(self) -> Meaning | None:
        """Return what it is handed up for."""
        return meaning(self.table, self.owner)


@dataclass(frozen=True, slots=True)
class PacketOut:
    """A frame for a switch to send, without tag: ``actions`` put one on where it is wanted."""

    switch: str
    actions: tuple[Action, ...]
    frame: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """A packet is for ``address`` on the wire of an external network, whose MAC is to be resolved."""

    external: str
    address: Address


Outcome = PacketOut | NeighbourHeard | Ask
