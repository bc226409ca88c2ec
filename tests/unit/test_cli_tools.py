"""``vmmob`` as a tool: status, bulk, events, completion, its settings and its exit statuses, and moves that events tell of."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, get_args, get_type_hints

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ryu_vmmob.cli import following
from ryu_vmmob.cli.main import app
from ryu_vmmob.engine.event_kinds import FAMILIES
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.health.values import STUCK_SECONDS
from ryu_vmmob.model.move_options import MoveOptions
from tests.support.rest_service import TOKEN, WEB, Service, vm
from tests.unit.cli_support import Shell, completed, serving, shell
from tests.unit.event_server import EventServer, serving_events

__all__ = ["shell"]

# status


def test_all_is_well(shell: Shell) -> None:
    shell.service.with_web()
    shell.service.confirm()
    lines = shell.run("status").stdout.splitlines()
    assert lines[0].endswith(", ready")
    assert [line.split(None, 1)[1] for line in lines[1:4]] == [
        "two-dcs, revision 2, 1 VMs", "5, 5 connected, 5 in step", "4, 4 up",
    ]  # fmt: skip
    assert "nothing is wrong" in lines


def test_what_is_wrong_is_said_in_sentences(shell: Shell) -> None:
    service = shell.service.with_web()
    service.confirm()
    shell.run("move", "web1", "srv-c1")
    service.confirm()
    shell.run("migration", "abort", shell.json("migration", "list")["items"][0]["id"])
    shell.run("migration", "start", "web1", "srv-c1")
    service.engine.fleet.connected("tor-b", gone := lambda: None, service.time)
    service.engine.fleet.disconnected("tor-b", gone)
    late = ("tor-a", "tor-c", "border-1", "border-2")
    service.engine.look()
    service.time += STUCK_SECONDS
    service.engine.look()
    service.break_store("no space")
    result = shell.run("status", status=1)
    assert "! nothing can be changed: no space  (vmmob events --types store)" in result.stdout
    assert "! switch tor-b is not connected: it forwards what it has, and is told nothing" in result.stdout
    assert "(vmmob switch show tor-b)" in result.stdout
    assert "the move of web1 waits for border-1, border-2, tor-a, tor-c to confirm" in result.stdout
    for name in late:
        assert f"! switch {name} is 2 revisions behind what was decided  (vmmob switch show {name})" in result.stdout
    found = shell.json("status", status=1)
    assert [row["state"] for row in found["migrations"]] == ["preparing"]
    assert [(row["event"], row["count"]) for row in found["recent"] if row["event"].startswith("migration")] == [
        ("migration.aborted", 1)
    ]
    assert shell.json("status", "--minutes", "0", status=1)["recent"][0]["last"]["time"]


def test_status_without_a_controller_exits_with_3_and_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--url", "http://127.0.0.1:1"], env={"no_proxy": "*"})
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)


# bulk, events


def test_bulk(shell: Shell) -> None:
    body = json.dumps({"cugs": {"web": WEB}, "vms": {"web1": vm()}})
    lines = shell.run("bulk", "-", "--wait", "5", stdin=body).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["kind", "created", "replaced", "deleted", "unchanged"],
        ["cugs", "web", "-", "-", "-"],
        ["vms", "web1", "-", "-", "-"],
        ["policies", "-", "-", "-", "-"],
        ["revision", "1"],
    ]
    assert "vms.x" in shell.run("bulk", "-", status=2, stdin='{"vms": {"x": {}}}').stderr


def test_events(shell: Shell) -> None:
    shell.service.with_web()
    lines = shell.run("events", "--types", "cug, vm").stdout.splitlines()
    assert [line.split(None, 3)[2:] for line in lines] == [
        ["cug.created", "CUG web was created"], ["vm.created", "VM web1 was created, at srv-a1"],
    ]  # fmt: skip
    last = shell.json("events", "--limit", "1")
    assert len(last["items"]) == 1
    assert shell.run("events", "--since", str(last["last"])).stdout == ""
    assert "commas between" in shell.run("events", "--types", "cug,,vm", status=2).stderr


def test_every_command_that_asks_has_json(shell: Shell) -> None:
    shell.service.with_web()
    assert shell.json("vm", "delete", "web1", "--wait", "5")["switches"]["pending"] == []
    assert shell.json("cug", "delete", "web") is None
    for group, words in sorted(_commands()):
        helped = shell.run(*words, "--help").stdout
        assert "--output" in helped or group in ("version", "completion", "init", "restore", "store"), words


def _commands() -> set[tuple[str, tuple[str, ...]]]:
    root: Any = get_command(app)
    return {
        (name, (name, *inner))
        for name, one in root.commands.items()
        for inner in ([(word,) for word in one.commands] if hasattr(one, "commands") else [()])
    }


# Exit statuses, settings


def test_not_now_is_no_no(shell: Shell) -> None:
    def broken(_: Any, start: Any) -> list[bytes]:
        start("503 Service Unavailable", [("Content-Type", "application/problem+json")])
        return [b'{"title": "store", "status": 503, "detail": "no space"}']

    with serving(broken) as url:
        assert shell.run("cug", "delete", "x", "--url", url, status=3).stderr == "vmmob: store (503): no space\n"


def test_settings_of_a_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "client.conf"
    file.write_text(f"[controller]\nurl = {shell.environment['VMMOB_URL']}\ntoken = {TOKEN}\n")
    file.chmod(0o600)
    none: dict[str, Any] = {"VMMOB_URL": None, "VMMOB_TOKEN_FILE": None}
    result = CliRunner().invoke(app, ["cug", "list"], env={**none, "VMMOB_CONFIG": str(file)})
    assert result.exit_code == 0, result.stderr
    file.chmod(0o644)
    result = CliRunner().invoke(app, ["cug", "list", "--config", str(file)], env=none)
    assert (result.exit_code, "chmod 600" in result.stderr) == (2, True)


def test_the_token_of_a_file_is_for_the_controller_that_it_names(shell: Shell, tmp_path: Path) -> None:
    seen: list[str | None] = []

    def other(environ: Any, start: Any) -> list[bytes]:
        seen.append(environ.get("HTTP_AUTHORIZATION"))
        start("200 OK", [("Content-Type", "application/json")])
        return [b'{"items": []}']

    file = tmp_path / "client.conf"
    file.write_text(f"[controller]\nurl = http://127.0.0.1:1\ntoken = {TOKEN}\n")
    file.chmod(0o600)
    with serving(other) as url:
        env: dict[str, Any] = {"VMMOB_URL": url, "VMMOB_TOKEN_FILE": None, "VMMOB_CONFIG": str(file)}
        assert CliRunner().invoke(app, ["cug", "list"], env=env).exit_code == 0
    assert seen == [None]


# Completion


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_scripts(shell: Shell, name: str) -> None:
    assert "_VMMOB_COMPLETE" in shell.run("completion", name).stdout


def test_the_script_for_bash_is_one(shell: Shell) -> None:
    script = shell.run("completion", "bash").stdout
    subprocess.run(["bash", "-c", f"{script}\ncomplete -p vmmob"], check=True, capture_output=True)


def test_names_are_completed(shell: Shell) -> None:
    shell.service.with_web().put("/v1/vms/web2", vm("srv-c1", 12))
    move = shell.json("migration", "start", "web1", "srv-c1")["id"]
    env = shell.environment
    assert "evacuate" in completed("vmmob e", **env)
    assert completed("vmmob move we", **env) == ["web1", "web2"]
    assert completed("vmmob move web1 srv-a", **env) == ["srv-a1", "srv-a2"]
    assert completed("vmmob cug show ", **env) == ["web"]
    assert completed("vmmob migration abort ", **env) == [move]
    assert completed("vmmob trace inter", **env) == ["internet-1"]
    assert completed("vmmob vm list --server srv-c", **env) == ["srv-c1"]
    assert completed("vmmob flows bor", **env) == ["border-1", "border-2"]
    assert completed("vmmob policy delete x", **env) == []


def test_words_are_completed_without_a_controller() -> None:
    """Kinds of events, also after a comma, tables, forms, and what the options of a move may be."""
    env = {"VMMOB_URL": "http://127.0.0.1:1", "no_proxy": "*"}
    assert completed("vmmob events --types ", **env) == list(FAMILIES)
    assert completed("vmmob watch --types cug,migr", **env) == ["cug,migration"]
    assert completed("vmmob flows tor-a --table ", **env) == [table.label for table in TABLES]
    assert completed("vmmob vm list -o ", **env) == ["table", "wide", "json", "yaml"]
    hints = get_type_hints(MoveOptions)
    for name in ("mode", "delivery", "activate_on", "commit"):
        offered = completed(f"vmmob migration start web1 srv-c1 --{name.replace('_', '-')} ", **env)
        assert sorted(offered) == sorted(get_args(hints[name])), name


def test_there_is_one_completion() -> None:
    helped = CliRunner().invoke(app, ["--help"]).stdout
    assert "completion" in helped
    assert "install-completion" not in helped


def test_no_controller_no_names() -> None:
    assert completed("vmmob move we", VMMOB_URL="http://127.0.0.1:1", no_proxy="*") == []


# Moves that events tell of


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EventServer, list[str]]]:
    """A controller with events, and the options that lead there."""
    monkeypatch.setenv("no_proxy", "*")
    service = Service()
    service.while_waiting = service.confirm
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with serving_events(service) as server:
        server.do(service.connect)
        server.do(service.with_web)
        server.do(service.confirm)
        yield server, ["--url", server.url, "--token-file", str(token)]


def test_a_move_is_followed_by_events(served: tuple[EventServer, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    server, options = served
    monkeypatch.setattr(following, "ANYWAY", 10**9)  # only an event ends this wait
    command = [sys.executable, "-m", "ryu_vmmob.cli.main", "move", "web1", "srv-c1", "--wait", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        told = [process.stderr.readline()]
        thread = Thread(target=server.do, args=(server.service.confirm,))
        thread.start()
        told.append(process.stderr.readline())
        thread.join()
        (id_,) = server.do(lambda: list(server.service.engine.state.migrations))
        server.do(lambda: server.service.ask("POST", f"/v1/migrations/{id_}/activate"))
        told.append(process.stderr.readline())
        server.do(server.service.confirm)
        told += process.stderr.readlines()
        assert [line.split()[1] for line in told] == ["preparing", "prepared", "activated", "committed"]
        assert "committed" in process.stdout.read()
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), "2023-11-15{}07:13:20.250+09:00"),
        (("--local",), "2023-11-15{}07:13:20.250+09:00"),
        (("--utc",), "2023-11-14{}22:13:20.250Z"),
    ],
)
def test_times_have_their_zone(shell: Shell, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], shown: str) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        shell.service.with_web()
        assert shell.run("events", *options).stdout.startswith(shown.format(" "))
        shell.service.confirm()
        shell.run("move", "web1", "srv-c1")
        assert shown.format("T") in shell.run("migration", "list", *options).stdout
        assert shown.format("T") in shell.run("switch", "show", "tor-a", *options).stdout
        assert shown.format("T") in shell.run("status", *options).stdout
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
