"""The client class: every resource of docs/rest.md in JSON and MessagePack, what is sent twice, and its settings."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.client import Client, ClientError, RefusedError, UnreachableError, read_settings, read_token
from ryu_vmmob.client.http import FIRST_PAUSE
from ryu_vmmob.rest.app import ROUTES
from tests.support.rest_service import TOKEN, WEB, Service, vm
from tests.unit.cli_support import serving
from tests.unit.event_server import EventServer, serving_events

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def ready_service() -> Service:
    service = Service()
    service.connect()
    service.while_waiting = service.confirm
    return service


class Counting:
    """An application that notes what it is asked, and in which format."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.asked: set[str] = set()
        self.types: set[tuple[str, str]] = set()

    def __call__(self, environ: Any, start: Any) -> Any:
        found = next(
            route for route in ROUTES
            if route.method == environ["REQUEST_METHOD"]
            and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.pattern), environ["PATH_INFO"])
        )  # fmt: skip
        self.asked.add(f"{found.method} {found.pattern}")
        self.types.add((environ.get("CONTENT_TYPE", ""), environ["HTTP_ACCEPT"]))
        return self.service.app(environ, start)


@pytest.mark.parametrize("format_", ["json", "msgpack"])
def test_every_resource(format_: Any) -> None:
    service = ready_service()
    counting = Counting(service)
    with serving(counting) as url:
        client = Client(url, TOKEN, format=format_)
        assert client.is_alive()
        assert client.ready()["ready"] is True
        made = client.cugs.put("web", WEB, wait=5)
        assert client.cugs.get("web")["revision"] == made["revision"]
        assert [row["name"] for row in client.cugs.list()] == ["web"]
        with pytest.raises(RefusedError, match="412") as caught:
            client.cugs.put("web", WEB, revision=made["revision"] + 7)
        assert (caught.value.status, caught.value.problem["status"]) == (412, 412)
        client.vms.put("web1", vm())
        assert client.vms.get("web1")["server"] == "srv-a1"
        assert [row["name"] for row in client.vms.list(server="srv-a1", cug="web")] == ["web1"]
        assert client.vms.list(server="srv-c1") == []
        assert {row["server"] for row in client.vms.placements("web1") if row["possible"]} == {"srv-a2", "srv-b1", "srv-c1"}
        client.policies.put("p", {"action": "deny", "from": {"any": True}, "to": {"vm": "web1"}})
        assert client.policies.get("p")["action"] == client.policies.list()[0]["action"] == "deny"
        client.policies.delete("p", revision=client.policies.get("p")["revision"])
        client.bulk({"vms": {"web2": vm("srv-a2", 12)}}, wait=5)
        assert client.backup().startswith(b"SQLite format 3")
        assert client.export(numbers=False)["vms"].keys() >= client.export()["numbers"]["vms"].keys()
        assert [row["name"] for row in client.vms.each(limit=1)] == [row["name"] for row in client.vms.list()]
        assert client.migrations.start("web1", "srv-c1", dry_run=True)["dry_run"] is True
        move = client.migrations.start("web1", "srv-c1", commit="request", mode=None, wait=5)
        assert move["state"] == "prepared"
        assert client.migrations.deliver(move["id"], wait=5)["delivered"] is True
        assert client.migrations.frames(move["id"], 0, [bytes.fromhex("02000000000b0200000000010806") + bytes(46)]) == 1
        assert client.migrations.activate(move["id"], wait=5)["state"] == "activated"
        assert client.migrations.commit(move["id"])["state"] == client.migrations.get(move["id"])["state"] == "committed"
        back = client.migrations.start("web1", "srv-a1")
        assert client.migrations.abort(back["id"], reason="no", wait=5)["reason"] == "no"
        assert [row["id"] for row in client.migrations.list(vm="web1", state="aborted")] == [back["id"]]
        assert client.batches.start("tor-a", switch=True, dry_run=True)["total"] == 1
        batch = client.batches.start("srv-a2", to=["srv-b1"], parallel=2)
        assert client.batches.abort(batch["id"], reason="no", wait=5)["state"] == client.batches.get(batch["id"])["state"]
        assert [row["id"] for row in client.batches.list()] == [batch["id"]]
        assert len(client.switches.list()) == len(client.fabric()["switches"]) == 5
        assert client.switches.get("tor-b")["name"] == "tor-b"
        assert {row["table"] for row in client.switches.flows("tor-b", table="bridge")["items"]} == {"bridge"}
        assert {row["kind"] for row in client.switches.ports("tor-b")["items"]} == {"server", "link"}
        domain = client.l2_domains.list()[0]
        assert domain.items() <= client.l2_domains.get(domain["name"]).items()
        assert client.controller()["caller"]["role"] == "operator"
        assert client.switches.audit("tor-b")["switch"] == "tor-b"
        assert client.switches.take_over("tor-b")["name"] == "tor-b"
        assert client.reload_fabric(dry_run=True)["unchanged"] is True
        assert client.trace({"from": {"vm": "web1"}, "to": {"ip": "10.1.0.1"}, "protocol": "arp"})["verdict"] == "answered"
        assert client.recent_events(("cug",), limit=1)["items"][0]["event"] == "cug.created"
        assert client.last_event() == int(client.recent_events()["last"])
        client.vms.delete("web2")
        client.vms.delete("web1", wait=5)
        client.cugs.delete("web")
        service.break_store("the disk is full")
        assert client.ready()["troubles"] == ["nothing can be changed: the disk is full"]
        assert client.health()["level"] == "bad"
    mine = {f"{route.method} {route.pattern}" for route in ROUTES if route.pattern.startswith(("/v1/", "/healthz", "/readyz"))}
    assert counting.asked == mine
    kind = f"application/{format_}"
    assert {accept for _, accept in counting.types} == {kind}
    assert {sent for sent, _ in counting.types if sent} <= {kind, "text/plain", "application/msgpack"}  # frames are bytes
    assert kind in {sent for sent, _ in counting.types}


class Flaky:
    """Says 503 a few times, then hands on to the service."""

    def __init__(self, service: Service, times: int, status: str = "503 Service Unavailable") -> None:
        self.service, self.left, self.status, self.asked = service, times, status, 0

    def __call__(self, environ: Any, start: Any) -> Any:
        self.asked += 1
        if self.left:
            self.left -= 1
            start(self.status, [("Content-Type", "text/plain")])
            return [b"away"]
        return self.service.app(environ, start)


def test_what_may_be_sent_twice_is() -> None:
    flaky, pauses = Flaky(ready_service(), 2), list[float]()
    with serving(flaky) as url:
        client = Client(url, TOKEN, pause=pauses.append)
        client.cugs.put("web", WEB)
        assert (flaky.asked, pauses) == (3, [FIRST_PAUSE, 2 * FIRST_PAUSE])
        client.vms.put("web1", vm())
        move = client.migrations.start("web1", "srv-c1", wait=5)
        flaky.left = 1
        assert client.migrations.activate(move["id"])["state"] == "activated"
        flaky.left = 9
        with pytest.raises(RefusedError, match="503") as caught:
            client.fabric()
        assert caught.value.is_for_now


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.migrations.start("web1", "srv-c1"),
        lambda client: client.batches.start("srv-a1"),
        lambda client: client.cugs.put("web", WEB, revision=1),
        lambda client: client.cugs.delete("web", revision=1),
    ],
)
def test_what_may_not_be_sent_twice_is_not(send: Any) -> None:
    flaky = Flaky(ready_service(), 1)
    with serving(flaky) as url, pytest.raises(RefusedError, match="503"):
        send(Client(url, TOKEN))
    assert flaky.asked == 1


def test_other_answers_are_not_asked_for_again() -> None:
    flaky = Flaky(ready_service(), 1, "500 Oops")
    with serving(flaky) as url, pytest.raises(RefusedError, match="500"):
        Client(url, TOKEN).fabric()
    assert flaky.asked == 1


def test_a_late_answer_is_not_waited_for_twice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # its backlog takes connections; nobody reads them
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1)
        with pytest.raises(UnreachableError, match="did not answer in time"):
            client.fabric()
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


# Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's settings file; there is no other."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("ryu_vmmob.client.settings.SYSTEM_FILE", tmp_path / "client.conf")
    (tmp_path / "vmmob").mkdir()
    return tmp_path / "vmmob" / "config"


def test_settings(home: Path) -> None:
    assert read_settings().url is None
    (home.parents[1] / "client.conf").write_text("[controller]\nurl = http://system:1\n")
    assert read_settings().url == "http://system:1"
    home.write_text("# mine\n[controller]\nurl = http://mine:1\ntoken_file = token\n")
    found = read_settings()
    assert (found.url, found.token, found.token_file) == ("http://mine:1", None, str(home.parent / "token"))
    other = home.parent / "other"
    other.write_text("[controller]\nca = /etc/ca.pem\n")
    assert read_settings(other).ca == "/etc/ca.pem"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("url = x", "it must be [controller]"),
        ("[controller]\nurl = x\nurl = y", "line 3"),
        ("[controler]\nurl = x", "section [controler] is not known"),
        ("[controller]\nurll = x", "urll is not known, only url, token, token_file, ca"),
        ("[controller]\nurl =", "url says nothing"),
        ("[controller]\ntoken = s3cret\ntoken_file = x", "exclude each other"),
        ("[DEFAULT]\nurl = x", "section [DEFAULT] is not known"),
        ("[controller]\ns3cret", "line 2: it must be"),
    ],
)
def test_settings_that_are_none(home: Path, text: str, fault: str) -> None:
    home.write_text(text)
    home.chmod(0o600)
    with pytest.raises(ClientError) as caught:
        read_settings()
    assert fault in str(caught.value)
    assert str(home) in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_secrets_that_others_may_read_are_not_used(home: Path) -> None:
    home.write_text("[controller]\ntoken = s3cret\n")
    home.chmod(0o640)
    with pytest.raises(ClientError, match="chmod 600"):
        read_settings()
    home.chmod(0o600)
    assert read_settings().token == "s3cret"
    with pytest.raises(ClientError, match="No such file"):
        read_settings(home.parent / "nowhere")


def test_a_token_behind_its_role(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("# tokens\noperator abc alice\nreader def\n")
    file.chmod(0o600)
    assert read_token(file) == "abc"


# docs/client.md


def test_the_documents_examples(tmp_path: Path) -> None:
    text = (DOCS / "client.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    service = Service()
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    with serving_events(service) as server:
        server.do(service.connect)
        service.while_waiting = service.confirm
        names: dict[str, Any] = {"arrives": lambda id_: _arrives(server, id_)}
        for block in blocks:
            code = block.replace("http://127.0.0.1:8080", server.url).replace("/etc/vmmob/token", str(token))
            exec(compile(code, "docs/client.md", "exec"), names)


def _arrives(server: EventServer, id_: str) -> None:
    server.do(lambda: server.service.ask("POST", f"/v1/migrations/{id_}/activate"))
    server.do(server.service.confirm)
    server.do(server.service.passes)
