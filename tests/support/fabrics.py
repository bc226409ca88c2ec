"""Small fabrics with chosen VLAN-ID ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ryu_vmmob.fabric import load
from ryu_vmmob.fabric.model import DataCenter, Fabric, L2Domain, Link, PortRef, Role, Server, Switch
from ryu_vmmob.model.state import with_fabric

EXAMPLE = load(Path(__file__).parents[2] / "etc" / "example.yaml")


def two_racks(
    rack_a: Iterable[int] = range(100, 110), core: Iterable[int] = range(200, 210), rack_b: Iterable[int] = range(100, 110)
) -> Fabric:
    """Two ToRs under one spine.

    a1, a2 (tagged), a3 (untagged) - tor-a -core- spine -core- tor-b - b1 (tagged), b2 (untagged), b3 (LAG)
    """
    p = PortRef
    return Fabric(
        "two-racks",
        "02:00:5e:00:00:01",
        {"dc1": DataCenter("dc1")},
        {
            "rack-a": L2Domain("rack-a", tuple(rack_a), "dc1"),
            "core": L2Domain("core", tuple(core), "dc1"),
            "rack-b": L2Domain("rack-b", tuple(rack_b), "dc1"),
        },
        {
            "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a", "dc1"),
            "spine": Switch("spine", 2, Role.SPINE, "core", "dc1"),
            "tor-b": Switch("tor-b", 3, Role.TOR, "rack-b", "dc1"),
        },
        (Link(p("tor-a", 49), p("spine", 1), "core"), Link(p("tor-b", 49), p("spine", 2), "core")),
        {
            "a1": Server("a1", (p("tor-a", 1),), "rack-a"),
            "a2": Server("a2", (p("tor-a", 2),), "rack-a"),
            "a3": Server("a3", (p("tor-a", 3),), None),
            "b1": Server("b1", (p("tor-b", 1),), "rack-b"),
            "b2": Server("b2", (p("tor-b", 2),), None),
            "b3": Server("b3", (p("tor-b", 3), p("tor-b", 4)), "rack-b"),
        },
    )


def per_interface(fabric: Fabric, *names: str, vlan_ids: Iterable[int] = range(2, 4095)) -> Fabric:
    """The fabric with tagging per interface at these servers (all of them when none is named)."""
    numbers = tuple(vlan_ids)
    servers = {
        name: replace(row, l2_domain=None, vlan_ids=numbers) if not names or name in names else row
        for name, row in fabric.servers.items()
    }
    return replace(fabric, servers=servers)


LEFT_A, LEFT_B = "spine-1:1=tor-a:49", "spine-1:2=tor-b:49"


def two_planes(first: Iterable[int] = range(200, 210), second: Iterable[int] = range(300, 310)) -> Fabric:
    """Two ToRs under two spines; each spine's links are an L2 domain of their own, so another way is another domain."""
    p = PortRef
    return Fabric(
        "two-planes",
        "02:00:5e:00:00:01",
        {"dc1": DataCenter("dc1")},
        {
            "rack-a": L2Domain("rack-a", tuple(range(100, 110)), "dc1"),
            "rack-b": L2Domain("rack-b", tuple(range(100, 110)), "dc1"),
            "plane-1": L2Domain("plane-1", tuple(first), "dc1"),
            "plane-2": L2Domain("plane-2", tuple(second), "dc1"),
        },
        {
            "tor-a": Switch("tor-a", 1, Role.TOR, "rack-a", "dc1"),
            "tor-b": Switch("tor-b", 2, Role.TOR, "rack-b", "dc1"),
            "spine-1": Switch("spine-1", 3, Role.SPINE, "plane-1", "dc1"),
            "spine-2": Switch("spine-2", 4, Role.SPINE, "plane-2", "dc1"),
        },
        (
            Link(p("tor-a", 49), p("spine-1", 1), "plane-1"),
            Link(p("tor-b", 49), p("spine-1", 2), "plane-1"),
            Link(p("tor-a", 50), p("spine-2", 1), "plane-2"),
            Link(p("tor-b", 50), p("spine-2", 2), "plane-2"),
        ),
        {
            "a1": Server("a1", (p("tor-a", 1),), "rack-a"),
            "a2": Server("a2", (p("tor-a", 2),), "rack-a"),
            "b1": Server("b1", (p("tor-b", 1),), "rack-b"),
            "b2": Server("b2", (p("tor-b", 2),), "rack-b"),
        },
    )


def rooted(fabric: Fabric, root: str, count: int = 1) -> list[str]:
    """Names of CUGs that use the tree with this root."""
    trees = with_fabric(None, fabric).trees
    names = (f"cug-{number}" for number in range(1000))
    return [name for name in names if trees.of_segment(name).root == root][:count]


SWITCHES = {"b1": Role.BORDER, "b2": Role.BORDER, "ta": Role.TOR, "tb": Role.TOR}


def ring() -> Fabric:
    """Two ToRs and two borders, each ToR linked to both borders, a server on each switch."""
    pairs = (("b1", 1, "ta", 49), ("b1", 2, "tb", 49), ("b2", 1, "ta", 50), ("b2", 2, "tb", 50))
    return Fabric(
        "ring",
        "02:00:5e:00:00:01",
        {"dc": DataCenter("dc")},
        {"core": L2Domain("core", tuple(range(100, 120)), "dc")},
        {name: Switch(name, number, role, "core", "dc") for number, (name, role) in enumerate(SWITCHES.items(), 1)},
        tuple(Link(PortRef(a, p), PortRef(b, q), "core") for a, p, b, q in pairs),
        {f"s-{name}": Server(f"s-{name}", (PortRef(name, 10),), "core") for name in SWITCHES},
    )
