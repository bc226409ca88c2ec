"""No trace: what a move leaves behind on every switch, on random fabrics.

Compared is what the simulated switches hold, flows by cookie and groups by content, not what the compiler says of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, assume, event, given, reject, settings
from hypothesis import strategies as st

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.fabric.model import Fabric, Tagging
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, PutCug, PutVm, StartMigration
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.refusal import Refusal
from tests.support.drawn_fabrics import fabrics
from tests.support.world import World, cug, interface

CUGS = 3
FIRST_CUG, FIRST_VNIC = 110, 1000
"""Numbers of the first CUG and of the first vNIC where they are pinned."""
GUEST_TAGS = st.sampled_from([None, None, 100, 101, 300])
"""Guests' own tags: the first that domains give out, one that none has, and often none."""
MANY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Scene:
    """Some VMs on a fabric, the first of which is to move from ``source`` to ``target``."""

    fabric: Fabric
    vms: tuple[tuple[str, str, tuple[Interface, ...]], ...]
    target: str
    move: StartMigration

    @property
    def source(self) -> str:
        return self.vms[0][1]


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    fabric = draw(fabrics())
    servers = sorted(fabric.servers)
    vms = []
    for number in range(draw(st.integers(1, 6))):
        groups = draw(st.lists(st.integers(0, CUGS - 1), min_size=1, max_size=CUGS, unique=True))
        interfaces = tuple(interface(group, number + 2, group == 0, draw(GUEST_TAGS)) for group in groups)
        vms.append((f"vm{number}", draw(st.sampled_from(servers)), interfaces))
    target = draw(st.sampled_from([name for name in servers if name != vms[0][1]]))
    move = StartMigration(
        "m1",
        "vm0",
        target,
        delivery=draw(st.sampled_from(["at_pause", "early", "on_activation"])),
        activate_on=draw(st.sampled_from(["announcement", "request"])),
        commit="request",
        timeout=1e9,
    )
    return Scene(fabric, tuple(vms), target, move)


def build(scene: Scene, cugs: Iterable[PutCug], first_at: str | None = None) -> World:
    """The scene at rest, its first VM perhaps at another server than it says."""
    world = World(scene.fabric)
    do(world, *cugs)
    for number, (name, server, interfaces) in enumerate(scene.vms):
        do(world, PutVm(name, first_at if first_at is not None and not number else server, interfaces))
    return world


def do(world: World, *commands: Command) -> None:
    """Each command carried out, and taken by all switches."""
    for command in commands:
        world.do(command)
        world.settle()


def possible(scene: Scene, cugs: Iterable[PutCug]) -> World:
    """The scene at rest. One that guests' tags forbid, or the move of which they forbid, is no example."""
    try:
        world = build(scene, cugs)
        world.engine.dry_run(scene.move)
    except Refusal:
        reject()
    return world


def cugs() -> list[PutCug]:
    return [cug(number, number == 0) for number in range(CUGS)]


def fixed(scene: Scene) -> Scene:
    """The scene with a number for each vNIC at servers that tag per interface, so that the order of arrival does not show."""
    vms = []
    for row, (name, server, interfaces) in enumerate(scene.vms):
        places = {server} | ({scene.target} if row == 0 else set())
        taggings = {scene.fabric.servers[place].tagging for place in places}
        if Tagging.PER_INTERFACE in taggings:
            own = [FIRST_VNIC + row * CUGS + index for index in range(len(interfaces))]
            cugs_own = [FIRST_CUG + int(interface.cug.removeprefix("cug")) for interface in interfaces]
            # A number is the same at every server, and at one that tags per CUG it is the CUG's.
            chosen = own if len(taggings) == 1 else cugs_own
            interfaces = tuple(replace(old, vlan_id=number) for old, number in zip(interfaces, chosen, strict=True))
        vms.append((name, server, interfaces))
    return replace(scene, vms=tuple(vms))


def there(world: World, move: StartMigration) -> None:
    do(world, move, Activate(move.id), Commit(move.id))


@MANY
@given(scenes(), st.booleans())
def test_prepared_and_aborted_leaves_no_trace(scene: Scene, at_once: bool) -> None:
    world = possible(scene, cugs())
    before = world.tables()
    if at_once:
        # Aborted while the preparation is on its way: some switches have it, some never get it.
        world.do(scene.move)
        for name in world.waiting()[::2]:
            world.update(name)
    else:
        do(world, scene.move)
        event("same flows while prepared" if world.tables() == before else "other flows while prepared")
    do(world, Abort("m1"))
    assert world.tables() == before
    assert world.engine.state.vms["vm0"].server == scene.source
    world.check()


@MANY
@given(scenes(), st.integers(0, 59))
def test_there_and_back_within_the_quarantine_leaves_no_trace(scene: Scene, seconds: int) -> None:
    world = possible(scene, cugs())
    before, numbers = world.tables(), world.engine.state.allocations
    there(world, scene.move)
    world.now += seconds
    world.engine.progress()
    world.settle()
    there(world, replace(scene.move, id="m2", to=scene.source))
    assert world.tables() == before
    assert world.engine.state.allocations == numbers
    world.check_oracles()


@MANY
@given(scenes())
def test_after_a_move_it_is_as_if_the_vm_had_always_been_there(scene: Scene) -> None:
    """Every CUG is pinned to one number everywhere, and every vNIC, so that the history of the numbers does not show."""
    pinned = [
        replace(row, pins=dict.fromkeys(scene.fabric.l2_domains, FIRST_CUG + number)) for number, row in enumerate(cugs())
    ]
    scene = fixed(scene)
    moved = possible(scene, pinned)
    there(moved, scene.move)
    always = build(scene, pinned, first_at=scene.target)
    assert moved.tables() == always.tables()
    assert moved.engine.state.presences == always.engine.state.presences
    moved.check()


@MANY
@given(scenes(), st.data())
def test_links_down_and_up_again_leave_no_trace(scene: Scene, data: st.DataObject) -> None:
    world = possible(scene, cugs())
    before = world.tables()
    names = sorted(link.name for link in scene.fabric.links)
    assume(names)
    world.links(frozenset(data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=3))))
    world.settle()
    world.check()
    world.links(frozenset())
    world.settle()
    assert world.tables() == before


@MANY
@given(scenes())
def test_a_restart_in_the_middle_sends_nothing_and_the_move_goes_on(scene: Scene) -> None:
    """The controller starts again while a VM is prepared to move: no flow-mod (invariant 9), and the move ends as it should."""
    world = possible(scene, cugs())
    do(world, scene.move)
    again = World.__new__(World)
    again.__dict__.update(world.__dict__)
    again.engine = Engine(scene.fabric, world.store, lambda: world.now, quarantine=60.0)
    again.sent = dict.fromkeys(scene.fabric.switches, 0)
    for name in scene.fabric.switches:
        again.connect(name)
    assert set(again.sent.values()) == {0}
    do(again, Activate("m1"), Commit("m1"))
    assert again.engine.state.vms["vm0"].server == scene.target
    again.check()
