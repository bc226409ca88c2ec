"""``/v1/controller``: which controller answers, to whom, and where its numbers are drawn."""

from __future__ import annotations

from typing import Final

from typing_extensions import TypedDict

import ryu_vmmob
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.gate import caller
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.tokens import TokenRole


class Caller(TypedDict):
    """The client. ``token``: the name of its token in the token file; null: no token is needed."""

    token: str | None
    role: TokenRole


class Controller(TypedDict):
    """The controller. ``grafana``: the address of its dashboard there, as the option ``grafana_url`` has it."""

    version: str
    grafana: str | None
    caller: Caller


def get_controller(call: Call) -> Answer:
    """Say what version this is, who asks, and where Grafana is."""
    token = caller(call.request)
    asks = {"token": None, "role": TokenRole.OPERATOR} if token is None else {"token": token.name, "role": token.role}
    return Answer(200, {"version": ryu_vmmob.__version__, "grafana": call.services.grafana, "caller": asks})


ROUTES: Final = (Route("GET", "/v1/controller", get_controller, listing("get_controller", "Controller", Controller)),)
