"""What is wrong with the configuration is said in one sentence, and the process ends: no traceback, no half controller."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ryu_vmmob.store import open_store
from tests.support.controller import FABRICS, SECONDS, free_ports


@dataclass
class Case:
    """Options, by what they replace; what the sentence has to say."""

    options: dict[str, str]
    says: tuple[str, ...]


CASES = {
    "no fabric file": Case({"--vmmob-fabric": "{dir}/none.yaml"}, ("none.yaml", "No such file")),
    "a fabric with errors": Case({"--vmmob-fabric": "{dir}/bad.yaml"}, ("bad.yaml:", "dpid")),
    "a store that another controller has": Case({"--vmmob-store": "sqlite:///{dir}/held.db"}, ("held.db", "one controller")),
    "a token file that is not there": Case({"--vmmob-api_token_file": "{dir}/token"}, ("token file", "No such file")),
    "an open door": Case({"--wsapi-host": "0.0.0.0"}, ("--wsapi-host", "token")),
    "tokens that all can read": Case({"--vmmob-api_token_file": "{dir}/open"}, ("{dir}/open", "chmod 600")),
    "a part of OpenFlow's TLS": Case({"--ctl-cert": "{dir}/x.pem"}, ("--ctl-privkey", "a part")),
    "a port for TLS without any": Case({"--ofp-ssl-listen-port": "6653"}, ("--ofp-ssl-listen-port", "--ctl-cert")),
    "TLS without its port": Case({"--ctl-cert": "x", "--ctl-privkey": "x"}, ("--ofp-ssl-listen-port", "--ofp-tcp-listen-port")),
    "a part of REST's TLS": Case({"--vmmob-rest_client_ca": "x"}, ("--vmmob-rest_certificate", "a part")),
    "a certificate that is not there": Case(
        {"--vmmob-rest_certificate": "{dir}/x.pem", "--vmmob-rest_private_key": "{dir}/x.key"}, ("REST over TLS", "x.key")
    ),
    "a certificate that is none": Case(
        {"--vmmob-rest_certificate": "{dir}/text", "--vmmob-rest_private_key": "{dir}/text"}, ("REST over TLS", "{dir}/text")
    ),
    "a key that all can read": Case(
        {"--vmmob-rest_certificate": "{dir}/text", "--vmmob-rest_private_key": "{dir}/open"}, ("{dir}/open", "chmod 600")
    ),
    "named switches without TLS": Case({"--vmmob-switch_certificates": "named"}, ("switch_certificates", "--ca-certs")),
    "a negative interval": Case({"--vmmob-audit_interval": "-1"}, ("audit_interval", "-1")),
    "the REST port taken": Case({"--wsapi-port": "{taken}"}, ("REST", "{taken}", "in use")),
    "the OpenFlow port taken": Case({"--ofp-tcp-listen-port": "{taken}"}, ("OpenFlow", "{taken}", "in use")),
    "the OpenFlow port shared": Case({"--ofp-tcp-listen-port": "{shared}"}, ("OpenFlow", "{shared}", "in use")),
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, subprocess.Popen[str]], dict[str, str]]]:
    """Every wrong controller, all at once."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "bad.yaml").write_text((FABRICS / "example.yaml").read_text().replace('"0x0b"', '"0x0a"'))
    for name, mode in (("open", 0o644), ("text", 0o600)):
        (folder / name).write_text("b3BlcmF0b3Itb2YtY2xvdWQ\n")
        (folder / name).chmod(mode)
    held = open_store(f"sqlite:///{folder}/held.db")
    taken = socket.create_server(("127.0.0.1", 0))
    # Another controller: eventlet lets several processes listen on one port, and the kernel deals switches out among them.
    shared = socket.create_server(("127.0.0.1", 0), reuse_port=True)
    names = {"dir": str(folder), "taken": str(taken.getsockname()[1]), "shared": str(shared.getsockname()[1])}
    processes = {}
    for name, case in CASES.items():
        openflow, rest = free_ports(2)
        options = {
            "--vmmob-fabric": str(FABRICS / "example.yaml"), "--vmmob-store": "sqlite:///:memory:",
            "--ofp-tcp-listen-port": str(openflow), "--wsapi-port": str(rest),
        } | {key: value.format(**names) for key, value in case.options.items()}  # fmt: skip
        manager = str(Path(sys.executable).with_name("ryu-manager"))
        processes[name] = subprocess.Popen(
            [manager, "ryu_vmmob.apps.vmmob", *(f"{key}={value}" for key, value in options.items())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        )  # fmt: skip
    yield processes, names
    for process in processes.values():
        process.kill()
        process.wait()
    held.close()
    taken.close()
    shared.close()


@pytest.mark.parametrize("name", CASES)
def test_one_clear_sentence(started: tuple[dict[str, subprocess.Popen[str]], dict[str, str]], name: str) -> None:
    processes, names = started
    try:
        said, _ = processes[name].communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired as over:
        pytest.fail(f"it runs: {over.stdout!r}")
    assert processes[name].returncode not in (0, None)
    assert "Traceback" not in said, said
    sentence = said.strip().splitlines()[-1]
    for part in CASES[name].says:
        assert part.format(**names) in said, said
    assert sentence.startswith(("vmmob: ", "argument ", str(Path(names["dir"])))), said
