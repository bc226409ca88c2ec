"""Reading a fabric file: from text to a checked, typed :class:`~ryu_vmmob.fabric.model.Fabric`, or to findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Final, TypeVar

from ryu_vmmob.fabric import source
from ryu_vmmob.fabric.findings import NAME, FabricError, Finding, Report
from ryu_vmmob.fabric.lint import lint
from ryu_vmmob.fabric.model import (
    BackupPaths,
    DataCenter,
    Dialect,
    External,
    Fabric,
    Fragments,
    L2Domain,
    Link,
    PortRef,
    Role,
    Server,
    Switch,
    Tagging,
)
from ryu_vmmob.fabric.resolve import ExternalValues, Resolved, resolve
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.fabric.schema import ExternalDoc, read

_T = TypeVar("_T")


@dataclass(frozen=True)
class Examination:
    """All there is to say about one file: findings in file order, the fabric if none is an error, and what it holds.

    ``name`` is None when the file has none that is valid. ``counts`` has the number of objects in each section that was
    read, also of faulty ones.
    """

    findings: tuple[Finding, ...]
    fabric: Fabric | None = None
    name: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep the file from being loaded."""
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(finding for finding in self.findings if not finding.is_error)


def load(path: str | PathLike[str]) -> Fabric:
    """Return the fabric described by the file at ``path``; FabricError when it cannot be read or has an error."""
    filename = fspath(path)
    return _fabric(examine(read_bytes(filename), filename))


def read_bytes(filename: str) -> bytes:
    """Return the content of a file, at most one byte more than is accepted; FabricError when it cannot be read."""
    try:
        with open(filename, "rb") as file:
            return file.read(source.MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        report = Report(filename)
        report.add(Rule.FILE_UNREADABLE, (), f"cannot be read: {getattr(error, 'strerror', None) or error}")
        raise FabricError(report.findings) from error


def loads(text: str, filename: str = "<string>") -> Fabric:
    """Return the fabric described by ``text``; FabricError when it has an error. ``filename`` is for the findings."""
    return _fabric(examine(text, filename))


def check(text: str | bytes, filename: str = "<string>") -> tuple[Finding, ...]:
    """Every finding in ``text``, errors and warnings, in file order."""
    return examine(text, filename).findings


def examine(text: str | bytes, filename: str = "<string>") -> Examination:
    """Everything about ``text``; never raises for what it holds."""
    report = Report(filename)
    decoded = _decode(text, report)
    tree = None if decoded is None else source.parse(decoded, report)
    if tree is None and report.has_errors:
        return Examination(report.findings)
    doc = read(tree, report)
    if doc is None:
        return Examination(report.findings)
    resolved = resolve(doc, report)
    lint(resolved, report)
    sections = ("data_centers", "l2_domains", "switches", "links", "servers", "externals")
    return Examination(
        findings=report.findings,
        fabric=None if report.has_errors else build(resolved),
        name=doc.name if doc.name is not None and NAME.fullmatch(doc.name) else None,
        counts={section: len(getattr(doc, section)) for section in sections},
    )


def _fabric(examination: Examination) -> Fabric:
    if examination.fabric is None:
        raise FabricError(examination.findings)
    return examination.fabric


def _decode(text: str | bytes, report: Report) -> str | None:
    if len(text) > source.MAX_BYTES:
        report.add(Rule.TOO_LARGE, (), f"longer than {source.MAX_BYTES // 2**20} MiB")
        return None
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = max(1, len(text[: error.start].splitlines()))
        report.add(Rule.NOT_UTF8, (), f"byte {error.start} is not UTF-8 text", line=line)
        return None


def build(resolved: Resolved) -> Fabric:
    """Return the typed fabric of a file in which the linter found no error."""
    doc = resolved.doc
    switches = {
        name: Switch(
            name=name,
            dpid=resolved.dpids[name],
            role=Role(switch.role),
            l2_domain=switch.l2_domain,
            data_center=switch.data_center,
            description=switch.description,
            dialect=Dialect(switch.dialect),
            max_flows=switch.max_flows,
            table_sizes=tuple((switch.table_sizes or {}).items()),
            l4_masks=switch.l4_masks,
            meters=switch.meters,
            extender_ports=resolved.extender_ports[name],
            fragments=Fragments(switch.fragments) if switch.fragments is not None else None,
        )
        for name, switch in resolved.switches()
    }
    return Fabric(
        name=_sure(doc.name),
        gateway_mac=_sure(resolved.gateway_mac),
        data_centers={
            name: DataCenter(name, description=center.description)
            for name, center in doc.data_centers.items()
            if center is not None
        },
        l2_domains={
            name: L2Domain(
                name,
                vlan_ids=resolved.vlan_ids[name],
                data_center=domain.data_center,
                description=domain.description,
                translate_guest_tags=domain.translate_guest_tags,
                accept_unannounced=domain.unannounced_moves == "accept",
            )
            for name, domain in doc.l2_domains.items()
            if domain is not None
        },
        switches=switches,
        links=tuple(
            Link(
                _sure(resolved.link_ends[position][0]),
                _sure(resolved.link_ends[position][1]),
                link.l2_domain,
                description=link.description,
            )
            for position, link in resolved.links()
        ),
        servers=_servers(resolved, switches),
        externals={name: _external(name, external, parsed) for name, external, parsed in resolved.external_networks()},
        description=doc.description,
        backup_paths=BackupPaths(doc.backup_paths),
    )


VNIC_VLAN_IDS: Final = tuple(range(2, 4095))
"""What vNICs may get on a server's cable unless the file says otherwise: all but 1, the native VLAN of many switches."""


def _servers(resolved: Resolved, switches: Mapping[str, Switch]) -> dict[str, Server]:
    servers = {}
    for name, server in resolved.servers():
        attach: tuple[PortRef, ...] = tuple(_sure(port) for port in resolved.server_ports[name])
        tagging = Tagging.PER_CUG if server.tagging == "tagged" else Tagging(server.tagging)
        servers[name] = Server(
            name,
            attach=attach,
            l2_domain=switches[attach[0].switch].l2_domain if tagging is Tagging.PER_CUG else None,
            vlan_ids=resolved.server_vlan_ids.get(name, VNIC_VLAN_IDS) if tagging is Tagging.PER_INTERFACE else (),
            trusts_local_switching=server.local_switching == "trusted",
            description=server.description,
        )
    return servers


def _external(name: str, external: ExternalDoc, parsed: ExternalValues) -> External:
    return External(
        name=name,
        attach=_sure(parsed.attach),
        routing_domain=external.routing_domain,
        addresses=tuple(address for _, address in parsed.addresses),
        prefixes=tuple(prefix for _, prefix in parsed.prefixes),
        next_hops=tuple(hop for _, hop in parsed.next_hops),
        vlan_id=external.vlan_id,
        description=external.description,
    )


def _sure(value: _T | None) -> _T:
    """Return a value that the linter has seen to be there."""
    if value is None:
        raise AssertionError("a fabric with errors was built")
    return value
