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
from ryu_vmmob.rest.answers import Acknowledged, Page, Revision, Time, VlanTag
from ryu_vmmob.rest.bodies import Body, Empty, FrameBytes, Name
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.moves import AbortBody, MoveOptions, MoveOptionsBody
from ryu_vmmob.rest.operations import Operation, getting, paged, stepping
from ryu_vmmob.rest.owners import switches_view
from ryu_vmmob.rest.paging import PAGED
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.views import View, time_text


class MigrationBody(MoveOptionsBody):
    """``POST /v1/migrations``."""

    vm: Name
    to: Name

    def command(self, id_: str, now: float) -> StartMigration:
        """As the command for a migration with this id."""
        return StartMigration(id_, self.vm, self.to, now, **self.options())


class FramesBody(Body):
    """``POST /v1/migrations/{id}/frames``: Ethernet frames as the guest would have got them; in JSON as Base64 text."""

    interface: Annotated[int, Field(ge=0)]
    frames: list[FrameBytes]


class MigrationAbortBody(AbortBody):
    """``POST /v1/migrations/{id}/abort``; ``force``: wait for no switch."""

    force: bool = False


MoveState = Literal["preparing", "prepared", "activated", "committed", "aborted", "failed"]


class Leg(TypedDict):
    """One interface of a VM that moves: what the servers' virtual switches tag it with; null: untagged."""

    cug: str
    from_vlan_id: VlanTag | None
    to_vlan_id: VlanTag | None


class TimelineStep(TypedDict):
    """A state that a move entered: when, what each switch was sent for it, when each had it, and when all had."""

    state: Phase
    time: Time
    flow_mods: dict[str, int]
    acknowledged: dict[str, Time | None]
    frames: Annotated[int, Field(ge=0, description="Frames sent on to the target since.")]
    complete: Time | None


_Move = TypedDict("_Move", {"vm": str, "from": str, "to": str})


class _Migration(_Move, MoveOptions):
    state: MoveState
    delivered: Annotated[bool, Field(description="Its traffic went to the target before it was activated.")]
    returning: bool
    reason: str | None
    batch: str | None
    interfaces: list[Leg]
    switches: Acknowledged
    timeline: list[TimelineStep]
    warnings: NotRequired[Annotated[list[str], Field(description="Why it had better not move now, in a sentence each.")]]
    settled: Annotated[float | None, Field(description="Seconds from the activation until every switch had confirmed it.")]


class SentOn(TypedDict):
    """How many frames were sent on."""

    sent: int


class Migration(_Migration):
    """A move."""

    id: str
    revision: Revision


class PlannedMigration(_Migration):
    """The plan of a move."""

    dry_run: Literal[True]


class Migrations(TypedDict):
    """Migrations in the order they began."""

    items: list[Migration]
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
    command = call.body.command(id_, call.now())
    if call.flag("dry_run"):
        planned = call.engine.dry_run(command).migrations[id_]
        return Answer(200, planned_view(planned) | warned(call.engine.state, planned))
    ticket = call.engine.execute(command)
    return _after(call, 201, id_, ticket, seconds)._replace(location=f"/v1/migrations/{id_}")


def deliver(call: Call) -> Answer:
    """Send the VM's traffic to the target from now on: the source has paused."""
    return _step(call, Deliver(call.names["id"], call.now()))


def send_frames(call: Call) -> Answer:
    """Frames that reached the source after its pause: the target's switch sends them on to the target."""
    return Answer(200, {"sent": call.engine.send_on(_named(call), call.body.interface, call.body.frames)})


def activate(call: Call) -> Answer:
    """Activate a move: the VM runs at its target now."""
    return _step(call, Activate(call.names["id"], call.now(), "requested"))


def commit(call: Call) -> Answer:
    """Commit a move: the source goes."""
    return _step(call, Commit(call.names["id"], call.now()))


def abort(call: Call) -> Answer:
    """Abort a move: the target goes; with ``force`` at once, although a switch is dead."""
    return _step(call, Abort(call.names["id"], call.now(), call.body.reason or "requested", call.body.force))


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
