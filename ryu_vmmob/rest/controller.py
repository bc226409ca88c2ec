"""``/v1/controller``: which controller answers, to whom, and where its numbers are drawn."""

from __future__ import annotations

from typing import Annotated, Final

from typing_extensions import TypedDict

import ryu_vmmob
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.gate import caller
from ryu_vmmob.rest.operations import listing
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.tokens import TokenRole


class Caller(TypedDict):
    """The client, by the token that it shows."""

    token: Annotated[str | None, says("The name of its token in the token file. null: no token is needed.")]
    role: TokenRole


class Controller(TypedDict):
    """The controller and who asks it."""

    version: Annotated[str, says("The version of the controller.")]
    grafana: Annotated[
        str | None, says("The address of its dashboard in Grafana, as the option `grafana_url` has it. null: none is known.")
    ]
    caller: Caller


def get_controller(call: Call) -> Answer:
    """Say what version this is, who asks, and where Grafana is."""
    token = caller(call.request)
    asks = {"token": None, "role": TokenRole.OPERATOR} if token is None else {"token": token.name, "role": token.role}
    return Answer(200, {"version": ryu_vmmob.__version__, "grafana": call.services.grafana, "caller": asks})


ROUTES: Final = (Route("GET", "/v1/controller", get_controller, listing("get_controller", "Controller", Controller)),)
