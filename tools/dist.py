"""Builds the source archive and the wheel into a folder (default: dist), without a network: `make dist`.

The build backend is called directly, in this environment. The wheel is built from the unpacked source archive, so that what the
archive lacks, the wheel lacks too, and the tests of the wheel see it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_CALL = "import sys; sys.path.insert(0, 'tools'); import build_backend as b; print(b.{hook}(sys.argv[1]), file=sys.stderr)"


def _run(hook: str, source: Path, to: Path) -> Path:
    """Call a hook of the backend in a source folder (PEP 517); return the file that it made."""
    command = [sys.executable, "-c", _CALL.format(hook=hook), str(to)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{hook}: {done.stderr or done.stdout}")
    return to / done.stderr.splitlines()[-1]


def build(to: Path) -> tuple[Path, Path]:
    """Build both. Returns the source archive and the wheel."""
    to.mkdir(parents=True, exist_ok=True)
    archive = _run("build_sdist", ROOT, to)
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        (source,) = Path(scratch).iterdir()
        return archive, _run("build_wheel", source, to)


if __name__ == "__main__":
    os.umask(0o022)
    for built in build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist").absolute()):
        print(built)
