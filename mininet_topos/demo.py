"""The demonstration: a VM moves between racks, then between data centres, while 1,000 packets a second go both ways.

``python -m mininet_topos.demo`` as root (``make demo`` sets up what is missing first). Tables for people, then one line of
JSON. Exit status: 0 only if nothing was lost, doubled, broken or overheard; 1 if a promise was not kept; 2 if it could
not be shown here at all; 3 if packets were lost and this machine's own queues overflowed meanwhile (try on a quieter one).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

MOVES = (  # where to, whom it talks to (a peer in the rack it leaves first, then a third place), with whom TCP
    ("srv-b1", ("web-2", "web-3"), "web-2"),
    ("srv-c1", ("web-4", "web-2"), "web-2"),
)


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rate", type=float, default=1000.0, help="packets a second and stream (default: 1000)")
    parser.add_argument("--directory", type=Path, help="keep the controller's log and store here")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("the demonstration builds network namespaces and needs root", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print("interrupted; everything is taken down again", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        return 2


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(arguments: argparse.Namespace) -> int:
    from mininet_topos import show, world

    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    out = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    reports = []
    if arguments.directory:
        arguments.directory.mkdir(parents=True, exist_ok=True)
    progress.print("building two data centres: 7 switches, 8 servers; starting the controller under ryu-manager")
    with world.running(rate=arguments.rate, directory=arguments.directory) as live:
        progress.print("every switch is in step; creating 2 CUGs and 6 VMs over REST")
        world.populate(live)
        mover = live.vms["web-1"]
        progress.print("first 2 s of the same traffic without any move, to know this machine")
        still = live.scenario.baseline(mover, live.everyone(*MOVES[0][1]))
        for to, peers, tcp_peer in MOVES:
            names = " and ".join(peers)
            progress.print(f"web-1 moves from {mover.server} to {to}; to and from {names} {arguments.rate:.0f} packets/s each")
            report = live.scenario.move(
                mover, to, live.everyone(*peers), tcp_peer=live.vms[tcp_peer], listeners=live.everyone("db-1", "db-2")
            )
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
        out.print("[bold green]all promises held[/]: nothing lost, nothing doubled, TCP lives, no other CUG heard anything")
    print(json.dumps(_summary(reports, faults, quiet_gap, arguments.rate), separators=(",", ":")))
    if not faults:
        return 0
    return 3 if drops and all("lost" in fault for fault in faults) else 1


def _summary(reports: Any, faults: list[str], quiet_gap: float, rate: float) -> dict[str, Any]:
    from mininet_topos import show

    return {
        "held": not faults,
        "packets_sent": sum(r.sent for r in reports),
        "packets_lost": sum(r.lost for r in reports),
        "packets_doubled": sum(r.doubled for r in reports),
        "longest_gap_ms": round(max(r.longest_gap for r in reports), 3),
        "longest_gap_without_a_move_ms": round(quiet_gap, 3),
        "packets_per_second_and_stream": rate,
        "moves": [show.values(r) for r in reports],
        "faults": faults,
    }


if __name__ == "__main__":
    sys.exit(main())
