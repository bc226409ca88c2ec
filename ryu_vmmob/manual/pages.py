"""Which man pages there are, and what stands in each: nothing but what the programs say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from ryu_vmmob import __version__, options
from ryu_vmmob.cli import main as client
from ryu_vmmob.hypervisor import main as hypervisor
from ryu_vmmob.manual.roff import Page

_STATUS: Final = "Exit status: "
_NAME: Final = "vmmob"


def write(folder: Path) -> list[Path]:
    """Write all pages into ``folder/man1`` and ``folder/man5``. Returns the files. Raises OSError."""
    found = []
    for page in pages():
        file = folder / page.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(page), encoding="utf-8")
        found.append(file)
    return found


def pages() -> Iterator[Page]:
    """All pages."""
    top: Any = typer.main.get_command(client.app)
    yield _overview(top)
    for word, command in top.commands.items():
        yield _of(f"{_NAME} {word}", command)
    service = typer.main.get_command(hypervisor._app)
    yield _of("vmmob-hypervisor", service)
    yield _manager()
    yield _settings()


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield (words, command) of every command that does something."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in inner.items():
        yield from commands(one, f"{name} {word}")


def _first(text: str | None) -> str:
    """Return the first sentence of a help text on one line, without its full stop."""
    return " ".join((text or "").strip().split("\n\n")[0].split()).removesuffix(".")


def _overview(top: Any) -> Page:
    page = Page(_NAME, 1, _first(top.help), __version__)
    page.section("Synopsis")
    page.bold(f"{_NAME} [OPTIONS] COMMAND [OPTIONS]")
    page.section("Commands")
    page.rows((words.removeprefix(f"{_NAME} "), _first(command.help)) for words, command in commands(top, _NAME))
    page.section("Options")
    page.text("Options for every command that knows them. After the command they count before those in front of it.")
    page.rows(record for row in top.params if (record := row.get_help_record(_context(_NAME, top))) is not None)
    page.text("Each first word has a page of its own: vmmob-status(1), vmmob-vm(1) and so on.")
    _see(page, "vmmob-manager(1)", "vmmob-hypervisor(1)", "vmmob.conf(5)")
    return page


def _of(words: str, command: Any) -> Page:
    """Return the page of a program or of a first word, with every command below it."""
    page = Page(words.replace(" ", "-"), 1, _first(command.help), __version__)
    every = list(commands(command, words))
    page.section("Synopsis")
    for number, (name, one) in enumerate(every):
        if number:
            page.text("")
        page.bold(_usage(name, one))
    alone = len(every) == 1 and every[0][0] == words
    if alone:
        _describe(page, *every[0], section=True)
    else:
        page.section("Commands")
        for name, one in every:
            page.subsection(name)
            _describe(page, name, one, section=False)
    _see(page, f"{_NAME}(1)", "vmmob.conf(5)")
    return page


def _usage(name: str, command: Any) -> str:
    """Return how a command is called; braces and doubled brackets are how typer marks what a metavar already says."""
    pieces = command.collect_usage_pieces(_context(name, command))
    return " ".join((name, *(piece.replace("{", "").replace("}", "").replace("[[", "[") for piece in pieces)))


def _context(name: str, command: Any) -> Any:
    return command.make_context(name, [], resilient_parsing=True)


def _describe(page: Page, name: str, command: Any, *, section: bool) -> None:
    """Add what a command does, its arguments and options, and its exit status."""
    said, _, status = (command.help or "").partition(_STATUS)
    if section:
        page.section("Description")
    page.text(said)
    context = _context(name, command)
    records = [(row, row.get_help_record(context)) for row in command.get_params(context)]
    for kind, title in (("argument", "Arguments"), ("option", "Options")):
        rows = [record for row, record in records if row.param_type_name == kind and record is not None]
        if rows and section:
            page.section(title)
        page.rows(rows)
    if command.epilog:
        title, *examples = command.epilog.split("\n\n")
        if section:
            page.section(title.removesuffix(":"))
        else:
            page.text(title)
        for line in examples:
            page.text("")
            page.bold(line)
    if status:
        if section:
            page.section("Exit status")
            page.text(status)
        else:
            page.text(_STATUS + status)


def _manager() -> Page:
    page = Page("vmmob-manager", 1, "the controller: ryu-manager with ryu-vmmob's repairs applied first", __version__)
    page.section("Synopsis")
    page.bold("vmmob-manager ryu_vmmob.apps.vmmob --config-file /etc/vmmob/vmmob.conf")
    page.section("Description")
    page.text(
        "Runs Ryu's manager with the same options and the same applications. The stock ryu-manager does as well: "
        "both load the controller ryu_vmmob.apps.vmmob and read its options from the group [vmmob] of the file."
    )
    page.section("Options")
    page.rows((f"--{options.GROUP}-{row.name} {row.name.upper()}", _meaning(row)) for row in options.listed())
    page.text("Ryu's own options are told by vmmob-manager --help.")
    _see(page, f"{_NAME}(1)", "vmmob.conf(5)")
    return page


def _settings() -> Page:
    page = Page("vmmob.conf", 5, "the configuration of the controller ryu-vmmob", __version__)
    page.section("Description")
    page.text(
        "A file of the form NAME = VALUE. Ryu's own options, such as ofp_tcp_listen_port and wsapi_port, stand in its group "
        "[DEFAULT], the following in its group [vmmob]. Each is also an option of vmmob-manager(1) and ryu-manager."
    )
    page.section("Options")
    page.rows((row.name, _meaning(row)) for row in options.listed())
    _see(page, f"{_NAME}(1)", "vmmob-manager(1)")
    return page


def _meaning(row: Any) -> str:
    """Return what an option is for, with what it is unless it is set."""
    default = ", ".join(row.default) if isinstance(row.default, list) else row.default
    return f"{row.help}. Default: {'none' if default in (None, '') else default}."


def _see(page: Page, *others: str) -> None:
    page.section("See also")
    page.text(", ".join(row for row in others))
