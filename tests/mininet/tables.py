"""The flow and group tables of a whole fabric as the switches have them, comparable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mininet_topos.lab import Lab

_DURATION = re.compile(r"duration=([\d.]+)s")


def flows(lab: Lab) -> dict[str, list[str]]:
    """Every flow of every switch, cookie included, without counters."""
    return {
        name: sorted(line.strip() for line in _lines(lab.ovs.ofctl("dump-flows", "--no-stats", lab.bridge(name))))
        for name in lab.fabric.switches
    }


def groups(lab: Lab) -> dict[str, list[str]]:
    """Every group of every switch."""
    return {name: sorted(_lines(lab.ovs.ofctl("dump-groups", lab.bridge(name)))) for name in lab.fabric.switches}


def youngest_flow(lab: Lab) -> float:
    """Age in seconds of the flow that was written last, on any switch (an overwritten flow is new)."""
    ages = [
        float(found[1])
        for name in lab.fabric.switches
        for line in _lines(lab.ovs.ofctl("dump-flows", lab.bridge(name)))
        if (found := _DURATION.search(line))
    ]
    return min(ages)


def _lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if "cookie=" in line or "group_id=" in line]
