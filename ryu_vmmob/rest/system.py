"""``/healthz``, ``/readyz`` and ``/v1/health``: what `ryu_vmmob.health` finds, for probes, people and programs."""

from __future__ import annotations

from typing import Final, Literal, NotRequired

from typing_extensions import TypedDict

from ryu_vmmob import health as judged
from ryu_vmmob.engine import fleet
from ryu_vmmob.health import Loudness, Standing, Status
from ryu_vmmob.rest.answers import Refused, Revision, Time
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation, listing
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.views import View, time_text


class Health(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class ReadySwitches(TypedDict):
    """Switches, by name. ``refused``: those that have confirmed everything but what they refused."""

    in_step: list[str]
    refused: list[str]
    not_in_step: list[str]
    not_connected: list[str]


class Thing(TypedDict):
    """The subject of a reason: a switch, a link, an external network, a migration or the controller, and its name or id."""

    kind: str
    name: str


class Reason(TypedDict):
    """A reason why something is wrong, in a sentence.

    ``blocks``: while it lasts, ``/readyz`` is 503. ``ask``: the command that tells more.
    """

    kind: str
    level: Literal["bad", "warn", "note"]
    blocks: bool
    what: str
    about: list[Thing]
    ask: str


class Readiness(TypedDict):
    """Whether the controller is ready, and, for who may know, what is not. ``refused``: the first 100 flows and groups that
    switches refused.
    """

    ready: bool
    status: Status
    fabric: NotRequired[str]
    revision: NotRequired[Revision]
    troubles: NotRequired[list[str]]
    reasons: NotRequired[list[Reason]]
    refused: NotRequired[list[Refused]]
    switches: NotRequired[ReadySwitches]


class Tile(TypedDict):
    """A tile of a strip that sums up health; ``opens``: what there is more to see of."""

    kind: str
    level: Loudness
    text: str
    opens: Thing | None


class Part(TypedDict):
    """Edges that reach each other and no other; ``data_centers``: those all of whose edges are among them."""

    data_centers: list[str]
    edges: list[str]


class WholeHealth(TypedDict):
    """The health of the controller and its network. ``level``: of the loudest tile. ``switches``: the state of each. ``parts``:
    what a split fabric has fallen into, else empty.
    """

    status: Status
    ready: bool
    level: Loudness
    fabric: str
    revision: Revision
    time: Time
    reasons: list[Reason]
    tiles: list[Tile]
    switches: dict[str, Standing]
    parts: list[Part]


def healthz(call: Call) -> Answer:
    """Say that the process is alive and answers."""
    return Answer(200, {"status": "ok"})


def readyz(call: Call) -> Answer:
    """Ready or degraded (200), or not ready (503); why, for who may know."""
    engine, health = call.engine, call.engine.health()
    status = 503 if health.status is Status.NOT_READY else 200
    body: View = {"ready": health.status is not Status.NOT_READY, "status": health.status.value}
    if call.is_brief:
        return Answer(status, body)

    def switches(*standings: Standing) -> list[str]:
        return [name for name, standing in health.standings.items() if standing in standings]

    faults = (fleet.Refused(name, row) for name in health.standings for row in engine.fleet.faults(name))
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
    """Return how well the controller and its network are, in words and as the tiles of a strip."""
    return Answer(200, health_view(call, call.engine.health()))


def health_view(call: Call, health: judged.Health) -> View:
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


def _reason(row: judged.Reason) -> View:
    return {
        "kind": row.kind,
        "level": row.level.value,
        "blocks": row.blocks,
        "what": row.what,
        "about": [_thing(thing) for thing in row.about],
        "ask": row.ask,
    }


def _tile(row: judged.Tile) -> View:
    opens = None if row.opens is None else _thing(row.opens)
    return {"kind": row.kind, "level": row.level.value, "text": row.text, "opens": opens}


def _thing(thing: judged.Thing) -> View:
    return {"kind": thing.kind, "name": thing.name}


_READINESS: Final = Operation("get_readiness", "Controller", {200: Readiness, 503: Readiness})
ROUTES: Final = (
    Route("GET", "/healthz", healthz, listing("get_health", "Controller", Health), open=True),
    Route("GET", "/readyz", readyz, _READINESS, brief=True),
    Route("GET", "/v1/health", get_health, listing("get_detailed_health", "Controller", WholeHealth)),
)
