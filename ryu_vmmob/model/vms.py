"""Commands on VMs, other than moves, which are migrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.membership import check_interfaces, refuse_taken_addresses, refuse_untagged_clash
from ryu_vmmob.model.objects import Interface, Vm
from ryu_vmmob.model.refusal import conflict, invalid, not_found


@dataclass(frozen=True, slots=True)
class PutVm:
    """Create a VM on a server, or change its interfaces where it is."""

    name: str
    server: str
    interfaces: tuple[Interface, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class DeleteVm:
    """Delete a VM that is not moving."""

    name: str


def put_vm(draft: Draft, command: PutVm) -> None:
    """Carry out `PutVm`. Raises Refusal: 422 for wrong values, 409 for a VM that is moving or elsewhere, or a taken address."""
    state = draft.state
    old = state.vms.get(command.name)
    if command.server not in state.fabric.servers:
        raise invalid(("server", f"there is no server {command.server!r} in the fabric"))
    if old is not None:
        if old.server != command.server:
            raise conflict(f"VM {old.name!r} is on server {old.server!r}: POST a migration to move it", "moves are migrations")
        if old.interfaces == command.interfaces:
            if (old.labels, old.description) != (command.labels, command.description):
                draft.describe_vm(replace(old, labels=command.labels, description=command.description))
            return
        if old.migration is not None:
            raise conflict(f"VM {old.name!r} is moving (migration {old.migration})")
    check_interfaces(state, command.interfaces, {}, "interfaces")
    if old is not None:
        draft.drop_vm(old)
    refuse_taken_addresses(draft.state, command.interfaces)
    vm = Vm(command.name, command.server, command.interfaces, labels=command.labels, description=command.description)
    refuse_untagged_clash(draft.state, vm, command.server)
    draft.add_vm(vm)


def delete_vm(draft: Draft, command: DeleteVm) -> None:
    """Carry out `DeleteVm`. Raises Refusal: 404, or 409 while it is moving."""
    vm = draft.state.vms.get(command.name)
    if vm is None:
        raise not_found("VM", command.name)
    if vm.migration is not None:
        raise conflict(f"VM {vm.name!r} is moving (migration {vm.migration}); abort or commit that first")
    draft.drop_vm(vm)


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    PutVm: put_vm,
    DeleteVm: delete_vm,
}
