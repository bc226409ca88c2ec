"""Split horizon on a cable: from each vNIC to all others exactly once, never back; one that comes or goes touches little."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from ryu_vmmob.flows import horizon
from ryu_vmmob.flows.fields import vid
from ryu_vmmob.flows.flow import IN_PORT, Action, Group, Output, SetField, ToGroup
from ryu_vmmob.flows.pipeline import GroupKind, group_parts
from ryu_vmmob.flows.ports import out

PORT = 7
DEPTH = 12
"""Bits of a VLAN-ID."""
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 60, 200, 1000]


def way(tag: int) -> tuple[Action, ...]:
    """From elsewhere to a vNIC: another port than that of `IN_PORT`, so that the two ways can be told apart."""
    return out(PORT, tag)


def tree(tags: Sequence[int]) -> dict[int, Group]:
    """All groups of the tree, by id; each node is made by itself, and none is made twice."""
    found: dict[int, Group] = {}
    for number in tags:
        node = horizon.find(tags, number)
        for group in horizon.groups(PORT, tags, node, way) if node is not None else ():
            assert group.id not in found
            found[group.id] = group
    return found


def reached(groups: dict[int, Group], actions: tuple[Action, ...], port: int) -> Counter[int]:
    """VLAN-IDs under which copies leave by ``port``, each with how many do. No group is missing, and none nests endlessly."""
    found: Counter[int] = Counter()
    _follow(groups, actions, port, 0, found)
    return found


def _follow(groups: dict[int, Group], actions: tuple[Action, ...], port: int, depth: int, found: Counter[int]) -> None:
    assert depth <= 2 * DEPTH + 1
    tag: int | None = None
    for action in actions:
        match action:
            case SetField(name="vlan_vid", value=value):
                tag = value
            case Output(port=where):
                assert where == port
                assert tag is not None
                found[tag] += 1
            case ToGroup(group=id_):
                for bucket in groups[id_].buckets:
                    _follow(groups, bucket.actions, port, depth + 1, found)
            case _:
                pass


def once(tags: Sequence[int]) -> Counter[int]:
    return Counter(vid(tag) for tag in tags)


def sets(seed: int, size: int) -> list[list[int]]:
    """Random sets of tags: spread over all numbers, in a row, and in clusters."""
    chance = random.Random(seed)
    start = chance.randint(1, 4094 - size)
    clusters = {base + step for base in chance.sample(range(1, 4000, 16), max(1, size // 8)) for step in range(8)}
    return [
        sorted(chance.sample(range(1, 4095), size)),
        list(range(start, start + size)),
        sorted(chance.sample(sorted(clusters), min(size, len(clusters)))),
    ]


CASES = [
    (f"{size}-{seed}-{number}", tags) for size in SIZES for seed in range(2) for number, tags in enumerate(sets(seed, size))
]


@pytest.mark.parametrize("tags", [tags for _, tags in CASES], ids=[name for name, _ in CASES])
def test_each_reaches_all_others_once_and_never_itself(tags: list[int]) -> None:
    groups = tree(tags)
    asked = tags if len(tags) <= 60 else random.Random(0).sample(tags, 30)
    for tag in asked if len(tags) > 1 else ():
        assert reached(groups, (ToGroup(horizon.others_id(PORT, tag)),), IN_PORT) == once([its for its in tags if its != tag])
    assert reached(groups, horizon.all_on(PORT, tags), IN_PORT) == once(tags)
    assert reached(groups, horizon.downwards(PORT, tags, way), PORT) == once(tags)


@pytest.mark.parametrize("tags", [tags for _, tags in CASES], ids=[name for name, _ in CASES])
def test_as_many_groups_as_it_takes(tags: list[int]) -> None:
    """One node for each pair of halves; a cable of n vNICs has n - 1 of them, each numbered by one of its vNICs."""
    kinds: Counter[GroupKind] = Counter()
    for id_ in tree(tags):
        parts = group_parts(id_)
        assert parts is not None
        kind, port, number = parts
        assert port == PORT
        assert number in tags
        kinds[kind] += 1
    size = len(tags)
    if size == 1:
        assert not kinds
        return
    assert kinds[GroupKind.OTHERS] == size
    assert kinds[GroupKind.BELOW] == kinds[GroupKind.DOWN] == size - 1
    assert kinds[GroupKind.BESIDE] == size - 2  # one beside each node but the root


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_one_that_comes_or_goes_changes_a_bounded_number_of_groups_and_touched_names_them_all(size: int, seed: int) -> None:
    """At most 16, however many there are. ``touched`` on both sides names the nodes of all that differ.

    Its own node and what hangs on that: 5. The node above: 2, and 1 beside. And when it is the least of the upper half of one
    more node, that one has another number: 5, with 2 above it and 1 beside.
    """
    chance = random.Random(f"{size}/{seed}")
    for tags in sets(seed, size):
        new = chance.choice(sorted(frozenset(range(1, 4095)).difference(tags)))
        more = sorted([*tags, new])
        before, after = tree(tags), tree(more)
        named = {*horizon.touched(tags, new), *horizon.touched(more, new)}
        differs = {id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_)}
        assert differs
        made: set[int] = set()
        for number in named:
            for its in (tags, more):
                node = horizon.find(its, number)
                made.update(group.id for group in (horizon.groups(PORT, its, node, way) if node is not None else ()))
        assert differs <= made
        assert len(differs) <= 16
        assert len(named) <= 3 * DEPTH + 2


def test_the_path_of_a_tag_that_is_not_there_ends_where_it_would_be() -> None:
    tags = [2, 5, 9, 1000, 1001, 4094]
    for tag in range(1, 4095):
        nodes = list(horizon.path(tags, tag))
        assert nodes[0] == horizon.Node(0, 5, 6, None)
        assert len(nodes) <= DEPTH
        assert all(node.start < node.middle < node.stop for node in nodes)
        assert [node.parent for node in nodes[1:]] == [tags[node.middle] for node in nodes[:-1]]
    assert list(horizon.path([], 5)) == list(horizon.path([5], 5)) == []
    assert horizon.find(tags, 2) is None  # the least tag is in the lower half everywhere
    assert horizon.find(tags, 3) is None


def test_a_list_for_a_switch_that_follows_no_deep_groups() -> None:
    tags = [3, 8, 700]
    for tag in tags:
        group = horizon.listed(PORT, tags, tag)
        assert group.id == horizon.others_id(PORT, tag)
        assert reached({group.id: group}, (ToGroup(group.id),), IN_PORT) == once([its for its in tags if its != tag])
