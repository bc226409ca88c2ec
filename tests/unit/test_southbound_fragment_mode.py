"""The fragment mode, asked of switches that have it, lack it, refuse it or say nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ryu_vmmob.fabric.model import Dialect, Fragments, Role, Switch
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.southbound.fragment_mode import mode_of, put_right


class Asked:
    """A session of a switch with a mode; ``takes``: whether it takes another, ``says``: whether it answers at all."""

    def __init__(self, flags: int, *, takes: bool = True, says: bool = True) -> None:
        self.flags, self.takes, self.says = flags, takes, says
        self.told: list[bytes] = []

    def ask_config(self) -> Any:
        return SimpleNamespace(flags=self.flags, miss_send_len=77) if self.says else None

    def next_xid(self) -> int:
        return 5

    def tell(self, messages: list[bytes]) -> None:
        self.told += messages
        if self.takes:
            self.flags = int.from_bytes(messages[0][8:10], "big")


def switch(dialect: Dialect = Dialect.OPENVSWITCH, fragments: Fragments | None = None) -> Switch:
    return Switch("tor-a", 1, Role.TOR, "rack-a", dialect=dialect, fragments=fragments)


def look(session: Asked, row: Switch) -> Any:
    return put_right(session, row)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dialect", "fragments", "mode"),
    [
        (Dialect.OPENVSWITCH, None, wire.FRAGMENTS_NX_MATCH),
        (Dialect.OPENVSWITCH, Fragments.PASS, wire.FRAGMENTS_NX_MATCH),
        (Dialect.OPENVSWITCH, Fragments.DROP, wire.FRAGMENTS_DROP),
        (Dialect.OPENFLOW13, None, wire.FRAGMENTS_DROP),
        (Dialect.OPENFLOW13, Fragments.PASS, wire.FRAGMENTS_NORMAL),
        (Dialect.OPENFLOW13, Fragments.DROP, wire.FRAGMENTS_DROP),
    ],
)
def test_which_mode_a_switch_is_to_have(dialect: Dialect, fragments: Fragments | None, mode: int) -> None:
    assert mode_of(switch(dialect, fragments)) == mode


def test_the_right_mode_is_left_alone() -> None:
    session = Asked(wire.FRAGMENTS_NX_MATCH)
    assert look(session, switch()) == (False, None)
    assert session.told == []


def test_another_mode_is_set_and_nothing_else_of_the_configuration() -> None:
    session = Asked(wire.FRAGMENTS_NORMAL | 4)
    assert look(session, switch()) == (True, None)
    assert session.told == [wire.set_config(wire.FRAGMENTS_NX_MATCH | 4, 77, 5)]


@pytest.mark.parametrize(
    ("session", "error"),
    [
        (Asked(wire.FRAGMENTS_NORMAL, takes=False), "told to take it, it says normal"),
        (Asked(wire.FRAGMENTS_NORMAL, says=False), "it does not say which mode it has"),
    ],
)
def test_what_is_not_confirmed_is_a_fault(session: Asked, error: str) -> None:
    found = look(session, switch(Dialect.OPENFLOW13))
    assert not found.altered
    assert (found.fault.cause, found.fault.error, found.fault.owner) == ("fragment mode drop", error, Owner(OwnerKind.SWITCH))
