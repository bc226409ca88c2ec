"""How much is done between two pauses does not grow with how much there is to do: counted in instructions."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from ryu_vmmob.bench import growth
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.memory import MADE, Freezer
from ryu_vmmob.model.batches.commands import StartBatch
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command, PutVm
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import with_fabric
from ryu_vmmob.rest import formats
from ryu_vmmob.rest.bulk_body import read_bulk
from ryu_vmmob.store import open_store
from tests.support.rest_service import FABRIC, Service

FEW, MANY = 60, 480
EMPTY = with_fabric(None, FABRIC)
ENOUGH = 2


class Counter:
    """Counts instructions of Python between pauses: a loop that calls nothing takes its time too."""

    def __init__(self) -> None:
        self.steps = self.most = self.pauses = 0

    def pause(self) -> None:
        self.most, self.steps = max(self.most, self.steps), 0
        self.pauses += 1

    def _traced(self, frame: FrameType, event: str, argument: object) -> Any:
        del argument
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.steps += 1
        return self._traced

    def during(self, work: Callable[[], object]) -> int:
        """The most instructions between two pauses of some work."""
        self.steps = self.most = 0
        before = sys.gettrace()
        sys.settrace(self._traced)
        try:
            work()
        finally:
            sys.settrace(before)
        self.pause()
        return self.most


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses after fewer pieces than in earnest, so that small numbers of VMs show it."""
    original = Breath.__init__

    def init(self: Breath, pause: Callable[[], None] = lambda: None, enough: int = ENOUGH) -> None:
        original(self, pause, enough)

    monkeypatch.setattr(Breath, "__init__", init)


def crowd(number: int) -> list[Command]:
    """CUGs of five VMs, on three racks."""
    found: list[Command] = [growth.wide(cug, routed=False) for cug in range(number // 5)]
    return found + [growth.member(cug, at, at % 3) for cug in range(number // 5) for at in range(5)]


def most_of(number: int, last: Callable[[Engine, list[Command]], object], first: bool) -> int:
    counter, commands = Counter(), crowd(number)
    engine = Engine(growth.leaves(4), open_store("sqlite:///:memory:"), lambda: 0.0)
    if first:
        engine.execute(*commands)
    engine.alone.pause = counter.pause  # type: ignore[method-assign]
    commit = engine._store.commit

    def unseen(*rest: Any, **options: Any) -> None:
        """What is stored at once is stored in one piece: some 10 us for each object."""
        trace = sys.gettrace()
        sys.settrace(None)
        commit(*rest, **options)
        sys.settrace(trace)

    engine._store.commit = unseen  # type: ignore[method-assign]
    return counter.during(lambda: last(engine, commands))


def refused(engine: Engine, commands: list[Command]) -> None:
    with pytest.raises(Refusal):
        engine.execute(*commands, PutVm("late", "nowhere", ()))


def evacuate(engine: Engine, commands: list[Command]) -> None:
    del commands
    engine.execute(StartBatch("b", servers=("srv-0-0",)))


@pytest.mark.parametrize(
    ("work", "first"),
    [(lambda engine, commands: engine.execute(*commands), False), (refused, False), (evacuate, True)],
    ids=["accepted", "refused", "evacuation"],
)
def test_a_command_pauses_as_often_as_it_is_long(work: Callable[[Engine, list[Command]], object], first: bool) -> None:
    few, many = (most_of(number, work, first) for number in (FEW, MANY))
    assert many < 2 * few


def _service(number: int) -> Service:
    service = Service()
    cugs = {f"c{cug}": {"subnets": [f"10.{cug}.0.0/16"]} for cug in range(number // 20)}
    vms = {}
    for at in range(number):
        mac, ip = f"02:00:00:01:{at // 256:02x}:{at % 256:02x}", f"10.{at // 20}.1.{at % 20 + 1}"
        vms[f"v{at}"] = {"server": "srv-a1", "interfaces": [{"cug": f"c{at // 20}", "mac": mac, "ips": [ip]}]}
    answer = service.ask("POST", "/v1/bulk", {"cugs": cugs, "vms": vms})
    assert answer.status_code == 200, answer.text
    return service


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/v1/vms", formats.JSON),
        ("/v1/vms", formats.MSGPACK),
        ("/v1/events", formats.JSON),
        ("/v1/events?text=vm", formats.JSON),
        ("/v1/events?since=1", formats.JSON),
        ("/v1/l2_domains/rack-a", formats.JSON),
        ("/v1/switches/tor-a/flows", formats.JSON),
        ("/v1/switches/tor-a/flows", formats.MSGPACK),
    ],
)
def test_an_answer_pauses_as_often_as_it_is_long(path: str, accept: str) -> None:
    found = []
    for number in (40, 160):
        service, counter = _service(number), Counter()
        service.engine.alone.pause = counter.pause  # type: ignore[method-assign]
        found.append(counter.during(lambda: service.ask("GET", path, Accept=accept)))  # noqa: B023 - called here
    assert found[1] < 2 * found[0]


def test_a_body_is_read_with_pauses() -> None:
    found = []
    for number in (FEW, MANY):
        counter = Counter()
        body = {"vms": {f"v{at}": {"server": "a", "interfaces": []} for at in range(number)}}
        found.append(counter.during(lambda: read_bulk(body, Breath(counter.pause)).ordered(EMPTY, Breath(counter.pause))))  # noqa: B023
    assert found[1] < 2 * found[0]


def test_a_body_in_json_with_too_many_elements_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_unique", lambda pairs: pytest.fail("it was decoded"))
    monkeypatch.setattr(formats, "_check_size", lambda *rest: pytest.fail("it was decoded"))
    service = Service()
    for body in (b"[" + b"[]," * 20_000 + b"[]]", b'{"a": [' + b"1," * 20_000 + b"1]}", b"[" + b'{"a":1},' * 20_000 + b"0]"):
        assert service.ask("PUT", "/v1/cugs/web", body).status_code == 413


def test_a_long_body_is_decoded_aside() -> None:
    """Where the others go on meanwhile, and what it comes to is what it would be here."""
    service, done = Service(), []

    def aside(work: Callable[[], Any]) -> Any:
        done.append(work)
        return work()

    service.app._aside = aside
    long = {"vms": {f"v{at}": {"server": "a", "interfaces": []} for at in range(5000)}}
    answer = service.ask("POST", "/v1/bulk", long)
    assert answer.status_code == 422
    assert len(done) == 1
    assert service.ask("POST", "/v1/bulk", {"vms": {}}).status_code == 200
    assert len(done) == 1


@pytest.fixture
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("_thresholds")
def test_full_collections_are_made_by_the_freezer_alone() -> None:
    freezer = Freezer()
    gc.collect()
    before = gc.get_stats()[2]["collections"]
    lasting = [[number] for number in range(400_000)]
    assert gc.get_stats()[2]["collections"] == before, "one began by itself"
    assert gc.get_count()[2] >= MADE
    freezer.look()
    assert gc.get_stats()[2]["collections"] == before + 1
    assert gc.get_freeze_count() >= len(lasting)
    freezer.look()
    assert gc.get_stats()[2]["collections"] == before + 1, "nothing was made since"
    del lasting


@pytest.mark.usefixtures("_thresholds")
def test_what_is_in_a_cycle_is_freed() -> None:
    class Node:
        def __init__(self) -> None:
            self.me = self

    from weakref import ref

    freezer = Freezer()
    gc.collect()
    rings = [Node() for _ in range(10)]
    watched = [ref(node) for node in rings]
    gc.collect()
    del rings
    _ = [[number] for number in range(200_000)]
    freezer.look()
    assert not any(node() for node in watched)
