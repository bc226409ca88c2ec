"""Messages with honest lengths, and with impossible ones."""

from __future__ import annotations

import struct

from tests.support.ryu_manager import EXPERIMENTER, HELLO, message, multipart

MATCH = struct.pack("!HH4x", 1, 4)


OUTPUT = struct.pack("!HHIH6x", 0, 16, 5, 0xFFFF)


def flow(match: bytes = MATCH, instructions: bytes = b"", length: int | None = None) -> bytes:
    body = bytes(46) + match + instructions
    return struct.pack("!H", 2 + len(body) if length is None else length) + body


def apply_actions(actions: bytes, length: int | None = None) -> bytes:
    return struct.pack("!HH4x", 4, 8 + len(actions) if length is None else length) + actions


def bucket(actions: bytes, length: int | None = None) -> bytes:
    return struct.pack("!H14x", 16 + len(actions) if length is None else length) + actions


def group(buckets: bytes, length: int | None = None) -> bytes:
    return struct.pack("!H6x", 8 + len(buckets) if length is None else length) + buckets


def table(properties: bytes) -> bytes:
    return struct.pack("!H62x", 64 + len(properties)) + properties


def meter(bands: bytes) -> bytes:
    return struct.pack("!H6x", 8 + len(bands)) + bands


def queues(body: bytes) -> bytes:
    return message(23, bytes(8) + body)


def bundle(properties: bytes) -> bytes:
    return message(EXPERIMENTER, struct.pack("!IIIHH", 0x4F4E4600, 2300, 1, 1, 0) + properties)


IN_PORT = struct.pack("!HH", 1, 12) + bytes.fromhex("80000004 00000001") + bytes(4)


HONEST = {
    "hello, bare": message(HELLO),
    "hello, version bitmap": message(HELLO, struct.pack("!HHI", 1, 8, 0x10)),
    "hello of version 1.5": message(HELLO, struct.pack("!HHI", 1, 8, 0x10), version=6),
    "no flows": multipart(1, b""),
    "two flows": multipart(1, flow() + flow(IN_PORT, apply_actions(OUTPUT) + struct.pack("!HHB3x", 1, 8, 4))),
    "groups": multipart(7, group(bucket(OUTPUT) + bucket(OUTPUT + OUTPUT)) + group(b"")),
    "table features": multipart(12, table(struct.pack("!HHHH", 0, 8, 1, 4)) + table(struct.pack("!HHB3x", 2, 5, 1))),
    "port descriptions": multipart(13, bytes(128)),
    "meters": multipart(10, meter(struct.pack("!HH12x", 1, 16))),
    "queues": queues(struct.pack("!IIH6x", 1, 1, 32) + struct.pack("!HH12x", 1, 16)),
    "bundle control": bundle(b""),
    "another experimenter": message(EXPERIMENTER, bytes(11)),
    "echo": message(2, b"x"),
    "unknown multipart type": multipart(99, b"xyz"),
}


IMPOSSIBLE = {
    "hello element of length 0": (
        message(HELLO, struct.pack("!HHI", 1, 0, 0x10)),
        "hello element at byte 8: length 0 is below 4",
    ),
    "hello element over the end": (
        message(HELLO, struct.pack("!HHI", 1, 12, 0)),
        "hello element at byte 8: length 12 is more than",
    ),
    "half a hello element": (message(HELLO, b"\0\1"), "hello element at byte 8: 2 bytes left, 4 needed"),
    "flow of length 0": (multipart(1, flow(length=0)), "flow entry at byte 16: length 0 is below 56"),
    "flow of length 57": (multipart(1, flow(length=57) + b"\0"), "flow entry at byte 16: length 57 is no multiple of 8"),
    "second flow over the end": (
        multipart(1, flow() + flow(length=64)),
        "flow entry at byte 72: length 64 is more than the 56 bytes left",
    ),
    "match of length 0": (multipart(1, flow(bytes(8))), "match at byte 64: length 0 is below 4"),
    "match over its entry": (
        multipart(1, flow(struct.pack("!HH4x", 1, 12))),
        "match at byte 64: length 12 is more than the 8 bytes",
    ),
    "match field over its match": (
        multipart(1, flow(struct.pack("!HH", 1, 12) + bytes.fromhex("80000008") + bytes(8))),
        "match field at byte 68: length 8 is more than the 4 bytes",
    ),
    "instruction of length 0": (multipart(1, flow(instructions=bytes(8))), "instruction at byte 72: length 0 is below 8"),
    "action of length 0": (multipart(1, flow(instructions=apply_actions(bytes(8)))), "action at byte 80: length 0 is below 8"),
    "action over its instruction": (
        multipart(1, flow(instructions=apply_actions(struct.pack("!HH4x", 0, 16)) + apply_actions(b""))),
        "action at byte 80: length 16 is more than the 8 bytes left",
    ),
    "group of length 0": (multipart(7, group(b"", 0)), "group description at byte 16: length 0 is below 8"),
    "bucket of length 0": (multipart(7, group(bucket(b"", 0))), "bucket at byte 24: length 0 is below 16"),
    "bucket action of length 4": (
        multipart(7, group(bucket(struct.pack("!HH4x", 0, 4)))),
        "action at byte 40: length 4 is below 8",
    ),
    "table of length 0": (multipart(12, bytes(64)), "table features at byte 16: length 0 is below 64"),
    "table property of length 0": (multipart(12, table(bytes(8))), "table feature property at byte 80: length 0 is below 4"),
    "instruction id of length 0": (
        multipart(12, table(struct.pack("!HHHH", 0, 8, 1, 0))),
        "action id at byte 84: length 0 is below 4",
    ),
    "half a match field id": (
        multipart(12, table(struct.pack("!HHHxx", 8, 6, 1))),
        "2 bytes of field ids are no multiple of 4",
    ),
    "group statistics of length 0": (multipart(6, bytes(40)), "group statistics at byte 16: length 0 is below 40"),
    "half a bucket counter": (
        multipart(6, struct.pack("!H46x", 48)),
        "bucket counters at byte 56: 8 bytes are no multiple of 16",
    ),
    "meter statistics of length 0": (multipart(9, bytes(40)), "meter statistics at byte 16: length 0 is below 40"),
    "half a band": (multipart(9, struct.pack("!IH42x", 1, 48)), "band statistics at byte 56: 8 bytes are no multiple of 16"),
    "meter of length 0": (multipart(10, bytes(8)), "meter configuration at byte 16: length 0 is below 8"),
    "meter band of length 0": (multipart(10, meter(bytes(16))), "meter band at byte 24: length 0 is below 12"),
    "half a port": (multipart(13, bytes(65)), "port description at byte 16: 65 bytes are no multiple of 64"),
    "multipart without its header": (message(19, bytes(4)), "multipart reply at byte 0: length 12 is below 16"),
    "queue of length 0": (queues(bytes(16)), "queue at byte 16: length 0 is below 16"),
    "queue property of length 0": (
        queues(struct.pack("!IIH6x", 1, 1, 24) + bytes(8)),
        "queue property at byte 32: length 0 is below 8",
    ),
    "queues without header": (message(23, b""), "queue configuration at byte 0"),
    "bundle property of length 0": (bundle(bytes(8)), "bundle property at byte 24: length 0 is below 4"),
    "half a bundle control": (message(EXPERIMENTER, struct.pack("!II", 0x4F4E4600, 2300)), "bundle control at byte 0"),
    "half an experimenter message": (message(EXPERIMENTER, b""), "experimenter message at byte 0"),
}
