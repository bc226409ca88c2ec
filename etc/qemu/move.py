"""Move a VM of QEMU without libvirt: an example of ryu_vmmob.hypervisor.qmp with both ends on one host.

Run it as root while QEMU runs the VM at the source, and a second QEMU waits for it at the target (-incoming tcp:127.0.0.1:4444,
without -S: it goes on by itself):

    python move.py web1 srv-c1 --source /run/web1.qmp --target /run/web1-new.qmp --tap tap0 --uri tcp:127.0.0.1:4444
"""

from __future__ import annotations

import argparse
import threading

from ryu_vmmob.client import DEFAULT_URL, Client, read_token
from ryu_vmmob.hypervisor.departure import Departure, Tap
from ryu_vmmob.hypervisor.qmp import Monitor, arrive, leave, prepare_to_leave


def main() -> int:
    """Exit status 0 when the VM has moved."""
    parser = argparse.ArgumentParser(description="Move a VM of QEMU.")
    parser.add_argument("vm")
    parser.add_argument("server")
    for name, text in (("source", "QMP socket"), ("target", "QMP socket"), ("uri", "where the target listens")):
        parser.add_argument(f"--{name}", required=True, help=text)
    parser.add_argument("--tap", action="append", required=True, help="device of an interface at the source, in the VM's order")
    parser.add_argument("--url", default=DEFAULT_URL)
    parser.add_argument("--token-file")
    given = parser.parse_args()
    token = read_token(given.token_file) if given.token_file else None
    client = Client(given.url, token)

    # 1. The network is made ready. The target's port must have move["interfaces"][n]["to_vlan_id"] as its tag by now.
    move = client.migrations.start(given.vm, given.server, wait=10)
    interfaces = client.vms.get(given.vm)["interfaces"]
    taps = [Tap(number, row["mac"], device) for number, (row, device) in enumerate(zip(interfaces, given.tap, strict=True))]
    departure = Departure(move, taps, Client(given.url, token).migrations)
    departure.start()

    # 2. QEMU moves the VM. The controller is told when it pauses, and when it goes on.
    with Monitor(given.source) as source, Monitor(given.target) as target:
        waiting = threading.Thread(target=arrive, args=(target, move["id"], Client(given.url, token).migrations), daemon=True)
        waiting.start()
        prepare_to_leave(source)
        left = leave(source, departure, client.migrations, uri=given.uri)
        if left:
            waiting.join(60)
            client.migrations.deliver(move["id"], wait=5)  # again, to hear when every switch has confirmed
            source.execute("quit")  # its taps go, and with them the last that could be sent on
    departure.join(60)
    return 0 if left else 1


if __name__ == "__main__":
    raise SystemExit(main())
