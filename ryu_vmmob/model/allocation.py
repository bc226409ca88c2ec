"""VLAN-IDs: one per segment in each L2 domain that carries it, given on first presence, kept in quarantine after (R21, R28).

A segment that comes back to a domain within the quarantine gets its old number, so a move there and back leaves no trace.
Otherwise its pin is taken, or the own tag of its guests there (R24), or the lowest free number of the domain: predictable, and
easy to read in a capture. Numbers that other CUGs' guests there use as their own tags come last (R27).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice

from immutables import Map

from ryu_vmmob.model.guests import beside, tags_in, used_by_others
from ryu_vmmob.model.objects import Cug, Segment
from ryu_vmmob.model.refusal import conflict
from ryu_vmmob.model.state import Quarantined, State
from ryu_vmmob.net.keys import MAX_SEGMENT_KEY


class Lowest:
    """How many of a domain's numbers, from the lowest, are taken: a bulk of CUGs does not look at them for each CUG again.

    It holds as long as numbers are given by `allocate` only; after another change of who has numbers it begins again.
    """

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._on: tuple[object, object] = None, None

    def of(self, state: State) -> dict[str, int]:
        """Return what holds on a state, by domain."""
        if self._on[0] is not state.holders or self._on[1] is not state.pins:
            self._taken = {}
        return self._taken

    def given(self, state: State) -> State:
        """Note what `allocate` has made, and return it."""
        self._on = state.holders, state.pins
        return state


def allocate(
    state: State,
    segment: Segment,
    wanted: frozenset[str],
    now: float,
    *,
    may_starve: frozenset[str] = frozenset(),
    lowest: Lowest | None = None,
) -> State:
    """Give ``segment`` a VLAN-ID in exactly the domains ``wanted``; those it no longer needs go into quarantine.

    A full domain refuses (409, R28) and nothing has changed; if it ``may_starve``, the pair is noted in ``starved``. ``lowest``
    is kept between the calls of one change.
    """
    mine = state.allocations.get(segment.key, Map())
    if frozenset(mine) == wanted and not state.starved:
        return state
    lowest = lowest or Lowest()
    taken = lowest.of(state)
    holders, quarantine = state.holders, state.quarantine
    starved = {pair for pair in state.starved if pair[0] != segment.segment}
    for domain in sorted(frozenset(mine) - wanted):
        quarantine = quarantine.set((domain, segment.key), Quarantined(mine[domain], now, state.revision))
        mine = mine.delete(domain)
    for domain in sorted(wanted - frozenset(mine)):
        earlier = quarantine.get((domain, segment.key))
        pinned = segment.pins.get(domain)
        again = earlier is not None and pinned in (None, earlier.vlan_id)
        if earlier is not None and again:
            chosen: int | None = earlier.vlan_id
        else:
            chosen = pinned if pinned is not None else _best_free(state, holders, segment, domain, taken)
        if (
            chosen is None
            or holders.get((domain, chosen), segment.key) != segment.key
            or beside(state, segment, domain, chosen) is not None
        ):
            if domain not in may_starve:
                raise conflict(_why_not(state, segment, domain, chosen), "no VLAN-ID free")
            starved.add((segment.segment, domain))
            continue
        if again:
            quarantine = quarantine.delete((domain, segment.key))
        holders = holders.set((domain, chosen), segment.key)
        mine = mine.set(domain, chosen)
    allocations = state.allocations.set(segment.key, mine) if mine else _without(state.allocations, segment.key)
    after = replace(state, allocations=allocations, holders=holders, quarantine=quarantine, starved=frozenset(starved))
    return lowest.given(after)


def _without(allocations: Map[int, Map[str, int]], key: int) -> Map[int, Map[str, int]]:
    return allocations.delete(key) if key in allocations else allocations


def _best_free(
    state: State, holders: Map[tuple[str, int], int], segment: Segment, domain: str, taken: dict[str, int]
) -> int | None:
    """Return the number that spares most translations, now and later; None when there is none that will do."""
    numbers = state.fabric.l2_domains[domain].vlan_ids
    for vlan_id in tags_in(state, segment, domain):
        if vlan_id in numbers and _is_free(state, holders, domain, vlan_id) and not beside(state, segment, domain, vlan_id):
            return vlan_id
    last, first = None, taken.get(domain, 0)
    while first < len(numbers) and not _is_free(state, holders, domain, numbers[first]):
        first += 1
    taken[domain] = first
    for vlan_id in islice(numbers, first, None):
        if _is_free(state, holders, domain, vlan_id):
            if not used_by_others(state, segment, domain, vlan_id):
                return vlan_id
            if last is None and beside(state, segment, domain, vlan_id) is None:
                last = vlan_id
    return last


def _is_free(state: State, holders: Map[tuple[str, int], int], domain: str, vlan_id: int) -> bool:
    return (domain, vlan_id) not in holders and (domain, vlan_id) not in state.pins


def free_segment_key(state: State, kept: frozenset[int] = frozenset()) -> int:
    """Return the next key after the last one given, so that a deleted segment's key rests as long as possible.

    A key whose VLAN-IDs are in quarantine is still its last owner's; those ``kept`` are for others.
    Raises Refusal (409) when all are taken.
    """
    for step in range(1, MAX_SEGMENT_KEY + 1):
        key = (state.last_segment_key + step - 1) % MAX_SEGMENT_KEY + 1
        if key in kept or key in state.segment_names:
            continue
        if not any((name, key) in state.quarantine for name in state.fabric.l2_domains):
            return key
    raise conflict(f"there are {MAX_SEGMENT_KEY} CUGs and routing domains already, the most this controller can tell apart")


def _holder(state: State, key: int) -> Segment | None:
    """Return who has a VLAN-ID that is in use; None when it is in quarantine."""
    name = state.segment_names.get(key)
    return state.segment(name) if name is not None else None


def _why_not(state: State, segment: Segment, domain: str, chosen: int | None) -> str:
    where = f"in L2 domain {domain!r}"
    guest = beside(state, segment, domain, chosen) if chosen is not None else None
    if guest is not None:
        whose = "is pinned to" if segment.pins.get(domain) == chosen else "had until a moment ago"
        return (
            f"R24, R28: {segment} {whose} VLAN-ID {chosen} {where}, but at server {guest[1]!r} that is the own tag of "
            f"guests in CUG {guest[0]!r}"
        )
    if chosen is not None:
        holder = _holder(state, state.holders[domain, chosen])
        who = f"{holder} has it" if holder is not None else "it is in quarantine"
        return f"R28: {segment} is pinned to VLAN-ID {chosen} {where}, but {who}"
    size = len(state.fabric.l2_domains[domain].vlan_ids)
    resting = sum(1 for name, _ in state.quarantine if name == domain)
    tags = sum(1 for name, vlan_id in state.guest_tags if name == domain and beside(state, segment, domain, vlan_id))
    return (
        f"R28: L2 domain {domain!r} has no free VLAN-ID for {segment}: "
        f"all {size} are in use, pinned or in quarantine ({resting})"
        + (f", or other CUGs' guests beside it have them as their own tags ({tags})" if tags else "")
    )


def release(state: State, now: float, seconds: float, acknowledged: Mapping[str, int]) -> tuple[State, list[tuple[str, int]]]:
    """End the quarantines that are over: ``seconds`` have passed, and every switch of the domain is past the release.

    ``acknowledged`` is the revision each connected switch has confirmed. A switch that is away may still use the old
    number, so it holds the number back however long it takes. Which were over, as (domain, segment key), is told as well.
    """
    quarantine, holders = state.quarantine, state.holders
    over: list[tuple[str, int]] = []
    for (domain, key), row in state.quarantine.items():
        if now - row.since < seconds:
            continue
        if all(acknowledged.get(name, -1) >= row.revision for name in state.fabric.switches_of_domain[domain]):
            quarantine = quarantine.delete((domain, key))
            holders = holders.delete((domain, row.vlan_id))
            over.append((domain, key))
    return (replace(state, quarantine=quarantine, holders=holders) if over else state), over


def check_pins(state: State, cug: Cug) -> Iterable[tuple[str, str]]:
    """Faults of a CUG's pins as (path, message): unknown domains and numbers outside the domain's range."""
    for domain, vlan_id in cug.pins.items():
        known = state.fabric.l2_domains.get(domain)
        if known is None:
            yield f"vlan_ids.{domain}", f"there is no L2 domain {domain!r} in the fabric"
        elif vlan_id not in known.vlan_ids:
            yield f"vlan_ids.{domain}", f"{vlan_id} is not among the VLAN-IDs of L2 domain {domain!r}"


def refuse_taken_pins(state: State, cug: Cug) -> None:
    """409 when a pin is another CUG's (pinned, in use or resting), or would change a VLAN-ID in use or resting (R21, R28)."""
    mine = state.allocations.get(cug.key, Map())
    for domain, vlan_id in sorted(cug.pins.items()):
        pinned = state.pins.get((domain, vlan_id), cug.name)
        if pinned != cug.name:
            raise conflict(f"R28: VLAN-ID {vlan_id} of L2 domain {domain!r} is pinned by CUG {pinned!r}")
        key = state.holders.get((domain, vlan_id), cug.key)
        if key != cug.key:
            holder = _holder(state, key)
            who = f"in use by {holder}" if holder is not None else "in quarantine"
            raise conflict(f"R28: VLAN-ID {vlan_id} of L2 domain {domain!r} is {who}")
        resting = state.quarantine.get((domain, cug.key))
        if resting is not None and resting.vlan_id != vlan_id:
            raise conflict(
                f"R28: CUG {cug.name!r} had VLAN-ID {resting.vlan_id} in L2 domain {domain!r} until a moment ago; "
                "it can be pinned to another when that one's quarantine is over"
            )
        if mine.get(domain, vlan_id) != vlan_id:
            raise conflict(
                f"R21: CUG {cug.name!r} uses VLAN-ID {mine[domain]} in L2 domain {domain!r} now; "
                "a pin can change only while the CUG is absent there"
            )
