"""All commands, and `apply`: the only way the state changes. Each command is a value and stands beside its object.

Pure: ids come in with the command, the time with `apply`. A command that cannot be carried out raises `Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ryu_vmmob.model import cugs, fabric_change, links, migrations, numbers, policies, questions, routing_domains, vlan_ids, vms
from ryu_vmmob.model.batches import commands as batches
from ryu_vmmob.model.batches.commands import AbortBatch, BatchMove, BatchPass, StartBatch
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.cugs import DeleteCug, PutCug
from ryu_vmmob.model.draft import Change, Draft
from ryu_vmmob.model.fabric_change import FabricLoaded, FabricReplaced
from ryu_vmmob.model.links import LinksChanged, SettleTrees
from ryu_vmmob.model.migrations import Abort, Activate, Commit, Deliver, Fail, Prepared, Returned, StartMigration
from ryu_vmmob.model.numbers import KeepNumbers
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.questions import EndQuestionVm, QuestionVm
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard
from ryu_vmmob.model.state import State
from ryu_vmmob.model.vlan_ids import EndQuarantines
from ryu_vmmob.model.vms import DeleteVm, PutVm

__all__ = [
    "ASKED_FOR", "Abort", "AbortBatch", "Activate", "BatchMove", "BatchPass", "Command", "Commit", "DeleteCug",
    "DeletePolicy", "DeleteVm", "Deliver", "EndQuarantines", "EndQuestionVm", "ExternalsChanged", "FabricLoaded",
    "FabricReplaced", "Fail", "KeepNumbers", "LinksChanged", "NeighbourHeard", "Prepared", "PutCug", "PutPolicy", "PutVm",
    "QuestionVm", "Returned", "SettleTrees", "StartBatch", "StartMigration", "apply",
]  # fmt: skip

Command = (
    PutCug
    | DeleteCug
    | PutVm
    | DeleteVm
    | PutPolicy
    | DeletePolicy
    | StartMigration
    | Prepared
    | Deliver
    | Activate
    | Commit
    | Abort
    | StartBatch
    | BatchMove
    | BatchPass
    | AbortBatch
    | QuestionVm
    | EndQuestionVm
    | Returned
    | Fail
    | LinksChanged
    | SettleTrees
    | EndQuarantines
    | KeepNumbers
    | FabricLoaded
    | FabricReplaced
    | NeighbourHeard
    | ExternalsChanged
)

ASKED_FOR: Final = (PutCug, PutVm, PutPolicy, StartMigration, BatchMove, FabricReplaced)
"""Commands that want something new of the switches, and can be refused when one of them cannot carry it."""

_HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    **cugs.HANDLERS,
    **vms.HANDLERS,
    **policies.HANDLERS,
    **migrations.HANDLERS,
    **batches.HANDLERS,
    **questions.HANDLERS,
    **links.HANDLERS,
    **vlan_ids.HANDLERS,
    **numbers.HANDLERS,
    **fabric_change.HANDLERS,
    **routing_domains.HANDLERS,
}


def apply(state: State, *commands: Command, now: float, breath: Breath | None = None) -> Change:
    """Carry out all ``commands`` as one change, one revision. Raises Refusal, and then nothing has changed.

    ``now`` in seconds since the epoch, on the line of the controller's clock: the time of the whole change. No command has a
    time of its own.
    """
    draft = Draft(state, now, breath)
    for number, command in enumerate(commands):
        try:
            _HANDLERS[type(command)](draft, command)
        except Refusal as refusal:
            refusal.command = number
            raise
        if breath is not None:
            breath.worked()
    try:
        return draft.finish()
    except Refusal as refusal:
        refusal.command = _where_numbers_end(state, commands, now, breath)
        raise


def _where_numbers_end(state: State, commands: Sequence[Command], now: float, breath: Breath | None) -> int:
    """Return the number of the command with which a domain is full, of commands that are all good but for that.

    Found by halving: VLAN-IDs are given out after so many commands, and there either are enough or not. So a bulk that is
    refused costs a few times what an accepted one costs, whatever its size.
    """
    enough, too_many = 0, len(commands)
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        if _has_numbers(state, commands[:middle], now, breath):
            enough = middle
        else:
            too_many = middle
    return too_many - 1


def _has_numbers(state: State, commands: Sequence[Command], now: float, breath: Breath | None) -> bool:
    draft = Draft(state, now, breath)
    try:
        for command in commands:
            _HANDLERS[type(command)](draft, command)
            if breath is not None:
                breath.worked()
        draft.settle()
    except Refusal:
        return False
    return True
