"""Dialects: the flows that a plain OpenFlow 1.3 switch gets in place of those that only Open vSwitch can carry.

- A reply made by field moves becomes a copy to the controller, which answers in the switch's place.
- Of these, ARP requests and neighbour solicitations are one flow for each kind (`questions`), for any target: the
  controller knows the members, and is silent about other addresses. A probe for an unassigned address stays without an answer
  too, and is not reported as refused.
- A match on the TTL is left out: such a switch hands over a packet whose TTL it may not count down (OFPR_INVALID_TTL).
- A copy to the controller that a meter limits is one without a limit.
- A match on TCP or UDP ports under a mask becomes matches on single ports: OpenFlow 1.3 has no such mask (`MASKABLE`). A policy
  with more than `MOST_SINGLE_PORTS` of them keeps its masks, and `lacking` names them, unless the switch has them all the same.
- A masked target of neighbour discovery is left out where the controller looks at the packet anyhow.
- Any other flow with such a target is left out: advertisements for link-local addresses that guests have chosen themselves, and
  address probes for those, are refused.
- Nothing stands in for TCP flags: `lacking` names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from ryu_vmmob.fabric.model import Dialect, Switch
from ryu_vmmob.flows.answers import ND_MULTICAST
from ryu_vmmob.flows.base import WHOLE
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.flow import (
    CONTROLLER,
    Bucket,
    Copy,
    Flow,
    Group,
    Match,
    Move,
    Output,
    SetField,
    match,
    tells_controller,
)
from ryu_vmmob.flows.pipeline import Priority, Table
from ryu_vmmob.flows.ports import unmarked
from ryu_vmmob.flows.segment import Entry
from ryu_vmmob.model.policy import MOST_SINGLE_PORTS
from ryu_vmmob.net.addresses import MAC_BROADCAST
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV6, ICMPV6, NEIGHBOUR_SOLICITATION

_EXTENSIONS: Final = frozenset(name for name, field in FIELDS.items() if field.oxm_class != OPENFLOW_BASIC)


MASKABLE: Final = (
    "metadata", "eth_dst", "eth_src", "vlan_vid", "ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "arp_sha", "arp_tha",
    "ipv6_src", "ipv6_dst",
)  # fmt: skip
"""Fields that OpenFlow 1.3.5 lets be matched under a mask (7.2.3.7, table 12), of those that this project uses."""
_L4_PORTS: Final = ("tcp_src", "tcp_dst", "udp_src", "udp_dst")
_ALL_PORT_BITS: Final = 0xFFFF


def spoken(
    dialect: Dialect,
    entries: Iterable[Entry],
    *,
    l4_masks: bool = False,
    meters: bool = True,
    gateway_mac: int | None = None,
) -> Iterator[Entry]:
    """Yield the entries of one object as a switch of this dialect understands them. ``l4_masks``: it matches ports under a
    mask.

    ``meters`` False: it has none; the controller's own limits stand for them (`southbound.packets`).
    ``gateway_mac``: that of the fabric, where the switch has `questions` as well; None: it has not.
    """
    if dialect is Dialect.OPENVSWITCH:
        yield from entries if meters else map(_unmetered, entries)
        return
    rows = list(map(_without_priority, entries))
    single = not l4_masks and _ports(rows) <= MOST_SINGLE_PORTS
    made = set[int]()
    for entry in rows:
        if not isinstance(entry, Flow):
            yield entry
            continue
        if gateway_mac is not None and _replies(entry) and _is_question(entry, gateway_mac):
            continue
        for flow in _plain(entry, single=single):
            if flow.cookie not in made:  # what told them apart may be what such a switch cannot say
                made.add(flow.cookie)
                yield flow


def _without_priority(entry: Entry) -> Entry:
    """Return the entry without what keeps the priority of a tag that it takes off."""
    if isinstance(entry, Group):
        buckets = tuple(Bucket(unmarked(row.actions), row.watch) for row in entry.buckets)
        return Group(entry.id, entry.type, buckets)
    actions = unmarked(entry.actions)
    return Flow(entry.table, entry.priority, entry.match, actions, entry.goto, entry.metadata, entry.meter)


def _unmetered(entry: Entry) -> Entry:
    if not isinstance(entry, Flow) or (entry.meter is None and not any(isinstance(row, Copy) for row in entry.actions)):
        return entry
    actions = tuple(Output(CONTROLLER, row.max_len) if isinstance(row, Copy) else row for row in entry.actions)
    return Flow(entry.table, entry.priority, entry.match, actions, entry.goto, entry.metadata)


def _plain(flow: Flow, *, single: bool) -> Iterator[Flow]:
    """Yield what stands for one flow. ``single``: each port of a masked match gets a flow of its own."""
    if any(name == "nw_ttl" for name, _, _ in flow.match) or (flow.table is Table.ADVERTISE and flow.match):
        return
    if _replies(flow):
        yield Flow(flow.table, flow.priority, flow.match, (Output(CONTROLLER, WHOLE),))
        return
    # Meters are optional there, and none limits a copy alone: the controller's own limits stand for them (`southbound.intake`).
    actions = tuple(Output(CONTROLLER, row.max_len) if isinstance(row, Copy) else row for row in flow.actions)
    wanted = flow.match
    if flow.goto is None and any(map(tells_controller, actions)):
        wanted = tuple(row for row in wanted if row[0] != "ipv6_nd_target" or row[2] is None)
    if any(name == "ipv6_nd_target" and mask is not None for name, _, mask in wanted):
        return  # it has no such mask: what a guest says of a link-local address of its own choice is refused there
    for rows in _single_ports(wanted) if single else (wanted,):
        if rows is flow.match and actions == flow.actions and flow.meter is None:
            yield flow
        else:
            yield Flow(flow.table, flow.priority, rows, actions, flow.goto, flow.metadata)


def questions(gateway_mac: int) -> Iterator[Flow]:
    """Yield what a plain switch hands to the controller, one flow for each kind of question."""
    for rows in _questions(gateway_mac):
        yield Flow(Table.ANSWER, Priority.NORMAL, rows, (Output(CONTROLLER, WHOLE),))


@lru_cache(maxsize=8)
def _questions(gateway_mac: int) -> tuple[Match, ...]:
    solicitation: dict[str, int] = {"eth_type": ETH_IPV6, "ip_proto": ICMPV6, "icmpv6_type": NEIGHBOUR_SOLICITATION}
    return (
        match(eth_dst=MAC_BROADCAST, eth_type=ETH_ARP, arp_op=1),
        match(eth_dst=gateway_mac, eth_type=ETH_ARP, arp_op=1),
        match(eth_dst=ND_MULTICAST, **solicitation),
        match(eth_dst=gateway_mac, **solicitation),
    )


def _is_question(flow: Flow, gateway_mac: int) -> bool:
    """Whether one of `questions` stands for a flow: it takes the same packets at the same place, and more."""
    if flow.table is not Table.ANSWER or flow.priority != Priority.NORMAL:
        return False
    rows = set(flow.match)
    return any(rows.issuperset(asks) for asks in _questions(gateway_mac))


def _ports(entries: Iterable[Entry]) -> int:
    """Return how many single ports the entries would need at most, of the senders' or of the receivers'."""
    found = {row for entry in entries if isinstance(entry, Flow) for row in entry.match if row[0] in _L4_PORTS}
    ports = Counter[str]()
    for name, value, mask in found:
        if value or mask is not None:  # no host uses port 0: it says how a packet is fragmented
            ports[name] += _size(mask)
    return max(ports.values(), default=0)


def _size(mask: int | None) -> int:
    return 1 if mask is None else 1 << (_ALL_PORT_BITS & ~mask).bit_count()


def _single_ports(rows: Match) -> Iterator[Match]:
    """Yield a match whose ports are under masks of leading ones, as matches on each of the ports."""
    at = next((at for at, (name, _, mask) in enumerate(rows) if name in _L4_PORTS and mask is not None), None)
    if at is None:
        yield rows
        return
    name, value, mask = rows[at]
    for port in range(value, value + _size(mask)):
        yield from _single_ports((*rows[:at], (name, port, None), *rows[at + 1 :]))


def _replies(flow: Flow) -> bool:
    """Whether the flow makes an answer of a question, as only Open vSwitch can."""
    return any(_is_extension(action) for action in flow.actions)


def _is_extension(action: object) -> bool:
    return isinstance(action, Move) or (isinstance(action, SetField) and action.name in _EXTENSIONS)


def lacking(switch: Switch, flow: Flow) -> str | None:
    """Return what a switch cannot match, of what ``flow`` needs: a field, or a field under a mask; None when it can carry the
    flow.
    """
    if switch.dialect is Dialect.OPENVSWITCH:
        return None
    for name, _, mask in flow.match:
        if name in _EXTENSIONS:
            return name
        if mask is not None and name not in MASKABLE and not (switch.l4_masks and name in _L4_PORTS):
            more = f" (more than {MOST_SINGLE_PORTS} single ports)" if name in _L4_PORTS else ""
            return f"{name} under a mask{more}"
    return None
