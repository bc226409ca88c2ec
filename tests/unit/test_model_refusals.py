"""Every refusal beside its passing twin: status, the path and the rule it names, and a state that is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from immutables import Map

from ryu_vmmob.model import allocation
from ryu_vmmob.model.commands import DeleteCug, LinksChanged, SettleTrees
from ryu_vmmob.model.membership import refuse_untagged_clash
from ryu_vmmob.model.objects import Vm
from ryu_vmmob.model.refusal import Refusal
from tests.support.commands import apply, cug, nic, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import LEFT_A, two_planes, two_racks
from tests.unit.refusal_cases import Case
from tests.unit.refusal_cases_cugs import CUGS
from tests.unit.refusal_cases_vms import MIGRATIONS, MOVE, VMS


@pytest.mark.parametrize("case", [*CUGS, *VMS, *MIGRATIONS], ids=lambda case: case.name)
def test_refused_and_its_passing_twin(case: Case) -> None:
    site = Site(case.fabric, *case.given)
    before, records, tables = site.state, dict(site.store.records), site.engine.desired.tables
    flows = {name: dict(rows.flows) for name, rows in tables.items()}
    with pytest.raises(Refusal) as raised:
        site.engine.execute(case.refused)
    refusal = raised.value
    assert refusal.status == case.status, refusal.detail
    assert sorted(fault.path for fault in refusal.faults) == sorted(case.paths), refusal.detail
    assert [word for word in case.words if word not in refusal.detail] == [], refusal.detail
    if case.title is not None:
        assert refusal.title == case.title
    assert site.state is before
    assert site.store.records == records
    assert {name: rows.flows for name, rows in site.engine.desired.tables.items()} == flows
    assert not site.take()
    site.engine.execute(case.passes)
    assert site.state.revision > before.revision


def test_as_many_cugs_as_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each CUG and each routing domain has a segment, and a key of its own for it."""
    monkeypatch.setattr(allocation, "MAX_SEGMENT_KEY", 2)
    state = start(two_racks(), cug("a", 1), cug("b", 2))
    for one_more in (cug("c", 3), cug("a", 1, routing_domain="red")):
        with pytest.raises(Refusal, match="2 CUGs and routing domains already") as raised:
            apply(state, one_more)
        assert raised.value.status == 409
    assert apply(apply(state, DeleteCug("a")).state, cug("c", 3)).state.cugs["c"].key == 1
    with pytest.raises(Refusal, match="2 CUGs and routing domains already"):
        apply(start(two_racks(), cug("a", 1)), cug("b", 2, routing_domain="red"))


def test_no_move_begins_while_links_change() -> None:
    """Until the trees have settled; what is asked again in a moment is then carried out."""
    state = start(two_planes(), cug(), vm(), vm("web2", "b1", nic(12)), LinksChanged(frozenset({LEFT_A})))
    with pytest.raises(Refusal, match="try again") as raised:
        apply(state, MOVE)
    assert (raised.value.status, raised.value.title) == (503, "links are changing")
    assert apply(apply(state, SettleTrees()).state, MOVE).state.migrations["m1"].vm == "web1"


def test_very_many_vms_on_an_untagged_server() -> None:
    """Each MAC is looked up, and not held against all VMs there: 20,000 took a minute."""
    state = start(two_racks(), cug())
    looked: list[str] = []

    class Vms(dict[str, None]):
        def __iter__(self) -> Iterator[str]:
            looked.append("all of them")
            return super().__iter__()

    here: Any = Vms({f"other-{number}": None for number in range(100)})
    state = replace(state, server_vms=Map({"a3": here}))
    refuse_untagged_clash(state, Vm("new", "a3", (nic(11),)), "a3")
    assert not looked
