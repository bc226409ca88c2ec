"""The table of events in docs/rest.md."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def documented() -> dict[str, set[str]]:
    """Kind -> its particulars, as docs/rest.md has them."""
    return {kind: set(re.findall(r"`(\w+)`", data)) for kind, _, data in documented_rows()}


def documented_rows() -> list[tuple[str, str, str]]:
    """Kind, level and particulars of each event in docs/rest.md."""
    text = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
    table = text[text.index("| event | level | meaning | with |") :].partition("\n\n")[0]
    return re.findall(r"^\| `([a-z_]+\.?[a-z_]*)` \| (\w+) \| [^|]+ \| ([^|]*)\|$", table, re.MULTILINE)
