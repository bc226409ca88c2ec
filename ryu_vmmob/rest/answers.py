"""What answers look like: CUGs, VMs, policies, moves. Their description in ``/openapi.json`` is made from these types.

The tests hold every answer they get against them. A key that is `NotRequired` is there when its comment says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

Revision = Annotated[int, Field(ge=0, description="The revision of the whole state that last changed this object.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC."""
VlanTag = Annotated[int, Field(ge=1, le=4094)]


class Fault(TypedDict):
    """One fault of the input; a query parameter's path begins with ``?``."""

    path: str
    message: str


class ProblemDetails(TypedDict):
    """An error (RFC 9457). ``errors``: the faults of the input, the first hundred; ``errors_left_out``: how many more."""

    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    errors: NotRequired[list[Fault]]
    errors_left_out: NotRequired[int]


class Owner(TypedDict):
    """The owner of a flow or group, and why it is needed."""

    kind: str | None
    name: str | None
    reason: str


class Refused(TypedDict):
    """A flow or group that a switch refused or does not keep, in the switch's words, and whose it is."""

    switch: str
    error: str
    cause: str
    owner: Owner


class Acknowledged(TypedDict):
    """The switches concerned, by name: those that have confirmed all of it, and those that have not said so yet.

    ``refused``, where a switch refused some of it: the first 100 of these. Such a switch is in neither list.
    """

    acknowledged: list[str]
    pending: list[str]
    refused: NotRequired[list[Refused]]


class FieldChange(TypedDict):
    """A value that would change; null: it is not there."""

    path: str
    before: Any
    after: Any


class ObjectChange(TypedDict):
    """The planned change of an object: created, changed or deleted; ``fields`` of one that is changed."""

    sign: Literal["+", "~", "-"]
    kind: Literal["cugs", "vms", "policies"]
    name: str
    fields: list[FieldChange]


class FlowMods(TypedDict):
    """The numbers of flows and groups of a switch that would be added, changed in place, and deleted."""

    added: int
    changed: int
    deleted: int


class Plan(TypedDict):
    """The plan of a write. ``flow_mods`` by switch. ``flows``, with ``?flows=true``: by switch, each as a line; the first ten
    thousand of all, and ``flows_left_out`` is how many more there are.
    """

    changes: list[ObjectChange]
    flow_mods: dict[str, FlowMods]
    flows: NotRequired[dict[str, list[str]]]
    flows_left_out: NotRequired[int]


class Confirmation(TypedDict):
    """The answer to a deletion: ``switches`` with ``?wait``, ``plan`` with ``?dry_run``."""

    switches: NotRequired[Acknowledged]
    plan: NotRequired[Plan]


class Written(TypedDict):
    """``switches`` is there when the write was asked to ``?wait``."""

    switches: NotRequired[Acknowledged]


Page = Annotated[str, Field(description="Where the list goes on: for `?page`. Left out where this was the last page.")]


class Described(TypedDict):
    """Notes for people about an object; each is present where it was given."""

    labels: NotRequired[dict[str, str]]
    description: NotRequired[str]


class Planned(Written):
    """``plan`` is there after a dry run."""

    plan: NotRequired[Plan]
