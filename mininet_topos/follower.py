"""The hypervisors of a laboratory that is used by hand: they do what REST says, as a cloud's would.

A VM that is put runs; one that is deleted ends; one whose migration is prepared is copied, which takes a while, and runs at
its target; when the migration is aborted it goes back. Who asks for it (``vmmob``, the dashboard, ``curl``) is all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from mininet_topos.lab import Lab, LabError
from mininet_topos.ovs import OvsError
from mininet_topos.processes import ChildError
from mininet_topos.servers import Interface, Vm
from mininet_topos.switchover import Network, Rest, switch_over
from ryu_vmmob.client import Client

LINK_LOCAL_PREFIX = 64


class Follower:
    """``copy_seconds``: how long the memory of a VM takes to its target. ``say`` gets a sentence for each thing done.

    ``client`` speaks msgpack: frames are bytes.
    """

    def __init__(
        self,
        lab: Lab,
        client: Client,
        copy_seconds: float,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lab = lab
        self._client = client
        self._copy_seconds = copy_seconds
        self._say = say
        self._clock = clock
        self._copying: dict[str, float] = {}
        """When the copy of a migration that is prepared began, by its id."""
        self._failed: dict[str, str] = {}

    def look(self) -> float | None:
        """Do what there is to do. Returns in how many seconds there is more by itself; None: when something changes.

        Raises ClientError when the controller does not answer.
        """
        cugs = {row["name"]: row for row in self._client.get("/v1/cugs")["items"]}
        rows = {row["name"]: row for row in self._client.get("/v1/vms")["items"]}
        for vm in [vm for name, vm in self._lab.vms.items() if name not in rows]:
            self._lab.remove_vm(vm)
            self._say(f"VM {vm.name} is ended")
        waits = [wait for row in rows.values() if (wait := self._follow(row, cugs)) is not None]
        return min(waits, default=None)

    def _follow(self, row: Mapping[str, Any], cugs: Mapping[str, Any]) -> float | None:
        """Return what one VM asks for; a fault of it is told once and holds up no other."""
        name = row["name"]
        try:
            wait = self._one(row, interfaces_of(row, cugs))
        except (LabError, OvsError, ChildError, KeyError) as error:
            text = f"no server {error} in this laboratory: start it again" if isinstance(error, KeyError) else str(error)
            if self._failed.get(name) != text:
                self._say(f"VM {name}: {text}")
            self._failed[name] = text
            return None
        self._failed.pop(name, None)
        return wait

    def _one(self, row: Mapping[str, Any], interfaces: Sequence[Interface]) -> float | None:
        vm = self._lab.vms.get(row["name"])
        if vm is not None and vm.interfaces != tuple(interfaces):
            self._lab.remove_vm(vm)
            vm = None
        if vm is None:
            self._lab.servers[row["server"]]  # before anything of it is begun
            vm = self._lab.add_vm(row["name"], row["server"], interfaces, [leg["vlan_id"] for leg in row["interfaces"]])
            self._say(f"VM {vm.name} runs on {vm.server}")
        migration = self._client.get(f"/v1/migrations/{row['migration']}") if row["migration"] else None
        if migration is None:
            self._settle(vm, row)
            return None
        return self._move(vm, migration)

    def _settle(self, vm: Vm, row: Mapping[str, Any]) -> None:
        """No move: it runs where it belongs, and is plugged nowhere else."""
        server = row["server"]
        if vm.server != server:
            if server not in vm.places:
                self._lab.prepare_server(vm, server, [leg["vlan_id"] for leg in row["interfaces"]])
            self._run_at(vm, server)
        for place in [place for place in vm.places if place != server]:
            self._lab.release_server(vm, place)

    def _move(self, vm: Vm, migration: Mapping[str, Any]) -> float | None:
        source, target, state = migration["from"], migration["to"], migration["state"]
        self._lab.servers[target]
        for place, key in ((source, "from_vlan_id"), (target, "to_vlan_id")):
            if place not in vm.places:
                self._lab.prepare_server(vm, place, [leg[key] for leg in migration["interfaces"]])
        if migration["returning"]:
            self._run_at(vm, source)
        elif state == "activated":
            self._run_at(vm, target)
        elif state == "prepared" and vm.server != target:
            left = self._copying.setdefault(migration["id"], self._clock()) + self._copy_seconds - self._clock()
            if left > 0:
                return left
            at_pause = migration["delivery"] == "at_pause"
            self._run_at(vm, target, Rest(migration["id"], self._post) if at_pause else None)
        return None

    def _post(self, path: str, body: Any) -> Any:
        return self._client.post(path, body, again=body is None)

    def _run_at(self, vm: Vm, server: str, network: Network | None = None) -> None:
        if vm.server != server:
            switch_over(self._lab, vm, server, network)
            self._say(f"VM {vm.name} runs on {server} now")


def interfaces_of(row: Mapping[str, Any], cugs: Mapping[str, Any]) -> list[Interface]:
    """Return a VM's interfaces as its guest would be set up: addresses with their prefix lengths, the gateways of the first
    CUG.
    """
    found = []
    for number, leg in enumerate(row["interfaces"]):
        cug = cugs[leg["cug"]]
        versions = {ip_address(ip).version for ip in leg["ips"]}
        gateways = [one for one in cug["gateways"] if not number and ip_address(one).version in versions]
        ips = tuple(f"{ip}/{_prefix_length(ip, cug['subnets'])}" for ip in leg["ips"])
        found.append(Interface(leg["cug"], leg["mac"], ips, leg["guest_vlan_id"], tuple(gateways)))
    return found


def _prefix_length(ip: str, subnets: Sequence[str]) -> int:
    address = ip_address(ip)
    return next((net.prefixlen for net in map(ip_network, subnets) if address in net), LINK_LOCAL_PREFIX)
