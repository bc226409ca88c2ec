"""The forms of an answer, and options that stand before the command."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from ryu_vmmob import __version__
from ryu_vmmob.cli.main import app
from ryu_vmmob.cli.yaml_text import yaml_text
from tests.unit.cli_support import Shell, completed
from tests.unit.cli_support import pair as pair
from tests.unit.cli_support import shell as shell


def read(text: str) -> Any:
    """What a reader of YAML 1.2 finds."""
    return YAML(typ="safe", pure=True).load(text)


def read_1_1(text: str) -> Any:
    """What a reader of YAML 1.1 finds, as PyYAML is one."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    return reader.load(text)


NOWHERE = "http://127.0.0.1:1"


def test_the_version_is_an_option_too() -> None:
    for word in ("--version", "version"):
        assert CliRunner().invoke(app, [word]).stdout == f"vmmob {__version__}\n"


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_options_before_the_command(pair: Shell) -> None:
    """They count before the environment; what stands after the command counts before them."""
    url, token = pair.environment["VMMOB_URL"], pair.environment["VMMOB_TOKEN_FILE"]
    pair.environment = {"VMMOB_URL": NOWHERE, "no_proxy": "*"}
    pair.run("vm", "list", status=3)
    at = ("--url", url, "--token-file", token)
    assert "web1" in pair.run(*at, "vm", "list").stdout
    assert "web1" in pair.run("--url", NOWHERE, "vm", "list", *at).stdout
    assert completed(f"vmmob --url {url} --token-file {token} move we", **pair.environment) == ["web1", "web2"]
    plain = pair.run("-o", "table", "vm", "list", *at).stdout
    assert json.loads(pair.run("--json", *at, "vm", "show", "web1").stdout)["name"] == "web1"
    assert pair.run("--json", *at, "vm", "list", "-o", "table").stdout == plain
    shown = {words: pair.run(*words[:1], *at, "events", *words[1:]).stdout for words in (("--utc",), ("--local",))}
    assert all(("Z  " in text) is (words == ("--utc",)) for words, text in shown.items())
    assert "+09:00" in shown["--local",]
    assert pair.run("--local", *at, "events", VMMOB_UTC="1").stdout == shown["--local",]
    assert pair.run("--local", *at, "events", "--utc").stdout == shown["--utc",]


def test_forms_of_the_fabric_file(shell: Shell) -> None:
    found = [
        shell.run(*words).stdout
        for words in (("check", "etc/two-dcs.yaml", "-o", "yaml"), ("--json", "check", "etc/two-dcs.yaml"))
    ]
    assert read(found[0]) == json.loads(found[1])


@pytest.mark.parametrize(
    "words", [("vm", "list"), ("vm", "show", "web1"), ("flows", "tor-a"), ("trace", "web1", "web2"), ("status",)]
)
def test_yaml_says_what_json_says(pair: Shell, words: tuple[str, ...]) -> None:
    text, found = pair.run(*words, "-o", "yaml").stdout, json.loads(pair.run(*words, "-o", "json").stdout)
    assert read(text).keys() == found.keys()
    assert pair.json(*words).keys() == found.keys()
    if words != ("status",):  # it has times in it
        assert read(text) == read_1_1(text) == found


def test_two_forms_at_one_place(pair: Shell) -> None:
    assert "two forms" in pair.run("vm", "list", "--json", "-o", "yaml", status=2).stderr
    assert pair.json("vm", "list", "-o", "json")["items"]
    assert "'table', 'wide', 'json', 'yaml'" in pair.run("vm", "list", "-o", "xml", status=2).stderr


TEXTS = [
    "12:34:56:00:11:22", "02:00:00:00:00:11", "yes", "No", "on", "OFF", "y", "N", "null", "~", "", "1e3", "0o7", "010",
    "0x1f", "1_000", "12:34", "-1:59.5", "2026-11-30", "2026-11-29T19:46:48.024837Z", "- x", "a: b", "#", "=", "<<",
    "1.5", "é", "a\nb", "true",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_readers_of_yaml_1_1_and_1_2_find_the_same_text(text: str) -> None:
    value: Any = {"items": [text], text: text}
    written = yaml_text(value)
    assert read(written) == read_1_1(written) == value
