"""The fabric, its switches and their flows as answers (contract 3)."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.fabric.model import External, Fabric, L2Domain, Link, Server, Switch
from ryu_vmmob.flows.delta import SwitchTables
from ryu_vmmob.flows.flow import Flow, Group, group_name, show_instructions, show_match
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.rest.owners import fault_view, owner_view
from ryu_vmmob.rest.views import View, time_text


def fabric_view(state: State) -> View:
    """The fabric as it is loaded, in the words of its file."""
    fabric = state.fabric
    return {
        "fabric": fabric.name,
        "description": fabric.description,
        "gateway_mac": fabric.gateway_mac,
        "data_centers": [{"name": row.name, "description": row.description} for _, row in sorted(fabric.data_centers.items())],
        "l2_domains": [_domain(row) for _, row in sorted(fabric.l2_domains.items())],
        "switches": [_switch(row) for _, row in sorted(fabric.switches.items())],
        "links": [_link(row, row.name in state.links_down) for row in fabric.links],
        "servers": [_server(fabric, row) for _, row in sorted(fabric.servers.items())],
        "externals": [_external(state, row) for _, row in sorted(fabric.externals.items())],
        "revision": state.revision,
    }


def _domain(domain: L2Domain) -> View:
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


def _switch(switch: Switch) -> View:
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


def _link(link: Link, down: bool) -> View:
    return {
        "name": link.name,
        "a": str(link.a),
        "b": str(link.b),
        "l2_domain": link.l2_domain,
        "up": not down,
        "description": link.description,
    }


def _server(fabric: Fabric, server: Server) -> View:
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


def _external(state: State, external: External) -> View:
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


def switch_view(engine: Engine, switch: Switch) -> View:
    """A switch: what the fabric file says of it, and how it stands to what is desired.

    ``standing`` is ``refused`` where it has confirmed everything but its ``faults``. ``behind`` counts revisions decided and
    not confirmed; ``flows`` are the desired ones, by table; ``refused`` counts frames that no interface may send, by server;
    ``repairs`` what audits found wrong since the controller started.
    """
    status = engine.switch_status(switch.name)
    tables = engine.desired.tables.get(switch.name, SwitchTables())
    return _switch(switch) | {
        "connected": status.connected,
        "connected_since": time_text(engine.clock.told(status.since)) if status.since is not None else None,
        "in_step": status.in_step,
        "standing": status.place.value,
        "behind": status.behind,
        "flows": {table.label: tables.by_table[table] for table in TABLES},
        "refused": {
            server.name: engine.refusals.counts[server.name]
            for server in engine.state.fabric.servers_of[switch.name]
            if engine.refusals.counts[server.name]
        },
        "repairs": engine.repairs.counts(switch.name),
        "audits": engine.repairs.audits(switch.name),
        "audited": None if (last := engine.repairs.last(switch.name)) is None else time_text(engine.clock.told(last)),
        "foreign_flows": engine.repairs.foreign(switch.name),
        "dropped_messages": engine.fleet.dropped[switch.name],
        "groups": len(tables.groups),
        "habits": list(engine.fleet.habits(switch.name)),
        "faults": [fault_view(row) for row in status.faults],
    }


def flow_view(flow: Flow) -> View:
    """A desired flow in readable form."""
    return {
        "table": flow.table.label,
        "priority": flow.priority,
        "match": show_match(flow.match),
        "actions": show_instructions(flow),
        "cookie": f"0x{flow.cookie:016x}",
        "owner": owner_view(flow.owner),
    }


def group_view(group: Group) -> View:
    """A desired group in readable form."""
    return {
        "name": group_name(group.id),
        "id": group.id,
        "type": group.type.name.lower(),
        "buckets": [str(bucket) for bucket in group.buckets],
        "owner": owner_view(group.owner),
    }
