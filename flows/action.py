"""The OpenFlow 1.3 actions that this project uses, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from ryu_vmmob.flows.fields import show
from ryu_vmmob.flows.pipeline import group_parts, meter_name

IN_PORT: Final = 0xFFFFFFF8
"""OFPP_IN_PORT: out of the port the frame came from."""
CONTROLLER: Final = 0xFFFFFFFD
"""OFPP_CONTROLLER."""


@dataclass(frozen=True, slots=True)
class Output:
    """Send a copy out of ``port``; to the controller at most ``max_len`` bytes of it."""

    port: int
    max_len: int = 0

    @property
    def effect(self) -> str:
        """Return what it does, as a table declares it (`table_spec.TableSpec`); so in the other actions."""
        return {IN_PORT: "in_port", CONTROLLER: "controller"}.get(self.port, "port")

    def __str__(self) -> str:
        return {IN_PORT: "output:in_port", CONTROLLER: f"controller:{self.max_len}"}.get(self.port, f"output:{self.port}")


@dataclass(frozen=True, slots=True)
class Copy:
    """Show at most ``max_len`` bytes (1 to 65534) to the controller, unless ``meter`` drops that copy. The frame goes on.

    Open vSwitch's NXAST_CONTROLLER2 (ovs-actions(7), ``controller(max_len=,meter_id=)``).
    """

    effect: ClassVar[str] = "controller"
    max_len: int
    meter: int

    def __str__(self) -> str:
        return f"controller:{self.max_len}(meter:{meter_name(self.meter)})"


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand a copy to a group."""

    group: int

    @property
    def effect(self) -> str:
        """``group:`` and the kind of the group."""
        parts = group_parts(self.group)
        return f"group:{parts[0].name.lower() if parts else self.group}"

    def __str__(self) -> str:
        return f"group:{group_name(self.group)}"


@dataclass(frozen=True, slots=True)
class SetField:
    """Overwrite one field. ``vlan_vid`` takes the OXM value, tag-present bit included."""

    name: str
    value: int

    @property
    def effect(self) -> str:
        """The field."""
        return self.name

    def __str__(self) -> str:
        return f"set_{self.name}:{show(self.name, self.value)}"


@dataclass(frozen=True, slots=True)
class Move:
    """Copy one whole field over another of the same size (Open vSwitch's NXAST_REG_MOVE)."""

    source: str
    target: str

    @property
    def effect(self) -> str:
        """The field that is overwritten."""
        return self.target

    def __str__(self) -> str:
        return f"move:{self.source}->{self.target}"


@dataclass(frozen=True, slots=True)
class PushVlan:
    """Put an 802.1Q tag (0x8100) on the frame; a SetField of ``vlan_vid`` follows."""

    effect: ClassVar[str] = "vlan"

    def __str__(self) -> str:
        return "push_vlan"


@dataclass(frozen=True, slots=True)
class KeepPriority:
    """Note the outer tag's priority in the metadata (`pipeline.PCP`), before the tag is taken off.

    Open vSwitch's NXAST_REG_MOVE.
    """

    effect: ClassVar[str] = "keep_pcp"

    def __str__(self) -> str:
        return "keep_pcp"


@dataclass(frozen=True, slots=True)
class GivePriority:
    """Give the outer tag, which was just put on, the priority that was noted. Open vSwitch's NXAST_REG_MOVE."""

    effect: ClassVar[str] = "give_pcp"

    def __str__(self) -> str:
        return "give_pcp"


@dataclass(frozen=True, slots=True)
class PopVlan:
    """Take the outer tag off."""

    effect: ClassVar[str] = "vlan"

    def __str__(self) -> str:
        return "pop_vlan"


@dataclass(frozen=True, slots=True)
class DecTtl:
    """Count down the TTL or hop limit of an IP packet, as a router does. The match has seen to it that it is 2 at least."""

    effect: ClassVar[str] = "ttl"

    def __str__(self) -> str:
        return "dec_ttl"


Action = Output | Copy | ToGroup | SetField | Move | PushVlan | PopVlan | KeepPriority | GivePriority | DecTtl


def tells_controller(action: Action) -> bool:
    """Whether an action shows the packet to the controller."""
    return isinstance(action, Copy) or (isinstance(action, Output) and action.port == CONTROLLER)


def group_name(number: int) -> str:
    """Return a group id as people read it: ``next_hop/7/3`` (kind, segment key, index)."""
    parts = group_parts(number)
    return f"{parts[0].name.lower()}/{parts[1]}/{parts[2]}" if parts else str(number)
