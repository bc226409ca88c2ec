"""``/v1/vms``: what may stand in a request, what an answer has, and what is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NotRequired

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ryu_vmmob.health.reach import warnings
from ryu_vmmob.model import objects, placement
from ryu_vmmob.model.commands import DeleteVm, PutVm
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.rest import answers
from ryu_vmmob.rest.answers import CugName, FromVlanId, Page, Planned, Revision, ServerName, ToVlanId, VlanTag, VmName, Warned
from ryu_vmmob.rest.bodies import Body, Described, Ethertypes, Ip, Mac, Name, VlanId
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.collection import Collection
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.read_only import READ_ONLY, ReadOnlyName, ReadOnlyRevision, differing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import ETHERTYPES, GUEST_VLAN_ID, IPS, MAC, says
from ryu_vmmob.rest.views import View, described

_SERVER: Final = says("The server where the VM runs. Another server is a migration, and refused in a body.")
_INTERFACES: Final = says("The interfaces of the VM, one for each CUG that it is in. They move together.")
_CUG: Final = says("The CUG that the interface is in.")


class InterfaceBody(Body):
    """One interface of a VM."""

    cug: Annotated[Name, _CUG]
    mac: Annotated[Mac, MAC]
    ips: Annotated[list[Ip], IPS]
    guest_vlan_id: Annotated[VlanId | None, GUEST_VLAN_ID] = None
    vlan_id: Annotated[
        VlanId | None, says("The tag that the interface must have at every server, 1 to 4094. null or left out: any will do.")
    ] = None
    ethertypes: Annotated[Ethertypes, ETHERTYPES] = ()
    vlan_id_pinned: Annotated[
        bool | None, says("False: `vlan_id` is read-only, as GET says it. Left out: what stands there is a pin.")
    ] = None

    @model_validator(mode="after")
    def _with_a_number(self) -> InterfaceBody:
        if self.vlan_id_pinned and self.vlan_id is None:
            raise PydanticCustomError("value", "vlan_id_pinned is true, and there is no vlan_id that could be pinned")
        return self

    read_only: ClassVar = ("vlan_id_pinned",)

    @classmethod
    def bare(cls, view: Mapping[str, Any]) -> dict[str, Any]:
        """See `Body`. A number that is not pinned follows from the rest."""
        return super().bare(view if view["vlan_id_pinned"] else {**view, "vlan_id": None})

    def interface(self) -> objects.Interface:
        """As a model object."""
        pin = None if self.vlan_id_pinned is False else self.vlan_id
        return objects.Interface(self.cug, self.mac, tuple(self.ips), self.guest_vlan_id, pin, self.ethertypes)


class VmBody(Described):
    """A virtual machine to create or replace."""

    server: Annotated[Name, _SERVER]
    interfaces: Annotated[list[InterfaceBody], _INTERFACES]
    name: ReadOnlyName = None
    migration: Annotated[Name | None, READ_ONLY] = None
    revision: ReadOnlyRevision = None

    read_only: ClassVar = ("migration", "revision")

    @classmethod
    def bare(cls, view: Mapping[str, Any]) -> dict[str, Any]:
        """See `Body`."""
        return super().bare(view) | {"interfaces": [InterfaceBody.bare(row) for row in view["interfaces"]]}

    def contradictions(self, view: Mapping[str, Any]) -> Iterator[Fault]:
        """See `Body`. A number that is not pinned is held against that of the interface in the same CUG."""
        yield from differing(self, self.read_only, view)
        now = {row["cug"]: row for row in view["interfaces"]}
        for number, row in enumerate(self.interfaces):
            if row.vlan_id_pinned is False and row.cug in now:
                yield from differing(row, ("vlan_id",), now[row.cug], f"interfaces[{number}].")

    @property
    def asks_for_a_number(self) -> bool:
        """Whether an interface must have a certain VLAN-ID: its guest's own, or a pinned one."""
        return any(row.guest_vlan_id is not None or row.interface().vlan_id is not None for row in self.interfaces)

    def command(self, name: str) -> PutVm:
        """As the command for the VM ``name``."""
        return PutVm(name, self.server, tuple(row.interface() for row in self.interfaces), self.labels, self.description)


class Interface(TypedDict):
    """One interface of a VM."""

    cug: Annotated[str, _CUG]
    mac: Annotated[str, MAC]
    ips: Annotated[list[str], IPS]
    guest_vlan_id: Annotated[VlanTag | None, GUEST_VLAN_ID]
    vlan_id: Annotated[
        VlanTag | None,
        says("What the server's virtual switch must tag this interface with, 1 to 4094. null: no tag of its own."),
    ]
    vlan_id_pinned: Annotated[bool, says("Whether `vlan_id` was asked for.")]
    ethertypes: NotRequired[Annotated[list[str] | Literal["any"], ETHERTYPES]]


class Vm(Planned, answers.Described):
    """A virtual machine."""

    name: VmName
    server: Annotated[str, _SERVER]
    interfaces: Annotated[list[Interface], _INTERFACES]
    migration: Annotated[str | None, says("The id of its migration that is under way. null: it is not moving.")]
    revision: Revision


class Vms(TypedDict):
    """VMs, by name."""

    items: Annotated[list[Vm], says("The VMs.")]
    page: NotRequired[Page]


class PlacedInterface(TypedDict):
    """An interface at another server."""

    cug: CugName
    from_vlan_id: FromVlanId
    to_vlan_id: ToVlanId
    guest_vlan_id: Annotated[VlanTag | None, GUEST_VLAN_ID]
    translated: Annotated[bool, says("Whether the port there translates the guest's own tag (R25).")]


class Placement(TypedDict):
    """A server, and why the VM cannot move there, if it cannot."""

    server: ServerName
    possible: Annotated[bool, says("Whether the VM can move there as things stand.")]
    reason: Annotated[str | None, says("Why it cannot. null: it can.")]
    interfaces: Annotated[list[PlacedInterface], says("What its interfaces would be there. Empty where it cannot move there.")]
    warnings: NotRequired[Warned]


class Placements(TypedDict):
    """Every server, by name."""

    items: Annotated[list[Placement], says("The servers.")]


def vm_view(state: State, vm: objects.Vm) -> View:
    """Return a VM; ``vlan_id`` of an interface is what the virtual switch of its server adds to its frames (None: nothing)."""
    return {
        "name": vm.name,
        "server": vm.server,
        "interfaces": [
            {
                "cug": interface.cug,
                "mac": mac_text(interface.mac),
                "ips": [str(ip) for ip in interface.ips],
                "guest_vlan_id": interface.guest_vlan_id,
                "vlan_id": state.added_vlan_id(vm, number, vm.server),
                "vlan_id_pinned": interface.vlan_id is not None,
                **({} if not interface.ethertypes else {"ethertypes": ethertypes_view(interface.ethertypes)}),
            }
            for number, interface in enumerate(vm.interfaces)
        ],
        "migration": vm.migration,
        "revision": vm.revision,
        **described(vm),
    }


def ethertypes_view(found: tuple[int, ...] | Literal["any"]) -> Any:
    """Types as a body has them."""
    return found if found == "any" else [f"{kind:#06x}" for kind in found]


def placement_view(row: placement.Placement) -> View:
    """Return a server that a VM may move to, or why it may not."""
    return {
        "server": row.server,
        "possible": row.reason is None,
        "reason": row.reason,
        "interfaces": [interface._asdict() for interface in row.interfaces],
    }


def _selected(call: Call) -> Iterator[objects.Vm]:
    """VMs by name: all, those placed on ``?server``, those with an interface in ``?cug``."""
    state = call.engine.state
    server = call.query.get("server")
    for name in sorted(_candidates(state, server, call.query.get("cug"))):
        # A server's index also has the VMs that are about to come and those that are leaving.
        if server in (None, state.vms[name].server):
            yield state.vms[name]


def _candidates(state: State, server: str | None, cug: str | None) -> set[str]:
    if server is None and cug is None:
        return set(state.vms)
    found = []
    if server is not None:
        found.append(set(state.server_vms.get(server, ())))
    if cug is not None:
        found.append({member.vm for member in state.members.get(cug, ())})
    return set.intersection(*found)


def get_placements(call: Call) -> Answer:
    """Return the servers to which the VM may move as things stand, and why not to the others."""
    state, vm = call.engine.state, call.names["vm"]
    rows = placement.placements(state, vm, call.engine.trial, call.breath)
    return Answer(200, {"items": call.each(rows, lambda row: placement_view(row) | _warned(state, vm, row))})


def _warned(state: State, vm: str, row: placement.Placement) -> View:
    found = warnings(state, vm, row.server) if row.reason is None else ()
    return {"warnings": list(found)} if found else {}


EXAMPLE: Final = {
    "server": "srv-a1",
    "interfaces": [{"cug": "web", "mac": "02:00:00:00:00:11", "ips": ["10.1.0.11", "2001:db8:1::11"]}],
}

VMS: Final = Collection[objects.Vm](
    name="vms", key="vm", noun="VM", tag="VMs",
    objects=lambda state: state.vms, view=vm_view, answer=Vm, answers=Vms, body=VmBody, example=EXAMPLE,
    put=lambda body, name: body.command(name), delete=DeleteVm,
    query=frozenset({"server", "cug"}), select=_selected, replaced="replace it where it is",
)  # fmt: skip
ROUTES: Final = (
    *VMS.routes(),
    Route("GET", "/v1/vms/{vm}/placements", get_placements, listing("list_placements", "VMs", Placements)),
)
