"""A network in which everything occurs that the compiler can make, and what each of its switches is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from ryu_vmmob.fabric import loads
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.flow import Flow, Group
from ryu_vmmob.model.commands import Command, Prepared, PutCug, PutVm, StartMigration, apply
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.routing_domains import NeighbourHeard
from ryu_vmmob.model.state import State, with_fabric
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.net.protocols import TCP, UDP

ROLES: Final = ("spine", "border", "tor")
PORTS: Final = 6
"""So many ports the switch that has most of them needs."""
_FABRIC: Final = """
version: 1
fabric: sample
gateway_mac: "02:00:5e:00:00:01"
data_centers: {{dc1: {{}}}}
l2_domains:
  rack-a: {{data_center: dc1, vlan_ids: "100-199", translate_guest_tags: true}}
  rack-b: {{data_center: dc1, vlan_ids: "100-199"}}
  core: {{data_center: dc1, vlan_ids: "2000-2999"}}
switches:
  tor: {{dpid: "0x1", role: tor, l2_domain: rack-a, data_center: dc1, dialect: {dialect}{keys}}}
  tor-2: {{dpid: "0x2", role: tor, l2_domain: rack-b, data_center: dc1, dialect: {dialect}{keys}}}
  spine: {{dpid: "0x3", role: spine, l2_domain: core, data_center: dc1, dialect: {dialect}{keys}}}
  border: {{dpid: "0x4", role: border, l2_domain: core, data_center: dc1, dialect: {dialect}{keys}}}
links:
  - {{a: "tor:{p[4]}", b: "spine:{p[0]}", l2_domain: core}}
  - {{a: "tor:{p[5]}", b: "spine:{p[1]}", l2_domain: core}}
  - {{a: "tor-2:{p[4]}", b: "spine:{p[2]}", l2_domain: core}}
  - {{a: "border:{p[0]}", b: "spine:{p[3]}", l2_domain: core}}
servers:
  a1: {{attach: "tor:{p[0]}"}}
  a2: {{attach: "tor:{p[1]}", tagging: untagged}}
  a3: {{attach: ["tor:{p[2]}", "tor:{p[3]}"], bond: lag}}
  b1: {{attach: "tor-2:{p[0]}"}}
externals:
  internet:
    attach: "border:{p[1]}"
    routing_domain: red
    addresses: ["192.0.2.1/24", "2001:db8:ffff::1/64"]
    prefixes: ["0.0.0.0/0", "::/0"]
    next_hops: ["192.0.2.254", "2001:db8:ffff::fe"]
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What one switch of the sample is told."""

    flows: tuple[Flow, ...]
    groups: tuple[Group, ...]


def told(
    dialect: Dialect, ports: Sequence[int] = range(1, PORTS + 1), *,
    l4_masks: bool = False, passes_fragments: bool | None = None,
) -> dict[str, Told]:  # fmt: skip
    """Return what a switch of each role in `ROLES` is told. ``ports``: the numbers to use, at least `PORTS`. ``l4_masks`` and
    ``passes_fragments`` (None: as is usual for the dialect): what the fabric file says of the switches.
    """
    keys = ", l4_masks: true" if l4_masks else ""
    if passes_fragments is not None:
        keys += f", fragments: {'pass' if passes_fragments else 'drop'}"
    return dict(_told(dialect, tuple(ports), keys))


@lru_cache(maxsize=16)
def _told(dialect: Dialect, ports: tuple[int, ...], keys: str) -> dict[str, Told]:
    state: State = with_fabric(None, loads(_FABRIC.format(dialect=dialect.value, p=ports, keys=keys)))
    for command in _commands():
        state = apply(state, command, now=0.0).state
    compiler = full(state)
    return {role: Told(tuple(compiler.flows(role)), tuple(compiler.groups(role))) for role in ROLES}


def _vm(name: str, server: str, cug: str, number: int, net: int, guest: int | None = None) -> PutVm:
    ips = (ip_address(f"10.{net}.0.{number}"), ip_address(f"2001:db8:{net}::{number}"))
    return PutVm(name, server, (Interface(cug, mac(f"02:00:00:00:{net:02x}:{number:02x}"), ips, guest),))


def _commands() -> Iterator[Command]:
    for net, name in enumerate(("web", "db"), 1):
        yield PutCug(name, (ip_network(f"10.{net}.0.0/24"), ip_network(f"2001:db8:{net}::/64")), routing_domain="red")
    yield _vm("web1", "a1", "web", 11, 1)
    yield _vm("web2", "a2", "web", 12, 1)
    yield _vm("web3", "b1", "web", 13, 1)
    yield _vm("db1", "a3", "db", 11, 2)
    yield _vm("db2", "b1", "db", 12, 2)
    yield _vm("db3", "a1", "db", 13, 2, guest=150)
    web, db = Selector("cug", "web"), Selector("cug", "db")
    yield PutPolicy("sql", allow=True, source=web, target=db, protocol=TCP, ports=((5432, 5433),))
    yield PutPolicy("names", allow=True, source=web, target=Selector("vm", "db1"), protocol=UDP, ports=((53, 53),))
    yield PutPolicy("pings", allow=True, source=Selector("any"), target=web, protocol="icmp")
    yield PutPolicy(
        "surfing",
        allow=True,
        source=web,
        target=Selector("prefix", ip_network("0.0.0.0/0")),
        priority=50,
        protocol=TCP,
        ports=((443, 443),),
        replies=True,
    )
    yield NeighbourHeard("internet", ip_address("192.0.2.254"), mac("02:00:00:00:01:fe"))
    yield NeighbourHeard("internet", ip_address("2001:db8:ffff::fe"), mac("02:00:00:00:01:fe"))
    yield StartMigration("m-1", "web1", "b1")
    yield Prepared("m-1")
    yield StartMigration("m-2", "db2", "a1")
    yield Prepared("m-2")
