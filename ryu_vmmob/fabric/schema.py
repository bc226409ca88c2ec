"""The shape of the fabric file: keys and types of every object, checked object by object.

An object with a fault of shape is reported and left out, so that the linter still sees all the others; its name stays
known, so that references to it are no further faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ryu_vmmob.fabric.findings import Path, Report, quote
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.fabric.source import Value

FORMAT_VERSION = 1
_TEXT = "text"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _empty_if_null(value: object) -> object:
    return {} if value is None else value


class DataCenterDoc(_Shape):
    """A site."""

    description: str = Field("", description=_TEXT)


class L2DomainDoc(_Shape):
    """One VLAN-ID space; ``vlan_ids`` as in ``"100-199,300"``."""

    vlan_ids: int | str = Field(description='VLAN-IDs that may be allocated there, `"100-199,300"`, within 1 to 4094')
    data_center: str | None = Field(None, description="the site; none for a domain between sites")
    translate_guest_tags: bool = Field(
        default=False,
        description="`true`: an edge port of this domain may translate a guest's own VLAN tag to the domain's VLAN-ID of "
        "the CUG, and back (R24, R25, R27); `false`: it may not",
    )
    unannounced_moves: Literal["refuse", "accept"] = Field(
        "refuse",
        description="`refuse` or `accept`: what the controller does with unannounced moves of VMs to servers of this"
        " domain's switches",
    )
    description: str = Field("", description=_TEXT)


class SwitchDoc(_Shape):
    """An OpenFlow switch.

    ``ports``, where given, is how many ports it has, ``max_flows`` how many flows it takes, ``table_sizes`` how many each of
    its tables takes; ``extender_ports`` are those
    of its port extenders, as in ``"1001-1048,2001-2048"``.
    """

    dpid: int | str = Field(
        description='64-bit datapath id: a number, `"0x0a"`, or the 16 hexadecimal digits that Open vSwitch prints',
    )
    role: Literal["tor", "spine", "border"] = Field(
        description="`tor`, `spine` or `border`; `tor` and `border` are edges",
    )
    l2_domain: str = Field(description="the domain of its server ports")
    data_center: str | None = Field(None, description="the site")
    ports: int | None = Field(None, description="how many ports it has; higher port numbers are then refused")
    extender_ports: int | str | None = Field(
        None,
        description='ports of its port extenders, `"1001-1048,2001-2048"`, above `ports`; on a `tor` only',
    )
    dialect: Literal["openvswitch", "openflow13"] = Field(
        "openvswitch",
        description="`openvswitch`, or `openflow13` for plain OpenFlow 1.3",
    )
    fragments: Literal["pass", "drop"] | None = Field(
        None,
        description="`pass` fragments of IP, or `drop` them; none: `pass`, and with `openflow13` `drop`",
    )
    max_flows: int | None = Field(
        None,
        description="how many flows it takes in all tables together, 1 to 4294967295; none: no limit is known",
    )
    table_sizes: dict[str, int] | None = Field(
        None,
        description="how many flows each table takes, `{admit: 2048, bridge: 32768}`, by the names of the pipeline's tables;"
        " a table that is not named has no limit of its own",
    )
    l4_masks: bool = Field(
        default=False,
        description="`true`: a switch with `openflow13` matches TCP and UDP ports under a mask, which OpenFlow 1.3 does not"
        " have; `false`: ranges of ports become single ports there",
    )
    meters: bool = Field(
        default=True,
        description="`false`: a switch with `openvswitch` that has no meters, or too few; the controller's own limits"
        " replace them",
    )
    description: str = Field("", description=_TEXT)


class LinkDoc(_Shape):
    """A cable between the ports ``a`` and ``b``."""

    a: str = Field(description="one end, `SWITCH:PORT`")
    b: str = Field(description="the other end")
    l2_domain: str = Field(description="the L2 domain whose VLAN-IDs are on the wire")
    description: str = Field("", description=_TEXT)


class ServerDoc(_Shape):
    """A hypervisor and the ports to which it is attached."""

    attach: Annotated[list[str], BeforeValidator(_listed)] = Field(
        description="a port, or a list of ports that form one LAG",
    )
    tagging: Literal["per_interface", "per_cug", "untagged", "tagged"] = Field(
        "per_interface",
        description="`per_interface`: a trivial L2 domain in which each vNIC has a VLAN-ID of its own; `per_cug` (or `tagged`,"
        " its older name): VLAN-IDs of the switch's domain, one for each CUG; `untagged`: a trivial domain without VLAN-IDs",
    )
    vlan_ids: int | str | None = Field(
        None,
        description='VLAN-IDs that vNICs may get on the server\'s cable; none: `"2-4094"`; `per_interface` only',
    )
    local_switching: Literal["trusted"] | None = Field(
        None,
        description="`trusted`: policies between VMs that the server's own switch joins need not be enforced; not with"
        " `per_interface`, where the ToR enforces them",
    )
    bond: Literal["lag"] | None = Field(None, description="`lag`; required with several ports, refused with one")
    description: str = Field("", description=_TEXT)


class ExternalDoc(_Shape):
    """A network outside."""

    attach: str = Field(description="an edge port")
    routing_domain: str = Field(description="the routing domain that reaches this network")
    addresses: list[str] = Field(description="the fabric's own addresses there, with prefix length")
    prefixes: list[str] = Field([], description="prefixes reached through `next_hops`; connected subnets need no entry")
    next_hops: list[str] = Field([], description="routers there, inside the subnets of `addresses`")
    vlan_id: int | None = Field(None, description="the tag on the port; none: untagged")
    description: str = Field("", description=_TEXT)


_Section = Annotated[dict[str, Any], BeforeValidator(_empty_if_null)]


class _Top(_Shape):
    """The top of the file; its sections are checked entry by entry."""

    version: int = Field(description=str(FORMAT_VERSION))
    fabric: str = Field(description="name of the fabric")
    gateway_mac: str = Field(description="unicast MAC address: the anycast gateway of every CUG, on every edge")
    description: str = Field("", description=_TEXT)
    backup_paths: Literal["on_failure", "installed"] = Field(
        "on_failure",
        description="`on_failure`: switches get what another path needs when a path has failed; `installed`: they have it"
        " before, for the loss of any one link, spine or border, and only groups change then",
    )
    l2_domains: _Section = Field(description="L2 physical domains, by name: one VLAN-ID space each")
    switches: _Section = Field(description="OpenFlow switches, by name")
    data_centers: _Section = Field({}, description="sites, by name")
    links: Annotated[list[Any], BeforeValidator(lambda value: [] if value is None else value)] = Field(
        [],
        description="list of cables between switches",
    )
    servers: _Section = Field({}, description="hypervisors, by name")
    externals: _Section = Field({}, description="external networks, by name")


@dataclass
class FabricDoc:
    """A fabric file by shape; None stands for what was there and had a fault."""

    name: str | None = None
    gateway_mac: str | None = None
    description: str = ""
    backup_paths: str = "on_failure"
    data_centers: dict[str, DataCenterDoc | None] = field(default_factory=dict)
    l2_domains: dict[str, L2DomainDoc | None] = field(default_factory=dict)
    switches: dict[str, SwitchDoc | None] = field(default_factory=dict)
    links: list[LinkDoc | None] = field(default_factory=list)
    servers: dict[str, ServerDoc | None] = field(default_factory=dict)
    externals: dict[str, ExternalDoc | None] = field(default_factory=dict)


_Doc = TypeVar("_Doc", bound=_Shape)


def read(tree: Value, report: Report) -> FabricDoc | None:
    """Return the document by shape, faults to ``report``; None when the top is no mapping."""
    if not isinstance(tree, dict):
        said = "the file is empty" if tree is None else f"found {_kind(tree)}"
        report.add(Rule.WRONG_TYPE, (), f"{said}: a mapping with version, fabric, switches and so on is expected")
        return None
    _validate(_Top, tree, (), report)
    version = tree.get("version")
    if type(version) is int and version != FORMAT_VERSION:
        report.add(Rule.VERSION_UNSUPPORTED, ("version",), f"version {quote(version)} is not known: this is {FORMAT_VERSION}")
    links = tree.get("links")
    return FabricDoc(
        name=_text(tree, "fabric"),
        gateway_mac=_text(tree, "gateway_mac"),
        description=_text(tree, "description") or "",
        backup_paths=_text(tree, "backup_paths") or "on_failure",
        data_centers=_section(DataCenterDoc, tree, "data_centers", report),
        l2_domains=_section(L2DomainDoc, tree, "l2_domains", report),
        switches=_section(SwitchDoc, tree, "switches", report),
        links=[
            _validate(LinkDoc, entry, ("links", position), report)
            for position, entry in enumerate(links if isinstance(links, list) else [])
        ],
        servers=_section(ServerDoc, tree, "servers", report),
        externals=_section(ExternalDoc, tree, "externals", report),
    )


def _text(tree: Mapping[str, Any], key: str) -> str | None:
    value = tree.get(key)
    return value if isinstance(value, str) else None


def _section(model: type[_Doc], tree: Mapping[str, Any], key: str, report: Report) -> dict[str, _Doc | None]:
    section = tree.get(key)
    if not isinstance(section, dict):
        return {}
    nullable = model is DataCenterDoc  # "dc1:" with nothing behind it says all there is to say
    return {
        name: _validate(model, {} if entry is None and nullable else entry, (key, name), report)
        for name, entry in section.items()
    }


def _validate(model: type[_Doc], value: object, path: Path, report: Report) -> _Doc | None:
    """``value`` as ``model``; unknown keys are reported and skipped, any other fault gives None."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=True)
    _report(faults, model, value, path, report)
    if not isinstance(value, dict) or any(fault["type"] != "extra_forbidden" for fault in faults):
        return None
    return model.model_validate({key: entry for key, entry in value.items() if key in model.model_fields})


_EXPECTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _report(faults: list[ErrorDetails], model: type[_Shape], value: object, path: Path, report: Report) -> None:
    wrong: dict[Path, tuple[object, list[str]]] = {}
    for fault in faults:
        place = (*path, *fault["loc"])
        kind = fault["type"]
        if kind == "extra_forbidden":
            meant = get_close_matches(str(place[-1]), model.model_fields, 1)
            hint = f", did you mean {quote(meant[0])}" if meant else ""
            known = ", ".join(model.model_fields)
            report.add(Rule.UNKNOWN_KEY, place, f"unknown key {quote(place[-1])}{hint}; known here: {known}")
        elif kind == "missing":
            report.add(Rule.MISSING_KEY, place, f"key {quote(place[-1])} is missing")
        elif kind == "literal_error":
            expected = fault["ctx"]["expected"].replace("'", "")
            report.add(Rule.UNKNOWN_VALUE, place, f"found {_kind(fault['input'])}: expected {expected}")
        else:
            # Several faults at one place are the branches of one union.
            _, expectations = wrong.setdefault(report.existing(place), (fault["input"], []))
            expectations.append(_EXPECTED.get(kind, fault["msg"]))
    for place, (found, expectations) in wrong.items():
        report.add(Rule.WRONG_TYPE, place, f"found {_kind(found)}: expected {' or '.join(expectations)}")


def _kind(value: object) -> str:
    """Return a value of the wrong type in words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"text {quote(value)}"
    return f"{quote(value)}"
