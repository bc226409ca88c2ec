"""``vmmob evacuate`` and ``vmmob batch`` against the real REST application."""

from __future__ import annotations

import pytest

from ryu_vmmob.model.commands import Activate
from ryu_vmmob.model.objects import Phase
from tests.support.rest_service import vm
from tests.unit.cli_support import Shell, shell

__all__ = ["shell"]

SLEEP = "ryu_vmmob.cli.batch.sleep"


@pytest.fixture
def crowd(shell: Shell) -> Shell:
    """web1, web2, web3 on srv-a1."""
    service = shell.service.with_web()
    for number in (2, 3):
        service.put(f"/v1/vms/web{number}", vm(number=10 + number))
    service.confirm()
    return shell


def arriving(crowd: Shell, monkeypatch: pytest.MonkeyPatch, but: str = "") -> None:
    """While the command sleeps, time passes and VMs arrive; one of them is given up instead."""

    def hypervisor(seconds: float) -> None:
        engine = crowd.service.engine
        crowd.service.time += seconds
        crowd.service.confirm()
        for row in list(engine.state.migrations.values()):
            if row.phase is Phase.PREPARED:
                if row.vm == but:
                    crowd.service.ask("POST", f"/v1/migrations/{row.id}/abort", {"reason": "no room"})
                else:
                    engine.execute(Activate(row.id))
                break

    monkeypatch.setattr(SLEEP, hypervisor)


def test_the_plan(crowd: Shell) -> None:
    lines = crowd.run("evacuate", "srv-a1", "--dry-run", "--to", "srv-b1, srv-c1").stdout.splitlines()
    assert [line.split() for line in lines[6:]] == [
        ["VM", "from", "to", "state", "migration", "reason"],
        ["web1", "srv-a1", "srv-b1", "waiting", "-", "-"],
        ["web2", "srv-a1", "srv-c1", "waiting", "-", "-"],
        ["web3", "srv-a1", "srv-b1", "waiting", "-", "-"],
    ]
    assert crowd.json("batch", "list")["items"] == []


def test_begun_and_left_to_itself(crowd: Shell) -> None:
    begun = crowd.json("evacuate", "tor-a", "--switch", "--parallel", "2", "--mode", "cold", "--timeout", "20")
    assert (begun["switch"], begun["parallel"], begun["mode"], begun["timeout"]) == ("tor-a", 2, "cold", 20)
    (line,) = crowd.run("batch", "list").stdout.splitlines()[1:]
    assert line.split("  ")[:2] == [begun["id"], "switch tor-a"]
    assert "1 waiting, 2 preparing" in line
    shown = crowd.run("batch", "show", begun["id"]).stdout
    assert "1 waiting, 2 preparing" in shown
    aborted = crowd.run("batch", "abort", begun["id"], "--reason", "enough", "--wait", "5").stdout
    assert "2 aborted, 1 skipped" in aborted
    assert crowd.json("batch", "list", "--state", "running")["items"] == []


def test_seen_through_with_a_line_of_progress(crowd: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    arriving(crowd, monkeypatch)
    result = crowd.run("evacuate", "srv-a1", "--wait", "--parallel", "1")
    said = result.stderr.splitlines()
    assert said[0].endswith(": running, 2 waiting, 1 preparing")
    assert said[-1].endswith(": finished, 3 committed")
    assert len(said) == len(set(said)) > 3
    assert "finished" in result.stdout


def test_who_is_left_behind_makes_it_a_no(crowd: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    arriving(crowd, monkeypatch, but="web2")
    result = crowd.run("evacuate", "srv-a1", "--wait", status=1)
    assert "2 committed, 1 aborted" in result.stdout
    assert "no room" in result.stdout


def test_an_evacuation_in_which_no_vm_can_move_exits_with_1(crowd: Shell) -> None:
    crowd.run("migration", "start", "web1", "srv-c1")
    for name in ("web2", "web3"):
        crowd.run("vm", "delete", name)
    assert "is moving already" in crowd.run("evacuate", "srv-a1", status=1).stdout


def test_wrong_questions(crowd: Shell) -> None:
    assert "no server 'srv-x'" in crowd.run("evacuate", "srv-x", status=1).stderr
    assert "to[0]" in crowd.run("evacuate", "srv-a1", "--to", "srv-x", status=2).stderr
    assert "parallel" in crowd.run("evacuate", "srv-a1", "--parallel", "0", status=2).stderr
