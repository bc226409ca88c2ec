"""Flags and counters that the parts share; pure Python, no imports of Ryu."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

WantsRaw = Callable[[object, int], bool]
Unwanted = Callable[[object, int, int, "bytes | bytearray"], bool]

DEFAULT_PARSE_LIMIT = 0.5
"""CPU seconds that parsing one message may take. The largest honest message, 64 KiB of flow statistics, takes about a tenth."""


class PartStatus(NamedTuple):
    """One part of the compatibility layer, as found in this process."""

    name: str
    needed: bool
    """Whether the installed Ryu and eventlet have the fault."""
    active: bool
    """Whether the part is applied in this process."""
    why: str


class Refusals(NamedTuple):
    """How many messages of switches were refused since the process started; each closed its connection."""

    malformed: int
    """A length in the message is impossible, or the message may not be sent at this point."""
    too_slow: int
    """Parsing used up its time."""


class _State:
    def __init__(self) -> None:
        self.parse_limit = DEFAULT_PARSE_LIMIT
        self.raw = False
        self.wants_raw: WantsRaw | None = None
        self.unwanted: Unwanted | None = None
        self.malformed = 0
        self.too_slow = 0


STATE = _State()


def raw_multipart(*, enabled: bool, wanted: WantsRaw | None = None) -> None:
    """Have flow, group and meter descriptions arrive unparsed, as ``EventRawMultipart``.

    Ryu's parser makes about 8 thousand objects a second of them, and a reader that wants two fields of each entry needs none.
    Off until asked for, since other applications in the process may want the parsed events. With ``wanted``, a function of
    (datapath, transaction id), only the replies for which it is true arrive raw, and both kinds of reader live together.
    """
    STATE.raw = enabled
    STATE.wants_raw = wanted if enabled else None


def drop_unwanted(unwanted: Unwanted | None) -> None:
    """Have messages dropped before they are looked at: those for which a function of (datapath, type, transaction id, bytes of
    the message) is true. It is called in the green thread that reads from this switch, which it may hold up.
    """
    STATE.unwanted = unwanted


def set_parse_limit(seconds: float) -> None:
    """Set the CPU time that parsing one message may take; 0.01 to 60 seconds. Raises ValueError outside."""
    if not 0.01 <= seconds <= 60:
        message = f"parse limit: {seconds} is outside 0.01 to 60 seconds"
        raise ValueError(message)
    STATE.parse_limit = seconds


def refusals() -> Refusals:
    """Return the counters of refused messages."""
    return Refusals(STATE.malformed, STATE.too_slow)
