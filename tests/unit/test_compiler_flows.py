"""What the compiler makes, looked at as a whole: nothing refers to what is not there, nothing steps out of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.fields import FIELDS, vid
from ryu_vmmob.flows.flow import (
    IN_PORT,
    Action,
    Flow,
    Group,
    GroupType,
    Move,
    Output,
    PopVlan,
    SetField,
    ToGroup,
)
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import (
    MAX_GROUP_INDEX,
    GroupKind,
    group_id,
    group_parts,
)
from ryu_vmmob.model.commands import Activate, Command, Commit, DeleteCug, DeleteVm, LinksChanged, StartMigration
from ryu_vmmob.model.state import State
from ryu_vmmob.net.keys import MAX_SEGMENT_KEY
from tests.support.commands import cug, do, nic, start, vm
from tests.support.engine_site import Site
from tests.support.fabrics import EXAMPLE, LEFT_A, rooted, two_planes, two_racks

MOVE = StartMigration("m1", "web1", "b1", commit="request", timeout=1e9)
EVERYWHERE = (
    cug(),
    cug("db", 2),
    vm("web1", "a1", nic(11, ips=["10.1.0.11", "2001:db8:1::b"]), nic(11, "db", 2)),
    vm("web2", "a2", nic(12)),
    vm("web3", "a3", nic(13)),
    vm("web4", "b2", nic(14)),
    vm("web5", "b3", nic(15, ips=["2001:db8:1::f", "fe80::f"])),
    vm("db3", "b3", nic(13, "db", 2)),
    vm("db4", "b2", nic(14, "db", 2)),
)
STATES: dict[str, tuple[Fabric, tuple[Command, ...]]] = {
    "empty": (two_racks(), ()),
    "at rest": (two_racks(), EVERYWHERE),
    **{f"to {to}": (two_racks(), (*EVERYWHERE, replace(MOVE, to=to))) for to in ("a2", "a3", "b1", "b2", "b3")},
    "strict": (two_racks(), (*EVERYWHERE, replace(MOVE, to="b3", delivery="on_activation"))),
    "activated": (two_racks(), (*EVERYWHERE, replace(MOVE, to="b3"), Activate("m1"))),
    "committed": (two_racks(), (*EVERYWHERE, replace(MOVE, to="b3"), Activate("m1"), Commit("m1"))),
    "cut off": (two_racks(), (*EVERYWHERE, MOVE, LinksChanged(frozenset({"spine:1=tor-a:49"})))),
}


@pytest.fixture(params=STATES, scope="module")
def compiled(request: pytest.FixtureRequest) -> tuple[State, Compiler]:
    fabric, commands = STATES[request.param]
    state = start(fabric, *commands)
    return state, full(state)


def actions(entry: Flow | Group) -> Iterator[tuple[Action, ...]]:
    """Every action list of a flow or a group."""
    if isinstance(entry, Flow):
        yield entry.actions
    else:
        yield from (bucket.actions for bucket in entry.buckets)


def entries(compiler: Compiler, switch: str) -> Iterator[Flow | Group]:
    yield from compiler.flows(switch)
    yield from compiler.groups(switch)


def test_every_group_that_is_named_is_there(compiled: tuple[State, Compiler]) -> None:
    state, compiler = compiled
    for switch in state.fabric.switches:
        there = {group.id for group in compiler.groups(switch)}
        named = {
            a.group for entry in entries(compiler, switch) for row in actions(entry) for a in row if isinstance(a, ToGroup)
        }
        assert named <= there
        # Next hops are kept ready for every edge, and a LAG for a seat that is closed; no other group is without a use.
        idle = {parts[0] for number in there - named if (parts := group_parts(number)) is not None}
        assert idle <= {GroupKind.NEXT_HOP, GroupKind.LAG}


def test_chains_of_groups_end(compiled: tuple[State, Compiler]) -> None:
    """Flood groups chain to trunks and LAGs; those chain to nothing (a depth that every switch admits)."""
    state, compiler = compiled
    for switch in state.fabric.switches:
        groups = {group.id: group for group in compiler.groups(switch)}
        for group in groups.values():
            if group.refers_to:
                assert group_parts(group.id)[0] is GroupKind.FLOOD  # type: ignore[index]
                assert group.type is GroupType.ALL
                assert not any(groups[number].refers_to for number in group.refers_to)


def test_moves_are_between_fields_of_one_size(compiled: tuple[State, Compiler]) -> None:
    state, compiler = compiled
    moves = {
        a for switch in state.fabric.switches for flow in compiler.flows(switch) for a in flow.actions if isinstance(a, Move)
    }
    assert all(FIELDS[a.source].size == FIELDS[a.target].size for a in moves)
    assert bool(moves) == bool(state.vms)


def test_every_frame_leaves_a_port_as_its_domain_wants_it(compiled: tuple[State, Compiler]) -> None:
    """Tagged with a VLAN-ID of the port's own domain, or, at an untagged server, not at all."""
    state, compiler = compiled
    fabric = state.fabric
    seen = set()
    for switch in fabric.switches:
        for entry in entries(compiler, switch):
            for row in actions(entry):
                tag: int | None = None
                for action in row:
                    if isinstance(action, SetField) and action.name == "vlan_vid":
                        tag = action.value
                    elif isinstance(action, PopVlan):
                        tag = None
                    elif port := _port(compiler, switch, entry, action):
                        domain = fabric.port_domain(PortRef(switch, port))
                        wanted = None if domain is None else domain
                        used = {
                            vid(number)
                            for cug_ in state.cugs
                            for where, number in state.vlan_ids(cug_).items()
                            if where == wanted
                        }
                        assert (tag is None) == (wanted is None), (switch, entry)
                        assert tag is None or tag in used, (switch, entry)
                        seen.add(domain)
    if state.vms:
        assert {None, "rack-a", "rack-b"} <= seen | {None}


def _port(compiler: Compiler, switch: str, entry: Flow | Group, action: Action) -> int | None:
    """Where an action sends the frame; a tag is put on before a LAG's group, not in it."""
    if isinstance(action, ToGroup):
        group = compiler.tables[switch].groups[action.group]
        return group.buckets[0].watch if _is_lag(group) else None
    if isinstance(action, Output) and action.port < IN_PORT and not _is_lag(entry):
        return action.port
    return None


def _is_lag(entry: Flow | Group) -> bool:
    return isinstance(entry, Group) and group_parts(entry.id)[0] is GroupKind.LAG  # type: ignore[index]


def test_the_same_state_compiles_to_the_same_flows(compiled: tuple[State, Compiler]) -> None:
    state, compiler = compiled
    again = full(state)
    for switch in state.fabric.switches:
        assert list(compiler.tables[switch].flows) == list(again.tables[switch].flows)


# Identities at their limits


@pytest.mark.parametrize("segment", [0, MAX_SEGMENT_KEY + 1, -1])
def test_a_segment_key_that_does_not_fit(segment: int) -> None:
    with pytest.raises(ValueError, match="segment key"):
        group_id(GroupKind.FLOOD, segment, 0)


@pytest.mark.parametrize("index", [-1, MAX_GROUP_INDEX + 1])
def test_an_index_that_does_not_fit(index: int) -> None:
    with pytest.raises(ValueError, match="group index"):
        group_id(GroupKind.NEXT_HOP, 1, index)


def test_group_ids_are_distinct_and_below_the_reserved_ones() -> None:
    found = {
        group_id(kind, segment, index): (kind, segment, index)
        for kind in GroupKind
        for segment in (1, 2, MAX_SEGMENT_KEY)
        for index in (0, 1, MAX_GROUP_INDEX)
    }
    assert len(found) == len(GroupKind) * 9
    assert max(found) < 0xFFFFFF00  # OFPG_MAX
    assert all(group_parts(number) == parts for number, parts in found.items())


# Sequences


def the_same(one: Compiler, other: Compiler, state: State) -> None:
    for switch in state.fabric.switches:
        assert one.tables[switch].flows.keys() == other.tables[switch].flows.keys(), switch
        assert one.tables[switch].groups == other.tables[switch].groups, switch


def test_a_cug_made_anew_in_one_change() -> None:
    """Its key changes while its presence does not: every flow of it changes with the key."""
    site = Site(two_racks(), cug(v6=False), vm("web3", "a3", nic(13)), vm("web4", "b2", nic(14)))
    site.engine.execute(
        DeleteVm("web3"),
        DeleteVm("web4"),
        DeleteCug("web"),
        cug(v6=False),
        vm("web3", "a3", nic(13)),
        vm("web4", "b2", nic(14)),
    )
    the_same(site.engine.desired, full(site.state), site.state)
    assert set(site.state.allocations) == {site.state.cugs["web"].key}


def test_a_cug_that_comes_and_goes_in_one_change() -> None:
    site = Site(two_racks(), cug())
    site.engine.execute(cug("db", 2), vm("db1", "a1", nic(11, "db", 2)), DeleteVm("db1"), DeleteCug("db"))
    assert set(site.state.cugs) == {"web"}
    the_same(site.engine.desired, full(site.state), site.state)


def test_interfaces_that_change_places() -> None:
    site = Site(two_racks(), *EVERYWHERE)
    both = (nic(11, "db", 2), nic(11, ips=["10.1.0.11", "2001:db8:1::b"]))
    ticket = site.engine.execute(vm("web1", "a1", *both))
    the_same(site.engine.desired, full(site.state), site.state)
    assert ticket.switches == ()
    owners = {flow.owner for flow in site.engine.desired.flows("tor-a") if "10.1.0.11" in str(flow)}
    assert owners == {Owner(OwnerKind.VM, "web1", "1")}


def test_a_vm_that_takes_the_place_of_another() -> None:
    """In one change, with the same addresses: the flows stay, and are the new one's."""
    site = Site(two_racks(), cug(), vm("old"), vm("web2", "b1", nic(12)))
    ticket = site.engine.execute(DeleteVm("old"), vm("new"))
    the_same(site.engine.desired, full(site.state), site.state)
    assert ticket.switches == ()
    owners = {flow.owner for flow in site.engine.desired.flows("tor-a")}
    assert {row.name for row in owners if row.kind is OwnerKind.VM} == {"new", "web2"}


def test_a_link_that_fails_changes_groups_only() -> None:
    """Design 4.2: not one flow per VM."""
    fabric = two_planes()
    name = rooted(fabric, "spine-1")[0]
    vms = [vm(f"v{host}", "a1" if host % 2 else "b1", nic(host, name)) for host in range(11, 31)]
    site = Site(fabric, cug(name), *vms)
    flows = {switch: set(site.engine.desired.tables[switch].flows) for switch in ("tor-a", "tor-b")}
    site.engine.network.links_seen(frozenset({LEFT_A}))
    site.confirm()
    for switch, before in flows.items():
        changed = before ^ set(site.engine.desired.tables[switch].flows)
        assert len(changed) <= 4, switch  # the trunk's VLAN-ID at INGRESS


# A tagged server whose domain has no number for it


def server_becomes_tagged(rack_a: list[int]) -> tuple[Site, Fabric]:
    """web3 sits on a3, untagged; then the fabric file says that a3 is tagged."""
    fabric = two_racks(rack_a=rack_a)
    site = Site(
        fabric, cug(), cug("db", 2), vm("web3", "a3", nic(13)), vm("web4", "b2", nic(14)), vm("db1", "a1", nic(11, "db", 2))
    )
    a3 = replace(fabric.servers["a3"], l2_domain="rack-a")
    return site, replace(fabric, servers={**fabric.servers, "a3": a3})


@pytest.mark.parametrize("rack_a", [[100, 101], [100]], ids=["a number is free", "no number is free"])
def test_a_tagged_server_gets_nothing_untagged(rack_a: list[int]) -> None:
    before, fabric = server_becomes_tagged(rack_a)
    site = Site(fabric, store=before.store)
    tables = site.engine.desired.tables["tor-a"]
    assert not [row for row in tables.flows.values() if ("vlan_vid", 0, None) in row.match]
    plain = [row for entry in entries(site.engine.desired, "tor-a") for row in actions(entry) if row == (Output(3),)]
    assert plain == []
    assert bool(site.state.starved) == (len(rack_a) == 1)


def test_a_starved_server_is_served_once_a_number_is_free() -> None:
    before, fabric = server_becomes_tagged([100])
    site = Site(fabric, store=before.store)
    site.now = before.now
    site.engine.execute(DeleteVm("db1"))
    site.confirm()
    site.now += 61
    site.engine.progress()
    site.confirm()
    assert not site.state.starved
    assert site.state.server_vlan_id("web", "a3") == 100
    the_same(site.engine.desired, full(site.state), site.state)


def test_the_example_of_the_documentation_compiles() -> None:
    state = start(EXAMPLE, cug(), vm("web1", "srv-a1"), vm("web2", "srv-b1", nic(12)), vm("web3", "srv-a2", nic(13)))
    state = do(state, StartMigration("m1", "web1", "srv-c1")).state
    assert {switch: len(list(full(state).flows(switch))) > 10 for switch in EXAMPLE.switches} == dict.fromkeys(
        EXAMPLE.switches, True
    )
