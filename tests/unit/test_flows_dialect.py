"""Switches that know nothing but OpenFlow 1.3, or take only so many flows: what they are given, and what is refused (R45)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.dialect import spoken
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.flow import CONTROLLER, Flow, Move, Output, SetField
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State, with_fabric
from tests.unit.core_support import Site
from tests.unit.routed_support import CUGS, DB, HEARD, WEB, allow, routed, two_borders


def plain(*names: str, max_flows: int | None = None) -> Site:
    """The network of two borders, in which some switches are plain ones; web1 at a1, db1 at b1."""
    fabric = two_borders()
    switches = {
        name: replace(switch, dialect=Dialect.OPENFLOW13, max_flows=max_flows) if name in names else switch
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
