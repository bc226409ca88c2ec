"""The commands that ask a controller, against the real REST application behind a real socket."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ryu_vmmob.cli.main import app
from ryu_vmmob.client import Client, ClientError, RefusedError, path, read_token
from tests.support.rest_service import TOKEN, WEB, vm
from tests.unit.cli_support import WEB1, Shell, serving
from tests.unit.cli_support import pair as pair
from tests.unit.cli_support import shell as shell

MIGRATION = "ryu_vmmob.cli.migration"
FOLLOWING = "ryu_vmmob.cli.following"


def test_flows(pair: Shell) -> None:
    whole = pair.json("flows", "tor-a")
    lines = pair.run("flows", "tor-a").stdout.splitlines()
    blank = lines.index("")
    assert (blank - 1, len(lines) - blank - 2) == (len(whole["items"]), len(whole["groups"]))
    assert all(row["match"] in line and row["owner"]["reason"] in line for row, line in zip(whole["items"], lines[1:]))  # noqa: B905
    assert {row["table"] for row in pair.json("flows", "tor-a", "--table", "bridge")["items"]} == {"bridge"}
    assert "no switch 'tor-x'" in pair.run("flows", "tor-x", status=1).stderr
    assert "?table" in pair.run("flows", "tor-a", "--table", "x", status=2).stderr


def test_takeover(shell: Shell) -> None:
    engine = shell.service.engine
    engine.fleet.connected("tor-a", lambda: None, 1.0)
    assert not engine.first_contact("tor-a", 5)
    assert "not in step" in shell.run("takeover", "tor-a").stdout
    assert engine.first_contact("tor-a", 5)
    assert shell.json("takeover", "tor-a")["name"] == "tor-a"
    assert "no switch 'tor-x'" in shell.run("takeover", "tor-x", status=1).stderr


def test_the_life_of_a_cug(shell: Shell) -> None:
    options = ("--subnet", "10.1.0.0/24", "--subnet", "2001:db8:1::/64", "--vlan-id", "core-1=2110", "--routing-domain", "red")
    made = shell.json("cug", "put", "web", *options, "--gateway", "10.1.0.9")
    assert (made["vlan_ids"], made["routing_domain"]) == ({"core-1": 2110}, "red")
    assert "10.1.0.9" in made["gateways"]
    assert shell.run("cug", "show", "web").stdout.splitlines()[0].split() == ["CUG", "web"]
    shell.service.put("/v1/vms/web1", vm())
    row = shell.run("cug", "list").stdout.splitlines()[1].split()
    assert row == ["web", "10.1.0.0/24,", "2001:db8:1::/64", "red", "-"]  # within one ToR there is no L2 domain to carry it
    shell.service.put("/v1/vms/web2", vm("srv-b1", 12))
    row = shell.run("cug", "list").stdout.splitlines()[1].split()
    assert row == ["web", "10.1.0.0/24,", "2001:db8:1::/64", "red", "core-1=2110"]
    assert [row["name"] for row in shell.json("cug", "list")["items"]] == ["web"]
    assert "conflict (409)" in shell.run("cug", "delete", "web", status=1).stderr
    for name in ("web1", "web2"):
        shell.run("vm", "delete", name, "--wait", "5")
    shell.run("cug", "delete", "web")
    assert "(404)" in shell.run("cug", "show", "web", status=1).stderr


def test_the_life_of_a_vm(shell: Shell, tmp_path: Path) -> None:
    shell.service.put("/v1/cugs/web", WEB)
    made = shell.json("vm", "put", "web1", "--server", "srv-a1", "--interface", WEB1, "--wait", "5")
    assert made["interfaces"][0]["ips"] == ["10.1.0.11", "2001:db8:1::b"]
    assert made["switches"] == {"acknowledged": ["tor-a"], "pending": []}
    file = tmp_path / "vm.json"
    file.write_text(json.dumps(vm("srv-a2", 12)))
    assert "untagged" in shell.run("vm", "put", "web2", "--file", str(file)).stdout
    shell.run("vm", "put", "web3", "--file", "-", stdin=json.dumps(vm("srv-c1", 13)))
    lines = shell.run("vm", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["web1", "srv-a1"], ["web2", "srv-a2"], ["web3", "srv-c1"]]
    assert [row["name"] for row in shell.json("vm", "list", "--server", "srv-c1", "--cug", "web")["items"]] == ["web3"]
    assert "02:00:00:00:00:0b" in shell.run("vm", "show", "web1").stdout
    refused = shell.run("vm", "put", "web1", "--server", "srv-b1", "--interface", WEB1, status=1).stderr
    assert refused == "vmmob: moves are migrations (409): VM 'web1' is on server 'srv-a1': to move it, vmmob move web1 SERVER\n"


def test_the_life_of_a_policy(shell: Shell) -> None:
    shell.service.with_web()
    ends = ("--from", "prefix=192.0.2.0/24", "--to", "vm=web1")
    what = ("--protocol", "6", "--port", "81", "--port", "80", "--replies")
    made = shell.json("policy", "put", "p", "--action", "allow", *ends, *what)
    assert (made["from"], made["to"], made["priority"]) == ({"prefix": "192.0.2.0/24"}, {"vm": "web1"}, 100)
    assert (made["protocol"], made["ports"], made["replies"]) == ("tcp", ["80-81"], True)
    body = json.dumps({"action": "deny", "from": {"any": True}, "to": {"cug": "web"}, "protocol": 47})
    shell.run("policy", "put", "q", "--file", "-", "--wait", "5", stdin=body)
    shell.service.ask("DELETE", "/v1/vms/web1")
    assert [line.split() for line in shell.run("policy", "list").stdout.splitlines()[1:]] == [
        ["p", "100", "allow", "prefix=192.0.2.0/24", "vm=web1", "tcp", "80-81", "yes", "to.vm"],
        ["q", "100", "deny", "any", "cug=web", "47", "-", "-", "-"],
    ]
    assert [row["name"] for row in shell.json("policy", "list")["items"]] == ["p", "q"]
    facts = dict(line.split(None, 1) for line in shell.run("policy", "show", "p").stdout.splitlines())
    assert (facts["from"], facts["dangling"], facts["revision"]) == ("prefix=192.0.2.0/24", "to.vm", "3")
    shell.run("policy", "put", "p", "--action", "deny", "--from", "any", "--to", "any", "--priority", "0")
    assert shell.service.get("/v1/policies/p")["priority"] == 0
    assert shell.run("policy", "delete", "p").stdout == ""
    assert "(404)" in shell.run("policy", "show", "p", status=1).stderr
    refused = shell.run("policy", "put", "p", "--action", "deny", "--from", "any", "--to", "cug=db", status=2).stderr
    assert refused == "vmmob: invalid input (422): to.cug: there is no CUG 'db'\n"


def test_switches_that_do_not_confirm_are_named(shell: Shell) -> None:
    shell.service.put("/v1/cugs/web", WEB)
    shell.service.while_waiting = lambda: None
    result = shell.run("vm", "put", "web1", "--server", "srv-a1", "--interface", WEB1, "--wait", "0")
    assert result.stderr == "not yet confirmed by: tor-a\n"


def test_a_migration_step_by_step(pair: Shell) -> None:
    dry = pair.json("migration", "start", "web1", "srv-a2", "--dry-run")
    assert dry["dry_run"] is True
    assert "(dry run)" in pair.run("migration", "start", "web1", "srv-a2", "--dry-run").stdout
    options = ("--mode", "cold", "--delivery", "on_activation", "--activate-on", "request", "--commit", "request")
    begun = pair.json("migration", "start", "web1", "srv-a2", *options, "--timeout", "60", "--wait", "5")
    assert (begun["mode"], begun["delivery"], begun["activate_on"], begun["commit"], begun["timeout"]) == (
        "cold", "on_activation", "request", "request", 60,
    )  # fmt: skip
    id_ = begun["id"]
    assert begun["state"] == "prepared"
    assert "state" in pair.run("migration", "show", id_).stdout
    assert "activated" in pair.run("migration", "activate", id_, "--wait", "5").stdout
    assert pair.json("migration", "commit", id_)["state"] == "committed"
    assert "(409)" in pair.run("migration", "abort", id_, status=1).stderr
    lines = pair.run("migration", "show", id_).stdout.splitlines()
    head = next(number for number, line in enumerate(lines) if line.split()[:2] == ["state", "since"])
    told = [line.split() for line in lines[head + 1 :]]
    assert [row[0] for row in told[:4]] == ["preparing", "prepared", "activated", "committed"]
    assert (told[2][2], told[2][4]) == ("tor-a", told[2][1])
    assert told[3][-2:] == ["not", "yet"]
    assert lines[-1] == "settled in 0 ms: so long after the activation every switch had confirmed it"
    row = pair.run("migration", "list", "--vm", "web1").stdout.splitlines()[1].split()
    assert row[:5] == [id_, "web1", "srv-a1", "srv-a2", "committed"]
    assert pair.json("migration", "list", "--state", "aborted")["items"] == []
    back = pair.json("migration", "start", "web1", "srv-a1")["id"]
    assert pair.json("migration", "abort", back, "--reason", "no more")["reason"] == "no more"


def test_move_prepares(pair: Shell) -> None:
    kept = str(pair.json("vm", "show", "web1")["interfaces"][0]["vlan_id"])
    out = pair.run("move", "web1", "srv-c1").stdout
    assert "prepared" in out
    assert out.splitlines()[-1].split() == ["web", kept, kept]
    assert "(409)" in pair.run("move", "web1", "srv-a2", status=1).stderr


def test_move_is_seen_through(pair: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def hypervisor(_: float) -> None:
        """Instead of the pause between two looks: the VM arrives, and switches confirm."""
        for row in pair.service.engine.state.migrations.values():
            if row.phase.value == "prepared":
                pair.service.ask("POST", f"/v1/migrations/{row.id}/activate")
        pair.service.confirm()

    monkeypatch.setattr(f"{FOLLOWING}.sleep", hypervisor)
    result = pair.run("move", "web1", "srv-c1", "--wait")
    told = [line.split(None, 2) for line in result.stderr.splitlines()]
    assert [row[1] for row in told] == ["preparing", "prepared", "activated", "committed"]
    assert told[0][2].startswith("web1 from srv-a1 to srv-c1 (m-")
    assert "settled in 0 ms" in result.stdout
    assert "committed" in result.stdout
    assert "not yet" not in result.stdout + result.stderr
    assert pair.service.get("/v1/vms/web1")["server"] == "srv-c1"


@pytest.mark.parametrize("away", [None, "tor-c"])
def test_a_move_ends_when_the_switches_have_confirmed_its_end(
    pair: Shell, monkeypatch: pytest.MonkeyPatch, away: str | None
) -> None:
    """A good move does not end with "not yet confirmed by"; and who is away is named, and not waited for."""
    fleet, states = pair.service.engine.fleet, []

    def hypervisor(_: float) -> None:
        """Each pause the switches confirm one step, and no more."""
        (row,) = pair.service.engine.state.migrations.values()
        states.append(row.phase.value)
        if row.phase.value == "prepared":
            pair.service.ask("POST", f"/v1/migrations/{row.id}/activate")
        if row.phase.value == "committed" and away is not None and fleet.is_connected(away):
            fleet.connected(away, gone := lambda: None, pair.service.time)
            fleet.disconnected(away, gone)
        for name in fleet.names:
            if (taken := fleet.take(name)) is not None:
                fleet.confirm(name, taken[0])
        pair.service.engine.progress()

    monkeypatch.setattr(f"{FOLLOWING}.sleep", hypervisor)
    result = pair.run("move", "web1", "srv-c1", "--wait")
    assert states[-1] == "committed", "it was looked at once more"
    said = result.stdout + result.stderr
    assert ("not yet" in said) is (away is not None)
    if away is not None:
        assert f"not yet confirmed by: {away}\n" in result.stderr


def test_a_move_that_is_aborted_is_a_no(pair: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def operator(_: float) -> None:
        (row,) = pair.service.engine.state.migrations
        pair.service.ask("POST", f"/v1/migrations/{row}/abort", {"reason": "fire drill"})

    monkeypatch.setattr(f"{FOLLOWING}.sleep", operator)
    assert "fire drill" in pair.run("move", "web1", "srv-c1", "--wait", status=1).stdout


def test_a_move_that_nobody_finishes_is_not_waited_for_for_ever(pair: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(f"{MIGRATION}.monotonic", lambda: now[0])
    monkeypatch.setattr(f"{FOLLOWING}.monotonic", lambda: now[0])

    def nobody(_: float) -> None:
        now[0] += 1000
        pair.service.confirm()

    monkeypatch.setattr(f"{FOLLOWING}.sleep", nobody)
    assert "prepared" in pair.run("move", "web1", "srv-c1", "--wait", status=1).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cug", "put", "web"], "give --subnet, or the whole body with --file"),
        (["cug", "put", "web", "--subnet", "10.1.0.0/24", "--vlan-id", "rack-a"], "write DOMAIN=ID"),
        (["vm", "put", "web1", "--server", "srv-a1"], "give --server and --interface"),
        (["policy", "put", "p", "--action", "deny", "--to", "any"], "give --action, --from and --to, or the whole body"),
        (["policy", "put", "p", "--action", "deny", "--from", "all", "--to", "any"], "--from 'all': write cug=C, vm=V"),
        (["policy", "put", "p", "--action", "deny", "--from", "any", "--to", "cug="], "--to 'cug=': write cug=C, vm=V"),
        (["vm", "put", "web1", "--server", "s", "--interface", "cug=web,mac"], "write cug=C,mac=M,ip=A"),
        (["vm", "put", "web1", "--server", "s", "--interface", "cug=web,cug=db"], "each once"),
        (["vm", "put", "web1", "--server", "s", "--interface", "guest_vlan_id=x"], "guest_vlan_id is a number"),
        (["vm", "put", "web1", "--server", "s", "--interface", "vlan_id=-1"], "vlan_id is a number"),
        (["vm", "put", "web1", "--file", "/nonexistent"], "/nonexistent cannot be read: No such file or directory"),
        (["vm", "put", "web1", "--wait", "-1"], "equal to 0"),
        (["trace", "web1"], "Missing argument"),
    ],
)
def test_usage(shell: Shell, words: list[str], said: str) -> None:
    before = shell.service.engine.state
    assert said in shell.run(*words, status=2).stderr
    assert shell.service.engine.state is before


def test_several_objects_are_shown_and_those_that_are_not_there_are_told(pair: Shell) -> None:
    shown = pair.run("vm", "show", "web1", "web2").stdout
    assert shown == f"{pair.run('vm', 'show', 'web1').stdout}\n{pair.run('vm', 'show', 'web2').stdout}"
    assert [row["name"] for row in pair.json("vm", "show", "web2", "web1")["items"]] == ["web2", "web1"]
    assert pair.json("vm", "show", "web1")["name"] == "web1"
    partly = pair.run("vm", "show", "nope", "web1", "gone", status=1)
    assert partly.stdout == pair.run("vm", "show", "web1").stdout
    assert [name in partly.stderr for name in ("'nope'", "'gone'", "'web1'")] == [True, True, False]
    for words in (["cug", "show", "web", "web"], ["switch", "show", "tor-a", "tor-b"]):
        assert len(pair.json(*words)["items"]) == 2


def test_an_empty_list_says_what_is_not_there(pair: Shell) -> None:
    for words, said in {
        ("vm", "list", "--cug", "nope"): "vmmob: there is no CUG 'nope'\n",
        ("vm", "list", "--server", "n o"): "vmmob: there is no server 'n o'\n",
        ("migration", "list", "--vm", "n/o"): "vmmob: there is no VM 'n/o'\n",
        ("migration", "list", "--vm", "web1"): "",
        ("vm", "list", "--cug", "web", "--server", "srv-b1"): "",
        ("vm", "list", "--cug", "web"): "",
    }.items():
        assert pair.run(*words).stderr == said, words
    assert pair.json("vm", "list", "--cug", "nope") == {"items": []}
    assert pair.run("vm", "list", "--cug", "nope", "--json").stderr == ""


def test_a_move_that_is_only_tried(pair: Shell) -> None:
    before = pair.service.engine.state
    assert "(dry run)" in pair.run("move", "web1", "srv-b1", "--dry-run").stdout
    assert pair.json("move", "web1", "srv-b1", "--dry-run")["dry_run"] is True
    assert "srv-x" in pair.run("move", "web1", "srv-x", "--dry-run", status=2).stderr
    assert "give one of the two" in pair.run("move", "web1", "srv-b1", "--dry-run", "--wait", status=2).stderr
    assert pair.service.engine.state is before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vm", "lst"], "No such command 'lst'"),
        (["vm", "show"], "Missing argument 'VM...'"),
        (["vm", "list", "--sever", "x"], "No such option: --sever"),
        (["move", "web1"], "Missing argument 'SERVER'"),
        (["move", "web1", "srv-a1", "--timeout", "soon"], "Invalid value for '--timeout'"),
    ],
)
def test_what_the_parser_says(shell: Shell, words: list[str], said: str) -> None:
    found = re.sub(r"[│\s]+", " ", shell.run(*words, status=2, COLUMNS="200").stderr)
    assert said in found
    assert "Usage: " in found


def test_a_body_that_is_no_json(shell: Shell) -> None:
    assert "- is no JSON" in shell.run("vm", "put", "web1", "--file", "-", status=2, stdin="{").stderr


# The client


def test_no_controller() -> None:
    with socket.socket() as reserved:  # bound and not listening: refused for sure
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        result = CliRunner().invoke(app, ["cug", "list", "--url", url], env={"no_proxy": "*"})
    assert result.exit_code == 3
    assert result.stderr == f"vmmob: the controller at {url} cannot be reached: Connection refused\n"


def test_the_token(shell: Shell, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("bad\n")
    assert "others than its owner may use it" in shell.run("cug", "list", "--token-file", str(wrong), status=2).stderr
    wrong.chmod(0o600)
    cure = "; name a file that holds a valid one with --token-file or VMMOB_TOKEN_FILE\n"
    refused = shell.run("cug", "list", "--token-file", str(wrong), status=2).stderr
    assert refused == f"vmmob: unauthorized (401): the token is not valid{cure}"
    del shell.environment["VMMOB_TOKEN_FILE"]
    refused = shell.run("cug", "list", status=2).stderr
    assert refused == f"vmmob: unauthorized (401): a bearer token is required{cure}"
    wrong.write_text("# nothing\n")
    assert f"there is no token in {wrong}" in shell.run("cug", "list", "--token-file", str(wrong), status=2).stderr
    assert "cannot be read: No such file" in shell.run("cug", "list", "--token-file", "/nonexistent", status=2).stderr
    wrong.write_bytes(b"\xff")
    with pytest.raises(ClientError, match="not UTF-8"):
        read_token(wrong)


@pytest.mark.parametrize("line", [TOKEN, f"operator {TOKEN} cloud", f"  reader\t{TOKEN}", f"operator {TOKEN}"])
def test_a_line_of_the_controllers_own_file(tmp_path: Path, line: str) -> None:
    file = tmp_path / "token"
    file.write_text(f"# mine\n\n{line}\noperator other\n")
    file.chmod(0o600)
    assert read_token(file) == TOKEN


def test_the_token_is_not_replaced_by_that_of_a_netrc(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    shell.run("cug", "list")


def test_names_are_one_segment_of_the_path(shell: Shell) -> None:
    assert path("cugs", "a/b c?") == "/v1/cugs/a%2Fb%20c%3F"
    assert "(404)" in shell.run("cug", "show", "a/b", status=1).stderr
    with pytest.raises(RefusedError) as caught:
        Client(shell.environment["VMMOB_URL"], TOKEN).get(path("cugs", "a b"))
    assert (caught.value.status, caught.value.is_about_state) == (422, False)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        ("200 OK", b"<html>", "it does not speak JSON"),
        ("502 Bad Gateway", b"<html>", "the answer is 502 Bad Gateway"),
        ("500 Oops", b"[]", "the answer is 500 Oops"),
        ("302 Found", b"", "the answer is 302 Found"),
    ],
)
def test_something_else_answers(status: str, body: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")

    def other(_: Any, start_response: Any) -> list[bytes]:
        start_response(status, [("Content-Type", "text/html"), ("Location", "http://127.0.0.1:1/")])
        return [body]

    with serving(other) as url, pytest.raises(ClientError, match=said):
        Client(url, pause=lambda _: None).get("/v1/cugs")


def test_a_write_waits_longer_than_it_asks_the_controller_to(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class EnoughError(Exception):
        pass

    def request(*_: Any, **options: Any) -> None:
        given.update(options)
        raise EnoughError

    client = Client("http://127.0.0.1:1", timeout=3)
    monkeypatch.setattr(client._session, "request", request)
    with pytest.raises(EnoughError):
        client.put("/v1/cugs/web", {}, wait=100.0, other=None)
    assert (given["timeout"], given["params"]) == ((3, 103.0), {"wait": "100.0"})


# placements


def test_placements_say_where_a_vm_may_go_and_why_not_elsewhere(pair: Shell) -> None:
    lines = pair.run("vm", "placements", "web1").stdout.splitlines()
    assert lines[0].split("  ")[0] == "server"
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines[1:]}
    assert rows["srv-a1"] == ["no", "VM 'web1' is on server 'srv-a1' already"]
    assert rows["srv-c1"] == ["yes", f"web {pair.json('vm', 'show', 'web1')['interfaces'][0]['vlan_id']}"]
    assert rows["srv-a2"] == ["yes", "web untagged"]
    assert pair.json("vm", "placements", "web1")["items"][0]["possible"] is False


def test_fabric(shell: Shell) -> None:
    shown = shell.run("fabric", "show").stdout
    assert re.search(r"^L2 domains +core-1 \(2000-2999\), rack-a", shown, re.MULTILINE)
    assert re.search(r"^srv-b1 +tor-b:1, tor-b:2 +per_interface +- +dc1 +-$", shown, re.MULTILINE)
    file = shell.service.file
    shell.service.file = file.replace("  srv-a1: {", '  srv-a9: {attach: "tor-a:9"}\n  srv-a1: {description: x, ')
    rows = shell.run("fabric", "reload", "--dry-run").stdout.splitlines()
    assert [row.split() for row in rows] == [
        ["what", "kind", "name", "keys"],
        ["added", "server", "srv-a9", "-"],
        ["changed", "server", "srv-a1", "description"],
        ["nothing", "was", "changed:", "a", "dry", "run"],
    ]
    assert shell.json("fabric", "reload")["revision"] == 1
    shell.service.with_web()
    shell.service.file = "\n".join(row for row in file.splitlines() if not row.startswith("  srv-a1:"))
    assert "VM 'web1' is there" in shell.run("fabric", "reload", status=1).stderr
    shell.service.file = file.replace("version: 1", "version: 2")
    assert "example.yaml:1: error: version: version 2 is not known" in shell.run("fabric", "reload", status=2).stderr
