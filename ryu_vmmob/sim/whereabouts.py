"""Where an address is: what a router ought to know, read off the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ryu_vmmob.sim.facts import Address, CugFacts, ExternalFacts
from ryu_vmmob.sim.policy import End
from ryu_vmmob.sim.view import Seat, View


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Seats of the interface that has an address; or externals that lead to it by the longest prefix; or none.

    ``cug``: the CUG in whose subnet it is.
    """

    seats: tuple[Seat, ...] = ()
    exits: tuple[ExternalFacts, ...] = ()
    cug: CugFacts | None = None

    @property
    def end(self) -> End:
        """Return whom a policy has to do with."""
        if self.seats:
            return self.seats[0]
        return self.exits[0] if self.exits else self.cug

    @property
    def targets(self) -> tuple[Seat | ExternalFacts, ...]:
        """All who might get a packet."""
        return self.seats or self.exits


def whereabouts(view: View, routing_domain: str | None, address: Address) -> Whereabouts:
    """Of an address, as the members of a routing domain see it. A CUG's subnet is never looked for outside."""
    if routing_domain is None:
        return Whereabouts()
    cug = next((facts for facts in view.cugs_of.get(routing_domain, ()) if facts.covers(address)), None)
    seats = view.seats_with.get(routing_domain, {}).get(address, ())
    if seats or cug is not None:
        return Whereabouts(seats, cug=cug)
    lengths = {row.name: row.reach(address) for row in view.externals if row.routing_domain == routing_domain}
    longest = max(lengths.values(), default=-1)
    exits = tuple(row for row in view.externals if longest >= 0 and lengths.get(row.name) == longest)
    return Whereabouts(exits=exits)


def outside_addresses(view: View, external: ExternalFacts) -> Mapping[int, Address]:
    """{4 or 6: an address behind the next hops of an external, in no subnet of the inside}."""
    if external.name not in view.behind:
        view.behind[external.name] = _behind(view, external)
    return view.behind[external.name]


def _behind(view: View, external: ExternalFacts) -> dict[int, Address]:
    found: dict[int, Address] = {}
    for prefix in external.prefixes:
        first, last = int(prefix.network_address), int(prefix.broadcast_address)
        spread = first + (last - first) // 3
        for number in (spread, first + 1, last - 1, spread + 257, first, last):
            address = prefix.network_address + (min(number, last) - first)
            if external in whereabouts(view, external.routing_domain, address).exits and not _special(address):
                found.setdefault(address.version, address)
    return found


def _special(address: Address) -> bool:
    return address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local
