"""IP fragments as flows: what `ryu_vmmob.model.decision` says of them, for switches that tell fragments apart.

Open vSwitch reads of a fragment what is in it, in the mode OFPC_FRAG_NX_MATCH alone (`wire.FragmentMode`): of a first fragment
the ports, if it carries the whole of the least header (20 bytes of TCP, 8 of UDP and ICMP), else zeros; of a later one zeros,
and of IPv6 a later one's protocol is 44. It follows IPv6 extension headers to the transport. Where their chain ends with the
packet it reads protocol 0, which stands for nothing else behind IPv6 (hop-by-hop options are followed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ryu_vmmob.fabric.model import Dialect, Switch
from ryu_vmmob.flows.fields import ANY_FRAGMENT, FIRST_FRAGMENT, LATER_FRAGMENT, NO_FRAGMENT
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import Priority, Table
from ryu_vmmob.model.policy import Policy
from ryu_vmmob.net.protocols import ETH_IPV6, ICMPV6, TCP

if TYPE_CHECKING:
    from ryu_vmmob.flows.segment import Entry

_CHAIN_CUT_OFF: Final = 0
_NO_TYPE: Final = 0
"""ICMPv6 type 0 is reserved (RFC 4443, 2.1): it is read where a packet ends before its type."""

WHOLE: Final[dict[str, Any]] = {"ip_frag": NO_FRAGMENT}
FIRST: Final[dict[str, Any]] = {"ip_frag": FIRST_FRAGMENT}
LATER: Final[dict[str, Any]] = {"ip_frag": LATER_FRAGMENT}


def unreadable(nd_types: Iterable[int]) -> Iterator[Flow]:
    """Yield what no one may send: neighbour discovery in fragments (RFC 6980), and IPv6 that hides what it carries
    (RFC 7112).
    """
    icmp: dict[str, Any] = {"eth_type": ETH_IPV6, "ip_proto": ICMPV6}
    hidden: list[dict[str, Any]] = [
        {"eth_type": ETH_IPV6, "ip_proto": _CHAIN_CUT_OFF},
        {**icmp, "icmpv6_type": _NO_TYPE},
        *({**icmp, "icmpv6_type": kind, "ip_frag": ANY_FRAGMENT} for kind in nd_types),
    ]
    for rule in hidden:
        yield Flow(Table.ADMIT, Priority.FRAGMENT, match(**rule), goto=Table.REFUSE)


def beside(policy: Policy, number: int | None, version: int) -> Iterator[dict[str, Any]]:
    """Yield matches of the fragments that a policy is about and its own match does not take; ``number``: its protocol's."""
    if number is None:
        return
    if policy.allow:
        yield from later(policy, number, version)
    elif policy.ports:
        yield {"ip_proto": number, **FIRST, f"{'tcp' if number == TCP else 'udp'}_dst": 0}


def later(policy: Policy, number: int, version: int) -> Iterator[dict[str, Any]]:
    """Later fragments of what a policy allows, where its own match does not take them."""
    if version == 6:
        yield dict(LATER)
    elif policy.ports:
        yield {"ip_proto": number, **LATER}


def told(switch: Switch, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries for a switch, which may be one of plain OpenFlow 1.3: it has no word for fragments.

    One that drops them (OFPC_FRAG_DROP) sees whole packets alone. One that passes them gets no flow for later ones either, so
    no allow of ports carries them there; a deny of ports stays as it is, and is refused for want of the field.
    """
    for entry in entries:
        fragment = _fragment(entry) if switch.dialect is not Dialect.OPENVSWITCH else None
        if fragment is None or not isinstance(entry, Flow):
            yield entry
        elif fragment == NO_FRAGMENT:
            fields = tuple(row for row in entry.match if row[0] != "ip_frag")
            yield Flow(entry.table, entry.priority, fields, entry.actions, entry.goto, entry.metadata, entry.meter)
        elif switch.passes_fragments and _denies_ports(entry, fragment):
            yield entry


def _fragment(entry: Entry) -> tuple[int, int | None] | None:
    if not isinstance(entry, Flow):
        return None
    return next(((value, mask) for name, value, mask in entry.match if name == "ip_frag"), None)


def _denies_ports(flow: Flow, fragment: tuple[int, int | None]) -> bool:
    return flow.table in (Table.POLICY_OUT, Table.POLICY_IN) and fragment == (FIRST_FRAGMENT, None)
