"""TLS for any number of switches: the fault of Ryu's server, and ours."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import sleep

import pytest

from ryu_vmmob.compat.tls import server_context
from tests.support.ryu_manager import MANAGER, Controller, Switch, controller, poll

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: no test certificates")


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a certificate of the controller and one of a switch signed by it, and one of a stranger."""
    folder = tmp_path_factory.mktemp("pki")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    # Python 3.13 looks at certificates strictly (RFC 5280): key usage on a CA, key identifiers on what it signed.
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    identifiers = folder / "identifiers"
    identifiers.write_text("subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    for name in ("ca", "stranger"):
        openssl(
            "req",
            "-x509",
            *key,
            *usage,
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{folder}/{name}.key",
            "-out",
            f"{folder}/{name}.pem",
        )
    for name in ("controller", "switch"):
        openssl("req", *key[:-2], "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
        signer = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "2")
        extensions = ("-extfile", str(identifiers))
        openssl("x509", "-req", "-in", f"{folder}/{name}.csr", *signer, *extensions, "-out", f"{folder}/{name}.pem")
    return folder


@pytest.fixture
def server(pki: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Controller]:
    """A controller that wants client certificates; parametrized with the parts left out."""
    files = ["--ctl-privkey", f"{pki}/controller.key", "--ctl-cert", f"{pki}/controller.pem", "--ca-certs", f"{pki}/ca.pem"]
    off = getattr(request, "param", "")
    with controller(tmp_path, MANAGER, off=off, options=files, port_option="--ofp-ssl-listen-port") as running:
        yield running


def client(pki: Path, name: str | None) -> ssl.SSLContext:
    """The TLS side of a switch with the certificate of that name."""
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    context.check_hostname = False
    if name is not None:
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    return context


def secured(stack: ExitStack, running: Controller, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = stack.enter_context(running.connect())
    return stack.enter_context(context.wrap_socket(plain))


def joins(stack: ExitStack, running: Controller, context: ssl.SSLContext) -> bool:
    """Whether a switch gets in; its connection stays open."""
    try:
        return Switch(secured(stack, running, context)).handshake()
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.parametrize("server", ["tls_server"], indirect=True)
def test_stock_server_admits_one_switch(server: Controller, pki: Path) -> None:
    with ExitStack() as stack:
        assert [joins(stack, server, client(pki, "switch")) for _ in range(3)] == [True, False, False]


def test_every_switch_gets_in(server: Controller, pki: Path) -> None:
    with ExitStack() as stack:
        assert [joins(stack, server, client(pki, "switch")) for _ in range(3)] == [True, True, True]


@pytest.mark.parametrize("name", [None, "stranger"], ids=["no certificate", "another CA"])
def test_a_switch_without_our_certificate_is_refused(server: Controller, pki: Path, name: str | None) -> None:
    with ExitStack() as stack:
        assert not joins(stack, server, client(pki, name))
        assert joins(stack, server, client(pki, "switch"))
    assert "TLS connection from" in server.log()
    assert "Traceback" not in server.log()


def test_old_tls_is_refused(server: Controller, pki: Path) -> None:
    # Debian's OpenSSL alone would refuse it too; others do not, so the rule itself is looked at as well.
    rule = server_context(str(pki / "controller.pem"), str(pki / "controller.key"), str(pki / "ca.pem"))
    assert (rule.minimum_version, rule.verify_mode) == (ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED)
    old = client(pki, "switch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with ExitStack() as stack:
        assert not joins(stack, server, old)
        newer = client(pki, "switch")
        newer.maximum_version = ssl.TLSVersion.TLSv1_2
        assert joins(stack, server, newer)


def test_a_peer_that_never_finishes_the_handshake_stops_nobody(server: Controller, pki: Path) -> None:
    with ExitStack() as stack:
        silent: socket.socket = stack.enter_context(server.connect())
        silent.sendall(b"\x16\x03\x01")
        assert joins(stack, server, client(pki, "switch"))


IMPATIENT = "import gc; gc.disable(); from ryu_vmmob.compat import tls; tls.HANDSHAKE_SECONDS = 0.5; "
"""A manager whose cycle collector never runs, as in an idle controller, and that waits half a second for a handshake."""


@pytest.fixture
def impatient(pki: Path, tmp_path: Path) -> Iterator[Controller]:
    files = ["--ctl-privkey", f"{pki}/controller.key", "--ctl-cert", f"{pki}/controller.pem", "--ca-certs", f"{pki}/ca.pem"]
    with controller(tmp_path, IMPATIENT + MANAGER, options=files, port_option="--ofp-ssl-listen-port") as running:
        yield running


def test_a_handshake_that_fails_gives_its_descriptor_back(impatient: Controller, pki: Path) -> None:
    with ExitStack() as stack:
        assert joins(stack, impatient, client(pki, "switch"))
    poll(lambda: impatient.descriptors() or None, "the process has files open")
    before = impatient.descriptors()
    with ExitStack() as stack:
        silent = [stack.enter_context(impatient.connect()) for _ in range(20)]
        for one in silent[:5]:
            one.sendall(b"no TLS at all, and more than a header\r\n")
        for one in silent:
            with suppress(ConnectionError):
                while one.recv(100):
                    pass  # an alert, and then the end
    poll(lambda: impatient.descriptors() <= before or None, "each descriptor comes back")


def test_a_handshake_cannot_be_drawn_out(impatient: Controller) -> None:
    """Each byte comes in time, and all of them would take an hour."""
    with impatient.connect() as slow:
        slow.sendall(b"\x16\x03\x01\x40\x00")
        with suppress(ConnectionError):
            for _ in range(600):
                slow.sendall(b"\x00")
                sleep(0.1)
        assert "refused: timed out" in impatient.log()
