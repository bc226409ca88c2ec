"""Switches that know nothing but OpenFlow 1.3, or take only so many flows: what they are given, and what is refused (R45)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.fabric.values import TABLE_NAMES
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.dialect import spoken
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.flow import CONTROLLER, Flow, Move, Output, SetField, show_match, tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import TABLES, Priority, Table
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State, with_fabric
from ryu_vmmob.whitebox.sample import told
from tests.support.commands import nic, vm
from tests.support.engine_site import Site
from tests.support.routed_networks import CUGS, DB, HEARD, WEB, allow, deny, routed, two_borders


def plain(*names: str, **keys: Any) -> Site:
    """The network of two borders, in which some switches are plain ones with these keys; web1 at a1, db1 at b1."""
    fabric = two_borders()
    switches = {
        name: replace(switch, dialect=Dialect.OPENFLOW13, **keys) if name in names else switch
        for name, switch in fabric.switches.items()
    }
    site = Site(replace(fabric, switches=switches), connected=False)
    site.engine.execute(*CUGS, WEB, DB, *HEARD)
    return site


def extensions(flow: Flow) -> list[str]:
    """What in a flow is not OpenFlow 1.3."""
    found = [name for name, _, _ in flow.match if FIELDS[name].oxm_class != OPENFLOW_BASIC]
    for action in flow.actions:
        match action:
            case Move():
                found.append("move")
            case SetField(name=name) if FIELDS[name].oxm_class != OPENFLOW_BASIC:
                found.append(name)
    return found


NO_MASKS = (
    "in_port", "eth_type", "ip_proto", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "icmpv4_type", "icmpv4_code", "arp_op",
    "icmpv6_type", "icmpv6_code", "ipv6_nd_target", "ipv6_nd_sll", "ipv6_nd_tll",
)  # fmt: skip
"""Fields of OpenFlow 1.3.5, 7.2.3.7, table 12 that have "no" in the column of masks."""


def unlawful(flow: Flow) -> list[str]:
    """Fields of a flow that are matched under a mask and have none in the standard."""
    return [name for name, _, mask in flow.match if mask is not None and name in NO_MASKS]


def everything() -> State:
    return routed(allow("echo", "cug:web", "cug:db", protocol="icmp"), allow("out", "cug:web", "any", protocol=17))


def test_a_plain_switch_gets_plain_openflow() -> None:
    state = everything()
    switches = {name: replace(row, dialect=Dialect.OPENFLOW13) for name, row in state.fabric.switches.items()}
    there = full(with_fabric(state, replace(state.fabric, switches=switches)))
    rich = full(state)
    for name in switches:
        assert [extensions(flow) for flow in there.flows(name) if extensions(flow)] == []
        assert [flow for flow in there.flows(name) if flow.meter is not None] == []
    assert any(extensions(flow) for flow in rich.flows("tor-a"))


def test_a_plain_switch_gets_no_mask_that_the_standard_does_not_have() -> None:
    """Policies with ranges of ports, and an external network with IPv6: their flows once had such masks (R45, R46)."""
    state = routed(allow("web", "cug:web", "cug:db", protocol=6, ports=((8000, 8099),)))
    rich = full(state)
    assert {name for switch in state.fabric.switches for flow in rich.flows(switch) for name in unlawful(flow)} == {
        "tcp_dst",
        "ipv6_nd_target",
    }
    switches = {name: replace(row, dialect=Dialect.OPENFLOW13) for name, row in state.fabric.switches.items()}
    there = full(with_fabric(state, replace(state.fabric, switches=switches)))
    for name in switches:
        assert [str(flow) for flow in there.flows(name) if unlawful(flow)] == []


def test_the_sample_of_check_switch_is_lawful() -> None:
    """In it occurs whatever the compiler can make: VMs that move, guests that tag, bonds, policies, the outside."""
    for role, rows in told(Dialect.OPENFLOW13).items():
        assert [str(flow) for flow in rows.flows if unlawful(flow)] == [], role
        beyond = {name for flow in rows.flows for name, _, _ in flow.match if FIELDS[name].oxm_class != OPENFLOW_BASIC}
        assert beyond <= {"tcp_flags"}, "policies with replies, which are refused there"


def ports_denied(site: Site, switch: str) -> list[int]:
    """Ports whose segments a policy drops at a switch, each as a match without a mask."""
    nosql = Owner(OwnerKind.POLICY, "nosql")
    found = [flow for flow in site.engine.desired.flows(switch) if flow.owner == nosql and flow.goto is None]
    rows = [row for flow in found if flow.table is Table.POLICY_OUT for row in flow.match if row[0] == "tcp_dst"]
    assert all(mask is None for _, _, mask in rows)
    return sorted({value for _, value, _ in rows})


def test_a_range_of_ports_is_denied_port_by_port() -> None:
    site = plain("tor-a")
    site.engine.execute(deny("nosql", "cug:web", "cug:db", protocol=6, ports=((5432, 5433), (8000, 8125))))
    assert ports_denied(site, "tor-a") == [5432, 5433, *range(8000, 8126)]


@pytest.mark.requirement("R45")
def test_a_range_that_is_too_wide_is_refused_before_anything_is_promised() -> None:
    site, wide = plain("tor-a"), deny("nosql", "cug:web", "cug:db", protocol=6, ports=((5432, 5433), (8000, 8126)))
    before = site.state
    for carry_out in (site.engine.execute, site.engine.dry_run):
        with pytest.raises(Refusal) as caught:
            carry_out(wide)
        assert caught.value.detail == (
            "R45: switch 'tor-a' cannot match tcp_dst under a mask (more than 128 single ports), which policy nosql needs there"
        )
    assert site.state is before
    plain("tor-a", l4_masks=True).engine.execute(wide)


def test_that_ports_have_masks_cannot_be_taken_back_under_a_wide_policy() -> None:
    site = plain("tor-a", l4_masks=True)
    narrow = deny("nosql", "cug:web", "cug:db", protocol=6, ports=((8000, 8099),))
    site.engine.execute(narrow)
    fabric = site.state.fabric
    plainer = replace(fabric, switches={**fabric.switches, "tor-a": replace(fabric.switches["tor-a"], l4_masks=False)})
    site.engine.execute(replace(narrow, ports=((8000, 8199),)))
    with pytest.raises(Refusal, match="l4_masks of switch 'tor-a' cannot change: policies 'nosql' name more than 128 ports"):
        site.engine.execute(site.engine.fabric_replaced(plainer))
    site.engine.execute(narrow)
    site.engine.execute(site.engine.fabric_replaced(plainer))
    assert ports_denied(site, "tor-a") == list(range(8000, 8100))
    assert set(site.engine.desired.flows("tor-a")) == set(full(site.state).flows("tor-a"))


def test_the_tables_that_have_sizes_are_those_of_the_pipeline() -> None:
    assert tuple(table.label for table in TABLES) == TABLE_NAMES


@pytest.mark.requirement("R45")
def test_a_full_table_of_the_pipeline_is_refused_with_its_name_and_size() -> None:
    there = plain("tor-b").engine.desired.tables["tor-b"].by_table
    sizes = tuple((table.label, number) for table, number in there.items())
    site = plain("tor-b", table_sizes=sizes)
    before = site.state
    with pytest.raises(Refusal, match=r"R45: table \w+ of switch 'tor-b' takes \d+ flows, and this would make \d+"):
        site.engine.execute(StartMigration("m-1", "web1", "b1"))
    assert site.state is before
    full_admit = plain("tor-b", table_sizes=(("admit", there[Table.ADMIT]), ("bridge", 4000)))
    with pytest.raises(Refusal, match=rf"table admit of switch 'tor-b' takes {there[Table.ADMIT]} flows, and this would make"):
        full_admit.engine.execute(StartMigration("m-1", "web1", "b1"))
    plain("tor-b", table_sizes=(("admit", 4000),)).engine.execute(StartMigration("m-1", "web1", "b1"))


def test_what_it_cannot_answer_it_hands_over() -> None:
    """Every question that an Open vSwitch answers by itself reaches the controller, whole, and nobody else."""
    rich = [flow for flow in full(everything()).flows("tor-a") if flow.table is Table.ANSWER and "move" in extensions(flow)]
    assert len(rich) > 5
    for flow in rich:
        (other,) = spoken(Dialect.OPENFLOW13, [flow])
        assert isinstance(other, Flow)
        assert (other.table, other.priority, other.match) == (flow.table, flow.priority, flow.match)
        assert [(type(action), action.port) for action in other.actions if isinstance(action, Output)] == [(Output, CONTROLLER)]
        assert len(other.actions) == 1
        assert other.goto is None


def test_a_question_costs_a_plain_switch_one_flow_whomever_it_asks_for() -> None:
    """ARP and solicitations: once it had a flow for each address of each member, all of which did the same."""
    site = plain("tor-a")
    before = site.engine.desired.tables["tor-a"].by_table[Table.ANSWER]
    counts = []
    for number in range(40, 44):
        site.engine.execute(vm(f"w{number}", "a1", nic(number)), vm(f"x{number}", "b1", nic(number + 20)))
        counts.append(site.engine.desired.tables["tor-a"].by_table[Table.ANSWER])
    questions = [
        flow for flow in site.engine.desired.flows("tor-a")
        if flow.owner == Owner(OwnerKind.SWITCH) and flow.table is Table.ANSWER and any(map(tells_controller, flow.actions))
    ]  # fmt: skip
    assert sorted(show_match(flow.match) for flow in questions) == [
        "eth_dst=02:00:5e:00:00:01,eth_type=0x806,arp_op=1",
        "eth_dst=02:00:5e:00:00:01,eth_type=0x86dd,ip_proto=58,icmpv6_type=135",
        "eth_dst=33:33:00:00:00:00/ff:ff:00:00:00:00,eth_type=0x86dd,ip_proto=58,icmpv6_type=135",
        "eth_dst=ff:ff:ff:ff:ff:ff,eth_type=0x806,arp_op=1",
    ]
    for flow in site.engine.desired.flows("tor-a"):
        if flow.table is Table.ANSWER and flow.priority == Priority.NORMAL and flow.owner[0] == "vm":
            assert not any(map(tells_controller, flow.actions)), str(flow)
    assert counts[0] - before <= 12, "its own announcements, and questions from the wire behind which it is"


def test_open_vswitch_gets_what_was_compiled() -> None:
    compiler: Compiler = full(everything())
    flows = list(compiler.flows("tor-a"))
    assert list(spoken(Dialect.OPENVSWITCH, flows)) == flows


@pytest.mark.requirement("R45")
def test_a_policy_for_tcp_answers_is_refused_where_they_cannot_be_told() -> None:
    site = plain("tor-b")
    before = site.state
    answers = allow("sql", "cug:web", "cug:db", protocol=6, ports=((5432, 5432),), replies=True)
    with pytest.raises(Refusal, match="R45: switch 'tor-b' cannot match tcp_flags"):
        site.engine.execute(answers)
    assert site.state is before
    site.engine.execute(replace(answers, replies=False))


@pytest.mark.requirement("R45")
def test_a_move_to_a_switch_that_cannot_tell_them_is_refused() -> None:
    """web1's policy follows it to tor-b, which cannot carry it; within its own rack it may move."""
    fabric = two_borders()
    switches = {**fabric.switches, "tor-b": replace(fabric.switches["tor-b"], dialect=Dialect.OPENFLOW13)}
    site = Site(replace(fabric, switches=switches), connected=False)
    answers = allow("own", "cug:web", "cug:web", protocol=6, ports=((5432, 5432),), replies=True)
    site.engine.execute(*CUGS, WEB, *HEARD, answers)
    before = site.state
    with pytest.raises(Refusal, match="R45: switch 'tor-b' cannot match tcp_flags, which policy own needs there"):
        site.engine.execute(StartMigration("m-1", "web1", "b1"))
    assert site.state is before
    site.engine.execute(StartMigration("m-1", "web1", "a2"))


@pytest.mark.requirement("R45")
def test_a_full_table_is_refused_with_its_size() -> None:
    roomy = plain("tor-b", max_flows=4000)
    room = len(list(roomy.engine.desired.flows("tor-b"))) + 5  # a move away needs a few there for a while
    site = plain("tor-b", max_flows=room)
    before = site.state
    with pytest.raises(Refusal, match=rf"R45: switch 'tor-b' takes {room} flows, and this would make \d+"):
        site.engine.execute(StartMigration("m-1", "web1", "b1"))
    assert site.state is before
    site.engine.execute(StartMigration("m-1", "db1", "a1"))
