"""What the description says of each operation beside what its route knows: answers, refusals, examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ryu_vmmob.rest.answers import Confirmation

TAGS: Final = {
    "CUGs": "Closed user groups: subnets, their gateways, and the routing domain that joins them.",
    "VMs": "Virtual machines: where they are and what their interfaces are.",
    "Policies": "What may pass between CUGs, VMs and the outside.",
    "Migrations": "Moves of VMs.",
    "Evacuations": "Batches of moves: every VM away from a server or a switch.",
    "Fabric": "What the fabric file says, the switches and their flows.",
    "Observation": "Traces and events.",
    "Controller": "The controller itself.",
}


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation.

    ``answers``: the type of the body by status, None where there is none. ``refusals``: statuses of problems that do not
    follow from the route. ``tagged``: its answers have an ``ETag``. ``conditional``: ``If-Match`` and ``If-None-Match``
    count. ``located``: statuses with a
    ``Location``. ``example``: a body. ``links``: by status and name the operation, its name for the id, and where the
    answer has it.
    """

    id: str
    tag: str
    answers: Mapping[int, Any]
    refusals: tuple[int, ...] = ()
    tagged: bool = False
    conditional: bool = False
    located: tuple[int, ...] = ()
    example: Mapping[str, Any] | None = None
    links: Mapping[int, Mapping[str, tuple[str, str, str]]] = field(default_factory=dict)


def listing(id_: str, tag: str, type_: Any) -> Operation:
    """Return an operation that shows something without a revision of its own."""
    return Operation(id_, tag, {200: type_})


def paged(id_: str, tag: str, type_: Any) -> Operation:
    """Return an operation that shows a list, in pages if that is wanted."""
    return Operation(id_, tag, {200: type_}, (404,))


def getting(id_: str, tag: str, type_: Any) -> Operation:
    """Return an operation that shows an object."""
    return Operation(id_, tag, {200: type_}, tagged=True)


def putting(id_: str, tag: str, type_: Any, example: Mapping[str, Any]) -> Operation:
    """Return an operation that creates an object or replaces it."""
    return Operation(id_, tag, {200: type_, 201: type_}, (409,), tagged=True, conditional=True, example=example)


def deleting(id_: str, tag: str) -> Operation:
    """Return an operation that deletes an object."""
    return Operation(id_, tag, {200: Confirmation, 204: None}, (409,), conditional=True)


def stepping(id_: str, tag: str, type_: Any, example: Mapping[str, Any] | None = None) -> Operation:
    """Return an operation that takes an object a step on; its body may be left out."""
    return Operation(id_, tag, {200: type_}, (409,), tagged=True, conditional=True, example=example or {})
