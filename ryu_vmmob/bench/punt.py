"""A switch hands up 10,000 packets a second: what that does to moves on others, and what a switch with meters hands up at all.

The moves are on three bridges of a real ``ovs-vswitchd``; the noise comes from a fake switch that knows no limit, as packets
of a flow that the controller gave it. Then one of the real bridges gets as many frames from a server that may not send them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from ryu_vmmob.bench.echo import EchoProbe
from ryu_vmmob.bench.evacuate import AWAY, FABRIC, HOME, bodies
from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_switch import FakeFleet
from ryu_vmmob.bench.measure import Row, row
from ryu_vmmob.bench.site import BenchSite
from ryu_vmmob.bench.tap import wait_for
from ryu_vmmob.flows.pipeline import METER_RATES, Meter

RATE: Final = 10_000
"""Packet-ins a second."""
VMS: Final = 100
MOVES: Final = 20
"""In each half of a round."""
ROUNDS: Final = 3
FRAMES: Final = 30_000
"""That a server sends into a bridge though it may not."""
_AT_ONCE: Final = 500
NOISY: Final = "tor-n"
_NOISY_DPID: Final = 0x4E
_LOOK: Final = 0.002


def fabric() -> str:
    """Return the racks of the evacuation benchmark and one more, whose switch is a fake."""
    text = FABRIC.read_text()
    for section, more in (
        ("l2_domains", 'rack-n: {data_center: dc1, vlan_ids: "100-199"}'),
        ("switches", f'{NOISY}: {{dpid: "{_NOISY_DPID:#x}", role: tor, l2_domain: rack-n, data_center: dc1}}'),
        ("links", f'- {{a: "{NOISY}:49", b: "border-1:3", l2_domain: core-1}}'),
        ("servers", f'srv-n1: {{attach: "{NOISY}:1"}}'),
    ):
        text = text.replace(f"\n{section}:\n", f"\n{section}:\n  {more}\n")
    return text


def run(moves: int = MOVES, rounds: int = ROUNDS, frames: int = FRAMES) -> Iterator[Row]:
    """Milliseconds of a move in quiet and in noise, their ratio, and packet-ins of a bridge with meters."""
    with BenchSite(fabric(), ["tor-a", "tor-b", "border-1"]) as site:
        body = bodies(VMS, 1, HOME)
        # A CUG of its own: what the noisy switch has to confirm comes behind its noise, and is not what is measured.
        body["cugs"]["noise"] = {"subnets": ["10.99.0.0/24"]}
        interface = {"cug": "noise", "mac": "02:00:00:ff:ff:01", "ips": ["10.99.0.2"]}
        body["vms"]["noisy"] = {"server": "srv-n1", "interfaces": [interface]}
        site.load(body)
        for name in site.bridges:
            site.connect(name)
        fake = FakeSwitch(("127.0.0.1", site.tap.port(NOISY)), _NOISY_DPID)
        with FakeFleet({NOISY: fake}) as fleet:
            site.until_in_step(*site.bridges, NOISY)
            yield from _moves_in_noise(site, fleet, moves, rounds)
        yield from _limited(site, frames)


def _moves_in_noise(site: BenchSite, fleet: FakeFleet, moves: int, rounds: int) -> Iterator[Row]:
    flows = site.client.get(f"/v1/switches/{NOISY}/flows", table="refuse")["items"]
    cookie = next(int(flow["cookie"], 16) for flow in flows if "controller:" in flow["actions"])
    quiet, loud, ratios, rates, echoes = list[float](), list[float](), list[float](), list[float](), list[float]()
    _moves(site, moves)  # first runs are not measured
    for _ in range(rounds):
        before = _moves(site, moves)
        line = site.tap.line(NOISY)
        fleet.change(NOISY, packet_ins=float(RATE), packet_cookie=cookie)
        wait_for(lambda line=line, told=line.packet_ins: line.packet_ins > told + RATE // 10, "no packet is handed up")  # type: ignore[misc]
        with EchoProbe(site.openflow) as probe:
            began, told = time.monotonic(), line.packet_ins
            during = _moves(site, moves)
            rates.append((line.packet_ins - told) / (time.monotonic() - began))
        fleet.change(NOISY, packet_ins=0.0)
        echoes.append(probe.longest)
        quiet += before
        loud += during
        ratios.append(sorted(during)[moves // 2] / sorted(before)[moves // 2])
        site.until_calm()
    what = "REST call to committed, told to the controller by REST in three steps"
    yield row("a move in quiet", what, "milliseconds", [each * 1e3 for each in quiet])
    what = f"the same while another switch hands up {RATE} packets a second"
    yield row("a move in noise", what, "milliseconds", [each * 1e3 for each in loud])
    yield row("noise to quiet", "medians of each round", "ratio", ratios)
    yield row("packets read", "of that switch, while it is held back", "packets per second", rates)
    yield row("echo in noise", "the longest that another switch waited for an echo reply", "seconds", echoes)


def _moves(site: BenchSite, number: int) -> list[float]:
    """Seconds of each of so many moves, one after another, there and back."""
    return [_move(site, f"vm-{at // 2 % VMS:04}", HOME if at % 2 else AWAY) for at in range(number // 2 * 2)]


def _move(site: BenchSite, vm: str, to: str) -> float:
    client = site.client
    began = time.monotonic()
    id_ = client.post("/v1/migrations", {"vm": vm, "to": to, "activate_on": "request"})["id"]
    state = ""
    deadline = began + 60
    while state != "committed":
        state = client.get(f"/v1/migrations/{id_}")["state"]
        if state == "prepared":
            client.post(f"/v1/migrations/{id_}/activate")
        elif state in ("failed", "aborted") or time.monotonic() > deadline:
            raise RuntimeError(f"a move of {vm} ended as {state}")
        else:
            time.sleep(_LOOK)
    return time.monotonic() - began


def _limited(site: BenchSite, frames: int) -> Iterator[Row]:
    """Frames with a source that no VM has: refused, and now and then shown to the controller."""
    line = site.tap.line("tor-a")
    spoofed = b"\xff" * 6 + b"\x06\x00\x00\x00\x00\x01" + b"\x81\x00\x00\x64" + b"\x08\x00" + bytes(46)
    before, began = line.packet_ins, time.monotonic()
    for number in range(frames // _AT_ONCE):
        time.sleep(max(0.0, began + number * _AT_ONCE / RATE - time.monotonic()))
        site.bridges["tor-a"].receive(1, *[spoofed] * _AT_ONCE)
    seconds = time.monotonic() - began
    handed = line.packet_ins - before
    yield row("frames put in", "refused frames of a server at a bridge with meters", "frames per second", [frames / seconds])
    limit = METER_RATES[Meter.REFUSALS]
    what = f"of those; the meter is {limit} a second, and as many more at once"
    yield row("frames handed up", what, "packets per second", [handed / seconds])
    if not 0 < handed <= limit * (seconds + 2):
        raise RuntimeError(f"{handed} frames in {seconds:.1f} s passed a meter of {limit} a second")
