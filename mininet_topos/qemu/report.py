"""Moves of a QEMU guest as tables for people and as plain values for programs, and what was promised and not kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from mininet_topos.qemu.world import Record

FEW = 2
"""Packets that a move may lose or double each way: in nine of ten moves there is none."""


@dataclass(frozen=True)
class Group:
    """Moves of one kind, under one title."""

    title: str
    records: Sequence[Record]


def in_pause(record: Record) -> int:
    """Packets that were sent to the guest while it stood still."""
    return sum(one.in_pause for one in record.outcome.to_guest)


def lost(record: Record) -> int:
    """Packets to the guest that it did not get."""
    return sum(one.lost for one in record.outcome.to_guest)


def doubled(record: Record) -> int:
    """Packets that the guest got once more."""
    return sum(one.doubled for one in record.outcome.to_guest)


def stale(record: Record) -> int:
    """Packets that the guest got after one that was sent more than a second later."""
    return sum(one.stale for one in record.outcome.to_guest)


def reordered(record: Record) -> int:
    """Packets that the guest got after a later one."""
    return sum(one.reordered for one in record.outcome.to_guest)


def lost_from_guest(record: Record) -> int:
    """Packets from the guest that did not arrive."""
    return sum(one.lost for one in record.outcome.from_guest)


def doubled_from_guest(record: Record) -> int:
    """Packets from the guest that arrived once more."""
    return sum(one.doubled for one in record.outcome.from_guest)


def delivered_ms(record: Record) -> float | None:
    """From the guest's stop until the network had confirmed that it delivers to the target."""
    pause = record.pause
    return None if pause.delivered is None else (pause.delivered - pause.stopped) / 1e6


def flawless(record: Record) -> bool:
    """Whether the guest got every packet once, in time."""
    return not (lost(record) or doubled(record) or stale(record))


def faults(record: Record) -> list[str]:
    """Return what the product promises of a move and did not keep, one sentence each."""
    outcome, tcp = record.outcome, record.outcome.tcp
    found = []
    if lost(record) + doubled(record) > FEW:
        found += [f"{one.name}: {one.lost} of {one.sent} packets lost" for one in outcome.to_guest if one.lost]
        found += [f"{one.name}: {one.doubled} packets doubled" for one in outcome.to_guest if one.doubled]
    found += [f"{one.name}: {one.stale} packets came when they were stale" for one in outcome.to_guest if one.stale]
    if lost_from_guest(record) + doubled_from_guest(record) > FEW:
        found += [f"{one.name}: {one.lost} of {one.sent} packets lost" for one in outcome.from_guest if one.lost]
        found += [f"{one.name}: {one.doubled} packets doubled" for one in outcome.from_guest if one.doubled]
    found += [f"{one.name}: {one.received} packets delivered" for one in outcome.forbidden if one.received]
    if tcp is not None and not tcp.alive:
        found.append(f"TCP connection: {tcp.arrived} of {tcp.written} bytes arrived, {tcp.ended or 'not closed'}")
    if tcp is not None and tcp.timeouts:
        found.append(f"TCP connection: {tcp.timeouts} retransmission time-outs")
    return found


COLUMNS: tuple[tuple[str, Callable[[Record], float | None]], ...] = (
    ("pause, ms", lambda record: record.pause.milliseconds),
    ("sent in it", in_pause),
    ("deliver after, ms", delivered_ms),
    ("sent on", lambda record: record.pause.sent_on if record.migration is not None else None),
    ("lost", lost),
    ("doubled", doubled),
    ("stale", stale),
    ("reordered", reordered),
    ("from guest lost", lost_from_guest),
    ("TCP time-outs", lambda record: None if record.outcome.tcp is None else record.outcome.tcp.timeouts),
)


def table(console: Console, groups: Sequence[Group]) -> None:
    """One line a group; of several moves each cell has the least, the median and the greatest value."""
    found = Table(title="Packets to the guest, all streams of a move together (several moves: least / median / greatest)")
    found.add_column("")
    found.add_column("moves", justify="right")
    for title, _ in COLUMNS:
        found.add_column(title, justify="right")
    found.add_column("flawless", justify="right")
    for group in groups:
        cells = [_cell([value(record) for record in group.records]) for _, value in COLUMNS]
        good = sum(map(flawless, group.records))
        found.add_row(group.title, str(len(group.records)), *cells, f"{good} of {len(group.records)}")
    console.print(found)


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    shown = {f"{value:.0f}" for value in known}
    if len(shown) == 1:
        return shown.pop()
    return f"{min(known):.0f} / {statistics.median(known):.0f} / {max(known):.0f}"


def values(record: Record) -> dict[str, Any]:
    """One move as plain values. Times in milliseconds."""
    outcome, migration = record.outcome, record.migration
    leg: Mapping[str, Any] = migration["interfaces"][0] if migration else {}
    delivered = delivered_ms(record)
    return {
        "kind": record.kind,
        "vm": "web-1",
        "from": record.source,
        "to": record.target,
        "vlan_ids": {"before": leg.get("from_vlan_id"), "after": leg.get("to_vlan_id")},
        "pause_ms": round(record.pause.milliseconds, 3),
        "packets_sent_in_pause": in_pause(record),
        "delivered_after_ms": None if delivered is None else round(delivered, 3),
        "frames_late": record.pause.late,
        "frames_late_before_the_pause": record.pause.unread,
        "frames_sent_on": record.pause.sent_on,
        "packets_sent": sum(one.sent for one in outcome.to_guest) + sum(one.sent for one in outcome.from_guest),
        "packets_lost": lost(record) + lost_from_guest(record),
        "packets_doubled": doubled(record) + doubled_from_guest(record),
        "packets_stale": stale(record),
        "packets_reordered": reordered(record),
        "longest_gap_ms": round(max(one.longest_gap for one in outcome.from_guest), 3),
        "streams": [asdict(one) for one in outcome.to_guest] + [asdict(one) for one in outcome.from_guest],
        "forbidden": [{"name": one.name, "sent": one.sent, "received": one.received} for one in outcome.forbidden],
        "hops": {"before": record.hops_before, "after": record.hops_after},
        "flow_mods": _flow_mods(migration),
        "tcp": None if outcome.tcp is None else asdict(outcome.tcp),
        "machine_drops": dict(outcome.machine_drops),
        "timeline": list(migration["timeline"]) if migration else [],
        "faults": faults(record),
    }


def _flow_mods(migration: Mapping[str, Any] | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in migration["timeline"] if migration else ():
        for switch, number in entry.get("flow_mods", {}).items():
            found[switch] = found.get(switch, 0) + number
    return {switch: number for switch, number in sorted(found.items()) if number}
