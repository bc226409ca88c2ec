"""How much a switch may say without being asked, and connections that never say who they are."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ryu_vmmob.southbound.handshakes import HANDSHAKE_SECONDS, Handshakes
from ryu_vmmob.southbound.intake import DROPS_A_PAUSE, PACKETS_A_SECOND, PORTS_A_SECOND, UNASKED_A_SECOND, Intake

ERROR, ECHO_REQUEST, PACKET_IN, PORT_STATUS, BARRIER_REPLY = 1, 2, 10, 12, 21


class Switch:
    """Waits for an answer to 7 and has a flow with cookie 1 and one with cookie 2."""

    def expects(self, xid: int) -> bool:
        return xid == 7

    def has_flow(self, cookie: int) -> bool:
        return cookie in (1, 2)


@dataclass
class Bench:
    now: float = 100.0
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.intake = Intake(lambda: self.now, self.pauses.append)

    def let_in(self, number: int, kind: int, xid: int = 0, cookie: int = 0) -> int:
        data = bytes(16) + cookie.to_bytes(8, "big")
        return sum(not self.intake.unwanted(Switch(), kind, xid, data) for _ in range(number))


@pytest.mark.parametrize("kind", [ERROR, ECHO_REQUEST, PACKET_IN, BARRIER_REPLY])
def test_a_flood_is_dropped_beyond_its_measure_and_read_slowly(kind: int) -> None:
    bench = Bench()
    assert bench.let_in(5000, kind) == UNASKED_A_SECOND
    assert len(bench.pauses) == (5000 - UNASKED_A_SECOND) // DROPS_A_PAUSE
    assert bench.intake.dropped == 5000 - UNASKED_A_SECOND
    bench.now += 1
    assert bench.let_in(5000, kind) == UNASKED_A_SECOND


def test_what_is_waited_for_is_never_dropped() -> None:
    bench = Bench()
    bench.let_in(5000, ERROR)
    assert bench.let_in(5000, BARRIER_REPLY, xid=7) == 5000
    assert bench.let_in(5000, ERROR, xid=7) == 5000


def test_one_flows_packets_do_not_hide_anothers() -> None:
    bench = Bench()
    assert bench.let_in(5000, PACKET_IN, cookie=1) == PACKETS_A_SECOND
    assert bench.let_in(5, PACKET_IN, cookie=2) == 5
    bench.let_in(5000, PACKET_IN, cookie=3)
    assert bench.let_in(5, PACKET_IN, cookie=2) == 5


def test_a_change_of_a_port_is_never_dropped() -> None:
    bench = Bench()
    assert bench.let_in(PORTS_A_SECOND, PORT_STATUS) == PORTS_A_SECOND
    assert not bench.pauses
    assert bench.let_in(50, PORT_STATUS) == 50
    assert len(bench.pauses) == 50


def test_a_connection_that_does_not_become_a_switch() -> None:
    class Connection:
        pass

    mute, switch, gone = Connection(), Connection(), Connection()
    waiting = Handshakes()
    for each in (mute, switch, gone):
        waiting.began(each, 0.0)
    waiting.ended(switch)
    del gone, each
    assert waiting.overdue(HANDSHAKE_SECONDS - 1) == []
    assert waiting.overdue(HANDSHAKE_SECONDS) == [mute]
    assert waiting.overdue(HANDSHAKE_SECONDS) == []
