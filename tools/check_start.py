"""Starts the stock ryu-manager and our own command, from the environment of this interpreter, and does an OpenFlow handshake
with each. They run Ryu's simple switch, or with ``--configuration FILE`` the controller with that file, on free ports. Prints
what is wrong; exit status 0 if nothing is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEADLINE_SECONDS = 60.0


def free_port() -> int:
    """Return a TCP port that is free now, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def handshake(port: int, process: subprocess.Popen[bytes]) -> str | None:
    """Say hello as a switch would and wait for the features request (type 5); returns what went wrong."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            return f"ended with status {process.returncode}"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as switch:
                switch.sendall(struct.pack("!BBHI", 4, 0, 8, 1))
                stream = switch.makefile("rb")
                while header := stream.read(8):
                    _, kind, length, _ = struct.unpack("!BBHI", header)
                    stream.read(length - 8)
                    if kind == 5:
                        return None
                return "closed the connection"
        except ConnectionRefusedError:
            time.sleep(0.1)
    return "did not listen in time"


def _application(configuration: list[str]) -> list[str]:
    """Return what is to be run; what stands behind a configuration file on the command line counts more than the file."""
    if not configuration:
        return ["ryu.app.simple_switch_13"]
    return ["ryu_vmmob.apps.vmmob", "--config-file", *configuration, "--wsapi-port", str(free_port())]


def main() -> int:
    """Check both commands."""
    configuration = sys.argv[2:] if sys.argv[1:2] == ["--configuration"] else []
    bad = 0
    if importlib.util.find_spec("ryu_vmmob.apps") is None or importlib.util.find_spec("ryu_vmmob.flows") is None:
        print("the installed package lacks ryu_vmmob.apps or ryu_vmmob.flows")
        bad = 1
    for command in ("ryu-manager", "vmmob-manager"):
        port = free_port()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [str(Path(sys.prefix, "bin", command)), *_application(configuration), "--ofp-tcp-listen-port", str(port)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                fault = handshake(port, process)
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()
                process.wait()
            log.seek(0)
            output = log.read().decode(errors="replace")
        if fault is None and ("Traceback" in output or "deprecated" in output):
            fault = "its log is not clean"
        if fault is not None:
            print(f"{command}: {fault}\n{output}")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
