"""Owners of flows: every kind has its row, its words for people, and prints as it always did."""

from __future__ import annotations

import re

import pytest

from ryu_vmmob.flows import owner
from ryu_vmmob.flows.owner import EVERY_SWITCH, UNOWNED, Owner, OwnerKind
from ryu_vmmob.rest.owners import owner_view
from ryu_vmmob.whitebox.judge import NAMES

KINDS = [kind for kind in OwnerKind if kind is not OwnerKind.NONE]


def test_the_table_has_every_kind() -> None:
    assert re.findall(r"^``([A-Z_]+)``", owner.__doc__ or "", re.MULTILINE) == [kind.name for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_for_people(kind: OwnerKind) -> None:
    """A new kind without them was shown as its bare key."""
    found = owner_view(Owner(kind, "name", "part"))
    assert found["kind"] is not None
    assert found["reason"] != str(Owner(kind, "name", "part"))
    assert kind in NAMES


def test_an_owner_prints_as_words() -> None:
    assert str(EVERY_SWITCH) == "switch"
    assert str(UNOWNED) == ""
    assert str(Owner(OwnerKind.CABLE, "web", "srv-a1", "vnic", "7")) == "cable web srv-a1 vnic 7"
    assert Owner(OwnerKind.VM, "web1", "0").whole == Owner(OwnerKind.VM, "web1")
