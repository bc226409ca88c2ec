"""All kinds of events. The stream takes whatever it is given; this is for who has to know them before they happen: a counter
that begins with the first event of its kind shows no increase.
"""

from __future__ import annotations

from typing import Final

KINDS: Final = (
    "batch.aborted", "batch.aborting", "batch.finished", "batch.passed", "batch.started",
    "clock.set",
    "cug.changed", "cug.created", "cug.deleted",
    "external.down", "external.up",
    "fabric.refused", "fabric.reloaded",
    "link.down", "link.up",
    "migration.aborted", "migration.activated", "migration.announced", "migration.committed", "migration.confirmed",
    "migration.conflict", "migration.delivered", "migration.failed",
    "migration.overdue", "migration.prepared", "migration.preparing", "migration.returning",
    "move.dampened", "move.questioned",
    "neighbour.found", "neighbour.lost",
    "policy.changed", "policy.created", "policy.deleted",
    "presence.extended", "presence.pruned",
    "refused.move", "refused.spoofing",
    "routing_domain.created", "routing_domain.deleted",
    "store.failed", "store.recovered",
    "switch.connected", "switch.disconnected", "switch.fault", "switch.floods", "switch.foreign_flows", "switch.held",
    "switch.in_step", "switch.keeps_cookies", "switch.out_of_step", "switch.repaired", "switch.unknown", "switch.unreadable",
    "vlan_id.allocated", "vlan_id.free", "vlan_id.released",
    "vm.changed", "vm.created", "vm.deleted",
)  # fmt: skip
"""As docs/rest.md has them."""
