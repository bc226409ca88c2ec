"""Listeners of the engine: several may register, none replaces another, and nothing is set after the constructor."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import partial

import pytest

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.listeners import Listeners
from ryu_vmmob.model.commands import Activate
from tests.support.commands import cug, vm
from tests.support.engine_site import MOVE, Site
from tests.support.fabrics import two_racks
from tests.support.memory_store import MemoryStore
from tools.import_graph import Module, modules


def test_listeners_are_called_in_the_order_in_which_they_registered() -> None:
    told: list[tuple[str, int]] = []
    listeners = Listeners[[int]]()
    listeners(0)
    listeners.add(lambda number: told.append(("first", number)))
    listeners(1)
    listeners.add(lambda number: told.append(("second", number)))
    listeners(2)
    assert told == [("first", 1), ("first", 2), ("second", 2)]


def test_one_that_registers_during_a_call_is_called_from_the_next_one_on() -> None:
    told: list[str] = []
    listeners = Listeners[[]]()
    listeners.add(lambda: listeners.add(lambda: told.append("late")))
    listeners()
    assert told == []
    listeners()
    assert told == ["late"]


def test_what_a_listener_raises_goes_to_the_caller() -> None:
    def fail() -> None:
        raise LookupError

    listeners = Listeners[[]]()
    listeners.add(fail)
    with pytest.raises(LookupError):
        listeners()


def test_every_listener_of_the_engine_hears_a_move() -> None:
    """Two of each kind, as a log and a metric would register."""
    made = Site(two_racks(), cug(), vm())
    engine = made.engine
    told: dict[str, tuple[list[object], list[object]]] = {
        kind: ([], []) for kind in ("event", "step", "fabric", "progress", "question")
    }
    for number in (0, 1):
        engine.on_event.add(told["event"][number].append)
        engine.on_step.add(told["step"][number].append)
        engine.on_fabric.add(told["fabric"][number].append)
        engine.on_progress.add(partial(told["progress"][number].append, "progress"))
        engine.on_question.add(told["question"][number].append)
    engine.execute(replace(MOVE, timeout=4.0))
    made.confirm()
    made.now += 5
    engine.progress()
    made.confirm()
    engine.execute(Activate("m1", "seen at tor-b:1"))
    made.confirm()
    engine.execute(engine.fabric_replaced(replace(engine.state.fabric, name="another")))
    for kind, (one, other) in told.items():
        assert one, f"no listener heard of a {kind}"
        assert one == other


HOOKS = ("on_event", "on_step", "on_fabric", "on_progress", "on_question", "on_confirm", "on_change", "on_ports", "alone")


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_no_hook_is_set_from_outside(module: Module) -> None:
    """``engine.on_event = f`` would take the place of the listeners that there are."""
    for node in ast.walk(ast.parse(module.file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in HOOKS:
            assert getattr(node.value, "id", None) == "self", f"line {node.lineno}"


def test_an_engine_is_whole_when_it_is_made() -> None:
    """No attribute of it appears later: what it needs of others, its constructor is given."""
    made = Site(two_racks(), cug(), vm(), MOVE)
    new = Engine(two_racks(), MemoryStore(), lambda: 0.0)
    assert vars(made.engine).keys() == vars(new).keys()
    assert [name for name, value in vars(new).items() if isinstance(value, Listeners)] == list(HOOKS[:5])
