"""Every switch's place in time: what it is to be told, what it has confirmed, and what it refused."""

from __future__ import annotations

from ryu_vmmob.engine.fleet import KEEPS_COOKIES, NOT_KEPT, Fleet, Place, SwitchFault, SwitchStatus
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import Table


def flow(port: int, goto: Table | None = None) -> Flow:
    return Flow.undeclared(Table.INGRESS, 1000, match(in_port=port), goto=goto)


def adding(*flows: Flow) -> Delta:
    return Delta(flows=list(flows))


def removing(*flows: Flow) -> Delta:
    return Delta(gone={row.cookie: row.key for row in flows})


class Waker:
    """A session that counts how often it was woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def fleet(*connected: str, revision: int = 5) -> tuple[Fleet, dict[str, Waker]]:
    """Switches a, b and c, of which these are connected and in step."""
    made = Fleet(["a", "b", "c"], revision)
    sessions = {name: Waker() for name in connected}
    for name, session in sessions.items():
        made.connected(name, session.wake, 10.0)
        made.confirm(name, made.begin_reconciliation(name))
    return made, sessions


def test_a_new_fleet_has_no_connected_switch() -> None:
    made, _ = fleet()
    assert made.names == ("a", "b", "c")
    assert not made.is_connected("a")
    assert not made.has("a", 0)
    assert made.confirmed() == {}
    assert made.status("a") == SwitchStatus(False, Place.AWAY, 5, (), None)


def test_connected_is_not_yet_in_step() -> None:
    made, _ = fleet()
    made.connected("a", lambda: None, 10.0)
    assert made.is_connected("a")
    assert not made.has("a", 0)
    assert made.confirmed() == {}
    assert made.begin_reconciliation("a") == 5
    assert not made.has("a", 5)
    made.confirm("a", 5)
    assert made.has("a", 5)
    assert made.confirmed() == {"a": 5}
    assert made.status("a") == SwitchStatus(True, Place.IN_STEP, 0, (), 10.0)


def test_a_switch_without_a_delta_has_the_revision_already() -> None:
    made, sessions = fleet("a", "b")
    made.decide(6, {"a": adding(flow(1))})
    assert made.has("b", 6)
    assert not made.has("a", 6)
    assert made.has("a", 5)
    assert (sessions["a"].woken, sessions["b"].woken) == (1, 0)
    assert made.status("a")[:3] == (True, Place.BEHIND, 1)


def test_what_came_meanwhile_is_taken_as_one() -> None:
    """Take coalesces: what was added and taken away again is never sent."""
    made, _ = fleet("a")
    made.decide(6, {"a": adding(flow(1), flow(2))})
    made.decide(7, {"a": removing(flow(1))})
    made.decide(8, {"b": adding(flow(9))})
    taken = made.take("a")
    assert taken is not None
    revision, delta = taken
    assert revision == 7
    assert delta.flows == [flow(2)]
    assert delta.deleted == []
    assert made.take("a") is None
    assert not made.has("a", 7)
    made.confirm("a", revision)
    assert made.has("a", 8)


def test_confirming_one_step_is_not_confirming_the_next() -> None:
    made, _ = fleet("a")
    made.decide(6, {"a": adding(flow(1))})
    taken = made.take("a")
    assert taken is not None
    made.decide(7, {"a": adding(flow(2))})
    made.confirm("a", taken[0])
    assert made.has("a", 6)
    assert not made.has("a", 7)
    made.decide(8, {})
    assert not made.has("a", 7)
    assert made.status("a").behind == 2


def test_a_step_on_its_way_is_not_confirmed_by_a_later_revision() -> None:
    """Nothing pending, but the last delta is still in flight: a revision that is nothing to it proves nothing."""
    made, _ = fleet("a")
    made.decide(6, {"a": adding(flow(1))})
    made.take("a")
    made.decide(7, {})
    assert not made.has("a", 6)
    made.confirm("a", 6)
    assert made.has("a", 7)


def test_a_switch_that_is_away_is_told_nothing_and_compared_when_it_is_back() -> None:
    made, sessions = fleet("a")
    made.disconnected("a", sessions["a"].wake)
    assert not made.has("a", 5)
    assert made.confirmed() == {}
    made.decide(6, {"a": adding(flow(1))})
    assert made.take("a") is None
    again = Waker()
    made.connected("a", again.wake, 20.0)
    made.decide(7, {"a": adding(flow(2))})
    assert made.take("a") is None
    assert made.begin_reconciliation("a") == 7
    made.decide(8, {"a": adding(flow(3))})
    assert again.woken == 1
    made.confirm("a", 7)
    assert made.has("a", 7)
    assert not made.has("a", 8)
    taken = made.take("a")
    assert taken is not None
    assert taken[1].flows == [flow(3)]


def test_what_an_old_session_had_pending_is_gone_with_it() -> None:
    made, _ = fleet("a")
    made.decide(6, {"a": adding(flow(1))})
    made.connected("a", Waker().wake, 20.0)
    assert made.take("a") is None
    assert not made.has("a", 5)


def test_the_end_of_an_old_session_leaves_the_new_one() -> None:
    made, sessions = fleet("a")
    newer = Waker()
    made.connected("a", newer.wake, 20.0)
    made.disconnected("a", sessions["a"].wake)
    assert made.is_connected("a")
    assert made.status("a").since == 20.0
    made.disconnected("a", newer.wake)
    assert not made.is_connected("a")


def test_an_audit_starts_from_the_desired_state() -> None:
    """What was pending is part of what the switch is compared with; faults of before stand until that is done."""
    made, _ = fleet("a")
    made.confirm("a", 5, [SwitchFault("full", "x", Owner(OwnerKind.VM, "v", "0"))])
    made.decide(6, {"a": adding(flow(1))})
    assert made.begin_reconciliation("a") == 6
    assert made.take("a") is None
    assert len(made.faults("a")) == 1
    assert not made.has("a", 6)
    made.confirm("a", 6, compared=True)
    assert made.status("a").in_step


def test_who_refused_is_not_late_and_not_in_step() -> None:
    made, _ = fleet("a")
    made.confirm("a", 5, [SwitchFault("full", "x", Owner(OwnerKind.VM, "v", "0"), 11)], {11})
    assert (made.status("a").place, made.status("a").in_step, made.has("a", 5)) == (Place.REFUSED, False, True)
    made.decide(6, {"a": adding(flow(1))})
    assert made.status("a").place is Place.BEHIND


def test_what_a_switch_did_not_keep_is_believed_when_it_is_seen() -> None:
    """Told again it confirms it again, as it did before: that proves nothing."""
    made, _ = fleet("a")
    news: list[tuple[SwitchFault, ...]] = []
    made.on_confirm.add(lambda name, revision, faults: news.append(faults))
    lost = SwitchFault(NOT_KEPT, "x", Owner(OwnerKind.VM, "v", "0"), 11)
    made.looked("a", [lost])
    assert (made.faults("a"), news) == ((lost,), [(lost,)])
    made.begin_reconciliation("a")
    made.confirm("a", 5, [], {11}, compared=True)
    assert made.faults("a") == (lost,)
    made.looked("a", [lost])
    assert (made.faults("a"), [row for row in news if row]) == ((lost,), [(lost,)]), "no news the second time"
    made.confirm("a", 5, [], {12}, compared=True)  # it was there at this comparison, so it was not told
    assert made.faults("a") == ()
    made.looked("a", [lost])
    made.confirm("a", 5, [], {11}, compared=True)
    made.looked("a", [])
    assert made.status("a").in_step


def test_a_fault_stays_until_the_switch_is_told_of_that_very_flow_again() -> None:
    made, _ = fleet("a")
    owner = Owner(OwnerKind.VM, "v", "0")
    one, two = SwitchFault("full", "x", owner, 11), SwitchFault("full", "y", owner, 12)
    made.confirm("a", 5, [one, two], {11, 12})
    assert set(made.faults("a")) == {one, two}
    assert made.status("a").faults == made.faults("a")
    assert not made.status("a").in_step
    assert made.has("a", 5)
    made.confirm("a", 5, [], {13})  # another flow, be it of the same owner
    assert len(made.faults("a")) == 2
    made.confirm("a", 5, [], {11})  # written now, or not wanted any more
    assert made.faults("a") == (two,)
    again = SwitchFault("bad", "y", owner, 12)
    made.confirm("a", 5, [again], {12})
    assert made.faults("a") == (again,)


def test_a_switch_that_the_fabric_no_longer_has_has_nothing() -> None:
    made, _ = fleet("a")
    assert not made.has("z", 0)


def test_a_switch_that_leaves_the_fabric_is_told_a_last_time() -> None:
    fleet = Fleet(["a", "b", "c"], 0)
    woken: list[str] = []

    def wake_b() -> None:
        woken.append("b")

    fleet.connected("b", wake_b, 0.0)
    fleet.begin_reconciliation("b")
    fleet.confirm("b", 0)
    fleet.use(["c", "d"])
    assert fleet.names == ("c", "d")
    assert fleet.is_connected("b")
    fleet.decide(1, {"b": Delta(gone={1: None})})
    assert woken == ["b"]
    assert not fleet.is_leaving("b"), "not before it has been told"
    assert fleet.take("b") is not None
    assert fleet.is_leaving("b")
    fleet.disconnected("b", wake_b)
    assert not fleet.is_connected("b")
    assert not fleet.is_connected("a"), "away when it was taken out: forgotten at once"


def test_a_switch_that_comes_back_while_it_leaves_stays() -> None:
    fleet = Fleet(["a", "b"], 0)
    fleet.connected("b", lambda: None, 0.0)
    fleet.begin_reconciliation("b")
    fleet.use(["a"])
    fleet.use(["a", "b"])
    assert not fleet.is_leaving("b")
    assert fleet.names == ("a", "b")


def test_a_table_is_unreadable_when_the_session_ended_three_times_over_it() -> None:
    made, _ = fleet("a")
    for number in range(3):
        assert not made.is_unreadable("a", "admit"), number
        made.reads("a", "bridge")
        made.has_read("a", "bridge")
        made.reads("a", "admit")
    assert made.is_unreadable("a", "admit")
    assert not made.is_unreadable("a", "bridge")
    assert not made.is_unreadable("b", "admit")


def test_one_answer_makes_a_table_readable() -> None:
    made, _ = fleet("a")
    made.reads("a", "admit")
    made.reads("a", "admit")
    made.has_read("a", "admit")
    made.reads("a", "admit")
    assert not made.is_unreadable("a", "admit")


def test_habits_last_as_long_as_the_connection() -> None:
    made, _ = fleet("a")
    assert made.note_habit("a", KEEPS_COOKIES)
    assert not made.note_habit("a", KEEPS_COOKIES)
    assert (made.habits("a"), made.has_habit("a", KEEPS_COOKIES)) == ((KEEPS_COOKIES,), True)
    made.connected("a", lambda: None, 1.0)
    assert made.habits("a") == ()
