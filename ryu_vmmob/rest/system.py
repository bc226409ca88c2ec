"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.routing import Route


def healthz(call: Call) -> Answer:
    """The process is alive and answers."""
    return Answer(200, {"status": "ok"})


def readyz(call: Call) -> Answer:
    """Ready (200): nothing is in trouble and every connected switch is in step. Otherwise 503, and what is not."""
    engine = call.engine
    statuses = {name: engine.switch_status(name) for name in sorted(engine.state.fabric.switches)}
    late = [name for name, status in statuses.items() if status.connected and not status.in_step]
    troubles = list(call.services.troubles())
    body = {
        "ready": not late and not troubles,
        "fabric": engine.state.fabric.name,
        "revision": engine.state.revision,
        "troubles": troubles,
        "switches": {
            "in_step": [name for name, status in statuses.items() if status.in_step],
            "not_in_step": late,
            "not_connected": [name for name, status in statuses.items() if not status.connected],
        },
    }
    return Answer(200 if body["ready"] else 503, body)


ROUTES = (Route("GET", "/healthz", healthz, open=True), Route("GET", "/readyz", readyz))
