"""Where a packet enters the fabric: at a server's port, or at an external network's."""

from __future__ import annotations

from typing import NamedTuple

from ryu_vmmob.fabric.model import External, PortRef
from ryu_vmmob.model.objects import Interface, Seat
from ryu_vmmob.model.refusal import invalid
from ryu_vmmob.model.state import State
from ryu_vmmob.sim.network import Network
from ryu_vmmob.trace.question import Question


class VmSource(NamedTuple):
    """Interface ``number`` of a VM at one place; ``port`` None: every cable of the server is down."""

    vm: str
    number: int
    interface: Interface
    seat: Seat
    port: PortRef | None
    vlan_id: int | None

    def __str__(self) -> str:
        return f"VM {self.vm} (CUG {self.interface.cug})"


class ExternalSource(NamedTuple):
    """A host on an external network; ``port`` None: the cable to the external network is down."""

    external: External
    port: PortRef | None
    vlan_id: int | None

    def __str__(self) -> str:
        return f"external network {self.external.name}"


Source = VmSource | ExternalSource


def source_of(state: State, network: Network, question: Question) -> Source:
    """Raise Refusal (422) when there is no such sender."""
    if question.vm is not None:
        return _vm(state, network, question.vm, question)
    external = state.fabric.externals.get(question.external or "")
    if external is None:
        raise invalid(("from.external", f"there is no external network {question.external!r}"))
    return ExternalSource(external, external.attach if network.port_up(external.attach) else None, external.vlan_id)


def _vm(state: State, network: Network, name: str, question: Question) -> VmSource:
    vm = state.vms.get(name)
    if vm is None:
        raise invalid(("from.vm", f"there is no VM {name!r}"))
    if not question.interface < len(vm.interfaces):
        count = len(vm.interfaces)
        raise invalid(("from.interface", f"VM {name!r} has {count} interface{'' if count == 1 else 's'}, counted from 0"))
    seats = {seat.server: seat for seat in state.seats_of(vm)}
    at = next(iter(seats)) if question.at is None else question.at
    if at not in seats:
        raise invalid(("from.at", f"VM {name!r} has no place at {at!r}; it is at {', '.join(seats)}"))
    interface = vm.interfaces[question.interface]
    port = next((port for port in state.fabric.servers[at].attach if network.port_up(port)), None)
    tag = state.vnic_vlan_id(vm, question.interface, at)
    return VmSource(name, question.interface, interface, seats[at], port, tag)
