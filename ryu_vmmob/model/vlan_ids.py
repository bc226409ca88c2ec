"""Commands on VLAN-IDs: the end of their quarantine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ryu_vmmob.model.allocation import release
from ryu_vmmob.model.cables import wake
from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.objects import Cug


@dataclass(frozen=True, slots=True)
class EndQuarantines:
    """Free the VLAN-IDs whose quarantine of ``seconds`` is over (`allocation.release`)."""

    seconds: float
    acknowledged: Mapping[str, int]


def end_quarantines(draft: Draft, command: EndQuarantines) -> None:
    """Carry out `EndQuarantines`: segments that were starved get what became free."""
    before = draft.state
    awake, woken = wake(before, draft.now, command.seconds, command.acknowledged)
    draft.state, released = release(awake, draft.now, command.seconds, command.acknowledged)
    draft.rested.update(woken)
    draft.quarantined.update(released)
    if draft.state is not before and before.starved:
        draft.strict = False
        for name, _ in before.starved:
            segment = before.segment(name)
            if isinstance(segment, Cug):
                draft.cugs.add(segment.name)
            elif segment is not None:
                draft.routing_domains.add(segment.name)


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    EndQuarantines: end_quarantines,
}
