"""Whose a flow or group is, and what switches refused, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ryu_vmmob.engine.fleet import Refused, SwitchFault
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


def fault_view(fault: SwitchFault) -> dict[str, Any]:
    """Return the switch's words, the flow or group, and whose it is."""
    return {"error": fault.error, "cause": fault.cause, "owner": owner_view(fault.owner)}


_WORDS: Final[Mapping[OwnerKind, tuple[str, str]]] = {
    OwnerKind.VM: ("vm", "interface {part} of VM {name} is reached, or speaks, here"),
    OwnerKind.ROUTE: ("vm", "packets for interface {part} of VM {name} are routed here"),
    OwnerKind.CUG: ("cug", "this switch carries CUG {name}"),
    OwnerKind.GATEWAY: ("cug", "the gateway of CUG {name}, and addresses there that no VM has"),
    OwnerKind.ROUTING_DOMAIN: ("routing_domain", "this switch carries routing domain {name}"),
    OwnerKind.EXTERNAL: ("external", "external network {name} hangs on this switch"),
    OwnerKind.POLICY: ("policy", "policy {name} can matter here"),
    OwnerKind.SERVER: ("server", "what server {name} may not send ends here"),
    OwnerKind.PUNT: ("switch", "what this port may ask of the controller"),
    OwnerKind.TREES: ("switch", "frames of a tree come by that tree's links only"),
    OwnerKind.SWITCH: ("switch", "every switch has it"),
}
"""What kind of object people know an owner as, and why its flows are there."""


def owner_view(owner: Owner) -> dict[str, Any]:
    """Return whose a flow or group is, and why it is there. `flows.owner` has the kinds."""
    name: str | None = owner.name
    if owner.kind is OwnerKind.CABLE:
        kind, reason = "cug", _on_cable(owner)
    elif owner.kind is OwnerKind.HOP and owner.name.startswith(_ROUTED):
        name = owner.name.removeprefix(_ROUTED)
        kind, reason = "routing_domain", f"the way of routing domain {name} to its edge {owner.part}"
    elif owner.kind is OwnerKind.HOP:
        kind, reason = "cug", f"the way of CUG {name} to its members at {owner.part}"
    elif owner.kind in _WORDS:
        kind, template = _WORDS[owner.kind]
        reason = template.format(name=owner.name, part=owner.part)
    else:
        return {"kind": None, "name": None, "reason": str(owner)}
    return {"kind": kind, "name": None if kind == "switch" else name, "reason": reason}


def _on_cable(owner: Owner) -> str:
    if not owner.piece:
        return f"CUG {owner.name} is on the cable of server {owner.part}"
    if owner.piece == "vnic":
        return f"a vNIC of CUG {owner.name} has VLAN-ID {owner.number} at server {owner.part}"
    return f"broadcasts of CUG {owner.name} between vNICs at server {owner.part}, node {owner.number} of their tree"
