"""``vmmob backup`` and ``restore``: copies of the controller's store."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ryu_vmmob.cli.common import NO, Asked, asking, usage

if TYPE_CHECKING:
    from ryu_vmmob.store.backup import Contents

_STORE: Final = "sqlite:///var/lib/vmmob/vmmob.db"
_SHOWN: Final = {"cug": "CUGs", "vm": "VMs", "policy": "policies", "migration": "migrations"}


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    app.command(name="backup")(backup)
    app.command(name="restore")(restore)


@asking()
def backup(ask: Asked, file: Annotated[str, typer.Argument(metavar="FILE", help="Where the copy goes.")]) -> None:
    """Copy the store of a running controller to a file, and check the copy."""
    # The store's types are slow to load, and no other command wants them.
    from ryu_vmmob.store.backup import inspect
    from ryu_vmmob.store.base import StoreError

    data = ask.client.backup()
    folder = os.path.dirname(os.path.abspath(file))
    try:
        number, draft = tempfile.mkstemp(prefix=".vmmob-backup-", dir=folder)
        try:
            with os.fdopen(number, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            found = inspect(draft)
            os.replace(draft, file)
        except BaseException:
            os.unlink(draft)
            raise
        _sync(folder)
    except StoreError as error:
        typer.echo(f"vmmob: the copy that came is not good: {error}", err=True)
        raise typer.Exit(NO) from None
    except OSError as error:
        raise usage(f"{error.filename or file} cannot be written: {error.strerror}") from None
    ask.answer({"file": file, **found._asdict()}, lambda _: typer.echo(f"{file}: {_text(found)}"))


def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A copy that `vmmob backup` has made.")],
    store: Annotated[str, typer.Option(envvar="VMMOB_STORE", help="The store of the controller, which is stopped.")] = _STORE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check, and say what would be put back.")] = False,
) -> None:
    """Put a copy into the place of a stopped controller's store; what is there is kept beside it.

    Exit status: 0 done, 1 the copy is not good or a controller runs, 2 wrong usage. Needs no controller.
    """
    from ryu_vmmob.store.backup import inspect, is_in_use, put_back
    from ryu_vmmob.store.base import StoreError
    from ryu_vmmob.store.etcd.address import is_etcd

    prefix = "sqlite:///"
    if is_etcd(store):
        here = f"sqlite://{os.path.abspath(file)}"
        raise usage(f"--store {store!r}: a store on etcd is restored into an empty prefix: vmmob store copy {here} URL")
    if not store.startswith(prefix) or store == "sqlite:///:memory:":
        raise usage(f"--store {store!r}: write sqlite:///PATH")
    path = "/" + store.removeprefix(prefix).lstrip("/")
    try:
        found = inspect(file)
        typer.echo(f"{file}: {_text(found)}")
        if dry_run:
            if is_in_use(path):
                raise StoreError(f"store {path}: a controller has it open; stop that first")
            return
        kept = put_back(file, path)
    except (StoreError, OSError) as error:
        typer.echo(f"vmmob: {error}", err=True)
        raise typer.Exit(NO) from None
    typer.echo(f"{path} is that now" + (f"; what was there is kept in {kept}" if kept else ""))
    typer.echo("start the controller, and see docs/running.md, Restore, for what has changed since")


def _text(found: Contents) -> str:
    objects = ", ".join(f"{found.objects.get(kind, 0)} {noun}" for kind, noun in _SHOWN.items())
    return f"revision {found.revision}, {objects}, format {found.format}"


def _sync(folder: str) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
