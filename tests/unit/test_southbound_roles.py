"""The role at one switch when the store cannot keep the generation that the take-over needs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ryu_vmmob.engine.roles import Heard, Role, Told, Verdict
from ryu_vmmob.flows import wire
from ryu_vmmob.southbound.roles import Claimant, stand
from ryu_vmmob.store.base import StoreError
from tests.unit.role_records import Records

FOREIGN = 9 << 32


class Session:
    """A session with a switch whose last master was another controller."""

    def __init__(self, store: Records) -> None:
        self.name = "s"
        self.roles = store.start(1)
        contacts = SimpleNamespace(is_met=lambda name: True)
        self.engine = SimpleNamespace(roles=self.roles, contacts=contacts, yields=self.roles.yields)
        self.commands = self.doubted = self.held = False
        self.last_refusal: tuple[int, int] | None = None
        self.generation = FOREIGN
        self.asked = list[int]()

    def ask_role(self, role: int, generation: int) -> Heard | None:
        self.asked.append(role)
        if role == wire.ROLE_MASTER:
            self.generation = generation
            return Heard(Told.MASTER, generation)
        return Heard(Told.EQUAL, self.generation)


def test_a_take_over_that_the_store_cannot_keep_is_tried_again() -> None:
    store = Records()
    session: Any = Session(store)
    roles = session.roles
    assert not stand(cast(Claimant, session)), "it is another controller's"
    roles.take_over("s")
    store.full = True
    session.asked.clear()
    with pytest.raises(StoreError):
        stand(cast(Claimant, session))
    assert session.asked == [wire.ROLE_NOCHANGE], "nothing was asked that the store does not know"
    assert (roles.is_yielded("s"), roles.is_claimed("s")) == (False, True), "the operator's word stands"
    store.full = False
    assert stand(cast(Claimant, session))
    assert roles.role("s") is Role.MASTER
    found = Heard(Told.EQUAL, session.generation)
    assert roles.judge("s", found, met=True) is Verdict.COMMAND, "also on the next connection"
