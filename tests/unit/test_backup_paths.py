"""Backup paths that are installed: what fails changes groups, and a flow or two for each port.

Judged by counts: messages by whose they are, and what is in the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.fabric.backup import build_backups
from ryu_vmmob.fabric.model import BackupPaths, DataCenter, Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.fabric.trees import adjacency, build_trees
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.owner import OwnerKind
from ryu_vmmob.model.commands import LinksChanged, PutCug, PutVm, SettleTrees, StartMigration
from ryu_vmmob.model.fabric_change import FabricReplaced
from ryu_vmmob.model.objects import Interface, routed_segment
from ryu_vmmob.model.presence import domains, links_of
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State, with_fabric
from tests.support.commands import apply, cug, nic, vm
from tests.support.drawn_fabrics import fabrics
from tests.support.fabrics import rooted, two_planes

INSTALLED = BackupPaths.INSTALLED


def leaf_spine(spines: int, racks: int, backup_paths: BackupPaths = INSTALLED) -> Fabric:
    switches = {f"spine-{n}": Switch(f"spine-{n}", 1 + n, Role.SPINE, "core", "dc") for n in range(spines)}
    switches |= {f"tor-{n}": Switch(f"tor-{n}", 100 + n, Role.TOR, "core", "dc") for n in range(racks)}
    links = tuple(
        Link(PortRef(f"tor-{rack}", 50 + spine), PortRef(f"spine-{spine}", 1 + rack), "core")
        for rack in range(racks)
        for spine in range(spines)
    )
    servers = {f"s{n}": Server(f"s{n}", (PortRef(f"tor-{n}", 1),), None, tuple(range(2, 4000))) for n in range(racks)}
    domains = {"core": L2Domain("core", tuple(range(2, 4000)), "dc")}
    return Fabric(
        "leaves", "02:00:5e:00:00:01", {"dc": DataCenter("dc")}, domains, switches, links, servers, backup_paths=backup_paths
    )  # fmt: skip


class CompiledNetwork:
    """A state and the flows that belong to it; `sent` counts the messages of each change, by whose they are."""

    def __init__(self, fabric: Fabric, cugs: int = 4, vms: int = 24, racks: Collection[int] | None = None) -> None:
        self.state, self.compiler, self.sent = with_fabric(None, fabric), Compiler(), Counter[str]()
        names = sorted(fabric.servers)
        at = [names[number] for number in (racks if racks is not None else range(len(names)))]
        for number in range(cugs):
            self.do(PutCug(f"c{number}", (ip_network(f"10.{number}.0.0/16"),), (), "red"))
        for number in range(vms):
            net, host = number % cugs, 2 + number // cugs
            row = Interface(f"c{net}", 0x020000000000 | net << 16 | host, (ip_address(f"10.{net}.0.{host}"),))
            self.do(PutVm(f"vm{number}", at[number // cugs % len(at)], (row,)))

    def do(self, command: object) -> Counter[str]:
        change = apply(self.state, command)  # type: ignore[arg-type]
        plan, sent = self.compiler.plan(change), Counter[str]()
        for switch, delta in plan.deltas.items():
            tables = self.compiler.tables.get(switch)
            gone = [tables.flows[cookie] for cookie in delta.deleted] if tables is not None else []
            for flow in (*delta.flows, *gone):
                sent["trees" if flow.owner.kind is OwnerKind.TREES else "flows"] += 1
            sent["groups"] += len(delta.groups) + len(delta.groups_changed) + len(delta.groups_gone)
        self.compiler.adopt(plan)
        self.state = change.state
        self.sent.update(sent)
        return sent

    def links(self, down: Iterable[str]) -> Counter[str]:
        """Both steps, and what they send together."""
        first = self.do(LinksChanged(frozenset(down), calm=True))
        return first if self.state.trees_settled else first + self.do(SettleTrees())


def of_spine(fabric: Fabric, spine: str) -> list[str]:
    return [link.name for link in fabric.links_of[spine]]


@pytest.mark.parametrize(("spines", "racks"), [(2, 2), (2, 5), (4, 6)])
def test_a_lost_spine_changes_groups_and_a_few_flows_for_each_port(spines: int, racks: int) -> None:
    fabric = leaf_spine(spines, racks)
    few, many = CompiledNetwork(fabric, vms=4 * racks), CompiledNetwork(fabric, vms=20 * racks)
    groups = 0
    for spine in [name for name, row in fabric.switches.items() if row.role is Role.SPINE]:
        lost = [site.links(of_spine(fabric, spine)) for site in (few, many)]
        back = [site.links(()) for site in (few, many)]
        for one, other in (lost, back):
            assert one["flows"] == other["flows"] == 0
            assert one["trees"] == other["trees"] > 0
            assert one["groups"] == other["groups"]
            assert one["trees"] <= 2 * 2 * len(fabric.links) * spines
            groups += one["groups"]
    assert groups > 0


@pytest.mark.parametrize(("spines", "racks"), [(2, 3), (3, 4)])
def test_a_lost_link_changes_groups_only_whichever_it_is(spines: int, racks: int) -> None:
    fabric = leaf_spine(spines, racks)
    for hosted in (None, (0, 1)):
        site = CompiledNetwork(fabric, racks=hosted)
        for link in fabric.links:
            assert site.links([link.name])["flows"] == 0, link.name
            assert site.links(())["flows"] == 0, link.name


def test_a_lost_spine_without_backup_paths_costs_flows_for_each_vm() -> None:
    """What the choice is for, and that the counts above can be others."""
    fabric = leaf_spine(2, 3, BackupPaths.ON_FAILURE)
    few, many = CompiledNetwork(fabric, vms=12), CompiledNetwork(fabric, vms=120)
    one, other = (site.links(of_spine(fabric, "spine-0")) for site in (few, many))
    assert other["flows"] - one["flows"] > 100
    assert one["trees"] == other["trees"] == 0


def test_links_that_are_down_do_not_change_the_backup_paths() -> None:
    fabric = leaf_spine(3, 4)
    site = CompiledNetwork(fabric)

    def ready() -> set[tuple[str, str, tuple[str, ...]]]:
        rows = [(name, at, row.ready) for name, found in site.state.presences.items() for at, row in found.local.items()]
        return {row for row in rows if row[2]}

    before = ready()
    site.links([*of_spine(fabric, "spine-0"), *of_spine(fabric, "spine-1")])
    assert ready() == before != set()


@settings(max_examples=40, deadline=None)
@given(st.data(), fabrics())
def test_ready_is_all_that_any_one_loss_needs(data: st.DataObject, fabric: Fabric) -> None:
    """Trees built again without a link, or without a spine or border, are the judge."""
    fabric = replace(fabric, backup_paths=INSTALLED)
    ends = data.draw(st.sets(st.sampled_from(sorted(fabric.switches)), min_size=1))
    backups, whole = build_backups(fabric), build_trees(fabric)
    links = {pair: frozenset(link.name for link in found) for pair, found in fabric.links_between.items()}
    for number, backup in enumerate(backups):
        found = backup.around(ends)
        assert all(one in found[other] for one, others in found.items() for other in others)
        used = whole.trees[number].branches(ends)
        needed: nx.Graph[str] = nx.Graph([(one, other) for one, others in used.items() for other in others])
        for pair, names in links.items():
            tree = build_trees(fabric, names).trees[number]
            needed.add_edges_from((one, other) for one, others in tree.branches(ends).items() for other in others)
            assert all(adjacency(one, other) != pair for one, others in tree.branches(ends).items() for other in others)
        carrying = [one for one, around in used.items() if len(around) > 1]
        for switch in carrying:
            if fabric.switches[switch].role is not Role.TOR:
                down = frozenset(link.name for link in fabric.links_of[switch])
                rest = build_trees(fabric, down).trees[number].branches(ends - {switch})
                needed.add_edges_from((one, other) for one, others in rest.items() for other in others)
        ready: nx.Graph[str] = nx.Graph([(one, other) for one, others in found.items() for other in others])
        assert {frozenset(edge) for edge in needed.edges} <= {frozenset(edge) for edge in ready.edges}


def both_planes(second: range) -> tuple[Fabric, str]:
    """The fabric, and a CUG whose tree has its root in the first plane."""
    fabric = replace(two_planes(second=second), backup_paths=INSTALLED)
    return fabric, rooted(fabric, "spine-1")[0]


def placed(fabric: Fabric, *names: str) -> State:
    state = with_fabric(None, fabric)
    for number, name in enumerate(names, 1):
        state = apply(state, cug(name, number)).state
        for host, server in ((11, "a1"), (12, "b1")):
            state = apply(state, vm(f"{name}-{server}", server, nic(host, name, number))).state
    return state


def test_a_vlan_id_is_kept_in_the_domains_of_backup_paths_and_no_frame_goes_there() -> None:
    fabric, name = both_planes(range(300, 310))
    state = placed(fabric, name)
    found = state.presences[name]
    assert set(state.vlan_ids(name)) == {"rack-a", "rack-b", "plane-1", "plane-2"}
    assert domains(fabric, found) == {"rack-a", "rack-b", "plane-1"}
    assert all("spine-2" not in link for link in links_of(fabric, found))
    assert found.local["spine-2"].standby
    lost = apply(state, LinksChanged(frozenset(of_spine(fabric, "spine-1")), calm=True)).state
    assert lost.vlan_ids(name) == state.vlan_ids(name)


def test_a_domain_without_numbers_refuses_nobody_for_a_backup_path() -> None:
    fabric, _ = both_planes(range(300, 301))
    others = rooted(fabric, "spine-1", 3)
    state = placed(fabric, *others)
    with_one = [each for each in others if "plane-2" in state.vlan_ids(each)]
    assert len(with_one) == 1
    assert state.starved == {(each, "plane-2") for each in others if each not in with_one}
    # Without its backup path a CUG does as without the choice: the loss costs flows, and starves where no number is left.
    full(apply(state, LinksChanged(frozenset(of_spine(fabric, "spine-1")), calm=True)).state)


def test_a_number_that_a_path_needs_is_refused_although_the_backup_path_went_without() -> None:
    """A rack that hangs on the second plane only: what was spare there is needed when a VM comes to it."""
    fabric = replace(two_planes(second=range(300, 301)), backup_paths=INSTALLED)
    tor, link = Switch("tor-c", 5, Role.TOR, "rack-b", "dc1"), Link(PortRef("tor-c", 50), PortRef("spine-2", 3), "plane-2")
    server = Server("c1", (PortRef("tor-c", 1),), None, tuple(range(2, 100)))
    switches, servers = {**fabric.switches, "tor-c": tor}, {**fabric.servers, "c1": server}
    fabric = replace(fabric, switches=switches, links=(*fabric.links, link), servers=servers)
    state = placed(fabric, *rooted(fabric, "spine-1", 2))
    ((hungry, domain),) = state.starved
    assert domain == "plane-2"
    number = 1 + rooted(fabric, "spine-1", 2).index(hungry)
    with pytest.raises(Refusal, match="no free VLAN-ID"):
        apply(state, vm(f"{hungry}-c1", "c1", nic(13, hungry, number)))


def test_a_move_does_not_wait_for_a_switch_that_only_stands_by() -> None:
    fabric, name = both_planes(range(300, 310))
    state = placed(fabric, name)
    change = apply(state, StartMigration("m1", f"{name}-a1", "a2"))
    switches = change.state.migrations["m1"].switches
    assert "spine-2" not in switches
    assert "spine-1" in switches


def test_a_switch_that_only_stands_by_may_be_taken_out_of_the_fabric() -> None:
    fabric, name = both_planes(range(300, 310))
    state = placed(fabric, name)
    switches = {key: row for key, row in fabric.switches.items() if key != "spine-2"}
    links = tuple(link for link in fabric.links if "spine-2" not in (link.a.switch, link.b.switch))
    compiler = full(state)
    change = apply(state, FabricReplaced(replace(fabric, switches=switches, links=links)))
    compiler.adopt(compiler.plan(change))
    fresh = full(change.state)
    assert {at: set(compiler.tables[at].flows) for at in switches} == {at: set(fresh.tables[at].flows) for at in switches}
    assert "spine-2" not in compiler.tables


def test_the_choice_can_be_made_and_unmade_while_all_runs() -> None:
    off = leaf_spine(2, 3, BackupPaths.ON_FAILURE)
    site = CompiledNetwork(off)
    before = {at: set(rows.flows) for at, rows in site.compiler.tables.items()}
    for fabric in (leaf_spine(2, 3), off):
        site.do(FabricReplaced(fabric))
        if not site.state.trees_settled:
            site.do(SettleTrees())
        fresh = full(site.state)
        assert {at: set(rows.flows) for at, rows in site.compiler.tables.items()} == {
            at: set(rows.flows) for at, rows in fresh.tables.items()
        }
    assert {at: set(rows.flows) for at, rows in site.compiler.tables.items()} == before


def test_frames_of_a_tree_are_dropped_where_it_does_not_lead() -> None:
    """Both ends of a link must use it: what a switch that is behind still sends over another is dropped."""
    site = CompiledNetwork(leaf_spine(2, 2))
    state = site.state
    assert routed_segment("red") in state.presences
    for switch in state.fabric.switches:
        flows = [flow for flow in site.compiler.flows(switch) if flow.owner.kind is OwnerKind.TREES]
        wrong = sum(
            link.far_end(switch).switch not in tree.neighbours[switch]
            for tree in state.trees.trees
            for link in state.fabric.links_of[switch]
        )
        assert len(flows) == wrong
    assert site.sent["trees"] > 0
