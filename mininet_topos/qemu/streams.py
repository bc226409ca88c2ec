"""Numbered packets between a QEMU guest and its peers, and one TCP connection at the guest's full speed, while it is moved.

What comes to the guest is counted inside it, what comes from it at the peers. The peers are imitated VMs or the world outside.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from mininet_topos import machine
from mininet_topos.endpoint import Endpoint
from mininet_topos.observers import TCP_PORT
from mininet_topos.processes import PROBES, ChildError, JsonChild
from mininet_topos.qemu import account
from mininet_topos.qemu.vm import Pause, QemuVm
from mininet_topos.traffic import FORBIDDEN_PORT, PORT

FROM_GUEST = 100  # numbers of streams from the guest begin here, those to it with 0
FORBIDDEN = 200  # and those to it to a port that no policy allows
FLOWING_SECONDS = 30.0
ARRIVAL_SECONDS = 15.0  # how long the last packets may take before they count as lost
QUIET_SECONDS = 0.7  # without any arrival
LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Sent:
    """A stream from the guest, as its peer counted; or a forbidden one to it, as the guest counted."""

    name: str
    sent: int
    received: int
    doubled: int
    longest_gap: float

    @property
    def lost(self) -> int:
        """Packets that did not arrive."""
        return self.sent - self.received


@dataclass(frozen=True)
class Tcp:
    """The connection from the guest. ``timeouts``: retransmission time-outs that the guest's kernel counted.

    ``written``: bytes that the guest handed to its kernel, ``arrived`` at the peer; ``ended``: how it ended there.
    """

    written: int
    arrived: int
    retransmitted: int
    timeouts: int
    longest_gap: float
    ended: str | None

    @property
    def alive(self) -> bool:
        """Whether every byte came, and the end in good order."""
        return self.ended == "closed" and self.arrived == self.written


@dataclass(frozen=True)
class Outcome:
    """What a move did to traffic: streams to the guest and from it, TCP if there was a connection, the machine's own drops."""

    to_guest: tuple[account.Received, ...]
    from_guest: tuple[Sent, ...]
    forbidden: tuple[Sent, ...]
    tcp: Tcp | None
    machine_drops: dict[str, int]


class GuestTraffic:
    """Both ways between a guest and each peer. ``peers``: ends and IP versions; ``rate``: packets a second and stream.

    ``forbidden``: who sends to the guest's forbidden port as well; nothing of that is waited for.
    """

    def __init__(
        self,
        vm: QemuVm,
        peers: Sequence[tuple[Endpoint, int]],
        rate: float,
        *,
        forbidden: Sequence[tuple[Endpoint, int]] = (),
        tcp_peer: Endpoint | None = None,
    ) -> None:
        self._vm = vm
        self._peers = list(peers)
        self._forbidden = list(forbidden)
        self._rate = rate
        self._tcp_peer = tcp_peer
        self._senders: list[JsonChild] = []
        self._receivers: list[JsonChild] = []
        self._sink: JsonChild | None = None
        self._timeouts = 0
        self._before: machine.Machine | None = None

    def __enter__(self) -> GuestTraffic:
        """Start everything; returns when packets of every stream have arrived. Raises ChildError, MachineError."""
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _start(self) -> None:
        order = self._vm.machine.order
        self._before = machine.sample()
        order("clear")
        for number, (peer, version) in enumerate(self._peers):
            own = peer.address(version=version)
            self._receivers.append(JsonChild(PROBES / "udp_receive.py", own, str(PORT + version), netns_pid=peer.pid))
            self._senders.append(self._sender(number, peer, version, PORT))
            order(f"send {FROM_GUEST + number} {self._vm.address(version=version)} {own} {PORT + version} {self._rate:g}")
        for number, (peer, version) in enumerate(self._forbidden, start=FORBIDDEN):
            self._senders.append(self._sender(number, peer, version, FORBIDDEN_PORT))
        if self._tcp_peer is not None:
            own = self._tcp_peer.address()
            self._sink = JsonChild(PROBES / "tcp_sink.py", own, str(TCP_PORT), netns_pid=self._tcp_peer.pid)
            self._sink.answer()
            self._timeouts = self._tcp_timeouts()
            order(f"connect {own} {TCP_PORT}")
        for child in (*self._receivers, *self._senders):
            child.answer()  # ready
        order("start")
        for sender in self._senders:
            sender.tell({"op": "start"})
        self._until_flowing()

    def _sender(self, number: int, peer: Endpoint, version: int, port: int) -> JsonChild:
        ends = {"from": peer.address(version=version), "to": self._vm.address(version=version)}
        stream = {"id": number, **ends, "port": port + version}
        plan = json.dumps({"rate": self._rate, "stamps": True, "streams": [stream]})
        return JsonChild(PROBES / "udp_send.py", plan, netns_pid=peer.pid)

    def _until_flowing(self) -> None:
        deadline = time.monotonic() + FLOWING_SECONDS
        while True:
            silent = [self._name(n, to_guest=True) for n in range(len(self._peers)) if not self._guest_counts().get(n)]
            silent += [self._name(n, to_guest=False) for n, count in enumerate(self._peer_counts()) if not count]
            if not silent:
                return
            if time.monotonic() > deadline:
                raise ChildError(f"nothing arrives of: {', '.join(silent)}")
            time.sleep(LOOK_EVERY)

    def _name(self, number: int, *, to_guest: bool) -> str:
        peer, version = self._peers[number]
        ends = (peer.name, self._vm.name) if to_guest else (self._vm.name, peer.name)
        return f"{ends[0]} > {ends[1]} (IPv{version})"

    def _guest_counts(self) -> dict[int, int]:
        said = self._vm.machine.order("count").split()
        return {int(ident): int(count) for ident, _, count in (word.partition(":") for word in said)}

    def _peer_counts(self) -> list[int]:
        answers = [child.ask({"op": "count"})["received"] for child in self._receivers]
        return [int(found.get(str(FROM_GUEST + number), 0)) for number, found in enumerate(answers)]

    def stop(self, pause: Pause) -> Outcome:
        """End the traffic and give the account of every stream. Raises ChildError, MachineError."""
        order = self._vm.machine.order
        tcp = self._stop_tcp()
        stamps: list[list[int]] = []
        for sender in self._senders:
            said = sender.ask({"op": "stop"})
            if said["refused"]:
                raise ChildError(f"the kernel refused {said['refused']} packets of a sender")
            stamps.append(said["stamps"])
        told = dict(word.split(":") for word in order("stop").split())
        if told.pop("refused") != "0":
            raise ChildError(f"the guest's kernel refused packets of its sender: {told}")
        sent = [int(told[str(FROM_GUEST + number)]) for number in range(len(self._peers))]
        stamps, never = stamps[: len(self._peers)], stamps[len(self._peers) :]
        self._until_quiet(sum(map(len, stamps)) + sum(sent))
        lost_inside, *reports = order("report").split()
        drops = {} if self._before is None else machine.sample().since(self._before)
        if lost_inside != "0":
            drops["the guest's own sockets"] = int(lost_inside)
        arrived = dict(word.split(":") for word in reports)
        away = (pause.stopped, pause.resumed)
        to_guest = tuple(
            account.received(self._name(number, to_guest=True), at, account.runs(arrived.get(str(number), "")), away)
            for number, at in enumerate(stamps)
        )
        forbidden = []
        for number, at in enumerate(never):
            peer, version = self._forbidden[number]
            came = sum(last - first + 1 for first, last in account.runs(arrived.get(str(FORBIDDEN + number), "")))
            forbidden.append(Sent(f"{peer.name} > {self._vm.name} (IPv{version}, forbidden)", len(at), came, 0, 0.0))
        return Outcome(to_guest, tuple(self._at_peers(sent)), tuple(forbidden), tcp, drops)

    def _at_peers(self, sent: Sequence[int]) -> list[Sent]:
        found = []
        for number, child in enumerate(self._receivers):
            one = child.ask({"op": "stop"})["streams"].get(str(FROM_GUEST + number))
            counts = (one["received"], one["doubled"], one["longest_gap_ms"]) if one else (0, 0, float("inf"))
            found.append(Sent(self._name(number, to_guest=False), sent[number], *counts))
        return found

    def _until_quiet(self, expected: int) -> None:
        """Until all have arrived, or none has for QUIET_SECONDS (then the rest is lost)."""
        last, since = -1, time.monotonic()
        deadline = since + ARRIVAL_SECONDS
        while time.monotonic() < deadline:
            now = sum(self._guest_counts().values()) + sum(self._peer_counts())
            if now == expected:
                return
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS:
                return
            time.sleep(LOOK_EVERY)

    def _tcp_timeouts(self) -> int:
        """Retransmission time-outs so far, as the guest's kernel counts them: one line of names, one of numbers."""
        lines = [line.split() for line in self._vm.machine.shell("cat /proc/net/netstat").splitlines()]
        names, numbers = (line for line in lines if line[0] == "TcpExt:")
        found = dict(zip(names, numbers, strict=True))
        return int(found["TCPTimeouts"])

    def _stop_tcp(self) -> Tcp | None:
        if self._sink is None:
            return None
        written, retransmitted = map(int, self._vm.machine.order("close").split())
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while (said := self._sink.ask({"op": "count"}))["ended"] is None and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        timeouts = self._tcp_timeouts() - self._timeouts
        return Tcp(written, said["bytes"], retransmitted, timeouts, said["longest_gap_ms"], said["ended"])

    def _end(self) -> None:
        sink: list[JsonChild] = [] if self._sink is None else [self._sink]
        for child in (*self._senders, *self._receivers, *sink):
            child.stop()
        self._senders.clear()
        self._receivers.clear()
        self._sink = None
