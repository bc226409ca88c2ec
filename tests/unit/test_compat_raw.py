"""What arrives at an application: raw multipart replies where it asked for them, Ryu's own events otherwise; bundle replies."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.support.ryu_manager import EXPERIMENTER, MANAGER, Controller, controller, message, multipart, poll

APP = "tests.unit.compat_app"


def flow_entry(cookie: int) -> bytes:
    """An OpenFlow 1.3 flow statistics entry: table 3, priority 100, no match, no instructions."""
    entry = struct.pack("!HBxIIHHHH4xQQQ", 56, 3, 1, 2, 100, 0, 0, 0, cookie, 10, 1000)
    return entry + struct.pack("!HH4x", 1, 4)


def group_entry(group_id: int) -> bytes:
    """A group description with one bucket of one output action."""
    output = struct.pack("!HHIH6x", 0, 16, 5, 0xFFFF)
    return struct.pack("!HBxI", 40, 0, group_id) + struct.pack("!HHII4x", 32, 0, 0xFFFFFFFF, 0xFFFFFFFF) + output


def events(running: Controller, count: int) -> list[dict[str, Any]]:
    """The first ``count`` events that the application has printed."""

    def read() -> list[dict[str, Any]] | None:
        assert running.process.poll() is None, running.log()
        lines = [json.loads(line) for line in running.log().splitlines() if line.startswith("{") and line.endswith("}")]
        return lines[:count] if len(lines) >= count else None

    return poll(read, f"{count} events")


def exchange(tmp_path: Path, replies: bytes, count: int) -> list[dict[str, Any]]:
    """Run the application, connect a switch, send some replies; returns the events."""
    with controller(tmp_path, MANAGER, APP) as running, running.switch() as switch:
        assert switch.become_ready(dpid=0x0B)
        switch.send(replies)
        return events(running, count)


REPLIES = multipart(1, flow_entry(0xAB) + flow_entry(0xCD), flags=1, xid=21) + multipart(7, group_entry(9), xid=22)


def test_parsed_by_default(tmp_path: Path) -> None:
    assert exchange(tmp_path, REPLIES, 2) == [
        {"event": "EventOFPFlowStatsReply", "xid": 21, "dpid": 11, "cookies": [0xAB, 0xCD]},
        {"event": "EventOFPGroupDescStatsReply", "xid": 22, "dpid": 11, "groups": [9]},
    ]


def test_raw_where_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_RAW", "all")
    flows = (flow_entry(0xAB) + flow_entry(0xCD)).hex()
    assert exchange(tmp_path, REPLIES, 2) == [
        {"event": "EventRawMultipart", "xid": 21, "dpid": 11, "type": 1, "flags": 1, "more": True, "body": flows},
        {
            "event": "EventRawMultipart",
            "xid": 22,
            "dpid": 11,
            "type": 7,
            "flags": 0,
            "more": False,
            "body": group_entry(9).hex(),
        },
    ]


def test_raw_for_one_transaction_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_RAW", "22")
    assert [(event["event"], event["xid"]) for event in exchange(tmp_path, REPLIES, 2)] == [
        ("EventOFPFlowStatsReply", 21),
        ("EventRawMultipart", 22),
    ]


def test_raw_replies_are_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_RAW", "all")
    with controller(tmp_path, MANAGER, APP) as running, running.switch() as switch:
        assert switch.become_ready()
        switch.send(multipart(1, flow_entry(1) + bytes(56)))
        assert switch.closed()
        assert "flow entry at byte 72: length 0 is below 56" in running.log()


def test_bundle_replies(tmp_path: Path) -> None:
    """The event of a bundle's acknowledgement (open reply) and of its refusal, in Ryu's own words."""
    opened = message(EXPERIMENTER, struct.pack("!IIIHH", 0x4F4E4600, 2300, 77, 1, 3), xid=31)
    refused = message(1, struct.pack("!HHI", 0xFFFF, 2300, 0x4F4E4600), xid=32)
    assert exchange(tmp_path, opened + refused, 2) == [
        {
            "event": "EventONFBundleCtrlMsg",
            "xid": 31,
            "dpid": 11,
            "bundle_id": 77,
            "type": 1,
            "flags": 3,
            "properties": [],
            "experimenter": 0x4F4E4600,
            "exp_type": 2300,
        },
        {"event": "EventOFPErrorMsg", "xid": 32, "dpid": 11, "type": 0xFFFF, "exp_type": 2300, "experimenter": 0x4F4E4600},
    ]
