"""A large site with names as an operator gives them: 24 switches, 200 servers, 40 CUGs and 2,000 VMs in two data centres.

The dashboard is tried and drawn with it. In each data centre a spine and a border are linked to each of ten ToRs, and the
borders to each other; every rack is an L2 domain of its own. Ten applications have a CUG for each of their four tiers.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, Final

from ryu_vmmob.net.addresses import mac_text

CENTERS: Final = (1, 2)
RACKS: Final = 10
"""ToRs in a data centre."""
SERVERS: Final = 10
"""Servers at a ToR, at ports 1 and up."""
APPLICATIONS: Final = ("billing", "chat", "crm", "docs", "mail", "media", "search", "shop", "stats", "wiki")
TIERS: Final = {"web": None, "app": "8080", "db": "5432", "cache": "6379"}
"""Tiers of an application in the order in which they ask each other, and the TCP port on which each is asked."""
VMS: Final = 50
"""VMs of each tier."""
_UPLINKS: Final = {"border": 47, "spine": 48}


def tor(center: int, rack: int) -> str:
    """Return the name of a ToR, ``rack`` from 1."""
    return f"tor-{center}-{rack:02}"


def server(center: int, rack: int, number: int) -> str:
    """Return the name of a server, ``number`` from 1."""
    return f"srv-{center}-{rack:02}-{number:02}"


def racks() -> list[tuple[int, int]]:
    """Return (data centre, rack) of every ToR."""
    return [(center, rack) for center in CENTERS for rack in range(1, RACKS + 1)]


def fabric() -> dict[str, Any]:
    """Return the fabric file as an object. Switches have the dpids 1 and up, in their order."""
    domains: dict[str, Any] = {"wan": {"vlan_ids": "3000-3999"}}
    switches: dict[str, Any] = {}
    links, servers = [{"a": "border-1:48", "b": "border-2:48", "l2_domain": "wan"}], dict[str, Any]()
    for center in CENTERS:
        home = {"data_center": f"dc{center}"}
        core = f"core-{center}"
        domains[core] = {**home, "vlan_ids": "2000-2999"}
        for role in _UPLINKS:
            switches[f"{role}-{center}"] = {"role": role, "l2_domain": core, **home}
        links.append({"a": f"spine-{center}:48", "b": f"border-{center}:47", "l2_domain": core})
        for rack in range(1, RACKS + 1):
            name, domain = tor(center, rack), f"rack-{center}-{rack:02}"
            domains[domain] = {**home, "vlan_ids": f"{100 * rack}-{100 * rack + 99}"}
            switches[name] = {"role": "tor", "l2_domain": domain, **home}
            links += [
                {"a": f"{name}:{port}", "b": f"{role}-{center}:{rack}", "l2_domain": core} for role, port in _UPLINKS.items()
            ]
            servers |= {server(center, rack, number): {"attach": f"{name}:{number}"} for number in range(1, SERVERS + 1)}
    return {
        "version": 1,
        "fabric": "large",
        "gateway_mac": "02:00:5e:00:00:01",
        "data_centers": {f"dc{center}": {} for center in CENTERS},
        "l2_domains": domains,
        "switches": {name: {"dpid": f"{dpid:#x}", **row} for dpid, (name, row) in enumerate(switches.items(), start=1)},
        "links": links,
        "servers": servers,
        "externals": {
            f"internet-{center}": {
                "attach": f"border-{center}:40", "routing_domain": "shop", "addresses": [f"198.51.{center}.1/24"],
            } for center in CENTERS
        },
    }  # fmt: skip


def bulk() -> dict[str, Any]:
    """Return the body of ``POST /v1/bulk`` with all CUGs, VMs and policies; ten VMs on each server.

    An application has its own routing domain. Each of its tiers is in five racks of both data centres.
    """
    places, cugs, vms, policies = racks(), dict[str, Any](), dict[str, Any](), dict[str, Any]()
    used: dict[tuple[int, int], int] = {}
    for at, application in enumerate(APPLICATIONS):
        asks: str | None = None
        for level, (tier, port) in enumerate(TIERS.items()):
            name, net = f"{application}-{tier}", 10 << 24 | at << 16 | level << 8
            labels = {"app": application, "tier": tier}
            cugs[name] = {"subnets": [f"{IPv4Address(net)}/24"], "routing_domain": application, "labels": labels}
            if asks is not None:
                policies[f"{asks}-to-{tier}"] = {
                    "action": "allow", "from": {"cug": asks}, "to": {"cug": name},
                    "protocol": "tcp", "ports": [port], "replies": True,
                }  # fmt: skip
            asks = name
            for number in range(VMS):
                place = places[(2 * at + 5 * level + 4 * (number % 5)) % len(places)]
                used[place] = used.get(place, 0) + 1
                interface = {
                    "cug": name, "mac": mac_text(0x020000000000 | net & 0xFFFFFF | number + 11),
                    "ips": [str(IPv4Address(net + number + 11))],
                }  # fmt: skip
                host = server(*place, (used[place] - 1) % SERVERS + 1)
                vms[f"{name}-{number + 1:02}"] = {"server": host, "interfaces": [interface], "labels": labels}
    world = {"action": "allow", "from": {"any": True}, "to": {"cug": "shop-web"}, "protocol": "tcp", "ports": ["80", "443"]}
    policies["world-to-shop"] = world | {"replies": True}
    return {"cugs": cugs, "vms": vms, "policies": policies}
