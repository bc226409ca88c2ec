"""``/v1/cugs``."""

from __future__ import annotations

from ryu_vmmob.model.commands import DeleteCug
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.rest.bodies import CugBody
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.views import cug_view


def list_cugs(call: Call) -> Answer:
    """Every CUG, by name."""
    state = call.engine.state
    return Answer(200, {"items": [cug_view(state, cug) for _, cug in sorted(state.cugs.items())]})


def get_cug(call: Call) -> Answer:
    """One CUG."""
    state = call.engine.state
    cug = state.cugs.get(call.names["cug"])
    if cug is None:
        raise not_found("CUG", call.names["cug"])
    return Answer(200, cug_view(state, cug), cug.revision)


def put_cug(call: Call) -> Answer:
    """Create a CUG (201) or replace it (200)."""
    name = call.names["cug"]
    seconds = call.seconds_to_wait()
    before = call.engine.state.cugs.get(name)
    call.check_match(before.revision if before is not None else None)
    ticket = call.engine.execute(call.body.command(name))
    cug = ticket.state.cugs[name]
    body = cug_view(ticket.state, cug) | call.confirmed(ticket, seconds)
    return Answer(201 if before is None else 200, body, cug.revision)


def delete_cug(call: Call) -> Answer:
    """Delete a CUG: 204, and with ``?wait`` 200."""
    name = call.names["cug"]
    seconds = call.seconds_to_wait()
    before = call.engine.state.cugs.get(name)
    if before is None:
        raise not_found("CUG", name)
    call.check_match(before.revision)
    body = call.confirmed(call.engine.execute(DeleteCug(name, call.now())), seconds)
    return Answer(200, body) if body else Answer(204, None)


ROUTES = (
    Route("GET", "/v1/cugs", list_cugs),
    Route("GET", "/v1/cugs/{cug}", get_cug),
    Route("PUT", "/v1/cugs/{cug}", put_cug, frozenset({"wait"}), CugBody),
    Route("DELETE", "/v1/cugs/{cug}", delete_cug, frozenset({"wait"})),
)
