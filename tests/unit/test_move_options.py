"""How a VM moves is said once: what is asked for, kept, shown and offered on the command line has the model's options."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from ryu_vmmob.cli.move_options import MoveOptions as Offered
from ryu_vmmob.model.batches.commands import StartBatch
from ryu_vmmob.model.batches.values import Batch
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.model.move_options import LONGEST_TIMEOUT, OPTION_NAMES, MoveOptions
from ryu_vmmob.model.objects import Migration
from ryu_vmmob.rest import batches, migrations, moves
from ryu_vmmob.rest.batches import EvacuateBody
from ryu_vmmob.rest.migrations import MigrationBody
from ryu_vmmob.rest.moves import MoveOptionsBody

HINTS = get_type_hints(MoveOptions)
DEFAULTS: dict[str, Any] = {row.name: row.default for row in fields(MoveOptions)}


@pytest.mark.parametrize("kind", [StartMigration, StartBatch, Migration, Batch])
def test_the_model_keeps_the_options_by_name_only(kind: type[Any]) -> None:
    assert issubclass(kind, MoveOptions)
    assert all(row.kw_only for row in fields(kind) if row.name in OPTION_NAMES)


@pytest.mark.parametrize("kind", [MigrationBody, EvacuateBody])
def test_a_body_has_the_options_with_the_models_types_and_defaults(kind: type[MoveOptionsBody]) -> None:
    rows = MoveOptionsBody.model_fields
    assert issubclass(kind, MoveOptionsBody)
    assert tuple(rows) == OPTION_NAMES
    assert {name: row.annotation for name, row in rows.items()} == HINTS
    assert {name: row.default for name, row in rows.items()} == DEFAULTS


def test_an_answer_has_the_options_with_the_models_types() -> None:
    assert get_type_hints(moves.MoveOptions) == HINTS
    for kind in (migrations.Migration, batches.Batch):
        assert get_type_hints(kind).keys() >= HINTS.keys()


def test_every_option_comes_through_from_the_body() -> None:
    other: dict[str, object] = {"timeout": 77.5}
    for name, hint in HINTS.items():
        if get_args(hint):
            other[name] = get_args(hint)[-1]
    assert all(DEFAULTS[name] != value for name, value in other.items())
    body = MigrationBody.model_validate({"vm": "web1", "to": "b1"} | other)
    assert body.command("m").options() == other


def test_the_command_line_offers_the_options_and_tells_their_defaults() -> None:
    """The help text once named a default that had been another for two releases."""
    hints = get_type_hints(Offered, include_extras=True)
    assert hints.keys() == HINTS.keys()
    for name, hint in hints.items():
        base, option = get_args(hint)
        assert base == _optional(HINTS[name]), name
        if get_args(HINTS[name]):
            said = option.help.partition(":")[0].rstrip(".")
            found = re.findall(r"(\w+)( \(default\))?(?:, | or |$)", said)
            assert {word for word, _ in found} == set(get_args(HINTS[name])), name
            assert [word for word, default in found if default] == [DEFAULTS[name]], name
        else:
            assert f"{DEFAULTS[name]:g} by default" in option.help, name


def _optional(hint: Any) -> Any:
    """What the command line reads for a type of the model; words stay text, for the controller to judge."""
    return (str if get_origin(hint) is not None else hint) | None


def test_a_request_may_ask_for_the_longest_time() -> None:
    assert DEFAULTS["timeout"] <= LONGEST_TIMEOUT
