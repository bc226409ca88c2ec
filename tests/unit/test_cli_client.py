"""The commands that ask a controller, against the real REST application behind a real socket."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from typer.testing import CliRunner, Result

from ryu_vmmob.cli.main import app
from ryu_vmmob.client import Client, ClientError, RefusedError, path, read_token
from tests.unit.rest_support import TOKEN, WEB, Service, vm

FOLLOWING = "ryu_vmmob.cli.following"
MIGRATION = "ryu_vmmob.cli.migration"
WEB1 = "cug=web,mac=02:00:00:00:00:0b,ip=10.1.0.11,ip=2001:db8:1::b"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(application: Any) -> Iterator[str]:
    """The address where a WSGI application answers."""
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Shell:
    """A command line with the controller's address and token in its environment."""

    def __init__(self, service: Service, url: str, token_file: Path) -> None:
        self.service = service
        self.environment = {"VMMOB_URL": url, "VMMOB_TOKEN_FILE": str(token_file)}

    def run(self, *words: str, status: int = 0, stdin: str | None = None, **environment: str) -> Result:
        result = CliRunner().invoke(app, list(words), input=stdin, env={**self.environment, **environment})
        assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
        return result

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", status=status).stdout)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    service = Service()
    service.connect()
    service.while_waiting = service.confirm
    token_file = tmp_path / "token"
    token_file.write_text(f"# the one token\n\n{TOKEN}\n")
    token_file.chmod(0o600)
    monkeypatch.setattr("ryu_vmmob.client.settings.SYSTEM_FILE", tmp_path / "none")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    with serving(service.app) as url:
        yield Shell(service, url, token_file)


@pytest.fixture
def pair(shell: Shell) -> Shell:
    """web1 on srv-a1 and web2 on srv-c1."""
    shell.service.with_web().put("/v1/vms/web2", vm("srv-c1", 12))
    shell.service.confirm()
    return shell


# trace


def test_trace_shows_hops_and_tables_and_the_verdict_last(pair: Shell) -> None:
    lines = pair.run("trace", "web1", "10.1.0.12", "--protocol", "tcp", "--port", "80").stdout.splitlines()
    found = pair.json("trace", "web1", "10.1.0.12", "--protocol", "tcp", "--port", "80")
    assert lines[0].split() == ["switch", "port", "VLAN-ID", "TTL", "table", "priority", "match", "actions", "whose"]
    rest = iter(lines[1:-1])
    for hop in found["hops"]:
        for number, row in enumerate(hop["tables"]):
            line = next(rest)
            assert line.startswith(hop["switch"] if number == 0 else " ")
            assert (f"in {hop['in_port']} " in line, f" {hop['vlan_id']} " in line, " 64 " in line) == (number == 0,) * 3
            assert f" {row['table']} " in line
            assert row["actions"] in line
        for out in hop["outputs"]:
            line = next(rest)
            assert line.split() == ["out", str(out["port"]), str(out["vlan_id"]), "64", "to", out["to"]]
    assert list(rest) == []
    assert lines[-1] == "delivered: it reaches web2 at srv-c1 (tor-c:1), VLAN-ID 500"


def test_trace_asks_for_what_the_options_say(pair: Shell) -> None:
    assert "ip_proto=6" in pair.json("trace", "web1", "10.1.0.12", "--protocol", "6")["packet"]
    assert "udp_dst=53" in pair.json("trace", "web1", "10.1.0.12", "--protocol", "udp", "--port", "53")["packet"]
    assert pair.json("trace", "web1", "10.1.0.12", "--protocol", "arp")["verdict"] == "answered"
    assert pair.json("trace", "web1", "02-00-00-00-00-0c")["verdict"] == "delivered"
    assert pair.json("trace", "web1", "2001:db8:1::c", "--at", "srv-a1", "--interface", "0")["verdict"] == "delivered"


def test_trace_of_a_forger_is_a_no(pair: Shell) -> None:
    result = pair.run("trace", "web1", "10.1.0.12", "--as-ip", "10.1.0.77", status=1)
    assert result.stdout.splitlines()[-1] == "dropped: tor-a, table admit: no flow admits this source (anti-spoofing)"
    assert pair.json("trace", "web1", "10.1.0.12", "--as-mac", "02:00:00:00:00:77", status=1)["verdict"] == "dropped"


def test_trace_from_outside_and_between_cugs(shell: Shell) -> None:
    for number, (name, server) in enumerate((("app", "srv-a1"), ("db", "srv-c1")), 1):
        shell.run("cug", "put", name, "--subnet", f"10.{number}.0.0/24", "--routing-domain", "red")
        interface = f"cug={name},mac=02:00:00:00:0{number}:01,ip=10.{number}.0.11"
        shell.run("vm", "put", f"{name}1", "--server", server, "--interface", interface)
    tcp = ("10.2.0.11", "--protocol", "tcp", "--port", "80")
    assert shell.run("trace", "app1", *tcp, status=1).stdout.splitlines()[-1].startswith("denied: tor-a, table policy_out: ")
    selectors = ("--action", "allow", "--from", "any", "--to", "cug=db")
    shell.run("policy", "put", "http", *selectors, "--protocol", "tcp", "--port", "80", "--replies", "--wait", "5")
    lines = shell.run("trace", "app1", *tcp).stdout.splitlines()
    assert lines[-1].endswith("routed by tor-a, then tor-c; allowed by policy http")
    assert [line.split()[2:4] for line in lines if " out " in line][-1] == ["500", "62"]
    assert "time_exceeded" in shell.run("trace", "app1", *tcp, "--ttl", "1", status=1).stdout.splitlines()[-2]
    outside = ("internet-1", *tcp, "--external", "--as-ip", "192.0.2.9", "--as-mac", "02:00:00:00:00:99")
    found = shell.json("trace", *outside)
    assert (found["verdict"], found["from"]["external"]) == ("delivered", "internet-1")
    assert "eth_src=02:00:00:00:00:99" in found["packet"]
    back = ("db1", "10.1.0.11", "--protocol", "tcp", "--source-port", "80", "--port", "9")
    assert shell.json("trace", *back, "--tcp-flag", "ack", "--tcp-flag", "psh")["verdict"] == "delivered"
    assert shell.json("trace", *back, status=1)["verdict"] == "denied"
    assert "from.interface: an external network has none" in shell.run(
        "trace", "internet-1", "10.2.0.11", "--external", "--interface", "0", status=2
    ).stderr


def test_trace_says_when_switches_are_behind(pair: Shell) -> None:
    pair.service.put("/v1/vms/web3", vm("srv-a2", 13))
    lines = pair.run("trace", "web1", "10.1.0.13").stdout.splitlines()
    assert lines[-2] == "not in step yet, so they may do otherwise: tor-a"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody", "10.1.0.12"], "vmmob: invalid input (422): from.vm: there is no VM 'nobody'\n"),
        (["web1", "10.1.0"], 'vmmob: invalid input (422): to.ip: "10.1.0" is no IPv4 or IPv6 address\n'),
        (["web1", "10.1.0.12", "--interface", "4"], "VM 'web1' has 1 interface, counted from 0\n"),
        (["web1", "10.1.0.12", "--protocol", "x"], "protocol: must be one of tcp, udp, icmp, arp, rs, a number"),
    ],
)
def test_trace_of_nonsense(pair: Shell, words: list[str], said: str) -> None:
    result = pair.run("trace", *words, status=2)
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


# The other commands


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
    options = ("--subnet", "10.1.0.0/24", "--subnet", "2001:db8:1::/64", "--vlan-id", "rack-a=110", "--routing-domain", "red")
    made = shell.json("cug", "put", "web", *options, "--gateway", "10.1.0.9")
    assert (made["vlan_ids"], made["routing_domain"]) == ({"rack-a": 110}, "red")
    assert "10.1.0.9" in made["gateways"]
    assert shell.run("cug", "show", "web").stdout.splitlines()[0].split() == ["CUG", "web"]
    shell.service.put("/v1/vms/web1", vm())
    row = shell.run("cug", "list").stdout.splitlines()[1].split()
    assert row == ["web", "10.1.0.0/24,", "2001:db8:1::/64", "red", "rack-a=110"]
    assert [row["name"] for row in shell.json("cug", "list")["items"]] == ["web"]
    assert "conflict (409)" in shell.run("cug", "delete", "web", status=1).stderr
    shell.run("vm", "delete", "web1", "--wait", "5")
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
    assert refused == "vmmob: moves are migrations (409): VM 'web1' is on server 'srv-a1': POST a migration to move it\n"


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
    assert lines[-1] == "every switch had confirmed the activation 0 ms after it"
    row = pair.run("migration", "list", "--vm", "web1").stdout.splitlines()[1].split()
    assert row[:5] == [id_, "web1", "srv-a1", "srv-a2", "committed"]
    assert pair.json("migration", "list", "--state", "aborted")["items"] == []
    back = pair.json("migration", "start", "web1", "srv-a1")["id"]
    assert pair.json("migration", "abort", back, "--reason", "no more")["reason"] == "no more"


def test_move_prepares(pair: Shell) -> None:
    out = pair.run("move", "web1", "srv-c1").stdout
    assert "prepared" in out
    assert out.splitlines()[-1].split() == ["web", "100", "500"]
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
    assert "every switch had confirmed the activation 0 ms after it" in result.stdout
    assert "committed" in result.stdout
    assert pair.service.get("/v1/vms/web1")["server"] == "srv-c1"


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
        (["vm", "put", "web1", "--file", "/nonexistent"], "/nonexistent cannot be read: No such file or directory"),
        (["vm", "put", "web1", "--wait", "-1"], "equal to 0"),
        (["trace", "web1"], "Missing argument"),
    ],
)
def test_usage(shell: Shell, words: list[str], said: str) -> None:
    before = shell.service.engine.state
    assert said in shell.run(*words, status=2).stderr
    assert shell.service.engine.state is before


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


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ClientError, match="cannot be asked"):
        Client(url).get("/v1/cugs")


def test_the_token(shell: Shell, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("bad\n")
    assert "others than its owner may use it" in shell.run("cug", "list", "--token-file", str(wrong), status=2).stderr
    wrong.chmod(0o600)
    assert "(401)" in shell.run("cug", "list", "--token-file", str(wrong), status=2).stderr
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
    assert rows["srv-c1"] == ["yes", "web 500"]
    assert rows["srv-a2"] == ["yes", "web untagged"]
    assert pair.json("vm", "placements", "web1")["items"][0]["possible"] is False


def test_fabric(shell: Shell) -> None:
    shown = shell.run("fabric", "show").stdout
    assert re.search(r"^L2 domains +core-1 \(2000-2999\), rack-a", shown, re.MULTILINE)
    assert re.search(r"^srv-b1 +tor-b:1, tor-b:2 +tagged +rack-b +dc1 +-$", shown, re.MULTILINE)
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
