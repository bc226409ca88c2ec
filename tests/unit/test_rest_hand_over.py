"""The pause of a move by REST: ``deliver`` and ``frames``, what they do, and where they are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ryu_vmmob.engine.sent_on import AFTER_ACTIVATION, PASSING
from ryu_vmmob.model.migrations import Fail
from ryu_vmmob.store import Store, open_store
from tests.support.rest_service import problem
from tests.unit.hand_over import ID, MOVE, OPERATOR, READER, Hand, frame, service

__all__ = ["service"]

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
    service.engine.execute(Fail(ID, "TABLE_FULL"))


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
    """Open vSwitch hands frames to the source for a moment after the delivery. A clock set back holds nothing up."""
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
