"""A real tap is read, and what reaches it after the pause is sent on: a fake controller notes what it is given."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic, sleep, time_ns
from typing import Any

import pytest

from ryu_vmmob.client import RefusedError, UnreachableError
from ryu_vmmob.hypervisor.capture import Capture
from ryu_vmmob.hypervisor.departure import Departure, Tap
from ryu_vmmob.hypervisor.spare_frame import send_spare, spare_frame
from tests.qemu.tap import TapDevice

SECONDS = 60.0
MAC = "02:00:00:00:00:0b"
MOVE = {"id": "m-1", "vm": "web1", "from": "srv-a1", "to": "srv-c1", "state": "prepared"}


def frame(number: int, mac: str = MAC, kind: str = "0800") -> bytes:
    return bytes.fromhex(mac.replace(":", "") + "020000000001" + kind) + number.to_bytes(4, "big") * 12


@pytest.fixture
def tap() -> Iterator[TapDevice]:
    with TapDevice(f"vm{os.getpid() % 10**7}") as device:
        yield device


def until(look: Callable[[], Any]) -> None:
    deadline = monotonic() + SECONDS
    while not look():
        assert monotonic() < deadline
        sleep(0.01)


class Controller:
    """Notes what it is told; each of ``refusals`` is raised once, before anything is taken."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.delivered = 0
        self.frames_: list[bytes] = []
        self.over = False

    def get(self, id: str) -> Any:
        return MOVE

    def deliver(self, id: str) -> Any:
        self.delivered += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return MOVE

    def frames(self, id: str, interface: int, frames: Sequence[bytes]) -> int:
        if self.over:
            raise RefusedError(409, "it is over")
        if self.refusals:
            raise self.refusals.pop(0)
        assert (id, interface) == ("m-1", 3)
        self.frames_.extend(frames)
        return len(frames)

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(row[14:18], "big") for row in self.frames_]


def test_what_the_host_sends_to_the_guest_is_read_with_its_time(tap: TapDevice) -> None:
    capture = Capture(tap.name, MAC)
    before = time_ns()
    tap.from_guest(frame(1))
    tap.to_guest(frame(2, "02:00:00:00:00:0c"), frame(3, "ff:ff:ff:ff:ff:ff"), frame(4), frame(5, kind="8100"))
    found = []
    until(lambda: found.extend(capture.read()) or len(found) >= 2)  # type: ignore[func-returns-value]
    assert [(number, row) for number, _, row in found] == [(3, frame(4)), (4, frame(5, kind="8100"))]
    assert before <= found[0][1] <= found[1][1] <= time_ns()
    assert (capture.missed(), capture.spoiled) == (0, 0)
    tap.close()
    with pytest.raises(OSError, match="Network is down"):
        capture.read()
    capture.close()


def test_what_was_queued_when_the_guest_stopped_was_not_read(tap: TapDevice) -> None:
    """The tap's counter says how many frames were read: the host's time stamps alone would take the rest for read."""
    controller = Controller()
    leaving = departure(tap, controller)
    for number in range(60):
        tap.to_guest(frame(number), frame(number, "ff:ff:ff:ff:ff:ff"))
        until(lambda: tap.read() == frame(number))  # noqa: B023
        tap.read()
    (capture,) = leaving._captures
    until(lambda: capture.last_read() == capture.counted == 120)
    tap.to_guest(*map(frame, range(60, 70)), frame(0, "ff:ff:ff:ff:ff:ff"))
    for _ in range(4):
        tap.read()
    until(lambda: len(leaving._tail) == 70)
    leaving.paused(time_ns())
    tap.to_guest(frame(70))
    until(lambda: len(controller.frames_) == 7)
    tap.close()
    assert leaving.join(SECONDS)
    assert controller.numbers == list(range(64, 71))


def test_what_qemu_read_and_the_guest_did_not_get_is_sent_on(tap: TapDevice) -> None:
    """The index of the receive queue tells it; this QEMU reads two more frames after it has stopped the guest."""
    controller, got, stopped = Controller(), [65_000], threading.Event()

    def ask() -> int | None:
        if leaving.has_paused:
            stopped.wait(SECONDS)
        return got[0] % 65_536

    leaving = Departure(MOVE, [Tap(3, MAC, tap.name, ask)], controller)
    leaving.start()
    (capture,) = leaving._captures
    number = 0
    while len(capture.received._exact) < 2 or number < 600:  # past the index's end
        tap.to_guest(frame(number))
        until(lambda: tap.read() == frame(number))  # noqa: B023
        got[0] += 1
        number += 1
        sleep(0.001)
    until(lambda: capture.last_read() == capture.counted == number)
    tap.to_guest(frame(number), frame(number + 1))
    tap.read()
    tap.read()
    until(lambda: len(leaving._tail) == number + 2)
    leaving.paused(time_ns())
    tap.to_guest(frame(number + 2))
    until(lambda: controller.frames_)
    stopped.set()
    until(lambda: len(controller.frames_) == 3)
    tap.close()
    assert leaving.join(SECONDS)
    assert controller.numbers == [number + 2, number, number + 1]


def test_no_such_tap() -> None:
    with pytest.raises(OSError, match="No such device"):
        Capture("nosuchtap0", MAC)


def departure(tap: TapDevice, controller: Controller) -> Departure:
    made = Departure(MOVE, [Tap(3, MAC, tap.name)], controller)
    made.start()
    return made


def test_the_frames_of_a_pause_are_sent_on(tap: TapDevice) -> None:
    controller = Controller()
    leaving = departure(tap, controller)
    tap.to_guest(*map(frame, range(100)))
    for number in range(100):
        assert tap.read() == frame(number)
    until(lambda: len(leaving._tail) == 100)
    at = time_ns()
    tap.to_guest(*map(frame, range(100, 150)))
    leaving.paused(at)
    tap.to_guest(*map(frame, range(150, 200)))
    until(lambda: len(controller.frames_) == 100)
    tap.close()
    assert leaving.join(SECONDS)
    assert (controller.delivered, controller.numbers) == (1, list(range(100, 200)))
    assert (leaving.sent, leaving.is_over) == (100, True)


def test_many_frames_come_in_order(tap: TapDevice) -> None:
    controller = Controller()
    leaving = departure(tap, controller)
    leaving.paused(time_ns())
    for start in range(0, 5000, 250):
        tap.to_guest(*map(frame, range(start, start + 250)))
        until(lambda start=start: len(controller.frames_) == start + 250)  # type: ignore[misc]
    assert controller.numbers == list(range(5000))
    controller.over = True
    tap.to_guest(frame(1))
    assert leaving.join(SECONDS), "the controller takes no more"


def test_a_controller_that_is_slow_to_take_them(tap: TapDevice) -> None:
    busy = RefusedError(429, "slower")
    busy.retry_after = 0.01
    controller = Controller(UnreachableError("away"), RefusedError(503, "the store"))
    leaving = departure(tap, controller)
    leaving.paused(time_ns())
    until(leaving.delivered.is_set)
    controller.refusals = [busy, busy]
    tap.to_guest(*map(frame, range(10)))
    until(lambda: len(controller.frames_) == 10)
    assert (controller.delivered, controller.numbers) == (3, list(range(10)))
    leaving.close()
    assert leaving.join(SECONDS)


def test_frames_are_not_sent_twice(tap: TapDevice) -> None:
    controller = Controller()
    leaving = departure(tap, controller)
    leaving.paused(time_ns())
    until(leaving.delivered.is_set)
    controller.refusals.append(UnreachableError("perhaps it has them"))
    tap.to_guest(frame(1))
    until(lambda: not controller.refusals)
    tap.to_guest(frame(2))
    until(lambda: controller.frames_)
    tap.close()
    assert leaving.join(SECONDS)
    assert (controller.numbers, leaving._tail.lost) == ([2], 1)


def test_a_pause_that_the_controller_refuses(tap: TapDevice) -> None:
    controller = Controller(RefusedError(409, "it is aborted"))
    leaving = departure(tap, controller)
    leaving.paused(time_ns())
    assert leaving.join(SECONDS)
    assert (controller.delivered, controller.frames_) == (1, [])


def test_a_vm_that_goes_on_here(tap: TapDevice) -> None:
    controller = Controller()
    leaving = departure(tap, controller)
    leaving.paused(time_ns())
    until(leaving.delivered.is_set)
    leaving.resumed()
    tap.to_guest(frame(1))
    assert leaving.join(SECONDS)
    assert controller.frames_ == []


def test_nothing_is_left_running(tap: TapDevice) -> None:
    before = set(threading.enumerate())
    handles = len(os.listdir("/proc/self/fd"))
    leaving = departure(tap, Controller())
    leaving.close()
    assert leaving.join(SECONDS)
    assert set(threading.enumerate()) == before
    assert len(os.listdir("/proc/self/fd")) == handles


def test_a_spare_frame_is_the_first_that_a_reader_gets(tap: TapDevice) -> None:
    send_spare(tap.name, MAC)
    tap.to_guest(frame(1))
    assert tap.read() == spare_frame(MAC)
    assert tap.read() == frame(1)
