"""What migrations and batches of them share in REST: the options of a move, and the body of an abort."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.model import move_options
from ryu_vmmob.model.move_options import LONGEST_TIMEOUT, OPTION_NAMES, ActivateOn, Delivery, Ending, Mode
from ryu_vmmob.rest.bodies import Body

_DEFAULT: Final = move_options.MoveOptions()


class MoveOptionsBody(Body):
    """The options of a move; ``timeout`` in seconds."""

    mode: Mode = _DEFAULT.mode
    delivery: Delivery = _DEFAULT.delivery
    activate_on: ActivateOn = _DEFAULT.activate_on
    commit: Ending = _DEFAULT.commit
    timeout: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT)] = _DEFAULT.timeout

    def options(self) -> dict[str, Any]:
        """Return the options alone, by name: keyword arguments for a `model.move_options.MoveOptions`."""
        return self.model_dump(include=set(OPTION_NAMES))


class AbortBody(Body):
    """``POST /v1/batches/{id}/abort``."""

    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None


class MoveOptions(TypedDict):
    """How a VM moves."""

    mode: Mode
    delivery: Delivery
    activate_on: ActivateOn
    commit: Ending
    timeout: Annotated[float, Field(gt=0, description="Seconds.")]
