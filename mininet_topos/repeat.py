"""The move between data centres again and again: ``python -m mininet_topos.repeat --runs 10`` (as root).

Each run moves web-1 from srv-a1 to srv-c1 with 1,000 packets a second each way to a peer in the old rack and to one in a third
place, over TCP as well, while two VMs of another CUG listen; then web-1 goes back without being measured. One line a run,
a summary, and one JSON object a run on standard output. Exit status 0 only if every run kept every promise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys

from rich.console import Console

PEERS = ("web-2", "web-4")
LISTENERS = ("db-1", "db-2")
HOME, AWAY = "srv-a1", "srv-c1"


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1000.0, help="packets a second and stream (default: 1000)")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds for which the VM stands still (default: 0.1)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("a laboratory needs root", file=sys.stderr)
        return 2
    from mininet_topos import show, world

    said = Console(stderr=True, highlight=False, soft_wrap=True)
    kept, lost, doubled, gaps = 0, 0, 0, []
    with world.running(rate=arguments.rate) as live:
        world.populate(live)
        mover = live.vms["web-1"]
        for run in range(1, arguments.runs + 1):
            report = live.scenario.move(
                mover, AWAY, live.everyone(*PEERS), tcp_peer=live.vms[PEERS[0]], listeners=live.everyone(*LISTENERS),
                pause=arguments.pause,
            )  # fmt: skip
            kept += not report.faults
            lost += report.lost
            doubled += report.doubled
            gaps.append(report.longest_gap)
            said.print(
                f"run {run:3}: sent {report.sent}, lost {report.lost}, doubled {report.doubled}, longest gap "
                f"{report.longest_gap:.1f} ms, TCP {report.tcp['echoed']}/{report.tcp['written']}, overheard "
                f"{sum(s.frames for seen in report.foreign.values() for s in seen)}, flow-mods "
                f"{sum(report.move.flow_mods.values())}" + "".join(f"\n         NOT KEPT {fault}" for fault in report.faults)
            )
            print(json.dumps({"run": run, **show.values(report)}, separators=(",", ":")), flush=True)
            live.orchestrator.move(mover, HOME)
    said.print(
        f"{kept} of {arguments.runs} runs kept every promise; lost {lost}, doubled {doubled}; longest gap "
        f"median {statistics.median(gaps):.1f} ms, worst {max(gaps):.1f} ms"
    )
    return 0 if kept == arguments.runs else 1


if __name__ == "__main__":
    sys.exit(main())
