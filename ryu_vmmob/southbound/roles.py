"""The role of this controller at one switch, as its session asks for it (OpenFlow 1.3.5, 6.3.6): before anything is changed
on a connection, and again every few seconds, since not every switch tells who has lost it. What follows from the answers is
decided in `ryu_vmmob.engine.roles`.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple, Protocol

from ryu_vmmob.engine.roles import Heard, Role, Told, Verdict
from ryu_vmmob.flows import wire
from ryu_vmmob.rate_limit import TokenBucket
from ryu_vmmob.southbound.exchange import Exchange

_TRIES: Final = 3
"""So often a switch is asked when another controller becomes its master just between question and request."""
DOUBTS_A_SECOND: Final = 0.1
DOUBTS: Final = 5
"""So often at once a switch may refuse us as a slave and say afterwards that it does not; then its connection is given up."""
_STATUS: Final = struct.Struct("!IB3xQ")


class Claimant(Exchange, Protocol):
    """A session, as far as its role is concerned."""

    commands: bool
    """Whether the switch may be changed: it has this controller as its master, or knows no roles."""
    doubted: bool
    """Whether the role is to be asked for, because something was heard of it."""
    held: bool
    """Whether the switch is held (`ryu_vmmob.engine.contacts`)."""
    last_refusal: tuple[int, int] | None
    """Type and code of the last error of the exchange under way."""

    def ask_role(self, role: int, generation: int) -> Heard | None:
        """Ask for a role; None when the switch does not answer, or refuses to (`last_refusal`)."""

    def foreign(self) -> int:
        """Return how many flows and groups with our mark the switch has that are not desired."""

    def doubt(self) -> None:
        """Something was heard that makes it doubtful whether the switch is this controller's."""


class Status(NamedTuple):
    """A role status message: the switch reports that the role has changed. ``reason``: OFPCRR_*."""

    role: int
    reason: int
    generation: int


def role_status(message: Any) -> Status | None:
    """Read an experimenter message (of Ryu's parser) that tells of a role; None when it is another, or too short."""
    if (message.experimenter, message.exp_type) != (wire.ONF_EXPERIMENTER, wire.ROLE_STATUS):
        return None
    if len(message.data) < _STATUS.size:
        return None
    return Status(*_STATUS.unpack_from(message.data))


def heard(message: Any) -> Heard | None:
    """Read a role reply (of Ryu's parser); None when it says nothing that is known."""
    known = {row.value: row for row in Told}
    if message.role not in known:
        return None
    # Some switches say 0 where the specification has all ones.
    none = message.generation_id in (0, wire.NO_GENERATION)
    return Heard(known[message.role], None if none else message.generation_id)


def doubts() -> TokenBucket:
    """Return how often the role at one connection may be doubted."""
    return TokenBucket(DOUBTS_A_SECOND, DOUBTS)


def stand(session: Claimant) -> bool:
    """Ask the switch for its master, and to become it where no other controller is: whether the switch may be changed.

    Raises StoreError when a generation has to be made and cannot be stored. The switch then has another master as before.
    """
    engine, name = session.engine, session.name
    roles = engine.roles
    session.doubted = False
    found: Heard | None = None
    for _ in range(_TRIES):
        answer = session.ask_role(wire.ROLE_NOCHANGE, 0)
        if answer is None:
            return _unknown(session)
        found = answer
        verdict = roles.judge(name, found, met=engine.contacts.is_met(name))
        if verdict is Verdict.COMPARE and not _may_be_met(session, found):
            return False
        if verdict is Verdict.YIELD:
            break
        became = session.ask_role(wire.ROLE_MASTER, roles.offer(found))
        if became is not None and became.role is Told.MASTER:
            session.commands = True
            roles.commands(name)
            return True
        if (session.last_refusal != wire.STALE) if became is None else (became.role is not Told.SLAVE):
            return _unknown(session)
    _leave(session, found)
    return False


def look(session: Claimant) -> None:
    """Whether the switch still has this controller as its master."""
    if session.engine.roles.role(session.name) is Role.MASTER and session.commands:
        found = session.ask_role(wire.ROLE_NOCHANGE, 0)
        if found is None or found.role is not Told.MASTER:
            session.doubt()


def _unknown(session: Claimant) -> bool:
    """Serve a switch that knows no roles: it accepts messages of every controller."""
    if session.engine.roles.role(session.name) is not Role.UNKNOWN:
        said = "switch %s has no roles: another controller that sends to it would not be noticed"
        session.log.warning(said, session.name)
    session.engine.roles.commands(session.name, known=False)
    session.commands = True
    return True


def _may_be_met(session: Claimant, found: Heard) -> bool:
    """Whether all that a switch has of ours is desired: this store meets it for the first time, and another controller was its
    master. If not it is held, as its flows say (`ryu_vmmob.engine.contacts`).
    """
    foreign = session.foreign()
    session.held = not session.engine.first_contact(session.name, foreign)
    if session.held:
        session.engine.roles.waits(session.name)
        _be_slave(session, found)
    return not session.held


def _leave(session: Claimant, found: Heard | None) -> None:
    session.commands = False
    session.engine.yields(session.name, found.generation if found is not None else None)
    if found is not None:
        _be_slave(session, found)


def _be_slave(session: Claimant, found: Heard) -> None:
    """Have the switch itself take nothing from us and send no packets; with its own generation, which thus stays."""
    if found.generation is not None and found.role is not Told.SLAVE:
        session.ask_role(wire.ROLE_SLAVE, found.generation)
