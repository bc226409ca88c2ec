"""Logical objects: closed user groups, virtual machines, migrations. Immutable values, trusted once built.

``labels`` and ``description`` say what people want to know of an object, and change nothing in the network (`labels`).
Validation stands at the edge (REST bodies) and in the commands; here are only the types and what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal, NamedTuple

from ryu_vmmob.model.move_options import MoveOptions
from ryu_vmmob.net.addresses import eui64_link_local

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


RaMode = Literal["slaac", "dhcpv6_stateful", "dhcpv6_stateless"]
"""How hosts are told to get their IPv6 addresses (RFC 4861, 4.2 and 4.6.2): out of the advertised prefix by themselves (A);
by DHCPv6 (M and O); out of the prefix, and all else by DHCPv6 (A and O)."""


@dataclass(frozen=True, slots=True)
class Cug:
    """An L2-based closed user group: one subnet (v4, v6 or both) with its MACs preserved end to end (R7, R9).

    ``key`` is the segment's key in the switches (1 to 65535), given once and kept. ``pins`` are VLAN-IDs asked for, by
    L2 domain. ``ipv6_ra_mode``: what its gateway's router advertisements tell hosts to do; None: nothing (A, M and O are 0).
    """

    name: str
    key: int
    subnets: tuple[Network, ...]
    gateways: tuple[Address, ...]
    routing_domain: str | None = None
    pins: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0
    ipv6_ra_mode: RaMode | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def segment(self) -> str:
        """The name of its bridged segment: its own."""
        return self.name

    def __str__(self) -> str:
        return f"CUG {self.name!r}"


@dataclass(frozen=True, slots=True)
class RoutingDomain:
    """A VRF: the CUGs that may be routed to each other, and the external networks they reach. There is one while a CUG
    names it. ``key`` is the key of its routed segment, from the same numbers as those of CUGs.
    """

    name: str
    key: int

    @property
    def segment(self) -> str:
        """The name of its routed segment."""
        return routed_segment(self.name)

    @property
    def pins(self) -> Mapping[str, int]:
        """Routed segments have no VLAN-IDs pinned."""
        return _NO_PINS

    def __str__(self) -> str:
        return f"routing domain {self.name!r}"


_NO_PINS: Mapping[str, int] = {}
Segment = Cug | RoutingDomain
"""What trunks carry: a CUG's frames, bridged, or a routing domain's packets, routed."""


def routed_segment(routing_domain: str) -> str:
    """Return the name of a routing domain's segment; no CUG can have it."""
    return f"routed:{routing_domain}"


@dataclass(frozen=True, slots=True)
class Interface:
    """A vNIC: one CUG, one MAC (an integer), its addresses (R10).

    ``guest_vlan_id`` (1 to 4094) is the VLAN-ID that the guest itself sends and expects: part of the VM's state, the same
    wherever it goes (R24). None: the guest sends no tag. ``vlan_id`` (1 to 4094) is pinned: what its server's virtual switch
    tags it with has to be this number at every server (R27). None: any. ``ethertypes``: what it may send inside its CUG beside
    ARP, RARP, IPv4 and IPv6: these types (0x0600 to 0xffff), or ``"any"``.
    """

    cug: str
    mac: int
    ips: tuple[Address, ...]
    guest_vlan_id: int | None = None
    vlan_id: int | None = None
    ethertypes: tuple[int, ...] | Literal["any"] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses it answers to: with IPv6 also the link-local one made of its MAC (RFC 4291, appendix A)."""
        if not any(ip.version == 6 for ip in self.ips):
            return self.ips
        own = IPv6Address(eui64_link_local(self.mac))
        return self.ips if own in self.ips else (*self.ips, own)


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine. ``server`` is its placement: where it runs now. ``migration``: the id of the one under way.

    ``vlan_ids``: at each server with tagging per interface where it has a seat, the VLAN-ID of each interface on the cable.
    """

    name: str
    server: str
    interfaces: tuple[Interface, ...]
    migration: str | None = None
    revision: int = 0
    vlan_ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


class Phase(StrEnum):
    """The states of a migration. The last three are final. ``DELIVERED`` is no state: it stands in timelines only, for the
    moment in which the VM's traffic went over to the target while the migration was prepared.
    """

    PREPARING = "preparing"
    PREPARED = "prepared"
    DELIVERED = "delivered"
    ACTIVATED = "activated"
    COMMITTED = "committed"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows any more."""
        return self in (Phase.COMMITTED, Phase.ABORTED, Phase.FAILED)


STATES: Final = tuple(row for row in Phase if row is not Phase.DELIVERED)
"""What a migration may be in."""


class Leg(NamedTuple):
    """One interface's part of a migration: the VLAN-IDs that the servers' virtual switches add (None: none)."""

    cug: str
    from_vlan_id: int | None
    to_vlan_id: int | None


class TimelineEntry(NamedTuple):
    """When (seconds since the epoch) a migration entered a phase, what the switches were sent for it, and when they had it.

    ``acknowledged`` has the switches of ``flow_mods`` that have confirmed, as far as it is known and written. ``frames``: how
    many frames were sent on to the target since, that had reached the source after its pause.
    """

    phase: Phase
    time: float
    flow_mods: Mapping[str, int]
    acknowledged: Mapping[str, float] = {}
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Migration(MoveOptions):
    """A transaction that moves a VM from ``source`` to ``target``.

    ``timeout`` in seconds counts from ``started`` until the VM is activated. ``step_revision`` is the revision whose
    flows the present phase needs on ``switches``. ``is_returning``: activated, and aborted since: the VM belongs to its source
    again, and the target goes when the switches have confirmed that. ``seen``: the ``switch:port`` where a VM was seen that
    moved unannounced (`engine.arrivals`); then activation follows preparation by itself.
    """

    id: str
    vm: str
    source: str
    target: str
    phase: Phase = Phase.PREPARING
    started: float = 0.0
    legs: tuple[Leg, ...] = ()
    switches: tuple[str, ...] = ()
    step_revision: int = 0
    timeline: tuple[TimelineEntry, ...] = ()
    reason: str | None = None
    revision: int = 0
    batch: str | None = None
    """The batch that it belongs to."""
    is_returning: bool = False
    seen: str | None = None
    is_delivered: bool = False
    """The VM's traffic went to the target before it was activated: its source has paused."""


class Seat(NamedTuple):
    """A place where a VM's interfaces are, or may come to be, and what is open for it there.

    ``receives``: frames for the VM, and its CUG's broadcasts, are sent to this place. ``passing``: frames for the VM that some
    switch, a step behind or ahead, has sent towards this place are carried to the end, although none is sent here now.
    """

    server: str
    sends: bool
    receives: bool
    passing: bool = False
    awaited: bool = False
    """A copy of its frames goes to the controller: the first one says that the VM has arrived."""
    watched: bool = False
    """A copy of its broadcasts goes to the controller, which reports them and does nothing else."""
    twin: str | None = None
    """The server of the VM's other place, where it may speak as well. Its broadcasts there are not sent here, where
    it would teach the server's switch that the VM is behind the cable: that would drop every later frame for it."""
    hears: bool = True
    """Where it receives it gets its CUG's broadcasts too; with tagging per interface always. Else a place to which delivery has
    changed waits for the activation: all vNICs of the CUG share its wire, so what the VM said last at its source, and is
    still on its way, would come with them, and teach the server's switch what `twin` says."""


def seats(vm: Vm, migration: Migration | None) -> tuple[Seat, ...]:
    """Return where a VM sits in the present phase; the placement comes first.

    Each phase is an ordinary desired state:

    ==================== ================================= ===============================================
    phase                placement                         the other place
    ==================== ================================= ===============================================
    none or final        sends, receives                   (none)
    preparing, prepared  source: sends, receives           target: sends, awaited, passing
    prepared, delivered  source: sends, passing            target: sends, receives, awaited, does not hear
    activated            target: sends, receives           source: passing
    returning            source: sends, receives           target: passing
    ==================== ================================= ===============================================

    So a frame is sent to one place only, and each place gets what was on its way there when that changed. Two kinds of delivery
    differ. `on_activation`: the target may not send before it is activated, unless the VM moves cold; it then starts there,
    what it says first is let through, and what it asks is answered. `early`: from the preparation to the activation, and on
    the way back, both places receive, and so there are no frames in passing.

    Where one place receives and the VM may speak at the other, the first has that as its ``twin``.
    """
    match _seats(vm, migration):
        case first, second:
            return _beside(first, second), _beside(second, first)
        case alone:
            return alone


def _beside(seat: Seat, other: Seat) -> Seat:
    return seat._replace(twin=other.server) if seat.receives and other.sends else seat


def _seats(vm: Vm, migration: Migration | None) -> tuple[Seat, ...]:
    """Return the seats, without what one means for the other."""
    if migration is None or migration.phase.is_final:
        return (_open(vm.server),)
    early = migration.delivery == "early"
    if migration.is_returning:
        return (_open(migration.source), Seat(migration.target, early, early, passing=not early))
    if migration.phase is Phase.ACTIVATED:
        return (_open(migration.target), Seat(migration.source, sends=False, receives=False, passing=not early))
    sends = migration.delivery != "on_activation" or migration.mode == "cold"
    awaited = migration.activate_on == "announcement"
    # Where it may not speak, what it says is refused, and shown as such.
    watched = sends and not awaited and migration.seen is None
    target = Seat(migration.target, sends, early, not early, awaited, watched)
    if not migration.is_delivered or early:
        return (_open(migration.source), target)
    # The source gets no broadcasts either: what the VM says at the target would teach the source's switch that it is behind the
    # cable, and a VM that comes back with the same VLAN-ID would lose its pause to that.
    opened = target._replace(receives=True, passing=False, hears=False)
    return (Seat(migration.source, sends=True, receives=False, passing=True), opened)


def _open(server: str) -> Seat:
    return Seat(server, sends=True, receives=True)
