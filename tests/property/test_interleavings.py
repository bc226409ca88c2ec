"""Everything at once: moves begun, seen, activated, committed, aborted while switches confirm one by one, refuse, go away.

Programs are drawn from seeds (`crowd`), so a failure is the same each time. `VMMOB_SEEDS` multiplies their number.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ryu_vmmob.engine.overdue import SILENCE
from ryu_vmmob.fabric import load
from ryu_vmmob.model.commands import Activate, Commit, StartMigration
from ryu_vmmob.model.objects import Phase
from tests.property.crowd import CALM, ROUGH, TIMEOUT, Crowd, happen
from tests.support.routed_networks import two_borders

FABRIC = load(Path(__file__).parents[2] / "etc" / "two-dcs.yaml")
SEEDS = int(os.environ.get("VMMOB_SEEDS", "1"))


def finish(crowd: Crowd) -> None:
    """All that has begun comes to its end, nothing is left of it, and every VM can be moved again at once."""
    crowd.come_to_rest()
    for _ in range(2):  # one that was heard at its target has its time twice
        for seconds in (TIMEOUT, SILENCE):  # and then both its places are asked
            crowd.now += seconds
            crowd.engine.progress()
            crowd.come_to_rest()
    for row in crowd.under_way():
        # What is not over by now waits for somebody's word.
        assert (row.phase, row.commit) == (Phase.ACTIVATED, "request"), row
        crowd.do(Commit(row.id))
    crowd.come_to_rest()
    crowd.now += 61
    crowd.engine.progress()
    crowd.come_to_rest()
    assert not crowd.state.quarantine
    assert not crowd.under_way()
    crowd.check_bookkeeping()
    crowd.check_oracles()
    assert not crowd.spoiled
    for name, one in sorted(crowd.state.vms.items()):
        crowd.made += 1
        for target in crowd.draw.sample(crowd.servers, len(crowd.servers)):
            if target != one.server:
                move = StartMigration(f"m{crowd.made}", name, target, activate_on="request")
                refusal = crowd.attempt("next move", move)
                if refusal is None:
                    break
                assert "moving" not in str(refusal)
        else:
            raise AssertionError(f"{name} cannot be moved anywhere")
    begun = {row.id for row in crowd.under_way()}
    assert len(begun) == len(crowd.state.vms)
    crowd.come_to_rest()
    for row in crowd.under_way():
        assert row.phase is Phase.PREPARED
        crowd.do(Activate(row.id))
    crowd.come_to_rest()
    assert {crowd.state.migrations[one].phase for one in begun} <= {Phase.COMMITTED}
    crowd.check_oracles()


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_packets_fare_well_while_moves_are_interleaved(seed: int) -> None:
    """Every invariant of the simulator, after each event."""
    crowd = Crowd(FABRIC, seed, vms=6, cugs=3)
    for _ in range(30):
        happen(crowd, CALM)
        crowd.check()
    finish(crowd)
    crowd.check()


@pytest.mark.parametrize("seed", range(8 * SEEDS))
def test_nothing_is_forgotten_on_a_bad_day(seed: int) -> None:
    """Refusals of switches, cables pulled, connections lost and restarts in between; flows and store after each event."""
    crowd = Crowd(two_borders() if seed % 4 else FABRIC, seed, vms=8, cugs=3)
    for _ in range(100):
        happen(crowd, ROUGH)
        crowd.check_bookkeeping()
        crowd.check_oracles()
    print(dict(sorted(crowd.tally.items())))
    finish(crowd)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_hundreds_of_moves_under_way_at_once(seed: int) -> None:
    crowd = Crowd(FABRIC, seed, vms=250, cugs=6)
    begun = 0
    for name, one in sorted(crowd.state.vms.items()):
        target = crowd.draw.choice([row for row in crowd.servers if row != one.server])
        begun += crowd.attempt("start", StartMigration(f"first-{name}", name, target, timeout=TIMEOUT)) is None
        if crowd.draw.random() < 0.2:
            happen(crowd, CALM)
    most = len(crowd.under_way())
    for number in range(400):
        happen(crowd, ROUGH)
        most = max(most, len(crowd.under_way()))
        crowd.check_bookkeeping()
        if number % 80 == 0:
            crowd.check_oracles()
    print(f"{begun} begun, up to {most} at once: {dict(sorted(crowd.tally.items()))}")
    assert most >= 200
    finish(crowd)
