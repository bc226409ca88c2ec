"""The collection for Ansible, by real ansible-core against the real REST service: built, installed and played."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.rest_service import TOKEN, Service
from tests.unit.cli_support import serving

_ROOT = Path(__file__).parents[2]
_BIN = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(
    not (_BIN / "ansible-playbook").exists(), reason="ansible-core is not installed (pip install -e .[test])"
)

_RECORDER = '''
import json
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    """Writes what each task gave, a line each."""
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "notification", "recorder"

    def _write(self, result):
        found = {**json.loads(self._dump_results(result._result)), "diff": result._result.get("diff")}
        print("RECORDED " + json.dumps([result._task.get_name(), found]))

    v2_runner_on_ok = _write

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._write(result)
'''
_SITE: Final[list[dict[str, Any]]] = [
    {"cug": {"name": "web", "subnets": ["10.1.0.0/24"], "labels": {"tier": 1}, "description": "The web"}},
    {"vm": {
        "name": "web1", "server": "srv-a1", "keep_server": True,
        "interfaces": [{"cug": "web", "mac": "02:00:00:00:00:0B", "ips": ["10.1.0.11"]}],
    }},
    {"policy": {
        "name": "web-in", "action": "allow", "from": {"any": True}, "to": {"cug": "web"},
        "protocol": "{{ '6' }}", "ports": [80, "8000-8099"], "replies": True,
    }},
]  # fmt: skip
_STEPS: Final = ("prepared", "delivered", "activated")
_GONE: Final[list[dict[str, Any]]] = [
    {"policy": {"name": "web-in", "state": "absent"}},
    {"vm": {"name": "web1", "state": "absent"}},
    {"cug": {"name": "web", "state": "absent"}},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for Ansible with the collection in it, built and installed as a user does."""
    home = tmp_path_factory.mktemp("ansible")
    (home / "recorder.py").write_text(_RECORDER)
    _run(home, "ansible-galaxy", "collection", "build", str(_ROOT / "integrations" / "ansible"), "--output-path", str(home))
    (archive,) = home.glob("vmmob-controller-*.tar.gz")
    _run(home, "ansible-galaxy", "collection", "install", "--offline", str(archive), "-p", str(home))
    return home


def _run(home: Path, program: str, *words: str, status: int = 0, **environment: str) -> str:
    given = {key: row for key, row in os.environ.items() if not key.lower().endswith("_proxy")} | {
        "ANSIBLE_HOME": str(home), "ANSIBLE_COLLECTIONS_PATH": str(home), "ANSIBLE_CALLBACK_PLUGINS": str(home),
        "ANSIBLE_CALLBACKS_ENABLED": "recorder", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0", "ANSIBLE_DEVEL_WARNING": "0",
        **environment,
    }  # fmt: skip
    done = subprocess.run(
        [str(_BIN / program), *words], env=given, cwd=home, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


class Player:
    """Ansible with a controller to play at."""

    def __init__(self, home: Path, url: str, service: Service) -> None:
        self.home, self.url, self.service = home, url, service

    def play(self, tasks: list[dict[str, Any]], status: int = 0) -> list[Any]:
        """What each task gave."""
        written = [
            {
                "name": str(number),
                **{key if key == "check_mode" else f"vmmob.controller.{key}": row for key, row in task.items()},
            }
            for number, task in enumerate(tasks)
        ]
        common = {"group/vmmob.controller.all": {"url": self.url, "token": TOKEN}}
        book = [{"hosts": "localhost", "gather_facts": False, "module_defaults": common, "tasks": written}]
        return self.run(json.dumps(book), status)

    def run(self, book: str, status: int = 0) -> list[Any]:
        """What each task of a playbook gave."""
        (self.home / "play.json").write_text(book)
        python = f"ansible_python_interpreter={sys.executable}"
        said = _run(self.home, "ansible-playbook", "play.json", "--diff", "-e", python, status=status)
        rows = [json.loads(line.removeprefix("RECORDED ")) for line in said.splitlines() if line.startswith("RECORDED ")]
        return [row for _, row in rows]

    @property
    def revision(self) -> int:
        """The revision of the controller's state: every write that changes something makes another."""
        return self.service.engine.state.revision


def _changed(rows: list[Any]) -> list[bool]:
    return [row["changed"] for row in rows]


def _differing(row: Any) -> set[str]:
    before, after = row["diff"]["before"], row["diff"]["after"]
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _check(task: dict[str, Any]) -> dict[str, Any]:
    return task | {"check_mode": True}


@pytest.fixture
def player(home: Path) -> Iterator[Player]:
    service = Service()
    service.connect()
    service.while_waiting = service.confirm
    with serving(service.app) as url:
        yield Player(home, url, service)


def test_a_second_run_changes_nothing(player: Player) -> None:
    before = player.revision
    assert _changed(player.play([_check(_SITE[0]), *_SITE])) == [True, True, True, True]
    assert player.revision == before + 3  # a check writes nothing
    web1 = player.service.get("/v1/vms/web1")
    assert (web1["server"], web1["interfaces"][0]["ips"]) == ("srv-a1", ["10.1.0.11"])
    assert player.service.get("/v1/policies/web-in")["ports"] == ["80", "8000-8099"]

    other = _check({"cug": _SITE[0]["cug"] | {"description": "The shop"}})
    *again, cug, vm = player.play([*_SITE, other, _check(_GONE[1])])
    assert _changed(again) == [False, False, False]
    assert [_differing(row) for row in again] == [set(), set(), set()]
    assert (cug["changed"], _differing(cug), cug["cug"]["description"]) == (True, {"description"}, "The shop")
    assert (vm["changed"], vm["diff"]["before"]["server"], vm["diff"]["after"]) == (True, "srv-a1", {})
    assert player.revision == before + 3

    assert _changed(player.play([*_GONE, *_GONE])) == [True, True, True, False, False, False]
    assert player.service.get("/v1/cugs")["items"] == []
    assert player.revision == before + 6


def test_a_move(player: Player) -> None:
    player.play(_SITE)
    before = player.revision
    steps = [{"move": {"vm": "web1", "to": "srv-c1", "state": state}} for state in ("prepared", "delivered", "activated")]
    assert _changed(player.play(list(map(_check, steps)))) == [True, True, True]
    assert player.revision == before
    first, *others = player.play(steps)
    tag = player.service.get("/v1/vms/web1")["interfaces"][0]["vlan_id"]
    assert (first["migration"]["state"], first["migration"]["interfaces"][0]["to_vlan_id"]) == ("prepared", tag)
    assert _changed([first, *others]) == [True, True, True]
    assert player.service.get("/v1/vms/web1")["server"] == "srv-c1"
    # A play of the site leaves alone what a move has changed.
    after = player.revision
    assert _changed(player.play([*steps, *_SITE])) == [False] * 6
    assert (player.revision, len(player.service.get("/v1/migrations")["items"])) == (after, 1)

    player.service.passes()
    assert [row["state"] for row in player.service.get("/v1/migrations")["items"]] == ["committed"]
    back = {"move": {"vm": "web1", "to": "srv-a1"}}
    stop = {"move": {"vm": "web1", "state": "aborted", "reason": "no room"}}
    assert _changed(player.play([back, back, _check(stop), stop, stop])) == [True, False, True, True, False]
    assert [row["state"] for row in player.service.get("/v1/migrations")["items"]] == ["committed", "aborted"]


def _before(service: Service, act: Callable[[dict[str, Any]], None]) -> Callable[..., Any]:
    """The service's application, with something done before each request is answered."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        act(environ)
        return service.app(environ, start_response)

    return app


def test_a_move_waits_for_the_commit_of_the_one_before(player: Player) -> None:
    service, looks = player.service, list[str]()
    player.play([*_SITE, *({"move": {"vm": "web1", "to": "srv-c1", "state": state}} for state in _STEPS)])
    assert [row["state"] for row in service.get("/v1/migrations")["items"]] == ["activated"]

    def act(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].startswith("/v1/migrations/"):
            looks.append(environ["PATH_INFO"])
            if len(looks) == 5:
                service.passes()

    back = {"vm": "web1", "to": "srv-a1"}
    with serving(_before(service, act)) as url:
        waiting = Player(player.home, url, service)
        checked, late = waiting.play([_check({"move": back}), {"move": back | {"wait": 0}}], status=2)
        assert (checked["changed"], "is activated and not committed" in late["msg"]) == (True, True), late
        assert [row["state"] for row in service.get("/v1/migrations")["items"]] == ["activated"]
        (moved,) = waiting.play([{"move": back}])
    assert (moved["changed"], moved["migration"]["to"], len(looks) >= 5) == (True, "srv-a1", True)
    assert [row["state"] for row in service.get("/v1/migrations")["items"]] == ["committed", "prepared"]


def test_a_write_that_another_overtakes_is_looked_at_again(player: Player) -> None:
    service, writes = player.service, list[str]()

    def act(environ: dict[str, Any]) -> None:
        if environ["REQUEST_METHOD"] == "PUT" and "dry_run" not in environ["QUERY_STRING"]:
            writes.append(environ.get("HTTP_IF_MATCH") or environ["HTTP_IF_NONE_MATCH"])
            if len(writes) == 1:
                service.put("/v1/cugs/web", {"subnets": ["10.1.0.0/24"], "description": "Another's"})

    with serving(_before(service, act)) as url:
        (row,) = Player(player.home, url, service).play(_SITE[:1])
    made = service.get("/v1/cugs/web")
    assert (row["changed"], made["description"], made["labels"]) == (True, "The web", {"tier": "1"})
    assert (writes[0], len(writes), row["diff"]["before"]["description"]) == ("*", 2, "Another's")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_where_one_address_does_not_answer_the_next_is_asked(player: Player) -> None:
    there = Player(player.home, f"http://127.0.0.1:1, {player.url}/", player.service)
    first, again = there.play(_SITE[:1]), there.play(_SITE[:1])
    assert (_changed(first), _changed(again)) == ([True], [False])


def test_certificates_are_checked(player: Player, tmp_path: Path) -> None:
    script = _ROOT / "tools" / "make-test-certificates.sh"
    subprocess.run(["sh", str(script), str(tmp_path)], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "rest.pem", tmp_path / "rest.key")
    cug = _SITE[0]["cug"]
    with serving(player.service.app, context) as url:
        by_tls = Player(player.home, url, player.service)
        for other in ({}, {"ca_path": str(tmp_path / "openflow-ca.pem")}):
            (row,) = by_tls.play([{"cug": cug | other}], status=2)
            assert "certificate verify failed" in row["msg"].lower(), row
        assert player.service.get("/v1/cugs")["items"] == []
        tasks = [{"cug": cug | {"ca_path": str(tmp_path / "rest-ca.pem")}}, {"cug": cug | {"validate_certs": False}}]
        assert _changed(by_tls.play(tasks)) == [True, False]


def test_what_the_controller_refuses(player: Player) -> None:
    player.service.with_web()
    before = player.revision
    (found,) = player.play([_check({"move": {"vm": "web1", "to": "srv-x"}})], status=2)
    assert (found["changed"], "srv-x" in found["msg"]) == (False, True), found
    (found,) = player.play([{"vm": _SITE[1]["vm"] | {"server": "srv-c1", "keep_server": False}}], status=2)
    assert (found["status"], "POST a migration" in found["msg"]) == (409, True), found
    assert player.revision == before


def test_the_play_of_the_page(player: Player) -> None:
    page = (_ROOT / "docs" / "ansible.md").read_text(encoding="utf-8")
    book = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[0]
    for written, real in (("https://controller.example.org:8080", player.url), ("{{ vault_vmmob_token }}", TOKEN)):
        assert written in book
        book = book.replace(written, real)
    assert _changed(player.run(book)) == [True] * 5
    assert _changed(player.run(book)) == [False] * 5
    assert player.service.get("/v1/vms/web1")["server"] == "srv-c1"


def test_every_option_is_described(home: Path) -> None:
    """By ``ansible-doc``, and with the same names as the modules take."""
    names = ["cug", "move", "policy", "vm"]
    described = json.loads(_run(home, "ansible-doc", "-j", *(f"vmmob.controller.{name}" for name in names)))
    code = f"""
import importlib, json
place = "ansible_collections.vmmob.controller.plugins."
common = importlib.import_module(place + "module_utils.controller")
modules = {{name: importlib.import_module(place + "modules." + name) for name in {names}}}
own = {{name: [] if name == "move" else [*common.OBJECT] for name in modules}}
print(json.dumps({{name: [*common.COMMON, *row.OPTIONS, *own[name]] for name, row in modules.items()}}))
"""
    taken = json.loads(_run(home, "python", "-c", code, PYTHONPATH=str(home)))
    for name in names:
        row = described[f"vmmob.controller.{name}"]
        assert row["doc"]["options"].keys() == set(taken[name]), name
        assert all(text["description"] for text in row["doc"]["options"].values()), name
        assert row["examples"], name
        assert row["return"], name
