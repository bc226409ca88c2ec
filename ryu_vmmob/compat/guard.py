"""Bounds what one message of a switch can do to the controller: the seam around Ryu's parser.

Ryu 4.34 parses in the event loop; while a parser loops, no switch is served, no REST call answered and no signal of the loop
heard. Four layers stand here, cheapest first, behind an application's own wish to drop a message unread (`drop_unwanted`):

1. A message of another OpenFlow version than the negotiated one, or anything but the handshake's messages before the
   handshake, is refused: the parsers of versions we do not speak are out of reach.
2. The lengths of every list are checked (`ryu_vmmob.compat.lengths`).
3. Descriptions and features go over unparsed where an application asked for that (`ryu_vmmob.compat.raw`).
4. Parsing has a CPU-time limit, by an interval timer: the last resort, for faults not foreseen.

What Ryu's parser cannot parse is refused as well, in one line: Ryu would log a traceback and the whole message, and go on to
the next one. A switch has no more than `MAX_PORTS` ports, and none before it has said who it is.

A refused message closes its connection and is counted; everything else goes on. The timer counts the CPU time of the
process, not the time of the day, so that a busy or paused machine is not mistaken for a loop. Its signal reaches the main
operating-system thread only, which is where eventlet's loop runs; in another thread layer 4 is absent.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType, ModuleType
from typing import Any

import greenlet
from ryu import exception as ryu_exception

from ryu_vmmob.compat import lengths
from ryu_vmmob.compat.state import STATE
from ryu_vmmob.logs import Sparing

LOG = logging.getLogger(__name__)
_REFUSED = Sparing(LOG, logging.ERROR)

_HANDSHAKE = "handshake"
_DEAD = "dead"
# Hello, error, echo request, echo reply: the same form in every version (1.3.5, 6.3.1 and 7.5).
_ANY_VERSION = frozenset({0, 1, 2, 3})
_PORT_STATUS = 12
_MP_PORT_DESC = 13
MAX_PORTS = 1 << 16
"""Ports of one switch; Ryu keeps them all, for as long as the switch goes on telling of more."""


class ParseTimeoutError(ryu_exception.OFPTruncatedMessage):  # type: ignore[misc]
    """Parsing one message took too long.

    Derived from the one exception that Ryu's parser lets pass; any other it would log with a dump of the whole message.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(None, b"", None, msg=f"parsing took more than {seconds} s of CPU time")


class _Watch:
    """The timer and who is being timed."""

    def __init__(self) -> None:
        self.running: greenlet.greenlet | None = None
        self.expired = False
        self.installed = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Another green thread may run while a parser waits for the log to be written: leave that one alone.
        if self.running is not None and greenlet.getcurrent() is self.running:
            self.expired = True
            raise ParseTimeoutError(STATE.parse_limit)

    def usable(self) -> bool:
        """Whether this is the main operating-system thread. (eventlet replaces the thread identifiers, not this one.)"""
        return threading.get_native_id() == os.getpid()

    def run(self, parse: Any, *args: Any) -> Any:
        """Call ``parse`` under the timer. Raises ParseTimeoutError when it is over, also if the parser swallows that."""
        if not self.usable():
            return parse(*args)
        if not self.installed:
            signal.signal(signal.SIGVTALRM, self.on_signal)
            self.installed = True
        outer, self.running, self.expired = self.running, greenlet.getcurrent(), False
        # It repeats, for a parser that catches the exception inside its loop.
        signal.setitimer(signal.ITIMER_VIRTUAL, STATE.parse_limit, 0.05)
        try:
            result = parse(*args)
        finally:
            self.running = outer
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        if self.expired:
            raise ParseTimeoutError(STATE.parse_limit)
        return result


WATCH = _Watch()


def wrap(parser: ModuleType) -> str:
    """Put the guard around ``ryu.ofproto.ofproto_parser.msg``; returns what was done."""
    parse = parser.msg

    def msg(datapath: Any, version: int, msg_type: int, msg_len: int, xid: int, buf: bytearray) -> Any:
        if getattr(datapath, "state", None) == _DEAD:
            return None
        if STATE.unwanted is not None and STATE.unwanted(datapath, msg_type, xid, buf):
            return None
        try:
            _check_negotiated(datapath, version, msg_type)
            raw = _wants_raw(datapath, version, msg_type, xid, buf)
            lengths.check(version, msg_type, buf, raw=raw)
            _check_ports(datapath, msg_type, buf)
            if raw:
                from ryu_vmmob.compat.raw import RawMultipart

                return RawMultipart.parser(datapath, version, msg_type, msg_len, xid, buf)
            parse_version = parser._MSG_PARSERS.get(version)
            if parse_version is None:
                raise lengths.MalformedMessageError("there is no such version")
            return WATCH.run(parse_version, datapath, version, msg_type, msg_len, xid, buf)
        except lengths.MalformedMessageError as error:
            STATE.malformed += 1
            return _refuse(datapath, version, msg_type, error)
        except ParseTimeoutError as error:
            STATE.too_slow += 1
            return _refuse(datapath, version, msg_type, error)
        except Exception as error:  # whatever a parser's code happens to stumble over
            STATE.malformed += 1
            return _refuse(datapath, version, msg_type, lengths.MalformedMessageError(f"it cannot be read: {error!r:.200}"))

    msg.unguarded = parse  # type: ignore[attr-defined]
    parser.msg = msg  # type: ignore[attr-defined]
    where = "" if WATCH.usable() else ", no time limit outside the main thread"
    return f"checks lengths, limits parsing to {STATE.parse_limit} s of CPU time{where}"


def _check_negotiated(datapath: Any, version: int, msg_type: int) -> None:
    state = getattr(datapath, "state", None)
    if state is None or msg_type == lengths.HELLO or (state == _HANDSHAKE and msg_type in _ANY_VERSION):
        return
    if state == _HANDSHAKE and msg_type != lengths.EXPERIMENTER:
        message = f"type {msg_type} before the handshake"
        raise lengths.MalformedMessageError(message)
    negotiated = datapath.ofproto.OFP_VERSION
    if state != _HANDSHAKE and version != negotiated:
        message = f"version {version} on a connection that negotiated {negotiated}"
        raise lengths.MalformedMessageError(message)


def _check_ports(datapath: Any, msg_type: int, buf: bytearray) -> None:
    if msg_type != _PORT_STATUS and (msg_type != lengths.MULTIPART_REPLY or (buf[8] << 8 | buf[9]) != _MP_PORT_DESC):
        return
    if getattr(datapath, "state", None) is None:
        return
    ports = getattr(datapath, "ports", None)
    if ports is None:
        raise lengths.MalformedMessageError("ports of a switch that has not said who it is")
    if len(ports) > MAX_PORTS:
        raise lengths.MalformedMessageError(f"more than {MAX_PORTS} ports")


def _wants_raw(datapath: Any, version: int, msg_type: int, xid: int, buf: bytearray) -> bool:
    if not STATE.raw or msg_type != lengths.MULTIPART_REPLY or version != lengths.OFP_1_3 or len(buf) < 10:
        return False
    kind = buf[8] << 8 | buf[9]
    if kind not in lengths.READ_RAW:
        return False
    if STATE.wants_raw is None:
        return kind in lengths.RAW_FOR_ALL  # Ryu's own handshake reads port descriptions
    return STATE.wants_raw(datapath, xid)


def _refuse(datapath: Any, version: int, msg_type: int, error: Exception) -> None:
    """Close a connection whose peer sent something impossible. Without a connection (a bare protocol object): raise."""
    close = getattr(datapath, "close", None)
    if close is None:
        raise error
    dpid = getattr(datapath, "id", None)
    _REFUSED(
        "switch %s at %s: OpenFlow message refused, connection closed: version %d, type %d: %s",
        "unknown" if dpid is None else f"{dpid:#018x}",
        getattr(datapath, "address", None),
        version,
        msg_type,
        error,
    )
    # The receive loop sees the state and ends; it closes the socket itself.
    close()
