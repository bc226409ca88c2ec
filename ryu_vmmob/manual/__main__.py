"""Writes the man pages into a folder: ``python -m ryu_vmmob.manual DIR``; then ``man -M DIR vmmob`` shows one."""

from __future__ import annotations

import sys
from pathlib import Path

from ryu_vmmob.manual.pages import write


def main(arguments: list[str]) -> int:
    """Write them. Exit status 0, or 2 with a sentence on standard error."""
    if len(arguments) != 1:
        print("usage: python -m ryu_vmmob.manual DIR", file=sys.stderr)  # noqa: T201
        return 2
    try:
        write(Path(arguments[0]))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
