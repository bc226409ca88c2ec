"""Test modules stand by themselves: what they share is no test, and what tiers share is in ``tests/support``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = {".".join(("tests", *path.relative_to(TESTS).with_suffix("").parts)) for path in TESTS.rglob("*.py")}
NO_HELPERS = ("test_", "conftest")
SHARED = {"tests.support", "tests.conformance.plugin"}
"""The plugin is loaded for all tiers."""


def imported(source: str) -> Iterator[str]:
    """Modules of the tests that a source imports."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name in MODULES)


def wrong(module: str, source: str) -> list[str]:
    """What a module of the tests imports and should not."""
    tier = ".".join(module.split(".")[:2])
    return [
        f"{module} imports {name}" for name in imported(source)
        if name.rpartition(".")[2].startswith(NO_HELPERS)
        or not (name.startswith((f"{tier}.", "tests.support.")) or name in SHARED)
    ]  # fmt: skip


def test_no_module_imports_a_test_module_and_no_tier_imports_another() -> None:
    sources = ((module, TESTS.parent / f"{module.replace('.', '/')}.py") for module in sorted(MODULES))
    assert [line for module, path in sources for line in wrong(module, path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "line",
    [
        "from tests.unit.test_overtaken import speaks",
        "from tests.unit import test_overtaken",
        "from tests.ovs.conftest import bridge",
        "from tests.property.crowd import Crowd",
        "import tests.ovs.trace",
    ],
)
def test_such_an_import_is_found(line: str) -> None:
    assert wrong("tests.unit.test_clock", line) != []


def test_helpers_of_the_same_tier_and_those_of_all_are_free() -> None:
    assert wrong("tests.unit.test_clock", "from tests.unit.forged import speak\nfrom tests.support.world import World\n") == []
