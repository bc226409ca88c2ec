"""Wrong addresses: each is told in one sentence that says what to write, and no request is sent again for it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from threading import Thread
from wsgiref.simple_server import make_server

import pytest
from typer.testing import CliRunner

from ryu_vmmob.cli.main import app
from ryu_vmmob.client import Client, ClientError, UnreachableError
from ryu_vmmob.client.events import followed
from tests.unit.cli_support import Shell, serving, shell

__all__ = ["shell"]


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, without a scheme, of a server of https whose certificate nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    words = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "1", "-subj", "/CN=other"]
    subprocess.run(["openssl", "req", "-x509", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with make_server("127.0.0.1", 0, lambda environ, start: []) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


WRONG = [
    ("127.0.0.1:8080", "127.0.0.1:8080 cannot be asked: write http://127.0.0.1:8080"),
    ("localhost:8080", "localhost:8080 cannot be asked: write http://localhost:8080"),
    ("//c:1", "//c:1 cannot be asked: write http://c:1"),
    ("ftp://c:1", "ftp://c:1 cannot be asked: its scheme is ftp; write http:// or https://"),
    ("http://", "http: cannot be asked: write http://HOST:PORT"),
    ("https:/c:8080", "https:/c:8080 cannot be asked: write https://c:8080"),
    ("http://:8080", "http://:8080 cannot be asked: it names no host; write http://HOST:PORT"),
    ("http://c:99999", "http://c:99999 cannot be asked: port out of range 0-65535"),
    ("http://[::1", "http://[::1 cannot be asked: invalid IPv6 URL"),
]


@pytest.mark.parametrize(("url", "said"), WRONG)
def test_an_address_that_is_none(url: str, said: str) -> None:
    for words in (["vm", "list"], ["watch", "--since", "0"]):
        result = CliRunner().invoke(app, [*words, "--url", url])
        assert (result.exit_code, result.stderr) == (2, f"vmmob: {said}\n")


def test_https_where_http_answers(shell: Shell) -> None:
    http = shell.environment["VMMOB_URL"]
    https = http.replace("http", "https")
    for words in (["vm", "list"], ["watch", "--since", "0"]):
        said = shell.run(*words, "--url", https, status=2).stderr
        assert said == f"vmmob: what answers at {https} does not speak https: write {http}\n"


def test_http_where_https_answers(secure: str) -> None:
    with pytest.raises(UnreachableError, match=f"cannot be reached: .*; if it speaks https, write https://{secure}$"):
        Client(f"http://{secure}", pause=lambda _: None).get("/v1/vms")


def test_a_certificate_of_another(secure: str) -> None:
    said = f"^the controller at https://{secure} cannot be trusted: its certificate is refused: self-signed certificate$"
    client = Client(f"https://{secure}", retries=0)
    with pytest.raises(ClientError, match=said):
        client.get("/v1/vms")
    with pytest.raises(ClientError, match=said):
        next(followed(client, since=0, pause=_never))


def _never(_: float) -> None:
    raise AssertionError("it was asked again")


def test_a_server_that_closes_is_no_matter_of_https_alone() -> None:
    """Where nothing listens the sentence says nothing of https."""
    with serving(lambda environ, start: []) as url:
        pass
    with pytest.raises(UnreachableError) as caught:
        Client(url, retries=0).get("/v1/vms")
    assert "https" not in str(caught.value)
