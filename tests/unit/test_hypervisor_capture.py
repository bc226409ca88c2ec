"""Which frames a stopped guest never got although QEMU has read them: judged by when QEMU was seen to read how far."""

from __future__ import annotations

import sys
import threading
from collections import deque

import pytest

from ryu_vmmob.hypervisor import capture
from ryu_vmmob.hypervisor.capture import STANDSTILL_NS, Capture, Look, last_got

MS = 1_000_000
STOP = 1_000 * MS


def stream(first: int, since: int, number: int = 40) -> dict[int, int]:
    """A frame each millisecond, numbered from ``first``."""
    return {first + row: since + row * MS for row in range(number)}


def looks(*rows: tuple[float, int]) -> list[Look]:
    """(ms after the stop, frames read by then)."""
    return [Look(STOP + int(at * MS), read) for at, read in rows]


def test_who_reads_until_the_stop_has_got_all_that_was_read() -> None:
    arrivals = stream(1, STOP - 10 * MS)  # frame 11 comes with the stop
    assert last_got(STOP - 1, looks((-3, 8), (-2, 9), (-1, 10)), arrivals, 10) == 10


def test_the_last_frame_before_a_standstill_was_thrown_away() -> None:
    """QEMU read frame 4, kept it because the guest was declared stopped, and read no more until the processors stood."""
    arrivals = stream(1, STOP - 10 * MS)
    for read in (4, 5):  # afterwards it reads one more, sooner or later
        assert last_got(STOP, looks((-7, 4), (-6, 4), (-1, 4), (2, 5)), arrivals, read) == 3


def test_a_standstill_that_ended_was_none() -> None:
    """A busy QEMU is late with its reading; it then reads what has come."""
    assert last_got(STOP - 1, looks((-7, 1), (-6, 1)), stream(1, STOP - 10 * MS), 10) == 10


def test_a_frame_that_has_just_come_is_no_standstill() -> None:
    arrivals = {9: STOP - 2 * MS, 10: STOP - STANDSTILL_NS + 1, 11: STOP + 1}
    assert last_got(STOP, looks((-1, 9), (0, 9)), arrivals, 10) == 10
    arrivals[10] = STOP - STANDSTILL_NS
    assert last_got(STOP, looks((-1, 9), (0, 9)), arrivals, 10) == 8


def test_what_waits_when_nothing_was_looked_at() -> None:
    """Frames that came before the stop are unread: one of those before them is kept, and one is taken to be."""
    assert last_got(STOP, (), stream(1, STOP - 10 * MS), 6) == 5
    assert last_got(STOP, looks((-40, 0)), stream(1, STOP - 10 * MS), 6) == 5


def test_a_quiet_tap() -> None:
    assert last_got(STOP, looks((-40, 7)), {7: STOP - 400 * MS}, 7) == 7
    assert last_got(STOP, looks((-40, 7)), {7: STOP - 400 * MS, 8: STOP + MS}, 8) == 8


def test_it_is_asked_while_another_thread_reads_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause comes from libvirt's thread, in the middle of what the reader does."""
    monkeypatch.setattr(capture, "taken", lambda device: 5)
    one = object.__new__(Capture)
    one.device, one._by_qemu, one._offset = "tap0", True, 0
    one._looks, one._arrivals = deque(looks(*((-1, 5) for _ in range(256))), maxlen=256), deque([(5, STOP - MS)], maxlen=4096)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            one._looks.append(Look(STOP - MS, 5))
            one._arrivals.append((5, STOP - MS))

    reader = threading.Thread(target=read)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    reader.start()
    try:
        assert {one.last_got(STOP) for _ in range(500)} == {5}
    finally:
        over.set()
        reader.join()
        sys.setswitchinterval(interval)
