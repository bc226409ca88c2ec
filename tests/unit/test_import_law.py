"""The import law (docs/architecture.md): which package may import which, and which may import Ryu, a clock or a socket.

``tools/import_graph.py`` has the layers and reads the imports; ``pytest -s`` prints the graph.
"""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tools.import_graph import (
    LAYERS,
    ROOT,
    Import,
    Module,
    arrows,
    circles,
    circles_of_modules,
    drawn,
    imports,
    modules,
    own_imports,
    package_of,
    upward,
)

MODULES = modules()
IMPORTS = own_imports(MODULES)

FRAMEWORK = frozenset({"ryu", "eventlet", "greenlet", "oslo_config", "routes"})
SEAM = frozenset({"options", "manual", "compat", "exposure", "manager", "apps", "bench"})
"""Packages that may import the framework, or a package that does. All others load where there is none."""
CORE = LAYERS.keys() - SEAM
PURE = frozenset(
    {"net", "rate_limit", "fabric", "model", "flows", "frames", "punt", "sim", "trace", "health", "engine", "southbound"}
)
"""Free of clocks, chance, threads, files and sockets besides: these come in as arguments."""
READERS = frozenset({"ryu_vmmob.fabric.loader"})
"""Modules of pure packages whose one purpose is to read a file."""
IMPURE = frozenset(
    {"time", "datetime", "random", "secrets", "uuid", "threading", "multiprocessing", "asyncio", "concurrent", "socket",
     "select", "selectors", "ssl", "subprocess", "sqlite3", "os", "io", "pathlib", "tempfile", "shutil", "requests"}
)  # fmt: skip


def _is_foreign(layer: str, top: str) -> bool:
    """Whether a layer has no business with a package from outside."""
    return (
        (layer in CORE and top in FRAMEWORK)
        or (layer in PURE and top in IMPURE)
        or (layer not in ("rest", "apps") and top == "webob")
        or (layer != "store" and top == "sqlite3")
    )


def violations(layer: str, source: str) -> list[str]:
    """What a source of ``layer`` imports against the law."""
    found = []
    for name, line in imports(source):
        top, *rest = name.split(".")
        if name.startswith("."):
            found.append(f"line {line}: a relative import")
        elif top in ("apps", "flows"):
            found.append(f"line {line}: {name} is imported as ryu_vmmob.{name}")
        elif _is_foreign(layer, top):
            found.append(f"line {line}: {layer} imports {name}")
        elif top == "ryu_vmmob" and rest and rest[0] not in (layer, "__version__", *LAYERS[layer]):
            found.append(f"line {line}: {layer} imports {rest[0]}")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_law(module: Module) -> None:
    assert module.package in LAYERS, f"{module.package} has no place in the law yet"
    found = violations(module.package, module.file.read_text(encoding="utf-8"))
    assert [row for row in found if not (module.name in READERS and row.endswith(" imports os"))] == []


def test_the_layers_are_the_packages_that_there_are() -> None:
    assert {module.package for module in MODULES} == LAYERS.keys()


@pytest.mark.parametrize("link", ["apps", "flows"])
def test_the_links_are_followed(link: str) -> None:
    seen = {module.file for module in MODULES if module.package == link}
    assert seen == set((ROOT / link).rglob("*.py"))
    assert link in {package_of(row.importer) for row in IMPORTS if package_of(row.imported) == link}


def test_a_layer_imports_from_lower_ones_alone() -> None:
    order = list(LAYERS)
    for layer, allowed in LAYERS.items():
        assert allowed <= set(order[: order.index(layer)]), f"{layer} may import what does not stand below it"


def test_what_a_layer_may_import_it_does() -> None:
    graph = arrows(IMPORTS)
    assert {layer: graph.get(layer, set()) for layer in LAYERS} == {layer: set(allowed) for layer, allowed in LAYERS.items()}


def test_no_arrow_leads_upward_and_there_is_no_circle() -> None:
    graph = arrows(IMPORTS)
    print(f"\n{drawn(MODULES, IMPORTS)}")
    assert upward(graph) == []
    assert circles(graph) == []


def test_an_arrow_upward_and_a_circle_would_be_found() -> None:
    rows = [*IMPORTS, Import("ryu_vmmob.net.keys", "ryu_vmmob.flows.pipeline", 1)]
    assert upward(arrows(rows)) == ["net -> flows"]
    found = circles(arrows(rows))
    assert found == [["fabric", "flows", "model", "net"]]
    assert "circle of packages: fabric, flows, model, net" in drawn(MODULES, rows)


def test_no_module_imports_itself_through_others() -> None:
    assert circles_of_modules(IMPORTS) == []


@pytest.mark.parametrize("circle", [("model.presence", "model.state"), ("apps.capabilities", "apps.session")])
def test_modules_that_import_each_other_would_be_found(circle: tuple[str, str]) -> None:
    low, high = (f"ryu_vmmob.{name}" for name in circle)
    rows = [*IMPORTS, Import(low, high, 1)]
    (found,) = circles_of_modules(rows)
    assert {low, high} <= set(found)
    assert f"circle of modules: {', '.join(found)}" in drawn(MODULES, rows)


def test_what_is_in_apps_needs_ryu() -> None:
    for module in MODULES:
        if module.package == "apps" and module.name != "ryu_vmmob.apps":
            tops = {name.split(".")[0] for name, _ in imports(module.file.read_text(encoding="utf-8"))}
            assert tops & FRAMEWORK, f"{module.name} imports neither Ryu nor eventlet: it belongs to another package"


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("engine", "from ryu.lib import hub"),
        ("flows", "def late():\n    import eventlet"),
        ("net", "import_module('ryu_vmmob.flows.flow')"),
        ("rest", "import greenlet"),
        ("engine", "import time"),
        ("fabric", "from os import getpid"),
        ("model", "from datetime import datetime"),
        ("flows", "from ryu_vmmob.engine.engine import Engine"),
        ("model", "from ryu_vmmob.flows.flow import Flow"),
        ("model", "from ryu_vmmob.flows import flow"),
        ("frames", "from ryu_vmmob.flows.flow import Flow"),
        ("frames", "import socket"),
        ("punt", "import time"),
        ("punt", "from ryu_vmmob.engine.engine import Engine"),
        ("fabric", "if TYPE_CHECKING:\n    from ryu_vmmob.model.state import State"),
        ("engine", "import sqlite3"),
        ("cli", "import webob"),
        ("sim", "from ryu_vmmob import model"),
        ("apps", "from ryu_vmmob.sim.network import Network"),
        ("flows", "from flows.pipeline import Table"),
        ("flows", "from .pipeline import Table"),
    ],
)
def test_a_breach_is_found(layer: str, source: str) -> None:
    assert len(violations(layer, source)) == 1


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("apps", "from ryu.lib import hub"),
        ("engine", "from ryu_vmmob.flows.flow import Flow"),
        ("model", "from ryu_vmmob.net.addresses import mac"),
        ("rest", "from webob import Request"),
    ],
)
def test_what_is_allowed_passes(layer: str, source: str) -> None:
    assert violations(layer, source) == []


def test_one_place_talks_to_switches() -> None:
    """Only a session, by its exchanges, hands bytes to a connection."""
    senders = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("send", "send_msg", "send_packet_out"):
                senders.add(module.file.relative_to(ROOT).as_posix())
    assert senders == {"apps/transactions.py"}


def test_the_core_loads_where_there_is_no_ryu() -> None:
    names = [module.name for module in MODULES if module.package in CORE]
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(FRAMEWORK)!r}: sys.modules[name] = None\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
