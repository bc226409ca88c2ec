"""Bodies in JSON or MessagePack, both ways: Content-Type says what came, Accept what is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NoReturn

import msgpack  # type: ignore[import-untyped]
from webob import Request

from ryu_vmmob.model.breath import Breath
from ryu_vmmob.rest.problems import Problem

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"
LONG: Final = 1 << 17
"""Bytes of a body that take some milliseconds to decode."""
MAX_DEPTH: Final = 32
"""Objects and lists inside each other; the deepest body of the interface has 6."""


def wanted(request: Request) -> str:
    """Return the media type of the answer; 406 when the client takes neither. JSON when it does not care."""
    offers = request.accept.acceptable_offers([JSON, MSGPACK])
    if not offers:
        raise Problem(406, f"answers are {JSON} or {MSGPACK}")
    return str(offers[0][0])


def encode(body: Mapping[str, Any], media_type: str, breath: Breath | None = None) -> bytes:
    """Return an answer's body; long lists in it are written with pauses."""
    breath = breath or Breath()
    return b"".join(_packed(body, breath) if media_type == MSGPACK else _in_json(body, breath))


def _packed(body: Mapping[str, Any], breath: Breath) -> Iterator[bytes]:
    packer = msgpack.Packer()
    yield packer.pack_map_header(len(body))
    for key, value in body.items():
        yield packer.pack(key)
        if isinstance(value, list):
            yield packer.pack_array_header(len(value))
            yield from map(packer.pack, breath.through(value))
        else:
            yield packer.pack(value)


def _in_json(body: Mapping[str, Any], breath: Breath) -> Iterator[bytes]:
    dumps = partial(json.dumps, allow_nan=False)
    before = "{"
    for key, value in body.items():
        text = f"[{', '.join(map(dumps, breath.through(value)))}]" if isinstance(value, list) else dumps(value)
        yield f"{before}{dumps(key)}: {text}".encode("ascii")
        before = ", "
    yield b"}" if body else b"{}"


def read_body(request: Request, limit: int) -> bytes:
    """Return the request's body, at most ``limit`` bytes of it; 413 when there is more, 400 when it ends early."""
    environ: Mapping[str, Any] = request.environ
    length = environ.get("CONTENT_LENGTH") or None
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    if length is not None and not (length.isascii() and length.isdigit()):
        raise Problem(400, "Content-Length is no number")
    expected = None if length is None else int(length)
    if expected is not None and expected > limit:
        raise _too_large(limit)
    if expected is None and not chunked:
        return b""
    room = limit + 1 if expected is None else expected
    parts = []
    while room:
        try:
            part = environ["wsgi.input"].read(room)
        except TimeoutError as error:
            raise Problem(408, "the body came too slowly", headers={"Connection": "close"}) from error
        except (OSError, ValueError) as error:  # a broken chunk, or a client that went away
            raise Problem(400, "the body could not be read to its end") from error
        if not part:
            break
        parts.append(part)
        room -= len(part)
    data = b"".join(parts)
    if expected is None and len(data) > limit:
        raise _too_large(limit)
    if expected is not None and len(data) < expected:
        raise Problem(400, f"the body ends after {len(data)} of {expected} bytes")
    return data


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body has more than {limit} bytes, the most that is taken", headers={"Connection": "close"})


def decode(
    request: Request, data: bytes, most: int, breath: Breath, aside: Callable[[Callable[[], Any]], Any] = lambda work: work()
) -> Any:
    """Return the value in a body; 415 for a format that is not taken, 400 for a body that is not well formed.

    413 for one with more than ``most`` keys and elements, all levels together: what comes after this costs time for each.
    ``aside`` does long work while others go on.
    """
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    decoder = _DECODERS.get(media_type)
    if decoder is None:
        what = f"{media_type!r}" if media_type else "no Content-Type"
        raise Problem(415, f"{what} is given; send {JSON} or {MSGPACK}", headers={"Accept": f"{JSON}, {MSGPACK}"})
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "encoded bodies are not taken", headers={"Accept-Encoding": "identity"})
    value = decoder(data, most) if len(data) < LONG else aside(lambda: decoder(data, most))
    _check_size(value, most, breath)
    return value


def _from_json(data: bytes, most: int) -> Any:
    # As many elements as are in a list or an object have a comma less between them, and a bracket before them. Commas and
    # brackets in text count as well: no text that is taken here has any.
    if sum(map(data.count, (b",", b"[", b"{"))) - sum(map(data.count, (b"[]", b"{}"))) > most:
        raise _too_many(most)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(400, f"JSON: byte {error.start} is not UTF-8 text", title="malformed body") from error
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise Problem(400, f"JSON: {place}: {error.msg}", title="malformed body") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # ours, below, and numbers of thousands of digits
        raise Problem(400, f"JSON: {error}", title="malformed body") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice!r} stands twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


class _TooManyError(Exception):
    """More elements than are taken."""


def _from_msgpack(data: bytes, most: int) -> Any:
    # A byte can become a list of 56 bytes in memory, so they are counted while they are made.
    count = 0

    def counted(found: Any) -> Any:
        nonlocal count
        count += len(found)
        if count > most:
            raise _TooManyError
        return found

    try:
        return msgpack.unpackb(
            data, object_pairs_hook=lambda pairs: _unique_text(counted(pairs)), list_hook=counted,
            ext_hook=_no_extension, timestamp=0, max_array_len=min(most, len(data)), max_map_len=min(most, len(data)),
        )  # fmt: skip
    except _TooManyError as error:
        raise _too_many(most) from error
    except RecursionError as error:
        raise _too_deep() from error
    except Exception as error:
        if not isinstance(error, ValueError | msgpack.UnpackException):
            raise
        if len(data) > most and "exceeds max_" in str(error):
            raise _too_many(most) from error
        raise Problem(400, f"MessagePack: {error or 'not well formed'}", title="malformed body") from error


def _unique_text(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key, _ in pairs):
        raise ValueError("keys must be text")
    return _unique(pairs)


def _no_extension(code: int, data: bytes) -> NoReturn:
    raise ValueError(f"extension type {code} is not used here")


def _check_size(value: Any, most: int, breath: Breath) -> None:
    count, level = 0, [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for outer in breath.through(level):
            if isinstance(outer, dict | list):
                breath.worked()
                count += len(outer)
                deeper.extend(outer.values() if isinstance(outer, dict) else outer)
        if count > most:
            raise _too_many(most)
        if not deeper:
            return
        level = deeper
    raise _too_deep()


def _too_many(most: int) -> Problem:
    return Problem(413, f"the body has more than {most} keys and elements, the most that is taken")


def _too_deep() -> Problem:
    return Problem(400, f"the body is nested deeper than {MAX_DEPTH} levels", title="malformed body")


_DECODERS: Final[dict[str, Callable[[bytes, int], Any]]] = {JSON: _from_json, MSGPACK: _from_msgpack}
