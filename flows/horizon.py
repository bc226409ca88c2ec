"""Split horizon on one cable: a broadcast of one vNIC goes to all others of its CUG there, and never back to its sender.

All of them hang on the same port, so the switch's own rule (never out of the port it came in by) cannot tell them apart, and
OpenFlow has no action that asks who has sent. So each sender has a group of its own, ``OTHERS``. A list of all others in each
would make every vNIC that comes cost a message for each that is there. Instead they share the nodes of a binary tree over the
12 bits of the VLAN-ID, of which only those exist that part two vNICs of the CUG:

- ``BELOW`` a node: all vNICs in its two halves, back out of the port that the frame came by;
- ``DOWN`` a node: the same, for frames from elsewhere;
- ``BESIDE`` a node: all vNICs outside it, that is the other half of its parent, and what is beside the parent;
- ``OTHERS`` of a vNIC: the same for a leaf.

So one that comes or goes costs a handful of messages and of work, however many there are. A node is numbered by the least
VLAN-ID of its upper half: each VLAN-ID numbers one node at most, and on the cable it belongs to one CUG, so no two trees meet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ryu_vmmob.flows.flow import IN_PORT, Action, Bucket, Group, GroupType, ToGroup
from ryu_vmmob.flows.pipeline import GroupKind, vnic_group_id
from ryu_vmmob.flows.ports import out

Way = Callable[[int], tuple[Action, ...]]
"""What brings a frame from elsewhere to the vNIC with a VLAN-ID."""


class Node(NamedTuple):
    """A node of the tree: its vNICs are ``tags[start:stop]``, and from ``middle`` on they are in its upper half.

    ``parent`` is the number of the node above (None: it is the root).
    """

    start: int
    middle: int
    stop: int
    parent: int | None


def path(tags: Sequence[int], tag: int) -> Iterator[Node]:
    """Yield the nodes from the root to where ``tag`` is or would be, of the tree of ``tags`` (ascending)."""
    start, stop, parent = 0, len(tags), None
    while stop - start > 1:
        node = _node(tags, start, stop, parent)
        yield node
        parent = tags[node.middle]
        start, stop = (start, node.middle) if tag < parent else (node.middle, stop)


def find(tags: Sequence[int], number: int) -> Node | None:
    """Return the node with a number; None when there is none."""
    return next((node for node in path(tags, number) if tags[node.middle] == number), None)


def touched(tags: Sequence[int], tag: int) -> Iterator[int]:
    """Numbers of the nodes whose groups may differ when ``tag`` comes or goes: those on its path, and their halves."""
    for node in path(tags, tag):
        yield tags[node.middle]
        for start, stop in ((node.start, node.middle), (node.middle, node.stop)):
            if stop - start > 1:
                yield tags[_node(tags, start, stop).middle]


def groups(port: int, tags: Sequence[int], node: Node, way: Way) -> Iterator[Group]:
    """Yield the groups of a node, and those of what is beside its halves. ``port`` is the cable's, the first of a LAG."""
    number = tags[node.middle]
    low, high = (node.start, node.middle), (node.middle, node.stop)
    back = [Bucket(_below(port, tags, *half)) for half in (low, high)]
    down = [Bucket(_down(port, tags, *half, way)) for half in (low, high)]
    yield Group(vnic_group_id(GroupKind.BELOW, port, number), GroupType.ALL, tuple(back))
    yield Group(vnic_group_id(GroupKind.DOWN, port, number), GroupType.ALL, tuple(down))
    above = () if node.parent is None else (Bucket((ToGroup(vnic_group_id(GroupKind.BESIDE, port, number)),)),)
    for (start, stop), other in ((low, back[1]), (high, back[0])):
        if stop - start == 1:
            beside = others_id(port, tags[start])
        else:
            beside = vnic_group_id(GroupKind.BESIDE, port, tags[_node(tags, start, stop).middle])
        yield Group(beside, GroupType.ALL, (other, *above))


def all_on(port: int, tags: Sequence[int]) -> tuple[Action, ...]:
    """To all of ``tags`` (ascending, not empty), back out of the port that the frame came by."""
    return _below(port, tags, 0, len(tags))


def downwards(port: int, tags: Sequence[int], way: Way) -> tuple[Action, ...]:
    """To all of ``tags`` (ascending, not empty), for a frame from elsewhere."""
    return _down(port, tags, 0, len(tags), way)


def downwards_beside(port: int, tags: Sequence[int], tag: int, way: Way) -> Iterator[tuple[Action, ...]]:
    """To all of ``tags`` (ascending) but ``tag``, for a frame from elsewhere: at most 12 ways."""
    for node in path(tags, tag):
        low, high = (node.start, node.middle), (node.middle, node.stop)
        yield _down(port, tags, *(high if tag < tags[node.middle] else low), way)


def listed(port: int, tags: Iterable[int], tag: int) -> Group:
    """``OTHERS`` of a vNIC as a list, for a switch that may not follow groups that deep."""
    return Group(others_id(port, tag), GroupType.ALL, tuple(Bucket(out(IN_PORT, other)) for other in tags if other != tag))


def others_id(port: int, tag: int) -> int:
    """Return the group of all vNICs on a cable but the one with this tag."""
    return vnic_group_id(GroupKind.OTHERS, port, tag)


def _node(tags: Sequence[int], start: int, stop: int, parent: int | None = None) -> Node:
    """Return the node of ``tags[start:stop]``, two at least: it parts them by the highest bit in which they differ."""
    last = tags[stop - 1]
    bit = (tags[start] ^ last).bit_length() - 1
    return Node(start, bisect_left(tags, last >> bit << bit, start, stop), stop, parent)


def _below(port: int, tags: Sequence[int], start: int, stop: int) -> tuple[Action, ...]:
    if stop - start == 1:
        return out(IN_PORT, tags[start])
    return (ToGroup(vnic_group_id(GroupKind.BELOW, port, tags[_node(tags, start, stop).middle])),)


def _down(port: int, tags: Sequence[int], start: int, stop: int, way: Way) -> tuple[Action, ...]:
    if stop - start == 1:
        return way(tags[start])
    return (ToGroup(vnic_group_id(GroupKind.DOWN, port, tags[_node(tags, start, stop).middle])),)
