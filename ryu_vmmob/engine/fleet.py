"""The fleet: for each switch, what is decided, what is on its way, and what it has confirmed.

Goals, and how each is met:

1. *A revision counts only when the switch confirmed it.* Decided, pending and confirmed are separate values (`_Place`). A
   fault does not stop the count: `Place.REFUSED` is a state of its own.
2. *A switch that is away costs nothing.* Deltas are kept for a connected, reconciled switch only. One that comes back is
   compared with the whole desired state.
3. *A slow switch gets one delta.* `take` composes all pending deltas; what comes and goes within them is never sent.
4. *A switch that needs nothing confirms at once.* `decide` moves it to the new revision without a message.

Pure book-keeping: sessions (`ryu_vmmob.apps.session`) take deltas from here and report what became of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from ryu_vmmob.engine.listeners import Listeners
from ryu_vmmob.flows.delta import Delta, compose
from ryu_vmmob.flows.owner import Owner

NOT_KEPT: Final = "the switch confirmed it and does not keep it"
"""The error of a flow or group that a switch lacked, was told again, confirmed, and lacks still."""


KEEPS_COOKIES: Final = "keeps_cookies"
UNREADABLE: Final = "unreadable"
UNASKABLE: Final = "unaskable"
HABITS: Final = (KEEPS_COOKIES, UNREADABLE, UNASKABLE)
"""Ways of switches that the specification does not have, and that are told: the cookie of a flow stays when an ADD puts another
in its place; the flows of some table cannot be asked for; nor what it can do (`CAPABILITY`).
"""
CAPABILITY: Final = "capability"
"""What a switch is asked for as if it were a table: what it can do."""
MOST_READS: Final = 3
"""So often the session of a switch may end in a row while it is asked for the same table; then that is not asked any more."""


class SwitchFault(NamedTuple):
    """Something a switch refused or does not keep, joined to what caused it: the flow or group as text, and whose it is."""

    error: str
    cause: str
    owner: Owner
    about: int = 0
    """The cookie of the flow or the id of the group."""


class Refused(NamedTuple):
    """A fault and whose it is: the switch that refused."""

    switch: str
    fault: SwitchFault


class Place(StrEnum):
    """The state of a switch in one word. A switch that refused something is neither in step nor behind."""

    IN_STEP = "in_step"
    REFUSED = "refused"
    BEHIND = "behind"
    AWAY = "away"


class SwitchStatus(NamedTuple):
    """A switch as people see it. ``behind``: revisions decided and not confirmed. ``since``: of the connection, seconds.

    ``place``: `Place.REFUSED` where it has confirmed all but its ``faults``; they may be permanent, and no request waits.
    """

    connected: bool
    place: Place
    behind: int
    faults: tuple[SwitchFault, ...]
    since: float | None

    @property
    def in_step(self) -> bool:
        """Whether it has confirmed everything, and refused nothing."""
        return self.place is Place.IN_STEP


@dataclass(slots=True)
class _Place:
    wake: Callable[[], None] | None = None
    since: float | None = None
    synchronised: bool = False
    """Reconciled since it connected: what it has is known."""
    leaving: bool = False
    """No longer in the fabric, and connected: it is there until it has given up what it has of ours."""
    confirmed: int = -1
    pending: list[tuple[int, Delta]] = field(default_factory=list)
    faults: list[SwitchFault] = field(default_factory=list)
    audit_asked: bool = False
    habits: set[str] = field(default_factory=set)


class Fleet:
    """All switches of the fabric. ``revision`` is the newest revision decided."""

    def __init__(self, names: Iterable[str], revision: int) -> None:
        self._places = {name: _Place() for name in names}
        self.revision = revision
        self._reads: Counter[tuple[str, str]] = Counter()
        """Switch and table -> how often in a row the table was asked for, and no answer came to its end."""
        self.dropped: Counter[str] = Counter()
        """Messages of each switch that were dropped unread, because it sent too many unsolicited ones."""
        self.has_met = False
        """Whether any switch has confirmed something, or was asked and is held, since the controller started."""
        self.on_change: Final = Listeners[[str]]()
        """Told when a switch came or went, or confirmed or refused something."""
        self.on_confirm: Final = Listeners[[str, int, tuple[SwitchFault, ...]]]()
        """Told when a switch has confirmed everything up to a revision, with what it refused and had not before."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all switches, in the order of the fabric file."""
        return tuple(name for name, place in self._places.items() if not place.leaving)

    def use(self, names: Iterable[str]) -> None:
        """Take the switches of the fabric from now on. One that is gone from it and connected stays until its flows are
        deleted.
        """
        before, self._places = self._places, {name: self._places.get(name, _Place()) for name in names}
        for place in self._places.values():
            place.leaving = False
        for name, place in before.items():
            if name not in self._places and place.wake is not None:
                place.leaving = True
                self._places[name] = place

    def has_place(self, name: str) -> bool:
        """Whether a switch is in the fabric."""
        place = self._places.get(name)
        return place is not None and not place.leaving

    def is_leaving(self, name: str) -> bool:
        """Whether a switch is gone from the fabric, and its session is to end once nothing is pending."""
        place = self._places.get(name)
        return place is None or (place.leaving and not place.pending)

    def decide(self, revision: int, deltas: dict[str, Delta]) -> None:
        """Take a new revision: switches with a delta are to be told, the others have it already."""
        previous, self.revision = self.revision, revision
        for name, place in self._places.items():
            delta = deltas.get(name)
            if delta is not None:
                # A switch that is away or not reconciled yet will be compared with the whole desired state.
                if place.synchronised:
                    place.pending.append((revision, delta))
                    if place.wake is not None:
                        place.wake()
            elif place.synchronised and not place.pending and place.confirmed == previous:
                place.confirmed = revision

    def connected(self, name: str, wake: Callable[[], None], now: float) -> None:
        """Connect a session; ``wake`` is called whenever there is something to take."""
        self._places[name] = _Place(wake, now)
        self.on_change(name)

    def disconnected(self, name: str, wake: Callable[[], None]) -> None:
        """End the session that gave ``wake`` (a newer one of the same switch stays)."""
        place = self._places.get(name)
        if place is None or place.wake != wake:
            return
        if place.leaving:
            del self._places[name]
        else:
            self._places[name] = _Place()
        self.on_change(name)

    def begin_reconciliation(self, name: str) -> int:
        """From now on deltas are kept for this switch; what came before is in the desired state. The revision of that."""
        place = self._places[name]
        place.synchronised = True
        place.pending.clear()
        return self.revision

    def hold(self, name: str, fault: SwitchFault) -> None:
        """Hold a switch, with the reason. It is out of step until a reconciliation begins."""
        self.has_met = True
        place = self._places[name]
        place.synchronised = False
        place.pending.clear()
        place.faults = [fault]

    def wake(self, name: str) -> None:
        """Let the session of a switch look, if there is one."""
        wake = self._places[name].wake
        if wake is not None:
            wake()

    def take(self, name: str) -> tuple[int, Delta] | None:
        """Everything pending for a switch as one delta, with the revision it leads to; None when there is nothing."""
        place = self._places[name]
        if not place.pending:
            return None
        pending, place.pending = place.pending, []
        return pending[-1][0], compose(delta for _, delta in pending)

    def confirm(
        self,
        name: str,
        revision: int,
        faults: Iterable[SwitchFault] = (),
        told: Collection[int] = (),
        *,
        compared: bool = False,
    ) -> None:
        """Confirm that the switch has everything up to ``revision``, ``faults`` excepted.

        ``told``: cookies and group ids of all that it was told to have or to give up; what it refused of those before is past.
        An owner's other flows prove nothing. ``compared``: it was told all that it lacked, so what it had refused before is
        past; but what it did not keep is believed again only when it has been seen (`looked`).
        """
        self.has_met = True
        place = self._places[name]
        before, found = set(place.faults), tuple(faults)
        abouts = {row.about for row in found}
        if compared:
            doubted = [row for row in place.faults if row.error == NOT_KEPT]
            place.faults = [row for row in doubted if row.about in told and row.about not in abouts]
        else:
            place.faults = [row for row in place.faults if row.about not in told]
        place.faults.extend(found)
        # With nothing else to do it has every later revision too.
        place.confirmed = revision if place.pending else self.revision
        self.on_change(name)
        self.on_confirm(name, place.confirmed, tuple(row for row in found if row not in before))

    def looked(self, name: str, lacking: Iterable[SwitchFault]) -> None:
        """Take the result of a look for what a switch was told: ``lacking`` (`NOT_KEPT`) is all of it that it does not have."""
        place = self._places[name]
        before, found = set(place.faults), tuple(lacking)
        place.faults = [*(row for row in place.faults if row.error != NOT_KEPT), *found]
        if set(place.faults) != before:
            self.on_change(name)
            self.on_confirm(name, place.confirmed, tuple(row for row in found if row not in before))

    def has_habit(self, name: str, habit: str) -> bool:
        """Whether a switch does this while its connection lasts (`HABITS`)."""
        return habit in self._places[name].habits

    def note_habit(self, name: str, habit: str) -> bool:
        """Note that a switch does one of `HABITS`; return whether that is news of its connection."""
        found = self._places[name].habits
        known = habit in found
        found.add(habit)
        return not known

    def habits(self, name: str) -> tuple[str, ...]:
        """Return what of `HABITS` a switch was found to do since it connected."""
        return tuple(row for row in HABITS if row in self._places[name].habits)

    def reads(self, name: str, table: str) -> None:
        """Note that a table is about to be asked for: should the session end meanwhile, that may be why."""
        self._reads[name, table] += 1

    def has_read(self, name: str, table: str) -> None:
        """Note that the answer has come to its end: the table can be read."""
        del self._reads[name, table]

    def is_unreadable(self, name: str, table: str) -> bool:
        """Whether the session ended `MOST_READS` times in a row while the switch was asked for this table."""
        return self._reads[name, table] >= MOST_READS

    def has(self, name: str, revision: int) -> bool:
        """Whether a switch is connected and has confirmed ``revision``."""
        place = self._places.get(name)
        return place is not None and place.wake is not None and place.synchronised and place.confirmed >= revision

    def is_connected(self, name: str) -> bool:
        """Whether a session of this switch stands."""
        place = self._places.get(name)
        return place is not None and place.wake is not None

    def is_synchronised(self, name: str) -> bool:
        """Whether the switch has been compared since it connected."""
        return self._places[name].synchronised

    def ask_audit(self, name: str) -> bool:
        """Have a switch compared as soon as it has time; False when it is away (it is compared when it comes back)."""
        place = self._places[name]
        if place.wake is None:
            return False
        place.audit_asked = True
        place.wake()
        return True

    def audit_asked(self, name: str) -> bool:
        """Whether an audit was requested since the last call."""
        place = self._places[name]
        asked, place.audit_asked = place.audit_asked, False
        return asked

    def faults(self, name: str) -> tuple[SwitchFault, ...]:
        """Return what the switch has refused and was not told again since."""
        return tuple(self._places[name].faults)

    def confirmed(self) -> dict[str, int]:
        """Return the revision each switch has confirmed; those that are away are left out."""
        return {name: place.confirmed for name, place in self._places.items() if place.synchronised and place.wake is not None}

    def status(self, name: str) -> SwitchStatus:
        """Return the state of a switch. Raises KeyError for an unknown name."""
        place = self._places[name]
        up = place.wake is not None
        if not up:
            stands = Place.AWAY
        elif not place.synchronised or place.confirmed < self.revision:
            stands = Place.BEHIND
        else:
            stands = Place.REFUSED if place.faults else Place.IN_STEP
        behind = max(0, self.revision - max(place.confirmed, 0)) if up else self.revision
        return SwitchStatus(up, stands, behind, tuple(place.faults), place.since)
