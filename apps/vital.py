"""A wrapper for handlers: an unexpected exception ends the process with its traceback.

Ryu logs an exception of a handler and goes on, in an unknown state. The flows in the switches go on forwarding
without us, and a controller that starts again finds them; that is the safer of the two.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

from greenlet import GreenletExit

LOG = logging.getLogger(__name__)

EXIT_STATUS: Final = 70
"""EX_SOFTWARE of sysexits(3): a supervisor starts the controller again."""

Function = TypeVar("Function", bound=Callable[..., Any])


def vital(function: Function) -> Function:
    """Wrap a handler or a green thread so that an unexpected exception ends the process."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (GreenletExit, SystemExit):
            raise
        except BaseException:
            LOG.critical("a fault in %s; the controller ends, the switches go on", function.__qualname__, exc_info=True)
            logging.shutdown()
            os._exit(EXIT_STATUS)

    return wrapped  # type: ignore[return-value]
