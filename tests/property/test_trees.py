"""Spanning trees on random fabrics: they span, are loop free, change as little as they can, and lead where they should.

networkx is the judge: paths, components and distances are its own, not those of the code under test.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.fabric.model import Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.fabric.trees import Adjacency, Tree, adjacency, build_trees, roots
from tests.support.drawn_fabrics import fabrics

SOME = settings(max_examples=60, deadline=None)


def graph(nodes: Iterable[str], edges: Iterable[Adjacency]) -> nx.Graph[str]:
    made: nx.Graph[str] = nx.Graph()
    made.add_nodes_from(nodes)
    made.add_edges_from(edges)
    return made


def of(tree: Tree) -> nx.Graph[str]:
    return graph(tree.nodes, tree.edges)


def alive(fabric: Fabric, down: frozenset[str] = frozenset()) -> nx.Graph[str]:
    pairs = (pair for pair, links in fabric.links_between.items() if any(link.name not in down for link in links))
    return graph(fabric.switches, pairs)


def downs(data: st.DataObject, fabric: Fabric) -> frozenset[str]:
    return frozenset(data.draw(st.sets(st.sampled_from(sorted(link.name for link in fabric.links)))))


@SOME
@given(st.data(), fabrics())
def test_trees_span_what_is_connected_and_have_no_loop(data: st.DataObject, fabric: Fabric) -> None:
    down = downs(data, fabric)
    whole = alive(fabric, down)
    trees = build_trees(fabric, down).trees
    assert len(trees) == len(roots(fabric)) > 0
    for tree in trees:
        assert tree.nodes == frozenset(fabric.switches)
        assert all(one < other for one, other in tree.edges)
        assert all(whole.has_edge(*edge) for edge in tree.edges)
        assert nx.is_forest(of(tree))
        islands = {frozenset(island) for island in nx.connected_components(whole)}
        assert {frozenset(island) for island in nx.connected_components(of(tree))} == islands


@SOME
@given(st.data(), fabrics())
def test_one_link_more_or_less_changes_one_edge_at_most(data: st.DataObject, fabric: Fabric) -> None:
    before = downs(data, fabric)
    link = data.draw(st.sampled_from(fabric.links))
    after = before ^ {link.name}
    for old, new in zip(build_trees(fabric, before).trees, build_trees(fabric, after).trees, strict=True):
        assert len(old.edges - new.edges) <= 1
        assert len(new.edges - old.edges) <= 1
        ends = tuple(sorted((link.a.switch, link.b.switch)))
        gone, come = (old.edges - new.edges, new.edges - old.edges)
        if gone or come:
            assert ends in (gone if link.name in after else come)


@SOME
@given(st.data(), fabrics())
def test_trees_depend_on_the_links_alone(data: st.DataObject, fabric: Fabric) -> None:
    """Neither on the order in the file nor on the order of events."""
    down = downs(data, fabric)
    links = data.draw(st.permutations(fabric.links))
    names = data.draw(st.permutations(sorted(fabric.switches)))
    shuffled = Fabric(
        fabric.name,
        fabric.gateway_mac,
        fabric.data_centers,
        fabric.l2_domains,
        {name: fabric.switches[name] for name in names},
        tuple(links),
        fabric.servers,
        backup_paths=fabric.backup_paths,
    )
    assert build_trees(shuffled, down) == build_trees(fabric, down)


@SOME
@given(st.data(), fabrics())
def test_what_two_trees_have_in_common_is_loop_free_and_in_both(data: st.DataObject, fabric: Fabric) -> None:
    one, other, third = (build_trees(fabric, downs(data, fabric)) for _ in range(3))
    common = one.common(other)
    for a, b, both in zip(one.trees, other.trees, common.trees, strict=True):
        assert both.edges == a.edges & b.edges
        assert both.nodes == a.nodes
        assert both.root == a.root
        assert nx.is_forest(of(both))
    assert common.common(third) == one.common(third).common(other)
    assert one.common(one) == one


@SOME
@given(st.data(), fabrics())
def test_a_mixture_of_shrunk_and_grown_switches_has_no_loop(data: st.DataObject, fabric: Fabric) -> None:
    """An edge carries frames when both its ends use it. From old to common, and from common to new, switch by switch."""
    old, new = (build_trees(fabric, downs(data, fabric)) for _ in range(2))
    done = data.draw(st.sets(st.sampled_from(sorted(fabric.switches))))
    common = old.common(new)
    for before, after in ((old, common), (common, new)):
        for a, b in zip(before.trees, after.trees, strict=True):
            used = {edge for edge in a.edges | b.edges if all(edge in (b if node in done else a).edges for node in edge)}
            assert nx.is_forest(graph(fabric.switches, used))


@SOME
@given(st.data(), fabrics())
def test_next_hops_lead_along_the_tree(data: st.DataObject, fabric: Fabric) -> None:
    trees = build_trees(fabric, downs(data, fabric))
    for tree in (*trees.trees, *trees.common(build_trees(fabric, downs(data, fabric))).trees):
        judge = of(tree)
        for at in fabric.switches:
            for to in fabric.switches:
                hop = tree.next_hop(at, to)
                if at == to or not nx.has_path(judge, at, to):
                    assert hop is None
                else:
                    assert hop == nx.shortest_path(judge, at, to)[1]


@SOME
@given(st.data(), fabrics())
def test_branches_join_the_ends_and_nothing_more(data: st.DataObject, fabric: Fabric) -> None:
    """Take any edge away, and two ends are parted that were not; every switch that is not an end has two neighbours."""
    ends = data.draw(st.sets(st.sampled_from(sorted(fabric.switches))))
    for tree in build_trees(fabric, downs(data, fabric)).trees:
        found = tree.branches(ends)
        edges = {adjacency(node, other) for node, around in found.items() for other in around}
        assert all(node in found[other] for node, around in found.items() for other in around)
        assert edges <= tree.edges
        assert ends <= found.keys()
        part = graph(found, edges)
        for one, other in combinations(sorted(ends), 2):
            assert nx.has_path(part, one, other) == nx.has_path(of(tree), one, other)
        assert all(len(around) >= 2 for node, around in found.items() if node not in ends)
        for edge in edges:
            parted = graph(found, edges - {edge})
            assert any(
                nx.has_path(part, one, other) and not nx.has_path(parted, one, other)
                for one, other in combinations(sorted(ends), 2)
            )


def leaf_spine(spines: int, leaves: int, border_leaves: int) -> Fabric:
    names = {f"spine-{n:02}": Role.SPINE for n in range(spines)}
    names |= {f"tor-{n:02}": Role.TOR for n in range(leaves)}
    names |= {f"border-{n:02}": Role.BORDER for n in range(border_leaves)}
    edges = [name for name, role in names.items() if role is not Role.SPINE]
    return Fabric(
        "leaf-spine",
        "02:00:5e:00:00:01",
        {},
        {"core": L2Domain("core", (1,))},
        {name: Switch(name, n + 1, role, "core") for n, (name, role) in enumerate(names.items())},
        tuple(
            Link(PortRef(edge, 100 + n), PortRef(f"spine-{n:02}", 1 + row), "core")
            for row, edge in enumerate(edges)
            for n in range(spines)
        ),
        {"s": Server("s", (PortRef(edges[0], 1),), "core")},
    )


@SOME
@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 2))
def test_in_a_leaf_spine_fabric_paths_between_edges_are_shortest(spines: int, leaves: int, borders: int) -> None:
    fabric = leaf_spine(spines, leaves, borders)
    whole = alive(fabric)
    trees = build_trees(fabric).trees
    assert len(trees) == min(spines, 4)
    edges = [name for name, switch in fabric.switches.items() if switch.role.is_edge]
    for tree in trees:
        judge = of(tree)
        for one, other in combinations(edges, 2):
            path = nx.shortest_path(judge, one, other)
            assert len(path) - 1 == nx.shortest_path_length(whole, one, other)
            assert path[1:-1] == [tree.root]


@SOME
@given(fabrics())
def test_with_nothing_down_a_tree_is_breadth_first_in_each_data_centre(fabric: Fabric) -> None:
    whole = alive(fabric)
    for tree, of_centers in zip(build_trees(fabric).trees, roots(fabric), strict=True):
        assert tree.root in of_centers.values()
        for center, root in of_centers.items():
            inside = [name for name, switch in fabric.switches.items() if switch.data_center == center]
            wanted = nx.single_source_shortest_path_length(whole.subgraph(inside), root)
            assert dict(nx.single_source_shortest_path_length(of(tree).subgraph(inside), root)) == dict(wanted)


@SOME
@given(st.data(), fabrics())
def test_traffic_inside_a_data_centre_stays_there_while_it_can(data: st.DataObject, fabric: Fabric) -> None:
    down = downs(data, fabric)
    whole = alive(fabric, down)
    for tree in build_trees(fabric, down).trees:
        for center in fabric.data_centers:
            inside = [name for name, switch in fabric.switches.items() if switch.data_center == center]
            for one, other in combinations(inside, 2):
                if nx.has_path(whole.subgraph(inside), one, other):
                    assert set(nx.shortest_path(of(tree), one, other)) <= set(inside)


def test_segments_are_spread_over_the_trees_and_stay() -> None:
    trees = build_trees(leaf_spine(4, 3, 0))
    found = [trees.of_segment(f"cug-{n}").root for n in range(1000)]
    assert {root: found.count(root) for root in set(found)}.keys() == {f"spine-0{n}" for n in range(4)}
    assert min(found.count(root) for root in set(found)) > 150
    other = build_trees(leaf_spine(4, 3, 0), frozenset({"spine-00:1=tor-00:100"}))
    assert [other.of_segment(f"cug-{n}").root for n in range(1000)] == found
