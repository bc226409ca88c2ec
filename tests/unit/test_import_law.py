"""The import law (docs/architecture.md): who may know whom, and who may know Ryu, a clock, a thread or a socket.

Found by parsing, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

LAYERS: dict[str, frozenset[str]] = {
    "net": frozenset(),
    "fabric": frozenset({"net"}),
    "model": frozenset({"net", "fabric"}),
    "flows": frozenset({"net", "fabric", "model"}),
    "frames": frozenset({"net"}),
    "punt": frozenset({"net", "fabric", "model", "flows", "frames"}),
    "store": frozenset({"fabric", "model"}),
    "engine": frozenset({"net", "fabric", "model", "flows", "frames", "store", "rate_limit", "logs"}),
    "southbound": frozenset({"net", "fabric", "model", "flows", "frames", "punt", "store", "engine", "rate_limit", "logs"}),
    "trace": frozenset({"net", "fabric", "model", "flows", "sim", "punt"}),
    "rest": frozenset(
        {"net", "fabric", "model", "flows", "engine", "store", "sim", "trace", "rate_limit", "logs", "__version__"}
    ),
    "sim": frozenset({"net", "fabric", "flows"}),
    "rate_limit": frozenset(),
    "memory": frozenset(),
    "exposure": frozenset({"compat", "options"}),
    "logs": frozenset(),
    "compat": frozenset({"options", "logs"}),
    "options": frozenset({"logs"}),
    "manager": frozenset({"compat"}),
    "client": frozenset(),
    "cli": frozenset({"fabric", "client", "whitebox", "__version__"}),
    "hypervisor": frozenset({"client", "logs"}),
    "whitebox": frozenset({"net", "fabric", "model", "flows"}),
    "apps": frozenset(
        {"compat", "exposure", "logs", "memory", "options", "net", "fabric", "model", "engine", "flows", "punt", "rest",
         "store", "southbound"}
    ),
    "bench": frozenset({"net", "fabric", "model", "flows", "engine", "store", "sim", "client"}),
}
"""Layer of the package -> layers it may import."""

CORE = frozenset(
    {"net", "fabric", "model", "flows", "frames", "punt", "store", "engine", "rest", "sim", "southbound", "trace", "whitebox"}
)
"""Free of Ryu and of everything that comes with it."""
FRAMEWORK = frozenset({"ryu", "eventlet", "greenlet", "oslo_config", "routes"})
PURE = frozenset({"net", "model", "flows", "frames", "punt", "engine", "southbound", "sim", "trace"})
"""Free of clocks, chance, threads, files and sockets besides: these come in as arguments."""
IMPURE = frozenset(
    {"time", "datetime", "random", "secrets", "uuid", "threading", "multiprocessing", "asyncio", "concurrent", "socket",
     "select", "selectors", "ssl", "subprocess", "sqlite3", "os", "io", "pathlib", "tempfile", "shutil", "requests"}
)  # fmt: skip


class Import(NamedTuple):
    """One module that a source imports, be it for a type checker alone."""

    module: str
    line: int


def modules() -> list[tuple[str, Path]]:
    """(layer, file) of every module of the package; apps/ and flows/ are real folders on top."""
    found: list[tuple[str, Path]] = []
    for path in sorted((ROOT / "ryu_vmmob").iterdir()):
        if path.name in ("apps", "flows"):
            path = path.resolve()
        if path.is_dir():
            found.extend((path.name, file) for file in sorted(path.rglob("*.py")))
        elif path.suffix == ".py" and path.stem != "__init__":
            found.append((path.stem, path))
    return found


def imports(source: str) -> Iterator[Import]:
    """Every import of a source, those inside functions and those for a type checker too."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(name.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module in ("ryu_vmmob", "ryu_vmmob.flows"):
                for name in node.names:
                    yield Import(f"{module}.{name.name}", node.lineno)
            else:
                yield Import(module, node.lineno)


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
    for row in imports(source):
        top, *rest = row.module.split(".")
        if row.module.startswith("."):
            found.append(f"line {row.line}: a relative import")
        elif top in ("apps", "flows"):
            found.append(f"line {row.line}: {row.module} is imported as ryu_vmmob.{row.module}")
        elif _is_foreign(layer, top):
            found.append(f"line {row.line}: {layer} imports {row.module}")
        elif top == "ryu_vmmob" and rest and rest[0] not in (layer, *LAYERS[layer]):
            found.append(f"line {row.line}: {layer} imports {rest[0]}")
    return found


@pytest.mark.parametrize(("layer", "file"), modules(), ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_the_law(layer: str, file: Path) -> None:
    assert layer in LAYERS, f"{layer} has no place in the law yet"
    assert violations(layer, file.read_text(encoding="utf-8")) == []


def test_every_layer_is_seen() -> None:
    assert {layer for layer, _ in modules()} >= CORE | {"apps", "compat"}


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("engine", "from ryu.lib import hub"),
        ("flows", "def late():\n    import eventlet"),
        ("rest", "import greenlet"),
        ("engine", "import time"),
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
    """Only the session hands bytes to a connection."""
    senders = set()
    for _, file in modules():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("send", "send_msg", "send_packet_out"):
                senders.add(file.relative_to(ROOT).as_posix())
    assert senders == {"apps/session.py"}


def test_the_core_loads_where_there_is_no_ryu() -> None:
    names = [
        ".".join(("ryu_vmmob", *file.relative_to(ROOT).with_suffix("").parts)).replace("ryu_vmmob.ryu_vmmob", "ryu_vmmob")
        for layer, file in modules()
        if layer in CORE and file.name != "__init__.py"
    ]
    program = (
        "import importlib, sys\n"
        f"for name in {sorted(FRAMEWORK)!r}: sys.modules[name] = None\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
