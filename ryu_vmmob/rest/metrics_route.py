"""``GET /metrics``."""

from __future__ import annotations

from typing import Final

from ryu_vmmob.rest.call import Answer, Call, Raw
from ryu_vmmob.rest.metrics import MEDIA_TYPES
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route


def get_metrics(call: Call) -> Answer:
    """Return all metrics."""
    content, content_type = call.services.metrics.exposition(call.request.headers.get("Accept", ""))
    return Answer(200, Raw(content, content_type))


ROUTES: Final = (Route("GET", "/metrics", get_metrics, listing("get_metrics", "Controller", str), media=MEDIA_TYPES),)
