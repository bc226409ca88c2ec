"""Frames that reached the source after the pause, by REST: where they leave, their bounds, and how many a second."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.engine.sent_on import FRAME_BYTES, FRAMES_A_SECOND, MAX_BYTES, MAX_FRAMES, Frames
from ryu_vmmob.flows.flow import Output, PushVlan, SetField
from tests.support.rest_service import WEB, per_cug, problem, vm
from tests.unit.hand_over import HEADER, MOVE, Hand, frame, service

__all__ = ["service"]


def leaves(frames: Frames) -> tuple[str, list[int], int]:
    """(switch, tags put on, port)."""
    tags = [row.value & 0xFFF for row in frames.actions if isinstance(row, SetField) and row.name == "vlan_vid"]
    assert len([row for row in frames.actions if isinstance(row, PushVlan)]) == len(tags)
    (port,) = [row.port for row in frames.actions if isinstance(row, Output)]
    return frames.switch, tags, port


def test_they_leave_at_the_target_under_its_tag_as_they_came() -> None:
    service = Hand().move("srv-c1")
    service.do("deliver")
    rows = [frame(14), frame(60, fill=1), frame(9216, fill=2)]
    assert service.send(*rows).json == {"sent": 3}
    (found,) = service.handed
    assert leaves(found) == ("tor-c", [service.get(MOVE)["interfaces"][0]["to_vlan_id"]], 1)
    assert found.frames == tuple(rows)


@pytest.mark.parametrize(("to", "tagged"), [("srv-a2", False), ("srv-c1", True)])
def test_a_target_of_another_kind(tmp_path: Path, to: str, tagged: bool) -> None:
    service = Hand(fabric=per_cug(tmp_path)).move(to)
    service.do("deliver")
    service.send(frame())
    tag = service.get(MOVE)["interfaces"][0]["to_vlan_id"]
    assert (tag is not None) is tagged
    assert leaves(service.handed[0])[1] == ([tag] if tagged else [])


def test_a_guests_own_tag_is_taken_off_because_its_way_puts_it_on() -> None:
    service = Hand()
    service.connect()
    service.put("/v1/cugs/web", WEB)
    body = vm()
    body["interfaces"][0]["guest_vlan_id"] = 77
    service.put("/v1/vms/web1", body)
    service.confirm()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": "request"})
    service.confirm()
    service.do("deliver")
    addresses, rest = HEADER[:12], HEADER[12:] + bytes(46)
    own, other = (addresses + bytes.fromhex(tag) + rest for tag in ("8100604d", "8100004e"))
    bare = addresses + rest
    assert service.send(own, other, bare).json == {"sent": 3}
    assert service.handed[0].frames == (bare, other, bare)
    assert leaves(service.handed[0]) == ("tor-c", [77], 1)
    short = addresses + bytes.fromhex("8100004d")
    problem(service.send(bare, short), 422, "frames[1]")
    assert service.send(short + b"\x08\x00").json == {"sent": 1}
    assert service.handed[1].frames == (HEADER,)


def test_the_interface_whose_frames_they_are(service: Hand) -> None:
    service.do("deliver")
    for number in (1, 2**31):
        problem(service.send(frame(), interface=number), 422, "interface")
    problem(service.send(frame(), interface=-1), 422, "interface")
    for wrong in ("02000000000c", "ffffffffffff", "333300000001", "01005e000001"):
        problem(service.send(frame(), frame(header=bytes.fromhex(wrong) + HEADER[6:])), 422, "frames[1]")
    assert service.handed == []


@pytest.mark.parametrize(
    ("frames", "path"),
    [
        ([HEADER[: FRAME_BYTES[0] - 1]], "frames[0]"),
        ([frame(), b""], "frames[1]"),
        ([frame(FRAME_BYTES[1] + 1)], "frames[0]"),
        ([frame(14)] * (MAX_FRAMES + 1), "frames"),
        ([frame(9216)] * (MAX_BYTES // 9216 + 1), "frames"),
    ],
    ids=["short", "empty", "long", "many", "large"],
)
def test_bounds(frames: list[bytes], path: str) -> None:
    service = Hand(max_body=16 * 2**20).move()
    service.do("deliver")
    problem(service.send(*frames), 422, path)
    assert service.handed == []
    assert service.get(MOVE)["timeline"][2]["frames"] == 0


def test_as_much_as_may_be() -> None:
    service = Hand(max_body=16 * 2**20).move()
    service.do("deliver")
    most = [frame(2097)] * MAX_FRAMES
    assert sum(map(len, most)) <= MAX_BYTES
    assert service.send(*most).json == {"sent": MAX_FRAMES}
    text = {"interface": 0, "frames": [b64encode(row).decode() for row in most]}
    assert service.ask("POST", f"{MOVE}/frames", text).json == {"sent": MAX_FRAMES}
    assert service.handed[0] == service.handed[1]
    problem(service.ask("POST", f"{MOVE}/frames", b" " * (3 * 2**20 + 1)), 413)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["frames", "interface"]),
        ({"interface": 0, "frames": ["AgAAAAAL"]}, ["frames[0]"]),
        ({"interface": 0, "frames": ["no Base64!"]}, ["frames[0]"]),
        ({"interface": 0, "frames": [[2, 0]]}, ["frames[0]"]),
        ({"interface": 0, "frames": "AgAA"}, ["frames"]),
        ({"interface": "0", "frames": []}, ["interface"]),
        ({"interface": True, "frames": []}, ["interface"]),
        ({"interface": 0, "frames": [], "more": 1}, ["more"]),
    ],
)
def test_bodies_that_are_no_good(service: Hand, body: Any, paths: list[str]) -> None:
    service.do("deliver")
    problem(service.ask("POST", f"{MOVE}/frames", body), 422, *paths)
    assert service.handed == []


def test_json_and_messagepack_say_the_same(service: Hand) -> None:
    service.do("deliver")
    text = {"interface": 0, "frames": [b64encode(frame(61, fill=200)).decode()]}
    assert service.ask("POST", f"{MOVE}/frames", text).json == {"sent": 1}
    assert service.send(frame(61, fill=200)).json == {"sent": 1}
    assert service.handed[0].frames == service.handed[1].frames == (frame(61, fill=200),)
    assert service.send().json == {"sent": 0}
    problem(service.ask("POST", f"{MOVE}/frames?wait=1", text), 400, "?wait")
    problem(service.ask("POST", f"{MOVE}/frames"), 415)


def test_no_more_than_so_many_a_second(service: Hand) -> None:
    service.do("deliver")
    full = [frame(14)] * MAX_FRAMES
    for _ in range(FRAMES_A_SECOND // MAX_FRAMES):
        assert service.send(*full).json == {"sent": MAX_FRAMES}
    refused = service.send(frame())
    assert "5000 frames a second" in problem(refused, 429)
    assert refused.headers["Retry-After"] == "1"
    service.do("activate")  # what is written of the move does not begin the second again
    assert problem(service.send(frame()), 429)
    service.time += 0.125
    assert service.send(*full[:625]).json == {"sent": 625}
    assert problem(service.send(frame()), 429)
    service.time -= 3600
    assert problem(service.send(frame()), 429), "a clock that was set back is no second gone"
    service.time += 3601
    assert service.send(*full).json == {"sent": MAX_FRAMES}
    assert service.get(MOVE)["timeline"][2]["frames"] == FRAMES_A_SECOND + 625 + MAX_FRAMES


def test_each_migration_has_its_own_measure(service: Hand) -> None:
    service.put("/v1/vms/web2", vm("srv-a1", 12))
    service.ask("POST", "/v1/migrations", {"vm": "web2", "to": "srv-b1"})
    service.confirm()
    service.do("deliver")
    for _ in range(FRAMES_A_SECOND // MAX_FRAMES):
        service.send(*[frame(14)] * MAX_FRAMES)
    assert service.ask("POST", "/v1/migrations/m-000000000002/deliver").status_int == 200
    text = {"interface": 0, "frames": [b64encode(frame(header=bytes.fromhex("02000000000c02000000000b0800"))).decode()]}
    assert service.ask("POST", "/v1/migrations/m-000000000002/frames", text).json == {"sent": 1}
    problem(service.send(frame()), 429)


def test_a_switch_that_does_not_take_them(service: Hand) -> None:
    service.do("deliver")
    service.takes = False
    refused = service.send(frame())
    assert "'tor-b'" in problem(refused, 503)
    assert refused.headers["Retry-After"] == "1"
    assert service.get(MOVE)["timeline"][2]["frames"] == 0
    service.takes = True
    assert service.send(frame()).json == {"sent": 1}
