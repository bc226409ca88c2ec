"""All kinds of events, each with its level and its sentence. The log, REST, `vmmob watch` and the dashboard read this table.

A sentence is a template. ``{vm}`` is a particular of the event, under its name in REST; ``{cug|routing_domain}`` the first of
these that the event has; ``{edges+l2_domains}`` all of them in one list; ``{undone?}`` nothing, a condition only. A part in
square brackets is left out unless the event has every particular in it; null, empty, zero and false count as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple


class Level(StrEnum):
    """The level of an event: how much it matters to an operator."""

    INFO = "info"
    SUCCESS = "success"
    """A step that was waited for has come about."""
    WARNING = "warning"
    """An operator should look at it."""
    ERROR = "error"
    """Something does not work and will not by itself."""

    @property
    def is_bad(self) -> bool:
        """Whether an operator should look at it."""
        return self in (Level.WARNING, Level.ERROR)


class Kind(NamedTuple):
    """A kind of events: its level and its sentence."""

    level: Level
    template: str


GAP: Final = "gap"
"""The kind of the row that stands for events which are not kept any more. It is never emitted, and not in `KINDS`."""

_INFO, _SUCCESS, _WARNING, _ERROR = Level
_MOVE: Final = " ({migration})"
_AT: Final = "{server|switch}[ ({switch}:{port})]"
_MORE: Final = "[; {more} more since the last report]"
_WHERE: Final = "[ on the cable of {server}][ in {l2_domain}]"
_SEGMENT: Final = "[{vm} in ]{cug|routing_domain}"

KINDS: Final[Mapping[str, Kind]] = {
    "batch.aborted": Kind(_WARNING, "evacuation of {servers} was aborted[: {reason}] ({batch})"),
    "batch.aborting": Kind(_WARNING, "evacuation of {servers}: no more moves begin[: {reason}] ({batch})"),
    "batch.finished": Kind(_INFO, "evacuation of {servers} is over ({batch})"),
    "batch.passed": Kind(_WARNING, "{vm} is not moved[: {reason}] ({batch})"),
    "batch.started": Kind(_INFO, "evacuation of {servers} begins: {vms} VMs[, {refused} of them without a target] ({batch})"),
    "clock.set": Kind(_INFO, "the clock of the controller's host was set by {seconds} s"),
    "cug.changed": Kind(_INFO, "CUG {cug} was changed"),
    "cug.created": Kind(_INFO, "CUG {cug} was created"),
    "cug.deleted": Kind(_INFO, "CUG {cug} was deleted"),
    "external.down": Kind(_WARNING, "external network {external} is down"),
    "external.up": Kind(_INFO, "external network {external} is up again"),
    "fabric.refused": Kind(_ERROR, "the reload of the fabric file was refused: {reasons}"),
    "fabric.reloaded": Kind(_INFO, "the fabric file was reloaded"),
    "link.down": Kind(_WARNING, "link {link} is down"),
    "link.up": Kind(_INFO, "link {link} is up again"),
    "migration.aborted": Kind(_WARNING, "{vm}: the move was aborted[: {reason}]" + _MOVE),
    "migration.activated": Kind(_SUCCESS, "{vm} has arrived[: {reason}]" + _MOVE),
    "migration.announced": Kind(_INFO, "{vm} speaks at " + _AT + " already[: {reason}]" + _MOVE),
    "migration.committed": Kind(_SUCCESS, "{vm}: the source is closed, the move is over" + _MOVE),
    "migration.confirmed": Kind(_INFO, "{vm}: all switches have confirmed “{state}”" + _MOVE),
    "migration.conflict": Kind(
        _WARNING, "{vm} still speaks at {source} ({switch}:{port})[{undone?}: its activation is undone]" + _MORE + _MOVE
    ),
    "migration.delivered": Kind(_INFO, "{vm} has paused: its traffic goes to the target" + _MOVE),
    "migration.failed": Kind(_ERROR, "{vm}: the move failed[: {reason}]" + _MOVE),
    "migration.overdue": Kind(_WARNING, "{vm}: the time of the move is over, and it stays open[: {reason}]" + _MOVE),
    "migration.prepared": Kind(_INFO, "{vm}: the target is ready" + _MOVE),
    "migration.preparing": Kind(_INFO, "{vm} begins to move from {source} to {target}" + _MOVE),
    "migration.refused": Kind(_ERROR, "{vm}: {switch} refuses what the move needs: {error} ({cause})" + _MOVE),
    "migration.returning": Kind(_WARNING, "{vm} returns to its source[: {reason}]" + _MOVE),
    "move.dampened": Kind(_WARNING, "{vm} speaks at " + _AT + ", and is at {placed}: {reason}" + _MORE),
    "move.questioned": Kind(_INFO, "{vm} speaks at " + _AT + ": {reason}"),
    "neighbour.found": Kind(_INFO, "{address} in {external} answers"),
    "neighbour.lost": Kind(_WARNING, "{address} in {external} does not answer any more"),
    "policy.changed": Kind(_INFO, "policy {policy} was changed"),
    "policy.created": Kind(_INFO, "policy {policy} was created"),
    "policy.deleted": Kind(_INFO, "policy {policy} was deleted"),
    "presence.extended": Kind(_INFO, "{cug|routing_domain} was extended to {data_centers+l2_domains+edges}"),
    "presence.pruned": Kind(_INFO, "{cug|routing_domain} was pruned from {data_centers+l2_domains+edges}"),
    "refused.move": Kind(_WARNING, "refused: the MAC of {vm} at " + _AT + ", and {vm} is at {placed}[: {reason}]" + _MORE),
    "refused.spoofing": Kind(_WARNING, "refused at " + _AT + ": {mac}[ claims {address}]" + _MORE),
    "routing_domain.created": Kind(_INFO, "routing domain {routing_domain} was created"),
    "routing_domain.deleted": Kind(_INFO, "routing domain {routing_domain} was deleted"),
    "store.failed": Kind(_ERROR, "the store rejects commits[: {reason}]"),
    "store.recovered": Kind(_INFO, "the store works again"),
    "switch.capability": Kind(_WARNING, "the capabilities of {switch} are known[; it {lacks}]"),
    "switch.connected": Kind(_INFO, "{switch} is connected"),
    "switch.disconnected": Kind(_WARNING, "{switch} is not connected any more"),
    "switch.fault": Kind(_ERROR, "{switch} refused {cause}[ of {owner}]: {error}"),
    "switch.floods": Kind(_WARNING, "{switch} sends more messages than allowed; the excess is dropped unread"),
    "switch.foreign_flows": Kind(_WARNING, "{switch} has {flows} flows in our tables that are not ours"),
    "switch.held": Kind(_ERROR, "{switch} is held: it has {foreign} flows that the store does not know"),
    "switch.in_step": Kind(_SUCCESS, "{switch} is in step"),
    "switch.keeps_cookies": Kind(_WARNING, "{switch} keeps old cookies: flows are deleted before they are replaced"),
    "switch.other_controller": Kind(_ERROR, "{switch} is held: another controller is its master"),
    "switch.out_of_step": Kind(_WARNING, "{switch} is {behind} revisions behind[, with {faults} faults]"),
    "switch.repaired": Kind(_WARNING, "{switch} differed from the desired state, and was repaired"),
    "switch.taken_over": Kind(_WARNING, "an operator took over {switch}"),
    "switch.unknown": Kind(_WARNING, "a switch with datapath id {dpid} connected; the fabric file does not have it"),
    "switch.unreadable": Kind(_WARNING, "{switch} cannot be asked for its flows in {tables}"),
    "vlan_id.allocated": Kind(_INFO, _SEGMENT + " has VLAN-ID {vlan_id}" + _WHERE),
    "vlan_id.free": Kind(_INFO, "VLAN-ID {vlan_id} is free again" + _WHERE),
    "vlan_id.released": Kind(_INFO, _SEGMENT + " has given up VLAN-ID {vlan_id}" + _WHERE),
    "vm.changed": Kind(_INFO, "VM {vm} was changed[, at {server}]"),
    "vm.created": Kind(_INFO, "VM {vm} was created[, at {server}]"),
    "vm.deleted": Kind(_INFO, "VM {vm} was deleted"),
}
"""Every kind that is emitted. A counter that begins with the first event of its kind shows no increase, so the metrics ask
for all of them beforehand."""

FAMILIES: Final = tuple(sorted({kind.partition(".")[0] for kind in KINDS}))
"""What the first words of kinds may be."""

_GAP: Final = Kind(_WARNING, "events were lost: {missed}")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_FIELD: Final = re.compile(r"\{([a-z0-9_|+]+)(\??)\}")


def kind_of(name: str) -> Kind:
    """Return what holds for a kind of events. Raises KeyError for one that is in no table."""
    return _GAP if name == GAP else KINDS[name]


def sentence(name: str, data: Mapping[str, Any]) -> str:
    """Return an event in words. ``data`` has its particulars under their names in REST. Raises KeyError for an unknown kind."""

    def part(match: re.Match[str]) -> str:
        return match[1] if all(_value(data, row[1]) for row in _FIELD.finditer(match[1])) else ""

    def field(match: re.Match[str]) -> str:
        return "" if match[2] else _shown(_value(data, match[1]))

    return _FIELD.sub(field, _PART.sub(part, kind_of(name).template))


def particulars(name: str) -> set[str]:
    """Return the names of all particulars that the sentence of a kind may show."""
    fields = _FIELD.finditer(kind_of(name).template)
    return {word for field in fields for word in re.split(r"[|+]", field[1])}


def _value(data: Mapping[str, Any], names: str) -> Any:
    if "+" in names:
        return [value for name in names.split("+") for value in data.get(name) or ()]
    choices = [data.get(name) for name in names.split("|")]
    return next((value for value in choices if value), choices[-1])


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
