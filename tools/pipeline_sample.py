"""The sample networks shown by the docs (dump_pipeline.py), on etc/example.yaml: one where a VM moves, one that routes, and one
with several vNICs of a CUG on one cable.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path

from ryu_vmmob.fabric.loader import load
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.flows.listing import in_order
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.flows.plan import Plan
from ryu_vmmob.model.commands import Activate, Command, Commit, Prepared, PutCug, PutVm, StartMigration, apply
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.model.state import State, with_fabric
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.net.protocols import TCP

ROOT = Path(__file__).resolve().parent.parent
FABRIC = ROOT / "etc" / "example.yaml"
SHOWN, LAG_SHOWN, BORDER = "tor-a", "tor-b", "border-1"
"""The switch whose tables are shown, the one that has a server with a LAG, and the one with an external network."""
OUTSIDE_NAME = "internet-1"


def interface(cug: str, number: int, *ips: str) -> Interface:
    """Return an interface with MAC 02:00:00:00:00:NUMBER."""
    return Interface(cug, mac(f"02:00:00:00:00:{number:02x}"), tuple(ip_address(ip) for ip in ips))


def populate() -> list[Command]:
    """Two CUGs, four VMs; web on tagged and untagged servers, db beside it and on a LAG."""
    return [
        PutCug("web", (ip_network("10.1.0.0/24"), ip_network("2001:db8:1::/64"))),
        PutCug("db", (ip_network("10.2.0.0/24"),)),
        PutVm("web1", "srv-c1", (interface("web", 0x11, "10.1.0.11", "2001:db8:1::11"),)),
        PutVm("web2", "srv-a2", (interface("web", 0x12, "10.1.0.12"),)),
        PutVm("db1", "srv-a1", (interface("db", 0x21, "10.2.0.21"),)),
        PutVm("db2", "srv-b1", (interface("db", 0x22, "10.2.0.22"),)),
    ]


def populate_routed() -> list[Command]:
    """Two CUGs of routing domain red with a VM each, an external network of which the next hop has answered, two policies."""
    hop = NeighbourHeard(OUTSIDE_NAME, ip_address("192.0.2.254"), mac("02:00:00:00:01:fe"))
    front, everywhere = Selector("cug", "front"), Selector("prefix", ip_network("0.0.0.0/0"))
    return [
        PutCug("front", (ip_network("10.3.0.0/24"),), routing_domain="red"),
        PutCug("back", (ip_network("10.4.0.0/24"),), routing_domain="red"),
        PutVm("front1", "srv-a1", (interface("front", 0x31, "10.3.0.31"),)),
        PutVm("back1", "srv-c1", (interface("back", 0x41, "10.4.0.41"),)),
        PutPolicy(
            "to-back",
            allow=True,
            source=front,
            target=Selector("cug", "back"),
            protocol=TCP,
            ports=((5432, 5433),),
            replies=True,
        ),
        PutPolicy(
            "surfing", allow=True, source=front, target=everywhere, priority=50, protocol=TCP, ports=((443, 443),), replies=True
        ),
        hop,
    ]


def populate_cable() -> list[Command]:
    """Return a CUG with three VMs on one server with tagging per interface."""
    return [
        PutCug("app", (ip_network("10.5.0.0/24"),)),
        *(PutVm(f"app{n}", "srv-a1", (interface("app", 0x50 + n, f"10.5.0.{50 + n}"),)) for n in (1, 2, 3)),
    ]


STEPS: tuple[tuple[str, Command], ...] = (
    ("preparing", StartMigration("m-1", "web1", "srv-a1")),
    ("prepared", Prepared("m-1")),
    ("delivered", Deliver("m-1")),
    ("activated", Activate("m-1", "seen at tor-a:1")),
    ("committed", Commit("m-1")),
)


class Sample:
    """The sample network, and the plan of each step of web1's move; and the other two networks, at rest."""

    def __init__(self) -> None:
        self.routed = AtRest(populate_routed())
        self.cable = AtRest(populate_cable())
        self._state: State = with_fabric(None, load(FABRIC))
        self._compiler = Compiler()
        self.seen: dict[str, dict[int, Flow]] = {name: {} for name in self._state.fabric.switches}
        """Every flow a switch has had, by cookie."""
        self._do(*populate())
        self.sizes: dict[str, Counter[str]] = {"before": self._sizes()}
        self.plans: dict[str, Plan] = {}
        self.prepared: dict[str, tuple[list[Flow], list[Group]]] = {}
        for phase, command in STEPS:
            self.plans[phase] = self._do(command)
            self.sizes[phase] = self._sizes()
            if phase == "prepared":
                self.prepared = {name: self._tables(name) for name in self._state.fabric.switches}

    def _do(self, *commands: Command) -> Plan:
        change = apply(self._state, *commands, now=0.0)
        plan = self._compiler.plan(change)
        self._compiler.adopt(plan)
        self._state = change.state
        for name, flows in self.seen.items():
            flows.update((flow.cookie, flow) for flow in self._compiler.flows(name))
        return plan

    def _tables(self, switch: str) -> tuple[list[Flow], list[Group]]:
        flows = sorted(self._compiler.flows(switch), key=in_order)
        return flows, sorted(self._compiler.groups(switch), key=lambda group: group.id)

    def _sizes(self) -> Counter[str]:
        return Counter({name: len(list(self._compiler.flows(name))) for name in sorted(self._state.fabric.switches)})


class AtRest:
    """A sample network in which nothing moves."""

    def __init__(self, commands: list[Command]) -> None:
        state: State = with_fabric(None, load(FABRIC))
        for command in commands:
            state = apply(state, command, now=0.0).state
        self.state = state
        self._compiler = full(state)

    def flows(self, switch: str, *tables: Table) -> list[Flow]:
        """Return the flows of some tables of one switch, in the order in which a frame meets them."""
        return sorted((flow for flow in self._compiler.flows(switch) if flow.table in tables), key=in_order)

    def groups(self, switch: str) -> list[Group]:
        """Return the groups of one switch."""
        return sorted(self._compiler.groups(switch), key=lambda group: group.id)
