"""A laboratory to work with by hand: the network of a fabric file, its controller, and servers that do what REST says.

``python -m mininet_topos.live FABRIC`` as root (``make lab``) runs until Ctrl-C. The dashboard and REST are on port 8080 of
this machine's loopback, as with a real network; ``python -m mininet_topos.live exec VM COMMAND`` runs a command inside a VM.
Exit status: 0 after Ctrl-C; 2 when it cannot be run here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from mininet_topos import registry

if TYPE_CHECKING:
    from mininet_topos.lab import Lab

PORT = 8080
COPY_SECONDS = 3.0
RETRY_SECONDS = 0.5
START_SECONDS = 20.0  # for a VM that REST has just accepted: its start follows the event
LOOK_SECONDS = 0.1
VMS_FILE = "vms.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["exec"]:
        return execute(words[1:])
    parser = argparse.ArgumentParser(prog="python -m mininet_topos.live", description=__doc__.split("\n\n")[0])
    parser.add_argument("fabric", type=Path, help="the fabric file; or: exec VM COMMAND ...")
    parser.add_argument("--port", type=int, default=PORT, help=f"of REST and the dashboard (default: {PORT})")
    parser.add_argument("--directory", type=Path, help="keep the controller's log and store here, and go on with them")
    parser.add_argument("--copy-seconds", type=float, default=COPY_SECONDS, help="how long a VM's memory takes to travel")
    given = parser.parse_args(words)
    if os.geteuid() != 0:
        print("a laboratory builds network namespaces and needs root", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has started us with Ctrl-C ignored
        signal.signal(number, _interrupted)
    try:
        return _run(given)
    except KeyboardInterrupt:
        print("everything is taken down again", flush=True)
        return 0


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(given: argparse.Namespace) -> int:
    from mininet_topos.controller import Controller, ControllerError
    from mininet_topos.lab import Lab, LabError
    from mininet_topos.orchestrator import Orchestrator, OrchestratorError
    from mininet_topos.ovs import OvsError
    from mininet_topos.relay import Relay
    from ryu_vmmob.fabric import FabricError

    scratch = given.directory or Path(tempfile.mkdtemp(prefix="vmmob-"))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        lab = Lab(given.fabric, controller=("127.0.0.1", 6653))
        relay = Relay(given.port)
        _say(f"building {lab.fabric.name}: {len(lab.fabric.switches)} switches, {len(lab.fabric.servers)} servers")
        with lab, Controller(given.fabric, scratch, rest_port=given.port) as controller, relay:
            Orchestrator(lab, controller.rest).until_in_step()
            _say(f"every switch is in step. The dashboard: {controller.rest}/ (Ctrl-C ends everything)")
            _follow(lab, controller.rest, given.copy_seconds)
    except (FabricError, LabError, OvsError, ControllerError, OrchestratorError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if given.directory is None:
            shutil.rmtree(scratch, ignore_errors=True)


def _follow(lab: Lab, rest: str, copy_seconds: float) -> NoReturn:
    """Do what REST says until Ctrl-C."""
    from mininet_topos.follower import Follower
    from ryu_vmmob.client import Client, ClientError

    follower = Follower(lab, Client(rest, format="msgpack"), copy_seconds, _say)
    changed = threading.Event()
    threading.Thread(target=_listen, args=(rest, changed), name="events", daemon=True).start()
    while True:
        changed.clear()
        try:
            wait = follower.look()
        except ClientError:
            wait = RETRY_SECONDS
        record(lab)
        changed.wait(wait)


def _listen(rest: str, changed: threading.Event) -> None:
    """Say so when a VM or a move is another one. What was missed without a connection is found by looking once more."""
    from ryu_vmmob.client import Client, ClientError

    pause = threading.Event()
    while True:
        changed.set()
        try:
            for _ in Client(rest).events(("vm", "migration", "cug")):
                changed.set()
        except ClientError:
            pause.wait(RETRY_SECONDS)


def record(lab: Lab) -> None:
    """Write down which process holds each VM's network, and each host's outside, for `execute`."""
    pids = {name: vm.pid for name, vm in lab.vms.items()} | {name: one.pid for name, one in lab.outside.items()}
    file = Path(lab.ovs.run_dir) / VMS_FILE
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(pids))
    draft.replace(file)


def execute(words: Sequence[str]) -> int:
    """``VM COMMAND ...``: wait for the VM, then become that command inside it. Returns 2 when there is no such VM."""
    if len(words) < 2:
        print("usage: python -m mininet_topos.live exec VM COMMAND ...", file=sys.stderr)
        return 2
    name, *command = words
    known = await_vm(name)
    if name in known:
        os.execvp("mnexec", ["mnexec", "-a", str(known[name]), *command])
    print(f"no VM {name!r} runs here; there are: {', '.join(sorted(known)) or 'none'}", file=sys.stderr)
    return 2


def await_vm(name: str) -> dict[str, int]:
    """Return the processes of all VMs by name once ``name`` is among them, or after `START_SECONDS`.

    A laboratory starts a VM after ``vmmob vm put`` has returned, so a command typed next may come before the VM.
    Without a laboratory there is nothing to wait for.
    """
    end = time.monotonic() + START_SECONDS
    while True:
        running = [one for one in registry.records() if one.alive] if os.geteuid() == 0 else []
        files = [Path(one.run_dir) / VMS_FILE for one in running]
        known = {vm: pid for file in files if file.exists() for vm, pid in json.loads(file.read_text()).items()}
        if name in known or not running or time.monotonic() > end:
            return known
        time.sleep(LOOK_SECONDS)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
