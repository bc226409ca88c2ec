"""Evacuations: where VMs go, who cannot, and what a batch keeps of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.model.batches.commands import AbortBatch, BatchMove, BatchPass, StartBatch
from ryu_vmmob.model.batches.rows import KEPT
from ryu_vmmob.model.batches.values import BatchState, BatchVm, Outcome
from ryu_vmmob.model.commands import Activate, Command, LinksChanged, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, do, nic, start, vm
from tests.support.fabrics import EXAMPLE, LEFT_A, two_planes, two_racks

A1 = StartBatch("b-1", ("a1",))


def rows(state: State, id_: str = "b-1") -> list[BatchVm]:
    return [row for _, row in sorted(state.batch_vms[id_].items())]


def plan(state: State, command: StartBatch = A1) -> dict[str, str | None]:
    return {row.vm: row.target for row in rows(apply(state, command).state, command.id)}


def many(*places: str) -> list[Command]:
    """CUG web with a VM v0, v1, ... on each of these servers."""
    return [cug(), *(vm(f"v{number}", server, nic(11 + number)) for number, server in enumerate(places))]


def refused(state: State, command: Command) -> Refusal:
    with pytest.raises(Refusal) as found:
        apply(state, command)
    return found.value


def test_vms_spread_over_the_nearest_servers_and_the_emptiest_comes_first() -> None:
    state = start(two_racks(), *many("a1", "a1", "a1", "a1", "a2"))
    # a2 and a3 are in the rack; a2 has a VM, so a3 comes first; b1, b2, b3 are further.
    assert plan(state) == {"v0": "a3", "v1": "a2", "v2": "a3", "v3": "a2"}


def test_the_same_data_centre_comes_before_another() -> None:
    fabric = EXAMPLE
    state = start(fabric, *many("srv-b1"))
    # srv-a1 and srv-a2 are in dc1 as srv-b1 is, srv-c1 is in dc2.
    assert plan(state, StartBatch("b-1", ("srv-b1",))) == {"v0": "srv-a1"}
    crowded = do(state, *(vm(f"w{n}", s, nic(50 + n)) for n, s in enumerate(["srv-a1", "srv-a1", "srv-a2"]))).state
    assert plan(crowded, StartBatch("b-1", ("srv-b1",))) == {"v0": "srv-a2"}


def test_of_servers_that_were_named_only_the_number_of_vms_counts() -> None:
    state = start(two_racks(), *many("a1", "a1", "a1", "a2"))
    assert plan(state, replace(A1, to=("a2", "b1"))) == {"v0": "b1", "v1": "a2", "v2": "b1"}


def test_all_servers_of_a_switch() -> None:
    state = start(two_racks(), *many("a1", "a2", "a3", "b1"))
    change = apply(state, StartBatch("b-1", switch="tor-a"))
    batch = change.state.batches["b-1"]
    assert (batch.servers, batch.switch, batch.size) == (("a1", "a2", "a3"), "tor-a", 3)
    assert {row.vm: row.target for row in rows(change.state)} == {"v0": "b2", "v1": "b3", "v2": "b1"}


def test_a_server_without_vms_is_done_at_once() -> None:
    change = apply(start(two_racks(), cug()), A1, now=5.0)
    batch = change.state.batches["b-1"]
    assert (batch.state, batch.size, batch.started, batch.ended) == (BatchState.FINISHED, 0, 5.0, 5.0)
    assert [event.kind for event in change.events] == ["batch.started", "batch.finished"]


def test_who_cannot_move_is_told_and_holds_up_nobody() -> None:
    state = start(two_racks(), *many("a1", "a1", "a1", "b1", "b1"))
    state = do(state, StartMigration("m1", "v1", "b1"), StartMigration("m2", "v3", "a1")).state
    found = {row.vm: (row.outcome, row.reason) for row in rows(apply(state, A1).state)}
    assert found == {
        "v0": (Outcome.WAITING, None),
        "v2": (Outcome.WAITING, None),
        "v1": (Outcome.REFUSED, "VM 'v1' is moving already (migration m1)"),
        "v3": (Outcome.REFUSED, "VM 'v3' is on its way here (migration m2): abort that, or evacuate again later"),
    }
    # The planned ones come first, whatever their names.
    assert [row.vm for row in rows(apply(state, A1).state)] == ["v0", "v2", "v1", "v3"]


def test_who_is_leaving_already_is_no_matter_of_the_batch() -> None:
    state = start(two_racks(), *many("a1", "a1"))
    state = do(state, StartMigration("m1", "v1", "b1"), Activate("m1"), now=1.0).state
    assert plan(state) == {"v0": "a2"}


def test_a_domain_without_a_free_vlan_id_is_passed_by() -> None:
    """R28: rack-b has one VLAN-ID, and another CUG has it; an untagged server there needs none."""
    fabric = two_racks(rack_b=[100])
    state = start(fabric, *many("a1", "a1"), cug("db", 2), vm("d1", "b1", nic(11, "db", 2)))
    found = rows(apply(state, replace(A1, to=("b1", "b3"))).state)
    assert [row.outcome for row in found] == [Outcome.REFUSED, Outcome.REFUSED]
    assert found[0].reason is not None
    assert found[0].reason.startswith("no server takes it: R28: L2 domain 'rack-b' has no free VLAN-ID for CUG 'web'")
    assert plan(state, replace(A1, to=("b1", "b3", "b2"))) == {"v0": "b2", "v1": "b2"}


def test_what_one_takes_is_taken_for_the_others() -> None:
    """R28: there is one VLAN-ID for two CUGs in rack-b: the first VM gets it."""
    state = start(two_racks(rack_b=[100]), cug(), cug("db", 2), vm("v0", "a1", nic(11)), vm("v1", "a1", nic(11, "db", 2)))
    found = rows(apply(state, replace(A1, to=("b1",))).state)
    assert [(row.vm, row.target, row.outcome) for row in found] == [
        ("v0", "b1", Outcome.WAITING), ("v1", None, Outcome.REFUSED),
    ]  # fmt: skip


def test_no_leg_moves_when_one_cannot() -> None:
    """The VM is in two CUGs, and rack-b has a VLAN-ID for one of them only."""
    state = start(two_racks(rack_b=[100]), cug(), cug("db", 2), vm("v0", "a1", nic(11), nic(11, "db", 2)))
    (row,) = rows(apply(state, replace(A1, to=("b1",))).state)
    assert row.outcome is Outcome.REFUSED


def test_an_untagged_server_that_could_not_tell_macs_apart_is_passed_by() -> None:
    """R23."""
    same = Interface("db", nic(11).mac, nic(11, "db", 2).ips)
    state = start(two_racks(), *many("a1"), cug("db", 2), vm("d1", "b2", same))
    (row,) = rows(apply(state, replace(A1, to=("b2",))).state)
    assert row.reason is not None
    assert row.reason.startswith("no server takes it: R23: server 'b2' is untagged")
    assert plan(state, replace(A1, to=("b2", "b3"))) == {"v0": "b3"}


def test_wrong_questions() -> None:
    state = start(two_racks(), *many("a1"))
    assert refused(state, replace(A1, servers=("a9",))).status == 404
    assert refused(state, StartBatch("b-1", switch="tor-z")).status == 404
    wrong = refused(state, replace(A1, to=("a2", "a9", "a1")))
    assert (wrong.status, [fault.path for fault in wrong.faults]) == (422, ["to[1]", "to[2]"])
    for command in (AbortBatch("b-9"), BatchMove("b-9", 0, "a2"), BatchPass("b-9", 0, Outcome.GONE, "")):
        assert refused(state, command).status == 404


def test_a_server_that_is_being_evacuated_is_no_target_and_is_not_evacuated_twice() -> None:
    state = apply(start(two_racks(), *many("a1", "a2")), A1).state
    assert refused(state, replace(A1, id="b-2")).detail == "server 'a1' is being evacuated already (batch b-1)"
    assert refused(state, StartBatch("b-2", ("b1",), to=("a1",))).detail == (
        "server 'a1' is being evacuated itself (batch b-1)"
    )
    assert plan(state, StartBatch("b-2", ("a2",))) == {"v1": "a3"}
    state = apply(state, AbortBatch("b-1"), now=6.0).state
    assert plan(state, StartBatch("b-2", ("a2",), to=("a1",))) == {"v1": "a1"}


def test_nothing_begins_while_links_change() -> None:
    state = start(two_planes(), *many("a1", "b1"))
    state = apply(state, LinksChanged(frozenset({LEFT_A})), now=1.0).state
    assert not state.trees_settled
    assert refused(state, A1).status == 503


def test_turns_come_in_order_and_only_with_room() -> None:
    state = apply(start(two_racks(), *many("a1", "a1", "a1")), replace(A1, parallel=1)).state
    assert refused(state, BatchMove("b-1", 1, "a2")).status == 409
    state = apply(state, BatchMove("b-1", 0, "a2"), now=6.0).state
    assert state.migrations["b-1-0"].batch == "b-1"
    assert "under way, as many as it may" in refused(state, BatchMove("b-1", 1, "a2")).detail
    state = apply(state, BatchPass("b-1", 1, Outcome.GONE, "no more"), now=6.0).state
    assert refused(state, BatchPass("b-1", 1, Outcome.GONE, "no more")).status == 409


def test_an_abort_leaves_those_that_have_arrived() -> None:
    state = apply(start(two_racks(), *many("a1", "a1", "a1")), A1).state
    state = do(state, BatchMove("b-1", 0, "a2"), BatchMove("b-1", 1, "a3"), Activate("b-1-0"), now=7.0).state
    change = apply(state, AbortBatch("b-1", "enough"), now=8.0)
    assert change.state.batches["b-1"].state is BatchState.ABORTING
    assert [row.outcome for row in rows(change.state)] == [Outcome.MOVING, Outcome.ABORTED, Outcome.SKIPPED]
    assert {row.reason for row in rows(change.state)[1:]} == {"enough"}
    assert apply(change.state, AbortBatch("b-1"), now=9.0).state is change.state


def test_old_batches_are_forgotten_with_their_rows() -> None:
    state = start(two_racks(), cug())
    for number in range(KEPT + 5):
        change = apply(state, replace(A1, id=f"b-{number}"))
        state = change.state
    assert len(state.batches) == len(state.batch_vms) == KEPT
    assert "b-4" not in state.batches
    assert {"b-4", f"b-{KEPT + 4}"} == change.batches
