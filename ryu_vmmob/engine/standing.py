"""Events about connected switches: faults, falling behind, and catching up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ryu_vmmob.engine.fleet import Fleet, SwitchFault
from ryu_vmmob.model.news import Event

LAG_SECONDS: Final = 2.0
"""A switch that has not confirmed within so many seconds what was decided then is out of step. Less is usual."""


class _Late(NamedTuple):
    revision: int
    since: float


class Standing:
    """The last event about each connected switch."""

    def __init__(self) -> None:
        self._in_step: dict[str, bool] = {}
        self._late: dict[str, _Late] = {}

    def is_late(self, name: str) -> bool:
        """Whether a switch that is connected was out of step at the last look."""
        return self._in_step.get(name) is False

    def look(self, fleet: Fleet, now: float) -> Iterator[Event]:
        """Yield what there is to tell; to be asked every half second or so. ``now`` in seconds."""
        for name in fleet.names:
            if not fleet.is_connected(name):
                self._in_step.pop(name, None)
                self._late.pop(name, None)
                continue
            status = fleet.status(name)
            if status.in_step:
                self._late.pop(name, None)
                if not self._in_step.get(name, False):
                    self._in_step[name] = True
                    yield Event("switch.in_step", {"switch": name, "revision": fleet.revision})
                continue
            late = self._late.get(name)
            if late is None or (not status.faults and fleet.has(name, late.revision)):
                self._late[name] = _Late(fleet.revision, now)
            elif now - late.since >= LAG_SECONDS and self._in_step.get(name, True):
                self._in_step[name] = False
                yield Event("switch.out_of_step", {"switch": name, "behind": status.behind, "faults": len(status.faults)})


def fault_news(switch: str, fault: SwitchFault) -> Event:
    """Return a switch refused a flow or a group."""
    return Event(
        "switch.fault", {"switch": switch, "error": fault.error, "cause": fault.cause, "owner": str(fault.owner) or None}
    )
