"""``/v1/migrations``: what may stand in a request, what an answer has, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Final, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.tickets import Switches, Ticket
from ryu_vmmob.health.reach import warnings
from ryu_vmmob.model import objects
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit, StartMigration
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.objects import STATES, Phase, TimelineEntry
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.model.state import State
from ryu_vmmob.rest import paging
from ryu_vmmob.rest.answers import (
    Acknowledged,
    Count,
    CugName,
    DryRun,
    FromVlanId,
    Page,
    Revision,
    Time,
    ToVlanId,
    VmName,
    Warned,
)
from ryu_vmmob.rest.bodies import Body, Empty, FrameBytes, Name
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.moves import AbortBody, MoveOptions, MoveOptionsBody
from ryu_vmmob.rest.operations import Operation, getting, paged, stepping
from ryu_vmmob.rest.owners import switches_view
from ryu_vmmob.rest.paging import PAGED
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import View, time_text

_TARGET: Final = says("The server that the VM moves to.")


class MigrationBody(MoveOptionsBody):
    """A move to begin: the VM, its target and how it moves."""

    vm: Annotated[Name, says("The VM to move.")]
    to: Annotated[Name, _TARGET]

    def command(self, id_: str) -> StartMigration:
        """As the command for a migration with this id."""
        return StartMigration(id_, self.vm, self.to, **self.options())


class FramesBody(Body):
    """Ethernet frames that reached the source after its pause, as the guest would have got them."""

    interface: Annotated[int, Field(ge=0), says("The number of the VM's interface, counted from 0.")]
    frames: Annotated[
        list[FrameBytes],
        says(
            "Frames of 14 to 9216 bytes for the interface's MAC: at most 1000 and 2 MiB together. In JSON each is Base64 text."
        ),
    ]


class MigrationAbortBody(AbortBody):
    """What the abort of a move may say."""

    force: Annotated[
        bool, says("True: take the target away at once, although a switch has not confirmed that the source is open again.")
    ] = False


MoveState = Literal["preparing", "prepared", "activated", "committed", "aborted", "failed"]


class Leg(TypedDict):
    """One interface of a VM that moves, and what the servers' virtual switches tag it with."""

    cug: CugName
    from_vlan_id: FromVlanId
    to_vlan_id: ToVlanId


class TimelineStep(TypedDict):
    """A state that a move entered: when, what each switch was sent for it, when each had it, and when all had."""

    state: Annotated[Phase, says("The state, or `delivered` for the moment of `/deliver`.")]
    time: Annotated[Time, says("When the move entered it.")]
    flow_mods: Annotated[dict[str, int], says("How many messages each switch is sent for it, by switch.")]
    acknowledged: Annotated[dict[str, Time | None], says("When each of these switches confirmed it, by switch. null: not yet.")]
    frames: Annotated[Count, says("How many frames were sent on to the target since.")]
    complete: Annotated[Time | None, says("When the last of these switches confirmed it. null: one has not.")]


_Move = TypedDict(
    "_Move",
    {
        "vm": VmName,
        "from": Annotated[str, says("The server that the VM moves away from.")],
        "to": Annotated[str, _TARGET],
    },
)


class _Migration(_Move, MoveOptions):
    state: Annotated[
        MoveState,
        says(
            "`preparing`: the switches are being told. `prepared`: they have confirmed, and the VM may move. `activated`: the",
            "VM is at the target. `committed`: the move is over. `aborted` and `failed`: the VM is at its source.",
        ),
    ]
    delivered: Annotated[bool, says("Whether its traffic went to the target before it was activated.")]
    returning: Annotated[bool, says("Whether an abort is under way: the VM belongs to its source again.")]
    reason: Annotated[str | None, says("Why it is in this state. null: no reason was given.")]
    batch: Annotated[str | None, says("The id of the batch that began it. null: none did.")]
    interfaces: Annotated[list[Leg], says("The interfaces of the VM, each with its tags.")]
    switches: Annotated[Acknowledged, says("The switches that the present state needs.")]
    timeline: Annotated[list[TimelineStep], says("The states that it has entered, in order.")]
    warnings: NotRequired[Warned]
    settled: Annotated[
        Annotated[float, Field(ge=0)] | None,
        says("Seconds from the activation until every switch had confirmed it. null: that is not so yet."),
    ]


class SentOn(TypedDict):
    """How many frames were sent on."""

    sent: Annotated[Count, says("How many frames the target's switch was handed.")]


class Migration(_Migration):
    """A move."""

    id: Annotated[str, says("The id of the move. That of an unannounced one begins with `u-`.")]
    revision: Revision


class PlannedMigration(_Migration):
    """The plan of a move."""

    dry_run: DryRun


class Migrations(TypedDict):
    """Migrations in the order they began."""

    items: Annotated[list[Migration], says("The migrations.")]
    page: NotRequired[Page]


def planned_view(migration: objects.Migration) -> View:
    """Return a migration that is not begun: what would happen. No switch has been told, so all are pending."""
    view = _migration(migration, Switches([], sorted(migration.switches), []), lambda moment: moment)
    return {key: value for key, value in view.items() if key not in ("id", "revision")} | {"dry_run": True}


def migration_view(engine: Engine, migration: objects.Migration) -> View:
    """Return a migration with what its switches have confirmed of its present phase."""
    # Old migrations may name switches that the fabric no longer has.
    known = tuple(name for name in migration.switches if name in engine.state.fabric.switches)
    switches = engine.migration_switches(replace(migration, switches=known))
    view = _migration(engine.with_acknowledgements(migration), switches, engine.clock.told)
    return view if migration.phase.is_final else view | warned(engine.state, migration)


def warned(state: State, migration: objects.Migration) -> View:
    """Return what an answer has besides while the target is cut off from the others of the VM's CUGs."""
    found = warnings(state, migration.vm, migration.target) if migration.target in state.fabric.servers else ()
    return {"warnings": list(found)} if found else {}


def _migration(migration: objects.Migration, switches: Switches, told: Callable[[float], float]) -> View:
    # Who refused what the present step needs has not confirmed it.
    refusing = {row.switch for row in switches.refused}
    timeline = list(migration.timeline)
    if refusing:
        left = {name: time for name, time in timeline[-1].acknowledged.items() if name not in refusing}
        timeline[-1] = timeline[-1]._replace(acknowledged=left)
    return {
        "id": migration.id,
        "vm": migration.vm,
        "from": migration.source,
        "to": migration.target,
        **migration.options(),
        "state": migration.phase.value,
        "delivered": migration.is_delivered,
        "returning": migration.is_returning,
        "reason": migration.reason,
        "batch": migration.batch,
        "interfaces": [leg._asdict() for leg in migration.legs],
        "switches": switches_view(switches),
        "timeline": [_entry_view(entry, told) for entry in timeline],
        "settled": _settled(timeline),
        "revision": migration.revision,
    }


def _entry_view(entry: TimelineEntry, told: Callable[[float], float]) -> View:
    complete = _complete(entry)
    return {
        "state": entry.phase.value,
        "time": time_text(told(entry.time)),
        "flow_mods": dict(entry.flow_mods),
        "acknowledged": {
            name: time_text(told(entry.acknowledged[name])) if name in entry.acknowledged else None for name in entry.flow_mods
        },
        "frames": entry.frames,
        "complete": None if complete is None else time_text(told(complete)),
    }


def _complete(entry: TimelineEntry) -> float | None:
    """Return when the last of the switches that a step concerns had confirmed it; None while one has not."""
    if any(name not in entry.acknowledged for name in entry.flow_mods):
        return None
    return max((entry.time, *entry.acknowledged.values()))


def _settled(timeline: Sequence[TimelineEntry]) -> float | None:
    """Seconds from the activation until every switch had confirmed it; None before that, and of a move never activated."""
    entry = next((row for row in timeline if row.phase is Phase.ACTIVATED), None)
    complete = None if entry is None else _complete(entry)
    return None if entry is None or complete is None else round(complete - entry.time, 6)


def list_migrations(call: Call) -> Answer:
    """Migrations in the order they began: all, those in ``?state``, those of ``?vm``."""
    phase, vm = call.query.get("state"), call.query.get("vm")
    states = [row.value for row in STATES]
    if phase is not None and phase not in states:
        raise bad_query("state", f"must be one of {', '.join(states)}")
    rows = sorted(call.engine.state.migrations.values(), key=lambda row: (row.started, row.id))
    wanted = [row for row in rows if phase in (None, row.phase.value) and vm in (None, row.vm)]
    view = partial(migration_view, call.engine)
    return Answer(200, paging.items(call, wanted, lambda row: (row.started, row.id), view))


def get_migration(call: Call) -> Answer:
    """One migration."""
    return _answer(call, 200, _named(call))


def start_migration(call: Call) -> Answer:
    """Begin to prepare a move (201), or say what it would do (``?dry_run=true``, 200)."""
    seconds = call.seconds_to_wait()
    id_ = call.services.new_id()
    command = call.body.command(id_)
    if call.flag("dry_run"):
        planned = call.engine.dry_run(command).migrations[id_]
        return Answer(200, planned_view(planned) | warned(call.engine.state, planned))
    ticket = call.engine.execute(command)
    return _after(call, 201, id_, ticket, seconds)._replace(location=f"/v1/migrations/{id_}")


def deliver(call: Call) -> Answer:
    """Send the VM's traffic to the target from now on: the source has paused."""
    return _step(call, Deliver(call.names["id"]))


def send_frames(call: Call) -> Answer:
    """Frames that reached the source after its pause: the target's switch sends them on to the target."""
    return Answer(200, {"sent": call.engine.send_on(_named(call), call.body.interface, call.body.frames)})


def activate(call: Call) -> Answer:
    """Activate a move: the VM runs at its target now."""
    return _step(call, Activate(call.names["id"], "requested"))


def commit(call: Call) -> Answer:
    """Commit a move: the source goes."""
    return _step(call, Commit(call.names["id"]))


def abort(call: Call) -> Answer:
    """Abort a move: the target goes; with ``force`` at once, although a switch is dead."""
    return _step(call, Abort(call.names["id"], call.body.reason or "requested", call.body.force))


def _step(call: Call, command: Command) -> Answer:
    seconds = call.seconds_to_wait()
    migration = _named(call)
    call.check_match(migration.revision)
    return _after(call, 200, migration.id, call.engine.execute(command), seconds)


def _named(call: Call) -> objects.Migration:
    migration = call.engine.state.migrations.get(call.names["id"])
    if migration is None:
        raise not_found("migration", call.names["id"])
    return migration


def _after(call: Call, status: int, id_: str, ticket: Ticket, seconds: float | None) -> Answer:
    if seconds is not None:
        call.services.wait(ticket, seconds)
    # It may have moved on meanwhile; and a finished one may be forgotten.
    return _answer(call, status, call.engine.state.migrations.get(id_) or ticket.state.migrations[id_])


def _answer(call: Call, status: int, migration: objects.Migration) -> Answer:
    return Answer(status, migration_view(call.engine, migration), migration.revision)


FRAMES_BODY: Final = 3 * 2**20
"""Bytes: as many frames as one request may have, in Base64 too."""
_WAIT = frozenset({"wait"})


_LINKS: Final = {
    name: (f"{name}_migration", "id", "$response.body#/id") for name in ("get", "deliver", "activate", "commit", "abort")
}
_START: Final = Operation(
    "start_migration", "Migrations", {200: PlannedMigration, 201: Migration}, (409,), tagged=True, located=(201,),
    example={"vm": "web1", "to": "srv-c1", "timeout": 300}, links={201: _LINKS},
)  # fmt: skip
_FRAMES: Final = Operation("send_frames", "Migrations", {200: SentOn}, (409, 429, 503), example={"interface": 0, "frames": []})
_ABORT: Final = {"reason": "the guest does not migrate"}


def _stepping(word: str, example: dict[str, str] | None = None) -> Operation:
    return stepping(f"{word}_migration", "Migrations", Migration, example)


_ONE: Final = "/v1/migrations/{id}"
ROUTES: Final = (
    Route("GET", "/v1/migrations", list_migrations, paged("list_migrations", "Migrations", Migrations),
          frozenset({"state", "vm"}) | PAGED),
    Route("POST", "/v1/migrations", start_migration, _START, frozenset({"wait", "dry_run"}), MigrationBody),
    Route("GET", _ONE, get_migration, getting("get_migration", "Migrations", Migration)),
    Route("POST", f"{_ONE}/deliver", deliver, _stepping("deliver"), _WAIT, Empty, body_required=False, urgent=True),
    Route("POST", f"{_ONE}/frames", send_frames, _FRAMES, body=FramesBody, max_body=FRAMES_BODY, urgent=True),
    Route("POST", f"{_ONE}/activate", activate, _stepping("activate"), _WAIT, Empty, body_required=False, urgent=True),
    Route("POST", f"{_ONE}/commit", commit, _stepping("commit"), _WAIT, Empty, body_required=False),
    Route("POST", f"{_ONE}/abort", abort, _stepping("abort", _ABORT), _WAIT, MigrationAbortBody, body_required=False,
          urgent=True),
)  # fmt: skip
