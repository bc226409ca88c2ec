"""A move's report as tables for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from mininet_topos.scenario import Hops, Report


def vlan(vlan_id: int | None) -> str:
    """Return a VLAN-ID for a table."""
    return "untagged" if vlan_id is None else str(vlan_id)


def tables(console: Console, reports: Sequence[Report]) -> None:
    """All reports."""
    console.print(_moves(reports))
    console.print(_packets(reports))
    for report in reports:
        if report.hops_before or report.hops_after:
            console.print(hops_table(_title(report), report.hops_before, report.hops_after))


def _title(report: Report) -> str:
    return f"{report.move.vm}: {report.move.source} > {report.move.target}"


def _moves(reports: Sequence[Report]) -> Table:
    table = Table(title="What moved")
    for column in ("move", "VLAN-ID", "TCP", "other CUGs heard", "flow-mods by switch"):
        table.add_column(column)
    for report in reports:
        before, after = report.move.vlan_ids
        tcp = "not tried"
        if report.tcp:
            broken = report.tcp["ended"] or report.tcp["out_of_order"]
            tcp = f"broken: {broken}" if broken else f"lives: {report.tcp['echoed']} of {report.tcp['written']} lines"
            tcp = f"{report.tcp['client']} > {report.tcp['server']}\n{tcp}"
        mods = report.move.flow_mods
        table.add_row(
            _title(report),
            f"{vlan(before)} > {vlan(after)}",
            tcp,
            str(sum(s.frames for seen in report.foreign.values() for s in seen)),
            f"{sum(mods.values())}: " + ", ".join(f"{switch} {number}" for switch, number in mods.items()),
        )
    return table


def _packets(reports: Sequence[Report]) -> Table:
    table = Table(title="Packets (gaps in ms; the machine's own: what the sender paused)")
    table.add_column("move")
    table.add_column("stream")
    for column in ("sent", "lost", "doubled", "reordered", "longest gap", "machine's own"):
        table.add_column(column, justify="right")
    for report in reports:
        for result in report.results:
            table.add_row(
                _title(report),
                result.name,
                str(result.sent),
                _bad(result.lost),
                _bad(result.doubled),
                str(result.reordered),
                f"{result.longest_gap:.1f}",
                f"{result.sender_longest_pause:.1f}",
            )
        for result in report.forbidden:
            outcome = f"[bold red]{result.received} delivered[/]" if result.received else "all"
            table.add_row(_title(report), result.name, str(result.sent), outcome, *["-"] * 4)
        table.add_section()
    return table


def _bad(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"


def hops_table(title: str, before: Hops, after: Hops) -> Table:
    """VLAN-IDs on the cables before and after a move."""
    table = Table(title=f"VLAN-IDs on the cables\n{title}")
    for column in ("cable", "before", "after"):
        table.add_column(column)
    for link in sorted({*before, *after}):
        table.add_row(link, _cell(before, link), _cell(after, link))
    return table


def _cell(hops: Hops, link: str) -> str:
    return ", ".join(vlan(one) for one in hops[link]) if link in hops else "-"


def values(report: Report) -> dict[str, Any]:
    """One report as plain values. Times in milliseconds."""
    before, after = report.move.vlan_ids
    return {
        "vm": report.move.vm,
        "from": report.move.source,
        "to": report.move.target,
        "vlan_ids": {"before": before, "after": after},
        "packets_sent": report.sent,
        "packets_lost": report.lost,
        "packets_doubled": report.doubled,
        "longest_gap_ms": round(report.longest_gap, 3),
        "streams": [
            {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(result).items()}
            for result in report.results
        ],
        "forbidden": [{"name": one.name, "sent": one.sent, "received": one.received} for one in report.forbidden],
        "hops": {"before": report.hops_before, "after": report.hops_after},
        "flow_mods": report.move.flow_mods,
        "tcp": dict(report.tcp),
        "foreign_frames": {name: sum(s.frames for s in seen) for name, seen in report.foreign.items()},
        "frames_heard_by_other_cugs_listeners": dict(report.heard),
        "machine_drops": dict(report.machine_drops),
        "flip": dict(report.move.flip),
        "timeline": list(report.move.migration["timeline"]),
        "faults": report.faults,
    }
