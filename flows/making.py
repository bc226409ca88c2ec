"""The base of the parts of `Recompute`: the old and the new state, and functions that set and drop contributions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ryu_vmmob.flows import fragments
from ryu_vmmob.flows.dialect import spoken
from ryu_vmmob.flows.owner import Owner
from ryu_vmmob.flows.plan import Plan
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.draft import Change
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.presence import Local, Presence
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac

_NOWHERE: Mapping[str, Local] = {}


class Making:
    """One plan in the making: from the state ``before`` (None: nothing yet), where objects contribute as ``where`` says."""

    def __init__(
        self, before: State | None, where: Callable[[Owner], frozenset[str]], change: Change, plan: Plan, breath: Breath
    ) -> None:
        self.before = before
        self.state = change.state
        self.change = change
        self._where = where
        self._plan = plan
        self._breath = breath
        self._gateway_mac = mac(change.state.fabric.gateway_mac)
        self._cables: set[tuple[str, str]] = set()
        self._vms = frozenset(name for name in breath.through(change.vms) if self._differs(name))

    def _differs(self, name: str) -> bool:
        """Whether a VM itself gives its flows a reason to change: a phase that leaves its seats alone does not."""
        before, state = self.before, self.state
        if before is None or name not in before.vms or name not in state.vms:
            return True
        old, new = before.vms[name], state.vms[name]
        if (old.interfaces, old.vlan_ids) != (new.interfaces, new.vlan_ids):
            return True
        return before.seats_of(old) != state.seats_of(new)

    def _put(self, switch: str, key: Owner, entries: Iterable[Entry]) -> None:
        found = self.state.fabric.switches[switch]
        told = fragments.told(found, entries)
        known = {"l4_masks": found.l4_masks, "meters": found.meters}
        made = tuple(spoken(found.dialect, told, **known, gateway_mac=self._gateway_mac))
        for entry in made:
            entry.owner = key
        self._plan.contributions[switch, key] = made
        self._breath.worked()

    def _gone(self, key: Owner, kept: Iterable[str] = ()) -> None:
        for switch in self._where(key) - frozenset(kept):
            self._plan.contributions[switch, key] = ()

    def _gone_at(self, switch: str, key: Owner) -> None:
        self._plan.contributions[switch, key] = ()

    def _presences(self, segment: str) -> tuple[Presence | None, Presence | None]:
        old = self.before.presences.get(segment) if self.before is not None else None
        return old, self.state.presences.get(segment)


def local_of(found: Presence | None) -> Mapping[str, Local]:
    """Return a segment's switches, each with what it needs to know; none where it is nowhere."""
    return found.local if found is not None else _NOWHERE


def identity_of(state: State | None, segment: str) -> tuple[int, int]:
    """Return a segment's key and scope (0: there is none): what its members' flows say in the metadata."""
    found = state.segment(segment) if state is not None else None
    if state is None or found is None:
        return 0, 0
    return found.key, state.scope(found) if isinstance(found, Cug) else found.key


def facts_of(state: State | None, segment: str) -> object:
    """All that a segment's own flows depend on beside its presence and its VLAN-IDs, which count where they are on a port."""
    found = state.segment(segment) if state is not None else None
    if state is None or found is None:
        return None
    addresses = (found.subnets, found.gateways) if isinstance(found, Cug) else ()
    return identity_of(state, segment), addresses
