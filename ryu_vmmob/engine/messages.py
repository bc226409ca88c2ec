"""From a delta to the messages that carry it out, in an order that never opens a hole.

Groups before flows that use them, flows that come before flows that go, groups that go last. In a bundle the switch takes all
of it at once; without bundles the order itself keeps every packet served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from ryu_vmmob.engine.fleet import Fault
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.delta import SHARED, Delta, referred_first
from ryu_vmmob.flows.flow import Flow, Group, group_name

_POLICY_TABLES = frozenset(table.id for table in SHARED)


class Message(NamedTuple):
    """One message with the flow, the group, the cookie or the group id it is about."""

    wire: bytes
    about: Flow | Group | int


def additions(delta: Delta, next_xid: Callable[[], int]) -> Iterator[Message]:
    """What must stand before anything is taken away."""
    changed = {group.id for group in delta.groups_changed}
    for group in referred_first((*delta.groups, *delta.groups_changed)):
        send = wire.group_modify if group.id in changed else wire.group_add
        yield Message(send(group, next_xid()), group)
    # Where a switch has no bundles: policies stand before the way to where they hold is open.
    policies = [flow for flow in delta.flows if flow.table.id in _POLICY_TABLES]
    others = (flow for flow in delta.flows if flow.table.id not in _POLICY_TABLES) if policies else delta.flows
    for flow in chain(policies, others):
        yield Message(wire.flow_add(flow, next_xid()), flow)


def deletions(delta: Delta, next_xid: Callable[[], int]) -> Iterator[Message]:
    """What may go once the additions stand."""
    # And they go last.
    for cookie in sorted(delta.deleted, key=lambda cookie: (delta.gone[cookie] or b"\xff")[0] in _POLICY_TABLES):
        yield Message(wire.flow_delete(cookie, next_xid()), cookie)
    for number in delta.groups_gone:
        yield Message(wire.group_delete(number, next_xid()), number)


def fault(message: Message, error: str) -> Fault:
    """A switch's refusal of a message, joined to what it is about."""
    about = message.about
    if isinstance(about, (Flow, Group)):
        return Fault(error, str(about), about.owner, about.cookie if isinstance(about, Flow) else about.id)
    kind = "cookie" if about > 0xFFFFFFFF else "group"
    cause = f"deletion of {kind} {about:#x}" if kind == "cookie" else f"deletion of {group_name(about)}"
    return Fault(error, cause, (), about)
