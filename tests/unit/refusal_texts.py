"""The texts of all refusals as they stand in the code, with "…" for what is filled in.

Read from the syntax tree: what is raised, what becomes a fault of a value, and what the functions return that put a reason
into words. So a refusal that is new is found without being listed anywhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = (
    "ryu_vmmob/model", "ryu_vmmob/engine", "ryu_vmmob/store", "ryu_vmmob/store/etcd", "flows/capability.py",
    "ryu_vmmob/options.py", "ryu_vmmob/exposure.py", "apps/listening.py", "apps/rest_server.py",
)  # fmt: skip
RAISED = {
    "Refusal", "conflict", "invalid", "not_found", "Fault", "StoreError", "RefusedError", "UnavailableError", "OptionError",
    "_refuse", "_require",
}  # fmt: skip
WORDED = {"_why_not", "_none_left", "overcharged", "overtaken", "_untranslated", "_alike", "_missing", "_REASONS", "troubles"}
"""Functions (and one table) that put a reason into words."""
OTHER = {"ryu_vmmob/engine/refusals.py"}
"""Reasons of events, not of refusals."""


def text(node: ast.AST) -> list[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(value=str() as value):
            return [value]
        case ast.JoinedStr(values=values):
            return ["".join(str(row.value) if isinstance(row, ast.Constant) else "…" for row in values)]
        case ast.IfExp(body=body, orelse=orelse):
            return [*text(body), *text(orelse)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [a + b for a in text(left) or [""] for b in text(right) or [""]]
        case ast.Tuple(elts=rows) | ast.Call(args=rows):
            return [found for row in rows for found in text(row)]
        case ast.Dict(values=rows):
            return [found for row in rows for found in text(row)]
        case ast.Starred(value=value):
            return text(value)
    return []


def _names(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _within(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id="said")], value=value):
                yield from text(value)
            case ast.AnnAssign(target=ast.Name(id="_REASONS"), value=ast.Dict() as value):
                yield from text(value)
            case ast.Call() if _names(node) in RAISED:
                for row in [*node.args, *(row.value for row in node.keywords)]:
                    yield from text(row)
            case ast.Call(args=[ast.Tuple() as pair]) if _names(node) == "append":
                yield from text(pair)
            case ast.Yield(value=ast.Tuple() as pair):
                yield from text(pair)
            case ast.FunctionDef(name=name) if name in WORDED:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        yield from text(inner.value)
            case _:
                continue


def refusals() -> dict[str, str]:
    """Each text, and the file it stands in."""
    found: dict[str, str] = {}
    for place in PLACES:
        path = ROOT / place
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            name = str(file.relative_to(ROOT))
            if name in OTHER:
                continue
            for one in _within(ast.parse(file.read_text(encoding="utf-8"))):
                plain = re.sub(r"…(?:…| )*…", "…", one).strip()
                if " " in plain and re.search(r"[a-z]{2}", plain):
                    found.setdefault(plain, name)
    return found


if __name__ == "__main__":
    for one, where in refusals().items():
        print(where, "|", one)
