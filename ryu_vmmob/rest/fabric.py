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
from ryu_vmmob.rest.answers import Revision, VlanTag
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.views import View


class DataCenter(TypedDict):
    """A data centre."""

    name: str
    description: str


class L2Domain(TypedDict):
    """One space of VLAN-IDs."""

    name: str
    data_center: str | None
    vlan_ids: str
    translate_guest_tags: bool
    unannounced_moves: Literal["accept", "refuse"]
    description: str


class FabricSwitch(TypedDict):
    """A switch as the fabric file has it."""

    name: str
    dpid: Annotated[str, Field(pattern="^0x[0-9a-f]{16}$")]
    role: Role
    l2_domain: str
    data_center: str | None
    dialect: Dialect
    fragments: Fragments
    max_flows: int | None
    table_sizes: dict[str, int]
    l4_masks: bool
    meters: bool
    extender_ports: str | None
    description: str


class Link(TypedDict):
    """A link between two switches; ``up`` is false while it carries nothing."""

    name: str
    a: str
    b: str
    l2_domain: str
    up: bool
    description: str


class Server(TypedDict):
    """A hypervisor. ``vlan_ids``: those that vNICs may get on its cable, with tagging per interface."""

    name: str
    attach: list[str]
    tagging: Literal["per_interface", "per_cug", "untagged"]
    vlan_ids: str | None
    local_switching: Literal["trusted"] | None
    l2_domain: str | None
    data_center: str | None
    description: str


class External(TypedDict):
    """A network outside; ``neighbours`` are those that answer there, by address."""

    name: str
    attach: str
    vlan_id: VlanTag | None
    routing_domain: str
    addresses: list[str]
    prefixes: list[str]
    next_hops: list[str]
    up: bool
    neighbours: dict[str, str]
    description: str


class Fabric(TypedDict):
    """The fabric as it is loaded."""

    fabric: str
    description: str
    gateway_mac: str
    backup_paths: Literal["on_failure", "installed"]
    data_centers: list[DataCenter]
    l2_domains: list[L2Domain]
    switches: list[FabricSwitch]
    links: list[Link]
    servers: list[Server]
    externals: list[External]
    revision: Revision


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
    """``neighbours`` are those that answer: next hops, and hosts on the wire that somebody has sent to."""
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
