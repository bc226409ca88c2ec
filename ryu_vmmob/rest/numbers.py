"""The numbers that the controller chose, in an export and in the bulk that puts it back (`model.numbers`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.model.numbers import KeepNumbers
from ryu_vmmob.model.objects import Segment, Vm, routed_segment
from ryu_vmmob.model.state import State
from ryu_vmmob.net.keys import MAX_SEGMENT_KEY
from ryu_vmmob.rest.bodies import Body, Name, VlanId
from ryu_vmmob.rest.says import CUG_NUMBERS, DOMAIN_NUMBERS, SEGMENT_KEY, SEGMENT_VLAN_IDS, VNIC_NUMBERS
from ryu_vmmob.rest.views import View

if TYPE_CHECKING:
    from ryu_vmmob.rest.call import Call


class SegmentNumbersBody(Body):
    """The numbers of a CUG or a routing domain: the key of its segment, and VLAN-IDs by L2 domain."""

    segment_key: Annotated[int, Field(ge=1, le=MAX_SEGMENT_KEY), SEGMENT_KEY]
    vlan_ids: Annotated[dict[Name, VlanId], SEGMENT_VLAN_IDS] = Field(default={})


class NumbersBody(Body):
    """Numbers that objects had, each kept for its object where that is new and the number is free."""

    cugs: Annotated[dict[Name, SegmentNumbersBody], CUG_NUMBERS] = Field(default={})
    routing_domains: Annotated[dict[Name, SegmentNumbersBody], DOMAIN_NUMBERS] = Field(default={})
    vms: Annotated[dict[Name, dict[Name, VlanId]], VNIC_NUMBERS] = Field(default={})

    def command(self, cugs: Mapping[str, Any], vms: Mapping[str, Any]) -> KeepNumbers:
        """As a command, for those of the bodies ``cugs`` and ``vms`` that come; what they ask for themselves is theirs."""
        routed = {body.routing_domain for body in cugs.values()}
        segments = {name: row for name, row in self.cugs.items() if name in cugs}
        segments |= {routed_segment(name): row for name, row in self.routing_domains.items() if name in routed}
        pinned = {pair: name for name, body in cugs.items() for pair in body.vlan_ids.items()}
        own = {(name, domain) for name, body in cugs.items() for domain in body.vlan_ids}
        return KeepNumbers(
            {name: row.segment_key for name, row in segments.items()},
            {
                (name, domain): vlan_id
                for name, row in segments.items()
                for domain, vlan_id in row.vlan_ids.items()
                if (name, domain) not in own and pinned.get((domain, vlan_id), name) == name
            },
            dict(self._vnics(vms)),
        )

    def _vnics(self, vms: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, str], int]]:
        asked = {
            (body.server, number)
            for body in vms.values()
            for row in body.interfaces
            if (number := row.guest_vlan_id or row.interface().vlan_id) is not None
        }
        for name, numbers in self.vms.items():
            if name in vms:
                server = vms[name].server
                own = {row.cug for row in vms[name].interfaces if row.guest_vlan_id is None and row.interface().vlan_id is None}
                for cug, vlan_id in numbers.items():
                    if cug in own and (server, vlan_id) not in asked:
                        yield (server, name, cug), vlan_id


class SegmentNumbers(TypedDict):
    """The numbers of a CUG or a routing domain."""

    segment_key: Annotated[int, Field(ge=1, le=MAX_SEGMENT_KEY), SEGMENT_KEY]
    vlan_ids: Annotated[dict[str, int], SEGMENT_VLAN_IDS]


class Numbers(TypedDict):
    """The numbers that the controller chose, as a bulk takes them."""

    cugs: Annotated[dict[str, SegmentNumbers], CUG_NUMBERS]
    routing_domains: Annotated[dict[str, SegmentNumbers], DOMAIN_NUMBERS]
    vms: Annotated[dict[str, dict[str, int]], VNIC_NUMBERS]


def numbers_view(call: Call, state: State) -> View:
    """Return the numbers of everything, as a body has them."""
    through = call.breath.through
    return {
        "cugs": {name: _segment(state, row) for name, row in through(sorted(state.cugs.items()))},
        "routing_domains": {name: _segment(state, row) for name, row in through(sorted(state.routing_domains.items()))},
        "vms": {name: found for name, vm in through(sorted(state.vms.items())) if (found := _vnics(state, vm))},
    }


def _segment(state: State, row: Segment) -> View:
    return {"segment_key": row.key, "vlan_ids": dict(sorted(state.vlan_ids(row.segment).items()))}


def _vnics(state: State, vm: Vm) -> View:
    """Return the numbers on the cable of the VM's server that neither its guest nor a pin has chosen."""
    if not state.fabric.servers[vm.server].per_interface:
        return {}
    return {
        interface.cug: vlan_id
        for interface, vlan_id in zip(vm.interfaces, vm.vlan_ids[vm.server], strict=True)
        if interface.guest_vlan_id is None and interface.vlan_id is None
    }
