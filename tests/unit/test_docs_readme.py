"""README.md is true: its calls one after another, its make targets, its options, and what it says is not there yet."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.fabric import load
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.rest.app import ROUTES
from tests.support import rest_service

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
SERVER = "http://127.0.0.1:8080"
_VARIES = re.compile(r"m-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z")
"""Ids and times: these alone may differ, and how long the switches took."""
_SETTLED = re.compile(r'(?<="settled": )[\d.e-]+')


def calls() -> list[tuple[list[str], str]]:
    """(words of the command, answer) of each curl in the README, in order."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.replace("\\\n", " ").split("\n", 1)
            words = shlex.split(lines[0].replace("$V", f"{SERVER}/v1"))
            if words[0] == "curl":
                found.append((words[1:], lines[1]))
            else:
                assert lines[0].startswith("V=")
    return found


def request_of(words: list[str]) -> tuple[str, str, bytes | None]:
    """(method, path, body) of a curl command; anything but the options used here is an error."""
    method, url, body = "GET", "", None
    rest = iter(words)
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-d":
            body = next(rest).encode()
        elif word == "-H":
            assert next(rest) == "Content-Type: application/json"
        elif word != "-s":
            assert word.startswith(SERVER), f"{word!r} in {words}"
            url = word.removeprefix(SERVER)
    return method, url, body


def plain(value: Any) -> Any:
    """``value`` with ids and times made equal."""
    return json.loads(_SETTLED.sub("0", _VARIES.sub("*", json.dumps(value))))


def arrive(service: rest_service.Service, switch: str) -> None:
    """A VM that is awaited at ``switch`` sends its first frame there."""
    flow = next(
        flow
        for flow in service.engine.desired.flows(switch)
        if flow.owner[0] == "vm" and any(map(tells_controller, flow.actions))
    )
    service.engine.network.frame_seen(switch, flow.cookie)
    service.confirm()
    service.passes()


def test_the_calls() -> None:
    service = rest_service.Service(fabric=load(ROOT / "etc" / "two-dcs.yaml"))
    service.connect()
    service.while_waiting = service.confirm
    ids: dict[str, str] = {}
    written = calls()
    assert len(written) >= 9
    for words, expected in written:
        method, url, body = request_of(words)
        if method == "GET" and url.startswith("/v1/migrations/"):
            arrive(service, "tor-c")
        for there, here in ids.items():
            url = url.replace(there, here)
        got = service.ask(method, url, body)
        answer = json.loads(expected)
        if method == "POST":
            ids[answer["id"]] = got.json["id"]
        assert plain(got.json) == plain(answer), f"{method} {url}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", README))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("path", ["/v1/trace", "/v1/events", "/metrics", "/openapi.json"])
def test_what_is_not_there_yet(path: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith("| REST with revisions")]
    assert (f"`{path}`" in row.split("|")[2]) == (path not in {route.pattern for route in ROUTES})
