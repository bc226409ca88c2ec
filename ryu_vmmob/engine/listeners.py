"""Listeners to one kind of notification. Several may register; none replaces another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec

_What = ParamSpec("_What")


class Listeners(Generic[_What]):
    """Callables that are called one after another, in the order in which they registered."""

    def __init__(self) -> None:
        self._registered: tuple[Callable[_What, object], ...] = ()

    def add(self, listener: Callable[_What, object]) -> None:
        """Register one more listener. One that registers during a call is called from the next one on."""
        self._registered += (listener,)

    def __call__(self, *args: _What.args, **kwargs: _What.kwargs) -> None:
        """Call every listener. What one raises goes to the caller, and those after it are not called."""
        for listener in self._registered:
            listener(*args, **kwargs)
