"""Writes the table of metrics in docs/metrics.md again, from the metrics that there are.

Called as ``.venv/bin/python tools/dump_metrics.py [--check]``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from prometheus_client.core import Metric  # noqa: E402

from ryu_vmmob.engine.engine import Engine  # noqa: E402
from ryu_vmmob.fabric import load  # noqa: E402
from ryu_vmmob.rest.metrics import Metrics  # noqa: E402
from ryu_vmmob.store import open_store  # noqa: E402

PAGE = ROOT / "docs" / "metrics.md"
BEGIN, END = "<!-- begin metrics -->\n", "<!-- end metrics -->"


def table() -> str:
    """One row for each metric of a controller on the example fabric that has audited a switch and answered a request."""
    metrics = Metrics()
    engine = Engine(load(ROOT / "etc" / "example.yaml"), open_store("sqlite:///:memory:"), lambda: 0.0)
    metrics.watch(engine)
    # What has samples only after something has happened.
    engine.audited("tor-a", None, 0)
    metrics.answered("GET", "/metrics", 200, 0.0)
    rows = [_row(family) for family in metrics.registry.collect()]
    ours_first = sorted(rows, key=lambda row: (not row.startswith("| `vmmob_"), row))
    return "\n".join(["| metric | type | labels | says |", "|---|---|---|---|", *ours_first])


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    return f"| `{name}` | {family.type} | {', '.join(f'`{label}`' for label in labels)} | {family.documentation} |"


def main() -> int:
    """Rewrite, or with --check say whether the page is stale."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 when the page is stale")
    arguments = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    head, _, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        print(f"{PAGE.name}: it has no {BEGIN.strip()} or no {END}", file=sys.stderr)
        return 2
    after = f"{head}{BEGIN}\n{table()}\n\n{END}{tail}"
    if before != after and not arguments.check:
        PAGE.write_text(after, encoding="utf-8")
        print(f"{PAGE.name}: rewritten")
    return int(before != after and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
