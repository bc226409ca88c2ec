"""The demonstration and its repetition as an administrator runs them: exit status, last line, and nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.laboratory import MISSING, ROOT

if TYPE_CHECKING or not MISSING:
    from mininet_topos import registry

END_SECONDS = 120.0
DEMO = (sys.executable, "-m", "mininet_topos.demo", "--imitated")


def _processes_of(run_dir: str) -> list[str]:
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            told = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
        except OSError:
            continue
        if run_dir.encode() in told:
            found.append(proc.name)
    return found


def test_demo() -> None:
    done = subprocess.run(DEMO, cwd=ROOT, capture_output=True, text=True, timeout=END_SECONDS)
    print(done.stdout, done.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, said["held"], said["faults"]) == (0, True, [])
    assert said["real_vms"] is False
    assert (said["packets_lost"], said["packets_doubled"]) == (0, 0)
    assert said["forbidden_packets_sent"] > 1000
    assert said["forbidden_packets_delivered"] == 0
    racks, centres = said["moves"]
    assert said["packets_sent"] == racks["packets_sent"] + centres["packets_sent"] > 8000
    for move in (racks, centres):
        assert move["vlan_ids"]["before"] == move["vlan_ids"]["after"] is not None  # a vNIC keeps its number
        assert sum(move["flow_mods"].values()) > 0
        assert move["hops"]["before"] != move["hops"]["after"]
        assert len(move["streams"]) == 8
        assert {"web-1 > db-3 (IPv6)", "db-3 > web-1 (IPv6)"} <= {one["name"] for one in move["streams"]}


def test_an_interrupted_demo_leaves_nothing() -> None:
    child = subprocess.Popen(DEMO, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    for line in child.stderr:
        if line.startswith("web-1 moves"):
            break
    (record,) = [record for record in registry.records() if record.pid == child.pid]
    assert _processes_of(record.run_dir)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=END_SECONDS)
    assert child.returncode == 130, said
    deadline = time.monotonic() + 10
    while left := _processes_of(record.run_dir):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.1)
    assert not Path(record.run_dir).exists()
    assert child.pid not in {record.pid for record in registry.records()}
