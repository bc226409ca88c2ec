"""Every command has one home: the module of its object, which says how it is carried out."""

from __future__ import annotations

import ast
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from ryu_vmmob import model
from ryu_vmmob.model import commands
from ryu_vmmob.model.commands import Command

HOMES = (
    "batches.commands", "cugs", "fabric_change", "links", "migrations", "numbers", "policies", "questions", "routing_domains",
    "vlan_ids", "vms",
)  # fmt: skip
COMMANDS = get_args(Command)
DURATIONS = {"seconds", "timeout"}
"""Fields in seconds that are no moment."""


def test_every_command_is_carried_out_by_one_function() -> None:
    assert set(commands._HANDLERS) == set(COMMANDS)
    handlers = list(commands._HANDLERS.values())
    assert len(set(handlers)) == len(handlers)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_stands_beside_the_function_that_carries_it_out(command: type) -> None:
    handler = commands._HANDLERS[command]
    assert command.__module__ == handler.__module__
    assert command.__module__.removeprefix(f"{model.__name__}.") in HOMES
    assert list(signature(handler).parameters) == ["draft", "command"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_no_time_of_its_own(command: type) -> None:
    """The time of a change is that of `apply`, once for all its commands."""
    assert {name for name, type_ in get_type_hints(command).items() if type_ is float} <= DURATIONS
    assert {row.name for row in fields(command)}.isdisjoint({"now", "time", "at", "since"})


def test_no_module_has_handlers_that_apply_does_not_know() -> None:
    found = set()
    folder = Path(model.__path__[0])
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(row, ast.AnnAssign) and getattr(row.target, "id", "") == "HANDLERS" for row in tree.body):
            found.add(".".join(file.relative_to(folder).with_suffix("").parts))
    assert found == set(HOMES)
