"""``vmmob store``: stores of stopped controllers."""

from __future__ import annotations

from typing import Annotated

import typer

from ryu_vmmob.cli.common import NO

File = Annotated[str | None, typer.Option(metavar="FILE")]


def register(app: typer.Typer) -> None:
    """Join the commands to the application."""
    group = typer.Typer(name="store", help="Stores of stopped controllers.", no_args_is_help=True)
    group.command(name="copy")(copy)
    app.add_typer(group)


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="URL of the store that is copied.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="URL of an empty store, or of one that is made.")],
    etcd_ca: Annotated[str | None, typer.Option(help="PEM file of the CAs of etcd's members.")] = None,
    etcd_certificate: Annotated[str | None, typer.Option(help="PEM file with the certificate for etcd's members.")] = None,
    etcd_private_key: Annotated[str | None, typer.Option(help="PEM file with its private key.")] = None,
    etcd_user: Annotated[str | None, typer.Option(help="User of etcd.")] = None,
    etcd_password_file: Annotated[str | None, typer.Option(help="File with the password of that user.")] = None,
) -> None:
    """Copy a stopped controller's store into an empty one: SQLite to etcd, or back. The copy is checked.

    Exit status: 0 done, 1 refused or not done, 2 wrong usage. Needs no controller.
    """
    # The store's types are slow to load, and no other command wants them.
    from ryu_vmmob.store import Access, StoreError, copying

    access = Access(etcd_ca, etcd_certificate, etcd_private_key, etcd_user, etcd_password_file)
    try:
        found = copying.copy(source, target, access)
    except StoreError as error:
        typer.echo(f"vmmob: {error}", err=True)
        raise typer.Exit(NO) from None
    typer.echo(f"{target}: revision {found.revision}, {found.records} records, digest {found.digest}: the same as {source}")
