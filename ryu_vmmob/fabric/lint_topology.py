"""Rules of topology: links, data centres, L2 domains and whether it all hangs together."""

from __future__ import annotations

import networkx as nx

from ryu_vmmob.fabric.findings import Report, quote
from ryu_vmmob.fabric.resolve import Resolved
from ryu_vmmob.fabric.rules import Rule

_MOST_NAMES = 6


def links(fabric: Resolved, report: Report) -> None:
    """Check that a link joins two switches, under an L2 domain that has business there."""
    for position, link in fabric.links():
        a, b = fabric.link_ends[position]
        if a is None or b is None:
            continue
        place = ("links", position)
        if a.switch == b.switch:
            report.add(Rule.LINK_TO_ITSELF, place, f"the link joins switch {quote(a.switch)} to itself")
            continue
        domain = fabric.doc.l2_domains.get(link.l2_domain)
        ends = [fabric.doc.switches[end.switch] for end in (a, b)]
        if domain is None or domain.data_center not in fabric.doc.data_centers or None in ends:
            continue
        if all(end is not None and end.data_center != domain.data_center for end in ends):
            said = (
                f"L2 domain {quote(link.l2_domain)} belongs to data centre {quote(domain.data_center)}, "
                f"and neither {a.switch} nor {b.switch} is there"
            )
            report.add(Rule.LINK_DOMAIN_FOREIGN, (*place, "l2_domain"), said)


def data_centers_agree(fabric: Resolved, report: Report) -> None:
    """Check that a switch is in the data centre of its L2 domain; every edge is in some data centre, if there are any."""
    known: set[str | None] = set(fabric.doc.data_centers)
    for name, switch in fabric.switches():
        place = ("switches", name)
        domain = fabric.doc.l2_domains.get(switch.l2_domain)
        if switch.data_center is None:
            if fabric.doc.data_centers and switch.role != "spine":
                report.add(Rule.EDGE_WITHOUT_DATA_CENTER, place, f"edge {quote(name)} is in no data centre")
        elif (
            domain is not None
            and switch.data_center != domain.data_center
            and known.issuperset((switch.data_center, domain.data_center))
        ):
            said = (
                f"the switch is in data centre {quote(switch.data_center)} and its L2 domain "
                f"{quote(switch.l2_domain)} in {quote(domain.data_center)}"
            )
            report.add(Rule.DATA_CENTER_MISMATCH, (*place, "data_center"), said)


def data_centers_complete(fabric: Resolved, report: Report) -> None:
    """Check that a data centre has switches and, where there are several, a border (R5)."""
    if None in fabric.doc.switches.values():
        return  # where the faulty ones belong is not known
    for name in fabric.doc.data_centers:
        roles = {switch.role for _, switch in fabric.switches() if switch.data_center == name}
        place = ("data_centers", name)
        if not roles:
            report.add(Rule.DATA_CENTER_EMPTY, place, f"data centre {quote(name)} has no switch")
        elif len(fabric.doc.data_centers) > 1 and "border" not in roles:
            said = f"data centre {quote(name)} has no border switch to the other data centres (R5)"
            report.add(Rule.DATA_CENTER_WITHOUT_BORDER, place, said)


def domains_used(fabric: Resolved, report: Report) -> None:
    """Check that a switch or a link uses every L2 domain."""
    if None in fabric.doc.switches.values() or None in fabric.doc.links:
        return
    used = {switch.l2_domain for _, switch in fabric.switches()} | {link.l2_domain for _, link in fabric.links()}
    for name in fabric.doc.l2_domains:
        if name not in used:
            report.add(Rule.DOMAIN_UNUSED, ("l2_domains", name), f"no switch and no link uses L2 domain {quote(name)}")


def connected(fabric: Resolved, report: Report) -> None:
    """Links join all switches into one fabric.

    An edge without any link is named on its own; the parts of a split fabric are then those of the other switches. A
    lone switch is a fabric, if something hangs on it.
    """
    if not fabric.doc.switches and "switches" in {path[0] for path in report.lines if path}:
        report.add(Rule.FABRIC_EMPTY, ("switches",), "the fabric has no switch")
        return
    if any(end is None for ends in fabric.link_ends for end in ends):
        return  # a link with a fault may be the one that is missed
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(fabric.doc.switches)
    graph.add_edges_from((a.switch, b.switch) for a, b in fabric.link_ends if a is not None and b is not None)
    in_use = {port.switch for _, port in fabric.uses()}
    alone = len(fabric.doc.switches) == 1
    in_doubt = None in fabric.doc.servers.values() or any(None in ports for ports in fabric.server_ports.values())
    for name, switch in fabric.switches():
        if switch.role == "spine" or graph.degree[name] > 0 or (alone and (name in in_use or in_doubt)):
            continue
        hangs = "servers or external networks hang on it, but no link" if name in in_use else "nothing"
        report.add(Rule.EDGE_UNCONNECTED, ("switches", name), f"{hangs} connects edge {quote(name)}")
        graph.remove_node(name)
    parts = [[name for name in fabric.doc.switches if name in part] for part in nx.connected_components(graph)]
    if len(parts) > 1:
        said = "; ".join(_names(part) for part in sorted(parts, key=len, reverse=True)[:_MOST_NAMES])
        more = f"; and {len(parts) - _MOST_NAMES} more" if len(parts) > _MOST_NAMES else ""
        report.add(Rule.FABRIC_SPLIT, ("switches",), f"no link joins the {len(parts)} parts of the fabric: {said}{more}")


def backed_up(fabric: Resolved, report: Report) -> None:
    """Check that backup paths exist where they are to be installed: no link is the only one between two parts."""
    if fabric.doc.backup_paths != "installed" or any(end is None for ends in fabric.link_ends for end in ends):
        return
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    graph.add_edges_from((a.switch, b.switch) for a, b in fabric.link_ends if a is not None and b is not None)
    alone = sorted(tuple(sorted(pair)) for pair in nx.bridges(graph))
    if alone:
        pairs = _names([f"{one} and {other}" for one, other in alone])
        said = f"there is no other path when the only link between these fails: {pairs}"
        report.add(Rule.BACKUP_PATH_MISSING, ("backup_paths",), said)


def _names(part: list[str]) -> str:
    more = f" and {len(part) - _MOST_NAMES} more" if len(part) > _MOST_NAMES else ""
    return ", ".join(part[:_MOST_NAMES]) + more


RULES = (links, data_centers_agree, data_centers_complete, domains_used, connected, backed_up)
