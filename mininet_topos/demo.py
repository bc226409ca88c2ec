"""The demonstration: a VM moves between racks, then between data centres, while packets go both ways, bridged and routed.

``python -m mininet_topos.demo`` as root (``make demo`` sets up what is missing first). The VM is a real one where QEMU can be
had: it is migrated live, and the same moves are shown on the same fabric without the controller. ``--imitated`` is the quick
one, with VMs that are network namespaces; so is what a machine without QEMU gets. Tables for people, then one line of JSON.
Exit status: 0 only if nothing was lost, doubled, stale, broken, overheard or let through; 1 if a promise was not kept; 2 if it
could not be shown here at all; 3 if packets were lost and this machine's own queues overflowed (try on a quieter one).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--imitated", action="store_true", help="with imitated VMs: quick, and without QEMU")
    parser.add_argument("--rate", type=float, help="packets a second and stream (default: 250 of real VMs, 1000 of imitated)")
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
    from mininet_topos import imitated_demo
    from mininet_topos.qemu import demo as real_demo
    from mininet_topos.qemu import image

    if arguments.directory:
        arguments.directory.mkdir(parents=True, exist_ok=True)
    if not arguments.imitated:
        try:
            return real_demo.run(arguments.rate or real_demo.RATE, arguments.directory, image.ensure())
        except image.ImageError as error:
            line = "=" * 100
            said = f"NO REAL VMS HERE: THE MOVES BELOW ARE OF IMITATED ONES. {error}"
            print(f"{line}\n{said}\n{line}", file=sys.stderr, flush=True)
    return imitated_demo.run(arguments.rate or imitated_demo.RATE, arguments.directory)


if __name__ == "__main__":
    sys.exit(main())
