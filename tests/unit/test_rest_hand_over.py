"""The pause of a move by REST: ``deliver`` and ``frames``, what they do, and where they are refused."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from webob import Response

from ryu_vmmob.engine.sent_on import AFTER_ACTIVATION, FRAME_BYTES, FRAMES_A_SECOND, MAX_BYTES, MAX_FRAMES, PASSING, Frames
from ryu_vmmob.flows.flow import Output, PushVlan, SetField
from ryu_vmmob.model.migrations import Fail
from ryu_vmmob.store import Store, open_store
from tests.support.rest_service import WEB, Service, packed, per_cug, problem, vm

ID = "m-000000000001"
MOVE = f"/v1/migrations/{ID}"
OPERATOR, READER = "b3BlcmF0b3Itb2YtY2xvdWQ", "cmVhZGVyLW9mLW1ldHJpY3M"
HEADER = bytes.fromhex("02000000000b02000000000c0800")


def frame(size: int = 60, header: bytes = HEADER, fill: int = 0) -> bytes:
    """An IPv4 frame to web1, of ``size`` bytes."""
    return header + bytes([fill]) * (size - len(header))


@dataclass
class Hand(Service):
    """A service, and what its switches were handed to send on."""

    def __post_init__(self) -> None:
        self.handed: list[Frames] = []
        self.takes = True

        def take(frames: Frames) -> bool:
            if self.takes:
                self.handed.append(frames)
            return self.takes

        self.send_frames = take
        super().__post_init__()

    def move(self, to: str = "srv-b1", **more: Any) -> Hand:
        """web1 is prepared to move."""
        self.connect()
        self.with_web()
        answer = self.ask("POST", "/v1/migrations", {"vm": "web1", "to": to, "commit": "request", **more})
        assert answer.status_int == 201, answer.text
        self.confirm()
        assert self.get(MOVE)["state"] == "prepared"
        return self

    def do(self, step: str, body: Any = None) -> Any:
        """A step that must succeed; the switches confirm it."""
        answer = self.ask("POST", f"{MOVE}/{step}", body)
        assert answer.status_int == 200, answer.text
        self.confirm()
        return answer.json

    def send(self, *frames: bytes, interface: int = 0, **headers: str) -> Response:
        """Frames as MessagePack."""
        body = packed({"interface": interface, "frames": list(frames)})
        return self.ask("POST", f"{MOVE}/frames", body, Content_Type="application/msgpack", **headers)


@pytest.fixture
def service() -> Hand:
    return Hand().move()


# The pause


def test_a_delivery_is_a_step_within_the_state_prepared(service: Hand) -> None:
    before = service.get(MOVE)
    assert (before["delivered"], [row["state"] for row in before["timeline"]]) == (False, ["preparing", "prepared"])
    service.time += 1
    one = service.do("deliver")
    assert (one["state"], one["delivered"], one["returning"]) == ("prepared", True, False)
    assert one["revision"] > before["revision"]
    entry = one["timeline"][-1]
    assert (entry["state"], entry["time"], entry["frames"]) == ("delivered", "2023-11-14T22:13:21.250000Z", 0)
    assert {"tor-a", "tor-b"} <= set(entry["flow_mods"])
    assert service.get("/v1/vms/web1")["server"] == "srv-a1", "it is placed there until it is seen elsewhere"
    assert [item["id"] for item in service.get("/v1/migrations?state=prepared")["items"]] == [ID]
    problem(service.ask("GET", "/v1/migrations?state=delivered"), 400, "?state")
    news = [row for row in service.get("/v1/events?types=migration")["items"] if row.get("state") != "preparing"]
    assert [(row["event"], row.get("state")) for row in news[-2:]] == [
        ("migration.delivered", None), ("migration.confirmed", "delivered"),
    ]  # fmt: skip


def test_a_delivery_once_more_changes_nothing(service: Hand) -> None:
    first = service.do("deliver", {})
    state, commits = service.engine.state, service.store.revision
    again = service.ask("POST", f"{MOVE}/deliver")
    assert (again.status_int, again.json["revision"]) == (200, first["revision"])
    assert again.headers["ETag"] == f'"{first["revision"]}"'
    assert (service.engine.state, service.store.revision) == (state, commits)
    service.do("activate")
    state = service.engine.state
    late = service.ask("POST", f"{MOVE}/deliver")
    assert (late.status_int, late.json["state"], late.json["delivered"]) == (200, "activated", True)
    service.do("commit")
    assert service.ask("POST", f"{MOVE}/deliver").json["state"] == "committed"
    assert [row["state"] for row in service.get(MOVE)["timeline"]].count("delivered") == 1


def test_a_delivery_waits_for_the_switches_as_asked(service: Hand) -> None:
    late = service.ask("POST", f"{MOVE}/deliver?wait=1.5")
    assert (late.status_int, set(late.json["switches"]["pending"])) == (200, set(late.json["timeline"][-1]["flow_mods"]))
    assert service.waited[-1][1] == 1.5
    service.while_waiting = service.confirm
    again = service.ask("POST", f"{MOVE}/deliver?wait=2")
    assert (again.json["switches"]["pending"], again.json["timeline"][-1]["complete"]) == ([], "2023-11-14T22:13:20.250000Z")
    problem(service.ask("POST", f"{MOVE}/deliver?wait=-1"), 400, "?wait")
    problem(service.ask("POST", f"{MOVE}/deliver", {"wait": 1}), 422, "wait")
    problem(service.ask("POST", f"{MOVE}/deliver", If_Match='"1"'), 412)
    problem(service.ask("POST", "/v1/migrations/m-2/deliver"), 404)


# Where neither is admitted


def preparing(service: Hand) -> None:
    """Another try, and the switches have not confirmed it."""
    service.do("abort")
    service.ids = 0
    service.engine.state = replace(service.engine.state, migrations=service.engine.state.migrations.delete(ID))
    assert service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"}).json["state"] == "preparing"


def failed(service: Hand) -> None:
    """A switch has refused what it needs."""
    preparing(service)
    service.engine.execute(Fail(ID, service.time, "TABLE_FULL"))


def returning(service: Hand) -> None:
    """Aborted after the pause, and the switches have not confirmed that."""
    service.do("deliver")
    assert service.ask("POST", f"{MOVE}/abort").json["returning"] is True


def aborted(service: Hand) -> None:
    """Aborted after the pause, and over."""
    returning(service)
    service.confirm()


@pytest.mark.parametrize("reach", [preparing, failed, returning, aborted])
def test_states_that_admit_neither(service: Hand, reach: Callable[[Hand], None]) -> None:
    reach(service)
    before = service.engine.state
    assert f"is {reach.__name__}, which does not admit 'deliver'" in problem(service.ask("POST", f"{MOVE}/deliver"), 409)
    assert "takes no frames now" in problem(service.send(frame()), 409)
    assert service.engine.state is before
    assert service.handed == []


def test_an_abort_after_the_pause_goes_back_to_the_source(service: Hand) -> None:
    service.do("deliver")
    assert service.send(frame(), frame()).json == {"sent": 2}
    back = service.ask("POST", f"{MOVE}/abort", {"reason": "no memory there"}).json
    assert (back["state"], back["returning"], back["reason"]) == ("prepared", True, "no memory there")
    service.confirm()
    one = service.get(MOVE)
    assert (one["state"], one["returning"], one["delivered"]) == ("aborted", False, True)
    rows = [(row["state"], row["frames"]) for row in one["timeline"]]
    assert rows == [("preparing", 0), ("prepared", 0), ("delivered", 2), ("prepared", 0), ("aborted", 0)]
    assert service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"}).status_int == 201


def test_frames_are_taken_from_the_pause_until_a_while_after_the_activation(service: Hand) -> None:
    assert "takes no frames now" in problem(service.send(frame()), 409)
    service.do("deliver")
    assert service.send(frame()).json == {"sent": 1}
    service.time += 200  # however long the pause
    assert service.send(frame()).json == {"sent": 1}
    service.do("activate")
    service.do("commit")
    service.time += AFTER_ACTIVATION
    assert service.send(frame(), frame()).json == {"sent": 2}
    assert service.get(MOVE)["timeline"][2]["frames"] == 4
    service.time += 0.01
    assert "takes no frames now" in problem(service.send(frame()), 409)
    assert [len(row.frames) for row in service.handed] == [1, 1, 2]
    problem(service.ask("POST", "/v1/migrations/m-2/frames", {"interface": 0, "frames": []}), 404)


@pytest.mark.parametrize(("seconds", "state"), [(PASSING - 0.01, "activated"), (PASSING, "committed"), (-3600.0, "committed")])
def test_an_automatic_commit_waits_for_what_is_under_way(seconds: float, state: str) -> None:
    """Open vSwitch hands frames to the old place for a moment after the delivery. A clock set back holds nothing up."""
    service = Hand().move(commit="automatic")
    service.do("deliver")
    service.do("activate")
    service.passes(seconds)
    assert service.get(MOVE)["state"] == state


def test_an_activation_without_a_delivery_is_committed_at_once() -> None:
    service = Hand().move(commit="automatic")
    service.do("activate")
    assert service.get(MOVE)["state"] == "committed"


def test_without_a_delivery_the_activation_begins_it(service: Hand) -> None:
    service.do("activate")
    assert service.send(frame()).json == {"sent": 1}
    one = service.get(MOVE)
    assert (one["delivered"], [row["frames"] for row in one["timeline"]]) == (False, [0, 0, 1])


def test_an_early_move_has_brought_each_frame_there_already() -> None:
    service = Hand().move(delivery="early")
    service.do("deliver")
    assert "has had a copy of each frame" in problem(service.send(frame()), 409)
    service.do("activate")
    problem(service.send(frame()), 409)
    assert service.handed == []


@pytest.mark.parametrize("to", ["srv-a1", "srv-c1"])
def test_a_vm_that_has_moved_on_gets_none_at_the_place_it_left(service: Hand, to: str) -> None:
    service.do("deliver")
    service.do("activate")
    service.do("commit")
    answer = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": to, "activate_on": "request"})
    service.confirm()
    assert service.send(frame()).json == {"sent": 1}, "it is still there"
    service.ask("POST", f"/v1/migrations/{answer.json['id']}/activate")
    assert f"has moved on to '{to}'" in problem(service.send(frame()), 409)
    service.confirm()
    service.ask("DELETE", "/v1/vms/web1")
    problem(service.send(frame()), 409)


# What is sent, and what is no good


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


# How many


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


def test_the_number_is_written_with_the_next_step_and_at_the_end(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/state.db"
    service = Hand(store=open_store(place)).move()
    service.do("deliver")
    service.send(frame(), frame())
    service.do("activate")
    service.send(frame())
    assert service.get(MOVE)["timeline"][2]["frames"] == 3
    killed = Hand(store=_reopened(service, place, close=False))
    assert killed.get(MOVE)["timeline"][2]["frames"] == 2, "what came since the last step is not written yet"
    killed.engine.close()
    service = Hand(store=open_store(place))
    service.connect()
    assert service.send(frame(), frame(), frame()).json == {"sent": 3}
    service.put("/v1/cugs/db", {"subnets": ["10.2.0.0/24"]})  # whatever is written next takes it along
    service.send(frame())
    again = Hand(store=_reopened(service, place, close=True))
    assert again.get(MOVE)["timeline"][2]["frames"] == 6
    again.engine.close()


def _reopened(service: Hand, place: str, *, close: bool) -> Store:
    """The store after its controller has ended in good order (``close``), or was killed."""
    if close:
        service.engine.close()
    else:
        service.store.close()
    return open_store(place)


# Who may, and what is counted


def test_a_reader_may_do_neither() -> None:
    service = Hand(tokens=(f"operator {OPERATOR} cloud", f"reader {READER} prometheus"))
    service.tokens = (OPERATOR,)
    service.move()
    for step, body in (("deliver", None), ("frames", {"interface": 0, "frames": []})):
        refused = service.ask("POST", f"{MOVE}/{step}", body, Authorization=f"Bearer {READER}")
        problem(refused, 403)
        assert "insufficient_scope" in refused.headers["WWW-Authenticate"]
    service.do("deliver")
    problem(service.send(frame(), Authorization=f"Bearer {READER}"), 403)
    problem(service.send(frame(), Authorization=""), 401)
    assert service.handed == []
    assert service.send(frame()).json == {"sent": 1}


def metric(service: Hand, line: str) -> float:
    """The value of one sample, by all that stands before it."""
    text = service.ask("GET", "/metrics").text
    (found,) = [row for row in text.splitlines() if row.rpartition(" ")[0] == line]
    return float(found.rpartition(" ")[2])


def test_metrics_of_a_pause(service: Hand) -> None:
    sent_on = 'vmmob_frames_sent_on_total{switch="tor-b"}'
    assert metric(service, sent_on) == 0
    service.time += 2
    service.do("deliver")
    service.send(frame(), frame())
    service.takes = False
    service.send(frame())
    service.time += 3
    assert metric(service, sent_on) == 2
    assert metric(service, 'vmmob_frames_sent_on_total{switch="tor-a"}') == 0
    assert metric(service, 'vmmob_migrations{state="delivered"}') == 1
    assert metric(service, 'vmmob_migrations{state="prepared"}') == 0
    assert metric(service, 'vmmob_migration_oldest_seconds{state="delivered"}') == 3
    assert metric(service, 'vmmob_migration_seconds_count{state="prepared"}') == 1, "it was prepared once"
    assert metric(service, 'vmmob_events_total{event="migration.delivered"}') == 1
    service.ask("POST", f"{MOVE}/abort")
    assert metric(service, 'vmmob_migrations{state="returning"}') == 1
    assert metric(service, 'vmmob_migration_seconds_count{state="prepared"}') == 1
