"""What comes to an edge new to its CUG costs what must be sent: not members x edges, edges squared, or others' policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, ip_network
from typing import Any

import pytest

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.persist import writes
from ryu_vmmob.fabric import examine
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command, DeleteVm, PutCug, PutVm
from ryu_vmmob.model.news import freed_news
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.state import State
from ryu_vmmob.store import open_store
from tests.support.commands import apply


def fabric(edges: int) -> Fabric:
    """So many ToRs, each a domain of its own, under one spine."""
    racks = range(edges)
    text = "\n".join([
        "version: 1",
        "fabric: growth",
        'gateway_mac: "02:00:5e:00:00:01"',
        "data_centers: {dc: {}}",
        "l2_domains:",
        "  core: {data_center: dc, vlan_ids: 2-4000}",
        *(f"  rack-{n}: {{data_center: dc, vlan_ids: 2-4000}}" for n in racks),
        "switches:",
        "  spine: {dpid: 100000, role: spine, l2_domain: core, data_center: dc}",
        *(f"  tor-{n}: {{dpid: {n + 1}, role: tor, l2_domain: rack-{n}, data_center: dc}}" for n in racks),
        "links:",
        *(f'  - {{a: "tor-{n}:49", b: "spine:{n + 1}", l2_domain: core}}' for n in racks),
        "servers:",
        *(f'  srv-{n}: {{attach: "tor-{n}:1", tagging: per_cug}}' for n in racks),
    ]) + "\n"  # fmt: skip
    found = examine(text, "growth.yaml").fabric
    assert found is not None
    return found


def vm(name: str, server: int, cug: int, host: int) -> PutVm:
    address = IPv4Address((10 << 24 | cug << 16) + host)
    return PutVm(name, f"srv-{server}", (Interface(f"cug-{cug}", 0x020000000000 | cug << 32 | host, (address,)),))


def cost(*before: Command, edges: int, last: Command) -> tuple[int, int]:
    """(contributions made, messages) of ``last``, after ``before``."""
    engine = Engine(fabric(edges), open_store("sqlite:///:memory:"), lambda: 0.0)
    engine.execute(*before)
    plan, made = engine.desired.plan, list[int]()

    def counted(*arguments: Any) -> Any:
        found = plan(*arguments)
        made.append(len(found.contributions))
        return found

    setattr(engine.desired, "plan", counted)  # noqa: B010 - a method
    ticket = engine.execute(last)
    return sum(made), sum(delta.messages for delta in ticket.deltas.values())


def cug(number: int, domain: str | None) -> PutCug:
    return PutCug(f"cug-{number}", (ip_network(f"10.{number}.0.0/16"),), (), domain)


@pytest.mark.parametrize("domain", [None, "red"])
@pytest.mark.parametrize(("members", "edges"), [(10, 10), (100, 10), (1000, 10), (20, 20), (60, 60)])
def test_a_vm_at_an_edge_new_to_its_cug(domain: str | None, members: int, edges: int) -> None:
    there = [vm(f"vm-{n}", n % edges, 1, 10 + n) for n in range(members)]
    made, messages = cost(cug(1, domain), *there, edges=edges + 1, last=vm("new", edges, 1, 5000))
    assert messages >= members, "it gets a flow for each member"
    assert made <= messages


@pytest.mark.parametrize("domain", [None, "red"])
def test_policies_of_others_cost_nothing(domain: str | None) -> None:
    """CUG 1 has few or many policies with members at many edges; a VM of CUG 2 comes to an edge new to its own."""
    made = []
    for policies in (1, 60):
        before: list[Command] = [cug(1, None), cug(2, domain), vm("o", 0, 2, 10)]
        before += [vm(f"vm-{n}", n, 1, 10 + n) for n in range(10)]
        ends = Selector("cug", "cug-1"), Selector("cug", "cug-1")
        before += [PutPolicy(f"p-{n}", False, *ends, protocol=6, ports=((n + 1, n + 1),)) for n in range(policies)]
        before += [PutPolicy(f"q-{n}", False, Selector("vm", "vm-1"), ends[1], priority=7 + n) for n in range(policies)]
        made.append(cost(*before, edges=11, last=vm("new", 10, 2, 11)))
    assert made[0] == made[1]


def test_a_policy_that_can_matter_everywhere_reaches_the_new_edge() -> None:
    anywhere = PutPolicy("p", False, Selector("any"), Selector("any"), protocol=6, ports=((22, 22),))
    named = PutPolicy("q", False, Selector("vm", "vm-1"), Selector("any"), protocol=6, ports=((23, 23),))
    for policy in (anywhere, named):
        before = (cug(1, None), vm("vm-1", 0, 1, 10), policy)
        bare, _ = cost(*before[:2], edges=2, last=vm("new", 1, 1, 11))
        made, _ = cost(*before, edges=2, last=vm("new", 1, 1, 11))
        assert made == bare + 1


class Unwalked(Mapping[Any, Any]):
    """A map in which one can look things up, and which nobody may walk through."""

    def __init__(self, rows: Mapping[Any, Any]) -> None:
        self.rows = rows

    def __getitem__(self, key: Any) -> Any:
        return self.rows[key]

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("somebody walks through all that rests")

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.rows


def test_what_rests_is_looked_up_and_never_walked_through_to_store_a_change() -> None:
    """A VM leaves a rack: two numbers come to rest, and only these are stored, however many rest elsewhere."""
    engine = Engine(fabric(3), open_store("sqlite:///:memory:"), lambda: 0.0)
    engine.execute(cug(1, "red"), *(vm(f"vm-{n}", n % 2, 1, 10 + n) for n in range(6)))
    before, change = engine.state, apply(engine.state, DeleteVm("vm-1"), DeleteVm("vm-3"), DeleteVm("vm-5"))
    touched = {pair for pair in change.state.quarantine if pair not in before.quarantine}
    assert touched

    def spied(state: State) -> State:
        return replace(state, quarantine=Unwalked(state.quarantine), resting=Unwalked(state.resting))  # type: ignore[arg-type]

    spied_change = change._replace(state=spied(change.state))
    written = {row.name for row in writes(spied(before), spied_change) if row.kind == "quarantine"}
    assert written == {f"{domain}/{key}" for domain, key in touched}
    freed = list(freed_news(spied(change.state), spied(before), change.quarantined, change.rested, Breath()))
    assert all(row.kind == "vlan_id.free" for row in freed)
