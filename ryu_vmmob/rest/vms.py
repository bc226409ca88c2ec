"""``/v1/vms``."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_vmmob.model.commands import DeleteVm
from ryu_vmmob.model.objects import Vm
from ryu_vmmob.model.placement import placements
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.bodies import VmBody
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.views import placement_view, vm_view


def list_vms(call: Call) -> Answer:
    """VMs by name: all, those placed on ``?server``, those with an interface in ``?cug``."""
    state = call.engine.state
    server = call.query.get("server")
    names = sorted(_candidates(state, server, call.query.get("cug")))
    # A server's index also has the VMs that are about to come and those that are leaving.
    vms: Iterable[Vm] = (state.vms[name] for name in names)
    return Answer(200, {"items": [vm_view(state, vm) for vm in vms if server in (None, vm.server)]})


def _candidates(state: State, server: str | None, cug: str | None) -> set[str]:
    if server is None and cug is None:
        return set(state.vms)
    found = []
    if server is not None:
        found.append(set(state.server_vms.get(server, ())))
    if cug is not None:
        found.append({member.vm for member in state.members.get(cug, ())})
    return set.intersection(*found)


def get_vm(call: Call) -> Answer:
    """One VM."""
    state = call.engine.state
    vm = state.vms.get(call.names["vm"])
    if vm is None:
        raise not_found("VM", call.names["vm"])
    return Answer(200, vm_view(state, vm), vm.revision)


def get_placements(call: Call) -> Answer:
    """The servers to which the VM may move as things stand, and why not to the others."""
    rows = placements(call.engine.state, call.names["vm"], call.engine.trial)
    return Answer(200, {"items": [placement_view(row) for row in rows]})


def put_vm(call: Call) -> Answer:
    """Create a VM (201), or replace it where it is (200)."""
    name = call.names["vm"]
    seconds = call.seconds_to_wait()
    before = call.engine.state.vms.get(name)
    call.check_match(before.revision if before is not None else None)
    ticket = call.engine.execute(call.body.command(name, call.now()))
    vm = ticket.state.vms[name]
    body = vm_view(ticket.state, vm) | call.confirmed(ticket, seconds)
    return Answer(201 if before is None else 200, body, vm.revision)


def delete_vm(call: Call) -> Answer:
    """Delete a VM: 204, and with ``?wait`` 200."""
    name = call.names["vm"]
    seconds = call.seconds_to_wait()
    before = call.engine.state.vms.get(name)
    if before is None:
        raise not_found("VM", name)
    call.check_match(before.revision)
    body = call.confirmed(call.engine.execute(DeleteVm(name, call.now())), seconds)
    return Answer(200, body) if body else Answer(204, None)


ROUTES = (
    Route("GET", "/v1/vms", list_vms, frozenset({"server", "cug"})),
    Route("GET", "/v1/vms/{vm}", get_vm),
    Route("GET", "/v1/vms/{vm}/placements", get_placements),
    Route("PUT", "/v1/vms/{vm}", put_vm, frozenset({"wait"}), VmBody),
    Route("DELETE", "/v1/vms/{vm}", delete_vm, frozenset({"wait"})),
)
