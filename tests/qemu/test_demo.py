"""The demonstration with a real VM, as an administrator runs it: exit status and last line."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.laboratory import ROOT

END_SECONDS = 300.0


def test_demo() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mininet_topos.demo"], cwd=ROOT, capture_output=True, text=True, timeout=END_SECONDS
    )
    print(done.stdout, done.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    assert "IMITATED" not in done.stderr
    assert (said["real_vms"], len(said["moves"]), len(said["without_controller"])) == (True, 2, 2)
    assert said["packets_sent"] > 4000
    assert said["packets_sent_in_pause"] > 0
    assert said["frames_sent_on"] > 0
    assert said["forbidden_packets_sent"] > 1000
    assert said["forbidden_packets_delivered"] == 0
    assert said["packets_stale"] == 0
    assert said["packets_lost"] + said["packets_doubled"] <= 2  # as in the tests of moves
    assert (done.returncode == 0) == said["held"] == (said["faults"] == [])
    for move in said["without_controller"]:
        assert move["packets_lost"] >= 0.9 * move["packets_sent_in_pause"] > 0
