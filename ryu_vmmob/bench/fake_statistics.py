"""What a fake switch answers to multipart requests: its description, statistics, groups, meters and ports."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from ryu_vmmob.bench.fake_behaviour import Behaviour
from ryu_vmmob.bench.fake_tables import FakeTables, match_size

_DESCRIPTION: Final = ((b"vmmob", 256), (b"fake switch", 256), (b"0", 32), (b"forwards nothing", 256))


class Ports(NamedTuple):
    """The ports of a switch; ``dead`` are those without a link."""

    dpid: int
    numbers: Collection[int]
    dead: Collection[int]


def entries(tables: FakeTables, behaviour: Behaviour, ports: Ports, kind: int, message: bytes) -> Iterable[bytes] | None:
    """Return the entries of the reply to a multipart request of type ``kind``; None: this switch does not know the type."""
    match kind:
        case 0:
            rows = (*_DESCRIPTION[:2], (behaviour.software.encode(), 256), *_DESCRIPTION[2:])
            return [b"".join(text.ljust(size, b"\0") for text, size in rows)]
        case 1:
            return _flow_stats(tables, behaviour, message)
        case 4:
            return [_port_stats(behaviour, number) for number in ports.numbers]
        case 7:
            return [(2 + len(body)).to_bytes(2, "big") + body for body in tables.groups.values()]
        case 8:
            return [struct.pack("!II4I4I", 15, 15, *[0xFFFFFF00] * 4, *[0xFFFFFFFF] * 4)]
        case 10:
            return [(2 + len(body)).to_bytes(2, "big") + body for body in _chosen_meters(tables, message)]
        case 11:
            return [struct.pack("!IIIBB2x", 4096, 6, 15, 1, 0)]
        case 12:
            return behaviour.table_features
        case 13:
            return [port_description(ports.dpid, number, up=number not in ports.dead) for number in ports.numbers]
    return None


def _port_stats(behaviour: Behaviour, number: int) -> bytes:
    """Struct ofp_port_stats (7.3.5.6); packets of 500 bytes, and every tenth port drops one in 1,000 of those received."""
    received = int(behaviour.traffic * number * asyncio.get_running_loop().time())
    dropped = 0 if number % 10 else received // 500_000
    counts = (received // 500, received // 1000, received, received // 2, dropped, 0, 0, 0)
    return struct.pack("!I4x8Q32xII", number, *counts, 0, 0)


def _chosen_meters(tables: FakeTables, message: bytes) -> list[bytes]:
    number, meters = int.from_bytes(message[16:20], "big"), tables.meters
    return list(meters.values()) if number == 0xFFFFFFFF else [meters[number]] if number in meters else []


def _flow_stats(tables: FakeTables, behaviour: Behaviour, message: bytes) -> Iterator[bytes]:
    table, _, _, cookie, mask = struct.unpack_from("!B3xII4xQQ", message, 16)
    for entry in tables.select(table, cookie, mask, message[48 : 48 + match_size(message, 48)]):
        if behaviour.rewrites:
            entry = entry._replace(match=_reversed(entry.match))
        yield entry.stats()


def _reversed(match: bytes) -> bytes:
    """Return the same match with its fields the other way round."""
    rows, offset, end = [], 4, int.from_bytes(match[2:4], "big")
    while offset < end:
        size = 4 + match[offset + 3]
        rows.append(match[offset : offset + size])
        offset += size
    return match[:4] + b"".join(reversed(rows)) + match[end:]


def port_description(dpid: int, number: int, *, up: bool) -> bytes:
    """Struct ofp_port (7.2.1); a port that is up has OFPPS_LIVE, one without a link OFPPS_LINK_DOWN."""
    mac = (0x0A << 40 | (dpid & 0xFFFF) << 16 | number & 0xFFFF).to_bytes(6, "big")
    name, state = f"port{number}".encode(), 4 if up else 1
    return struct.pack("!I4x6s2x16sII6I", number, mac, name, 0, state, 0, 0, 0, 0, 10_000_000, 10_000_000)
