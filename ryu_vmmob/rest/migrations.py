"""``/v1/migrations``."""

from __future__ import annotations

from typing import Final

from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.model.commands import Abort, Activate, Command, Commit
from ryu_vmmob.model.migration_steps import Deliver
from ryu_vmmob.model.objects import STATES, Migration
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.rest.bodies import Empty, FramesBody, MigrationAbortBody, MigrationBody
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.problems import bad_query
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.views import migration_view, planned_view


def list_migrations(call: Call) -> Answer:
    """Migrations in the order they began: all, those in ``?state``, those of ``?vm``."""
    phase, vm = call.query.get("state"), call.query.get("vm")
    states = [row.value for row in STATES]
    if phase is not None and phase not in states:
        raise bad_query("state", f"must be one of {', '.join(states)}")
    rows = sorted(call.engine.state.migrations.values(), key=lambda row: (row.started, row.id))
    wanted = [row for row in rows if phase in (None, row.phase.value) and vm in (None, row.vm)]
    return Answer(200, {"items": [migration_view(call.engine, row) for row in wanted]})


def get_migration(call: Call) -> Answer:
    """One migration."""
    return _answer(call, 200, _named(call))


def start_migration(call: Call) -> Answer:
    """Begin to prepare a move (201), or say what it would do (``?dry_run=true``, 200)."""
    seconds = call.seconds_to_wait()
    id_ = call.services.new_id()
    command = call.body.command(id_, call.now())
    if call.flag("dry_run"):
        return Answer(200, planned_view(call.engine.dry_run(command).migrations[id_]))
    ticket = call.engine.execute(command)
    return _after(call, 201, id_, ticket, seconds)._replace(location=f"/v1/migrations/{id_}")


def deliver(call: Call) -> Answer:
    """The source has paused: the VM's traffic goes to the target from now on."""
    return _step(call, Deliver(call.names["id"], call.now()))


def send_frames(call: Call) -> Answer:
    """Frames that reached the source after its pause: the target's switch sends them on to the new place."""
    return Answer(200, {"sent": call.engine.send_on(_named(call), call.body.interface, call.body.frames)})


def activate(call: Call) -> Answer:
    """Activate a move: the VM runs at its target now."""
    return _step(call, Activate(call.names["id"], call.now(), "requested"))


def commit(call: Call) -> Answer:
    """Commit a move: the old place goes."""
    return _step(call, Commit(call.names["id"], call.now()))


def abort(call: Call) -> Answer:
    """Abort a move: the new place goes; with ``force`` at once, although a switch is dead."""
    return _step(call, Abort(call.names["id"], call.now(), call.body.reason or "requested", call.body.force))


def _step(call: Call, command: Command) -> Answer:
    seconds = call.seconds_to_wait()
    migration = _named(call)
    call.check_match(migration.revision)
    return _after(call, 200, migration.id, call.engine.execute(command), seconds)


def _named(call: Call) -> Migration:
    migration = call.engine.state.migrations.get(call.names["id"])
    if migration is None:
        raise not_found("migration", call.names["id"])
    return migration


def _after(call: Call, status: int, id_: str, ticket: Ticket, seconds: float | None) -> Answer:
    if seconds is not None:
        call.services.wait(ticket, seconds)
    # It may have moved on meanwhile; and a finished one may be forgotten.
    return _answer(call, status, call.engine.state.migrations.get(id_) or ticket.state.migrations[id_])


def _answer(call: Call, status: int, migration: Migration) -> Answer:
    return Answer(status, migration_view(call.engine, migration), migration.revision)


FRAMES_BODY: Final = 3 * 2**20
"""Bytes: as many frames as one request may have, in Base64 too."""
_WAIT = frozenset({"wait"})
ROUTES = (
    Route("GET", "/v1/migrations", list_migrations, frozenset({"state", "vm"})),
    Route("POST", "/v1/migrations", start_migration, frozenset({"wait", "dry_run"}), MigrationBody),
    Route("GET", "/v1/migrations/{id}", get_migration),
    Route("POST", "/v1/migrations/{id}/deliver", deliver, _WAIT, Empty, body_required=False, urgent=True),
    Route("POST", "/v1/migrations/{id}/frames", send_frames, body=FramesBody, max_body=FRAMES_BODY, urgent=True),
    Route("POST", "/v1/migrations/{id}/activate", activate, _WAIT, Empty, body_required=False, urgent=True),
    Route("POST", "/v1/migrations/{id}/commit", commit, _WAIT, Empty, body_required=False),
    Route("POST", "/v1/migrations/{id}/abort", abort, _WAIT, MigrationAbortBody, body_required=False, urgent=True),
)
