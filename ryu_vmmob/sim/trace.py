"""A journey in words: where each output of a switch leads, and why a packet came to nothing.

A trace is asked of a running controller and must not hold it up: tables are built only for the switches that the packet
comes to, and in them flows are looked through instead of sorted first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.flow import CONTROLLER, Flow, Group, Output, ToGroup, show_match
from ryu_vmmob.flows.pipeline import TABLES, Table
from ryu_vmmob.sim.classifier import AmbiguityError, Classifier, _same_deeds
from ryu_vmmob.sim.network import Network, Visit
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Step, Tables

_NOT_FOUND: Final[Mapping[Table, str]] = {
    Table.INGRESS: "no segment is known for this port with this VLAN-ID and source MAC",
    Table.ADMIT: "no flow admits this source (anti-spoofing)",
    Table.BRIDGE: "the segment has no such destination here",
    Table.DELIVER: "no interface of the segment with this destination is at this switch",
}
"""What it means that a table wants nothing of a packet. A table that is not here is explained by its purpose."""

_BY_DEFAULT: Final[Mapping[Table, str]] = {
    Table.POLICY_OUT: "no policy allows this out of its CUG",
    Table.ROUTE: "no router forwards packets from or to such an address",
    Table.POLICY_IN: "no policy allows this into the CUG",
}
"""What it means that a flow which every switch has drops a packet."""

_KINDS: Final[Mapping[str, str]] = {
    "vm": "VM",
    "route": "VM",
    "cug": "CUG",
    "gateway": "CUG",
    "routing_domain": "routing domain",
    "external": "external network",
    "policy": "policy",
}
"""The objects of the compiler in words."""


class Scan(Classifier):
    """The flows of one table, unsorted: what a `Classifier` finds, cheaper for one packet. The flows have no doubles."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._flows = flows

    def find(self, fields: Mapping[str, int]) -> Flow | None:
        """See `Classifier.find`."""
        get = fields.get
        found: list[Flow] = []
        for flow in self._flows:
            for name, value, mask in flow.match:
                if (get(name, 0) if mask is None else get(name, 0) & mask) != value:
                    break
            else:
                found.append(flow)
        if not found:
            return None
        best = max(found, key=lambda flow: flow.priority)
        for rival in found:
            if rival.priority == best.priority and not _same_deeds(best, rival):
                raise AmbiguityError(f"both match, with one priority: {best} and {rival}")
        return best


class ScannedTables(Tables):
    """The tables of a switch for a packet or two. The flows are desired ones: that a switch takes them is not asked again."""

    def __init__(self, flows: Iterable[Flow], groups: Iterable[Group] = ()) -> None:
        self.groups = {group.id: group for group in groups}
        self.flows = tuple(flows)
        rows: dict[Table, list[Flow]] = {table: [] for table in TABLES}
        for flow in self.flows:
            rows[flow.table].append(flow)
        self._classifiers = {table: Scan(found) for table, found in rows.items()}


class LazyTables(Mapping[str, Tables]):
    """The tables of the switches ``names``; each is built by ``build`` when it is first asked for."""

    def __init__(self, names: Collection[str], build: Callable[[str], Tables]) -> None:
        self._names = names
        self._build = build
        self._built: dict[str, Tables] = {}

    def __getitem__(self, name: str) -> Tables:
        if name not in self._built:
            if name not in self._names:
                raise KeyError(name)
            self._built[name] = self._build(name)
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Outlet(NamedTuple):
    """One copy that a switch puts out. ``to`` is the switch, server or external network behind the port, if any.

    ``fault`` says why the copy gets no further; None when it does.
    """

    port: int
    to: str | None
    link: str | None
    l2_domain: str | None
    packet: Packet
    fault: str | None


def vlan_id(packet: Packet) -> int | None:
    """The VLAN-ID of the outer tag; None without a tag."""
    return packet.vlans[0] if packet.vlans else None


def outlets(network: Network, visit: Visit) -> list[Outlet]:
    """The outputs of one switch, in the order of its actions."""
    fabric = network.fabric
    externals = {external.attach: external.name for external in fabric.externals.values()}
    found = []
    for number, packet in visit.result.outputs:
        port = PortRef(visit.switch, number)
        link, server = fabric.link_at.get(port), fabric.server_at.get(port)
        to = link.far_end(visit.switch).switch if link else server.name if server else externals.get(port)
        fault = None if to else f"nothing hangs on port {number}"
        if not network.port_up(port):
            fault = f"port {number} is down"
        found.append(Outlet(number, to, link.name if link else None, fabric.port_domain(port), packet, fault))
    return found


def reasons(network: Network, visit: Visit) -> list[str]:
    """Why nothing got any further than this switch, a sentence each that names switch and table; empty when something did."""
    exits = outlets(network, visit)
    if any(row.fault is None for row in exits):
        return []
    last = _deciding(visit.result.path)
    place = f"{visit.switch}, table {last.table.label}"
    if ends_unwanted(visit):
        return [f"{place}: {_unwanted(last)}"]
    said = [*map(_lost, visit.result.lost), *(row.fault for row in exits if row.fault)]
    groups = [row for row in (last.flow.actions if last.flow else ()) if isinstance(row, ToGroup)]
    if groups and not exits and not any(text.startswith(_BACK) for text in said):
        said = [f"no link that is up leads on ({', '.join(map(str, groups))})"]
    down = sorted(network.links_down)
    more = f" and {len(down) - _MAX_NAMED} more" if len(down) > _MAX_NAMED else ""
    hint = f"; down: {', '.join(down[:_MAX_NAMED])}{more}" if down else ""
    return [f"{place}: {text}{hint}" for text in dict.fromkeys(said)]


_BACK: Final = "it leads only back"
_MAX_NAMED: Final = 5


def _lost(text: str) -> str:
    """What the simulated switch says of a copy it lost, for people."""
    return f"{_BACK} to where it came from" if text.startswith("output to ingress port") else text


def _deciding(path: Sequence[Step]) -> Step:
    """The table that decided: the last one; for what is refused at a port the one that had it refused."""
    return path[-2] if _is_refused(path) else path[-1]


def _is_refused(path: Sequence[Step]) -> bool:
    """Whether the packet ended among those that a port may not bring in. That some are shown is no help to it."""
    return path[-1].table is Table.REFUSE and len(path) > 1


def ends_unwanted(visit: Visit) -> bool:
    """Whether the packet ended at this switch without anything being done for it."""
    flow = visit.result.path[-1].flow
    return _is_refused(visit.result.path) or flow is None or not (flow.actions or flow.goto)


def ends_at_controller(visit: Visit) -> bool:
    """Whether the last flow handed the packet to the controller, which decides what becomes of it."""
    flow = visit.result.path[-1].flow
    if flow is None or _is_refused(visit.result.path):
        return False
    return any(isinstance(row, Output) and row.port == CONTROLLER for row in flow.actions)


def _unwanted(step: Step) -> str:
    flow = step.flow
    if flow is None or not flow.match or (step.table is Table.INGRESS and flow.goto is Table.REFUSE):
        return _NOT_FOUND.get(step.table, f"no flow takes this packet ({step.table.purpose})")
    if flow.owner == ("switch",) and step.table in _BY_DEFAULT:
        return _BY_DEFAULT[step.table]
    whose = _KINDS.get(flow.owner[0]) if len(flow.owner) > 1 else None
    owner = f" of {whose} {flow.owner[1]}" if whose else f" of {' '.join(flow.owner)}" if flow.owner else ""
    return f"a flow{owner} drops it ({show_match(flow.match)})"
