"""The real controller over TLS: real switches with certificates, without, and with those of strangers; REST likewise."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from mininet_topos.controller import Tls
from mininet_topos.ovs import PrivateOvs, missing_programs
from ryu_vmmob.fabric.loader import load
from tests.support.controller import FABRICS, SECONDS, Site, nic, until

SCRIPT = Path(__file__).parents[2] / "tools" / "make-test-certificates.sh"
SWITCHES = sorted(load(FABRICS / "example.yaml").switches)
TOKEN = "b3BlcmF0b3Itb2YtY2xvdWQ"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script makes, for every switch of the fabric; a second run of it, by strangers, in ``strangers``."""
    folder = tmp_path_factory.mktemp("pki")
    for directory in (folder, folder / "strangers"):
        subprocess.run([str(SCRIPT), str(directory), *SWITCHES], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def ovs() -> Iterator[PrivateOvs]:
    """One of our own: the certificate is the whole switch daemon's."""
    if missing := missing_programs():
        pytest.skip(f"Open vSwitch is not installed: {', '.join(missing)} not found")
    with PrivateOvs(dummy=True) as running:
        yield running


def present(ovs: PrivateOvs, pki: Path, name: str = "tor-a", ca: Path | None = None) -> None:
    """Let all switches show this certificate from now on, and trust controllers of this CA."""
    authority = ca or pki / "openflow-ca.pem"
    ovs.vsctl("set-ssl", str(pki / f"{name}.key"), str(pki / f"{name}.pem"), str(authority))


@contextmanager
def secured(ovs: PrivateOvs, pki: Path, folder: Path, **settings: str) -> Iterator[Site]:
    """The site, not started; both doors are over TLS."""
    token = folder / "token"
    token.write_text(f"operator {TOKEN} tests\n")
    token.chmod(0o600)
    openflow = {"ctl_privkey": "controller.key", "ctl_cert": "controller.pem", "ca_certs": "openflow-ca.pem"}
    rest = {"rest_certificate": str(pki / "rest.pem"), "rest_private_key": str(pki / "rest.key"), "api_token_file": str(token)}
    client: dict[str, object] = {"verify": str(pki / "rest-ca.pem")}
    if "rest_client_ca" in settings:
        client["cert"] = (str(pki / "client.pem"), str(pki / "client.key"))
    site = Site(
        ovs, folder, settings=rest | settings,
        tls=Tls({name: str(pki / file) for name, file in openflow.items()}, client),
    )  # fmt: skip
    site.rest.authorize(TOKEN)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def site(ovs: PrivateOvs, pki: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    present(ovs, pki)
    with secured(ovs, pki, tmp_path_factory.mktemp("tls")) as made:
        made.start()
        yield made


def connected(site: Site) -> set[str]:
    return {row["name"] for row in site.rest.get("/v1/switches")["items"] if row["connected"]}


def redial(site: Site) -> None:
    """All switches end their connections and make new ones."""
    site.disconnect(*SWITCHES)
    site._dial({name: site._target(name) for name in SWITCHES})


def test_switches_with_our_certificate_work(site: Site) -> None:
    site.put_cugs()
    site.put_vm("web1", "srv-a1", nic("web", 11))
    assert site.differences() == []
    site.move("web1", "srv-c1", mode="cold")
    site.clear()


def test_switches_of_a_stranger_are_refused(site: Site, ovs: PrivateOvs, pki: Path) -> None:
    before = site.controller.log.count("TLS connection from")
    present(ovs, pki / "strangers", ca=pki / "openflow-ca.pem")
    redial(site)
    until(lambda: site.controller.log.count("TLS connection from") >= before + len(SWITCHES))
    assert connected(site) == set()
    present(ovs, pki)
    site.reconnect(*SWITCHES)
    site.until_in_step()


def test_a_certificate_for_rest_is_none_for_switches(site: Site, ovs: PrivateOvs, pki: Path) -> None:
    before = site.controller.log.count("TLS connection from")
    present(ovs, pki, "client")
    redial(site)
    until(lambda: site.controller.log.count("TLS connection from") >= before + len(SWITCHES))
    assert connected(site) == set()
    present(ovs, pki)
    site.reconnect(*SWITCHES)
    site.until_in_step()


def test_switches_do_not_believe_another_controller(site: Site, ovs: PrivateOvs, pki: Path) -> None:
    before = ovs.log().count("certificate verify failed")
    present(ovs, pki, ca=pki / "strangers" / "openflow-ca.pem")
    redial(site)
    until(lambda: ovs.log().count("certificate verify failed") > before)
    assert connected(site) == set()
    present(ovs, pki)
    site.reconnect(*SWITCHES)
    site.until_in_step()


def test_who_has_no_certificate_is_refused(site: Site, pki: Path) -> None:
    context = ssl.create_default_context(cafile=str(pki / "openflow-ca.pem"))
    context.check_hostname = False
    with socket.create_connection(site.controller.openflow, SECONDS) as plain:
        refused = False
        try:
            with context.wrap_socket(plain) as secure:
                secure.sendall(b"\x04\x00\x00\x08\x00\x00\x00\x01")
                # With TLS 1.3 the client learns of it only now.
                refused = secure.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            refused = True
        assert refused


def test_a_switch_without_tls_is_refused(site: Site) -> None:
    before = site.controller.log.count("TLS connection from")
    site.disconnect("tor-b")
    site._dial({"tor-b": f"tcp:127.0.0.1:{site.openflow_port}"})
    until(lambda: site.controller.log.count("TLS connection from") > before)
    assert connected(site) == set(SWITCHES) - {"tor-b"}
    site.reconnect("tor-b")
    site.until_in_step()


def test_rest_is_over_tls_only(site: Site, pki: Path) -> None:
    url = f"{site.controller.rest}/healthz"
    assert requests.get(url, verify=str(pki / "rest-ca.pem"), timeout=SECONDS).json() == {"status": "ok"}
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, verify=str(pki / "strangers" / "rest-ca.pem"), timeout=SECONDS)
    with pytest.raises(requests.ConnectionError):
        requests.get(url.replace("https", "http"), timeout=SECONDS)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(pki / "rest-ca.pem")
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    host, port = url.split("/")[2].split(":")
    with pytest.raises((ssl.SSLError, ConnectionError)), socket.create_connection((host, int(port)), SECONDS) as plain:
        old.wrap_socket(plain, server_hostname=host)
    assert "Traceback" not in site.controller.log


def test_who_never_ends_its_handshake_with_rest_stops_nobody(site: Site) -> None:
    host, port = site.controller.rest.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), SECONDS) as silent:
        silent.sendall(b"\x16\x03\x01")
        assert connected(site) == set(SWITCHES)


def test_a_renewed_certificate_of_rest_counts_at_once(site: Site, pki: Path) -> None:
    strangers = pki / "strangers"
    url, ours, theirs = f"{site.controller.rest}/healthz", pki / "rest-ca.pem", strangers / "rest-ca.pem"
    old = {name: (pki / name).read_bytes() for name in ("rest.pem", "rest.key")}
    try:
        # Between the two files they do not fit, and what was read before stays.
        (pki / "rest.pem").write_bytes((strangers / "rest.pem").read_bytes())
        assert requests.get(url, verify=str(ours), timeout=SECONDS).ok
        (pki / "rest.key").write_bytes((strangers / "rest.key").read_bytes())
        assert requests.get(url, verify=str(theirs), timeout=SECONDS).ok
    finally:
        for name, data in old.items():
            (pki / name).write_bytes(data)
    assert requests.get(url, verify=str(ours), timeout=SECONDS).ok
    assert "the certificate that was read before stays" in site.controller.log


def test_no_token_is_in_the_log(site: Site) -> None:
    answer = requests.get(f"{site.controller.rest}/v1/cugs?token={TOKEN}", timeout=SECONDS, verify=site.rest.verify)
    assert answer.status_code == 401
    assert "token=tests role=operator from=127.0.0.1" in site.controller.log
    assert TOKEN not in site.controller.log


def test_each_switch_with_its_own_name_and_rest_with_client_certificates(pki: Path, tmp_path: Path) -> None:
    settings = {"switch_certificates": "named", "rest_client_ca": str(pki / "rest-ca.pem")}
    with PrivateOvs(dummy=True) as ovs, secured(ovs, pki, tmp_path, **settings) as site:
        present(ovs, pki, "tor-a")
        site.controller.start()
        until(lambda: all(f"says that it is switch {name}" in site.controller.log for name in set(SWITCHES) - {"tor-a"}))
        until(lambda: connected(site) == {"tor-a"}, lambda: connected(site))
        present(ovs, pki, "tor-b")
        redial(site)
        until(lambda: connected(site) == {"tor-b"}, lambda: connected(site))
        with suppress(requests.ConnectionError):
            requests.get(f"{site.controller.rest}/healthz", verify=str(pki / "rest-ca.pem"), timeout=SECONDS)
            pytest.fail("REST answers a client without a certificate")
        assert "Traceback" not in site.controller.log


def test_events_over_tls(site: Site, pki: Path) -> None:
    context = ssl.create_default_context(cafile=str(pki / "rest-ca.pem"))
    url = site.controller.rest.replace("https", "wss") + "/v1/events?types=cug"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with connect(url, ssl=context, additional_headers=headers, compression=None, open_timeout=SECONDS) as socket_:
        site.put_cugs()
        assert json.loads(socket_.recv(SECONDS))["event"].startswith("cug.")
    site.clear()
