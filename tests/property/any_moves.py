"""One random command on a bridged network."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import event
from hypothesis import strategies as st

from ryu_vmmob.model.commands import Abort, Activate, Commit, DeleteVm, PutVm, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.questions import QuestionVm
from ryu_vmmob.model.refusal import Refusal
from tests.support.world import World, interface, vm

CUGS = 3


LABELS = st.sampled_from([{}, {"role": "a"}, {"role": "b"}])
GUEST_TAGS = st.sampled_from([None, None, None, 100, 101, 102, 300])
"""Guests' own tags: the first that domains give out, one that none has, and often none."""


def act(draw: st.DataObject, world: World, count: int) -> None:
    """One random command; a refusal is an answer like any other, and changes nothing."""
    state = world.engine.state
    servers = sorted(world.fabric.servers)
    vms = sorted(state.vms)
    moving = sorted(row.id for row in state.migrations.values() if not row.phase.is_final)
    choice = draw.draw(
        st.sampled_from(
            [
                "add",
                "add",
                "move",
                "move",
                "deliver",
                "activate",
                "commit",
                "abort",
                "delete",
                "question",
                "policy",
                "label",
                "link",
                "time",
            ]
        )
    )
    before = world.engine.state
    try:
        if choice == "add":
            groups = draw.draw(st.lists(st.integers(0, CUGS - 1), min_size=1, max_size=CUGS, unique=True))
            interfaces = [interface(number, count + 2, number == 0, draw.draw(GUEST_TAGS)) for number in groups]
            world.do(replace(vm(f"vm{count}", draw.draw(st.sampled_from(servers)), *interfaces), labels=draw.draw(LABELS)))
        elif choice == "label" and vms:
            row = state.vms[draw.draw(st.sampled_from(vms))]
            world.do(PutVm(row.name, row.server, row.interfaces, labels=draw.draw(LABELS)))
        elif choice == "move" and vms:
            world.do(
                StartMigration(
                    f"m{count}",
                    draw.draw(st.sampled_from(vms)),
                    draw.draw(st.sampled_from(servers)),
                    mode=draw.draw(st.sampled_from(["hot", "hot", "cold"])),
                    delivery=draw.draw(st.sampled_from(["at_pause", "at_pause", "early", "on_activation"])),
                    activate_on=draw.draw(st.sampled_from(["announcement", "request"])),
                    commit=draw.draw(st.sampled_from(["automatic", "request"])),
                )
            )
        elif choice in ("deliver", "activate", "commit", "abort") and moving:
            command = {"deliver": Deliver, "activate": Activate, "commit": Commit, "abort": Abort}[choice]
            world.do(command(draw.draw(st.sampled_from(moving))))
        elif choice == "question" and vms:
            world.do(QuestionVm(draw.draw(st.sampled_from(vms))))
        elif choice == "delete" and vms:
            world.do(DeleteVm(draw.draw(st.sampled_from(vms))))
        elif choice == "policy":
            ends = [Selector("any"), *(Selector("vm", name) for name in vms), *(Selector("cug", name) for name in state.cugs)]
            ends += [Selector("labels", "role=a"), Selector("labels", "!role")]
            source, target = (draw.draw(st.sampled_from(ends)) for _ in range(2))
            name = f"p{draw.draw(st.integers(0, 2))}"
            world.do(DeletePolicy(name) if draw.draw(st.booleans()) else PutPolicy(name, False, source, target))
        elif choice == "link":
            names = sorted(link.name for link in world.fabric.links)
            world.links(frozenset(draw.draw(st.lists(st.sampled_from(names), max_size=2))))
        elif choice == "time":
            world.now += 40
            world.engine.progress()
            world._note()
        event(choice)
    except Refusal as refusal:
        assert world.engine.state is before
        event(f"refused {refusal.status} {refusal.title}")
