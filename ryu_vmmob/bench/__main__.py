"""Run the benchmarks named on the command line, or all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Final

from rich.console import Console
from rich.table import Table

from ryu_vmmob.bench import busy, costs, encode, evacuate, growth, install, link_down, loads, moves, punt, reconcile, storms
from ryu_vmmob.bench.measure import Row

BENCHMARKS: Final[dict[str, Callable[[], Iterable[Row]]]] = {
    "encode": encode.run,
    "evacuate": evacuate.run,
    "growth": growth.run,
    "install": install.run,
    "reconcile": reconcile.run,
    "move": moves.move,
    "move_wide": moves.move_wide,
    "load": loads.load,
    "storm": storms.storm,
    "link_down": link_down.run,
    "punt": punt.run,
    "busy": busy.busy,
    "costs": costs.costs,
}


def main(names: list[str]) -> int:
    """Exit status 2 when a name is unknown; what was measured is never judged here."""
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.stderr.write(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}\n")
        return 2
    table = Table("benchmark", "case", "median", "best", "worst", "unit", "what")
    for name in names or BENCHMARKS:
        for row in BENCHMARKS[name]():
            sys.stdout.write(json.dumps({"benchmark": name, **row.as_dict()}) + "\n")
            sys.stdout.flush()
            numbers = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (row.median, row.best, row.worst))
            table.add_row(name, row.case, *numbers, row.unit, row.what)
    Console(stderr=True).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
