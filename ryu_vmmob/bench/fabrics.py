"""Fabrics of any size as a fabric file, and VMs for them as bodies of ``POST /v1/bulk``.

Leaf and spine: a spine for every 40 ToRs and, where there are several, a core above them. Each rack is an L2 domain of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address
from math import ceil
from pathlib import Path
from typing import Any, Final, NamedTuple

from ryu_vmmob.net.addresses import mac_text

RACKS: Final = 40
"""ToRs below one spine."""
SERVERS: Final = 10
"""Servers at each ToR, at ports 1 and up."""
_UPLINK: Final = 48
_NETWORKS: Final = 0x0A000000
_BITS: Final = 11
"""Each CUG has a /21: room for 2,000 VMs."""


class Crowd(NamedTuple):
    """``vms`` in CUGs of ``together`` each, every CUG on ``spread`` ToRs that follow each other.

    ``routed``: all in one routing domain.
    """

    tors: int
    vms: int
    together: int
    spread: int
    routed: bool = False

    def place(self, number: int) -> tuple[int, int]:
        """(ToR, server at it) of a VM."""
        cug, member = divmod(number, self.together)
        return (cug * self.spread + member % self.spread) % self.tors, (cug + member // self.spread) % SERVERS

    def other(self, number: int) -> str:
        """Return a server for a VM to move to: at the next ToR, where its CUG is as well unless its VM is at the last one."""
        tor, server = self.place(number)
        return server_name((tor + 1) % self.tors, server)

    def bodies(self, rows: int) -> Iterator[dict[str, Any]]:
        """Bodies of ``POST /v1/bulk`` with about so many VMs each, whole CUGs together."""
        step = max(1, rows // self.together)
        for first in range(0, ceil(self.vms / self.together), step):
            cugs, vms = {}, {}
            for cug in range(first, min(first + step, ceil(self.vms / self.together))):
                net = _NETWORKS + (cug << _BITS)
                body: dict[str, Any] = {"subnets": [f"{IPv4Address(net)}/{32 - _BITS}"]}
                cugs[f"net-{cug}"] = {**body, "routing_domain": "all"} if self.routed else body
                for number in range(cug * self.together, min((cug + 1) * self.together, self.vms)):
                    address = net + 2 + number % self.together
                    interface = {
                        "cug": f"net-{cug}", "mac": mac_text(0x020000000000 | address), "ips": [str(IPv4Address(address))]
                    }  # fmt: skip
                    vms[f"vm-{number}"] = {"server": server_name(*self.place(number)), "interfaces": [interface]}
            yield {"cugs": cugs, "vms": vms}


def server_name(tor: int, server: int) -> str:
    """Return the name of a server."""
    return f"srv-{tor}-{server}"


def switch_names(tors: int) -> list[str]:
    """All switches; their dpids are 1 and up, in this order."""
    spines = ceil(tors / RACKS)
    core = ["core"] if spines > 1 else []
    return [*(f"tor-{tor}" for tor in range(tors)), *(f"spine-{spine}" for spine in range(spines)), *core]


def leaf_spine(tors: int) -> dict[str, Any]:
    """Return the fabric file with so many ToRs, as an object."""
    names = switch_names(tors)
    racks = {f"rack-{tor}": {"data_center": "dc1", "vlan_ids": "2-4000"} for tor in range(tors)}
    switches = {
        name: {
            "dpid": f"{dpid:#x}", "data_center": "dc1", "role": "tor" if name.startswith("tor") else "spine",
            "l2_domain": f"rack-{dpid - 1}" if name.startswith("tor") else "spines",
        }
        for dpid, name in enumerate(names, start=1)
    }  # fmt: skip
    links = [_link(f"tor-{tor}", f"spine-{tor // RACKS}:{tor % RACKS + 1}") for tor in range(tors)]
    if "core" in names:
        links += [_link(f"spine-{spine}", f"core:{spine + 1}") for spine in range(ceil(tors / RACKS))]
    return {
        "version": 1,
        "fabric": f"{tors}-racks",
        "gateway_mac": "02:00:5e:00:00:01",
        "data_centers": {"dc1": {}},
        "l2_domains": {**racks, "spines": {"data_center": "dc1", "vlan_ids": "2-4094"}},
        "switches": switches,
        "links": links,
        "servers": _servers(tors),
    }


def row_of_three() -> dict[str, Any]:
    """Three edges and no more: two ToRs with one between them, which has servers as well."""
    found = leaf_spine(3)
    for switch in ("spine-0",):
        del found["switches"][switch]
    found["links"] = [
        {"a": "tor-0:48", "b": "tor-1:47", "l2_domain": "spines"},
        {"a": "tor-1:48", "b": "tor-2:48", "l2_domain": "spines"},
    ]
    return found


def write(fabric: dict[str, Any], directory: Path) -> Path:
    """As a file: YAML reads JSON."""
    path = directory / "fabric.yaml"
    path.write_text(json.dumps(fabric))
    return path


def _link(switch: str, above: str) -> dict[str, str]:
    return {"a": f"{switch}:{_UPLINK}", "b": above, "l2_domain": "spines"}


def _servers(tors: int) -> dict[str, Any]:
    return {server_name(tor, server): {"attach": f"tor-{tor}:{server + 1}"} for tor in range(tors) for server in range(SERVERS)}
