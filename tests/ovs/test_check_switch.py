"""``vmmob check-switch`` with a real Open vSwitch: what it says of itself, and what it does."""

from __future__ import annotations

import json
import socket
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.cli.main import app
from tests.support.bridges import MakeBridge

PORTS = (1, 2, 3, 4, 49, 50)
WORK = dict.fromkeys(("tor", "border", "spine"), "works")


def examined(*words: str) -> Any:
    result = CliRunner().invoke(app, ["check-switch", *words, "--json"])
    assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
    return json.loads(result.stdout)


def verdicts(found: Any) -> dict[str, str]:
    return {role: row["verdict"] for role, row in found["roles"].items()}


@pytest.mark.parametrize("more", [[], ["--try"]], ids=["asked", "tried"])
def test_everything_works_and_nothing_is_left(ovs: PrivateOvs, bridge: MakeBridge, more: list[str]) -> None:
    one = bridge("cs1", *PORTS)
    found = examined(str(ovs.run_dir / "cs1.mgmt"), *more)
    assert (verdicts(found), found["dialect"], found["table_sizes"]) == (WORK, "openvswitch", {})
    assert "Open vSwitch" in found["description"]
    assert (found["bundles"], found["ports"], found["controller"], found["remarks"]) == (True, len(PORTS), [], [])
    with one.client() as client:
        assert (client.cookies(), client.groups()) == ([], {})


def test_a_switch_that_connects(ovs: PrivateOvs, bridge: MakeBridge) -> None:
    one = bridge("cs2", *PORTS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    thread = Thread(target=one.connect, args=(0xC2, f"tcp:127.0.0.1:{port}"))
    thread.start()
    found = examined("--listen", str(port), "--host", "127.0.0.1")
    thread.join()
    assert found["dpid"] == "0x00000000000000c2"
    assert verdicts(found) == WORK


def test_a_trial_needs_ports(ovs: PrivateOvs, bridge: MakeBridge) -> None:
    bridge("cs3", 1, 2)
    result = CliRunner().invoke(app, ["check-switch", str(ovs.run_dir / "cs3.mgmt"), "--try"])
    assert (result.exit_code, "a trial needs 6 ports, and the switch has 2" in result.stderr) == (3, True)
