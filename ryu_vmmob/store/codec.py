"""Model objects to JSON bodies and back, without loss.

The bodies follow the types of `model.objects` and `model.state`. A field added there with a default is read from older
records as that default; a field renamed or removed needs a new schema version. A field that a newer version has added is
refused here: read without it, the object would lose it with its next write.

============== ============================= ==================================
kind           name                          value
============== ============================= ==================================
cug            name                          Cug
vm             name                          Vm
migration      id                            Migration
policy         name                          Policy
batch          id                            Batch
batch_vm       ``batch/number``              BatchVm
routing_domain name                          RoutingDomain
quarantine     ``domain/segment key``        Quarantined
resting        ``server/VLAN-ID``            Resting
allocation     ``domain/segment key``        VLAN-ID
switch_key     switch                        key
neighbour      ``external network/address``  MAC, an integer
meta           whatever the engine counts    any JSON value
============== ============================= ==================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from ipaddress import ip_network
from typing import Annotated, Any, Final, get_args, get_type_hints

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from ryu_vmmob.fabric.findings import show
from ryu_vmmob.model.batches.values import Batch, BatchVm
from ryu_vmmob.model.objects import Cug, Migration, RoutingDomain, Vm
from ryu_vmmob.model.policy import Policy
from ryu_vmmob.model.state import Quarantined, Resting
from ryu_vmmob.store.base import Body, StoreError, Write

Stored = Cug | Vm | Migration | RoutingDomain | Policy | Batch | BatchVm | Quarantined | Resting


def _with_prefixes(body: Any) -> Any:
    """Return a policy's body with its prefixes as networks: by its looks alone a prefix would do as a name."""
    if not isinstance(body, dict):
        return body
    return body | {end: _prefix(body[end]) for end in ("source", "target") if end in body}


def _prefix(selector: Any) -> Any:
    if isinstance(selector, dict) and selector.get("kind") == "prefix":
        return selector | {"value": ip_network(str(selector.get("value")))}
    return selector


_TYPES: Final[dict[str, type[Any]]] = {
    "cug": Cug, "vm": Vm, "migration": Migration, "policy": Policy, "routing_domain": RoutingDomain,
    "quarantine": Quarantined, "resting": Resting, "batch": Batch, "batch_vm": BatchVm,
}  # fmt: skip


def _forbid_others(type_: type[Any]) -> None:
    """Have a dataclass, and those in its fields, read from its own fields only."""
    if not is_dataclass(type_) or "__pydantic_config__" in vars(type_):
        return
    setattr(type_, "__pydantic_config__", ConfigDict(extra="forbid"))  # noqa: B010 - the library's name for it
    for hint in get_type_hints(type_).values():
        for part in _parts(hint):
            _forbid_others(part)


def _parts(hint: Any) -> Iterator[type[Any]]:
    if isinstance(hint, type):
        yield hint
    for inner in get_args(hint):
        yield from _parts(inner)


for _type in _TYPES.values():
    _forbid_others(_type)
_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {
    **{kind: TypeAdapter(type_) for kind, type_ in _TYPES.items()},
    "policy": TypeAdapter(Annotated[Policy, BeforeValidator(_with_prefixes)]),
}
_KINDS: Final = {type_: kind for kind, type_ in _TYPES.items()}
_PLAIN: Final = frozenset({"allocation", "switch_key", "neighbour", "meta"})
"""Kinds whose value is a JSON value, kept under the key ``value``."""


def encode(value: Any) -> Body:
    """Return the body of a model object, or of a plain JSON value."""
    kind = _KINDS.get(type(value))
    if kind is None:
        return {"value": value}
    dumped = _ADAPTERS[kind].dump_python(value, mode="json")
    # A named tuple is dumped as a list; a body is an object.
    return dumped if isinstance(dumped, dict) else {"value": dumped}


def decode(kind: str, name: str, body: Body) -> Any:
    """Return the object of a body; StoreError when it is none."""
    if kind in _PLAIN and body.keys() == {"value"}:
        return body["value"]
    if kind not in _ADAPTERS:
        raise StoreError(f"{kind} {name!r} is in the store and means nothing to this version")
    try:
        return _ADAPTERS[kind].validate_python(body["value"] if body.keys() == {"value"} else body)
    except ValidationError as error:
        faults = "; ".join(f"{show(fault['loc']) or 'body'}: {fault['msg']}" for fault in error.errors())
        raise StoreError(f"{kind} {name!r} in the store cannot be read: {faults}") from error


def write(value: Cug | Vm | Migration | RoutingDomain | Policy | Batch) -> Write:
    """Return the write that stores a named object."""
    return Write(_KINDS[type(value)], value.id if isinstance(value, (Migration, Batch)) else value.name, encode(value))


def pair_write(kind: str, pair: tuple[str, int], value: Quarantined | Resting | BatchVm | int | None) -> Write:
    """Return the write that stores what belongs to a name and a number (``quarantine``, say); None deletes it."""
    return Write(kind, pair_name(*pair), None if value is None else encode(value))


def pair_name(domain: str, number: int) -> str:
    """Return the record's name of a (domain, number) pair; a slash stands in no domain's name."""
    return f"{domain}/{number}"


def pair_of(name: str) -> tuple[str, int]:
    """Return the inverse of `pair_name`; StoreError when ``name`` is none."""
    domain, slash, number = name.rpartition("/")
    if not slash or not number.isdecimal():
        raise StoreError(f"{name!r} in the store names no domain and number")
    return domain, int(number)
