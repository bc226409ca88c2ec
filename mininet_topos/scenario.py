"""One hot move under traffic, with everything that is promised of it measured. Used by the demo, `repeat` and the tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

from mininet_topos.endpoint import Endpoint
from mininet_topos.lab import Lab
from mininet_topos.observers import Seen, Sniff, TcpProbe, foreign, listening, look_at_wires
from mininet_topos.orchestrator import Move, Orchestrator
from mininet_topos.processes import inside
from mininet_topos.servers import Vm
from mininet_topos.traffic import Result, Stream, Traffic

BEFORE_SECONDS = 0.5  # of traffic, then the move
AFTER_SECONDS = 0.5
WIRE_RATE = 50.0  # packets a second while the cables are looked at
WIRE_SECONDS = 0.5

Hops = dict[str, list[int | None]]


@dataclass(frozen=True)
class Report:
    """A move and what it did to traffic.

    ``results`` are of the streams that should arrive, ``forbidden`` of those that should not. ``hops``: VLAN-IDs on every
    cable with packets of the VM, before and after. ``foreign``: what listeners of other CUGs heard and should not have.
    """

    move: Move
    results: tuple[Result, ...]
    forbidden: tuple[Result, ...]
    machine_drops: Mapping[str, int]
    tcp: Mapping[str, Any]
    foreign: Mapping[str, Sequence[Seen]]
    heard: Mapping[str, int]
    hops_before: Hops
    hops_after: Hops
    faults: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Packets of all streams."""
        return sum(result.sent for result in self.results)

    @property
    def lost(self) -> int:
        """Packets of all streams that did not arrive."""
        return sum(result.lost for result in self.results)

    @property
    def doubled(self) -> int:
        """Packets of all streams that arrived once more than they were sent."""
        return sum(result.doubled for result in self.results)

    @property
    def longest_gap(self) -> float:
        """The longest time in ms in which any one stream was silent at its receiver."""
        return max(result.longest_gap for result in self.results)


class Scenario:
    """Moves under traffic in one laboratory. ``members``: the MACs of each CUG, gateways included."""

    def __init__(self, orchestrator: Orchestrator, rate: float = 1000.0) -> None:
        self.orchestrator = orchestrator
        self.lab: Lab = orchestrator.lab
        self.rate = rate

    def members(self) -> dict[str, set[str]]:
        """Return the MACs of each CUG as far as VMs run, and the gateway's, which is in all."""
        found: dict[str, set[str]] = {}
        for vm in self.lab.vms.values():
            for interface in vm.interfaces:
                found.setdefault(interface.cug, {self.lab.fabric.gateway_mac}).add(interface.mac)
        return found

    def acquaint(self, vm: Vm, peers: Sequence[Vm], *, freeze: bool = True, version: int = 4) -> None:
        """Let ``vm`` and each peer reach each other once; then nail down what they learned (R34)."""
        for peer in peers:
            vm.run("ping", "-c", "3", "-i", "0.2", "-W", "3", peer.address(version=version))
            if freeze:
                vm.freeze_neighbour(peer.address(version=version), peer.interfaces[0].mac)
                peer.freeze_neighbour(vm.address(version=version), vm.interfaces[0].mac)

    def hops(self, vm: Vm, streams: Sequence[Stream]) -> Hops:
        """VLAN-IDs on every cable with packets of ``vm`` while a few packets of each stream are sent."""
        with Traffic(self.lab, streams, WIRE_RATE):
            sniff = look_at_wires(self.lab, WIRE_SECONDS)
        return _hops(sniff, vm)

    def baseline(self, streams: Sequence[Stream], seconds: float = 2.0) -> tuple[Result, ...]:
        """Return the same traffic without any move: what this machine does to it."""
        with Traffic(self.lab, streams, self.rate) as traffic:
            time.sleep(seconds)
        return tuple(result for stream, result in zip(streams, traffic.results, strict=True) if not stream.forbidden)

    def move(
        self,
        vm: Vm,
        to: str,
        peers: Sequence[Endpoint],
        *,
        version: int = 4,
        extra: Sequence[Stream] = (),
        tcp_peer: Endpoint | None = None,
        tcp_from: Endpoint | None = None,
        listeners: Sequence[Vm] = (),
        wires: bool = True,
        **options: Any,
    ) -> Report:
        """Move ``vm`` while it and each peer send to each other, ``listeners`` (of other CUGs) listen, and TCP runs.

        ``version``: of IP, for peers and TCP. ``extra``: more streams, forbidden ones too. TCP goes from ``vm`` to
        ``tcp_peer``, or from ``tcp_from`` to ``vm``. ``options`` are those of `Orchestrator.move`.
        """
        streams = [*both_ways(vm, peers, version), *extra]
        allowed = [stream for stream in streams if not stream.forbidden]
        hops_before = self.hops(vm, allowed) if wires else {}
        self.lab.reserve(to, len(vm.interfaces))
        with ExitStack() as stack:
            stack.enter_context(_chatting(listeners))
            sniffs = {listener.name: stack.enter_context(listening(listener)) for listener in listeners}
            tcp = _tcp(vm, tcp_peer, tcp_from, version)
            if tcp:
                stack.callback(tcp.end)
            traffic = stack.enter_context(Traffic(self.lab, streams, self.rate))
            time.sleep(BEFORE_SECONDS)
            move = self.orchestrator.move(vm, to, **options)
            time.sleep(AFTER_SECONDS)
            accounts = list(zip(streams, traffic.stop(), strict=True))
            tcp_account = tcp.stop() if tcp else {}
        members = self.members()
        report = Report(
            move=move,
            results=tuple(result for stream, result in accounts if not stream.forbidden),
            forbidden=tuple(result for stream, result in accounts if stream.forbidden),
            machine_drops=traffic.machine_drops,
            tcp=tcp_account,
            foreign={
                name: [seen for rows in found.values() for seen in rows]
                for name, sniff in sniffs.items()
                if (found := foreign(self.lab.vms[name], sniff, members))
            },
            heard={name: sum(sniff.total().values()) for name, sniff in sniffs.items()},
            hops_before=hops_before,
            hops_after=self.hops(vm, allowed) if wires else {},
        )
        report.faults.extend(self._faults(report))
        if wires:
            ends = {end.name: end.server for stream in allowed for end in (stream.source, stream.target) if end is not vm}
            homes = [(server, self.orchestrator.tags(name)) for name, server in ends.items() if server]
            report.faults.extend(_wire_faults(report, homes))
        return report

    def _faults(self, report: Report) -> list[str]:
        """Return what was promised and not kept, one sentence each."""
        faults = [f"{r.name}: {r.lost} of {r.sent} packets lost" for r in report.results if r.lost]
        faults += [f"{r.name}: {r.doubled} packets doubled" for r in report.results if r.doubled]
        faults += [f"{r.name}: {r.received} packets delivered" for r in report.forbidden if r.received]
        if report.tcp and (report.tcp["ended"] or report.tcp["out_of_order"]):
            faults.append(f"TCP connection: {report.tcp['ended'] or 'lines out of order'}")
        if report.tcp and report.tcp["echoed"] != report.tcp["written"]:
            faults.append(f"TCP connection: {report.tcp['written'] - report.tcp['echoed']} lines never came back")
        faults += [f"{name} heard {sum(s.frames for s in seen)} frames of another CUG" for name, seen in report.foreign.items()]
        if len(report.heard) > 1:
            faults += [f"{name} heard not even its own CUG" for name, frames in report.heard.items() if not frames]
        return faults


def _wire_faults(report: Report, peers: Sequence[tuple[str, set[int | None]]]) -> list[str]:
    """Return the server's cable carries the VLAN-ID that REST named; the old server's carries nothing of the VM any more.

    A peer that lives on one of these servers is sent to over that cable, too, under its own CUG's VLAN-ID: ``peers`` has the
    server and the VLAN-IDs of each.
    """
    faults = []
    for server, hops, vlan_id in (
        (report.move.source, report.hops_before, report.move.vlan_ids[0]),
        (report.move.target, report.hops_after, report.move.vlan_ids[1]),
    ):
        seen = {one for link, vlan_ids in hops.items() if link.endswith(f"={server}") for one in vlan_ids}
        expected = {vlan_id}.union(*(tags for where, tags in peers if where == server))
        if seen != expected:
            faults.append(f"cable of {server}: VLAN-IDs {sorted(map(str, seen))} on it, {sorted(map(str, expected))} announced")
    left = [link for link in report.hops_after if link.endswith(f"={report.move.source}")]
    if left and all(where != report.move.source for where, _ in peers):
        faults.append(f"frames of {report.move.vm} still on {', '.join(left)}")
    return faults


@contextmanager
def _chatting(listeners: Sequence[Vm]) -> Iterator[None]:
    """Let the listeners have a little traffic of their own: one that hears nothing at all proves nothing."""
    first, *others = listeners or (None,)
    chats = [
        subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *inside(first.pid, ["ping", "-q", "-i", "0.5", other.address()])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for other in others if first is not None
    ]  # fmt: skip
    try:
        yield
    finally:
        for chat in chats:
            chat.kill()
            chat.wait()


def _tcp(vm: Vm, peer: Endpoint | None, client: Endpoint | None, version: int) -> TcpProbe | None:
    if peer and client:
        raise ValueError("one TCP connection a move: to tcp_peer, or from tcp_from")
    if client:
        return TcpProbe(client, vm, version)
    return TcpProbe(vm, peer, version) if peer else None


def both_ways(vm: Endpoint, peers: Sequence[Endpoint], version: int = 4) -> list[Stream]:
    """Return a stream from ``vm`` to each peer, and one back."""
    return [stream for peer in peers for stream in (Stream(vm, peer, version), Stream(peer, vm, version))]


def _hops(sniff: Sniff, vm: Vm) -> Hops:
    """Frames with the VM's MAC (bridged, or on its own cable), or with its IP address (routed)."""
    own = {interface.mac for interface in vm.interfaces}
    own |= {str(ip_interface(text).ip) for interface in vm.interfaces for text in interface.ips}
    found = sniff.vlan_ids(own)
    return {link: sorted(vlan_ids, key=lambda v: (v is not None, v)) for link, vlan_ids in sorted(found.items())}
