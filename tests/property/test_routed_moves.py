"""Random fabrics with routing domains, external networks, policies and guests' own tags: every invariant on the way.

As `test_moves`: after each command, and after single switches' updates, packets are sent through the simulator.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Literal

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, DeleteVm, PutCug, PutVm, StartMigration
from ryu_vmmob.model.move_options import DELIVERIES
from ryu_vmmob.model.objects import Cug
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard
from tests.support.drawn_fabrics import fabrics
from tests.support.routed_networks import NEIGHBOUR, with_externals
from tests.support.world import World, cug, interface, vm

ROUTING_DOMAINS = ("red", "red", None, "blue")
"""Of CUGs 0 to 3 at first; the even ones have IPv6 too."""
LABELS = st.sampled_from([{}, {"role": "a"}, {"role": "b"}])
GUEST_TAGS = st.sampled_from([None, None, 100, 101, 300])
PROTOCOLS: st.SearchStrategy[int | Literal["icmp"] | None] = st.sampled_from([None, 6, 17, "icmp"])


def _command(data: st.DataObject, world: World, choice: str, count: int) -> Command | None:
    """One random command of a kind; None where there is nothing that it could be about."""
    state, servers = world.engine.state, st.sampled_from(sorted(world.fabric.servers))
    moving = sorted(row.id for row in state.migrations.values() if not row.phase.is_final)
    vms, numbers = sorted(state.vms), st.integers(0, len(ROUTING_DOMAINS) - 1)
    if choice == "add":
        groups = data.draw(st.lists(numbers, min_size=1, max_size=2, unique=True))
        rows = [interface(number, count + 2, number % 2 == 0, data.draw(GUEST_TAGS)) for number in groups]
        return replace(vm(f"vm{count}", data.draw(servers), *rows), labels=data.draw(LABELS))
    if choice == "label" and vms:
        row = state.vms[data.draw(st.sampled_from(vms))]
        return PutVm(row.name, row.server, row.interfaces, labels=data.draw(LABELS))
    if choice == "move" and vms:
        delivery = data.draw(st.sampled_from(DELIVERIES))
        return StartMigration(
            f"m{count}", data.draw(st.sampled_from(vms)), data.draw(servers), delivery=delivery, commit="request"
        )
    if choice in ("activate", "commit", "abort") and moving:
        step: type[Activate | Commit | Abort] = {"activate": Activate, "commit": Commit, "abort": Abort}[choice]
        return step(data.draw(st.sampled_from(moving)))
    if choice == "delete" and vms:
        return DeleteVm(data.draw(st.sampled_from(vms)))
    if choice == "routing domain":
        number = data.draw(numbers)
        return replace(cug(number, number % 2 == 0), routing_domain=data.draw(st.sampled_from([None, "red", "blue"])))
    if choice == "edit" and state.cugs:
        return _edit(data, state.cugs[data.draw(st.sampled_from(sorted(state.cugs)))])
    if choice == "policy":
        return _policy(data, world, vms)
    external = data.draw(st.sampled_from(sorted(world.fabric.externals)))
    if choice == "neighbour":
        hop = data.draw(st.sampled_from(world.fabric.externals[external].next_hops))
        return NeighbourHeard(external, hop, data.draw(st.sampled_from([None, NEIGHBOUR])))
    if choice == "external":
        return ExternalsChanged(frozenset(data.draw(st.sampled_from([[], [external]]))))
    return None


def _edit(data: st.DataObject, row: Cug) -> PutCug:
    """A CUG as it is but for its gateways or subnets; its routing domain stays."""
    number = int(row.name.removeprefix("cug"))
    subnets = list(data.draw(st.sampled_from([cug(number, True), cug(number, False)])).subnets)
    if data.draw(st.booleans()):
        subnets[0] = ip_network(f"10.{number}.0.0/23")
    gateways = tuple(subnet[data.draw(st.sampled_from([1, 250]))] for subnet in subnets)
    return PutCug(row.name, tuple(subnets), gateways, row.routing_domain)


def _policy(data: st.DataObject, world: World, vms: list[str]) -> Command:
    name = f"p{data.draw(st.integers(0, 3))}"
    if name in world.engine.state.policies and data.draw(st.booleans()):
        return DeletePolicy(name)
    ends = [Selector("any"), Selector("prefix", ip_network("10.0.0.0/9"))]
    ends += [Selector("cug", f"cug{number}") for number in range(len(ROUTING_DOMAINS))] + [Selector("vm", one) for one in vms]
    ends += [Selector("labels", text) for text in ("role=a", "role!=a")]
    source, target = data.draw(st.sampled_from(ends)), data.draw(st.sampled_from(ends))
    protocol = data.draw(PROTOCOLS)
    return PutPolicy(name, data.draw(st.booleans()), source, target, data.draw(st.integers(1, 2)), protocol)


KINDS = st.sampled_from(
    ["add", "add", "add", "move", "move", "activate", "commit", "abort", "delete", "routing domain", "edit", "edit", "policy",
     "policy", "label",     "neighbour", "external", "links", "time"]
)  # fmt: skip


@pytest.mark.requirement("R11a", "R11b", "R24", "R25", "R28", "R40", "R42", "R46a", "R48a", "R48b")
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), fabrics())
def test_every_intermediate_state_keeps_every_invariant_of_routing(data: st.DataObject, fabric: Fabric) -> None:
    world = World(with_externals(fabric))
    for number, routing_domain in enumerate(ROUTING_DOMAINS):
        world.do(replace(cug(number, number % 2 == 0), routing_domain=routing_domain))
    world.settle()
    for count in range(data.draw(st.integers(3, 12))):
        choice = data.draw(KINDS)
        before = world.engine.state
        try:
            if choice == "links":
                names = sorted(link.name for link in fabric.links)
                world.links(frozenset(data.draw(st.lists(st.sampled_from(names), max_size=2))))
            elif choice == "time":
                world.now += 40
                world.engine.progress()
                world._note()
            elif (command := _command(data, world, choice, count)) is not None:
                world.do(command)
            event(choice)
        except Refusal as refusal:
            assert world.engine.state is before
            event(f"refused {refusal.status} {refusal.title}")
        for _ in range(data.draw(st.integers(0, 5))):
            waiting = world.waiting()
            if waiting:
                world.update(data.draw(st.sampled_from(waiting)))
        world.check()
        world.check_oracles()
    world.settle()
    world.check()
    world.check_oracles()
