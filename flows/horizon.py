"""Split horizon on one cable: a broadcast of one vNIC goes to all others of its CUG there, and never back to its sender.

All of them hang on the same port, so the switch's own rule (never out of the port it came in by) cannot tell them apart, and
OpenFlow has no action that asks who has sent. So each sender has a group of its own, ``OTHERS``. A list of all others in each
would make every vNIC that comes cost a message for each that is there. Instead they share the nodes of a binary tree over the
12 bits of the VLAN-ID, of which only those exist that part two vNICs of the CUG:

- ``BELOW`` a node: everybody in its two halves;
- ``BESIDE`` a node: everybody outside it, that is the other half of its parent, and what is beside the parent;
- ``OTHERS`` of a vNIC: the same for a leaf.

So one that comes or goes costs a handful of messages, however many there are. A node is numbered by the least VLAN-ID of its
upper half: each VLAN-ID is that of one node at most, and on the cable it belongs to one CUG, so no two trees meet. A switch of
plain OpenFlow 1.3, which may not follow groups that deep, gets lists.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ryu_vmmob.flows.flow import IN_PORT, Bucket, Group, GroupType, ToGroup
from ryu_vmmob.flows.pipeline import VNIC_BITS, GroupKind, vnic_group_id
from ryu_vmmob.flows.ports import out


class Cable(NamedTuple):
    """A server's cable at a switch: the port by which its groups are numbered (the first of a LAG), and its name."""

    server: str
    port: int


def lists(cable: Cable, tags: Sequence[int]) -> Iterator[Group]:
    """``OTHERS`` of each of ``tags``, as a list."""
    for tag in tags:
        yield Group(others_id(cable, tag), GroupType.ALL, tuple(back(other) for other in tags if other != tag))


def tree(cable: Cable, tags: Sequence[int]) -> Iterator[Group]:
    """``OTHERS`` of each of ``tags`` (ascending, at least two), and the nodes that they share."""
    yield from _part(cable, tags, (), VNIC_BITS - 1)


def everybody(cable: Cable, tags: Sequence[int]) -> Bucket:
    """A bucket for all of ``tags`` (ascending, not empty) by the groups of `tree`."""
    return _below(cable, tags, VNIC_BITS - 1)


def others_id(cable: Cable, tag: int) -> int:
    """The group of everybody on a cable but the one with this tag."""
    return vnic_group_id(GroupKind.OTHERS, cable.port, tag)


def _part(cable: Cable, tags: Sequence[int], beside: tuple[Bucket, ...], bit: int) -> Iterator[Group]:
    """The groups of a subtree with ``tags``; ``beside`` are outside of it. ``bit``: the highest in which tags may differ."""
    if len(tags) == 1:
        yield _all(cable, others_id(cable, tags[0]), beside)
        return
    bit, middle = _fork(tags, bit)
    low, high, node = tags[:middle], tags[middle:], tags[middle]
    halves = _below(cable, low, bit - 1), _below(cable, high, bit - 1)
    yield _all(cable, vnic_group_id(GroupKind.BELOW, cable.port, node), halves)
    outside: tuple[Bucket, ...] = ()
    if beside:
        number = vnic_group_id(GroupKind.BESIDE, cable.port, node)
        yield _all(cable, number, beside)
        outside = (Bucket((ToGroup(number),)),)
    yield from _part(cable, low, (halves[1], *outside), bit - 1)
    yield from _part(cable, high, (halves[0], *outside), bit - 1)


def _below(cable: Cable, tags: Sequence[int], bit: int) -> Bucket:
    if len(tags) == 1:
        return back(tags[0])
    _, middle = _fork(tags, bit)
    return Bucket((ToGroup(vnic_group_id(GroupKind.BELOW, cable.port, tags[middle])),))


def _fork(tags: Sequence[int], bit: int) -> tuple[int, int]:
    """Where ascending ``tags`` part: the highest bit in which they differ, and the place of the first of the upper half."""
    while tags[0] >> bit == tags[-1] >> bit:
        bit -= 1
    return bit, bisect_left(tags, (tags[-1] >> bit) << bit)


@lru_cache(maxsize=1 << 13)
def back(tag: int) -> Bucket:
    """To the vNIC with this tag, on the cable that the frame came by."""
    return Bucket(out(IN_PORT, tag))


@lru_cache(maxsize=1 << 15)
def _all(cable: Cable, number: int, buckets: tuple[Bucket, ...]) -> Group:
    """Nodes that stay are the same objects: their wire form is made once. (A group has an owner, so each cable has its own.)"""
    return Group(number, GroupType.ALL, buckets)
