"""What a VM says first at its target, through the compiled pipeline: each frame reaches the controller, and activates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ryu_vmmob.fabric.model import Fabric, PortRef, Server
from ryu_vmmob.model.commands import Activate
from ryu_vmmob.model.objects import Interface, Phase
from ryu_vmmob.sim import packet as make
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, migration, phase
from tests.support.fabrics import per_interface, two_racks
from tests.support.simulated_frames import send

NIC = nic(11, ips=["10.1.0.11", "2001:db8:1::b"])
MAC, IP, IP6 = NIC.mac, int(NIC.ips[0]), int(NIC.ips[1])
EVERYBODY = (1 << 48) - 1
DHCP = make.udp(EVERYBODY, MAC, 0xFFFFFFFF, 0, 67, 68)
FRAMES = {
    "RARP": make.rarp(MAC),
    "gratuitous ARP, as a request": make.gratuitous_arp(MAC, IP),
    "gratuitous ARP, as a reply": make.gratuitous_arp(MAC, IP).with_fields(arp_op=2),
    "unsolicited neighbour advertisement": make.neighbour_advertisement(MAC, IP6),
    "duplicate address detection": make.neighbour_solicitation(MAC, 0, IP6),
    "ARP probe": make.arp_probe(MAC, IP),
    "DHCP": DHCP,
    "a packet": make.udp(nic(12).mac, MAC, int(nic(12).ips[0]), IP),
    "an IPv6 packet": make.udp6(nic(12).mac, MAC, IP6 + 1, IP6),
}
TARGETS = {"tagged": "b1", "untagged": "b2", "LAG": "b3", "per interface": "b4", "LAG per interface": "b5"}
OWN = 105
"""A guest's own tag."""


def fabric() -> Fabric:
    """Two racks, where b4 and b5 (a LAG) tag per interface."""
    racks = two_racks()
    more = {
        "b4": Server("b4", (PortRef("tor-b", 5),), None),
        "b5": Server("b5", (PortRef("tor-b", 6), PortRef("tor-b", 7)), None),
    }
    return per_interface(replace(racks, servers={**racks.servers, **more}), *more)


def site(interface: Interface = NIC, **options: object) -> Site:
    """web1 on a1 is about to move."""
    move = replace(MOVE, commit="request", **options)  # type: ignore[arg-type]
    return Site(fabric(), cug(), vm("web1", "a1", interface), vm("web2", "a2", nic(12)), move)


def tag(made: Site, server: str) -> tuple[int, ...]:
    """The tag of web1's frames at a server."""
    own = made.state.vnic_vlan_id(made.state.vms["web1"], 0, server)
    return () if own is None else (own,)


COLD: dict[str, Any] = {"mode": "cold", "delivery": "on_activation"}


@pytest.mark.parametrize("mode", ["hot", "cold", "strict"])
@pytest.mark.parametrize("guest", [None, OWN], ids=["plain", "guest tag"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("what", FRAMES)
def test_the_first_frame_activates_whatever_it_is(what: str, target: str, guest: int | None, mode: str) -> None:
    interface = replace(NIC, guest_vlan_id=guest)
    options = {"hot": {}, "cold": COLD, "strict": {"delivery": "on_activation"}}[mode]
    made = site(interface, to=TARGETS[target], **options)
    assert phase(made) is Phase.PREPARED
    tags = tag(made, TARGETS[target])
    own = made.state.vms["web1"].vlan_ids.get(TARGETS[target])
    assert (own is not None) is target.endswith("per interface")
    assert tags == ((guest,) if guest is not None else own if own is not None else () if target == "untagged" else (100,))
    port = made.fabric.servers[TARGETS[target]].attach[-1]
    journey = send(made, port, FRAMES[what].with_vlans(*tags))
    assert phase(made) is Phase.ACTIVATED
    assert migration(made).reason == f"seen at {port}"
    # Only the strict variant loses the frame itself; and nobody calls it a lie.
    assert bool(journey.shown) is (mode == "strict")
    assert made.events("refused.spoofing", "refused.move") == []


@pytest.mark.parametrize("what", ["RARP", "gratuitous ARP, as a request", "unsolicited neighbour advertisement", "DHCP"])
@pytest.mark.parametrize("target", TARGETS)
def test_announcements_by_others_or_under_other_tags_do_not_activate(what: str, target: str) -> None:
    made = site(to=TARGETS[target])
    tags = tag(made, TARGETS[target])
    port = made.fabric.servers[TARGETS[target]].attach[0]
    send(made, port, FRAMES[what].with_fields(eth_src=nic(12).mac).with_vlans(*tags))
    for wrong in ((107,), () if tags else (100,)):
        send(made, port, FRAMES[what].with_vlans(*wrong))
    send(made, PortRef("tor-a", 1), FRAMES[what].with_vlans(100))  # at its source
    assert phase(made) is Phase.PREPARED


@pytest.mark.parametrize("options", [{}, COLD, {"delivery": "on_activation"}], ids=["hot", "cold", "strict"])
@pytest.mark.parametrize("target", TARGETS)
def test_where_activation_waits_for_a_request_an_announcement_is_told_and_changes_nothing(
    target: str, options: dict[str, Any]
) -> None:
    made = site(to=TARGETS[target], activate_on="request", **options)
    before, commits = made.state, made.store.commits
    port = made.fabric.servers[TARGETS[target]].attach[0]
    for what in ("RARP", "gratuitous ARP, as a request", "gratuitous ARP, as a reply", "duplicate address detection"):
        send(made, port, FRAMES[what].with_vlans(*tag(made, TARGETS[target])))
    assert made.state is before
    assert made.store.commits == commits
    assert not made.take()  # no switch has anything to be told
    (told,) = made.events("migration.announced")
    assert (told["id"], told["vm"], told["server"], told["port"]) == ("m1", "web1", TARGETS[target], port.port)
    made.now += 1
    send(made, port, FRAMES["RARP"].with_vlans(*tag(made, TARGETS[target])))
    assert made.events("migration.announced")[1]["more"] == 3
    assert made.events("refused.spoofing", "refused.move") == []
    made.engine.execute(Activate("m1"))
    assert phase(made) is Phase.ACTIVATED


def test_a_cold_vm_gets_nothing_at_its_target_but_may_speak_there() -> None:
    """Nothing is copied while it does not run; what it says first goes to its peers. Only `early` copies to a place ahead."""
    sites = {"at_pause": site(), "early": site(delivery="early"), "cold": (cold := site(**COLD))}
    peer = make.udp(MAC, nic(12).mac, IP, int(nic(12).ips[0])).with_vlans(100)
    ports = {name: {str(row.port) for row in send(made, PortRef("tor-a", 2), peer).deliveries} for name, made in sites.items()}
    assert ports == {"at_pause": {"tor-a:1"}, "early": {"tor-a:1", "tor-b:1"}, "cold": {"tor-a:1"}}
    first = send(cold, PortRef("tor-b", 1), make.arp_probe(MAC, IP).with_vlans(100))
    assert "tor-a:2" in {str(row.port) for row in first.deliveries}
    assert phase(cold) is Phase.ACTIVATED
    assert {str(row.port) for row in send(cold, PortRef("tor-a", 2), peer).deliveries} == {"tor-b:1"}


def test_an_old_copy_is_told_as_such() -> None:
    made = site()
    made.engine.execute(Activate("m1"))
    made.confirm()
    send(made, PortRef("tor-a", 1), FRAMES["RARP"].with_vlans(100))
    (told,) = made.events("refused.move")
    assert (told["vm"], told["server"], told["placed"]) == ("web1", "a1", "b1")
    assert told["reason"] == "an old copy: migration m1 has taken the VM to b1"


def test_what_speaks_where_its_vm_left_is_an_old_copy_for_good() -> None:
    made = Site(two_racks(), cug(), vm("web1", "a1", NIC), vm("web2", "a2", nic(12)), MOVE, Activate("m1"))
    made.confirm()
    assert phase(made) is Phase.COMMITTED
    send(made, PortRef("tor-a", 1), FRAMES["RARP"].with_vlans(100))
    (told,) = made.events("refused.move")
    assert told["reason"] == "an old copy: migration m1 has taken the VM from here"
    assert told["cug"] == "web"  # although a1 has no member of it any more: by the number that the domain has for it


def test_a_vm_where_its_cug_is_not_is_told_too() -> None:
    made = Site(two_racks(), cug(), vm("web1", "a1", NIC))
    send(made, PortRef("tor-b", 1), FRAMES["RARP"].with_vlans(104))
    send(made, PortRef("tor-b", 2), FRAMES["RARP"])
    assert [row["server"] for row in made.events("refused.move")] == ["b1", "b2"]
    # What a server says that is meant for nobody here is counted and not told.
    send(made, PortRef("tor-b", 1), make.rarp(0x02DEAD000001))
    assert made.events("refused.spoofing") == []


def test_a_second_move_of_a_vm_that_speaks_elsewhere_is_unmoved() -> None:
    made = site()
    before = made.state
    send(made, PortRef("tor-b", 2), FRAMES["RARP"])
    assert made.state is before
    assert made.events("refused.move")[0]["reason"] == "the VM is moving to b1 (migration m1)"
