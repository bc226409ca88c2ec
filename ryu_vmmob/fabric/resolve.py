"""From shape to typed values: every name, id, port, VLAN-ID and address of the file, parsed once.

What cannot be parsed is reported and left out; the linter's rules and the loader both work on the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ryu_vmmob.fabric import values
from ryu_vmmob.fabric.findings import Path, Report, quote
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.fabric.schema import ExternalDoc, FabricDoc, LinkDoc, ServerDoc, SwitchDoc
from ryu_vmmob.fabric.values import Address, Interface, InvalidValueError, Network


@dataclass
class ExternalValues:
    """The parsed values of one external network, each with its path."""

    attach: PortRef | None
    addresses: list[tuple[Path, Interface]]
    prefixes: list[tuple[Path, Network]]
    next_hops: list[tuple[Path, Address]]


@dataclass
class Resolved:
    """A fabric file with its values parsed; what had a fault is absent or None."""

    doc: FabricDoc
    gateway_mac: str | None = None
    vlan_ids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dpids: dict[str, int] = field(default_factory=dict)
    extender_ports: dict[str, tuple[range, ...]] = field(default_factory=dict)
    link_ends: list[tuple[PortRef | None, PortRef | None]] = field(default_factory=list)
    server_ports: dict[str, tuple[PortRef | None, ...]] = field(default_factory=dict)
    server_vlan_ids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    externals: dict[str, ExternalValues] = field(default_factory=dict)

    def switches(self) -> Iterator[tuple[str, SwitchDoc]]:
        """Return the switches whose shape is right."""
        return ((name, doc) for name, doc in self.doc.switches.items() if doc is not None)

    def links(self) -> Iterator[tuple[int, LinkDoc]]:
        """Return the links, each with its position in the file, whose shape is right."""
        return ((position, doc) for position, doc in enumerate(self.doc.links) if doc is not None)

    def servers(self) -> Iterator[tuple[str, ServerDoc]]:
        """Return the servers whose shape is right."""
        return ((name, doc) for name, doc in self.doc.servers.items() if doc is not None)

    def external_networks(self) -> Iterator[tuple[str, ExternalDoc, ExternalValues]]:
        """Yield the external networks whose shape is right."""
        for name, doc in self.doc.externals.items():
            if doc is not None:
                yield name, doc, self.externals[name]

    def uses(self) -> Iterator[tuple[Path, PortRef]]:
        """Every use of a port in file order of the sections, with the path of the value that names it."""
        for position, ends in enumerate(self.link_ends):
            for key, end in zip("ab", ends, strict=True):
                if end is not None:
                    yield ("links", position, key), end
        for name, ports in self.server_ports.items():
            for position, port in enumerate(ports):
                if port is not None:
                    yield ("servers", name, "attach", position), port
        for name, external in self.externals.items():
            if external.attach is not None:
                yield ("externals", name, "attach"), external.attach


def resolve(doc: FabricDoc, report: Report) -> Resolved:
    """Parse every value of ``doc``; faults go to ``report``."""
    return _Resolver(doc, report).resolve()


_In = TypeVar("_In")
_Out = TypeVar("_Out")


class _Resolver:
    def __init__(self, doc: FabricDoc, report: Report) -> None:
        self._doc = doc
        self._report = report

    def resolve(self) -> Resolved:
        doc = self._doc
        if doc.name is not None:
            self._parse(values.name, doc.name, ("fabric",))
        for section in ("data_centers", "l2_domains", "switches", "servers", "externals"):
            for key in getattr(doc, section):
                self._parse(values.name, key, (section, key))
        found = Resolved(doc)
        if doc.gateway_mac is not None:
            found.gateway_mac = self._parse(values.gateway_mac, doc.gateway_mac, ("gateway_mac",))
        self._domains(found)
        self._switches(found)
        for position, link in enumerate(doc.links):
            ends = (None, None)
            if link is not None:
                place = ("links", position)
                self._known(doc.l2_domains, "L2 domain", link.l2_domain, (*place, "l2_domain"))
                found.link_ends.append((self._port(link.a, (*place, "a")), self._port(link.b, (*place, "b"))))
            else:
                found.link_ends.append(ends)
        for name, server in doc.servers.items():
            if server is not None:
                found.server_ports[name] = tuple(
                    self._port(text, ("servers", name, "attach", position)) for position, text in enumerate(server.attach)
                )
                if server.vlan_ids is not None:
                    found.server_vlan_ids[name] = self._vlan_ids(server.vlan_ids, ("servers", name, "vlan_ids"))
        for name, external in doc.externals.items():
            if external is not None:
                found.externals[name] = self._external(external, ("externals", name))
        return found

    def _domains(self, found: Resolved) -> None:
        for name, domain in self._doc.l2_domains.items():
            if domain is None:
                continue
            place = ("l2_domains", name)
            self._known(self._doc.data_centers, "data centre", domain.data_center, (*place, "data_center"))
            found.vlan_ids[name] = self._vlan_ids(domain.vlan_ids, (*place, "vlan_ids"))

    def _vlan_ids(self, value: int | str, path: Path) -> tuple[int, ...]:
        taken: set[int] = set()
        for piece in values.vlan_ranges(value):
            if isinstance(piece, InvalidValueError):
                self._report.add(piece.rule, path, str(piece))
                continue
            twice = sorted(taken.intersection(piece))
            if twice:
                said = f"{twice[0]}" if len(twice) == 1 else f"{twice[0]} to {twice[-1]}"
                self._report.add(Rule.VLAN_OVERLAP, path, f"ranges of {quote(value)} overlap: {said} stands twice")
            taken.update(piece)
        return tuple(sorted(taken))

    def _switches(self, found: Resolved) -> None:
        for name, switch in self._doc.switches.items():
            if switch is None:
                continue
            place = ("switches", name)
            self._known(self._doc.l2_domains, "L2 domain", switch.l2_domain, (*place, "l2_domain"))
            self._known(self._doc.data_centers, "data centre", switch.data_center, (*place, "data_center"))
            number = self._parse(values.dpid, switch.dpid, (*place, "dpid"))
            if number is not None:
                found.dpids[name] = number
            ports = None
            if switch.ports is not None:
                ports = self._parse(values.port_number, switch.ports, (*place, "ports"))
            if switch.max_flows is not None:
                self._parse(values.max_flows, switch.max_flows, (*place, "max_flows"))
            for table, size in (switch.table_sizes or {}).items():
                self._parse(values.table_name, table, (*place, "table_sizes", table))
                self._parse(values.max_flows, size, (*place, "table_sizes", table))
            extenders: tuple[range, ...] | None = ()
            if switch.extender_ports is not None:
                extenders = self._extender_ports(switch.extender_ports, ports or 0, (*place, "extender_ports"))
            if extenders is not None:
                found.extender_ports[name] = extenders

    def _extender_ports(self, value: int | str, ports: int, path: Path) -> tuple[range, ...] | None:
        """Return the ranges in ascending order, which may overlap; None when one of them could not be read.

        Ranges may hold 2^32 ports, so they are compared by their ends.
        """
        found = []
        faults = 0
        for piece in values.extender_ranges(value):
            if isinstance(piece, InvalidValueError):
                self._report.add(piece.rule, path, str(piece))
                faults += 1
            else:
                found.append(piece)
        found.sort(key=lambda ranged: (ranged.start, ranged.stop))
        if found and found[0].start <= ports:
            said = f"{quote(value)} begins at {found[0].start}, and the switch itself has ports 1 to {ports}"
            self._report.add(Rule.EXTENDER_OVERLAP, path, said)
        end = 0  # of all ranges before this one
        for ranged in found:
            if ranged.start < end:
                last = min(end, ranged.stop) - 1
                said = f"{last}" if last == ranged.start else f"{ranged.start} to {last}"
                self._report.add(Rule.EXTENDER_OVERLAP, path, f"ranges of {quote(value)} overlap: {said} stands twice")
            end = max(end, ranged.stop)
        return None if faults else tuple(found)

    def _external(self, external: ExternalDoc, place: Path) -> ExternalValues:
        self._parse(values.name, external.routing_domain, (*place, "routing_domain"))
        if external.vlan_id is not None:
            self._parse(values.vlan_id, external.vlan_id, (*place, "vlan_id"))
        return ExternalValues(
            attach=self._port(external.attach, (*place, "attach")),
            addresses=self._all(values.interface, external.addresses, (*place, "addresses")),
            prefixes=self._all(values.network, external.prefixes, (*place, "prefixes")),
            next_hops=self._all(values.host, external.next_hops, (*place, "next_hops")),
        )

    def _port(self, text: str, path: Path) -> PortRef | None:
        """Return a port of a switch that exists."""
        port = self._parse(values.port_ref, text, path)
        if port is None:
            return None
        in_range = self._parse(values.port_number, port.port, path) is not None
        known = self._known(self._doc.switches, "switch", port.switch, path)
        return port if in_range and known else None

    def _known(self, section: dict[str, _In], kind: str, name: str | None, path: Path) -> bool:
        if name is None or name in section:
            return True
        self._report.add(Rule.UNKNOWN_NAME, path, f"{kind} {quote(name)} does not exist")
        return False

    def _all(self, parse: Callable[[_In], _Out], texts: list[_In], path: Path) -> list[tuple[Path, _Out]]:
        found = []
        for position, text in enumerate(texts):
            value = self._parse(parse, text, (*path, position))
            if value is not None:
                found.append(((*path, position), value))
        return found

    def _parse(self, parse: Callable[[_In], _Out], value: _In, path: Path) -> _Out | None:
        try:
            return parse(value)
        except InvalidValueError as fault:
            self._report.add(fault.rule, path, str(fault))
            return None
