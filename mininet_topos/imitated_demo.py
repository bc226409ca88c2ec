"""The quick demonstration, with imitated VMs: one moves between racks, then between data centres, while 1,000 packets a second
and stream go both ways, bridged and routed. See `mininet_topos.demo`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

RATE = 1000.0
MOVES = (  # where to, peers in its CUG (one in the rack it leaves, one in a third place), in another CUG, and outside
    ("srv-b1", ("web-2", "web-3"), "db-3", "internet-1"),
    ("srv-c1", ("web-4", "web-2"), "db-3", "internet-2"),
)
VMS = ("web-1", "web-2", "web-3", "web-4", "db-1", "db-2", "db-3")


def run(rate: float, directory: Path | None) -> int:
    """Show it; the exit status. ``directory`` keeps the controller's log and store."""
    from mininet_topos import routed_world, show, world
    from mininet_topos.scenario import both_ways
    from mininet_topos.traffic import Stream

    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    out = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    reports = []
    progress.print("building two data centres: 7 switches, 8 servers; starting the controller under ryu-manager")
    with world.running(rate=rate, directory=directory) as live:
        progress.print(f"every switch is in step; creating CUGs, policies and {len(VMS)} VMs over REST")
        routed_world.populate(live, VMS)
        mover = live.vms["web-1"]

        def routed(other_cug: str, outside: str) -> list[Stream]:
            """Return the other CUG over IPv6, the outside over IPv4, and what no policy allows."""
            beyond = live.lab.outside[outside]
            return [
                *both_ways(mover, [live.vms[other_cug]], 6), *both_ways(mover, [beyond]), Stream(beyond, mover, forbidden=True)
            ]  # fmt: skip

        progress.print("first 2 s of the same traffic without any move, to know this machine")
        _, near, *first = MOVES[0]
        still = live.scenario.baseline([*both_ways(mover, live.everyone(*near)), *routed(*first)])
        for number, (to, near, other_cug, outside) in enumerate(MOVES):
            names = f"{', '.join(near)} (bridged), {other_cug} and {outside} (routed)"
            progress.print(f"web-1 moves from {mover.server} to {to}; to and from {names} {rate:.0f} packets/s each")
            tcp: dict[str, Any] = {"tcp_from": live.lab.outside[outside]} if number else {"tcp_peer": live.vms[near[0]]}
            report = live.scenario.move(
                mover, to, live.everyone(*near), extra=routed(other_cug, outside), listeners=live.everyone("db-1", "db-2"),
                **tcp,
            )  # fmt: skip
            reports.append(report)
        progress.print("taking everything down")
    show.tables(out, reports)
    faults = [f"{r.move.vm} to {r.move.target}: {fault}" for r in reports for fault in r.faults]
    for fault in faults:
        out.print(f"[bold red]NOT KEPT[/] {fault}")
    drops = {place: count for r in reports for place, count in r.machine_drops.items()}
    if drops:
        out.print(f"[yellow]this machine dropped packets itself:[/] {drops}")
    quiet_gap = max(r.longest_gap for r in still)
    out.print(f"longest gap without any move on this machine: {quiet_gap:.1f} ms")
    if not faults:
        out.print(
            "[bold green]all promises held[/]: nothing lost, nothing doubled, TCP lives, nothing forbidden came through, "
            "no other CUG heard anything"
        )
    print(json.dumps(_summary(reports, faults, quiet_gap, rate), separators=(",", ":")))
    if not faults:
        return 0
    return 3 if drops and all("lost" in fault for fault in faults) else 1


def _summary(reports: Any, faults: list[str], quiet_gap: float, rate: float) -> dict[str, Any]:
    from mininet_topos import show

    return {
        "held": not faults,
        "real_vms": False,
        "packets_sent": sum(r.sent for r in reports),
        "packets_lost": sum(r.lost for r in reports),
        "packets_doubled": sum(r.doubled for r in reports),
        "forbidden_packets_sent": sum(one.sent for r in reports for one in r.forbidden),
        "forbidden_packets_delivered": sum(one.received for r in reports for one in r.forbidden),
        "longest_gap_ms": round(max(r.longest_gap for r in reports), 3),
        "longest_gap_without_a_move_ms": round(quiet_gap, 3),
        "packets_per_second_and_stream": rate,
        "moves": [show.values(r) for r in reports],
        "faults": faults,
    }
