"""``/healthz``, ``/readyz`` and ``/v1/health``: what `ryu_vmmob.health` finds, for probes, people and programs."""

from __future__ import annotations

from ryu_vmmob.engine.fleet import Refused
from ryu_vmmob.health import Health, Reason, Standing, Status, Thing, Tile
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.views import View, time_text


def healthz(call: Call) -> Answer:
    """The process is alive and answers."""
    return Answer(200, {"status": "ok"})


def readyz(call: Call) -> Answer:
    """Ready or degraded (200), or not ready (503); why, for who may know (contract 4)."""
    engine, health = call.engine, call.engine.health()
    status = 503 if health.status is Status.NOT_READY else 200
    body: View = {"ready": health.status is not Status.NOT_READY, "status": health.status.value}
    if call.is_brief:
        return Answer(status, body)

    def switches(*standings: Standing) -> list[str]:
        return [name for name, standing in health.standings.items() if standing in standings]

    faults = (Refused(name, row) for name in health.standings for row in engine.fleet.faults(name))
    return Answer(status, body | {
        "fabric": engine.state.fabric.name,
        "revision": engine.state.revision,
        "troubles": [row.what for row in health.troubles],
        "reasons": [_reason(row) for row in health.reasons],
        "refused": refused_view(faults),
        "switches": {
            "in_step": switches(Standing.IN_STEP),
            "refused": switches(Standing.REFUSED),
            "not_in_step": switches(Standing.SETTLING, Standing.BEHIND, Standing.HELD),
            "not_connected": switches(Standing.AWAY),
        },
    })  # fmt: skip


def get_health(call: Call) -> Answer:
    """How well the controller and its network are, in words and as the tiles of a strip."""
    return Answer(200, health_view(call, call.engine.health()))


def health_view(call: Call, health: Health) -> View:
    """Health as an answer."""
    engine = call.engine
    return {
        "status": health.status.value,
        "ready": health.status is not Status.NOT_READY,
        "level": health.level.value,
        "fabric": engine.state.fabric.name,
        "revision": engine.state.revision,
        "time": time_text(engine.clock.told(engine.clock())),
        "reasons": [_reason(row) for row in health.reasons],
        "tiles": [_tile(row) for row in health.tiles],
        "switches": {name: standing.value for name, standing in health.standings.items()},
        "parts": [{"data_centers": list(row.data_centers), "edges": list(row.edges)} for row in health.parts],
    }


def _reason(row: Reason) -> View:
    return {
        "kind": row.kind,
        "level": row.level.value,
        "blocks": row.blocks,
        "what": row.what,
        "about": [_thing(thing) for thing in row.about],
        "ask": row.ask,
    }


def _tile(row: Tile) -> View:
    opens = None if row.opens is None else _thing(row.opens)
    return {"kind": row.kind, "level": row.level.value, "text": row.text, "opens": opens}


def _thing(thing: Thing) -> View:
    return {"kind": thing.kind, "name": thing.name}


ROUTES = (
    Route("GET", "/healthz", healthz, open=True),
    Route("GET", "/readyz", readyz, brief=True),
    Route("GET", "/v1/health", get_health),
)
