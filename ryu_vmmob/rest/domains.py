"""``/v1/l2_domains``: how much of each domain's space of VLAN-IDs is used, and who has which."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final, Literal

from immutables import Map
from typing_extensions import TypedDict

from ryu_vmmob.fabric import model
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.answers import Count, VlanTag
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.fabric import L2Domain, domain_view
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import View


class Pool(L2Domain):
    """A domain and the use of its VLAN-IDs."""

    size: Annotated[Count, says("How many VLAN-IDs it has.")]
    used: Annotated[Count, says("How many of them a CUG or a routing domain has.")]
    resting: Annotated[Count, says("How many rest in quarantine after they were given back.")]
    free: Annotated[Count, says("How many may be given out now.")]
    switches: Annotated[list[str], says("Switches that are in the domain or have a port in it, by name.")]
    starved: Annotated[list[str], says("CUGs and routing domains that found no free VLAN-ID when a link failed.")]


class Pools(TypedDict):
    """Domains, by name."""

    items: Annotated[list[Pool], says("The domains.")]


class Holder(TypedDict):
    """The holder of a VLAN-ID: a CUG, or a routing domain for its routed segment."""

    vlan_id: Annotated[VlanTag, says("The VLAN-ID, 1 to 4094.")]
    kind: Annotated[Literal["cug", "routing_domain"] | None, says("What holds it. null: that was deleted.")]
    name: Annotated[str | None, says("The name of the holder. null: it was deleted.")]
    state: Annotated[Literal["used", "resting"], says("Whether it is used, or rests in quarantine.")]


class PoolUse(Pool):
    """A domain, and who has which VLAN-ID of it, in order."""

    holders: Annotated[list[Holder], says("The VLAN-IDs that are used or rest, in order.")]


def _counts(state: State) -> tuple[Counter[str], Counter[str]]:
    """VLAN-IDs that have a holder, and those of them in quarantine, by domain."""
    return Counter(domain for domain, _ in state.holders), Counter(domain for domain, _ in state.quarantine)


def _view(state: State, domain: model.L2Domain, held: int, resting: int) -> View:
    size = len(domain.vlan_ids)
    at_home = {row.name for row in state.fabric.switches.values() if row.l2_domain == domain.name}
    return domain_view(domain) | {
        "size": size,
        "used": held - resting,
        "resting": resting,
        "free": size - held,
        "switches": sorted(at_home | state.fabric.switches_of_domain.get(domain.name, frozenset())),
        "starved": sorted(str(state.segment(segment)) for segment, name in state.starved if name == domain.name),
    }


def list_domains(call: Call) -> Answer:
    """Every L2 domain with the use of its VLAN-IDs, by name."""
    state = call.engine.state
    held, resting = _counts(state)
    rows = sorted(state.fabric.l2_domains.items())
    return Answer(200, {"items": call.each(rows, lambda row: _view(state, row[1], held[row[0]], resting[row[0]]))})


def get_domain(call: Call) -> Answer:
    """One L2 domain, and who has which of its VLAN-IDs."""
    state, name = call.engine.state, call.names["domain"]
    domain = state.fabric.l2_domains.get(name)
    if domain is None:
        raise not_found("L2 domain", name)
    held, resting = _counts(state)
    mine = sorted((vlan_id, key) for (where, vlan_id), key in state.holders.items() if where == name)

    def holder(row: tuple[int, int]) -> View:
        vlan_id, key = row
        segment = state.segment(state.segment_names.get(key, ""))
        return {
            "vlan_id": vlan_id,
            "kind": None if segment is None else "cug" if isinstance(segment, Cug) else "routing_domain",
            "name": None if segment is None else segment.name,
            "state": "used" if state.allocations.get(key, Map()).get(name) == vlan_id else "resting",
        }

    return Answer(200, _view(state, domain, held[name], resting[name]) | {"holders": call.each(mine, holder)})


ROUTES: Final = (
    Route("GET", "/v1/l2_domains", list_domains, listing("list_l2_domains", "Fabric", Pools)),
    Route("GET", "/v1/l2_domains/{domain}", get_domain, listing("get_l2_domain", "Fabric", PoolUse)),
)
