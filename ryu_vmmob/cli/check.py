"""``vmmob check``: the linter of the fabric file. Needs no controller."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ryu_vmmob import fabric
from ryu_vmmob.cli.output import AsJson, Form, Output, form_of, print_data
from ryu_vmmob.fabric.loader import read_bytes
from ryu_vmmob.fabric.source import MAX_BYTES

_COUNTED = {
    "switches": ("switch", "switches"),
    "links": ("link", "links"),
    "servers": ("server", "servers"),
    "externals": ("external", "externals"),
}


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="check")(check)


def check(
    file: Annotated[str, typer.Argument(metavar="FABRIC", help='The fabric file; "-" reads standard input.')],
    *,
    ctx: typer.Context,
    output: Output = None,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
) -> None:
    """Check a fabric file: every finding with its line, and a one-line summary.

    Exit status: 0 the file is good (warnings are allowed), 1 it has errors, 2 it cannot be read.
    """
    form = form_of(ctx, output, as_json=as_json)
    filename = "<stdin>" if file == "-" else file
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else read_bytes(file)
    except fabric.FabricError as error:
        _print(fabric.Examination(error.findings), filename, form=form, strict=strict)
        raise typer.Exit(2) from None
    examination = fabric.examine(data, filename)
    _print(examination, filename, form=form, strict=strict)
    if examination.errors or (strict and examination.warnings):
        raise typer.Exit(1)


def _print(examination: fabric.Examination, filename: str, *, form: Form, strict: bool) -> None:
    if form.is_data:
        print_data(form, _document(examination, filename, strict=strict))
        return
    for finding in examination.findings:
        typer.echo(str(finding), err=strict or finding.is_error)
    typer.echo(summary(examination, filename))


def summary(examination: fabric.Examination, filename: str) -> str:
    """One line: ``two-dcs: 5 switches, 4 links, 4 servers, 1 external: no findings``."""
    name = examination.name or filename
    errors, warnings = len(examination.errors), len(examination.warnings)
    found = [_count(errors, "error", "errors")] if errors else []
    found += [_count(warnings, "warning", "warnings")] if warnings else []
    said = ", ".join(found) or "no findings"
    if not examination.counts:
        return f"{name}: {said}"
    held = ", ".join(_count(examination.counts[key], *words) for key, words in _COUNTED.items())
    return f"{name}: {held}: {said}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _document(examination: fabric.Examination, filename: str, *, strict: bool) -> dict[str, object]:
    errors, warnings = len(examination.errors), len(examination.warnings)
    return {
        "file": filename,
        "fabric": examination.name,
        "ok": not errors and not (strict and warnings),
        "counts": dict(examination.counts),
        "errors": errors,
        "warnings": warnings,
        "findings": [
            {
                "file": finding.file,
                "line": finding.line,
                "path": finding.path,
                "rule": finding.rule,
                "severity": finding.severity.value,
                "message": finding.message,
            }
            for finding in examination.findings
        ],
    }
