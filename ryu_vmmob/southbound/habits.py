"""Deviations of plain OpenFlow switches from the specification, and how each is handled.

Which ways these are was seen at real switches; a switch that keeps to the specification is asked one question more for it.
"""

from __future__ import annotations

from collections.abc import Collection

from ryu_vmmob.engine.fleet import KEEPS_COOKIES, SwitchFault
from ryu_vmmob.engine.messages import additions, deletions, replaced
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.audit import entries_of
from ryu_vmmob.flows.delta import Delta
from ryu_vmmob.model.draft import Event
from ryu_vmmob.southbound.exchange import Exchange


def read_ports(session: Exchange) -> None:
    """Ask for the state of all ports: a switch may not tell of each change by itself."""
    for _ in range(2):  # what it told by itself meanwhile may be newer than the answer
        before, found = session.port_news, dict[int, bool]()
        for body in session.ask(wire.port_desc_request, required=False):
            found.update(wire.port_states(body))
        if found and before == session.port_news:
            session.on_ports(session.name, found)
            return


def apply_by_place(session: Exchange, delta: Delta) -> list[SwitchFault]:
    """Delete first the flows that an ADD would replace, where an ADD leaves the old cookie. They are missing meanwhile.

    Otherwise copies of packets and the next audit would report the flow under another flow's cookie.
    """
    found = session.one_by_one(additions(Delta(groups=delta.groups, groups_changed=delta.groups_changed), session.next_xid))
    found += session.one_by_one(replaced(delta, session.next_xid))
    found += session.one_by_one(additions(Delta(flows=delta.flows), session.next_xid))
    return found + session.one_by_one(deletions(delta, session.next_xid, by_cookie=False))


def look_at_cookies(session: Exchange, delta: Delta, refused: Collection[int]) -> list[SwitchFault]:
    """After the first flow that took another's place: whether it bears its own cookie (OpenFlow 1.3.5, 6.4). If not, what
    took a place is told as such a switch wants it; what is refused of that.
    """
    places = {key: cookie for cookie, key in delta.gone.items() if key is not None}
    taken = [flow for flow in delta.flows if flow.key in places and flow.cookie not in refused]
    if not taken:
        return []
    flow = taken[0]
    for body in session.ask(lambda xid: wire.flow_stats_request(xid, flow.table.id, 0, flow.key[3:])):
        for entry in entries_of(body):
            if entry.key == flow.key:
                session.cookies_seen = True
                if entry.cookie == places[flow.key]:
                    keeps_cookies(session)
                    return apply_by_place(session, Delta(taken, {places[row.key]: row.key for row in taken}))
    return []


def keeps_cookies(session: Exchange) -> None:
    """Note that the switch leaves the old cookie where an ADD puts another flow."""
    if session.engine.fleet.note_habit(session.name, KEEPS_COOKIES):
        said = "switch %s keeps the cookie of a flow whose place another takes: such a flow is taken away first"
        session.log.warning(said, session.name)
        session.engine.emit(Event("switch.keeps_cookies", {"switch": session.name}))
