"""``/v1/fabric``: the fabric as it is loaded, in the words of its file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.fabric import model
from ryu_vmmob.fabric.model import Dialect, Fragments, Role
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.rest.answers import DomainName, ServerName, StateRevision, SwitchName, VlanTag
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import View

_Note = Annotated[str, says("The note of the fabric file. Empty: there is none.")]
_Center = Annotated[str | None, says("The data centre that it is in. null: none.")]


class DataCenter(TypedDict):
    """A data centre."""

    name: Annotated[str, says("The name of the data centre.")]
    description: _Note


class L2Domain(TypedDict):
    """One space of VLAN-IDs."""

    name: DomainName
    data_center: _Center
    vlan_ids: Annotated[str, says("The VLAN-IDs that may be given out there, 1 to 4094, as ranges: `100-199,300`.")]
    translate_guest_tags: Annotated[
        bool, says("Whether an edge port may translate a guest's own tag to the VLAN-ID of its CUG, and back (R24, R25, R27).")
    ]
    unannounced_moves: Annotated[
        Literal["accept", "refuse"], says("Whether a VM that speaks there without having been announced may have moved there.")
    ]
    description: _Note


class FabricSwitch(TypedDict):
    """A switch as the fabric file has it."""

    name: SwitchName
    dpid: Annotated[str, Field(pattern="^0x[0-9a-f]{16}$"), says("Its datapath ID: 64 bits in hexadecimal.")]
    role: Role
    l2_domain: Annotated[str, says("The L2 domain of its server ports.")]
    data_center: _Center
    dialect: Dialect
    fragments: Fragments
    max_flows: Annotated[
        int | None, Field(ge=1), says("How many flows it takes in all tables together, at least 1. null: no limit is known.")
    ]
    table_sizes: Annotated[
        dict[str, int], says("How many flows single tables take, by table. A table that is not named has no limit of its own.")
    ]
    l4_masks: Annotated[bool, says("Whether a switch of plain OpenFlow 1.3 matches TCP and UDP ports under a mask.")]
    meters: Annotated[bool, says("Whether an Open vSwitch has meters, and enough of them.")]
    extender_ports: Annotated[
        str | None, says("The ports of its port extenders, as ranges: `1001-1048`. null: it has no port extenders.")
    ]
    description: _Note


class Link(TypedDict):
    """A link between two switches."""

    name: Annotated[str, says("The name of the link: both ends, joined by `=`.")]
    a: Annotated[str, says("One end, as `SWITCH:PORT`.")]
    b: Annotated[str, says("The other end, as `SWITCH:PORT`.")]
    l2_domain: Annotated[str, says("The L2 domain whose VLAN-IDs are on the wire.")]
    up: Annotated[bool, says("Whether the link carries anything.")]
    description: _Note


class Server(TypedDict):
    """A hypervisor."""

    name: ServerName
    attach: Annotated[list[str], says("The switch ports of its cable, as `SWITCH:PORT`. Several ports are one bond.")]
    tagging: Annotated[
        Literal["per_interface", "per_cug", "untagged"],
        says(
            "How its frames say whose they are. `per_interface`: each vNIC has a VLAN-ID of its own on the cable. `per_cug`: a",
            "CUG has the VLAN-ID of the switch's L2 domain. `untagged`: the cable carries no VLAN-IDs.",
        ),
    ]
    vlan_ids: Annotated[
        str | None, says("VLAN-IDs that vNICs may get on its cable, as ranges: `2-4094`. null: not with this `tagging`.")
    ]
    local_switching: Annotated[
        Literal["trusted"] | None,
        says(
            "`trusted`: policies between VMs that its own switch joins need not be enforced by the fabric. null: they must be."
        ),
    ]
    l2_domain: Annotated[
        str | None, says("The L2 domain whose VLAN-IDs are on its cable. null: the server is an L2 domain of its own.")
    ]
    data_center: _Center
    description: _Note


class External(TypedDict):
    """A network outside."""

    name: Annotated[str, says("The name of the external network.")]
    attach: Annotated[str, says("The edge port that leads there, as `SWITCH:PORT`.")]
    vlan_id: Annotated[VlanTag | None, says("The tag on that port, 1 to 4094. null: untagged.")]
    routing_domain: Annotated[str, says("The routing domain that reaches it.")]
    addresses: Annotated[list[str], says("The edge's own addresses there, each with its prefix length.")]
    prefixes: Annotated[list[str], says("Prefixes that are reached through its next hops.")]
    next_hops: Annotated[list[str], says("The addresses of the routers there.")]
    up: Annotated[bool, says("Whether its port is alive.")]
    neighbours: Annotated[dict[str, str], says("The MAC addresses of next hops and hosts that answer there, by IP address.")]
    description: _Note


class Fabric(TypedDict):
    """The fabric as it is loaded."""

    fabric: Annotated[str, says("The name of the fabric.")]
    description: _Note
    gateway_mac: Annotated[str, says("The MAC address of the gateway of every CUG, the same on every edge.")]
    backup_paths: Annotated[
        Literal["on_failure", "installed"],
        says("When switches get the flows of another path: `on_failure` of the path, or before it (`installed`)."),
    ]
    data_centers: Annotated[list[DataCenter], says("The data centres, by name.")]
    l2_domains: Annotated[list[L2Domain], says("The L2 domains, by name.")]
    switches: Annotated[list[FabricSwitch], says("The switches, by name.")]
    links: Annotated[list[Link], says("The links between switches.")]
    servers: Annotated[list[Server], says("The servers, by name.")]
    externals: Annotated[list[External], says("The external networks, by name.")]
    revision: StateRevision


def fabric_view(state: State) -> View:
    """Return the fabric as it is loaded, in the words of its file."""
    fabric = state.fabric
    return {
        "fabric": fabric.name,
        "description": fabric.description,
        "gateway_mac": fabric.gateway_mac,
        "backup_paths": fabric.backup_paths.value,
        "data_centers": [{"name": row.name, "description": row.description} for _, row in sorted(fabric.data_centers.items())],
        "l2_domains": [domain_view(row) for _, row in sorted(fabric.l2_domains.items())],
        "switches": [fabric_switch_view(row) for _, row in sorted(fabric.switches.items())],
        "links": [_link(row, down=row.name in state.links_down) for row in fabric.links],
        "servers": [_server(fabric, row) for _, row in sorted(fabric.servers.items())],
        "externals": [_external(state, row) for _, row in sorted(fabric.externals.items())],
        "revision": state.revision,
    }


def domain_view(domain: model.L2Domain) -> View:
    """Return an L2 domain as the fabric file has it."""
    return {
        "name": domain.name,
        "data_center": domain.data_center,
        "vlan_ids": ranges(domain.vlan_ids),
        "translate_guest_tags": domain.translate_guest_tags,
        "unannounced_moves": "accept" if domain.accept_unannounced else "refuse",
        "description": domain.description,
    }


def ranges(numbers: tuple[int, ...]) -> str:
    """Ascending numbers as ``100-199,300``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return _spans((low, high) for low, high in runs)


def _spans(runs: Iterable[tuple[int, int]]) -> str:
    """First and last numbers as ``100-199,300``."""
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def fabric_switch_view(switch: model.Switch) -> View:
    """Return a switch as the fabric file has it."""
    return {
        "name": switch.name,
        "dpid": f"0x{switch.dpid:016x}",
        "role": switch.role.value,
        "l2_domain": switch.l2_domain,
        "data_center": switch.data_center,
        "dialect": switch.dialect.value,
        "fragments": "pass" if switch.passes_fragments else "drop",
        "max_flows": switch.max_flows,
        "table_sizes": dict(switch.table_sizes),
        "l4_masks": switch.l4_masks,
        "meters": switch.meters,
        "extender_ports": _spans((row.start, row.stop - 1) for row in switch.extender_ports) or None,
        "description": switch.description,
    }


def _link(link: model.Link, *, down: bool) -> View:
    return {
        "name": link.name,
        "a": str(link.a),
        "b": str(link.b),
        "l2_domain": link.l2_domain,
        "up": not down,
        "description": link.description,
    }


def _server(fabric: model.Fabric, server: model.Server) -> View:
    return {
        "name": server.name,
        "attach": [str(port) for port in server.attach],
        "tagging": server.tagging.value,
        "vlan_ids": ranges(server.vlan_ids) or None,
        "local_switching": "trusted" if server.trusts_local_switching else None,
        "l2_domain": server.l2_domain,
        "data_center": fabric.switches[server.switch].data_center,
        "description": server.description,
    }


def _external(state: State, external: model.External) -> View:
    """``neighbours`` are those that answer: next hops, and hosts on the wire to which a VM has sent."""
    neighbours = sorted(
        ((ip, mac) for (name, ip), mac in state.neighbours.items() if name == external.name),
        key=lambda row: (row[0].version, row[0].packed),
    )
    return {
        "name": external.name,
        "attach": str(external.attach),
        "vlan_id": external.vlan_id,
        "routing_domain": external.routing_domain,
        "addresses": [str(row) for row in external.addresses],
        "prefixes": [str(row) for row in external.prefixes],
        "next_hops": [str(row) for row in external.next_hops],
        "up": external.name not in state.externals_down,
        "neighbours": {str(ip): mac_text(mac) for ip, mac in neighbours},
        "description": external.description,
    }


def get_fabric(call: Call) -> Answer:
    """Return the fabric as it is loaded."""
    return Answer(200, fabric_view(call.engine.state))


ROUTES: Final = (Route("GET", "/v1/fabric", get_fabric, listing("get_fabric", "Fabric", Fabric)),)
