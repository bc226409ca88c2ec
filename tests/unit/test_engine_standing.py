"""Events about switches: faults, falling behind, catching up."""

from __future__ import annotations

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.engine.standing import LAG_SECONDS
from ryu_vmmob.flows.owner import Owner, OwnerKind
from tests.support.commands import nic, vm
from tests.support.engine_site import Site, racks
from tests.support.fabrics import two_racks

FAULT = SwitchFault("TABLE_FULL", "table=bridge priority=1000", Owner(OwnerKind.VM, "web1"), 7)


def looked(made: Site, seconds: float = 0.0) -> list[tuple[str, object]]:
    """What a look so much later tells."""
    made.now += seconds
    before = made.engine.events.next_id
    made.engine.look()
    rows = made.engine.events.cursor(["switch"], before - 1).take(100)
    return [(row.event.kind, row.event.data["switch"]) for row in rows]


def quiet() -> Site:
    """Everything in step, and reported."""
    made = racks()
    looked(made)
    return made


def test_a_switch_that_has_caught_up_is_told_of_once() -> None:
    made = Site(two_racks(), connected=False)
    assert looked(made) == []
    made.connect("spine")
    assert looked(made) == [("switch.in_step", "spine")]
    assert looked(made, 100) == []


def test_a_change_that_is_confirmed_soon_is_no_news() -> None:
    made = quiet()
    for number in range(10):
        made.engine.execute(vm(f"v{number}", "a1", nic(100 + number)))
        assert looked(made, LAG_SECONDS / 2) == []
        made.confirm()
        assert looked(made) == []


def test_a_switch_that_is_busy_but_goes_on_is_not_out_of_step() -> None:
    made = quiet()
    for number in range(10):
        made.engine.execute(vm(f"v{number}", "a1", nic(100 + number)))
        taken = made.engine.fleet.take("tor-a")
        assert taken is not None
        # One revision behind at every look.
        made.engine.execute(vm(f"w{number}", "a1", nic(120 + number)))
        made.engine.fleet.confirm("tor-a", taken[0])
        assert looked(made, LAG_SECONDS / 2) == []


def test_a_switch_that_confirms_nothing_falls_behind_and_catches_up() -> None:
    made = quiet()
    made.engine.execute(vm("web3", "a1", nic(13)))
    assert looked(made) == []
    assert looked(made, LAG_SECONDS) == [("switch.out_of_step", "tor-a")]
    assert made.events("switch.out_of_step")[-1] == {"switch": "tor-a", "behind": 1, "faults": 0}
    assert looked(made, 100) == []
    made.confirm()
    assert looked(made) == [("switch.in_step", "tor-a")]


def test_a_fault_is_told_at_once_and_once() -> None:
    made = quiet()
    fleet = made.engine.fleet
    fleet.confirm("tor-a", fleet.revision, [FAULT], {7})
    fleet.confirm("tor-a", fleet.revision, [FAULT], {7})
    assert made.events("switch.fault") == [
        {"switch": "tor-a", "error": "TABLE_FULL", "cause": "table=bridge priority=1000", "owner": "vm web1"}
    ]
    looked(made)
    assert looked(made, LAG_SECONDS) == [("switch.out_of_step", "tor-a")]
    fleet.confirm("tor-a", fleet.revision, [], {7})
    assert looked(made) == [("switch.in_step", "tor-a")]


def test_a_switch_that_comes_back_is_told_of_again() -> None:
    made = quiet()
    wake = lambda: None  # noqa: E731
    made.engine.fleet.connected("spine", wake, made.now)
    made.engine.fleet.disconnected("spine", wake)
    assert looked(made, 100) == []
    made.connect("spine")
    assert looked(made) == [("switch.in_step", "spine")]
