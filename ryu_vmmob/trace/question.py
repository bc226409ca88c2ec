"""The question of a trace: the fields of the packet that the client gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ryu_vmmob.model.objects import Address

IpProtocol = int | Literal["icmp", "arp", "rs"] | None
"""A number of IP; ``icmp``: an echo request of the destination's family; ``arp``: who has it (IPv6: neighbour solicitation);
``rs``: which routers are there (a router solicitation, to ff02::2)."""


Piece = Literal["no", "first", "tiny", "later"]
"""What of the packet is sent: all of it, or a fragment. ``tiny``: a first one of TCP or UDP that ends before its ports."""


@dataclass(frozen=True, slots=True)
class Question:
    """A packet to trace, from a VM or, where that is None, from ``external``: one of the two is given.

    ``interface`` and ``at`` are for VMs; ``at`` chooses the place of one that is moving. ``claimed_*``: addresses that a VM
    pretends to have, or that a host outside has. To go to, ``ip`` or ``mac`` is given or both; the MAC is looked up when it
    is not. ``port`` (destination) and ``source_port`` for TCP and UDP only, ``tcp_flags`` (12 bits; None: SYN) for TCP only;
    ``ttl`` (0 to 255; None: 64), ``fragment`` for all but ``arp`` and ``rs``; ``icmp_type`` and ``icmp_code`` (0 to 255; None:
    an echo request, and 0) for ``icmp`` only.
    """

    vm: str | None = None
    interface: int = 0
    at: str | None = None
    claimed_mac: int | None = None
    claimed_ip: Address | None = None
    ip: Address | None = None
    mac: int | None = None
    protocol: IpProtocol = None
    port: int | None = None
    external: str | None = None
    source_port: int | None = None
    tcp_flags: int | None = None
    ttl: int | None = None
    fragment: Piece = "no"
    icmp_type: int | None = None
    icmp_code: int | None = None
