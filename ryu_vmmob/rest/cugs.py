"""``/v1/cugs``: what may stand in a request, what an answer has, and what is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NotRequired

from immutables import Map
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from ryu_vmmob.model import objects
from ryu_vmmob.model.commands import DeleteCug, PutCug
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.model.state import State
from ryu_vmmob.net.keys import MAX_SEGMENT_KEY
from ryu_vmmob.rest import answers
from ryu_vmmob.rest.answers import Count, CugName, Page, Planned, Revision, VlanTag
from ryu_vmmob.rest.bodies import Body, Described, Ip, Name, Subnet, VlanId, one_per_family
from ryu_vmmob.rest.collection import Collection
from ryu_vmmob.rest.read_only import LARGEST, READ_ONLY, ReadOnlyName, ReadOnlyRevision, differing
from ryu_vmmob.rest.says import (
    CENTERS,
    CUG_VLAN_IDS,
    EDGES,
    GATEWAYS,
    IPV6_RA,
    PRESENT_DOMAINS,
    PRESENT_INTERFACES,
    PRESENT_SERVERS,
    PRESENT_VLAN_ID,
    ROUTING_DOMAIN,
    SEGMENT_KEY,
    SUBNETS,
    says,
)
from ryu_vmmob.rest.views import View, described

_Number = Annotated[int, Field(ge=0, le=LARGEST)]


class DomainPresenceBody(Body):
    """A CUG in an L2 domain, as GET says it."""

    vlan_id: Annotated[VlanId, PRESENT_VLAN_ID]
    interfaces: Annotated[_Number, PRESENT_INTERFACES]


class ServerPresenceBody(Body):
    """A CUG on a server that is an L2 domain of its own, as GET says it."""

    interfaces: Annotated[_Number, PRESENT_INTERFACES]


class PresenceBody(Body):
    """The presence of a CUG, as GET says it."""

    data_centers: Annotated[list[Name], CENTERS]
    edges: Annotated[list[Name], EDGES]
    l2_domains: Annotated[dict[Name, DomainPresenceBody], PRESENT_DOMAINS]
    servers: Annotated[dict[Name, ServerPresenceBody], PRESENT_SERVERS]


class CugBody(Described):
    """A closed user group to create or replace."""

    subnets: Annotated[list[Subnet], Field(min_length=1), AfterValidator(one_per_family), SUBNETS]
    gateways: Annotated[list[Ip], AfterValidator(one_per_family), GATEWAYS] = Field(default=[])
    routing_domain: Annotated[Name | None, ROUTING_DOMAIN] = None
    vlan_ids: Annotated[dict[Name, VlanId], CUG_VLAN_IDS] = Field(default={})
    ipv6_ra_mode: Annotated[
        Literal["slaac", "dhcpv6_stateful", "dhcpv6_stateless"] | None, says(IPV6_RA, "null or left out: nothing.")
    ] = None
    name: ReadOnlyName = None
    segment_key: Annotated[int | None, Field(ge=1, le=MAX_SEGMENT_KEY), READ_ONLY] = None
    presence: Annotated[PresenceBody | None, READ_ONLY] = None
    revision: ReadOnlyRevision = None

    read_only: ClassVar = ("segment_key", "presence", "revision")

    def contradictions(self, view: Mapping[str, Any]) -> Iterator[Fault]:
        """See `Body`."""
        return differing(self, self.read_only, view)

    def command(self, name: str) -> PutCug:
        """As the command for the CUG ``name``."""
        subnets, gateways = tuple(self.subnets), tuple(self.gateways)
        return PutCug(
            name, subnets, gateways, self.routing_domain, self.vlan_ids, self.ipv6_ra_mode, self.labels, self.description
        )


class DomainPresence(TypedDict):
    """A CUG in an L2 domain; with 0 interfaces it only passes through."""

    vlan_id: Annotated[VlanTag, PRESENT_VLAN_ID]
    interfaces: Annotated[Count, PRESENT_INTERFACES]


class ServerPresence(TypedDict):
    """A CUG on a server that is an L2 domain of its own."""

    interfaces: Annotated[Count, PRESENT_INTERFACES]


class Presence(TypedDict):
    """The presence of a CUG, now or after a move under way."""

    data_centers: Annotated[list[str], CENTERS]
    edges: Annotated[list[str], EDGES]
    l2_domains: Annotated[dict[str, DomainPresence], PRESENT_DOMAINS]
    servers: Annotated[dict[str, ServerPresence], PRESENT_SERVERS]


class Cug(Planned, answers.Described):
    """A closed user group."""

    name: CugName
    subnets: Annotated[list[str], SUBNETS]
    gateways: Annotated[list[str], GATEWAYS]
    routing_domain: Annotated[str | None, ROUTING_DOMAIN]
    vlan_ids: Annotated[dict[str, VlanTag], CUG_VLAN_IDS]
    segment_key: Annotated[int, Field(ge=1, le=MAX_SEGMENT_KEY), SEGMENT_KEY]
    presence: Presence
    revision: Revision
    ipv6_ra_mode: NotRequired[
        Annotated[Literal["slaac", "dhcpv6_stateful", "dhcpv6_stateless"], says(IPV6_RA, "Left out: nothing.")]
    ]


class Cugs(TypedDict):
    """CUGs, by name."""

    items: Annotated[list[Cug], says("The CUGs.")]
    page: NotRequired[Page]


def cug_view(state: State, cug: objects.Cug) -> View:
    """Return a CUG; ``vlan_ids`` are the pins, ``presence`` is where it is now or is about to be."""
    return {
        "name": cug.name,
        "subnets": [str(subnet) for subnet in cug.subnets],
        "gateways": [str(gateway) for gateway in cug.gateways],
        "routing_domain": cug.routing_domain,
        "vlan_ids": dict(sorted(cug.pins.items())),
        "segment_key": cug.key,
        "presence": _presence(state, cug.name),
        "revision": cug.revision,
        **described(cug),
        **({} if cug.ipv6_ra_mode is None else {"ipv6_ra_mode": cug.ipv6_ra_mode}),
    }


def _presence(state: State, cug: str) -> View:
    fabric = state.fabric
    edges, centers = set(), set()
    interfaces: dict[str, int] = {}
    alone: dict[str, int] = {}
    for wire, count in state.occupancy.get(cug, Map()).items():
        server = fabric.servers[wire.server]
        edges.add(server.switch)
        center = fabric.switches[server.switch].data_center
        if center is not None:
            centers.add(center)
        if server.l2_domain is None:
            alone[server.name] = alone.get(server.name, 0) + count
        else:
            interfaces[server.l2_domain] = interfaces.get(server.l2_domain, 0) + count
    return {
        "data_centers": sorted(centers),
        "edges": sorted(edges),
        "l2_domains": {
            domain: {"vlan_id": vlan_id, "interfaces": interfaces.get(domain, 0)}
            for domain, vlan_id in sorted(state.vlan_ids(cug).items())
        },
        "servers": {name: {"interfaces": count} for name, count in sorted(alone.items())},
    }


EXAMPLE: Final = {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "routing_domain": "red", "vlan_ids": {"rack-a": 110}}

CUGS: Final = Collection[objects.Cug](
    name="cugs", key="cug", noun="CUG", tag="CUGs",
    objects=lambda state: state.cugs, view=cug_view, answer=Cug, answers=Cugs, body=CugBody, example=EXAMPLE,
    put=lambda body, name: body.command(name), delete=DeleteCug,
)  # fmt: skip
ROUTES: Final = CUGS.routes()
