"""Random edits of a fabric, as an operator makes them in the file: things come, go and change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from itertools import count

from hypothesis import strategies as st

from ryu_vmmob.fabric.model import BackupPaths, External, Fabric, Link, PortRef, Role, Server, Switch

KINDS = (
    "description", "add server", "remove server", "recable server", "add link", "remove link", "add switch", "remove switch",
    "backup paths", "widen", "shrink", "add external", "remove external", "prefixes", "data centre",
)  # fmt: skip


class Edits:
    """Numbers for ports, dpids and names that nobody has had yet."""

    def __init__(self) -> None:
        self._fresh: Iterator[int] = count(2000)

    def draw(self, data: st.DataObject, fabric: Fabric) -> tuple[str, Fabric]:
        """A kind of edit, and the fabric after it (the same one where there is nothing to edit)."""
        kind = data.draw(st.sampled_from(KINDS))
        return kind, self._edit(data, fabric, kind)

    def _port(self, switch: str) -> PortRef:
        return PortRef(switch, next(self._fresh))

    def _edit(self, data: st.DataObject, fabric: Fabric, kind: str) -> Fabric:
        switches = sorted(fabric.switches)
        edges = [name for name in switches if fabric.switches[name].role.is_edge]

        def pick(names: Iterable[str]) -> str:
            return data.draw(st.sampled_from(sorted(names)))

        if kind == "description":
            name = pick(switches)
            described = replace(fabric.switches[name], description=f"text {next(self._fresh)}")
            return replace(fabric, switches={**fabric.switches, name: described})
        if kind == "backup paths":
            return replace(fabric, backup_paths=data.draw(st.sampled_from(BackupPaths)))
        if kind == "add server" and edges:
            edge = pick(edges)
            ports = tuple(self._port(edge) for _ in range(data.draw(st.integers(1, 2))))
            of_server = fabric.switches[edge].l2_domain if data.draw(st.booleans()) else None
            name = f"{data.draw(st.sampled_from('anz'))}{next(self._fresh)}"
            return replace(fabric, servers={**fabric.servers, name: Server(name, ports, of_server)})
        if kind in ("remove server", "recable server") and fabric.servers:
            name = pick(fabric.servers)
            server = fabric.servers[name]
            others = {key: row for key, row in fabric.servers.items() if key != name}
            if kind == "remove server":
                return replace(fabric, servers=others)
            return replace(fabric, servers={**others, name: replace(server, attach=(self._port(server.switch),))})
        if kind == "add link" and len(switches) > 1:
            one, other = data.draw(st.lists(st.sampled_from(switches), min_size=2, max_size=2, unique=True))
            link = Link(self._port(one), self._port(other), pick(fabric.l2_domains))
            return replace(fabric, links=(*fabric.links, link))
        if kind == "remove link" and fabric.links:
            link = data.draw(st.sampled_from(fabric.links))
            return replace(fabric, links=tuple(row for row in fabric.links if row != link))
        if kind == "add switch":
            return self._with_switch(data, fabric)
        if kind == "remove switch" and len(switches) > 1:
            return _without_switch(fabric, pick(switches))
        if kind in ("widen", "shrink"):
            name = pick(fabric.l2_domains)
            domain = fabric.l2_domains[name]
            ids = (*domain.vlan_ids, max(domain.vlan_ids) + 1) if kind == "widen" else domain.vlan_ids[1:] or domain.vlan_ids
            return replace(fabric, l2_domains={**fabric.l2_domains, name: replace(domain, vlan_ids=ids)})
        if kind == "add external" and edges:
            number = next(self._fresh)
            name, edge = f"out{number}", pick(edges)
            made = External(
                name, self._port(edge), "red", (ip_interface(f"192.{number % 200}.{number // 200}.1/24"),),
                (ip_network("0.0.0.0/0"),), (ip_address(f"192.{number % 200}.{number // 200}.254"),),
            )  # fmt: skip
            return replace(fabric, externals={**fabric.externals, name: made})
        if kind in ("remove external", "prefixes") and fabric.externals:
            name = pick(fabric.externals)
            rest = {key: row for key, row in fabric.externals.items() if key != name}
            if kind == "remove external":
                return replace(fabric, externals=rest)
            prefix = ip_network(f"172.16.{next(self._fresh) % 256}.0/24")
            return replace(fabric, externals={**rest, name: replace(fabric.externals[name], prefixes=(prefix,))})
        if kind == "data centre":
            name = pick(switches)
            center = data.draw(st.sampled_from([row.data_center for row in fabric.switches.values()]))
            return replace(fabric, switches={**fabric.switches, name: replace(fabric.switches[name], data_center=center)})
        return fabric

    def _with_switch(self, data: st.DataObject, fabric: Fabric) -> Fabric:
        number = next(self._fresh)
        name = f"{data.draw(st.sampled_from('anz'))}w{number}"
        role = data.draw(st.sampled_from([Role.TOR, Role.SPINE, Role.BORDER]))
        domain = data.draw(st.sampled_from(sorted(fabric.l2_domains)))
        center = data.draw(st.sampled_from([row.data_center for row in fabric.switches.values()]))
        uppers = data.draw(st.lists(st.sampled_from(sorted(fabric.switches)), min_size=1, max_size=3, unique=True))
        links = tuple(Link(self._port(name), self._port(upper), domain) for upper in uppers)
        servers = dict(fabric.servers)
        if role.is_edge:
            servers[f"s-{name}"] = Server(f"s-{name}", (self._port(name),), domain)
        switches = {**fabric.switches, name: Switch(name, number, role, domain, center)}
        return replace(fabric, switches=switches, links=(*fabric.links, *links), servers=servers)


def _without_switch(fabric: Fabric, name: str) -> Fabric:
    return replace(
        fabric,
        switches={key: row for key, row in fabric.switches.items() if key != name},
        links=tuple(row for row in fabric.links if name not in (row.a.switch, row.b.switch)),
        servers={key: row for key, row in fabric.servers.items() if row.switch != name},
        externals={key: row for key, row in fabric.externals.items() if row.attach.switch != name},
    )
