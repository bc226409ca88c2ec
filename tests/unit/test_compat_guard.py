"""The parse guard: what one message can do to the controller without it, and with it."""

from __future__ import annotations

import contextlib
import signal
import struct
from pathlib import Path

import greenlet
import pytest

from ryu_vmmob import compat
from ryu_vmmob.compat.state import STATE
from tests.support.ryu_manager import HELLO, MANAGER, STOCK, TIME_LIMIT_ONLY, controller, message, multipart, poll

# Each element states length 0, so a parser that steps by it never ends. (bytes before the handshake, bytes after it)
HANGING = {
    "hello element": (message(HELLO, struct.pack("!HHI", 1, 0, 0x10)), b""),
    "flow statistics": (message(HELLO), multipart(1, bytes(56))),
    "group description": (message(HELLO), multipart(7, bytes(8))),
    "table features property": (message(HELLO), multipart(12, struct.pack("!H62x", 72) + bytes(8))),
}
inputs = pytest.mark.parametrize("what", HANGING)


@inputs
def test_stock_parser_never_ends(what: str, tmp_path: Path) -> None:
    """The fault itself: the controller burns CPU time and serves nobody else."""
    first, second = HANGING[what]
    with controller(tmp_path, STOCK, off="parse_guard") as stock, stock.switch() as bad, stock.switch() as good:
        bad.send(first + second)
        idle = stock.cpu_seconds()
        # Ten times what parsing the largest honest message takes, in CPU time, so a slow machine makes no difference.
        poll(lambda: stock.cpu_seconds() > idle + 1 or None, "the parser spins")
        good.connection.settimeout(1)
        with pytest.raises(TimeoutError):
            good.handshake()


@pytest.mark.parametrize("code", [MANAGER, STOCK, TIME_LIMIT_ONLY], ids=["our manager", "stock manager", "time limit alone"])
@inputs
def test_only_the_offender_is_closed(what: str, code: str, tmp_path: Path) -> None:
    first, second = HANGING[what]
    with controller(tmp_path, code) as guarded, guarded.switch() as before, guarded.switch() as bad:
        assert before.become_ready()
        bad.send(first + second)
        assert bad.closed()
        before.send(message(2, b"still here"))
        assert before.wait_for(3) == (7, b"still here")
        with guarded.switch() as later:
            assert later.handshake()
        log = guarded.log()
        assert "OpenFlow message refused, connection closed" in log
        assert "Traceback" not in log


def test_replies_before_the_handshake_and_of_other_versions_are_refused(tmp_path: Path) -> None:
    with controller(tmp_path, MANAGER) as guarded:
        with guarded.switch() as early:
            early.send(multipart(13, b""))
            assert early.closed()
        with guarded.switch() as other:
            assert other.handshake()
            other.send(message(19, bytes(8), version=6))
            assert other.closed()
        assert "type 19 before the handshake" in guarded.log()
        assert "version 6 on a connection that negotiated 4" in guarded.log()


def test_parsing_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from ryu_vmmob.compat.guard import WATCH, ParseTimeoutError

    monkeypatch.setattr(STATE, "parse_limit", 0.05)

    def endless() -> None:
        while True:
            pass

    def swallows_once() -> str:
        try:
            endless()
        except Exception:
            return "as if nothing had happened"
        return ""

    for parse in (endless, swallows_once):
        with pytest.raises(ParseTimeoutError, match=r"more than 0.05 s"):
            WATCH.run(parse)
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert WATCH.run(lambda: 5) == 5


def test_the_time_limit_leaves_other_green_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that writes to a slow log lets another green thread run; that one must not be interrupted."""
    from ryu_vmmob.compat.guard import WATCH

    monkeypatch.setattr(STATE, "parse_limit", 0.01)
    signals = 0
    count = WATCH.on_signal

    def on_signal(number: int, frame: object) -> None:
        nonlocal signals
        signals += 1
        count(number, None)

    WATCH.run(lambda: None)  # installs its own handler first
    installed = signal.signal(signal.SIGVTALRM, on_signal)
    try:

        def work() -> str:
            while signals < 2:
                pass
            return "undisturbed"

        assert WATCH.run(lambda: greenlet.greenlet(work).switch()) == "undisturbed"
    finally:
        signal.signal(signal.SIGVTALRM, installed)


@pytest.mark.parametrize("seconds", [0.0, 0.009, 61.0, float("nan")])
def test_parse_limit_out_of_range(seconds: float) -> None:
    before = STATE.parse_limit
    with pytest.raises(ValueError, match="parse limit"):
        compat.set_parse_limit(seconds)
    assert STATE.parse_limit == before


def test_refusals_are_counted_and_raised_without_a_connection() -> None:
    compat.apply()
    from ryu.ofproto import ofproto_parser, ofproto_protocol

    from ryu_vmmob.compat.lengths import MalformedMessageError

    before = compat.refusals().malformed
    data = bytearray(HANGING["group description"][1])
    with pytest.raises(MalformedMessageError, match="group description at byte 16: length 0 is below 8"):
        ofproto_parser.msg(ofproto_protocol.ProtocolDesc(version=4), 4, 19, len(data), 7, data)
    assert compat.refusals().malformed == before + 1


def test_a_port_stays_open_when_there_are_too_many_connections(tmp_path: Path) -> None:
    """With few files to open: more peers than files, and when they have gone the next one is served."""
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); "
    with controller(tmp_path, few + MANAGER) as guarded:
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(guarded.switch()) for _ in range(100)]
            poll(lambda: "48 are open" in guarded.log() or None, "connections are refused")
            assert crowd[0].handshake()
            for one in crowd:
                one.stream.close()  # else it keeps the connection open

        def served() -> bool | None:
            with guarded.switch() as later:
                return later.handshake() or None

        poll(served, "a later connection is served")
        assert "Traceback" not in guarded.log()


def test_what_a_handler_stumbles_over_closes_one_connection(tmp_path: Path) -> None:
    """A hello that failed, with a text that is no ASCII: Ryu's handler decodes it to log it."""
    with controller(tmp_path, MANAGER) as guarded, guarded.switch() as bad, guarded.switch() as good:
        bad.send(message(1, struct.pack("!HH", 0, 0) + b"\xff\xfe"))
        assert bad.closed()
        assert good.handshake()
        assert "connection closed: UnicodeDecodeError" in guarded.log()
        assert "Traceback" not in guarded.log()
