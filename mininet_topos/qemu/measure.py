"""Many live migrations of a QEMU guest, and what each cost: ``python -m mininet_topos.qemu.measure --moves 20 --racks 10``.

Under the controller with late frames sent on, under it without, and on the same fabric without a controller; between data
centres (srv-a1 and srv-c1) and between racks (srv-a1 and srv-b2), there and back. One JSON object a move on standard output,
a table on standard error. ``--libvirt``: real libvirtds with our hook and service migrate it (``virsh migrate --live``), and
nothing else is measured. Needs root. Exit status: 0 when every move of the first kind lost, doubled and delayed nothing in
nine of ten moves and never lost more than two packets; 1 otherwise; 2 when it could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from rich.console import Console

NINE_OF_TEN = 0.9


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--moves", type=int, default=20, help="between data centres, under the controller (default: 20)")
    parser.add_argument("--racks", type=int, default=10, help="between racks, under the controller (default: 10)")
    parser.add_argument("--beside", type=int, help="of each other kind (default: half of these)")
    parser.add_argument("--rate", type=float, default=250.0, help="packets a second and stream (default: 250)")
    parser.add_argument("--libvirt", action="store_true", help="with virsh migrate, our hook and vmmob-hypervisor")
    parser.add_argument("--no-tcp", action="store_true", help="without the TCP connection at full speed")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("a laboratory needs root", file=sys.stderr)
        return 2
    from mininet_topos.qemu import image, libvirt_host, libvirt_world, report, world

    if why := image.missing() or (libvirt_host.missing() if arguments.libvirt else None):
        print(f"no QEMU guests here: {why}", file=sys.stderr)
        return 2
    said = Console(stderr=True, highlight=False, soft_wrap=True)
    ways = (("data centres", world.AWAY, arguments.moves), ("racks", world.NEXT_RACK, arguments.racks))
    groups: list[report.Group] = []

    def run(where: world.GuestWorld, kind: str, *, beside: bool, send_on: bool = True) -> None:
        for name, away, number in ways:
            if beside:
                number = (number + 1) // 2 if arguments.beside is None else arguments.beside
            group: list[world.Record] = []
            for count in range(number):
                to = away if count % 2 == 0 else world.HOME
                record = world.measured(where, to, arguments.rate, tcp=not arguments.no_tcp, send_on=send_on)
                group.append(record)
                said.print(
                    f"{kind}, {name}, move {count + 1} of {number}: pause {record.pause.milliseconds:.0f} ms, "
                    f"{report.in_pause(record)} packets sent in it, {record.pause.sent_on} frames sent on, "
                    f"lost {report.lost(record)}, doubled {report.doubled(record)}, stale {report.stale(record)}"
                )
                print(json.dumps({"group": f"{kind}, {name}", **report.values(record)}, separators=(",", ":")), flush=True)
            if number % 2:
                where.move(world.HOME)
            if group:
                groups.append(report.Group(f"{kind}, {name}", group))

    guest = image.ensure()
    if arguments.libvirt:
        with libvirt_world.product(guest) as libvirt:
            run(libvirt, "product with libvirt", beside=False)
    else:
        with world.product(guest) as live:
            run(live, "product", beside=False)
            run(live, "product, nothing sent on", beside=True, send_on=False)
        with world.without_controller(guest) as learning:
            run(learning, "no controller", beside=True)
    report.table(Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else 190), groups)
    records = [record for group in groups[:2] for record in group.records if record.kind == "product"]
    good = sum(map(report.flawless, records))
    return 0 if good >= NINE_OF_TEN * len(records) and max(map(report.lost, records), default=0) <= report.FEW else 1


if __name__ == "__main__":
    sys.exit(main())
