"""``/healthz``, ``/readyz`` and ``/v1/health``: what `ryu_vmmob.health` finds, for probes, people and programs."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NotRequired

from typing_extensions import TypedDict

from ryu_vmmob import health as judged
from ryu_vmmob.engine import fleet
from ryu_vmmob.health import Loudness, Standing, Status
from ryu_vmmob.rest.answers import Refused, StateRevision, Time
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation, listing
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import View, time_text

_FOR_TOKENS: Final = "Left out where no token is shown."
_READY: Final = says("Whether the controller can do what it is asked.")
_FABRIC: Final = "The name of the fabric."
_REASONS: Final = "What is not well, the loudest first."


class Health(TypedDict):
    """The process answers."""

    status: Annotated[Literal["ok"], says("`ok`: the process answers.")]


class ReadySwitches(TypedDict):
    """Switches, by name."""

    in_step: Annotated[list[str], says("Those that have confirmed everything.")]
    refused: Annotated[list[str], says("Those that have confirmed everything but what they refused.")]
    not_in_step: Annotated[list[str], says("Those that have not confirmed everything yet, or are held.")]
    not_connected: Annotated[list[str], says("Those that are not connected.")]


class Thing(TypedDict):
    """The subject of a reason, or what a tile leads to."""

    kind: Annotated[
        str,
        says("`switch`, `link`, `external`, `migration` or `controller`. Of a tile also `moves` and `refused`: all of them."),
    ]
    name: Annotated[str, says("Its name, or the id of a migration. Empty where there is one of its kind only.")]


class Reason(TypedDict):
    """A reason why something is wrong, in a sentence."""

    kind: Annotated[str, says("The kind of reason, such as `link.down`.")]
    level: Annotated[
        Literal["bad", "warn", "note"],
        says("`bad`: it takes traffic or control away. `warn`: it may. `note`: it passes by itself."),
    ]
    blocks: Annotated[bool, says("Whether `/readyz` is 503 while it lasts.")]
    what: Annotated[str, says("What is wrong, as a sentence.")]
    about: Annotated[list[Thing], says("What it is about.")]
    ask: Annotated[str, says("The command that tells more.")]


class Readiness(TypedDict):
    """Whether the controller is ready, and, for who shows a token, what is not."""

    ready: Annotated[bool, _READY]
    status: Status
    fabric: NotRequired[Annotated[str, says(_FABRIC, _FOR_TOKENS)]]
    revision: NotRequired[Annotated[StateRevision, says("The revision of the whole state.", _FOR_TOKENS)]]
    troubles: NotRequired[Annotated[list[str], says("Sentences of the reasons that do not pass by themselves.", _FOR_TOKENS)]]
    reasons: NotRequired[Annotated[list[Reason], says(_REASONS, _FOR_TOKENS)]]
    refused: NotRequired[
        Annotated[list[Refused], says("Flows and groups that switches refused or do not keep, at most 100.", _FOR_TOKENS)]
    ]
    switches: NotRequired[Annotated[ReadySwitches, says("The switches, by how they stand.", _FOR_TOKENS)]]


class Tile(TypedDict):
    """A tile of a strip that sums up health."""

    kind: Annotated[str, says("The kind of the reasons that it gathers, or `switches`, `moves` or `refused`.")]
    level: Loudness
    text: Annotated[str, says("What it says.")]
    opens: Annotated[Thing | None, says("What there is more to see of. null: nothing.")]


class Part(TypedDict):
    """Edges that reach each other and no other."""

    data_centers: Annotated[list[str], says("The data centres all of whose edges are in this part.")]
    edges: Annotated[list[str], says("The edges of this part.")]


class WholeHealth(TypedDict):
    """The health of the controller and its network."""

    status: Status
    ready: Annotated[bool, _READY]
    level: Annotated[Loudness, says("How loud the loudest tile is: `bad`, `warn` or `good`.")]
    fabric: Annotated[str, says(_FABRIC)]
    revision: StateRevision
    time: Annotated[Time, says("When this was so, by the controller's clock.")]
    reasons: Annotated[list[Reason], says(_REASONS)]
    tiles: Annotated[list[Tile], says("The same gathered for a strip, from left to right, and what is under way.")]
    switches: Annotated[dict[str, Standing], says("How each switch stands, by name.")]
    parts: Annotated[list[Part], says("The parts that a split fabric has fallen into. Empty: it is whole.")]


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
