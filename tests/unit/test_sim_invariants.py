"""The invariants' checks: silent on right tables, and each one is seen to fire on tables broken on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import (
    IN_PORT,
    Action,
    Bucket,
    Flow,
    Group,
    GroupType,
    Output,
    PushVlan,
    SetField,
    ToGroup,
    match,
)
from ryu_vmmob.flows.pipeline import SEGMENT, GroupKind, Table, group_id
from ryu_vmmob.net.protocols import ETH_ARP
from ryu_vmmob.sim.invariants import allocation, check, forgeries, strangers, traffic
from ryu_vmmob.sim.view import View, Violation
from tests.support.handmade_tables import (
    D1,
    D2,
    KEYS,
    LINK_A,
    LINK_B,
    LINKS,
    SEATS,
    VLAN_IDS,
    W1,
    W2,
    W3,
    Entries,
    arp_answer,
    change,
    entries,
    seat,
    view,
)

FLOOD = {cug: group_id(GroupKind.FLOOD, key, 0) for cug, key in KEYS.items()}


def found(state: View) -> dict[int, list[str]]:
    numbers: dict[int, list[str]] = {}
    for violation in check(state):
        assert isinstance(violation, Violation)
        assert f"invariant {violation.invariant}" in str(violation)
        numbers.setdefault(violation.invariant, []).append(violation.text)
    return numbers


def flow_of(table: Table, **fields: Any) -> Any:
    """Whether an entry is a flow of this table with these fields in its match."""
    wanted = set(match(**fields))
    return lambda row: isinstance(row, Flow) and row.table is table and wanted <= set(row.match)


def is_group(number: int) -> Any:
    return lambda row: isinstance(row, Group) and row.id == number


def acting(*actions: Action) -> Any:
    return lambda row: Flow.undeclared(row.table, row.priority, row.match, actions, row.goto, row.metadata)


def bucketed(*more: Bucket, drop: int = 0) -> Any:
    return lambda row: Group(row.id, row.type, (*row.buckets[drop:], *more))


def plus(made: Entries, switch: str, *more: Flow | Group) -> Entries:
    return {**made, switch: [*made[switch], *more]}


def to_bridge(one: Any, **fields: int) -> Flow:
    """Admits what it should not: more of one seat's frames."""
    rule = match(in_port=one.ports[0].port, metadata=SEGMENT.of(KEYS[one.cug]), **fields)
    return Flow.undeclared(Table.ADMIT, 3500, rule, goto=Table.BRIDGE)


def test_right_tables_are_right() -> None:
    assert found(view()) == {}


def test_a_prepared_migration_is_right_with_two_seats() -> None:
    """w3 is about to move from b2 to a1's neighbour a3, and from then on is heard and seen at both."""
    seats = (*SEATS, replace(seat("w3", "web", 3, "a3"), interface=0))
    assert found(view(seats=seats)) == {}


def test_two_places_on_one_switch_get_a_copy_each() -> None:
    assert found(view(seats=(*SEATS, seat("w1", "web", 1, "a3", v6=True)))) == {}


def test_a_closed_old_place_is_right_when_it_is_closed() -> None:
    old = replace(W3, sends=False, receives=False)
    seats = (W1, W2, old, D1, D2, seat("w3", "web", 3, "a3"))
    assert found(view(seats=seats)) == {}


def test_answers_are_as_good_as_deliveries() -> None:
    made = plus(entries(), "tor-a", arp_answer(W2, (PushVlan(), SetField("vlan_vid", vid(110)), Output(IN_PORT))))
    assert found(view(made)) == {}


def test_with_a_link_down_nobody_expects_the_impossible() -> None:
    assert found(view(links_down={LINK_B.name})) == {}
    assert found(view(links_down={"tor-b:1"})) == {}


def test_1_a_frame_under_another_cugs_vlan_id() -> None:
    wrong = (PushVlan(), SetField("vlan_vid", vid(VLAN_IDS["rack-b", "db"])), Output(3))
    made = change(entries(), "tor-b", flow_of(Table.DELIVER, eth_dst=W3.mac), acting(*wrong))
    numbers = found(view(made))
    assert any("delivered at tor-b:3 as (110,)" in text for text in numbers[1])


def test_1_an_untagged_server_with_two_cugs_hears_a_broadcast() -> None:
    seats = (*SEATS, seat("w4", "web", 4, "a2"))
    numbers = found(view(seats=seats))
    assert any("heard by d1[0]@a2 of db" in text for text in numbers[1])
    # Without the broadcast it is right: what is shared gets unicast alone.
    made = entries(seats)
    for cug in KEYS:
        made = change(made, "tor-a", is_group(FLOOD[cug]), lambda g: Group(
            g.id, g.type, tuple(b for b in g.buckets if b.actions != (Output(2),))))  # fmt: skip
    numbers = found(view(made, seats))
    assert set(numbers) == {8}  # questions for what is there are neither answered nor delivered
    assert all("w4" in text or "d1" in text for text in numbers[8])
    for switch, asked in (("tor-a", seats[-1]), ("tor-b", seats[-1]), ("tor-a", D1), ("tor-b", D1)):
        made = plus(made, switch, *_answers_everywhere(switch, asked))
    assert found(view(made, seats)) == {}


def _answers_everywhere(switch: str, asked: Any) -> list[Flow]:
    """An answer per port of the asker, under the port's own tag."""
    flows = []
    for one in (*SEATS, seat("w4", "web", 4, "a2")):
        if one.cug != asked.cug or one.ports[0].switch != switch or one.owner == asked.owner:
            continue
        back: tuple[Action, ...] = (Output(IN_PORT),)
        if one.vlan_id is not None:
            back = (PushVlan(), SetField("vlan_vid", vid(one.vlan_id)), Output(IN_PORT))
        base = arp_answer(asked, back)
        flows.append(Flow.undeclared(base.table, 1500, match(**{n: (v if m is None else (v, m)) for n, v, m in base.match},
                                                  eth_src=one.mac), base.actions))  # fmt: skip
    return flows


def test_1_a_bridged_frame_leaves_by_an_external_port() -> None:
    from ryu_vmmob.fabric.model import External, PortRef

    made = change(entries(), "core", is_group(FLOOD["web"]), bucketed(Bucket((Output(9),))))
    state = view(made)
    outside = {"internet": External("internet", PortRef("core", 9), "red", ())}
    numbers = found(replace(state, fabric=replace(state.fabric, externals=outside)))
    assert any("leaves the fabric at core:9" in text for text in numbers[1])


@pytest.mark.parametrize(
    "fields",
    [
        {},  # anything at all
        {"eth_src": W1.mac},  # any address
        {"eth_src": W1.mac, "eth_type": ETH_ARP, "arp_spa": W1.v4[0]},  # any hardware address inside ARP
        {"eth_src": W1.mac, "eth_type": ETH_ARP, "arp_sha": W1.mac},  # any address inside ARP
        {"eth_src": W1.mac, "eth_type": ETH_ARP, "arp_sha": W1.mac, "arp_spa": 0},  # probes for any address
        {"eth_src": W1.mac, "eth_type": 0x86DD, "ipv6_src": W1.v6[0]},  # any link-layer option, any target
        {"eth_src": W1.mac, "eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135},
        {"eth_src": W1.mac, "eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 136, "ipv6_nd_tll": W1.mac},
        {"eth_type": 0x8035},
    ],
)  # fmt: skip
def test_1_lies_get_through(fields: dict[str, int]) -> None:
    made = plus(entries(), "tor-a", to_bridge(W1, **fields))
    violations = list(forgeries(view(made)))
    assert violations
    assert {violation.invariant for violation in violations} == {1}


def test_1_an_old_place_that_still_speaks() -> None:
    seats = (W1, W2, replace(W3, sends=False), D1, D2, seat("w3", "web", 3, "a3"))
    open_again = [replace(one, sends=True) for one in seats]
    assert any("must not send" in v.text for v in traffic(view(entries(open_again), seats)))


def test_1_strange_vlan_ids_and_untagged_frames_on_trunks_and_servers() -> None:
    meta = SEGMENT.of(1)
    for port, tag in ((49, (0x1000, 0x1000)), (49, 0), (1, 0), (2, (0x1000, 0x1000)), (3, (0x1000, 0x1000))):
        open_door = Flow.undeclared(Table.INGRESS, 1, match(in_port=port, vlan_vid=tag), (), Table.BRIDGE, meta)
        violations = list(strangers(view(plus(entries(), "tor-a", open_door))))
        assert 1 in {violation.invariant for violation in violations}, (port, tag)
    door = Flow.undeclared(Table.INGRESS, 1, match(in_port=2, vlan_vid=0), (), Table.BRIDGE, meta)
    assert any("tor-a:2" in v.text for v in strangers(view(plus(entries(), "tor-a", door))))


def test_2_a_changed_mac() -> None:
    deliver = (SetField("eth_src", 0x02005E000001), PushVlan(), SetField("vlan_vid", vid(120)), Output(3))
    made = change(entries(), "tor-b", flow_of(Table.DELIVER, eth_dst=W3.mac), acting(*deliver))
    numbers = found(view(made))
    assert set(numbers) == {2}
    out = (SetField("eth_src", 0x02005E000001), ToGroup(group_id(GroupKind.NEXT_HOP, 1, 49 << 4 | 3)))
    made = change(entries(), "tor-a", flow_of(Table.BRIDGE, eth_dst=W3.mac), acting(*out))
    assert any("changed on" in text for text in found(view(made))[2])


def test_2_a_wrong_answer() -> None:
    liar = replace(W2, mac=W3.mac)
    made = plus(entries(), "tor-a", arp_answer(liar, (PushVlan(), SetField("vlan_vid", vid(110)), Output(IN_PORT))))
    numbers = found(view(made))
    assert 2 in numbers


def test_3_a_wrong_vlan_id_on_a_link() -> None:
    out = (PushVlan(), SetField("vlan_vid", vid(2050)), Output(49))
    made = change(entries(), "tor-a", flow_of(Table.BRIDGE, eth_dst=W3.mac), acting(*out))
    numbers = found(view(made))
    assert any("as (2050,)" in text for text in numbers[3])
    out = (PushVlan(), SetField("vlan_vid", vid(150)), Output(3))
    made = change(entries(), "tor-b", flow_of(Table.DELIVER, eth_dst=W3.mac), acting(*out))
    assert any("as (150,), not (120,)" in text for text in found(view(made))[3])


def test_3_allocation_on_paper() -> None:
    twice = {**VLAN_IDS, ("core", "db"): VLAN_IDS["core", "web"]}
    assert [v.invariant for v in allocation(view(vlan_ids=twice))] == [3]
    assert [v.invariant for v in allocation(view(seats=(replace(W1, vlan_id=111),)))] == [3]
    assert list(allocation(view())) == []


def test_4_a_link_that_is_not_needed() -> None:
    seats = (W2, W3, D1, D2)
    links = {**LINKS, "web": frozenset[str]()}
    numbers = found(view(entries(seats), seats, allowed_links=links))
    assert any(LINK_B.name in text and "does not need" in text for text in numbers[4])
    # Frames that come in over such a link are not let in either.
    assert any("web, which is not needed there" in text for text in numbers[4])


def test_4_delivery_where_nobody_is() -> None:
    stray = (PushVlan(), SetField("vlan_vid", vid(110)), Output(3))
    made = change(entries(), "tor-a", is_group(FLOOD["web"]), bucketed(Bucket(stray)))
    assert any("tor-a:3" in text for text in found(view(made))[4])


def test_4_a_closed_place_that_still_receives() -> None:
    seats = (W1, W2, replace(W3, receives=False), D1, D2, seat("w3", "web", 3, "a3"))
    open_again = [replace(one, receives=True) for one in seats]
    assert any("which is closed" in text for text in found(view(entries(open_again), seats))[4])


def test_4_unicast_flooded_to_others() -> None:
    made = change(entries(), "tor-b", flow_of(Table.DELIVER, eth_dst=W3.mac), acting(ToGroup(FLOOD["web"])))
    assert any("for which it is not" in text for text in found(view(made))[4])


def test_8_a_loop() -> None:
    bounce = Bucket((PushVlan(), SetField("vlan_vid", vid(2010)), Output(IN_PORT)))
    made = change(entries(), "core", is_group(FLOOD["web"]), bucketed(bounce))
    made = change(made, "tor-a", is_group(FLOOD["web"]), bucketed(bounce))
    assert any("loops" in text for text in found(view(made))[8])


def test_8_duplicates() -> None:
    again = Bucket((PushVlan(), SetField("vlan_vid", vid(120)), Output(3)))
    made = change(entries(), "tor-b", is_group(FLOOD["web"]), bucketed(again))
    assert any("2 copies" in text for text in found(view(made))[8])
    trunk = Bucket((PushVlan(), SetField("vlan_vid", vid(2010)), Output(49)))
    made = change(entries(), "tor-a", is_group(FLOOD["web"]), bucketed(trunk))
    assert any("over" in text and "2 times" in text for text in found(view(made))[8])


def test_8_a_frame_comes_back_to_its_own_server() -> None:
    """A LAG whose flood group does not leave out the other leg."""
    made = change(entries(), "tor-b", lambda row: isinstance(row, Flow) and row.table is Table.BRIDGE
                  and any(name == "in_port" for name, _, _ in row.match), acting(ToGroup(FLOOD["web"])))  # fmt: skip
    assert any("its own server" in text for text in found(view(made))[8])


def test_8_black_holes() -> None:
    made = change(entries(), "core", flow_of(Table.BRIDGE, eth_dst=W3.mac), lambda _: None)
    assert any("does not reach w3[0]@b2" in text for text in found(view(made))[8])
    made = change(entries(), "tor-a", is_group(FLOOD["web"]), bucketed(drop=1))
    assert any("does not reach" in text for text in found(view(made))[8])


def test_8_one_of_two_places_is_left_out() -> None:
    seats = (*SEATS, seat("w3", "web", 3, "a3"))
    numbers = found(view(entries(SEATS), seats))
    assert any("does not reach w3[0]@a3" in text for text in numbers[8])


def test_8_answered_and_flooded_too() -> None:
    answer = arp_answer(W2, (PushVlan(), SetField("vlan_vid", vid(110)), Output(IN_PORT)))
    both = Flow.undeclared(answer.table, answer.priority, answer.match, (ToGroup(FLOOD["web"]), *answer.actions))
    made = plus(entries(), "tor-a", both)
    assert any("answered and does more" in text for text in found(view(made))[8])


def test_a_seat_in_transition_may_or_may_not() -> None:
    """Half way through: both sets of tables are right for a seat whose flags are None."""
    new = seat("w3", "web", 3, "a3")
    without, with_it = entries(SEATS), entries((*SEATS, new))
    seats = (*SEATS, replace(new, sends=None, receives=None))
    assert found(view(without, seats)) == {}
    assert found(view(with_it, seats)) == {}


def test_fast_failover_group_without_life_is_a_black_hole_only_where_a_leg_is_left() -> None:
    number = group_id(GroupKind.LAG, 1, 1)
    only_first = change(entries(), "tor-b", is_group(number), lambda g: Group(g.id, GroupType.FAST_FAILOVER, g.buckets[:1]))
    assert found(view(only_first)) == {}
    assert any("does not reach w2" in text for text in found(view(only_first, links_down={"tor-b:1"}))[8])
    assert found(view(only_first, links_down={"tor-b:1", "tor-b:2"})) == {}


def test_links_named_in_a_view_are_links() -> None:
    assert LINK_A.name in LINKS["web"]
