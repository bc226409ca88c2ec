"""QEMU's events followed over a monitor socket: dialogues as QEMU 7.2 has them, and what the controller is told after each."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.client import RefusedError, UnreachableError
from ryu_vmmob.hypervisor.qmp import Monitor, QmpError, arrive, leave, prepare_to_leave

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}}, "capabilities": ["oob"]}}
SECONDS = 60.0


def event(name: str, at: float = 1_700_000_000.25, **data: Any) -> dict[str, Any]:
    time = {"seconds": int(at), "microseconds": round(at % 1 * 1e6)}
    return {"event": name, "timestamp": time, **({"data": data} if data else {})}


def state(status: str) -> dict[str, Any]:
    return event("MIGRATION", status=status)


class Qemu:
    """Says the lines of a dialogue; ``...`` waits for a command, which it notes and answers."""

    def __init__(self, file: Path, *lines: Any) -> None:
        self.orders: list[Any] = []
        self._lines = lines
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(file))
        self._socket.listen()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        client, _ = self._socket.accept()
        with client, client.makefile("rwb") as stream:
            for line in (GREETING, ..., *self._lines):
                if line is ...:
                    said = stream.readline()
                    if not said:
                        return
                    self.orders.append(json.loads(said))
                    line = {"error": {"desc": "no such thing"}} if self.orders[-1]["execute"] == "nonsense" else {"return": {}}
                stream.write(json.dumps(line).encode() + b"\n")
                stream.flush()


class Controller:
    """Notes what it is told; each of ``refusals`` is raised once before."""

    def __init__(self, *refusals: Exception) -> None:
        self.told: list[str] = []
        self.refusals = list(refusals)

    def _take(self, what: str) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.told.append(what)

    def activate(self, id: str) -> Any:
        self._take(f"activate {id}")

    def abort(self, id: str, *, reason: str | None = None) -> Any:
        self._take(f"abort {id}: {reason}")


class Leaving:
    """A departure that only notes what it is told."""

    def __init__(self) -> None:
        self.id = "m-1"
        self.delivered = threading.Event()
        self.seen: list[Any] = []

    def paused(self, at: int) -> None:
        self.seen.append(at)
        self.delivered.set()

    def resumed(self) -> None:
        self.seen.append("resumed")

    def close(self) -> None:
        self.seen.append("closed")


@contextmanager
def qemu(folder: Path, *lines: Any) -> Iterator[tuple[Qemu, Callable[[], Monitor]]]:
    file = folder / "qmp"
    yield Qemu(file, *lines), lambda: Monitor(str(file), SECONDS)


def followed(folder: Path, *lines: Any, uri: str | None = None) -> tuple[bool, list[Any], list[str], list[Any]]:
    """What `leave` says after a dialogue, what the departure and the controller were told, and QEMU's orders."""
    leaving, controller = Leaving(), Controller()
    with qemu(folder, *lines) as (process, connect), connect() as monitor:
        left = leave(monitor, leaving, controller, uri=uri)  # type: ignore[arg-type]
    process.thread.join(SECONDS)
    return left, leaving.seen, controller.told, [row["execute"] for row in process.orders[1:]]


STOP_AT = 1_700_000_000_250_000_000


def test_a_vm_leaves(tmp_path: Path) -> None:
    found = followed(
        tmp_path, ..., state("setup"), state("active"), event("STOP"), state("pre-switchover"), ..., state("device"),
        state("completed"), uri="unix:x",
    )  # fmt: skip
    assert found == (True, [STOP_AT], [], ["migrate", "migrate-continue"])


def test_another_program_migrates_it(tmp_path: Path) -> None:
    lines = (event("STOP"), event("RESUME"), state("setup"), state("active"), event("STOP"), state("completed"))
    found = followed(tmp_path, *lines)
    assert found == (True, [STOP_AT], [], []), "a pause before the migration is none of a move"


@pytest.mark.parametrize("lines", [
    (state("active"), state("failed")), (state("active"), state("cancelled")),
    (state("active"), event("STOP"), state("failed")), (state("active"), event("STOP"), event("RESUME")),
])  # fmt: skip
def test_a_migration_fails(tmp_path: Path, lines: Any) -> None:
    left, seen, told, _ = followed(tmp_path, *lines)
    assert (left, seen[-1], told) == (False, "resumed", ["abort m-1: QEMU: the migration has failed, the VM runs on"])


def test_qemu_ends_in_the_middle(tmp_path: Path) -> None:
    with pytest.raises(QmpError, match="ended before the VM had left"):
        followed(tmp_path, state("active"))


@pytest.mark.parametrize(("lines", "told"), [
    ([event("RESUME")], "activate m-1"), ([event("SHUTDOWN")], "abort m-1: QEMU: the process at the target ended"),
])  # fmt: skip
def test_the_target(tmp_path: Path, lines: Any, told: str) -> None:
    controller = Controller(UnreachableError("away"), RefusedError(503, "the store"))
    with qemu(tmp_path, *lines) as (_, connect), connect() as monitor:
        assert arrive(monitor, "m-1", controller) is told.startswith("activate")
    assert controller.told == [told]


def test_what_the_controller_refuses_is_not_asked_again(tmp_path: Path) -> None:
    controller = Controller(RefusedError(409, "it is aborted"))
    with qemu(tmp_path, event("RESUME")) as (_, connect), connect() as monitor:
        assert arrive(monitor, "m-1", controller)
    assert controller.told == []


def test_commands(tmp_path: Path) -> None:
    with qemu(tmp_path, event("STOP"), ..., ...) as (process, connect), connect() as monitor:
        prepare_to_leave(monitor)
        with pytest.raises(QmpError, match="nonsense: no such thing"):
            monitor.execute("nonsense", with_dash=1)
        (first, *_) = monitor.events()
        assert first is not None
        assert (first.name, first.time) == ("STOP", STOP_AT)
    names = {row["capability"] for row in process.orders[1]["arguments"]["capabilities"]}
    assert names == {"events", "pause-before-switchover"}
    assert process.orders[2]["arguments"] == {"with-dash": 1}


def test_no_monitor(tmp_path: Path) -> None:
    with pytest.raises(QmpError, match="No such file"):
        Monitor(str(tmp_path / "none"))
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(QmpError, match="is no monitor"):
            Monitor(str(tmp_path / "silent"), 0.1)
