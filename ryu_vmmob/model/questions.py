"""Listening for a VM while it is doubtful where it is (`engine.arrivals`, `engine.overdue`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.refusal import conflict, not_found


@dataclass(frozen=True, slots=True)
class QuestionVm:
    """From now on the controller is shown what a VM says at its placement. Whatever changes the VM ends that.

    ``migration``: the VM is on this move, and is listened for at both its places.
    """

    vm: str
    migration: str | None = None


@dataclass(frozen=True, slots=True)
class EndQuestionVm:
    """It is not any more. Nothing where it was not."""

    vm: str


def question(draft: Draft, command: QuestionVm) -> None:
    """Raise Refusal for a VM that is not there (404) or is moving (409)."""
    vm = draft.state.vms.get(command.vm)
    if vm is None:
        raise not_found("VM", command.vm)
    if vm.migration != command.migration and vm.migration is not None:
        raise conflict(f"VM {vm.name!r} is moving (migration {vm.migration})")
    if vm.migration == command.migration:  # else the move that was asked about is over
        draft.question(vm.name, listen=True)


def end_question(draft: Draft, command: EndQuestionVm) -> None:
    """Make the flows those of a VM that stays again."""
    draft.question(command.vm, listen=False)


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    QuestionVm: question,
    EndQuestionVm: end_question,
}
