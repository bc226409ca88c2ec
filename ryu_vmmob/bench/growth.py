"""How the cost of one command grows, in processor time of the engine alone, without switches.

`edge`: a VM comes to an edge new to its CUG. The edge needs flows for every member, and every edge needs one for the VM: the
cost may grow with the messages, and with nothing else. `policies`: the same beside policies of other CUGs, which do not concern
it. `domain`: CUGs in one routing domain, and a restart with them. `refused`: a bulk that finds a domain full with its last
object, beside one that does not.

Members are compared with empty caches as well (`bench.caches`), because only a small case finds in them what it needs. The
cycle collector is set as in the controller (`memory`): as Python sets it, it looks at all that is new again and again.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Final, NamedTuple

from ryu_vmmob.bench import fabrics
from ryu_vmmob.bench.caches import empty_caches
from ryu_vmmob.bench.measure import Row, row
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.precedence import Unshared
from ryu_vmmob.fabric import examine
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.memory import Freezer
from ryu_vmmob.model.commands import Command, PutCug, PutVm
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.store import Store, open_store

EDGES: Final = (4, 40, 100, 400)
MEMBERS: Final = (10, 100, 1000, 10_000)
AMONG: Final = 50
"""Edges for so many members."""
POLICIES: Final = (10, 100, 1000, 10_000)
CUGS: Final = (100, 1000, 10_000)
BULKS: Final = (250, 1000, 2000)
RUNS: Final = 3


class Cost(NamedTuple):
    """Processor time in seconds, messages to switches together, and the longest time without a pause, in seconds."""

    seconds: float
    messages: int
    silence: float


def leaves(tors: int, tagging: str = "per_cug", numbers: str = "2-4000") -> Fabric:
    """So many racks, each an L2 domain, whose servers all tag in one way; ``numbers`` are the racks' VLAN-IDs."""
    body = fabrics.leaf_spine(tors)
    for server in body["servers"].values():
        server["tagging"] = tagging
    for name, domain in body["l2_domains"].items():
        if name.startswith("rack"):
            domain["vlan_ids"] = numbers
    found = examine(json.dumps(body), "growth.json").fabric
    if found is None:
        raise ValueError("the fabric of the benchmark is not right")
    return found


def member(cug: int, number: int, tor: int) -> PutVm:
    """Return a VM with one interface, at a ToR."""
    address = (10 << 24) + (cug << 16) + 256 + number
    interface = Interface(f"cug-{cug}", 0x020000000000 | address, (IPv4Address(address),))
    return PutVm(f"vm-{cug}-{number}", fabrics.server_name(tor, 0), (interface,))


def wide(cug: int, *, routed: bool) -> PutCug:
    """Return a CUG with room for 65,000."""
    network = IPv4Network(((10 << 24) + (cug << 16), 16))
    return PutCug(f"cug-{cug}", (network,), (network[-2],), "all" if routed else None)


class _Timed(Unshared):
    """Measures the longest time between two pauses, in seconds of the processor."""

    def __init__(self) -> None:
        self.longest = self._began = 0.0

    def begin(self) -> float:
        """Forget what was, and return the time."""
        self.longest, self._began = 0.0, time.process_time()
        return self._began

    def pause(self) -> None:
        now = time.process_time()
        self.longest, self._began = max(self.longest, now - self._began), now


def cost(fabric: Fabric, before: Sequence[Command], last: Sequence[Command], *, forget: bool = False) -> Cost:
    """Return what ``last`` costs after ``before``; refused or not. With ``forget`` all caches are empty in between."""
    timed = _Timed()
    engine = Engine(fabric, open_store("sqlite:///:memory:"), lambda: 0.0, alone=timed)
    if before:
        engine.execute(*before)
    if forget:
        empty_caches()
    gc.freeze()  # as in the controller, whose collector does not look at what has lasted
    started = timed.begin()
    messages = 0
    try:
        ticket = engine.execute(*last)
    except Refusal:
        pass
    else:
        messages = sum(delta.messages for delta in ticket.deltas.values())
    timed.pause()
    return Cost(time.process_time() - started, messages, timed.longest)


def measured(case: str, what: str, run: Callable[[], Cost], runs: int) -> Iterator[Row]:
    """Rows of several runs of one case."""
    found = [run() for _ in range(runs)]
    yield row(case, what, "s", [each.seconds for each in found])
    yield row(case, f"{what}: messages", "", [each.messages for each in found])
    if found[0].messages:
        yield row(case, f"{what}: a message", "µs", [each.seconds / each.messages * 1e6 for each in found])
    yield row(case, f"{what}: longest time without a pause", "s", [each.silence for each in found])


def edge(members: Sequence[int] = MEMBERS, edges: Sequence[int] = EDGES, runs: int = RUNS) -> Iterator[Row]:
    """Yield a VM at an edge new to its CUG."""
    compared = [(count, min(count, AMONG)) for count in members]
    for count, tors in compared + [(count, count) for count in edges]:
        fabric = leaves(tors + 1)
        for routed in (False, True):
            before: list[Command] = [wide(1, routed=routed), *(member(1, number, number % tors) for number in range(count))]
            case = f"{count:,} members on {tors} edges, {'routed' if routed else 'not routed'}"
            last = [member(1, count, tors)]
            what = "a VM comes to an edge new to its CUG"
            yield from measured(case, what, lambda: cost(fabric, before, last), runs)  # noqa: B023
            if (count, tors) in compared:
                forgetful = f"{what}, caches empty"
                yield from measured(case, forgetful, lambda: cost(fabric, before, last, forget=True), runs)  # noqa: B023


def policies(counts: Sequence[int] = POLICIES, tors: int = AMONG, runs: int = RUNS) -> Iterator[Row]:
    """Yield a VM at an edge new to its CUG, beside policies of another one that is at many edges."""
    fabric = leaves(tors + 1)
    end = Selector("cug", "cug-1")
    for count in counts:
        before: list[Command] = [wide(1, routed=False), wide(2, routed=False), member(2, 0, 0)]
        before += [member(1, number, number) for number in range(tors)]
        ports = ((number % 65_000 + 1, number % 65_000 + 1) for number in range(count))
        before += [
            PutPolicy(f"p-{number}", allow=False, source=end, target=end, protocol=6, ports=(port,))
            for number, port in enumerate(ports)
        ]
        last = [member(2, 1, tors)]
        what = "a VM of another CUG comes to an edge new to it"
        yield from measured(f"{count:,} policies of others", what, lambda: cost(fabric, before, last), runs)  # noqa: B023


def domain(counts: Sequence[int] = CUGS, runs: int = RUNS) -> Iterator[Row]:
    """CUGs in one routing domain, all at once, and a start of the controller on their store."""
    fabric = leaves(2)
    for count in counts:
        cugs = [PutCug(f"cug-{n}", (IPv4Network(((10 << 24) + (n << 8), 24)),), (), "all") for n in range(count)]
        yield from measured(f"{count:,} CUGs in one domain", "they come", lambda: cost(fabric, [], cugs), runs)  # noqa: B023
        stored: Store = open_store("sqlite:///:memory:")
        Engine(fabric, stored, lambda: 0.0).execute(*cugs)
        found = []
        for _ in range(runs):
            began = time.process_time()
            Engine(fabric, stored, lambda: 0.0)
            found.append(time.process_time() - began)
        yield row(f"{count:,} CUGs in one domain", "the controller starts", "s", found)


def refused(counts: Sequence[int] = BULKS, runs: int = RUNS) -> Iterator[Row]:
    """Yield a bulk of so many CUGs and VMs on one rack, with a VLAN-ID for each, and with one too few."""
    for count in counts:
        commands: list[Command] = [
            PutCug(f"cug-{n}", (IPv4Network(((10 << 24) + (n << 8), 24)),)) for n in range(count)
        ]  # fmt: skip
        for number in range(count):
            address = (10 << 24) + (number << 8) + 10
            interface = Interface(f"cug-{number}", 0x020000000000 | address, (IPv4Address(address),))
            commands.append(PutVm(f"vm-{number}", fabrics.server_name(0, 0), (interface,)))
        for word, numbers in (("accepted", count), ("refused", count - 1)):
            fabric = leaves(1, numbers=f"2-{numbers + 1}")
            yield from measured(f"{count:,} VMs, {word}", "a bulk", lambda: cost(fabric, [], commands), runs)  # noqa: B023


def run() -> Iterator[Row]:
    """All of it. Raises ValueError when the fabric is not right."""
    Freezer()  # sets how often the collector runs
    yield from edge()
    yield from policies()
    yield from domain()
    yield from refused()
