"""CUGs, VMs and migrations as answers (contract 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from immutables import Map

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.tickets import Switches
from ryu_vmmob.model.objects import Cug, Migration, Phase, TimelineEntry, Vm
from ryu_vmmob.model.placement import Placement
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.rest.owners import switches_view

View = dict[str, Any]


def time_text(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 text in UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def cug_view(state: State, cug: Cug) -> View:
    """A CUG; ``vlan_ids`` are the pins, ``presence`` is where it is now or is about to be."""
    return {
        "name": cug.name,
        "subnets": [str(subnet) for subnet in cug.subnets],
        "gateways": [str(gateway) for gateway in cug.gateways],
        "routing_domain": cug.routing_domain,
        "vlan_ids": dict(sorted(cug.pins.items())),
        "presence": _presence(state, cug.name),
        "revision": cug.revision,
        **({} if cug.ipv6_ra_mode is None else {"ipv6_ra_mode": cug.ipv6_ra_mode}),
    }


def _presence(state: State, cug: str) -> View:
    fabric = state.fabric
    edges, centers = set(), set()
    interfaces: dict[str, int] = {}
    alone: dict[str, int] = {}
    for wire, count in state.occupancy.get(cug, Map()).items():
        server = fabric.servers[wire.server]
        edges.add(server.switch)
        center = fabric.switches[server.switch].data_center
        if center is not None:
            centers.add(center)
        if server.l2_domain is None:
            alone[server.name] = alone.get(server.name, 0) + count
        else:
            interfaces[server.l2_domain] = interfaces.get(server.l2_domain, 0) + count
    return {
        "data_centers": sorted(centers),
        "edges": sorted(edges),
        "l2_domains": {
            domain: {"vlan_id": vlan_id, "interfaces": interfaces.get(domain, 0)}
            for domain, vlan_id in sorted(state.vlan_ids(cug).items())
        },
        "servers": {name: {"interfaces": count} for name, count in sorted(alone.items())},
    }


def vm_view(state: State, vm: Vm) -> View:
    """A VM; ``vlan_id`` of an interface is what the virtual switch of its server adds to its frames (None: nothing)."""
    return {
        "name": vm.name,
        "server": vm.server,
        "interfaces": [
            {
                "cug": interface.cug,
                "mac": mac_text(interface.mac),
                "ips": [str(ip) for ip in interface.ips],
                "guest_vlan_id": interface.guest_vlan_id,
                "vlan_id": state.added_vlan_id(vm, number, vm.server),
                **({} if not interface.ethertypes else {"ethertypes": ethertypes_view(interface.ethertypes)}),
            }
            for number, interface in enumerate(vm.interfaces)
        ],
        "migration": vm.migration,
        "revision": vm.revision,
    }


def ethertypes_view(found: tuple[int, ...] | Literal["any"]) -> Any:
    """Types as a body has them."""
    return found if found == "any" else [f"{kind:#06x}" for kind in found]


def placement_view(placement: Placement) -> View:
    """A server that a VM may move to, or why it may not."""
    return {
        "server": placement.server,
        "possible": placement.reason is None,
        "reason": placement.reason,
        "interfaces": [row._asdict() for row in placement.interfaces],
    }


def planned_view(migration: Migration) -> View:
    """A migration that is not begun: what would happen. No switch has been told, so all are pending."""
    view = _migration(migration, Switches([], sorted(migration.switches), []), lambda moment: moment)
    return {key: value for key, value in view.items() if key not in ("id", "revision")} | {"dry_run": True}


def migration_view(engine: Engine, migration: Migration) -> View:
    """A migration with what its switches have confirmed of its present phase."""
    # Old migrations may name switches that the fabric no longer has.
    known = tuple(name for name in migration.switches if name in engine.state.fabric.switches)
    switches = engine.migration_switches(replace(migration, switches=known))
    return _migration(engine.with_acknowledgements(migration), switches, engine.clock.told)


def _migration(migration: Migration, switches: Switches, told: Callable[[float], float]) -> View:
    return {
        "id": migration.id,
        "vm": migration.vm,
        "from": migration.source,
        "to": migration.target,
        **migration.options(),
        "state": migration.phase.value,
        "delivered": migration.is_delivered,
        "returning": migration.is_returning,
        "reason": migration.reason,
        "batch": migration.batch,
        "interfaces": [leg._asdict() for leg in migration.legs],
        "switches": switches_view(switches),
        "timeline": [_entry_view(entry, told) for entry in migration.timeline],
        "gap": _gap(migration),
        "revision": migration.revision,
    }


def _entry_view(entry: TimelineEntry, told: Callable[[float], float]) -> View:
    complete = _complete(entry)
    return {
        "state": entry.phase.value,
        "time": time_text(told(entry.time)),
        "flow_mods": dict(entry.flow_mods),
        "acknowledged": {
            name: time_text(told(entry.acknowledged[name])) if name in entry.acknowledged else None
            for name in entry.flow_mods
        },
        "frames": entry.frames,
        "complete": None if complete is None else time_text(told(complete)),
    }


def _complete(entry: TimelineEntry) -> float | None:
    """When the last of the switches that were told of a step had confirmed it; None while one has not."""
    if any(name not in entry.acknowledged for name in entry.flow_mods):
        return None
    return max((entry.time, *entry.acknowledged.values()))


def _gap(migration: Migration) -> float | None:
    """Seconds from the activation until every switch had confirmed it; None before that, and of a move never activated."""
    entry = next((row for row in migration.timeline if row.phase is Phase.ACTIVATED), None)
    complete = None if entry is None else _complete(entry)
    return None if entry is None or complete is None else round(complete - entry.time, 6)
