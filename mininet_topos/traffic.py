"""Numbered UDP streams between virtual machines, or with the world outside, and what became of every packet.

    traffic = Traffic(lab, [Stream(web, peer), Stream(peer, web)], rate=1000)
    with traffic:
        ...                      # whatever may disturb
    for result in traffic.results: ...

Losses that the machine itself caused (full queues of its kernel) are counted apart, in `Traffic.machine_drops`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mininet_topos import machine
from mininet_topos.endpoint import Endpoint
from mininet_topos.processes import PROBES, ChildError, JsonChild

if TYPE_CHECKING:
    from mininet_topos.lab import Lab

PORT = 5000  # plus the IP version
FORBIDDEN_PORT = 5900  # the same, for streams that no policy allows
ARRIVAL_SECONDS = 10.0  # how long the last packets may take before they count as lost
QUIET_SECONDS = 0.5  # without any arrival


@dataclass(frozen=True)
class Stream:
    """Packets from one end to another, over one IP version and between given interfaces.

    ``forbidden``: to a port of its own, and nothing of it is waited for.
    """

    source: Endpoint
    target: Endpoint
    version: int = 4
    source_interface: int = 0
    target_interface: int = 0
    forbidden: bool = False

    @property
    def port(self) -> int:
        """The destination port."""
        return (FORBIDDEN_PORT if self.forbidden else PORT) + self.version

    @property
    def name(self) -> str:
        """For tables: ``web > peer``."""
        notes = [note for note, true in (("IPv6", self.version == 6), ("forbidden", self.forbidden)) if true]
        return f"{self.source.name} > {self.target.name}" + (f" ({', '.join(notes)})" if notes else "")


@dataclass(frozen=True)
class Result:
    """What became of one stream. Times in milliseconds.

    ``longest_gap_beyond_sender`` leaves out what the sender itself was late; ``missing`` and ``doubled_numbers`` list the
    first fifty sequence numbers of each kind.
    """

    name: str
    sent: int
    received: int
    lost: int
    doubled: int
    reordered: int
    longest_gap: float
    longest_gap_beyond_sender: float
    sender_longest_pause: float
    delay: dict[str, float] | None
    missing: tuple[int, ...]
    doubled_numbers: tuple[int, ...]


class Traffic:
    """All streams of one measurement. ``rate`` in packets a second, for each stream."""

    def __init__(self, lab: Lab, streams: Sequence[Stream], rate: float = 1000.0) -> None:
        self._lab = lab
        self._streams = list(streams)
        self._rate = rate
        self._receivers: dict[tuple[int, int], JsonChild] = {}
        self._senders: list[JsonChild] = []
        self._before: machine.Machine | None = None
        self.results: list[Result] = []
        self.machine_drops: dict[str, int] = {}
        """Packets that this machine dropped meanwhile, by place (see `mininet_topos.machine`)."""

    def start(self) -> None:
        """Start receivers, then all senders; returns when packets of every allowed stream have arrived. Raises ChildError."""
        try:
            self._start()
        except BaseException:
            self._end()
            raise

    def _start(self) -> None:
        self._before = machine.sample()
        for pid, port, version in {(s.target.pid, s.port, s.version) for s in self._streams}:
            everything = "::" if version == 6 else "0.0.0.0"
            child = JsonChild(PROBES / "udp_receive.py", everything, str(port), netns_pid=pid)
            self._receivers[pid, port] = child
        by_source: dict[tuple[int, int], list[tuple[int, Stream]]] = {}
        for number, stream in enumerate(self._streams):
            by_source.setdefault((stream.source.pid, stream.version), []).append((number, stream))
        for group in by_source.values():
            self._senders.append(self._sender(group))
        for child in (*self._receivers.values(), *self._senders):
            child.answer()  # ready
        for sender in self._senders:
            sender.tell({"op": "start"})
        self._until_flowing()

    def _sender(self, group: Sequence[tuple[int, Stream]]) -> JsonChild:
        streams = [
            {
                "id": number,
                "from": s.source.address(s.source_interface, s.version),
                "to": s.target.address(s.target_interface, s.version),
                "port": s.port,
            }
            for number, s in group
        ]
        plan = json.dumps({"rate": self._rate, "streams": streams})
        return JsonChild(PROBES / "udp_send.py", plan, netns_pid=group[0][1].source.pid)

    def _until_flowing(self) -> None:
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while len(silent := self._silent()):
            if time.monotonic() > deadline:
                names = ", ".join(self._streams[number].name for number in silent)
                raise ChildError(f"nothing arrives of: {names}")
            time.sleep(0.05)

    def _silent(self) -> list[int]:
        arrived = self.counts()
        return [number for number, stream in enumerate(self._streams) if not (arrived.get(number) or stream.forbidden)]

    def counts(self) -> dict[int, int]:
        """Packets received so far, by the stream's place in the list."""
        found: dict[int, int] = {}
        for child in self._receivers.values():
            found |= {int(ident): n for ident, n in child.ask({"op": "count"})["received"].items()}
        return found

    def stop(self) -> list[Result]:
        """Stop the senders, wait for what is still under way, and give the account of every stream; again: the same."""
        if not self._receivers:
            return self.results
        try:
            return self._stop()
        finally:
            self._end()

    def _stop(self) -> list[Result]:
        sent: dict[int, int] = {}
        pauses: dict[int, float] = {}
        for sender in self._senders:
            said = sender.ask({"op": "stop"})
            if said["refused"]:
                self.machine_drops["sender refused by its kernel"] = said["refused"]
            for ident, number in said["sent"].items():
                sent[int(ident)] = number
                pauses[int(ident)] = said["longest_pause_ms"]
        self._until_quiet(sum(count for number, count in sent.items() if not self._streams[number].forbidden))
        accounts: dict[int, dict[str, Any]] = {}
        names = {stream.target.pid: stream.target.name for stream in self._streams}
        for (pid, _), child in self._receivers.items():
            said = child.ask({"op": "stop"})
            if said["overflow"]:
                self.machine_drops[f"receiver in {names[pid]}"] = said["overflow"]
            accounts |= {int(ident): account for ident, account in said["streams"].items()}
        if self._before is not None:
            self.machine_drops |= machine.sample().since(self._before)
        self.results = [
            _result(stream.name, sent.get(number, 0), pauses.get(number, 0.0), accounts.get(number))
            for number, stream in enumerate(self._streams)
        ]
        return self.results

    def _until_quiet(self, expected: int) -> None:
        """Until all have arrived, or none has for QUIET_SECONDS (then the rest is lost)."""
        last, since = -1, time.monotonic()
        deadline = since + ARRIVAL_SECONDS
        while time.monotonic() < deadline:
            now = sum(count for number, count in self.counts().items() if not self._streams[number].forbidden)
            if now >= expected:
                return
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS:
                return
            time.sleep(0.05)

    def _end(self) -> None:
        for child in (*self._senders, *self._receivers.values()):
            child.stop()
        self._senders.clear()
        self._receivers.clear()

    def __enter__(self) -> Traffic:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.stop()
        else:
            self._end()


def _result(name: str, sent: int, pause: float, account: dict[str, Any] | None) -> Result:
    if account is None:
        return Result(name, sent, 0, sent, 0, 0, float("inf"), float("inf"), pause, None, (), ())
    return Result(
        name=name,
        sent=sent,
        received=account["received"],
        lost=sent - account["received"],
        doubled=account["doubled"],
        reordered=account["reordered"],
        longest_gap=account["longest_gap_ms"],
        longest_gap_beyond_sender=account["longest_gap_beyond_sender_ms"],
        sender_longest_pause=pause,
        delay=account["delay_ms"],
        missing=tuple(account["missing_numbers"]),
        doubled_numbers=tuple(account["doubled_numbers"]),
    )
