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
from ryu_vmmob.rest.answers import Page, Planned, Revision, VlanTag
from ryu_vmmob.rest.bodies import Body, Described, Ip, Name, Subnet, VlanId, one_per_family
from ryu_vmmob.rest.collection import Collection
from ryu_vmmob.rest.read_only import LARGEST, ReadOnlyName, ReadOnlyRevision, differing
from ryu_vmmob.rest.views import View, described

Count = Annotated[int, Field(ge=0, le=LARGEST)]


class DomainPresenceBody(Body):
    """See `DomainPresence`."""

    vlan_id: VlanId
    interfaces: Count


class ServerPresenceBody(Body):
    """See `ServerPresence`."""

    interfaces: Count


class PresenceBody(Body):
    """See `Presence`."""

    data_centers: list[Name]
    edges: list[Name]
    l2_domains: dict[Name, DomainPresenceBody]
    servers: dict[Name, ServerPresenceBody]


class CugBody(Described):
    """``PUT /v1/cugs/{cug}``."""

    subnets: Annotated[list[Subnet], Field(min_length=1), AfterValidator(one_per_family)]
    gateways: Annotated[list[Ip], AfterValidator(one_per_family)] = Field(default=[])
    routing_domain: Name | None = None
    vlan_ids: dict[Name, VlanId] = Field(default={})
    ipv6_ra_mode: Literal["slaac", "dhcpv6_stateful", "dhcpv6_stateless"] | None = None
    name: ReadOnlyName = None
    segment_key: Annotated[int | None, Field(ge=1, le=MAX_SEGMENT_KEY, description="Read-only: as GET says it.")] = None
    presence: Annotated[PresenceBody | None, Field(description="Read-only: as GET says it.")] = None
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

    vlan_id: VlanTag
    interfaces: int


class ServerPresence(TypedDict):
    """A CUG on a server that is an L2 domain of its own."""

    interfaces: int


class Presence(TypedDict):
    """The presence of a CUG, now or after a move under way.

    ``servers``: those that are L2 domains of their own, per interface or untagged.
    """

    data_centers: list[str]
    edges: list[str]
    l2_domains: dict[str, DomainPresence]
    servers: dict[str, ServerPresence]


class Cug(Planned, answers.Described):
    """A closed user group. ``vlan_ids`` are the VLAN-IDs asked for. ``ipv6_ra_mode`` is present where one was given."""

    name: str
    subnets: list[str]
    gateways: list[str]
    routing_domain: str | None
    vlan_ids: dict[str, VlanTag]
    segment_key: Annotated[int, Field(description="Number of its segment in the flows; the CUG keeps it.")]
    presence: Presence
    revision: Revision
    ipv6_ra_mode: NotRequired[Literal["slaac", "dhcpv6_stateful", "dhcpv6_stateless"]]


class Cugs(TypedDict):
    """CUGs, by name."""

    items: list[Cug]
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
    put=lambda body, name, now: body.command(name), delete=DeleteCug,
)  # fmt: skip
ROUTES: Final = CUGS.routes()
