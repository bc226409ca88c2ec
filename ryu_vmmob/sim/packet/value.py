"""A packet as an immutable value: header fields by their OpenFlow names, a stack of VLAN tags, an opaque payload.

Values are unsigned integers, as in `ryu_vmmob.flows.fields`. A field that a packet does not have is simply absent; switches
read it as zero, as Open vSwitch does. ``eth_type`` is the one behind all tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ryu_vmmob.flows.fields import FIELDS, show
from ryu_vmmob.net.addresses import MAC_MULTICAST_BIT

HEADER_FIELDS: Final = frozenset(FIELDS) - {"in_port", "metadata", "vlan_vid"}
"""What a packet carries; the other fields belong to the pipeline or follow from the tags."""
MAX_TAG: Final = 0xFFF
PRIORITY_SHIFT: Final = 13
PRIORITY_BITS: Final = 7 << PRIORITY_SHIFT
"""Where a tag has its priority (IEEE 802.1Q, 9.6). DEI, between it and the VLAN-ID, no switch here can tell."""


def tag(vlan_id: int, priority: int) -> int:
    """Return a tag with a priority (0 to 7); one without is its VLAN-ID alone."""
    return priority << PRIORITY_SHIFT | vlan_id


def _shown(row: int) -> str:
    priority = f"pcp={row >> PRIORITY_SHIFT}," if row > MAX_TAG else ""
    return f"vlan={row & MAX_TAG},{priority}"


_ENDS: Final = {name: 1 << 8 * FIELDS[name].size for name in HEADER_FIELDS}
"""By header field, the first value that does not fit."""


def _check_tags(vlans: tuple[int, ...]) -> None:
    for vlan_id in vlans:
        if not 0 <= vlan_id & ~PRIORITY_BITS <= MAX_TAG or vlan_id < 0:
            raise ValueError(f"VLAN-ID {vlan_id} is outside 0 to {MAX_TAG}")


class Packet:
    """One frame. Equal to another when fields, tags (outer first) and payload are."""

    __slots__ = ("_fields", "_hash", "payload", "vlans")

    vlans: tuple[int, ...]
    payload: int

    def __init__(self, fields: Mapping[str, int], vlans: tuple[int, ...] = (), payload: int = 0) -> None:
        """Raise ValueError on an unknown field, or a value or VLAN-ID (0 to 4095) that does not fit."""
        for name, value in fields.items():
            end = _ENDS.get(name)
            if end is None:
                raise ValueError(f"{name!r} is no header field")
            if not 0 <= value < end:
                raise ValueError(f"{name} {value:#x} does not fit in {FIELDS[name].size} bytes")
        _check_tags(vlans)
        self._fields = dict(fields)
        self.vlans = vlans
        self.payload = payload
        self._hash: int | None = None

    @classmethod
    def trusted(cls, fields: dict[str, int], vlans: tuple[int, ...], payload: int) -> Packet:
        """Without checks and without copying ``fields``: for a switch that took a checked packet apart."""
        packet = cls.__new__(cls)
        packet._fields = fields
        packet.vlans = vlans
        packet.payload = payload
        packet._hash = None
        return packet

    @property
    def fields(self) -> Mapping[str, int]:
        """Header fields, read-only."""
        return MappingProxyType(self._fields)

    def __getitem__(self, name: str) -> int:
        return self._fields[name]

    def get(self, name: str, default: int = 0) -> int:
        """Return a field's value, or ``default`` when the packet does not have it."""
        return self._fields.get(name, default)

    def with_fields(self, **changed: int) -> Packet:
        """Return a copy with some fields changed or added."""
        return Packet({**self._fields, **changed}, self.vlans, self.payload)

    def with_vlans(self, *vlans: int) -> Packet:
        """Return a copy with exactly these tags, outer first. Raises ValueError on one that does not fit."""
        _check_tags(vlans)
        return Packet.trusted(self._fields, vlans, self.payload)

    def with_payload(self, payload: int) -> Packet:
        """Return a copy with another payload id."""
        return Packet.trusted(self._fields, self.vlans, payload)

    @property
    def is_group_addressed(self) -> bool:
        """Broadcast or multicast."""
        return bool(self._fields["eth_dst"] & MAC_MULTICAST_BIT)

    def same_frame(self, other: Packet) -> bool:
        """Equal in everything but the tags."""
        return self._fields == other._fields and self.payload == other.payload

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and self.vlans == other.vlans and self.same_frame(other)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((frozenset(self._fields.items()), self.vlans, self.payload))
        return self._hash

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """(field, value) in wire order."""
        return iter(sorted(self._fields.items(), key=lambda row: FIELDS[row[0]].order))

    def __str__(self) -> str:
        tags = "".join(map(_shown, self.vlans))
        return tags + ",".join(f"{name}={show(name, value)}" for name, value in self)

    def __repr__(self) -> str:
        return f"Packet({self}, payload={self.payload})"
