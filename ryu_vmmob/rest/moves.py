"""What migrations and batches of them share in REST: the options of a move, and the body of an abort."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from typing_extensions import TypedDict

from ryu_vmmob.model import move_options
from ryu_vmmob.model.move_options import LONGEST_TIMEOUT, OPTION_NAMES, ActivateOn, Delivery, Ending, Mode
from ryu_vmmob.rest.bodies import Body
from ryu_vmmob.rest.says import ACTIVATE, COMMIT, DELIVERY, MODE, TIMEOUT, says

_DEFAULT: Final = move_options.MoveOptions()


class MoveOptionsBody(Body):
    """The options of a move."""

    mode: Annotated[Mode, MODE] = _DEFAULT.mode
    delivery: Annotated[Delivery, DELIVERY] = _DEFAULT.delivery
    activate_on: Annotated[ActivateOn, ACTIVATE] = _DEFAULT.activate_on
    commit: Annotated[Ending, COMMIT] = _DEFAULT.commit
    timeout: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT), TIMEOUT] = _DEFAULT.timeout

    def options(self) -> dict[str, Any]:
        """Return the options alone, by name: keyword arguments for a `model.move_options.MoveOptions`."""
        return self.model_dump(include=set(OPTION_NAMES))


class AbortBody(Body):
    """What an abort may say."""

    reason: Annotated[
        Annotated[str, Field(min_length=1, max_length=500)] | None,
        says("Why, for people: 1 to 500 characters. Answers and events have it. Left out or null: `requested`."),
    ] = None


class MoveOptions(TypedDict):
    """How a VM moves."""

    mode: Annotated[Mode, MODE]
    delivery: Annotated[Delivery, DELIVERY]
    activate_on: Annotated[ActivateOn, ACTIVATE]
    commit: Annotated[Ending, COMMIT]
    timeout: Annotated[float, Field(gt=0), TIMEOUT]
