"""One VM that is about to leave this hypervisor: captures its taps, and reports its pause to the controller.

What reached the taps after the pause is sent on.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, time_ns
from typing import Any, Final, NamedTuple, Protocol

from ryu_vmmob.client import ClientError, RefusedError, UnreachableError
from ryu_vmmob.hypervisor.capture import Capture
from ryu_vmmob.hypervisor.handover import GOING_ON
from ryu_vmmob.hypervisor.patience import pauses
from ryu_vmmob.hypervisor.tail import Arrival, Tail

LOG: Final = logging.getLogger("vmmob.hypervisor")
LINGER_SECONDS: Final = 60.0
"""How long a tap is read after the pause at most; the controller ends it five seconds after the activation."""
GATHER_SECONDS: Final = 0.005
"""How long frames are gathered for one request."""
COMPARE_SECONDS: Final = 0.05
"""How often, before the pause, it is looked how far the VM has read, at least."""
SAMPLE_SECONDS: Final = 0.25
"""How often QEMU is asked, before the pause, how many frames the guest got."""
DELIVER_SECONDS: Final = 30.0
"""How long it is tried to tell a controller that does not answer of the pause."""


class Tap(NamedTuple):
    """One interface of a VM here: its number in the VM's list at the controller, its MAC and its device.

    ``ask``: asks QEMU for the used index of the card's receive queue (None: it does not say); without it the tap's counter
    alone tells what the guest got. It may wait, and is called in a thread of its own.
    """

    interface: int
    mac: str
    device: str
    ask: Callable[[], int | None] | None = None


class Moves(Protocol):
    """What is asked of a client's ``migrations``."""

    def get(self, id: str) -> Any:
        """One migration."""

    def deliver(self, id: str) -> Any:
        """Note that the VM has paused."""

    def frames(self, id: str, interface: int, frames: Sequence[bytes]) -> int:
        """Frames to be sent on."""


class Departure:
    """From `start` until `close`, or until there is nothing left to be sent on after a pause; threads of its own do the work.

    ``migrations`` belongs to this departure alone: its connection is opened beforehand, so the call at the pause is one round
    trip.
    """

    def __init__(self, move: Mapping[str, Any], taps: Sequence[Tap], migrations: Moves) -> None:
        self.id: str = move["id"]
        self.vm: str = move["vm"]
        self.taps = tuple(taps)
        self.sent = 0
        self.delivered = threading.Event()
        self._migrations = migrations
        self._tail = Tail()
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._over = False
        self._captures: list[Capture] = []
        self._interfaces = {tap.device: tap.interface for tap in self.taps}
        self._wake, self._woken = socket.socketpair()
        self._reader = threading.Thread(target=self._read, name=f"taps of {self.vm}", daemon=True)
        self._teller = threading.Thread(target=self._tell, name=f"pause of {self.vm}", daemon=True)
        self._tell_started = False
        self._counter = threading.Thread(target=self._count, name=f"receive queues of {self.vm}", daemon=True)

    def start(self) -> None:
        """Open the taps and read them. The log names a tap that cannot be opened; its frames are not sent on."""
        for tap in self.taps:
            try:
                self._captures.append(Capture(tap.device, tap.mac))
            except OSError as error:
                LOG.warning("%s: tap %s of VM %s cannot be read: %s", self.id, tap.device, self.vm, error.strerror or error)
        self._reader.start()
        self._counter.start()
        with suppress(ClientError):  # opens the connection; at the pause it is asked again
            self._migrations.get(self.id)

    def paused(self, at: int) -> None:
        """Tell the controller that the VM stopped at ``at``, nanoseconds since the epoch, and send on. Returns at once."""
        with self._news:
            if self._over or self._tail.paused_at is not None:
                return
            read: dict[int, int] = {}
            for capture in self._captures:
                last = capture.last_read()
                if last is not None:
                    read[self._interfaces[capture.device]] = last
                capture.missed()  # what was missed before the pause is no loss
                capture.spoiled = 0
            self._tail.pause(at, read)
            started, self._tell_started = self._tell_started, True
            self._news.notify_all()
        if not started:
            self._teller.start()

    def resumed(self) -> None:
        """Send nothing more on: the VM goes on here."""
        with self._news:
            self._tail.resume()
        self.close()

    def close(self) -> None:
        """End it; what was not sent on yet stays so."""
        with self._news:
            if self._over:
                return
            self._over = True
            self._news.notify_all()
        with suppress(OSError):
            self._wake.sendall(b"x")

    def join(self, seconds: float) -> bool:
        """Wait until its threads have ended; whether they have."""
        deadline = monotonic() + seconds
        for thread in (self._reader, self._counter, *((self._teller,) if self._tell_started else ())):
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in (self._reader, self._counter, self._teller))

    @property
    def has_paused(self) -> bool:
        """Whether the VM has stopped here to go on elsewhere."""
        return self._tail.paused_at is not None

    @property
    def is_over(self) -> bool:
        """Whether it has been closed, or has sent on all there was."""
        return self._over

    # The taps

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for capture in self._captures:
                selector.register(capture, selectors.EVENT_READ)
            look = 0.0
            while not self._over:
                ready = {key.fileobj for key, _ in selector.select(COMPARE_SECONDS)}
                if not self.has_paused and monotonic() >= look:
                    look = monotonic() + COMPARE_SECONDS
                    ready.update(self._captures)
                for capture in [row for row in self._captures if row in ready]:
                    self._read_tap(selector, capture)
        for capture in self._captures:
            capture.close()
        self._wake.close()
        self._woken.close()

    def _read_tap(self, selector: selectors.BaseSelector, capture: Capture) -> None:
        interface = self._interfaces[capture.device]
        try:
            found = capture.read() if self.has_paused else capture.compare()
        except OSError as error:
            LOG.info("%s: the capture on tap %s ended: %s", self.id, capture.device, error.strerror or error)
            selector.unregister(capture)
            with self._news:
                self._captures.remove(capture)
                self._news.notify_all()
            capture.close()
            return
        with self._news:
            for number, time, frame in found:
                self._tail.add(Arrival(interface, time, frame, number))
            if found and self._tail.paused_at is not None:
                self._tail.lost += capture.missed() + capture.spoiled
                capture.spoiled = 0
                self._news.notify_all()

    # The receive queues

    def _count(self) -> None:
        """Sample the receive queues until the pause; then settle which of the last frames the guest got."""
        asked = [(tap, capture) for tap in self.taps for capture in self._captures if tap.device == capture.device and tap.ask]
        try:
            while asked and not self._over and not self.has_paused:
                for tap, capture in asked:
                    self._sample(tap, capture)
                with self._news:
                    if not self._over and not self.has_paused:
                        self._news.wait(SAMPLE_SECONDS)
            for tap, capture in asked:
                self._settle_doubt(tap, capture)
        except Exception:
            LOG.exception("%s: the frames that VM %s received are not counted any more", self.id, self.vm)

    def _sample(self, tap: Tap, capture: Capture) -> None:
        before = time_ns()
        index = tap.ask() if tap.ask is not None else None
        after = time_ns()
        if index is not None and not self.has_paused:
            capture.received.sample(before, after, index)

    def _settle_doubt(self, tap: Tap, capture: Capture) -> None:
        index = tap.ask() if tap.ask is not None and not self._over else None
        if index is None:
            return
        with self._news:
            got = capture.last_got(index)
            count = 0 if got is None or not self.has_paused else self._tail.settle(tap.interface, got)
            self._news.notify_all()
        told = "not known" if got is None else f"{count} frames that QEMU had read are sent on"
        LOG.info("%s: interface %d of VM %s: %s", self.id, tap.interface, self.vm, told)

    # The controller

    def _tell(self) -> None:
        try:
            if self._deliver():
                self._send_on()
        except Exception:
            LOG.exception("%s: the frames of VM %s are not sent on any more", self.id, self.vm)
        finally:
            LOG.info("%s: %d frames of VM %s sent on, %d lost", self.id, self.sent, self.vm, self._tail.lost)
            self.close()

    def _deliver(self) -> bool:
        """Tell the controller of the pause; whether it takes frames now."""
        deadline = monotonic() + DELIVER_SECONDS
        for seconds in pauses(0.05, 2.0):
            try:
                answer = self._migrations.deliver(self.id)
            except RefusedError as error:
                if not error.is_for_now:
                    LOG.warning("%s: VM %s has paused, and the controller does not switch: %s", self.id, self.vm, error)
                    return False
                problem: ClientError = error
            except ClientError as error:
                problem = error
            else:
                LOG.info("%s: VM %s has paused here, its traffic goes to its target", self.id, self.vm)
                for row in answer.get("switches", {}).get("refused", ()) if isinstance(answer, dict) else ():
                    said = "%s: switch %s refuses what VM %s needs at its target: %s (%s)"
                    LOG.error(said, self.id, row["switch"], self.vm, row["error"], row["cause"])
                self.delivered.set()
                return True
            if self._over or monotonic() > deadline:
                LOG.warning("%s: the pause of VM %s could not be reported: %s", self.id, self.vm, problem)
                return False
            self._rest(seconds)
        raise AssertionError("pauses have no end")

    def _send_on(self) -> None:
        deadline = monotonic() + LINGER_SECONDS
        while (batch := self._next(deadline)) is not None:
            interface, frames = batch
            try:
                self.sent += self._sent(interface, frames)
            except RefusedError as error:
                self._tail.lost += len(frames)
                if error.status == 409:  # it is over: the VM reads at its target, and has for a while
                    return
                LOG.warning("%s: %d frames of VM %s are refused: %s", self.id, len(frames), self.vm, error)
            except UnreachableError as error:
                self._tail.lost += len(frames)  # perhaps they were sent on; sent again they might be doubled
                LOG.warning("%s: whether %d frames of VM %s are sent on is not known: %s", self.id, len(frames), self.vm, error)
                self._rest(0.1)

    def _sent(self, interface: int, frames: Sequence[bytes]) -> int:
        """Send a batch on; one that comes too fast waits. Raises ClientError."""
        for seconds in pauses(0.1, 1.0):
            try:
                return self._migrations.frames(self.id, interface, frames)
            except RefusedError as error:
                if error.status != 429 or self._over:
                    raise
                self._rest(min(error.retry_after or seconds, 5.0))
        raise AssertionError("pauses have no end")

    def _next(self, deadline: float) -> tuple[int, list[bytes]] | None:
        """Return the next batch, gathered for a moment; None when no more can come."""
        with self._news:
            while not self._over:
                if len(self._tail):
                    self._news.wait(GATHER_SECONDS)
                    batch = self._tail.take()
                    if batch is not None:
                        return batch
                elif not self._captures or monotonic() > deadline:
                    return None
                else:
                    self._news.wait(max(0.0, deadline - monotonic()))
        return None

    def _rest(self, seconds: float) -> None:
        with self._news:
            if not self._over:
                self._news.wait(seconds)


def is_worth(move: Mapping[str, Any], here: str) -> bool:
    """Whether a migration leads away from server ``here``, and its VM has not arrived anywhere yet."""
    return bool(move["from"] == here and move["state"] in GOING_ON)
