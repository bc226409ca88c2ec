"""``POST /v1/fabric/reload``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from typing_extensions import TypedDict

from ryu_vmmob.engine import reload
from ryu_vmmob.fabric import FabricError, Finding
from ryu_vmmob.fabric.difference import KINDS, Difference
from ryu_vmmob.model import refusal
from ryu_vmmob.rest.answers import Fault, StateRevision, Written
from ryu_vmmob.rest.bodies import Empty
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.operations import Operation
from ryu_vmmob.rest.problems import Problem
from ryu_vmmob.rest.routes import Route
from ryu_vmmob.rest.says import says
from ryu_vmmob.rest.views import View

_SHOWN = 20
"""Findings that the one sentence of an error repeats; ``errors`` has them all."""


class Names(TypedDict):
    """Names by section of the fabric file."""

    data_centers: Annotated[list[str], says("Names of data centres.")]
    l2_domains: Annotated[list[str], says("Names of L2 domains.")]
    switches: Annotated[list[str], says("Names of switches.")]
    links: Annotated[list[str], says("Names of links: both ends, joined by `=`.")]
    servers: Annotated[list[str], says("Names of servers.")]
    externals: Annotated[list[str], says("Names of external networks.")]


_Keys = dict[str, list[str]]


class Changes(TypedDict):
    """The keys that differ, by section and name."""

    fabric: Annotated[list[str], says("Keys at the top of the file that differ.")]
    data_centers: Annotated[_Keys, says("Of each data centre that differs the keys, by name.")]
    l2_domains: Annotated[_Keys, says("Of each L2 domain that differs the keys, by name.")]
    switches: Annotated[_Keys, says("Of each switch that differs the keys, by name.")]
    links: Annotated[_Keys, says("Of each link that differs the keys, by name.")]
    servers: Annotated[_Keys, says("Of each server that differs the keys, by name.")]
    externals: Annotated[_Keys, says("Of each external network that differs the keys, by name.")]


class Reloaded(Written):
    """The changes of a reload, or of its dry run."""

    dry_run: Annotated[bool, says("Whether nothing was changed, because this is a plan.")]
    revision: StateRevision
    unchanged: Annotated[bool, says("Whether the file says what is loaded already.")]
    added: Annotated[Names, says("What the file has, and the loaded fabric had not.")]
    removed: Annotated[Names, says("What the loaded fabric had, and the file has no longer.")]
    changed: Annotated[Changes, says("What both have and what differs.")]
    warnings: Annotated[list[Fault], says("The linter's warnings about the file.")]


def reload_fabric(call: Call) -> Answer:
    """Read the fabric file again: carry out what differs, or say what would (``?dry_run=true``).

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


def _view(done: reload.Reloaded) -> View:
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
    faults = [refusal.Fault(finding.path, _message(finding)) for finding in errors]
    return Problem(422, f"nothing was changed: {detail}", faults, title="the fabric file has errors")


def _message(finding: Finding) -> str:
    return f"line {finding.line}: {finding.message} [{finding.rule}]"


_RELOAD: Final = Operation("reload_fabric", "Fabric", {200: Reloaded}, (404, 409), example={})
ROUTES: Final = (
    Route(
        "POST", "/v1/fabric/reload", reload_fabric, _RELOAD, frozenset({"dry_run", "wait"}), Empty, body_required=False
    ),
)  # fmt: skip
