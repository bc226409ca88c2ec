"""``/v1/bulk``: many objects, all or nothing, in one revision."""

from __future__ import annotations

from collections.abc import Sequence

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.model.commands import PutCug, PutVm
from ryu_vmmob.model.refusal import Fault, Refusal
from ryu_vmmob.model.state import State
from ryu_vmmob.rest.bodies import BulkBody
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.routing import Route

_Put = PutCug | PutVm


def put_all(call: Call) -> Answer:
    """CUGs first, then VMs, each by name; the answer says which were created, replaced, or the same already."""
    seconds = call.seconds_to_wait()
    body: BulkBody = call.body
    now = call.now()
    commands: list[_Put] = [row.command(name) for name, row in sorted(body.cugs.items())]
    commands += [row.command(name, now) for name, row in sorted(body.vms.items())]
    before = call.engine.state
    try:
        ticket = call.engine.execute(*commands)
    except Refusal as refusal:
        raise _located(call.engine, commands, refusal) from refusal
    outcome: dict[str, dict[str, list[str]]] = {
        word: {"cugs": [], "vms": []} for word in ("created", "replaced", "unchanged")
    }
    for command in commands:
        outcome[_outcome(command, before, ticket.state)][_collection(command)].append(command.name)
    return Answer(200, {"revision": ticket.revision, **outcome, **call.confirmed(ticket, seconds)})


def _collection(command: _Put) -> str:
    return "cugs" if isinstance(command, PutCug) else "vms"


def _outcome(command: _Put, before: State, after: State) -> str:
    old = getattr(before, _collection(command)).get(command.name)
    if old is None:
        return "created"
    return "unchanged" if getattr(after, _collection(command))[command.name].revision == old.revision else "replaced"


def _located(engine: Engine, commands: Sequence[_Put], refusal: Refusal) -> Refusal:
    """The refusal with the name of the object that met it: the last of the shortest beginning that is refused."""
    low, high = 1, len(commands)
    while low < high:
        middle = (low + high) // 2
        try:
            engine.dry_run(*commands[:middle])
        except Refusal:
            high = middle
        else:
            low = middle + 1
    command = commands[low - 1]
    where = f"{_collection(command)}.{command.name}"
    faults = tuple(Fault(f"{where}.{fault.path}" if fault.path else where, fault.message) for fault in refusal.faults)
    return Refusal(refusal.status, refusal.title, f"{where}: {refusal.detail}", faults)


ROUTES = (Route("POST", "/v1/bulk", put_all, frozenset({"wait"}), BulkBody),)
