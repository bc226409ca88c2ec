"""A VM is no router: what it says as one gets nowhere (R49, RFC 6105), its other ICMPv6 does."""

from __future__ import annotations

import pytest

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.net.addresses import multicast_mac
from ryu_vmmob.sim import packet as make
from tests.support.fabrics import ring
from tests.support.world import World, cug, interface, vm

ROUTER_ADVERTISEMENT, REDIRECT, ECHO_REQUEST = 134, 137, 128
ALL_NODES = 0xFF02 << 112 | 1


@pytest.mark.requirement("R49a")
@pytest.mark.parametrize(("kind", "reached"), [(ROUTER_ADVERTISEMENT, 0), (REDIRECT, 0), (ECHO_REQUEST, 1)])
def test_a_vm_is_no_router(kind: int, reached: int) -> None:
    world = World(ring())
    world.do(cug(0, True))
    world.do(vm("liar", "s-ta", interface(0, 10, True)), vm("peer", "s-tb", interface(0, 11, True)))
    world.settle()
    liar = world.engine.state.vms["liar"].interfaces[0]
    address = int(next(ip for ip in liar.ips if ip.version == 6))
    frame = make.ipv6(multicast_mac(ALL_NODES), liar.mac, ALL_NODES, address, make.ICMPV6, icmpv6_type=kind, icmpv6_code=0)
    vlan_id = world.engine.state.server_vlan_id("cug0", "s-ta")
    assert vlan_id is not None
    journey = world.view().network.inject(frame.with_vlans(vlan_id), PortRef("ta", 10))
    assert [str(port) for port, _ in journey.deliveries] == ["tb:10"] * reached
