"""What a member of a CUG sends, seen on every cable and in the guest that receives it, in two data centres."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.observers import listening, sniffing
    from mininet_topos.world import FABRIC, interface, populate, running

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason=MISSING or "")]


@pytest.mark.requirement("R7", "R21", "R28", "R36")
def test_macs_and_vlan_ids_from_guest_to_guest(tmp_path: Path) -> None:
    """Both MACs as they were sent, up to the receiver; one VLAN-ID for the CUG in all of a domain, another for another CUG.

    The domains reach into the servers here, so that their cables are among those that must agree.
    """
    fabric = tmp_path / "per-cug.yaml"
    text, changed = re.subn(r"(srv-\w+: \{attach: [^}]*?)\}", _per_cug, FABRIC.read_text(encoding="utf-8"))
    assert changed == 8
    fabric.write_text(text, encoding="utf-8")
    with running(fabric) as world:
        populate(world)
        lab = world.lab
        more = (("web-5", "srv-c2", 15), ("db-3", "srv-a2", 23), ("db-4", "srv-d1", 24), ("db-5", "srv-b2", 25))
        for name, server, number in more:
            world.vms[name] = world.orchestrator.start_vm(name, server, [interface(name.split("-")[0], number)])
        here, there = world.vms["web-1"], world.vms["web-3"]
        ours, theirs = here.interfaces[0].mac, there.interfaces[0].mac
        groups = {cug: [vm for name, vm in world.vms.items() if name.startswith(cug)] for cug in ("web", "db")}
        with listening(there) as heard, sniffing(lab.link_devices()) as wires:
            for members in groups.values():
                for one in members:
                    for other in members:
                        if one is not other:
                            one.run("ping", "-q", "-c", "2", "-i", "0.05", "-W", "5", other.address())
        packets = [row for row in heard.frames["eth0"] if row.ethertype == 0x0800]
        came = {(row.source, row.destination) for row in packets if row.direction == "in"}
        went = {(row.source, row.destination) for row in packets if row.direction == "out"}
        others = {vm.interfaces[0].mac for vm in groups["web"] if vm is not there}
        assert came == {(mac, theirs) for mac in others} >= {(ours, theirs)}
        assert went == {(theirs, mac) for mac in others}
        assert wires.dropped == 0
        used: dict[str, dict[str, set[int | None]]] = {}
        for cug, members in groups.items():
            for cable, vlan_ids in wires.vlan_ids([vm.interfaces[0].mac for vm in members]).items():
                link = lab.fabric.link_by_name.get(cable)
                domain = link.l2_domain if link else lab.fabric.servers[cable.rsplit("=", 1)[1]].l2_domain
                assert domain is not None
                used.setdefault(domain, {}).setdefault(cug, set()).update(vlan_ids)
        assert {"rack-a", "core-1", "wan", "core-2", "pod-c"} <= used.keys()
        for domain, by_cug in used.items():
            assert all(len(vlan_ids) == 1 for vlan_ids in by_cug.values()), (domain, by_cug)
            assert set.union(*by_cug.values()) <= set(lab.fabric.l2_domains[domain].vlan_ids)
            assert len(by_cug) == 1 or by_cug["web"] != by_cug["db"], (domain, by_cug)
        assert sum(len(by_cug) == 2 for by_cug in used.values()) >= 5


def _per_cug(row: re.Match[str]) -> str:
    """A server's row with its tagging, where it says none."""
    return row[0] if "tagging" in row[1] else f"{row[1]}, tagging: per_cug}}"
