"""What a switch does with fragments of IP (OFPC_FRAG_*, OpenFlow 1.3.5, 7.3.2): asked at each comparison, set where it differs.

Open vSwitch keeps the mode over reconnections, and other controllers may change it. In another mode the flows of
policies let no fragment pass that they should not: in `normal` a first fragment reads as one that ends before its ports.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.fabric.model import Dialect, Switch
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.owner import EVERY_SWITCH
from ryu_vmmob.southbound.exchange import Exchange

_NAMES: Final = {wire.FRAGMENTS_NORMAL: "normal", wire.FRAGMENTS_DROP: "drop", 2: "reasm", wire.FRAGMENTS_NX_MATCH: "nx-match"}
_MODE: Final = 3  # OFPC_FRAG_MASK


class Look(NamedTuple):
    """What a comparison found: whether the mode was another, and what is still wrong with it."""

    altered: bool
    fault: SwitchFault | None


def mode_of(switch: Switch) -> int:
    """Return the mode that a switch is to have: plain OpenFlow 1.3 has none in which flows tell fragments apart."""
    if not switch.passes_fragments:
        return wire.FRAGMENTS_DROP
    return wire.FRAGMENTS_NX_MATCH if switch.dialect is Dialect.OPENVSWITCH else wire.FRAGMENTS_NORMAL


def put_right(session: Exchange, switch: Switch) -> Look:
    """Ask a switch for its mode, and set it if it is another. One that has the right mode gets no message that changes it."""
    wanted = mode_of(switch)
    found = session.ask_config()
    if found is not None and found.flags & _MODE == wanted:
        return Look(altered=False, fault=None)
    if found is None:
        return Look(altered=False, fault=_unconfirmed(wanted, "it does not say which mode it has"))
    session.tell([wire.set_config(found.flags & ~_MODE | wanted, found.miss_send_len, session.next_xid())])
    again = session.ask_config()
    if again is None or again.flags & _MODE != wanted:
        has = "no mode" if again is None else _NAMES[again.flags & _MODE]
        return Look(altered=False, fault=_unconfirmed(wanted, f"told to take it, it says {has}"))
    return Look(altered=True, fault=None)


def _unconfirmed(wanted: int, error: str) -> SwitchFault:
    return SwitchFault(error, f"fragment mode {_NAMES[wanted]}", EVERY_SWITCH)
