"""The linter: everything a fabric file must hold beyond the shape of its objects.

Each rule is a function of the resolved file that reports every fault it finds; rules do not depend on each other, so
one run shows all faults. The rules of topology stand in ``lint_topology``, those of port extenders in
``lint_extenders``, those of external networks in ``lint_external``.
"""

from __future__ import annotations

from ryu_vmmob.fabric import lint_extenders, lint_external, lint_topology
from ryu_vmmob.fabric.findings import Path, Report, quote
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.fabric.resolve import Resolved
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.net.keys import MAX_VNIC_PORT


def lint(fabric: Resolved, report: Report) -> None:
    """Report every breach of every rule in ``fabric``."""
    for rule in (
        dpids,
        ports_used_once,
        attached_to_edges,
        bonds,
        tagging,
        lags,
        *lint_topology.RULES,
        *lint_extenders.RULES,
        *lint_external.RULES,
    ):
        rule(fabric, report)


def dpids(fabric: Resolved, report: Report) -> None:
    """No two switches have one datapath id."""
    first: dict[int, str] = {}
    for name, number in fabric.dpids.items():
        other = first.setdefault(number, name)
        if other != name:
            line = report.line(("switches", other, "dpid"))
            said = f"datapath id {number:#x} is used twice: switch {quote(other)} has it in line {line}"
            report.add(Rule.DPID_USED_TWICE, ("switches", name, "dpid"), said)


def ports_used_once(fabric: Resolved, report: Report) -> None:
    """Check that a port has one use: one end of a link, one server or one external network."""
    first: dict[PortRef, Path] = {}
    for path, port in fabric.uses():
        other = first.setdefault(port, path)
        if other != path and not _same_link(other, path):
            said = (
                f"port {port} is used twice: by {report.show(other)} in line {report.line(other)} "
                f"and by {report.show(path)} in line {report.line(path)}"
            )
            report.add(Rule.PORT_USED_TWICE, path, said)


def _same_link(one: Path, other: Path) -> bool:
    """Both ends of one link on one port: that is a link to itself, a rule of its own."""
    return one[0] == other[0] == "links" and one[1] == other[1]


def attached_to_edges(fabric: Resolved, report: Report) -> None:
    """Servers and external networks hang on edges."""
    for path, port in fabric.uses():
        switch = fabric.doc.switches[port.switch]
        if path[0] != "links" and switch is not None and switch.role == "spine":
            said = f"port {port} is on a spine: only edges (tor, border) take servers and external networks"
            report.add(Rule.ATTACH_NOT_EDGE, path, said)


def bonds(fabric: Resolved, report: Report) -> None:
    """``bond: lag`` stands where there are several ports, and only there."""
    for name, server in fabric.servers():
        place = ("servers", name)
        if not server.attach:
            report.add(Rule.ATTACH_EMPTY, (*place, "attach"), "the server is attached to no port")
        elif len(server.attach) > 1 and server.bond is None:
            said = f"{len(server.attach)} ports and no bond: write bond: lag, or one port for each server"
            report.add(Rule.BOND_MISSING, (*place, "attach"), said)
        elif len(server.attach) == 1 and server.bond is not None:
            report.add(Rule.BOND_SINGLE_PORT, (*place, "bond"), f"bond: {server.bond} needs several ports, here is one")


def tagging(fabric: Resolved, report: Report) -> None:
    """Keys that mean something with one kind of tagging stand with that kind only."""
    for name, server in fabric.servers():
        place = ("servers", name)
        own = server.tagging == "per_interface"
        if server.vlan_ids is not None and not own:
            said = f"tagging is {server.tagging}, so the server has no VLAN-IDs of its own: take vlan_ids away"
            report.add(Rule.SERVER_VLAN_IDS, (*place, "vlan_ids"), said)
        if server.local_switching is not None and own:
            said = "tagging is per_interface, so the ToR switches between all VMs here: take local_switching away"
            report.add(Rule.LOCAL_SWITCHING, (*place, "local_switching"), said)
        for position, port in enumerate(fabric.server_ports[name] if own else ()):
            if port is not None and port.port > MAX_VNIC_PORT:
                said = f"port {port} is above {MAX_VNIC_PORT}, and groups of vNICs are numbered by port"
                report.add(Rule.PER_INTERFACE_PORT, (*place, "attach", position), said)


def lags(fabric: Resolved, report: Report) -> None:
    """Check that the ports of a LAG are in one L2 domain (R14), and for the time being on one switch."""
    for name, ports in fabric.server_ports.items():
        place = ("servers", name, "attach")
        switches = {port.switch: None for port in ports if port is not None}
        if len(switches) < 2:
            continue
        domains: dict[str, str] = {}
        for switch in switches:
            doc = fabric.doc.switches[switch]
            if doc is not None:
                domains.setdefault(doc.l2_domain, switch)
        if len(domains) > 1:
            parts = ", ".join(f"{quote(domain)} on {switch}" for domain, switch in domains.items())
            report.add(Rule.LAG_SPANS_DOMAINS, place, f"a LAG cannot span L2 domains (R14), this one does: {parts}")
        else:
            said = f"the ports are on several switches ({', '.join(switches)}): multi-chassis LAGs are not carried yet"
            report.add(Rule.LAG_ONE_SWITCH, place, said)
