"""The benchmarks on real switches, in small: what they count is right, whatever the times are. Needs no root."""

from __future__ import annotations

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench import install, link_down, punt, reconcile
from ryu_vmmob.bench.measure import Row
from ryu_vmmob.fabric.model import BackupPaths


def rows(found: list[Row]) -> dict[str, Row]:
    """By case, without the number of flows or VMs in front."""
    assert all(row.runs > 0 and min(row.best, row.worst) <= row.median <= max(row.best, row.worst) for row in found)
    return {row.case.rpartition(": ")[2]: row for row in found}


def test_install_is_three_times_the_same(ovs: PrivateOvs) -> None:
    """Flows and groups are counted in the bridge; a raw socket whose bytes were refused would raise."""
    found = rows(list(install.run(vms=100, cugs=5, runs=1)))
    assert all(found[name].median > 0 for name in ("controller", "raw socket", "ovs-ofctl", "share of raw socket", "echo"))


def test_a_restart_changes_nothing_and_a_tampered_flow_is_the_only_one_touched(ovs: PrivateOvs) -> None:
    found = list(reconcile.run(vms=100, cugs=5, runs=1))
    right, wrong = (row for row in found if row.case.endswith(": sent"))
    assert (right.best, right.worst) == (0, 0)
    assert wrong.worst == int(wrong.case.split(", ")[1].split()[0]), "one message for each that was tampered with"


def test_a_lost_link_costs_the_racks_no_flow_for_each_vm(ovs: PrivateOvs) -> None:
    few, many = (
        rows([row for row in link_down.chosen(BackupPaths.ON_FAILURE, vms, 4, 1) if "link lost: racks" in row.case])
        for vms in (8, 40)
    )
    for name in ("racks' flow-mods", "racks' group-mods"):
        assert few[name].median == many[name].median > 0


def test_with_backup_paths_installed_a_lost_spine_changes_groups_and_the_ports_of_trees(ovs: PrivateOvs) -> None:
    few, many = (list(link_down.chosen(BackupPaths.INSTALLED, vms, 4, 1)) for vms in (8, 40))
    for one, other in zip(few, many, strict=True):
        if "link " in one.case and one.case.endswith("-mods"):
            assert one.median == other.median
        if one.case.endswith("flow-mods"):
            # How many steps a spine's loss takes depends on which of its links is heard of first.
            assert max(one.median, other.median) <= 16, "for each link, tree and step a port opened and one closed"
    assert sum(row.median for row in few if row.case.endswith("group-mods")) > 0


def test_noise_is_held_back_and_metered(ovs: PrivateOvs) -> None:
    """A meter that let too much through would raise."""
    found = rows(list(punt.run(moves=2, rounds=1, frames=1000)))
    assert found["frames handed up"].median < found["frames put in"].median
    assert found["a move in noise"].runs == found["a move in quiet"].runs == 2
