"""What answers look like: CUGs, VMs, policies, moves. Their description in ``/openapi.json`` is made from these types.

The tests hold every answer they get against them. A key that is `NotRequired` is there when its description says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.rest.says import DESCRIPTION, LABELS, says

Revision = Annotated[int, Field(ge=0, description="The revision of the whole state that last changed this object.")]
StateRevision = Annotated[int, Field(ge=0, description="The revision of the whole state. It grows with every change.")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC."""
VlanTag = Annotated[int, Field(ge=1, le=4094)]
Count = Annotated[int, Field(ge=0)]
CugName = Annotated[str, says("The name of the CUG.")]
VmName = Annotated[str, says("The name of the VM.")]
SwitchName = Annotated[str, says("The name of the switch.")]
ServerName = Annotated[str, says("The name of the server.")]
DomainName = Annotated[str, says("The name of the L2 domain.")]
FromVlanId = Annotated[
    VlanTag | None, says("The tag of the interface on the cable of the source, 1 to 4094. null: the server's switch adds none.")
]
ToVlanId = Annotated[
    VlanTag | None, says("The tag of the interface on the cable of the target, 1 to 4094. null: the server's switch adds none.")
]
DryRun = Annotated[Literal[True], says("True: this is a plan, and nothing was changed.")]


class Fault(TypedDict):
    """One fault of what was read: the input, or the fabric file."""

    path: Annotated[
        str,
        says("Where it is, such as `interfaces[0].mac`. Empty: the whole. The path of a query parameter begins with `?`."),
    ]
    message: Annotated[str, says("What is wrong there, in words.")]


class ProblemDetails(TypedDict):
    """An error (RFC 9457)."""

    title: Annotated[str, says("The kind of error, in a few words.")]
    status: Annotated[int, Field(ge=400, le=599, description="The status of the answer, 400 to 599.")]
    detail: Annotated[
        str, says("What is wrong with this request. Where a rule of the draft refuses, it names the rule: `R28`.")
    ]
    errors: NotRequired[Annotated[list[Fault], says("The faults, at most 100. Left out where there are none to name.")]]
    errors_left_out: NotRequired[
        Annotated[int, Field(ge=1, description="How many faults there are beside those in `errors`. Left out: none.")]
    ]


class Owner(TypedDict):
    """The owner of a flow or group, and why it is needed."""

    kind: Annotated[
        str | None,
        says("`cug`, `vm`, `policy`, `routing_domain`, `external`, `server` or `switch`. null: it belongs to no object."),
    ]
    name: Annotated[str | None, says("The name of the object. null: it belongs to no object, or to the switch itself.")]
    reason: Annotated[str, says("Why the flow or group is there, in words.")]


class SwitchFault(TypedDict):
    """Something a switch refused or does not keep, and whose it is."""

    error: Annotated[
        str, says("The switch's words: type and code of its OpenFlow error. A sentence where it does not keep it, or is held.")
    ]
    cause: Annotated[str, says("The flow or group that it is about, in readable form.")]
    owner: Owner


class Refused(SwitchFault):
    """A flow or group that a switch refused or does not keep, in the switch's words, and whose it is."""

    switch: SwitchName


class Acknowledged(TypedDict):
    """The switches concerned. One that refused something of it is in neither list of names."""

    acknowledged: Annotated[list[str], says("Switches that have confirmed all of it, by name.")]
    pending: Annotated[list[str], says("Switches that have not confirmed all of it yet, by name.")]
    refused: NotRequired[
        Annotated[
            list[Refused], says("What switches refused of it or do not keep, at most 100. Left out where there is nothing.")
        ]
    ]


class FieldChange(TypedDict):
    """A value that would change."""

    path: Annotated[str, says("Which value it is, such as `vlan_ids.rack-a`.")]
    before: Annotated[Any, says("The value now. null: it is not there.")]
    after: Annotated[Any, says("The value after the write. null: it is not there.")]


class ObjectChange(TypedDict):
    """The planned change of an object."""

    sign: Annotated[Literal["+", "~", "-"], says("`+`: it would be created. `~`: changed. `-`: deleted.")]
    kind: Annotated[Literal["cugs", "vms", "policies"], says("The collection of the object.")]
    name: Annotated[str, says("The name of the object.")]
    fields: Annotated[list[FieldChange], says("The values that would change, of an object that is changed. Else empty.")]


class FlowMods(TypedDict):
    """The numbers of flows and groups of a switch that would be added, changed in place, and deleted."""

    added: Annotated[Count, says("How many flows and groups would be added.")]
    changed: Annotated[Count, says("How many would be changed in place.")]
    deleted: Annotated[Count, says("How many would be deleted.")]


class Plan(TypedDict):
    """The plan of a write."""

    changes: Annotated[list[ObjectChange], says("The objects that would be created, changed or deleted.")]
    flow_mods: Annotated[dict[str, FlowMods], says("How many flows and groups each switch would be sent, by switch.")]
    flows: NotRequired[
        Annotated[dict[str, list[str]], says("Those flows and groups, a line each, by switch. With `?flows=true` alone.")]
    ]
    flows_left_out: NotRequired[
        Annotated[int, Field(ge=1, description="How many lines there are beside the first 10,000. Left out: none.")]
    ]


WaitedFor = Annotated[Acknowledged, says("What the switches have confirmed. With `?wait` alone.")]
DryPlan = Annotated[Plan, says("What would happen. With `?dry_run=true` alone.")]


class Confirmation(TypedDict):
    """The answer to a deletion that was asked to wait, or to be tried."""

    switches: NotRequired[WaitedFor]
    plan: NotRequired[DryPlan]


class Written(TypedDict):
    """What a write answers besides."""

    switches: NotRequired[WaitedFor]


Page = Annotated[str, Field(description="Where the list goes on: for `?page`. Left out where this was the last page.")]


class Described(TypedDict):
    """Notes for people about an object."""

    labels: NotRequired[Annotated[dict[str, str], says(LABELS, "Left out where none were given.")]]
    description: NotRequired[Annotated[str, says(DESCRIPTION, "Left out where none was given.")]]


class Planned(Written):
    """What a write that can be tried answers besides."""

    plan: NotRequired[DryPlan]


Warned = Annotated[
    list[str], says("Why the VM had better not move there now, a sentence each. Left out: nothing is against it.")
]
