"""``vmmob init``: what an installation needs besides the program, written into a folder. Needs no controller."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

import ryu_vmmob
from ryu_vmmob.cli.common import NO, WRONG, usage

_PACKAGE: Final = Path(ryu_vmmob.__file__).parent
_CONFIGURATION: Final = "vmmob.conf"
_FABRIC: Final = "fabric.yaml"
_FIRST: Final = "two-dcs.yaml"
"""The example that becomes the fabric file to begin with."""
_PLAIN: Final = re.compile(r"[\w/.+@-]+")
"""Paths that a configuration and a unit hold as they are: no space, no ``$``, no ``%``."""
_NAMED: Final = 3
"""Files in the way that are named; the others are counted."""
_PROGRAMS: Final = frozenset({"libvirt/qemu", "qemu/move.py"})
_WHAT: Final = (
    (_CONFIGURATION, "the configuration of ryu-manager and of vmmob-manager"),
    (_FABRIC, "a fabric file to begin with: describe your network in it"),
    ("examples", "more fabric files"),
    ("systemd", "units for the controller and for hypervisors"),
    ("grafana, prometheus", "a dashboard, and rules for alerts"),
    ("libvirt, qemu", "the hook of libvirt, and a move by QMP"),
    ("man", "the man pages: man -M {folder}/man vmmob"),
)


def register(app: typer.Typer) -> None:
    """Join the command to the application."""
    app.command(name="init")(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write into; created if missing.")],
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="The folder for the controller's store; DIR by default.")
    ] = None,
) -> None:
    """Write a configuration, a fabric file, units, monitoring, hypervisor hooks and man pages into a folder.

    No file is ever overwritten: if one exists already, nothing is written.

    Exit status: 0 written, 1 a file exists already, 2 it cannot be written.
    """
    folder = folder.absolute()
    for path in (folder, (state or folder).absolute()):
        if not _PLAIN.fullmatch(str(path)):
            raise usage(f"{str(path)!r}: letters, digits and /._+@- only, for other characters mean something in the files")
    files = {folder / name: content for name, content in _files(folder, (state or folder).absolute()).items()}
    there = sorted({str(path.relative_to(folder)) for path in (*files, folder / "man") if os.path.lexists(path)})
    if there:
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        typer.echo(f"vmmob: {folder} has {', '.join(there[:_NAMED])}{more} already: nothing is written", err=True)
        raise typer.Exit(NO)
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
            if str(path.relative_to(folder)) in _PROGRAMS:
                path.chmod(path.stat().st_mode | 0o111 & ~_umask())
    except OSError as error:
        typer.echo(f"vmmob: {error.filename} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(WRONG) from None
    _write_manual(folder / "man")
    for names, what in _WHAT:
        typer.echo(f"{names:<20} {what.format(folder=folder)}")
    typer.echo(f"\nnext: vmmob check {folder / _FABRIC}")
    typer.echo(f"then: {_program('ryu-manager')} ryu_vmmob.apps.vmmob --config-file {folder / _CONFIGURATION}")


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _program(name: str) -> str:
    """Return the path of a program of this environment."""
    return str(Path(sys.prefix, "bin", name))


def _shared() -> Mapping[str, bytes]:
    """Return the files of ``etc/`` by their names in it: inside the installed package, or beside it in a checkout."""
    place = _PACKAGE / "share"
    if not place.is_dir():
        place = _PACKAGE.resolve().parent / "etc"
    files = (path for path in sorted(place.rglob("*")) if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(place)): path.read_bytes() for path in files}


def _files(folder: Path, state: Path) -> dict[str, bytes]:
    """Return what is to be written, by its name in the folder, with the paths of this installation in it."""
    found: dict[str, bytes] = {}
    for name, content in _shared().items():
        if name == _CONFIGURATION:
            text = content.decode().replace("fabric = etc/two-dcs.yaml", f"fabric = {folder / _FABRIC}")
            text = text.replace("etc/vmmob.conf", str(folder / _CONFIGURATION)).replace("/etc/vmmob", str(folder))
            found[name] = text.replace("/var/lib/vmmob", str(state)).encode()
        elif name.startswith("systemd/"):
            text = content.decode().replace("/opt/vmmob", sys.prefix)
            found[name] = text.replace("/etc/vmmob/vmmob.conf", str(folder / _CONFIGURATION)).encode()
        elif "/" not in name:
            found[f"examples/{name}"] = content
        else:
            found[name] = content
    found[_FABRIC] = found[f"examples/{_FIRST}"]
    return found


def _write_manual(folder: Path) -> None:
    """Write the man pages, in a process of their own: their text comes from programs that the client does not load."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ryu_vmmob.manual", str(folder)], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        typer.echo(f"vmmob: the man pages cannot be written: {done.stderr.strip()}", err=True)
        raise typer.Exit(WRONG)
