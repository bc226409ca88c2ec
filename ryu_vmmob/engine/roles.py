"""Controller roles: one controller is master of a switch, and the switch refuses changes of the others (OpenFlow 1.3.5, 6.3.6).

A controller that becomes master names a generation, and the switch refuses an older one from then on. Our generation has 64
bits: the number of starts on this store, and 32 random bits for this start. The store keeps the generations of all its starts.
So the generation that a switch names tells who was its last master: this controller, an earlier start of it, or another
controller, on a copy of the store, an older state of it, or another store.

A switch of another controller is held until an operator takes it over. The controller takes nothing back by itself; otherwise
two controllers would take the switch from each other in turn.

Pure but for the store: `ryu_vmmob.southbound.roles` talks to the switches.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.flows.owner import UNOWNED
from ryu_vmmob.store.base import Record, StoreError, Write
from ryu_vmmob.store.codec import encode

_KIND, _GENERATIONS, _YIELDED = "meta", "generations", "yielded_switches"
_BITS: Final = 64
_LIFE_BITS: Final = 32
MOST_KEPT: Final = 256
"""Generations of this store that it remembers: an older one belongs to no running controller."""


class Role(StrEnum):
    """The role of this controller at a switch. ``UNKNOWN``: the switch has no roles, so it does not distinguish controllers."""

    MASTER = "master"
    SLAVE = "slave"
    UNKNOWN = "unknown"


class Told(Enum):
    """Roles as a switch tells them, by their numbers (7.3.9)."""

    NOCHANGE = 0
    EQUAL = 1
    MASTER = 2
    SLAVE = 3


class Heard(NamedTuple):
    """A role reply. ``generation`` is that of the last master; None when the switch has had none that named one."""

    role: Told
    generation: int | None


class Verdict(Enum):
    """The action that a role reply asks for."""

    COMMAND = "ask to be its master"
    COMPARE = "see whether it has anything of ours that this store knows nothing of; if not, ask to be its master"
    YIELD = "leave it alone"


def newer(one: int, other: int) -> bool:
    """Whether a generation is newer than another, as a switch compares them: by their distance, with its sign (6.3.6)."""
    return 0 < (one - other) % (1 << _BITS) < 1 << (_BITS - 1)


def after(generation: int, life: int) -> int:
    """Return a generation that is newer than ``generation``; ``life`` (32 bits) tells it from what others make so."""
    return ((generation >> _LIFE_BITS) + 1 << _LIFE_BITS | life) % (1 << _BITS)


def is_ours(generation: int, kept: Sequence[int]) -> bool:
    """Whether a controller on this store was the master of that generation. ``kept``: the store's own, oldest first."""
    return generation in kept or (len(kept) >= MOST_KEPT and newer(kept[0], generation))


def judge(heard: Heard, kept: Sequence[int], *, met: bool, yielded: bool, claimed: bool) -> Verdict:
    """Say what is to be done about a switch that says this.

    ``kept``: see `is_ours`. ``met``: this store has brought the switch in step before. ``yielded``: it was found to be
    another's before. ``claimed``: an operator lets it be taken over.
    """
    if claimed:
        return Verdict.COMMAND
    if yielded:
        return Verdict.YIELD
    strange = heard.generation is not None and not is_ours(heard.generation, kept)
    if not met:
        return Verdict.COMPARE if strange else Verdict.COMMAND
    return Verdict.YIELD if strange or heard.role is Told.SLAVE else Verdict.COMMAND


def shown(generation: int | None) -> str:
    """Return a generation as people see it: the count of starts, and the life's 32 bits in hexadecimal."""
    return "none" if generation is None else f"{generation >> _LIFE_BITS}-{generation & (1 << _LIFE_BITS) - 1:08x}"


class Roles:
    """The role of this controller at each switch. ``life``: 32 random bits; ``store`` carries out writes, durably, and raises
    StoreError.
    """

    def __init__(self, records: Iterable[Record], life: int, store: Callable[[list[Write]], None]) -> None:
        found = {row.name: row.body["value"] for row in records if row.kind == _KIND and row.name in (_GENERATIONS, _YIELDED)}
        self._life = life
        self._store = store
        self._kept: list[int] = list(found.get(_GENERATIONS, ()))
        self._yielded: set[str] = set(found.get(_YIELDED, ()))
        self._claimed: set[str] = set()
        self._roles: dict[str, Role] = {}
        self._reasons: dict[str, str] = {}
        self._begin()

    def _begin(self) -> None:
        before = list(self._kept)
        self._kept = [*self._kept, after(self._kept[-1] if self._kept else 0, self._life)][-MOST_KEPT:]
        try:
            self._store([Write(_KIND, _GENERATIONS, encode(self._kept))])
        except StoreError:
            # A store that rejects commits does not prevent a start: no other controller has its last generation either.
            self._kept = before or self._kept

    @property
    def generation(self) -> int:
        """That of this start of the controller."""
        return self._kept[-1]

    def role(self, switch: str) -> Role | None:
        """Say what this controller is to a switch, or was on its last connection; None while that is not known."""
        return self._roles.get(switch)

    def is_yielded(self, switch: str) -> bool:
        """Whether a switch was found to be another controller's, and no operator has let it be taken over since."""
        return switch in self._yielded

    def is_claimed(self, switch: str) -> bool:
        """Whether a switch is to be taken over from its present controller."""
        return switch in self._claimed

    def judge(self, switch: str, heard: Heard, *, met: bool) -> Verdict:
        """Say what is to be done about a switch: `judge` above."""
        yielded, claimed = switch in self._yielded, switch in self._claimed
        return judge(heard, self._kept, met=met, yielded=yielded, claimed=claimed)

    def offer(self, heard: Heard) -> int:
        """Return the generation to ask with to be master, not older than the switch's. Raises StoreError when one has to be
        made and cannot be kept.
        """
        found = heard.generation
        if found is None or not newer(found, self.generation):
            return self.generation
        if is_ours(found, self._kept):
            return found  # of an earlier life, or of a take-over: no other controller asks with it
        kept = [*self._kept, after(found, self._life)][-MOST_KEPT:]
        self._store([Write(_KIND, _GENERATIONS, encode(kept))])
        self._kept = kept
        return self.generation

    def commands(self, switch: str, *, known: bool = True) -> None:
        """Note that the switch has made this controller its master; not ``known``: that it has no roles, and obeys any."""
        self._roles[switch] = Role.MASTER if known else Role.UNKNOWN
        self._claimed.discard(switch)
        self._reasons.pop(switch, None)

    def waits(self, switch: str) -> None:
        """Note that the switch is held for its flows (`ryu_vmmob.engine.contacts`), and stays another's."""
        self._roles[switch] = Role.SLAVE

    def yields(self, switch: str, generation: int | None) -> SwitchFault | None:
        """Leave the switch to another controller, whose ``generation`` it names: the fault to tell, None when it was told."""
        self._roles[switch] = Role.SLAVE
        if switch not in self._yielded:
            self._yielded.add(switch)
            with suppress(StoreError):  # then a restart asks the switch again
                self._store([self._yielded_write()])
        told = switch in self._reasons
        self._reasons[switch] = (
            f"switch {switch} is held: another controller is its master (generation {shown(generation)}, ours is "
            f"{shown(self.generation)}), on a copy or a newer state of this store, or on another; stop one of the two, or "
            f"let this one have the switch (POST /v1/switches/{switch}/take_over)"
        )
        return None if told else self.fault(switch)

    def fault(self, switch: str) -> SwitchFault:
        """Return why a switch is held, as a fault of the switch."""
        return SwitchFault(self._reasons[switch], "the role of this controller at the switch", UNOWNED)

    def connected(self, switch: str) -> None:
        """Begin a connection: what this controller is to the switch is asked again."""
        self._roles.pop(switch, None)

    def take_over(self, switch: str) -> None:
        """Let a switch be taken from the controller whose it is. Raises StoreError; then nothing has changed.

        No word is kept for a switch that is ours: what another takes later is another matter.
        """
        if switch in self._yielded:
            self._yielded.discard(switch)
            try:
                self._store([self._yielded_write()])
            except StoreError:
                self._yielded.add(switch)
                raise
        if self._roles.get(switch) in (None, Role.SLAVE):
            self._claimed.add(switch)

    def use(self, switches: Container[str]) -> None:
        """Take the switches of the fabric from now on."""
        self._reasons = {name: reason for name, reason in self._reasons.items() if name in switches}

    def _yielded_write(self) -> Write:
        return Write(_KIND, _YIELDED, encode(sorted(self._yielded)))

    @property
    def held(self) -> Mapping[str, str]:
        """A sentence for each switch that is left to another controller."""
        return self._reasons
