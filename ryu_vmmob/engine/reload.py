"""Reload the fabric file: replace the fabric by what the file says, or refuse with every reason."""

from __future__ import annotations

from typing import NamedTuple

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.fabric import Examination, FabricError
from ryu_vmmob.fabric.difference import Difference, compare
from ryu_vmmob.model.draft import Event
from ryu_vmmob.model.refusal import Refusal


class Reloaded(NamedTuple):
    """The result of a reload: the difference, the linter's warnings, and the ticket (None: a dry run)."""

    difference: Difference
    examination: Examination
    ticket: Ticket | None


def reload(engine: Engine, examination: Examination, *, dry_run: bool = False) -> Reloaded:
    """Let the fabric be as a file says. Raises FabricError when the file has errors, Refusal when something is in use (409) or
    an L2 domain is full, and StoreError; then all is as it was.
    """
    fabric = examination.fabric
    if fabric is None:
        raise FabricError(examination.findings)
    with engine.alone:  # what the command says of the switches holds until it is carried out
        difference = compare(engine.state.fabric, fabric)
        command = engine.fabric_replaced(fabric)
        if dry_run:
            engine.dry_run(command)
            return Reloaded(difference, examination, None)
        return Reloaded(difference, examination, engine.execute(command))


def tell_refused(engine: Engine, error: Exception) -> None:
    """Note that a fabric file was refused, with every reason."""
    if isinstance(error, FabricError):
        reasons = [str(finding) for finding in error.findings if finding.is_error]
    elif isinstance(error, Refusal) and error.faults:
        reasons = [f"{fault.path}: {fault.message}" for fault in error.faults]
    else:
        reasons = [str(error)]
    engine.emit(Event("fabric.refused", {"reasons": reasons}))
