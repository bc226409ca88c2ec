"""Whose a flow or group is, and what switches refused, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ryu_vmmob.engine.fleet import Fault, Refused
from ryu_vmmob.engine.tickets import Switches
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.model.objects import routed_segment

_ROUTED = routed_segment("")
MOST_REFUSED: Final = 100
"""Refused flows and groups that one answer names; a switch's own resource has all of them."""


def switches_view(found: Switches) -> dict[str, Any]:
    """Return what became of a write at the switches; ``refused`` is there where one of them refused something."""
    view: dict[str, Any] = {"acknowledged": found.acknowledged, "pending": found.pending}
    return view | {"refused": refused_view(found.refused)} if found.refused else view


def refused_view(rows: Iterable[Refused]) -> list[dict[str, Any]]:
    """Return the first `MOST_REFUSED` of what switches refused."""
    return [{"switch": row.switch, **fault_view(row.fault)} for row in list(rows)[:MOST_REFUSED]]


def fault_view(fault: Fault) -> dict[str, Any]:
    """Return the switch's words, the flow or group, and whose it is."""
    return {"error": fault.error, "cause": fault.cause, "owner": owner_view(fault.owner)}


def owner_view(owner: Owner) -> dict[str, Any]:
    """Whose a flow or group is, and why it is there. `flows.owner` has the kinds."""
    match owner:
        case Owner(OwnerKind.VM, name, number):
            return {"kind": "vm", "name": name, "reason": f"interface {number} of VM {name} is reached, or speaks, here"}
        case Owner(OwnerKind.ROUTE, name, number):
            return {"kind": "vm", "name": name, "reason": f"packets for interface {number} of VM {name} are routed here"}
        case Owner(OwnerKind.CUG, name):
            return {"kind": "cug", "name": name, "reason": f"this switch carries CUG {name}"}
        case Owner(OwnerKind.CABLE, name, server, ""):
            return {"kind": "cug", "name": name, "reason": f"CUG {name} is on the cable of server {server}"}
        case Owner(OwnerKind.CABLE, name, server, "vnic", tag):
            return {"kind": "cug", "name": name, "reason": f"a vNIC of CUG {name} has VLAN-ID {tag} at server {server}"}
        case Owner(OwnerKind.CABLE, name, server, _, number):
            reason = f"broadcasts of CUG {name} between vNICs at server {server}, node {number} of their tree"
            return {"kind": "cug", "name": name, "reason": reason}
        case Owner(OwnerKind.GATEWAY, name):
            return {"kind": "cug", "name": name, "reason": f"the gateway of CUG {name}, and addresses there that nobody has"}
        case Owner(OwnerKind.HOP, segment, edge) if segment.startswith(_ROUTED):
            name = segment.removeprefix(_ROUTED)
            reason = f"the way of routing domain {name} to its edge {edge}"
            return {"kind": "routing_domain", "name": name, "reason": reason}
        case Owner(OwnerKind.HOP, name, edge):
            return {"kind": "cug", "name": name, "reason": f"the way of CUG {name} to its members at {edge}"}
        case Owner(OwnerKind.ROUTING_DOMAIN, name):
            return {"kind": "routing_domain", "name": name, "reason": f"this switch carries routing domain {name}"}
        case Owner(OwnerKind.EXTERNAL, name):
            return {"kind": "external", "name": name, "reason": f"external network {name} hangs on this switch"}
        case Owner(OwnerKind.POLICY, name):
            return {"kind": "policy", "name": name, "reason": f"policy {name} can matter here"}
        case Owner(OwnerKind.SERVER, name):
            return {"kind": "server", "name": name, "reason": f"what server {name} may not send ends here"}
        case Owner(OwnerKind.PUNT):
            return {"kind": "switch", "name": None, "reason": "what this port may ask of the controller"}
        case Owner(OwnerKind.TREES):
            return {"kind": "switch", "name": None, "reason": "frames of a tree come by that tree's links only"}
        case Owner(OwnerKind.SWITCH):
            return {"kind": "switch", "name": None, "reason": "every switch has it"}
        case _:
            return {"kind": None, "name": None, "reason": str(owner)}
