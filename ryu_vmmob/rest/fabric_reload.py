"""``POST /v1/fabric/reload``: the fabric file is read anew."""

from __future__ import annotations

from collections.abc import Mapping

from ryu_vmmob.engine.reload import Reloaded
from ryu_vmmob.fabric import FabricError, Finding
from ryu_vmmob.fabric.difference import KINDS, Difference
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.rest.bodies import Empty
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.problems import Problem
from ryu_vmmob.rest.routing import Route
from ryu_vmmob.rest.views import View

_SHOWN = 20
"""Findings that the one sentence of an error repeats; ``errors`` has them all."""


def reload_fabric(call: Call) -> Answer:
    """Read the fabric file anew: carry out what differs, or say what would (``?dry_run=true``).

    Raises Problem 422: the file has errors.
    """
    seconds = call.seconds_to_wait()
    dry_run = call.flag("dry_run")
    try:
        done = call.services.reload(dry_run)
    except FabricError as error:
        raise _problem([finding for finding in error.findings if finding.is_error]) from error
    switches = call.confirmed(done.ticket, seconds) if done.ticket is not None else {}
    revision = done.ticket.revision if done.ticket is not None else call.engine.state.revision
    return Answer(200, {"dry_run": dry_run, "revision": revision, **_view(done)} | switches)


def _view(done: Reloaded) -> View:
    difference = done.difference
    return {
        "unchanged": not difference,
        "added": _names(difference.added),
        "removed": _names(difference.removed),
        "changed": _changed(difference),
        "warnings": [{"path": row.path, "message": _message(row)} for row in done.examination.warnings],
    }


def _names(rows: Mapping[str, tuple[str, ...]]) -> View:
    return {kind: list(rows.get(kind, ())) for kind in KINDS}


def _changed(difference: Difference) -> View:
    """By kind and name the keys that differ; ``fabric`` are those at the top of the file."""
    found: View = {"fabric": list(difference.top)}
    for kind in KINDS:
        found[kind] = {name: list(keys) for name, keys in difference.changed.get(kind, {}).items()}
    return found


def _problem(errors: list[Finding]) -> Problem:
    more = len(errors) - _SHOWN
    detail = "; ".join([*map(str, errors[:_SHOWN]), *([f"and {more} more"] if more > 0 else [])])
    faults = [Fault(finding.path, _message(finding)) for finding in errors]
    return Problem(422, f"nothing was changed: {detail}", faults, title="the fabric file has errors")


def _message(finding: Finding) -> str:
    return f"line {finding.line}: {finding.message} [{finding.rule}]"


ROUTES = (
    Route("POST", "/v1/fabric/reload", reload_fabric, frozenset({"dry_run", "wait"}), Empty, body_required=False),
)
