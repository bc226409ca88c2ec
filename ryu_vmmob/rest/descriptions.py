"""What the description says of each operation beside its one sentence (the function's docstring)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LIST = "`selector` picks by labels. With `limit` the list comes in pages."
_PUT = (
    "What the body leaves out gets its default. Keys that a GET shows and that follow from the rest may stand in the body, and "
    "must say what is so. A PUT that changes nothing costs no revision. `dry_run` shows what would happen; `If-Match` and "
    "`If-None-Match` make the write depend on what is there."
)
_STEP = "A step that has been taken already is no change; one that the state does not admit is a 409."
_EVACUATE = (
    "The batch has a migration for each VM, at most `parallel` of them at once. Without `to` the nearest servers are taken "
    "first, and among them the one with the fewest VMs. A VM that cannot move delays no other; its `reason` says why."
)

OPERATIONS: Final[Mapping[str, str]] = {
    "list_cugs": _LIST,
    "get_cug": "With the VLAN-ID that it has in each L2 domain where it is present.",
    "put_cug": _PUT,
    "delete_cug": "While it has members it is a 409. A policy that names it stays, and dangles.",
    "list_vms": _LIST,
    "get_vm": "`vlan_id` of an interface is what its server's virtual switch has to tag it with; null: no tag.",
    "put_vm": f"{_PUT} A VM goes to another server by a migration only.",
    "delete_vm": "While it is moving it is a 409: abort or commit the migration first.",
    "list_placements": "With the VLAN-IDs of its interfaces there. A migration may still be refused later.",
    "list_policies": _LIST,
    "get_policy": "`dangling` has the ends that name what is not there.",
    "put_policy": f"{_PUT} A CUG or VM that an end names must be there, but for those that the body has in `dangling`.",
    "delete_policy": "What it allowed or denied is judged by the other policies from then on.",
    "list_migrations": "With those that are over: the newest thousand are kept. With `limit` the list comes in pages.",
    "start_migration": (
        "The network at the target is ready when its state is `prepared`, for which `wait` holds the answer; then copy the VM. "
        "Nothing is changed where it is refused."
    ),
    "get_migration": "`timeline` has an entry for each state, with when each switch had confirmed it.",
    "deliver_migration": f"Left out, what arrives during the pause goes to the source. {_STEP}",
    "send_frames": "Whole Ethernet frames that came after the VM had paused; in JSON as Base64.",
    "activate_migration": f"Not necessary where the VM's first frame at the target says it. {_STEP}",
    "commit_migration": f"Not necessary for a migration with `commit` as `automatic`. {_STEP}",
    "abort_migration": f"The network goes back to the source. {_STEP}",
    "evacuate_server": _EVACUATE,
    "evacuate_switch": _EVACUATE,
    "list_batches": "The newest hundred that are over are kept. With `limit` the list comes in pages.",
    "get_batch": "`counts` says how many VMs are in which state, and each VM that did not move has a `reason`.",
    "abort_batch": "Migrations that have been activated go on to their end; the batch is `aborting` until then.",
    "export": "What it gives can be sent to `POST /v1/bulk` of this controller or another.",
    "put_all": "All or nothing, in one revision. `delete` names what goes; what is not there is gone already.",
    "get_fabric": "Data centres, switches, links, servers, external networks and the options, as the fabric file has them.",
    "list_l2_domains": "Of each how many VLAN-IDs it has, and how many are used, resting and free.",
    "get_l2_domain": "It answers what a tag on a wire belongs to.",
    "list_switches": "Each as `GET /v1/switches/{switch}` shows it.",
    "get_switch": "Whether it is connected and in step, how many revisions it is behind, and what audits have put right.",
    "list_flows": "What the switch should have, not what it reports. Each has its owner and the reason why it is there.",
    "take_over_switch": (
        "For a switch that is held, because it has flows of ours that are not desired, or whose master another controller "
        "is. It is made what this controller wants, for good."
    ),
    "list_ports": "With the counters that the switch has reported last; null: it has not.",
    "reload_fabric": "A file with faults, or without something that is in use, changes nothing.",
    "trace": (
        "Of the flows that should be there, links that are down included. The answer has every step on the way, and the reason "
        "where the packet is dropped."
    ),
    "list_events": "The newest are kept in memory; `since` goes on after an id, so that a lost connection misses nothing.",
    "get_health": "For a probe that restarts what is dead. It wants no token.",
    "get_readiness": "For a load balancer. Without a token it says `ready` and `status` alone.",
    "get_detailed_health": "The reasons come loudest first; `level` is that of the loudest tile.",
    "get_controller": "With the name and the role of the token that asks.",
    "backup": "It is made while the controller goes on, and comes as one file of SQLite, whatever `Accept` says.",
    "get_metrics": "For Prometheus: text, or OpenMetrics when `Accept` asks for it.",
    "get_description": "For generators of clients and for tests.",
}
"""By operation id."""
