"""Rules of the ports that a switch has, itself or by its 802.1BR port extenders (R4)."""

from __future__ import annotations

from ryu_vmmob.fabric.findings import Report, quote
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.fabric.resolve import Resolved
from ryu_vmmob.fabric.rules import Rule


def ports_of_their_switch(fabric: Resolved, report: Report) -> None:
    """Check that no port is above what its switch declares, unless it is an extender port."""
    for path, port in fabric.uses():
        switch = fabric.doc.switches[port.switch]
        if switch is None or switch.ports is None or port.port <= switch.ports or _on_extender(fabric, port):
            continue
        if port.switch not in fabric.extender_ports:
            continue  # the range with a fault may be the one that has this port
        extended = "" if switch.extender_ports is None else f" and extender ports {quote(switch.extender_ports)}"
        said = f"port {port} is outside its switch: {quote(port.switch)} has ports 1 to {switch.ports}{extended}"
        report.add(Rule.PORT_OUTSIDE_SWITCH, path, said)


def extenders_on_tors(fabric: Resolved, report: Report) -> None:
    """Check that the controlling bridge of a port extender is a ToR."""
    for name, switch in fabric.switches():
        if switch.extender_ports is not None and switch.role != "tor":
            said = f"switch {quote(name)} is a {switch.role}: only a ToR is the controlling bridge of port extenders (R4)"
            report.add(Rule.EXTENDER_NOT_TOR, ("switches", name, "extender_ports"), said)


def links_elsewhere(fabric: Resolved, report: Report) -> None:
    """Links end at the ports of the switches themselves; a port extender widens a ToR towards servers."""
    for path, port in fabric.uses():
        if path[0] == "links" and _on_extender(fabric, port):
            said = f"port {port} is on a port extender, which takes servers and external networks but no link"
            report.add(Rule.LINK_ON_EXTENDER, path, said)


def _on_extender(fabric: Resolved, port: PortRef) -> bool:
    return any(port.port in ranged for ranged in fabric.extender_ports.get(port.switch, ()))


RULES = (ports_of_their_switch, extenders_on_tors, links_elsewhere)
