"""Says for each part whether the installed Ryu and eventlet still need it, by looking at them and not at version numbers."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
from typing import Any

from ryu_vmmob.compat.startup import APPLIED, OFF_VARIABLE, apply, switched_off
from ryu_vmmob.compat.state import STATE, PartStatus

_PROBE_SECONDS = 0.05


def examine() -> list[PartStatus]:
    """Load Ryu with the parts applied and report on each."""
    apply()
    importlib.import_module("ryu.lib.hub")
    importlib.import_module("ryu.ofproto.ofproto_parser")
    # With `already_handled` left out it does not load, which is what that part is for.
    with contextlib.suppress(ImportError):
        importlib.import_module("ryu.base.app_manager")
    return [
        _part("already_handled", _already_handled()),
        _part("parse_guard", _parse_guard()),
        _part("tls_server", _tls_server()),
        _part("connections", _connections()),
        _part("eventlet_notice", _eventlet_notice()),
    ]


def _part(name: str, found: tuple[bool, str]) -> PartStatus:
    needed, why = found
    active = name in APPLIED
    done = APPLIED.get(name) or (f"left out by {OFF_VARIABLE}" if switched_off(name) else "not applied")
    return PartStatus(name, needed, active, f"{why}; {done}")


def _already_handled() -> tuple[bool, str]:
    if APPLIED.get("already_handled", "").startswith("added") or not hasattr(sys.modules["eventlet.wsgi"], "ALREADY_HANDLED"):
        return True, "ryu.app.wsgi imports a name that this eventlet does not have"
    return False, "this eventlet has the name that ryu.app.wsgi imports"


def _parse_guard() -> tuple[bool, str]:
    """Give a hello whose one element states length 0 to the bare parser, for a moment."""
    from ryu.ofproto import ofproto_parser, ofproto_protocol

    from ryu_vmmob.compat.guard import WATCH, ParseTimeoutError

    if not WATCH.usable():
        return True, "not probed outside the main thread"
    parse: Any = getattr(ofproto_parser.msg, "unguarded", ofproto_parser.msg)
    hello = bytearray.fromhex("0400000c00000001 00010000")
    protocol = ofproto_protocol.ProtocolDesc(version=4)
    limit, STATE.parse_limit = STATE.parse_limit, _PROBE_SECONDS
    try:
        WATCH.run(parse, protocol, 4, 0, len(hello), 1, hello)
    except ParseTimeoutError:
        return True, "the parser does not end on a hello element of length 0"
    finally:
        STATE.parse_limit = limit
    return False, "the parser ends on a hello element of length 0"


def _tls_server() -> tuple[bool, str]:
    from ryu.lib import hub

    from ryu_vmmob.compat.tls import is_needed

    server = hub.StreamServer
    stock = server.__mro__[1] if server.__module__ == "ryu_vmmob.compat.tls" else server
    if is_needed(stock):
        return True, "the TLS server loses its certificate with the first connection"
    return False, "the TLS server keeps its context"


def _connections() -> tuple[bool, str]:
    from ryu.lib import hub

    serve = hub.StreamServer.serve_forever
    code = getattr(serve, "unguarded", serve).__code__
    if "OSError" in code.co_names or "error" in code.co_names:
        return False, "the server survives a connection that it cannot accept"
    return True, "the server ends with the first connection that it cannot accept"


def _eventlet_notice() -> tuple[bool, str]:
    version = importlib.metadata.version("eventlet")
    needed = getattr(sys.modules["eventlet"], "EventletDeprecationWarning", None) is not None
    return needed, f"eventlet {version} {'prints' if needed else 'does not print'} a notice"
