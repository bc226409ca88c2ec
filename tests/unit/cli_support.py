"""What the tests of the command line share: a service that listens, and a shell that asks it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from typer.testing import CliRunner, Result

from ryu_vmmob.cli.main import app
from tests.support.rest_service import TOKEN, Service, vm

WEB1 = "cug=web,mac=02:00:00:00:00:0b,ip=10.1.0.11,ip=2001:db8:1::b"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(application: Any, tls: SSLContext | None = None) -> Iterator[str]:
    """The address where a WSGI application answers, by TLS where there is a context for it."""
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
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


def completed(line: str, **environment: str) -> list[str]:
    """What is offered for the last word of a command line."""
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_VMMOB_COMPLETE": "complete_bash", **environment}
    result = CliRunner().invoke(app, [], prog_name="vmmob", env=env)
    return result.stdout.split()


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
