"""The result of a trace, as values."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.model.objects import Address
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.sim.packet import Packet

Kind = Literal[
    "delivered", "answered", "denied", "unreachable", "time_exceeded", "controller", "unresolved", "astray", "dropped",
    "local_switching", "loop", "undefined",
]  # fmt: skip


class Verdict(NamedTuple):
    """The fate of the packet, or of one copy of it, and the reason in a sentence."""

    kind: Kind
    reason: str


class Arrival(NamedTuple):
    """A copy that left the fabric; ``vms`` are those whose interfaces there take it in."""

    port: PortRef
    server: str | None
    external: str | None
    packet: Packet
    vms: tuple[str, ...]


class Routed(NamedTuple):
    """A routing step of a switch: from one segment to others. A segment is a CUG, ``routed:NAME`` or ``external:NAME``."""

    segment: str
    onto: tuple[str, ...]


class Router(NamedTuple):
    """A switch as a router on the way, and the address by which traceroute shows it; None: it would keep silent."""

    switch: str
    address: Address | None


class Hop(NamedTuple):
    """One switch on the way. ``segment``: on which it came; None when the switch does not know.

    ``routed`` None: nothing was routed there. ``ending``: why nothing got any further; None when something did.
    """

    visit: Visit
    segment: str | None
    routed: Routed | None
    ending: Verdict | None


class Opinion(NamedTuple):
    """The policies' decision: names of those that decided where the packet left its sender's edge and where it came to its
    receiver's; None: none decided, or the packet did not get there. ``allowed``: no table of policies dropped it.

    ``fault`` is a sentence when the flows do otherwise than the policies say, which is never right.
    """

    out: str | None
    into: str | None
    allowed: bool
    fault: str | None = None
