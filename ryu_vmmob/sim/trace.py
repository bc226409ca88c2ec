"""The simulator's side of a trace: tables that are cheap for one packet, and where each output of a switch leads.

A trace is asked of a running controller and must not hold it up: tables are built only for the switches that the packet
comes to, and in them flows are looked through instead of sorted first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.pipeline import TABLES, Table
from ryu_vmmob.sim.classifier import AmbiguityError, Classifier, _same_deeds
from ryu_vmmob.sim.network import Network, Visit
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Tables


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
    """Return the VLAN-ID of the outer tag; None without a tag."""
    return packet.vlans[0] if packet.vlans else None


def outlets(network: Network, visit: Visit) -> list[Outlet]:
    """Return the outputs of one switch, in the order of its actions."""
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
