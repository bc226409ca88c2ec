"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

from ryu_vmmob.engine.fleet import Place, Refused
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.owners import refused_view
from ryu_vmmob.rest.routing import Route


def healthz(call: Call) -> Answer:
    """The process is alive and answers."""
    return Answer(200, {"status": "ok"})


def readyz(call: Call) -> Answer:
    """Ready (200): nothing is in trouble and every connected switch has confirmed what it was told. Otherwise 503, and why.

    What a switch refused may stay refused for good: then it is degraded, which is 200, and named.
    """
    engine = call.engine
    statuses = {name: engine.switch_status(name) for name in sorted(engine.state.fabric.switches)}
    by_place = {place: [name for name, status in statuses.items() if status.place is place] for place in Place}
    troubles = list(call.services.troubles())
    ready = not by_place[Place.BEHIND] and not troubles
    body = {
        "ready": ready,
        "status": "not_ready" if not ready else "degraded" if by_place[Place.REFUSED] else "ready",
        "fabric": engine.state.fabric.name,
        "revision": engine.state.revision,
        "troubles": troubles,
        "refused": refused_view(Refused(name, row) for name, status in statuses.items() for row in status.faults),
        "switches": {
            "in_step": by_place[Place.IN_STEP],
            "refused": by_place[Place.REFUSED],
            "not_in_step": by_place[Place.BEHIND],
            "not_connected": by_place[Place.AWAY],
        },
    }
    return Answer(200 if ready else 503, body)


ROUTES = (Route("GET", "/healthz", healthz, open=True), Route("GET", "/readyz", readyz))
