"""A whole bridge is filled: 50,000 compiled flows from its first answer to the last confirmation, in turns by three hands.

By the controller, as it reconciles an empty switch; by a raw socket that sends the bytes the controller sent, made before; by
``ovs-ofctl --bundle add-flows`` from a text of the same flows (their groups are there already).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ryu_vmmob.bench.cpu import CpuTime
from ryu_vmmob.bench.echo import EchoProbe
from ryu_vmmob.bench.evacuate import HOME, bodies, crowded
from ryu_vmmob.bench.measure import Row, row
from ryu_vmmob.bench.raw import RawController
from ryu_vmmob.bench.site import BenchSite
from ryu_vmmob.bench.tap import FLOW_MOD, Line, Tap, bundle_step, messages_of, wait_for

VMS: Final = 5000
"""At one edge; with ten flows for each and those of their CUGs that makes 50,000."""
CUGS: Final = 100
RUNS: Final = 5
SWITCH: Final = "tor-a"
_OPEN, _COMMIT = 0, 4


class Bundle(NamedTuple):
    """What filled a switch, as bytes: from the opening of the bundle to the barrier behind it, and the commit."""

    body: bytes
    commit: bytes


def bundle_of(line: Line) -> Bundle:
    """Return the last bundle on a connection. Raises RuntimeError when there is none."""
    begin = end = None
    offset = 0
    data = b"".join(piece for _, piece in line.told)
    for message in messages_of(data):
        step = bundle_step(message)
        if step == _OPEN:
            begin = offset
        elif step == _COMMIT:
            end = offset, offset + len(message)
        offset += len(message)
    if begin is None or end is None:
        raise RuntimeError("the controller used no bundle")
    return Bundle(data[begin : end[0]], data[end[0] : end[1]])


def fill(site: BenchSite) -> Line:
    """Connect an empty bridge and wait until all is in it; the connection."""
    line = site.connect(SWITCH)
    wait_for(lambda: line.commits > 0, "the bridge is not filled")
    return line


def run(vms: int = VMS, cugs: int = CUGS, runs: int = RUNS) -> Iterator[Row]:
    """Flows a second of each, their ratios run by run, and how long another switch waited for an echo meanwhile."""
    with BenchSite(crowded(), [SWITCH]) as site:
        site.load(bodies(vms, cugs, HOME))
        line = fill(site)
        bundle, flows = bundle_of(line), line.counts()[FLOW_MOD]
        site.disconnect(SWITCH)
        bridge, name = site.bridges[SWITCH], SWITCH
        text = site.ovs.ofctl("--no-stats", "dump-flows", name)
        rules = "".join(f"{entry.strip()}\n" for entry in text.splitlines() if "actions=" in entry)
        if rules.count("\n") != flows:
            raise RuntimeError(f"{flows} flows were sent, and {rules.count(chr(10))} are there")
        groups = "".join(f"{entry.strip()}\n" for entry in site.ovs.ofctl("dump-groups", name).splitlines()[1:])
        path = site.directory / "groups.txt"
        path.write_text(groups)
        ours, theirs, text_, echoes, cpu = list[float](), list[float](), list[float](), list[float](), list[float]()
        for _ in range(runs):
            bridge.clear()
            with EchoProbe(site.openflow) as probe:
                used = CpuTime(site.controller.pid)
                line = fill(site)
                ours.append(line.filling)
                cpu.append(used.seconds / flows * 1e6)
            echoes.append(probe.longest)
            site.disconnect(SWITCH)
            bridge.clear()
            theirs.append(_raw(site, bundle))
            bridge.clear()
            text_.append(_by_text(site, path, rules))
    case = f"{flows} flows"
    for who, what, times in (
        ("controller", "from a switch's first answer to the last confirmation, by the controller", ours),
        ("raw socket", "the same bytes, made before, by a raw socket", theirs),
        ("ovs-ofctl", "the same flows as text, by ovs-ofctl --bundle add-flows", text_),
    ):
        yield row(f"{case}: {who}", what, "flows per second", [flows / each for each in times], more_is_better=True)
    for who, times in (("raw socket", theirs), ("ovs-ofctl", text_)):
        ratios = [other / own for own, other in zip(ours, times, strict=True)]
        yield row(
            f"{case}: share of {who}",
            "the controller's rate beside that in the same round",
            "ratio",
            ratios,
            more_is_better=True,
        )
    yield row(f"{case}: controller's work", "processor time of the controller", "CPU µs per flow", cpu)
    yield row(f"{case}: echo", "the longest that another switch waited for an echo reply meanwhile", "seconds", echoes)


def _raw(site: BenchSite, bundle: Bundle) -> float:
    """By way of a tap as well, so that what that costs is in both."""
    with RawController() as raw, Tap([SWITCH], raw.port) as tap:
        site.point(SWITCH, f"tcp:127.0.0.1:{tap.port(SWITCH)}")
        raw.install(*bundle)
        line = tap.line(SWITCH)
        wait_for(lambda: line.commits > 0, "the tap missed a reply")
        site.disconnect(SWITCH)
        return line.filling


def _by_text(site: BenchSite, groups: Path, rules: str) -> float:
    site.ovs.ofctl("add-groups", SWITCH, str(groups))
    began = time.monotonic()
    site.ovs.ofctl("--bundle", "add-flows", SWITCH, "-", stdin=rules)
    return time.monotonic() - began
