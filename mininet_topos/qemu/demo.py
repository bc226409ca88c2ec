"""The demonstration with a real VM: QEMU migrates it live under the controller, then on the same fabric without one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mininet_topos.qemu import report, world
from mininet_topos.qemu.image import Image
from mininet_topos.qemu.streams import Outcome
from mininet_topos.show import hops_table, vlan

RATE = 250.0
MOVES = (("racks", "srv-b1"), ("data centres", "srv-c1"))  # to another rack, over a LAG; on to the other data centre


def run(rate: float, directory: Path | None, image: Image) -> int:
    """Show it; the exit status. ``directory`` keeps the controller's log and store."""
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    out = Console(width=None if sys.stdout.isatty() else 170, highlight=False)
    progress.print("building two data centres: 7 switches, 8 servers; starting the controller, and QEMU with a Linux guest")
    with world.product(image, directory) as live:
        progress.print(f"{world.GUEST} runs on {live.vm.server} and reaches its peers {', '.join(n for n, _ in world.PEERS)}")
        progress.print("first the same traffic without any move, to know this machine")
        still = world.still(live, rate)
        product = _moves(live, rate, progress)
    progress.print("the same without a controller: learning switches, one VLAN, one tree of cables")
    with world.without_controller(image) as learning:
        plain = _moves(learning, rate, progress)
    groups = [report.Group(f"product, {name}", [one]) for (name, _), one in zip(MOVES, product, strict=True)]
    groups += [report.Group(f"no controller, {name}", [one]) for (name, _), one in zip(MOVES, plain, strict=True)]
    report.table(out, groups)
    out.print(_what_moved(product))
    for record in product:
        title = f"{world.GUEST}: {record.source} > {record.target}"
        out.print(hops_table(title, record.hops_before, record.hops_after))
    faults = [f"{world.GUEST} to {record.target}: {fault}" for record in product for fault in report.faults(record)]
    for fault in faults:
        out.print(f"[bold red]NOT KEPT[/] {fault}")
    drops = {place: count for record in product for place, count in record.outcome.machine_drops.items()}
    if drops:
        out.print(f"[yellow]this machine dropped packets itself:[/] {drops}")
    out.print(f"longest gap without any move on this machine, from the guest: {_longest_gap(still):.1f} ms")
    if not faults:
        missed = sum(map(report.lost, product)) + sum(map(report.doubled, product))
        but = f", but for {missed}" if missed else ""
        out.print(
            f"[bold green]all promises held[/]: the guest got every packet once{but}; TCP had no time-out, nothing "
            f"forbidden came through. Without the controller it lost {sum(map(report.lost, plain))}."
        )
    gaps = {
        "longest_gap_ms": round(max(_longest_gap(record.outcome) for record in product), 3),
        "longest_gap_without_a_move_ms": round(_longest_gap(still), 3),
    }
    print(json.dumps(_summary(product, plain, faults) | {"packets_per_second_and_stream": rate, **gaps}, separators=(",", ":")))
    if not faults:
        return 0
    return 3 if drops and all("lost" in fault for fault in faults) else 1


def _moves(where: world.GuestWorld, rate: float, progress: Console) -> list[world.Record]:
    records = []
    for _, to in MOVES:
        way = f"{world.GUEST} moves from {where.vm.server} to {to}"
        progress.print(f"{way}; to and from each peer {rate:.0f} packets/s, and TCP")
        record = world.measured(where, to, rate, tcp=True, wires=where.kind == "product")
        progress.print(
            f"  the guest stood still for {record.pause.milliseconds:.0f} ms; {report.in_pause(record)} packets were sent "
            f"to it meanwhile; lost {report.lost(record)}, doubled {report.doubled(record)}, stale {report.stale(record)}"
        )
        records.append(record)
    return records


def _what_moved(records: Sequence[world.Record]) -> Table:
    table = Table(title="What moved")
    for column in ("move", "VLAN-ID", "TCP", "forbidden packets delivered", "flow-mods by switch"):
        table.add_column(column)
    for record in records:
        said = report.values(record)
        tcp = record.outcome.tcp
        forbidden = record.outcome.forbidden
        mods: dict[str, int] = said["flow_mods"]
        table.add_row(
            f"{world.GUEST}: {record.source} > {record.target}",
            f"{vlan(said['vlan_ids']['before'])} > {vlan(said['vlan_ids']['after'])}",
            "not tried" if tcp is None else f"{tcp.arrived} of {tcp.written} bytes, {tcp.timeouts} time-outs",
            f"{sum(one.received for one in forbidden)} of {sum(one.sent for one in forbidden)}",
            f"{sum(mods.values())}: " + ", ".join(f"{switch} {number}" for switch, number in mods.items()),
        )
    return table


def _longest_gap(outcome: Outcome) -> float:
    """Of the streams from the guest, in ms: it does not tell the times of those that it receives."""
    return max(one.longest_gap for one in outcome.from_guest)


def _summary(product: Sequence[world.Record], plain: Sequence[world.Record], faults: Sequence[str]) -> dict[str, Any]:
    moves = [report.values(record) for record in product]
    totals = {
        key: sum(move[key] for move in moves)
        for key in ("packets_sent", "packets_lost", "packets_doubled", "packets_stale", "packets_reordered", "frames_sent_on")
    }
    forbidden = [one for record in product for one in record.outcome.forbidden]
    return {
        "held": not faults,
        "real_vms": True,
        **totals,
        "packets_sent_in_pause": sum(map(report.in_pause, product)),
        "forbidden_packets_sent": sum(one.sent for one in forbidden),
        "forbidden_packets_delivered": sum(one.received for one in forbidden),
        "longest_pause_ms": round(max(record.pause.milliseconds for record in product), 3),
        "moves": moves,
        "without_controller": [report.values(record) | {"faults": []} for record in plain],
        "faults": list(faults),
    }
