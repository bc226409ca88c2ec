"""docs/rest.md is true: its table of resources, and its examples one after another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ryu_vmmob.rest.app import ROUTES
from ryu_vmmob.rest.call import MAX_WAIT
from ryu_vmmob.rest.formats import MAX_DEPTH
from ryu_vmmob.rest.routes import LARGE_BODY, LARGE_COUNT, SMALL_BODY, SMALL_COUNT
from tests.support.rest_service import Service

_DOCS = Path(__file__).parents[2] / "docs"
_TEXT = (_DOCS / "rest.md").read_text(encoding="utf-8")


def test_the_table_of_resources() -> None:
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \| (.*)\|$", _TEXT, re.MULTILINE)
    written = [(method, path, set(re.findall(r"`(\w+)`", query))) for method, path, query in rows]
    assert written == [(route.method, route.pattern, set(route.query)) for route in ROUTES]


def test_the_limits() -> None:
    small = f"{SMALL_BODY // 2**20} MiB and {SMALL_COUNT:,} keys and elements"
    bodies = f"at most\n{small}, that of `/v1/bulk` {LARGE_BODY // 2**20} MiB and {LARGE_COUNT:,}"
    for fact in (bodies, f"more than {MAX_DEPTH} levels", f"(0 to {MAX_WAIT:g})"):
        assert fact in _TEXT


@pytest.fixture
def service() -> Service:
    found = Service()
    found.connect()
    found.while_waiting = found.confirm
    return found


@pytest.mark.parametrize(("page", "least"), [("rest.md", 11), ("orchestrators.md", 4)])
def test_the_examples(service: Service, page: str, least: int) -> None:
    examples = re.findall(r"^```http\n(.*?)^```$", (_DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(examples) >= least
    for example in examples:
        request, _, answer = example.partition("\n\n")
        first, _, body = request.partition("\n")
        method, url = first.split(" ")
        got = service.ask(method, url, body.encode() or None)
        status, _, expected = answer.partition("\n")
        assert got.status_int == int(status), f"{first}: {got.text}"
        assert_shows(json.loads(expected), got.json, first)


def test_the_tasks_for_ansible(service: Service) -> None:
    """As Ansible would send them; what it fills in comes from the answer before."""
    _, written = re.findall(
        r"^```yaml\n(.*?)^```$", (_DOCS / "ansible.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    tasks = [row["ansible.builtin.uri"] for row in YAML(typ="safe").load(written) if "ansible.builtin.uri" in row]
    assert len(tasks) >= 4
    id_ = ""
    for task in tasks:
        url = task["url"].replace("{{ vmmob_url }}", "").replace("{{ move.json.id }}", id_)
        assert "{{" not in url
        body = json.dumps(task["body"]).encode() if "body" in task else None
        got = service.ask(task["method"], url, body)
        assert got.status_int in task["status_code"], f"{task['method']} {url}: {got.text}"
        id_ = got.json.get("id", id_)
    (move,) = service.get("/v1/migrations")["items"]
    assert (move["to"], move["state"] in ("activated", "committed")) == ("srv-c1", True)


def assert_shows(written: Any, real: Any, where: str) -> None:
    """What is written stands in the answer; objects may have more keys."""
    if written == "…":
        return
    if isinstance(written, dict):
        assert written.keys() <= real.keys(), where
        for key, value in written.items():
            assert_shows(value, real[key], f"{where} {key}")
    elif isinstance(written, list):
        assert len(written) == len(real), f"{where}: {real}"
        for number, (left, right) in enumerate(zip(written, real, strict=True)):
            assert_shows(left, right, f"{where} [{number}]")
    else:
        assert written == real, where
