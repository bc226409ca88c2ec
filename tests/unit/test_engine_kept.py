"""What an engine keeps has a bound: once events, moves, batches and offenders are full, a round of everything leaves nothing.

Objects are counted by type, and blocks of Python's allocator for what the collector does not know (docs/performance.md, soak).
Caches with a bound of their own (`functools.lru_cache`) are emptied first.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from ryu_vmmob.bench.caches import empty_caches
from ryu_vmmob.engine import refusals
from ryu_vmmob.engine.events import EventStream
from ryu_vmmob.flows.pipeline import SEGMENT
from ryu_vmmob.frames.arp_nd import arp_request
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model import migration_steps
from ryu_vmmob.model.batches import rows
from ryu_vmmob.model.batches.commands import AbortBatch, StartBatch
from ryu_vmmob.model.commands import Abort, Activate, Commit, DeleteCug, DeleteVm, StartMigration
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import Site
from tests.support.fabrics import LEFT_A, two_planes
from tools.import_graph import modules

EVENTS, MOVES, BATCHES, OFFENDERS = 60, 4, 2, 8
ROUNDS = OFFENDERS
"""Of `everything`: enough to fill all of these, and offenders are then as many again after as many rounds."""
SPARE = 16
"""Blocks a round that the allocator and the interpreter may take: an event, a move or an offender that stays takes more."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """With small bounds."""
    monkeypatch.setattr(EventStream.__init__, "__defaults__", (EVENTS, None))
    monkeypatch.setattr(migration_steps, "KEPT", MOVES)
    monkeypatch.setattr(rows, "KEPT", BATCHES)
    monkeypatch.setattr(refusals, "_MAX_OFFENDERS", OFFENDERS)
    return Site(two_planes(), cug(routing_domain="red"), vm(), vm("web2", "a2", nic(12)))


def everything(site: Site, number: int, *, links: bool = True) -> None:
    """A round of what there is to do, at whose end the state is what it was; ``number`` makes new names. With ``links`` one
    fails and comes back.
    """
    engine, network = site.engine, site.engine.network
    for to in ("b1", "a1"):
        engine.execute(StartMigration(f"m-{number}-{to}", "web1", to, timeout=300.0, commit="request"))
        site.confirm()
        for command in (Activate(f"m-{number}-{to}"), Commit(f"m-{number}-{to}")):
            engine.execute(command)
            site.confirm()
    engine.execute(StartMigration(f"n-{number}", "web2", "b1", timeout=300.0))
    engine.execute(Abort(f"n-{number}"))
    site.confirm()
    engine.execute(StartBatch(f"b-{number}", ("a2",)))
    engine.execute(AbortBatch(f"b-{number}"))
    site.confirm()
    engine.execute(cug(f"cug-{number}", 9), vm(f"vm-{number}", "b1", nic(77, f"cug-{number}", 9)))
    engine.execute(PutPolicy(f"p-{number}", allow=False, source=Selector("cug", "web"), target=Selector("vm", f"vm-{number}")))
    site.confirm()
    engine.execute(DeletePolicy(f"p-{number}"), DeleteVm(f"vm-{number}"), DeleteCug(f"cug-{number}"))
    site.confirm()
    if links:
        network.links_seen(frozenset({LEFT_A}))
        site.confirm()
        network.links_seen(frozenset())
        site.confirm()
    stranger = parse(arp_request(0x02DEAD000000 | number, 10 << 24 | 99, 10 << 24 | 1))
    assert stranger is not None
    network.frame_refused("tor-a", 1, SEGMENT.of(site.state.cugs["web"].key)[0], stranger)
    wake = site.queue.pause
    engine.fleet.connected("tor-b", wake, site.now)
    engine.fleet.confirm("tor-b", engine.fleet.begin_reconciliation("tor-b"))
    site.confirm()
    site.now += 100.0  # VLAN-IDs rest for 60 s
    engine.look()
    site.confirm()


def emptied() -> None:
    """Caches with a bound of their own hold nothing, and there is no garbage."""
    empty_caches()
    gc.collect()


def objects() -> Counter[type]:
    """By type, those that the collector knows."""
    found: Counter[type] = Counter()
    for thing in gc.get_objects():
        found[type(thing)] += 1  # `Counter(...)` would ask abstract classes, which keep what they were asked
    return found


def test_nothing_is_left_of_a_round_once_all_that_is_kept_is_full(site: Site) -> None:
    numbers = count(1)
    for _ in range(2 * ROUNDS):
        everything(site, next(numbers))
    assert len(site.engine.events) == EVENTS
    assert len(site.state.migrations) == MOVES
    assert len(site.state.batches) == BATCHES
    emptied()
    before = objects()
    blocks = sys.getallocatedblocks()
    for _ in range(ROUNDS):
        everything(site, next(numbers))
    emptied()
    blocks_after = sys.getallocatedblocks()  # before the next count, which takes blocks itself
    after = objects()
    grown = {kind.__qualname__: number - before[kind] for kind, number in after.items() if number >= before[kind] + ROUNDS}
    assert not grown, "by type, what is left of each round"
    assert blocks_after - blocks < SPARE * ROUNDS


def test_a_round_leaves_nothing_in_a_cycle(site: Site) -> None:
    """What is in a cycle when the `Freezer` freezes, in a pause of a command, is never freed.

    Without links: networkx has cycles in its graphs, which live between two pauses.
    """
    everything(site, 1, links=False)
    gc.collect()
    gc.disable()
    try:
        everything(site, 2, links=False)
        assert gc.collect() == 0
    finally:
        gc.enable()


def unbounded(file: Path) -> list[str]:
    """Functions of a file whose results are kept without a bound."""
    found = []
    functions = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))
    for node in functions:
        for decorator in node.decorator_list:
            text = ast.unparse(decorator).removeprefix("functools.")
            if text == "cache" or (text.startswith("lru_cache(") and "None" in text):
                found.append(f"{file.stem}.{node.name}")
    return found


def test_results_are_kept_without_a_bound_only_where_there_is_one_question() -> None:
    """Files of the dashboard, and the description of the routes: no request and no command says what is asked."""
    files = [row.file for row in modules()]
    assert len(files) > 300
    assert sorted(name for file in files for name in unbounded(file)) == ["__init__._files", "openapi.describe"]
