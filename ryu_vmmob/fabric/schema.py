"""The shape of the fabric file: keys and types of every object, checked object by object.

An object with a fault of shape is reported and left out, so that the linter still sees all the others; its name stays
known, so that references to it are no further faults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ryu_vmmob.fabric.findings import Path, Report, quote
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.fabric.source import Value

FORMAT_VERSION = 1


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _empty_if_null(value: object) -> object:
    return {} if value is None else value


class DataCenterDoc(_Shape):
    """A site."""

    description: str = ""


class L2DomainDoc(_Shape):
    """One VLAN-ID space; ``vlan_ids`` as in ``"100-199,300"``."""

    vlan_ids: int | str
    data_center: str | None = None
    translate_guest_tags: bool = False
    unannounced_moves: Literal["refuse", "accept"] = "refuse"
    description: str = ""


class SwitchDoc(_Shape):
    """An OpenFlow switch.

    ``ports``, where given, is how many ports it has, ``max_flows`` how many flows it takes; ``extender_ports`` are those
    of its port extenders, as in ``"1001-1048,2001-2048"``.
    """

    dpid: int | str
    role: Literal["tor", "spine", "border"]
    l2_domain: str
    data_center: str | None = None
    ports: int | None = None
    extender_ports: int | str | None = None
    dialect: Literal["openvswitch", "openflow13"] = "openvswitch"
    max_flows: int | None = None
    description: str = ""


class LinkDoc(_Shape):
    """A cable between the ports ``a`` and ``b``."""

    a: str
    b: str
    l2_domain: str
    description: str = ""


class ServerDoc(_Shape):
    """A hypervisor and the ports it hangs on."""

    attach: Annotated[list[str], BeforeValidator(_listed)]
    tagging: Literal["tagged", "untagged"] = "tagged"
    bond: Literal["lag"] | None = None
    description: str = ""


class ExternalDoc(_Shape):
    """A network outside."""

    attach: str
    routing_domain: str
    addresses: list[str]
    prefixes: list[str] = []
    next_hops: list[str] = []
    vlan_id: int | None = None
    description: str = ""


_Section = Annotated[dict[str, Any], BeforeValidator(_empty_if_null)]


class _Top(_Shape):
    """The top of the file; its sections are checked entry by entry."""

    version: int
    fabric: str
    gateway_mac: str
    description: str = ""
    l2_domains: _Section
    switches: _Section
    data_centers: _Section = {}
    links: Annotated[list[Any], BeforeValidator(lambda value: [] if value is None else value)] = []
    servers: _Section = {}
    externals: _Section = {}


@dataclass
class FabricDoc:
    """A fabric file by shape; None stands for what was there and had a fault."""

    name: str | None = None
    gateway_mac: str | None = None
    description: str = ""
    data_centers: dict[str, DataCenterDoc | None] = field(default_factory=dict)
    l2_domains: dict[str, L2DomainDoc | None] = field(default_factory=dict)
    switches: dict[str, SwitchDoc | None] = field(default_factory=dict)
    links: list[LinkDoc | None] = field(default_factory=list)
    servers: dict[str, ServerDoc | None] = field(default_factory=dict)
    externals: dict[str, ExternalDoc | None] = field(default_factory=dict)


_Doc = TypeVar("_Doc", bound=_Shape)


def read(tree: Value, report: Report) -> FabricDoc | None:
    """The document by shape, faults to ``report``; None when the top is no mapping."""
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
            known = ", ".join(model.model_fields)
            report.add(Rule.UNKNOWN_KEY, place, f"unknown key {quote(place[-1])}; known here: {known}")
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
    """A value of the wrong type in words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"text {quote(value)}"
    return f"{quote(value)}"
