"""The members that a VM would not reach from another server, while the fabric is split."""

from __future__ import annotations

from ryu_vmmob.health.parts import part_of, split
from ryu_vmmob.model.state import State


def warnings(state: State, vm: str, server: str) -> tuple[str, ...]:
    """Return what to tell before ``vm`` is moved to ``server``, a sentence each; none while the fabric is whole.

    Those of its CUGs count that sit where no link leads to from there now. A VM that is gone has none.
    """
    found = state.vms.get(vm)
    parts = split(state.fabric, state.links_down)
    if not parts or found is None:
        return ()
    servers = state.fabric.servers
    here = part_of(parts, servers[server].switch)
    peers = {member.vm for row in found.interfaces for member in state.members.get(row.cug, ())} - {vm}
    gone = sum(1 for name in peers if part_of(parts, servers[state.vms[name].server].switch) != here)
    if not gone:
        return ()
    who = f"{gone} of the {len(peers)} other VMs of its CUGs are out of reach of {server}"
    return (f"{who}: links that are down split the fabric",)
