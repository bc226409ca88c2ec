"""The controller is restarted against a full bridge: how fast 50,000 flows are checked, and what is sent.

First against flows that are all right, in turns with a raw socket that only reads what the bridge says it has. Then against a
bridge where one flow in a hundred was tampered with: a third deleted, a third altered under its cookie, a third put in beside
the others with our mark.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Final

from ryu_vmmob.bench.cpu import CpuTime
from ryu_vmmob.bench.evacuate import HOME, bodies, crowded
from ryu_vmmob.bench.install import CUGS, SWITCH, VMS, fill
from ryu_vmmob.bench.measure import Row, row
from ryu_vmmob.bench.raw import RawController
from ryu_vmmob.bench.site import BenchSite
from ryu_vmmob.bench.tap import FLOW_MOD, GROUP_MOD, Line, wait_for
from ryu_vmmob.flows import wire

RUNS: Final = 3
SHARE_WRONG: Final = 0.01
_HEAD: Final = re.compile(r"cookie=(0x[0-9a-f]+)(?:, table=(\d+))?")
COMPARED: Final = "messages to reconcile it"
"""What the controller writes to its log at the end of a comparison, before it sends anything."""


def run(vms: int = VMS, cugs: int = CUGS, runs: int = RUNS) -> Iterator[Row]:
    """Flows a second checked, flow-mods sent, and the same against tampered flows. Raises RuntimeError for a wrong outcome."""
    with BenchSite(crowded(), [SWITCH]) as site:
        site.load(bodies(vms, cugs, HOME))
        line = fill(site)
        flows = line.counts()[FLOW_MOD]
        site.disconnect(SWITCH)
        right = _flows(site)
        checked, read, sent, work = list[float](), list[float](), list[float](), list[float]()
        for _ in range(runs):
            line, seconds, used = _reconcile(site, 0)
            checked.append(flows / seconds)
            work.append(used / flows * 1e6)
            site.disconnect(SWITCH)
            sent.append(_changes(line))
            with RawController() as raw:
                site.point(SWITCH, f"tcp:127.0.0.1:{raw.port}")
                seconds, bodies_ = raw.read_flows()
            number = sum(len(wire.flow_stats_cookies(body)) for body in bodies_)
            if number != flows:
                raise RuntimeError(f"{flows} flows were sent, and {number} are there")
            read.append(number / seconds)
        case = f"{flows} right flows"
        for name, what, rates in (
            ("checked", "after a restart, from a switch's first answer to the verdict", checked),
            ("read only", "a raw socket reads what the switch has and looks at nothing", read),
        ):
            yield row(f"{case}: {name}", what, "flows per second", rates, more_is_better=True)
        ratios = [own / other for own, other in zip(checked, read, strict=True)]
        yield row(
            f"{case}: share of read only",
            "the controller's rate beside that in the same round",
            "ratio",
            ratios,
            more_is_better=True,
        )
        yield row(f"{case}: controller's work", "processor time of the controller", "CPU µs per flow", work)
        yield row(f"{case}: sent", "flow-mods and group-mods", "messages", sent)
        chance = random.Random(5)  # noqa: S311 - which flows are tampered with
        sent, times, work, wrong = list[float](), list[float](), list[float](), 0
        for _ in range(runs):
            wrong = _tamper(site, right, chance)
            line, seconds, used = _reconcile(site, 1)
            site.until_in_step(SWITCH)
            site.disconnect(SWITCH)
            times.append(line.filling)
            work.append(used / flows * 1e6)
            sent.append(_changes(line))
            if _flows(site) != right:
                raise RuntimeError("the switch was not put right")
        case = f"{flows} flows, {wrong} wrong"
        yield row(f"{case}: sent", "flow-mods and group-mods", "messages", sent)
        yield row(f"{case}: time", "after a restart, from a switch's first answer to the last confirmation", "seconds", times)


def _reconcile(site: BenchSite, commits: int) -> tuple[Line, float, float]:
    """Restart the controller and connect: the connection, seconds to the verdict, processor time of the controller.

    It returns when so many bundles have been confirmed.
    """
    site.controller.stop()
    site.controller.start()
    log, used = site.log_size, CpuTime(site.controller.pid)
    line = site.connect(SWITCH)
    end, worked = site.said(log, COMPARED), used.seconds
    wait_for(lambda: line.commits >= commits, "nothing is put right")
    if line.began is None:
        raise RuntimeError("the switch has not answered")
    return line, end - line.began, worked


def _changes(line: Line) -> int:
    counts = line.counts()
    return counts[FLOW_MOD] + counts[GROUP_MOD]


def _flows(site: BenchSite) -> list[str]:
    text = site.ovs.ofctl("--no-stats", "dump-flows", SWITCH)
    return sorted(entry.strip() for entry in text.splitlines() if "actions=" in entry)


def _tamper(site: BenchSite, right: list[str], chance: random.Random) -> int:
    """Make a share of the flows wrong, in three ways; how many."""
    third = max(1, round(len(right) * SHARE_WRONG / 3))
    rows = [(found[1], found[2] or "0") for found in map(_HEAD.search, right) if found and "actions=drop" not in found.string]
    chosen = chance.sample(rows, 2 * third)
    lines = [f"delete cookie={cookie}/-1" for cookie, _ in chosen[:third]]
    lines += [f"modify table={table},cookie={cookie}/-1,actions=drop" for cookie, table in chosen[third:]]
    marked = (0x7A << 56 | chance.getrandbits(56) for _ in range(third))
    lines += [
        f"add cookie={cookie:#x},table=7,priority=7,metadata={number},actions=drop" for number, cookie in enumerate(marked)
    ]
    site.ovs.ofctl("--bundle", "add-flows", SWITCH, "-", stdin="\n".join(lines) + "\n")
    return 3 * third
