"""CUGs in several routing domains, and short ways to write policies."""

from __future__ import annotations

from ipaddress import ip_network

from ryu_vmmob.model.commands import Command
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.state import State
from tests.support.commands import cug, nic, start, vm
from tests.support.fabrics import two_racks

ANY = Selector("any")


WEB, DB, LONE = Selector("cug", "web"), Selector("cug", "db"), Selector("cug", "lone")


WEB1, DB1 = Selector("vm", "web1"), Selector("vm", "db1")


def prefix(text: str) -> Selector:
    return Selector("prefix", ip_network(text))


def site(*policies: Command) -> State:
    """CUGs web and db in domain red, blue in domain blue with web's addresses, lone in none; a VM in each, web2 beside web1."""
    return start(
        two_racks(),
        cug(routing_domain="red"),
        cug("db", 2, routing_domain="red"),
        cug("blue", 1, routing_domain="blue"),
        cug("lone", 4),
        vm("web1", "a1", nic(11, ips=["10.1.0.11", "2001:db8:1::11"])),
        vm("web2", "a2", nic(12, ips=["10.1.0.12", "2001:db8:1::12"])),
        vm("db1", "b1", nic(11, "db", 2, ips=["10.2.0.11", "2001:db8:2::11"])),
        vm("blue1", "b1", nic(11, "blue", 1)),
        vm("lone1", "b1", nic(11, "lone", 4)),
        *policies,
    )


def put(name: str, allow: bool, source: Selector, target: Selector, **more: object) -> PutPolicy:
    return PutPolicy(name, allow, source, target, **more)  # type: ignore[arg-type]
