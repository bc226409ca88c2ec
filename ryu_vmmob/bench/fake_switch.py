"""Switches that speak OpenFlow 1.3 over real sockets, forward nothing, and can be as sick as one likes. Many in one process.

For tests (`FakeFleet`, in a thread of its own) and as a process: ``python -m ryu_vmmob.bench.fake_process --connect
127.0.0.1:6653 --dpid 0x1 --count 1000`` (`fake_process`). What one does is `fake_connection`, what it remembers `fake_tables`.
"""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from ryu_vmmob.bench.fake_connection import TICK, FakeSwitch

T = TypeVar("T")


class FakeFleet:
    """Switches in an event loop of their own, in a thread of its own. Use it as a context manager.

    ``switches`` are given their names by the caller. They begin to connect at `start`.
    """

    def __init__(self, switches: dict[str, FakeSwitch]) -> None:
        self.switches = switches
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let every switch connect that is to."""
        self._thread.start()
        self.do(self._begin)

    def stop(self) -> None:
        """Switch all of them off; returns when their sockets are closed."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def __enter__(self) -> FakeFleet:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def do(self, function: Callable[[], T]) -> T:
        """Call a function in the switches' loop, between two messages; what it returns or raises."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def change(self, name: str, **behaviour: object) -> None:
        """Let a switch behave otherwise from now on: fields of `Behaviour`."""

        def change() -> None:
            for field_, value in behaviour.items():
                setattr(self.switches[name].behaviour, field_, value)

        self.do(change)

    def restart(self, name: str) -> None:
        """Let a switch lose power and come back empty."""
        self.do(self.switches[name].restart)

    def lose(self, name: str) -> None:
        """Let a switch lose its connection and make another."""
        self.do(self.switches[name].lose)

    def _begin(self) -> None:
        for switch in self.switches.values():
            switch.start()
        self._ticking = self._loop.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            now = self._loop.time()
            for switch in self.switches.values():
                if switch.connection is not None:
                    switch.connection.tick(now)
            await asyncio.sleep(TICK)

    async def _end(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        for switch in self.switches.values():
            switch.stop()
        while any(switch.connected for switch in self.switches.values()):
            await asyncio.sleep(0)


def raise_file_limit(number: int) -> None:
    """Let this process have so many files open, as far as the machine allows. Raises ValueError where it does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, max(hard, number) if os.geteuid() == 0 else hard))
