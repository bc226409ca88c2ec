"""A connection to a switch without a controller: its description, and its answers to the sample."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Final, TypeVar

from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import Entry, entries_of
from ryu_vmmob.flows.flow import Flow, Group, Match
from ryu_vmmob.flows.kinds import narrower
from ryu_vmmob.flows.pipeline import COOKIE_MARK, COOKIE_MARK_MASK, METER_RATES, Table, meter_parts
from ryu_vmmob.whitebox import features
from ryu_vmmob.whitebox.errors import BAD_MATCH, DialogueError, NoAddressError, SwitchError
from ryu_vmmob.whitebox.features import MalformedError, Portrait
from ryu_vmmob.whitebox.sample import Told

_HELLO, _ERROR, _ECHO, _ECHO_REPLY, _EXPERIMENTER = 0, 1, 2, 3, 4
_FEATURES_REQUEST, _FEATURES_REPLY, _MULTIPART_REQUEST, _MULTIPART_REPLY, _BARRIER_REPLY = 5, 6, 18, 19, 21
_DESC, _GROUP_FEATURES, _METER_FEATURES, _TABLE_FEATURES, _PORT_DESC = 0, 8, 11, 12, 13
_MOST_BYTES: Final = 1 << 26
"""Of one reply; no valid reply is that long."""
_MAX_TCP_PORT: Final = 65_535
_LAST_PORT: Final = 0xFFFFFF00
_BUNDLE: Final = 1
Signature = tuple[tuple[str, bool], ...]
NOT_THERE: Final = "confirmed, and not there when it is read back"
_METER_MOD_DELETE = struct.Struct("!BBHIHHI")
T = TypeVar("T")


def connect(address: str, seconds: float) -> Dialogue:
    """To a switch that listens: ``HOST:PORT``, or the path of a Unix socket. Raises DialogueError, NoAddressError."""
    try:
        if "/" in address:
            stream = socket.socket(socket.AF_UNIX)
            stream.settimeout(seconds)
            stream.connect(address)
        else:
            host, _, port = address.rpartition(":")
            if not (host and port.isascii() and port.isdigit() and int(port) <= _MAX_TCP_PORT):
                raise NoAddressError(f"{address}: write HOST:PORT, or the path of a socket")
            stream = socket.create_connection((host.strip("[]"), int(port)), seconds)
    except (OSError, OverflowError) as error:
        raise DialogueError(f"{address} cannot be reached: {getattr(error, 'strerror', None) or error}") from error
    return Dialogue(stream, seconds)


def accept(host: str, port: int, seconds: float, listening: Callable[[int], None] = lambda port: None) -> Dialogue:
    """Return the first switch that connects; ``listening`` is told the port. Raises DialogueError."""
    try:
        with socket.create_server((host, port)) as server:
            listening(server.getsockname()[1])
            server.settimeout(seconds)
            stream, _ = server.accept()
    except TimeoutError as error:
        raise DialogueError(f"no switch connected within {seconds:g} s") from error
    except (OSError, OverflowError) as error:
        raise DialogueError(f"port {port} cannot be listened on: {getattr(error, 'strerror', None) or error}") from error
    return Dialogue(stream, seconds)


class Dialogue:
    """A connection. ``seconds`` is how long an answer may take. A context manager."""

    def __init__(self, stream: socket.socket, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds
        self._deadline = 0.0
        self._xids = itertools.count(1)
        self._greet()

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def portrait(self) -> Portrait:
        """Everything that the switch says of itself. Raises DialogueError."""
        xid = next(self._xids)
        self._put(struct.pack("!BBHI", wire.VERSION, _FEATURES_REQUEST, 8, xid))
        body = self._answer(xid, _FEATURES_REPLY)
        if isinstance(body, SwitchError) or len(body) < 24:
            raise DialogueError("the switch does not say what it is")
        dpid, _, tables = struct.unpack_from("!QIB", body)
        found = Portrait(dpid, tables)
        found.described = self._told(found, "described", _DESC, features.description)
        found.tables = self._told(found, "tables", _TABLE_FEATURES, features.tables) or None
        found.groups = self._told(found, "groups", _GROUP_FEATURES, features.groups)
        found.meters = self._told(found, "meters", _METER_FEATURES, features.meters)
        found.ports = self._told(found, "ports", _PORT_DESC, _ports) or ()
        found.bundles = self._has_bundles()
        found.flows_of_ours = self._flows_of_ours()
        return found

    def try_out(self, told: Told) -> list[tuple[Flow | Group, str]]:
        """Give the switch all of that, read back what it has of it, take it away again, and say what it refused, and what it
        confirmed and does not have (`NOT_THERE`). Raises DialogueError.
        """
        asked: dict[int, Flow | Group] = {}
        errors: dict[int, SwitchError] = {}
        meters = {flow.meter for flow in told.flows if flow.meter is not None}
        for meter in sorted(meters):
            parts = meter_parts(meter)
            if parts is not None:
                self._put(wire.meter_set(meter, METER_RATES[parts[0]], (next(self._xids), next(self._xids))))
        self._done(errors)
        groups = _inner_first(told.groups)
        for group in groups:
            xid = next(self._xids)
            asked[xid] = group
            self._put(wire.group_add(group, xid))
        self._done(errors)
        for flow in told.flows:
            xid = next(self._xids)
            asked[xid] = flow
            self._put(wire.flow_add(flow, xid))
        self._done(errors)
        refused = {asked[xid].cookie for xid in errors if isinstance(asked.get(xid), Flow)}  # type: ignore[union-attr]
        culprits = self._culprits([(asked[xid], error) for xid, error in errors.items() if xid in asked])
        lost = self._not_there([flow for flow in told.flows if flow.cookie not in refused])
        self._put(wire.flow_delete(COOKIE_MARK, next(self._xids), COOKIE_MARK_MASK))
        self._done({})
        for group in reversed(groups):
            self._put(wire.group_delete(group.id, next(self._xids)))
        for meter in sorted(meters):
            self._put(_METER_MOD_DELETE.pack(wire.VERSION, 29, 16, next(self._xids), 2, 0, meter))
        self._done({})
        found: list[tuple[Flow | Group, str]] = []
        for xid, error in errors.items():
            if xid in asked:
                culprit = culprits.get(_signature(asked[xid]))
                found.append((asked[xid], f"{error}: {culprit}" if culprit else str(error)))
        return found + [(flow, NOT_THERE) for flow in lost]

    def tell(self, make: Callable[[int], bytes], number: int = 1) -> list[SwitchError]:
        """Send messages that ``make`` makes of transaction ids; the errors, once they are done. Raises DialogueError."""
        errors: dict[int, SwitchError] = {}
        for _ in range(number):
            self._put(make(next(self._xids)))
        self._done(errors)
        return list(errors.values())

    def put(self, message: Callable[[int], bytes]) -> None:
        """Send a message, and wait for nothing. Raises DialogueError."""
        self._put(message(next(self._xids)))

    def entries(self, table: Table) -> list[Entry]:
        """Return the flows of ours that one table has. Raises DialogueError."""
        xid = next(self._xids)
        self._put(wire.flow_stats_request(xid, table.id))
        try:
            body = self._parts(xid)
            if isinstance(body, SwitchError):
                raise DialogueError(f"it does not tell the flows of table {table.label} ({body})")
            return list(entries_of(body))
        except wire.MalformedReply as error:
            raise DialogueError(f"what it tells of the flows of table {table.label} is malformed: {error}") from error

    def _culprits(self, refused: Iterable[tuple[Flow | Group, SwitchError]]) -> dict[Signature, str]:
        """Return which field of a refused match it is, by what its fields are: the one without which the flow is taken."""
        found: dict[Signature, str] = {}
        for entry, error in refused:
            signature = _signature(entry)
            if not isinstance(entry, Flow) or not str(error).startswith(BAD_MATCH) or signature in found:
                continue
            found[signature] = next((what for what, rows in narrower(entry.match) if self._takes(entry, rows)), "")
        return found

    def _takes(self, flow: Flow, rows: Match) -> bool:
        return not self.tell(lambda xid: wire.flow_add(Flow.undeclared(flow.table, flow.priority, rows), xid))

    def _not_there(self, flows: Iterable[Flow]) -> list[Flow]:
        """Those of the flows that the switch does not have, as it says itself."""
        wanted: dict[Table, list[Flow]] = {}
        for flow in flows:
            wanted.setdefault(flow.table, []).append(flow)
        found = list[Flow]()
        for table, rows in wanted.items():
            have = {entry.key for entry in self.entries(table)}
            found.extend(flow for flow in rows if flow.key not in have)
        return found

    # Inside

    def _greet(self) -> None:
        self._put(struct.pack("!BBHIHHI", wire.VERSION, _HELLO, 16, next(self._xids), 1, 8, 1 << wire.VERSION))
        self._begin()
        version, kind, _, body = self._message()
        if kind != _HELLO:
            raise DialogueError("it does not say hello as a switch does")
        if len(body) >= 8 and body[:2] == b"\x00\x01":
            speaks = bool(int.from_bytes(body[4:8], "big") >> wire.VERSION & 1)
        else:
            speaks = version >= wire.VERSION
        if not speaks:
            raise DialogueError(f"the switch does not speak OpenFlow 1.3 (its newest is version {version} on the wire)")

    def _told(self, portrait: Portrait, name: str, kind: int, read: Callable[[bytes], T]) -> T | None:
        """One multipart reply, read; None where the switch has none."""
        body = self._multipart(kind)
        if isinstance(body, SwitchError):
            portrait.why[name] = str(body)
            return None
        try:
            return read(body)
        except (MalformedError, struct.error) as error:
            portrait.why[name] = f"malformed: {error}"
            return None

    def _multipart(self, kind: int) -> bytes | SwitchError:
        xid = next(self._xids)
        self._put(struct.pack("!BBHIHH4x", wire.VERSION, _MULTIPART_REQUEST, 16, xid, kind, 0))
        return self._parts(xid)

    def _parts(self, xid: int) -> bytes | SwitchError:
        whole = bytearray()
        while True:
            body = self._answer(xid, _MULTIPART_REPLY)
            if isinstance(body, SwitchError):
                return body
            if len(body) < 8:
                raise DialogueError("the switch sends a multipart reply that is cut off")
            whole += body[8:]
            if len(whole) > _MOST_BYTES:
                raise DialogueError("the switch sends a reply without end")
            if not body[3] & 1:
                return bytes(whole)

    def _has_bundles(self) -> bool:
        xid = next(self._xids)
        self._put(wire.bundle_control(_BUNDLE, wire.BUNDLE_OPEN_REQUEST, xid))
        opened = self._answer(xid, _EXPERIMENTER)
        if isinstance(opened, SwitchError):
            return False
        xid = next(self._xids)
        self._put(wire.bundle_control(_BUNDLE, wire.BUNDLE_DISCARD_REQUEST, xid))
        self._answer(xid, _EXPERIMENTER)
        return True

    def _flows_of_ours(self) -> int:
        xid = next(self._xids)
        self._put(wire.flow_stats_request(xid))
        body = self._parts(xid)
        try:
            return 0 if isinstance(body, SwitchError) else len(wire.flow_stats_cookies(body))
        except wire.MalformedReply:
            return 0

    def _done(self, errors: dict[int, SwitchError]) -> None:
        """Wait until the switch has done everything; errors on the way are noted under their transaction."""
        xid = next(self._xids)
        self._put(wire.barrier(xid))
        self._begin()
        while True:
            _, kind, number, body = self._message()
            if kind == _BARRIER_REPLY and number == xid:
                return
            if kind == _ERROR and len(body) >= 4:
                errors[number] = SwitchError(number, *struct.unpack_from("!HH", body))

    def _answer(self, xid: int, wanted: int) -> bytes | SwitchError:
        self._begin()
        while True:
            _, kind, number, body = self._message()
            if number != xid:
                continue
            if kind == wanted:
                return body
            if kind == _ERROR and len(body) >= 4:
                return SwitchError(number, *struct.unpack_from("!HH", body))

    def _begin(self) -> None:
        self._deadline = time.monotonic() + self._seconds

    def _message(self) -> tuple[int, int, int, bytes]:
        """(version, type, xid, body) of the next message that is no echo request; those are answered."""
        while True:
            version, kind, length, xid = struct.unpack("!BBHI", self._exactly(8))
            if length < 8:
                raise DialogueError("it does not speak OpenFlow")
            body = self._exactly(length - 8)
            if kind != _ECHO:
                return version, kind, xid, body
            self._put(struct.pack("!BBHI", wire.VERSION, _ECHO_REPLY, length, xid) + body)

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            left = self._deadline - time.monotonic()
            try:
                if left <= 0:
                    raise TimeoutError
                self._stream.settimeout(left)
                more = self._stream.recv(size - len(parts))
            except TimeoutError as error:
                raise DialogueError(f"no answer within {self._seconds:g} s") from error
            except OSError as error:
                raise DialogueError(f"the connection is lost: {error.strerror}") from error
            if not more:
                raise DialogueError("the switch closed the connection")
            parts += more
        return bytes(parts)

    def _put(self, data: bytes) -> None:
        self._stream.settimeout(self._seconds)
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise DialogueError(f"the connection is lost: {error.strerror or error}") from error


def _signature(entry: Flow | Group) -> Signature:
    """Return the fields of a flow's match, and which of them are under a mask."""
    return tuple((name, mask is not None) for name, _, mask in entry.match) if isinstance(entry, Flow) else ()


def _ports(body: bytes) -> tuple[int, ...]:
    numbers = [int.from_bytes(body[offset : offset + 4], "big") for offset in range(0, len(body) - 63, 64)]
    return tuple(sorted(number for number in numbers if 0 < number < _LAST_PORT))


def _inner_first(groups: Iterable[Group]) -> Sequence[Group]:
    """Return groups in an order in which each comes after those that its buckets name."""
    left, done, found = list(groups), set[int](), list[Group]()
    names = {group.id for group in left}
    while left:
        ready = [group for group in left if all(one in done or one not in names for one in group.refers_to)] or left
        found += ready
        done.update(group.id for group in ready)
        left = [group for group in left if group.id not in done]
    return found
