"""A link, then a whole spine, is lost with 10,000 VMs behind it, and comes back: what switches are sent, how long it takes.

Two racks and two spines, all of them bridges of a real ``ovs-vswitchd``; half of each CUG's VMs is in either rack. Once with
backup paths that are installed before, and once without; and what either costs in flows, groups and VLAN-IDs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ryu_vmmob.bench.evacuate import bodies
from ryu_vmmob.bench.measure import Row, row
from ryu_vmmob.bench.site import BenchSite
from ryu_vmmob.bench.tap import FLOW_MOD, GROUP_MOD, wait_for
from ryu_vmmob.bench.two_spines import RACKS, SERVERS, SPINES, UPLINK, fabric
from ryu_vmmob.fabric.model import BackupPaths

VMS: Final = 10_000
CUGS: Final = 200
RUNS: Final = 3


class Change(NamedTuple):
    """What followed a change of ports: messages by type. ``seconds``: from the first news of it to the last confirmation."""

    seconds: float
    racks: Mapping[int, int]
    spines: Mapping[int, int]


def spread(vms: int, cugs: int) -> dict[str, Any]:
    """Return the body of ``POST /v1/bulk``: VMs by turns in either rack, so that each CUG is in both."""
    found = bodies(vms, cugs, SERVERS[RACKS[0]])
    for number, body in enumerate(found["vms"].values()):
        body["server"] = SERVERS[RACKS[number // cugs % 2]]
    return found


def run(vms: int = VMS, cugs: int = CUGS, runs: int = RUNS) -> Iterator[Row]:
    """Messages and seconds for a link and for a spine, down and up again; and what there is before."""
    for backup_paths in BackupPaths:
        yield from chosen(backup_paths, vms, cugs, runs)


def chosen(backup_paths: BackupPaths, vms: int, cugs: int, runs: int) -> Iterator[Row]:
    """Yield the rows of one choice of the fabric file."""
    of = f"{vms} VMs, backup paths {backup_paths.value}"
    with BenchSite(fabric(backup_paths), [*RACKS, *SPINES]) as site:
        site.load(spread(vms, cugs))
        for name in site.bridges:
            site.connect(name)
        site.until_in_step(*site.bridges)
        yield from _before(of, site)
        used = max(SPINES, key=lambda spine: len(site.ovs.ofctl("dump-groups", spine)))
        for what, ports in (
            ("link", [(RACKS[0], UPLINK[used])]),
            ("spine", [(rack, UPLINK[used]) for rack in RACKS]),
        ):
            lost, back = list[Change](), list[Change]()
            for _ in range(runs):
                lost.append(_change(site, ports, up=False))
                back.append(_change(site, ports, up=True))
            for name, changes in ((f"{what} lost", lost), (f"{what} back", back)):
                yield from _rows(f"{of}, {name}", changes)


def _before(of: str, site: BenchSite) -> Iterator[Row]:
    """Yield what stands in the switches, and the VLAN-IDs of the CUGs in all L2 domains, with everything up."""
    for whose, names in (("racks", RACKS), ("spines", SPINES)):
        for kind, command in (("flows", "dump-flows"), ("groups", "dump-groups")):
            found = [site.ovs.ofctl(command, name).splitlines() for name in names]
            count = sum("table=" in line or "group_id=" in line for lines in found for line in lines)
            yield row(f"{of}, all up: {whose}' {kind}", f"in both {whose} together", kind, [count])
    domains = [cug["presence"]["l2_domains"] for cug in site.client.get("/v1/cugs")["items"]]
    yield row(f"{of}, all up: VLAN-IDs", "of all CUGs in all L2 domains", "VLAN-IDs", [sum(map(len, domains))])


def _rows(case: str, changes: list[Change]) -> Iterator[Row]:
    for kind, name in ((FLOW_MOD, "flow-mods"), (GROUP_MOD, "group-mods")):
        for whose, sent in (("racks", [change.racks for change in changes]), ("spines", [change.spines for change in changes])):
            numbers = [float(counts[kind]) for counts in sent]
            yield row(f"{case}: {whose}' {name}", f"sent to both {whose} together", "messages", numbers)
    seconds = [change.seconds for change in changes]
    yield row(f"{case}: time", "from the first news of it to the last confirmation of a switch", "seconds", seconds)


def _change(site: BenchSite, ports: list[tuple[str, int]], *, up: bool) -> Change:
    lines = {name: site.tap.line(name) for name in site.bridges}
    marks = {name: line.mark() for name, line in lines.items()}
    heard = {name: len(line.port_changes) for name, line in lines.items()}
    revision = site.revision
    for switch, port in ports:
        site.bridges[switch].set_link(port, up=up)
    wait_for(lambda: all(len(lines[name].port_changes) > heard[name] for name, _ in ports), "no port has changed")
    # One change of revision for each port that the controller took for itself; all of them may come as one.
    wait_for(lambda: site.revision > revision, "nothing follows", 0.02)
    site.until_calm()
    began = min(lines[name].port_changes[heard[name]] for name, _ in ports)
    ended = max(line.confirmed or began for line in lines.values())
    racks, spines = Counter[int](), Counter[int]()
    for name, line in lines.items():
        (spines if name in SPINES else racks).update(line.counts(marks[name]))
    return Change(ended - began, racks, spines)
