"""The comparison of a switch, while the store lets others work."""

from __future__ import annotations

import logging
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from ryu_vmmob.apps import auditing, capabilities
from ryu_vmmob.flows.audit import Habits, Reading
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.southbound import fragment_mode, habits
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks
from tests.support.memory_store import MemoryStore


def test_what_is_decided_while_a_first_contact_is_stored_reaches_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store on the network lets others work while it writes; what they decide then must be in the comparison or after it."""
    store = MemoryStore()
    made = Site(two_racks(), store=store, connected=False)
    engine = made.engine
    engine.execute(cug(), vm())
    engine.fleet.connected("tor-a", lambda: None, 1.0)
    brought: list[Delta] = []
    session: Any = SimpleNamespace(
        name="tor-a", engine=engine, habits=Habits(), is_plain=False, held=False, log=logging.getLogger(__name__),
        passes_fragments=None, until_adopted=lambda: None,
        desired=engine.desired.tables["tor-a"], bring=lambda revision, delta, **options: brought.append(delta),
    )  # fmt: skip
    monkeypatch.setattr(habits, "read_ports", lambda session: None)
    monkeypatch.setattr(auditing, "_put_meters_right", lambda session: Counter())
    monkeypatch.setattr(fragment_mode, "put_right", lambda *_: fragment_mode.Look(altered=False, fault=None))
    monkeypatch.setattr(capabilities, "look", lambda session, first: None)
    monkeypatch.setattr(auditing, "read", lambda session: Reading(session.habits))
    monkeypatch.setattr(auditing, "_look_again", lambda *_: [])
    assert not engine.contacts.is_met("tor-a")

    def decide() -> None:
        engine.execute(vm("web2", "a1", nic(12)))

    store.meanwhile = decide
    auditing.reconcile(session)
    assert "web2" in engine.state.vms
    while (taken := engine.fleet.take("tor-a")) is not None:
        brought.append(taken[1])
    sent = {flow.cookie for delta in brought for flow in delta.flows}
    assert sent == engine.desired.tables["tor-a"].flows.keys()
