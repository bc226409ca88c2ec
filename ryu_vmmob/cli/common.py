"""What the commands that ask a controller share: where it is, how answers are printed, how errors end the program."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from ryu_vmmob.cli.output import AsJson, Form, Output, before, form_of, print_data
from ryu_vmmob.cli.tables import print_facts as print_facts
from ryu_vmmob.cli.tables import print_table, use_wide
from ryu_vmmob.cli.times import use_utc
from ryu_vmmob.client import (
    DEFAULT_URL,
    MAX_WAIT,
    Client,
    ClientError,
    RefusedError,
    Settings,
    UnreachableError,
    path,
    read_settings,
    read_token,
)

_UNAUTHORIZED: Final = 401
_NOT_THERE: Final = (404, 422)
"""Of an object: there is none of that name, or none can have it."""
_NOUNS: Final = {"cug": "CUG", "vm": "VM", "server": "server"}
_MOVE_BY_REST: Final = re.compile(r"(VM '([^']+)') is on server '([^']+)': POST a migration to move it")

NO, WRONG, UNANSWERED = 1, 2, 3
"""Exit statuses besides 0: the answer is no; the question was wrong; the controller does not answer, or not now."""

_Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="VMMOB_URL",
        help=f"Address of the controller's REST interface, or several with commas; {DEFAULT_URL} by default.",
    ),
]
_TokenFile = Annotated[
    str | None, typer.Option("--token-file", envvar="VMMOB_TOKEN_FILE", help="File that holds the token for REST.")
]
_Config = Annotated[
    str | None,
    typer.Option(
        "--config", envvar="VMMOB_CONFIG", help="Settings file; ~/.config/vmmob/config or /etc/vmmob/client.conf by default."
    ),
]
_Utc = Annotated[
    bool, typer.Option("--utc/--local", envvar="VMMOB_UTC", help="Show times in UTC, or in the time zone of this machine.")
]
Wait = Annotated[
    float | None,
    typer.Option("--wait", min=0, max=MAX_WAIT, metavar="SECONDS", help="Wait up to SECONDS for the switches to confirm."),
]


DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would happen, and change nothing.")]

Selector = Annotated[
    str | None,
    typer.Option(
        "--selector", "-l", metavar="KEY=VALUE[,...]", help="Only those with these labels; key!=value, key, !key too."
    ),
]


class OptionGroup:
    """Base of dataclasses whose fields are options of a command: a parameter of such a type stands for all of them."""

    def given(self) -> dict[str, object]:
        """Return the options that the user gave, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Description(OptionGroup):
    """Notes for people about an object, as options of the command that puts it."""

    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A label; once for each.")] = None
    description: Annotated[str | None, typer.Option(help="One line for people.")] = None

    def body(self) -> dict[str, object]:
        """Return the keys of the body."""
        pairs = [text.partition("=") for text in self.label or ()]
        wrong = next((key for key, sign, _ in pairs if not sign), None)
        if wrong is not None:
            raise usage(f"--label {wrong!r}: write KEY=VALUE")
        found: dict[str, object] = {"labels": {key: value for key, _, value in pairs}} if pairs else {}
        return found | ({"description": self.description} if self.description is not None else {})


def described(answer: Any) -> list[tuple[str, object]]:
    """Return labels and description for `print_facts`, as far as there are any."""
    labels = joined(f"{key}={value}" for key, value in answer.get("labels", {}).items())
    return [(name, value) for name, value in (("labels", labels), ("description", answer.get("description"))) if value]


Show = Callable[[Any], None]
"""Prints an answer for people."""


@dataclass(frozen=True)
class Asked:
    """What every command that asks a controller is given: the controller, and how its answer is to be printed."""

    url: str | None
    token_file: str | None
    config: str | None = None
    form: Form = Form.TABLE

    @property
    def is_for_programs(self) -> bool:
        """Whether the answer is printed as data: then nothing is said beside it."""
        return self.form.is_data

    @cached_property
    def client(self) -> Client:
        """The controller. Raises ClientError."""
        return connect(self.url, self.token_file, self.config)

    def answer(self, found: Any, show: Show) -> None:
        """Print an answer: as data when that is wanted, else with ``show``."""
        if self.form.is_data:
            print_data(self.form, found)
        else:
            show(found)

    def table(self, found: Any, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print an answer: as data when that is wanted, else as a table."""
        self.answer(found, lambda _: print_table(columns, rows))

    def each(self, collection: str, names: Sequence[str], show: Show) -> None:
        """Print objects one below the other; as data one object is itself, and several are a list.

        Those that are not there are told after the others, and end the program with status 1.
        """
        found, missing = [], []
        for name in names:
            try:
                found.append(self.client.get(path(collection, name)))
            except RefusedError as error:
                if len(names) == 1 or not error.is_about_state:
                    raise
                missing.append(error)
        if self.form.is_data:
            print_data(self.form, found[0] if len(names) == 1 else {"items": found})
        else:
            for number, row in enumerate(found):
                typer.echo("\n" if number else "", nl=False)
                show(row)
        for one in missing:
            typer.echo(f"vmmob: {sentence(one)}", err=True)
        if missing:
            raise typer.Exit(NO)

    def explain(self, found: Any, **named: str | None) -> None:
        """Say on standard error why a list is empty: what an option names, by its kind, is not there."""
        if found["items"] or self.form.is_data:
            return
        for kind, name in named.items():
            if name is not None and not self._is_there(kind, name):
                typer.echo(f"vmmob: there is no {_NOUNS[kind]} {name!r}", err=True)

    def _is_there(self, kind: str, name: str) -> bool:
        if kind == "server":
            return any(row["name"] == name for row in self.client.fabric()["servers"])
        try:
            self.client.get(path(f"{kind}s", name))
        except RefusedError as error:
            if error.status not in _NOT_THERE:
                raise
            return False
        return True

    def delete(self, collection: str, name: str, wait: float | None) -> None:
        """Delete an object; which switches have not confirmed that is told."""
        found = self.client.delete(path(collection, name), wait=wait)
        self.answer(found, lambda _: None)
        print_switches(found)


def connect(url: str | None, token_file: str | None, config: str | None, **options: Any) -> Client:
    """Return the controller that options and environment name, or else the settings file. Raises ClientError.

    What the file says of tokens and certificates is for the controller that it names, and is given to no other.
    """
    settings = read_settings(config)
    if url is not None and url.rstrip("/") != (settings.url or DEFAULT_URL).rstrip("/"):
        settings = Settings()
    if token_file is not None:
        token: str | None = read_token(token_file)
    elif settings.token_file is not None:
        token = read_token(settings.token_file)
    else:
        token = settings.token
    return Client(url or settings.url or DEFAULT_URL, token, ca=settings.ca, **options)


def status_of(error: ClientError) -> int:
    """Return the exit status that an error ends the program with."""
    if isinstance(error, UnreachableError) or (isinstance(error, RefusedError) and error.is_for_now):
        return UNANSWERED
    return NO if isinstance(error, RefusedError) and error.is_about_state else WRONG


def sentence(error: ClientError) -> str:
    """Return the error for people at a command line: where the cure is a command or an option, it is named."""
    text = _MOVE_BY_REST.sub(r"\1 is on server '\3': to move it, vmmob move \2 SERVER", str(error))
    if isinstance(error, RefusedError) and error.status == _UNAUTHORIZED:
        text += "; name a file that holds a valid one with --token-file or VMMOB_TOKEN_FILE"
    return text


def asking() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a command that asks a controller: its first parameter is an `Asked`, made of options that are added at the end.

    They say where the controller is and that the answer is wanted as it came. A parameter whose type is an `OptionGroup`
    becomes the options of the group. An error of the client ends the program with one sentence. Exit status 1: the state is
    against it, or the object is not there; 2: a wrong question; 3: no controller, or one that cannot do it now.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def command(
            *, ctx: typer.Context, url: str | None, token_file: str | None, config: str | None, as_json: bool = False,
            output: Form | None = None, utc: bool = False, **options: Any,
        ) -> None:  # fmt: skip
            form = form_of(ctx, output, as_json=as_json)
            use_utc(wanted=before(ctx, "utc", utc))
            use_wide(wanted=form is Form.WIDE)
            url, token_file = before(ctx, "url", url), before(ctx, "token_file", token_file)
            ask = Asked(url, token_file, before(ctx, "config", config), form)
            for name, group in groups.items():
                options[name] = group(**{row.name: options.pop(row.name) for row in fields(group)})
            try:
                function(ask, **options)
            except ClientError as error:
                typer.echo(f"vmmob: {sentence(error)}", err=True)
                raise typer.Exit(status_of(error)) from None

        groups, parameters = _groups(function), _parameters(function)
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {row.name: row.annotation for row in parameters}
        return command

    return decorate


def _groups(function: Callable[..., None]) -> dict[str, type[Any]]:
    """Return the parameters of a command that stand for several options, and their types."""
    hints = get_type_hints(function).items()
    return {name: hint for name, hint in hints if isinstance(hint, type) and issubclass(hint, OptionGroup)}


def _parameters(function: Callable[..., None]) -> list[inspect.Parameter]:
    """Return what the command line is read by: the function's own parameters but the first, then the common ones."""
    hints = get_type_hints(function, include_extras=True)
    _, *own = inspect.signature(function).parameters.values()
    groups = _groups(function)
    rows: list[tuple[str, Any, Any]] = []
    for row in own:
        if row.name in groups:
            inner = get_type_hints(groups[row.name], include_extras=True)
            rows += [(option.name, inner[option.name], option.default) for option in fields(groups[row.name])]
        else:
            rows.append((row.name, hints[row.name], row.default))
    rows += [("output", Output, None), ("as_json", AsJson, False), ("utc", _Utc, False)]
    rows += [("url", _Url, None), ("token_file", _TokenFile, None), ("config", _Config, None)]
    rows += [("ctx", typer.Context, inspect.Parameter.empty)]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(name, kind, default=default, annotation=hint) for name, hint, default in rows]


def usage(text: str) -> typer.Exit:
    """To be raised: says what is wrong with the command line."""
    typer.echo(f"vmmob: {text}", err=True)
    return typer.Exit(WRONG)


def print_switches(answer: Any) -> None:
    """After a write that waited: which switches have not confirmed it, and what they refused of it."""
    switches = answer.get("switches") if isinstance(answer, dict) else None
    if switches and switches["pending"]:
        typer.echo(f"not yet confirmed by: {', '.join(switches['pending'])}", err=True)
    for row in (switches or {}).get("refused", ()):
        typer.echo(f"refused by {row['switch']}: {row['error']}: {row['cause']} ({row['owner']['reason']})", err=True)


def read_body(file: str) -> Any:
    """Return a request's body from a JSON file, or from standard input for ``-``. Ends the program when it is none."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise usage(f"{file} is no JSON: {error}") from None


def joined(values: Iterable[object]) -> str | None:
    """Values in one cell; None when there is none."""
    return ", ".join(map(str, values)) or None


def protocol_of(text: str | None) -> str | int | None:
    """Return a protocol as a body has it: digits are a number, what else it is the controller judges."""
    return int(text) if text and text.isascii() and text.isdigit() else text
