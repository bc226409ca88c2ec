"""What a plain switch was found able to do: kept in the store, and held against what is asked for before it is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.engine.abilities import Abilities
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.ability import Ability
from ryu_vmmob.flows.kinds import match_kind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.net.protocols import TCP
from ryu_vmmob.store.base import Record, StoreError, Write
from tests.support.commands import apply, cug, nic, vm
from tests.support.engine_site import Site
from tests.support.fabrics import two_racks
from tests.support.punted_packets import plain
from tests.support.routed_networks import who

DENY = PutPolicy("nosql", False, who("cug:web"), who("cug:web"), 100, TCP, ((5432, 5432),))


def plain_racks() -> Site:
    return Site(plain(two_racks()), cug(), vm(), vm("web2", "a2", nic(12)))


def unable(site: Site, why: str = "cannot match tcp_dst", table: Table = Table.POLICY_OUT) -> Ability:
    """An ability without what the policy needs there."""
    plan = site.engine.desired.plan(apply(site.state, DENY))
    flow = next(row for row in plan.deltas["tor-a"].flows if row.table is table and any(r[0] == "tcp_dst" for r in row.match))
    return Ability("made up", {match_kind(flow): why})


def test_what_a_switch_cannot_do_is_refused_by_name_and_nothing_is_stored() -> None:
    site = plain_racks()
    site.engine.learned(site.fabric.switches["tor-a"], unable(site))
    before = site.state
    with pytest.raises(Refusal) as caught:
        site.engine.execute(DENY)
    assert caught.value.status == 409
    assert caught.value.detail == (
        "R45: switch 'tor-a' cannot match tcp_dst in table policy_out, which policy nosql needs there"
    )
    assert site.state is before
    with pytest.raises(Refusal):
        site.engine.trial(DENY)


def test_its_own_sizes_count_unless_the_fabric_file_has_others() -> None:
    site = plain_racks()
    switch = site.fabric.switches["tor-a"]
    site.engine.learned(switch, Ability("made up", {}, {"policy_out": 1}))
    with pytest.raises(Refusal, match="table policy_out of switch 'tor-a' takes 1 flows"):
        site.engine.execute(DENY)
    wide = replace(site.fabric.switches["tor-a"], table_sizes=(("policy_out", 1000),))
    roomy = Site(replace(site.fabric, switches={**site.fabric.switches, "tor-a": wide}), cug(), vm())
    roomy.engine.learned(wide, Ability("made up", {}, {"policy_out": 1}))
    roomy.engine.execute(DENY)


def test_it_is_told_when_it_is_news() -> None:
    site = plain_racks()
    switch = site.fabric.switches["tor-a"]
    able = unable(site)
    assert site.engine.learned(switch, able)
    assert not site.engine.learned(switch, able)
    more = replace(able, answers={**able.answers, "bridge matches eth_dst": ""})
    assert not site.engine.learned(switch, more), "it lacks the same"
    assert [row["lacks"] for row in site.events("switch.capability")] == [["cannot match tcp_dst in table policy_out"]]


class Shelf:
    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}
        self.full = False

    def take(self, writes: list[Write]) -> None:
        if self.full:
            raise StoreError("no room")
        for kind, name, body, *_ in writes:
            if body is None:
                self.rows.pop(name)
            else:
                self.rows[name] = Record(kind, name, body)


def test_it_outlives_the_controller_by_dpid() -> None:
    shelf, fabric = Shelf(), plain_racks().fabric
    switch = fabric.switches["tor-a"]
    able = Ability("made up", {"bridge matches eth_dst": "cannot match eth_dst"}, {"bridge": 5}, 1)
    Abilities([], shelf.take).learn(switch, able)
    again = Abilities(shelf.rows.values(), shelf.take)
    assert again.of(switch) == able
    assert again.judging(fabric) == {"tor-a": able}
    assert again.of(replace(switch, dialect=Dialect.OPENVSWITCH)) is None
    again.forget(switch)
    assert (again.of(switch), shelf.rows) == (None, {})


def test_a_full_disk_loses_it_and_nothing_else() -> None:
    shelf, switch = Shelf(), plain_racks().fabric.switches["tor-a"]
    shelf.full = True
    made = Abilities([], shelf.take)
    assert made.learn(switch, Ability("made up"))
    assert made.of(switch) is not None
    with pytest.raises(StoreError):
        made.forget(switch)
    assert made.of(switch) is not None
    assert Abilities(shelf.rows.values(), shelf.take).of(switch) is None
