"""The OpenFlow messages of a delta, in an order that leaves no gap.

Groups before flows that use them, flows that come before flows that go, groups that go last. In a bundle the switch takes all
of it at once; without bundles the order itself keeps every packet served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.delta import SHARED, Delta, referred_first
from ryu_vmmob.flows.flow import Flow, Group, group_name
from ryu_vmmob.flows.owner import UNOWNED
from ryu_vmmob.flows.pipeline import COOKIE_FULL_MASK, COOKIE_MARK_MASK

_POLICY_TABLES = frozenset(table.id for table in SHARED)


class Message(NamedTuple):
    """One message with the flow, the group, the cookie or the group id it is about."""

    wire: bytes
    about: Flow | Group | int


def additions(delta: Delta, next_xid: Callable[[], int]) -> Iterator[Message]:
    """Yield what must stand before anything is taken away."""
    changed = {group.id for group in delta.groups_changed}
    for group in referred_first((*delta.groups, *delta.groups_changed)):
        send = wire.group_modify if group.id in changed else wire.group_add
        yield Message(send(group, next_xid()), group)
    # Where a switch has no bundles: policies stand before the way to where they hold is open.
    policies = [flow for flow in delta.flows if flow.table.id in _POLICY_TABLES]
    others = (flow for flow in delta.flows if flow.table.id not in _POLICY_TABLES) if policies else delta.flows
    for flow in chain(policies, others):
        yield Message(wire.flow_add(flow, next_xid()), flow)


def deletions(delta: Delta, next_xid: Callable[[], int], *, by_cookie: bool = True) -> Iterator[Message]:
    """Yield what may go once the additions stand. ``by_cookie``: as `removal`."""
    # And they go last.
    for cookie in sorted(delta.deleted, key=lambda cookie: (delta.gone[cookie] or b"\xff")[0] in _POLICY_TABLES):
        yield removal(cookie, delta.gone[cookie], next_xid, by_cookie=by_cookie)
    for number in delta.groups_gone:
        yield Message(wire.group_delete(number, next_xid()), number)


def replaced(delta: Delta, next_xid: Callable[[], int]) -> Iterator[Message]:
    """Yield what an ADD of the delta would put another flow in the place of: taken away, for a switch that would keep the
    cookie.
    """
    places = {flow.key for flow in delta.flows}
    for cookie, key in delta.gone.items():
        if key is not None and key in places:
            yield removal(cookie, key, next_xid, by_cookie=False)


def removal(cookie: int, key: bytes | None, next_xid: Callable[[], int], *, by_cookie: bool) -> Message:
    """Return the deletion of a flow at its place (table, match and priority).

    With ``by_cookie`` only the flow with its cookie is deleted there. Otherwise any flow of ours is, because the switch may
    have kept an older flow's cookie. A flow whose place is unknown is deleted by its cookie.
    """
    if key is None:
        return Message(wire.flow_delete(cookie, next_xid()), cookie)
    mask = COOKIE_FULL_MASK if by_cookie else COOKIE_MARK_MASK
    priority = int.from_bytes(key[1:3], "big")
    return Message(wire.flow_delete_strict(key[0], priority, key[3:], cookie, next_xid(), mask), cookie)


def fault(message: Message, error: str) -> SwitchFault:
    """Return a switch's refusal of a message, joined to what it is about."""
    about = message.about
    if isinstance(about, (Flow, Group)):
        return SwitchFault(error, str(about), about.owner, about.cookie if isinstance(about, Flow) else about.id)
    kind = "cookie" if about > 0xFFFFFFFF else "group"
    cause = f"deletion of {kind} {about:#x}" if kind == "cookie" else f"deletion of {group_name(about)}"
    return SwitchFault(error, cause, UNOWNED, about)
