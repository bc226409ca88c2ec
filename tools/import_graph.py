"""The import law and the import graph: which package may import which, and which does.

    .venv/bin/python tools/import_graph.py               # prints the graph; exit status 1 when it breaks the law
    .venv/bin/python tools/import_graph.py --why A B     # the imports behind one arrow

Every import counts: those inside functions, those for a type checker and those by ``import_module`` too. The links
``ryu_vmmob/apps`` and ``ryu_vmmob/flows`` are followed, so the folders on top are seen like any other package.
docs/architecture.md shows the layers; tools/dump_pipeline.py renews them there.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = "ryu_vmmob"

LAYERS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(allowed.split())
    for name, allowed in (
        ("net", ""),
        ("rate_limit", ""),
        ("memory", ""),
        ("logs", ""),
        ("fabric", "net"),
        ("model", "net fabric"),
        ("store", "fabric model"),
        ("flows", "net fabric model"),
        ("health", "fabric model"),
        ("frames", "net"),
        ("punt", "net fabric model flows frames"),
        ("sim", "net fabric flows"),
        ("trace", "net fabric model flows punt sim"),
        ("whitebox", "net fabric model flows"),
        ("engine", "net rate_limit logs fabric model store flows health frames"),
        ("southbound", "net rate_limit logs fabric model store flows frames punt engine"),
        ("rest", "net rate_limit logs fabric model store flows health sim trace engine"),
        ("client", ""),
        ("cli", "fabric store whitebox client"),
        ("hypervisor", "logs client"),
        ("bench", "net memory fabric model store flows engine client"),
        ("options", "logs store"),
        ("manual", "cli hypervisor options"),
        ("compat", "logs options"),
        ("exposure", "options compat"),
        ("manager", "compat"),
        ("apps", "memory logs fabric model store flows punt whitebox engine southbound rest options compat exposure"),
    )
}
"""Package (or module of the top package) -> those it may import. Each stands below the ones that import it."""


class Module(NamedTuple):
    """One source: its import name, its package, and its file at its real place."""

    name: str
    package: str
    file: Path


class Import(NamedTuple):
    """One import of a module of ours by another."""

    importer: str
    imported: str
    line: int


def modules(root: Path = ROOT) -> list[Module]:
    """Every module of the package but its own ``__init__``, with links followed."""
    found = []
    for path in sorted((root / PACKAGE).iterdir()):
        real = path.resolve()
        if real.is_dir():
            for file in sorted(real.rglob("*.py")):
                parts = [part for part in file.relative_to(real).with_suffix("").parts if part != "__init__"]
                found.append(Module(".".join((PACKAGE, path.name, *parts)), path.name, file))
        elif path.suffix == ".py" and path.stem != "__init__":
            found.append(Module(f"{PACKAGE}.{path.stem}", path.stem, real))
    return found


def imports(source: str, known: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    """Yield (module, line) of every import of a source. ``known`` tells modules from names in ``from package import name``.

    A name imported from the top package is always taken for a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for name in node.names:
                inner = f"{module}.{name.name}"
                yield inner if module == PACKAGE or inner in known else module, node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, node.lineno


def own_imports(found: list[Module]) -> list[Import]:
    """Every import of one of these modules by another of them."""
    known = frozenset(module.name for module in found)
    rows = set()
    for module in found:
        for name, line in imports(module.file.read_text(encoding="utf-8"), known):
            if name in known and name != module.name:
                rows.add(Import(module.name, name, line))
    return sorted(rows)


def package_of(module: str) -> str:
    """Return the package that a module of ours belongs to: the part below the top."""
    return module.split(".")[1]


def arrows(rows: list[Import]) -> dict[str, set[str]]:
    """Package -> packages that it imports."""
    found: dict[str, set[str]] = {}
    for row in rows:
        importer, imported = package_of(row.importer), package_of(row.imported)
        if importer != imported:
            found.setdefault(importer, set()).add(imported)
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Nodes that import each other, directly or through others: one sorted list for each circle (Tarjan)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in number:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == number[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def circles_of_modules(rows: Iterable[Import]) -> list[list[str]]:
    """Modules that import each other, also for their types only: one sorted list for each circle."""
    inner: dict[str, set[str]] = {}
    for row in rows:
        inner.setdefault(row.importer, set()).add(row.imported)
    return circles(inner)


def upward(graph: Mapping[str, set[str]]) -> list[str]:
    """Arrows that lead to a package that does not stand lower in `LAYERS`."""
    order = {name: place for place, name in enumerate(LAYERS)}
    last = len(order)
    return [
        f"{importer} -> {imported}"
        for importer, others in sorted(graph.items())
        for imported in sorted(others)
        if order.get(imported, last) >= order.get(importer, last)
    ]


def floors(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Package -> its floor: 0 where it imports none of ours, else one above the highest that it imports.

    Raises ValueError when there is a circle.
    """
    if found := circles(graph):
        raise ValueError(f"no floors: {found} import each other")
    known: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in known:
            known[name] = 1 + max(map(floor, graph.get(name, ())), default=-1)
        return known[name]

    for name in {*graph, *(other for others in graph.values() for other in others)}:
        floor(name)
    return known


def drawn(found: list[Module], rows: list[Import]) -> str:
    """Return the graph as text: packages by floor, what each imports, and what breaks the law."""
    graph = arrows(rows)
    packages = {module.package for module in found}
    lines = []
    if round_ := circles(graph):
        lines += [f"circle of packages: {', '.join(names)}" for names in round_]
    else:
        order = [*LAYERS, *sorted(packages - LAYERS.keys())]
        at = dict.fromkeys(packages, 0) | floors(graph)
        for name in sorted(packages, key=lambda name: (at[name], order.index(name))):
            others = " ".join(other for other in order if other in graph.get(name, ()))
            lines.append(f"{at[name]:>2}  {name:<12} {others}".rstrip())
    up = upward(graph)
    lines += [f"upward: {arrow}" for arrow in up]
    within = circles_of_modules(rows)
    lines += [f"circle of modules: {', '.join(names)}" for names in within]
    count = sum(map(len, graph.values()))
    lines.append(
        f"{len(packages)} packages, {len(found)} modules; {count} arrows between packages, {len(up)} upward, "
        f"{len(round_)} circles; {len(within)} circles of modules"
    )
    return "\n".join(lines)


def purpose(module: Module) -> str:
    """Return the first sentence of a module's docstring, on one line."""
    said = " ".join((ast.get_docstring(ast.parse(module.file.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[a-z)])\. ", said)[0].removesuffix(".").replace("``", "`")


def table(found: list[Module]) -> str:
    """Return the layers as a table of Markdown, from the ground up."""
    heads = {module.package: module for module in found if module.name == f"{PACKAGE}.{module.package}"}
    rows = ["| layer | is | may import |", "|---|---|---|"]
    for name, allowed in LAYERS.items():
        path = ROOT / PACKAGE / name
        place = f"`{PACKAGE}/{name}`" if path.is_dir() and not path.is_symlink() else f"`{name}`"
        below = ", ".join(other for other in LAYERS if other in allowed) or "nothing of ours"
        rows.append(f"| {place} | {purpose(heads[name])} | {below} |")
    return "\n".join(rows)


def main() -> int:
    """Print the graph, or one arrow of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--why", nargs=2, metavar=("A", "B"), help="print every import of package B by package A")
    arguments = parser.parse_args()
    found = modules()
    rows = own_imports(found)
    if arguments.why:
        for row in rows:
            if [package_of(row.importer), package_of(row.imported)] == arguments.why:
                print(f"{row.importer}:{row.line} {row.imported}")
        return 0
    print(drawn(found, rows))
    graph = arrows(rows)
    return 1 if upward(graph) or circles(graph) or circles_of_modules(rows) else 0


if __name__ == "__main__":
    sys.exit(main())
