"""A member is not answered for out of the port and the wire behind which it is; it has heard the question there itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_vmmob.fabric.model import Dialect, Fabric, PortRef
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import SCOPE, SEGMENT, Table, metadata
from ryu_vmmob.model.commands import Activate, Command, Prepared
from ryu_vmmob.model.migrations import Deliver
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import eui64_link_local
from ryu_vmmob.net.protocols import ETH_ARP
from ryu_vmmob.punt.answer import answer
from ryu_vmmob.punt.values import Punted
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.network import Journey, Network
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.switch import Tables
from tests.support.commands import cug, nic, start, vm
from tests.support.engine_site import MOVE
from tests.support.fabrics import two_racks
from tests.support.frames import to_bytes

OWN = 105
PLACES = {"per_cug": "a1", "untagged": "a3", "LAG": "b3", "per_interface": "a2"}


def card(host: int, guest: int | None = None) -> Interface:
    return replace(nic(host, ips=[f"10.1.0.{host}", f"2001:db8:1::{host:x}"]), guest_vlan_id=guest)


A, E, FAR = card(11), card(12), card(13)


def fabric(dialect: Dialect = Dialect.OPENVSWITCH) -> Fabric:
    found = two_racks()
    servers = dict(found.servers)
    servers["a2"] = replace(servers["a2"], l2_domain=None, vlan_ids=tuple(range(2, 100)))
    switches = {name: replace(row, dialect=dialect) for name, row in found.switches.items()}
    domains = {name: replace(row, translate_guest_tags=True) for name, row in found.l2_domains.items()}
    return replace(found, servers=servers, switches=switches, l2_domains=domains)


def site(server: str, *more: Command, one: Interface = A, other: Interface = E, on: Fabric | None = None) -> State:
    """a and e on one server, far on another."""
    far = "b1" if server != "b1" else "a1"
    return start(on or fabric(), cug(), vm("a", server, one), vm("e", server, other), vm("far", far, FAR), *more)


def send(state: State, vm: str, server: str, packet: Packet, port: int = 0) -> Journey:
    tables = {name: Tables(rows.flows.values(), rows.groups.values()) for name, rows in full(state).tables.items()}
    tag = state.vnic_vlan_id(state.vms[vm], 0, server)
    found = packet.with_vlans(*(() if tag is None else (tag,)))
    return Network(state.fabric, tables).inject(found, state.fabric.servers[server].attach[port])


def questions(asker: Interface, asked: Interface) -> list[Packet]:
    v4, v6 = (int(row.ips[0]) for row in (asker, asked)), (int(row.ips[1]) for row in (asker, asked))
    asks = make.neighbour_solicitation(asker.mac, *v6)
    local = make.neighbour_solicitation(asker.mac, eui64_link_local(asker.mac), eui64_link_local(asked.mac))
    return [make.arp_request(asker.mac, *v4), asks, local]


def back(journey: Journey, state: State, server: str) -> list[tuple[tuple[int, ...], int]]:
    """(tags, source MAC) of what leaves by the server's ports."""
    ports = state.fabric.servers[server].attach
    return [(packet.vlans, packet["eth_src"]) for port, packet in journey.deliveries if port in ports]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("kind", ["per_cug", "untagged", "LAG"])
def test_a_neighbour_behind_the_same_wire_answers_itself(kind: str, dialect: Dialect) -> None:
    """The question goes on to everybody elsewhere; nothing comes back, and no controller is asked."""
    server = PLACES[kind]
    state = site(server, on=fabric(dialect))
    for number in range(len(state.fabric.servers[server].attach)):
        for question in questions(A, E):
            journey = send(state, "a", server, question, number)
            assert back(journey, state, server) == []
            assert journey.controller == []
            far = state.fabric.servers["b1" if server != "b1" else "a1"].attach[0]
            assert [(row.port, row.packet["eth_src"]) for row in journey.deliveries] == [(far, A.mac)]


@pytest.mark.parametrize("kind", PLACES)
def test_a_member_elsewhere_is_answered_for(kind: str) -> None:
    server = PLACES[kind]
    state = site(server)
    for question in questions(A, FAR):
        tag = state.vnic_vlan_id(state.vms["a"], 0, server)
        assert back(send(state, "a", server, question), state, server) == [(() if tag is None else (tag,), FAR.mac)]


def test_a_neighbour_under_another_number_is_answered_for() -> None:
    """Per interface, and where a guest's tag is another: a wire of its own is a world of its own."""
    for state, server in ((site("a2"), "a2"), (site("a1", other=card(12, OWN)), "a1")):
        tag = state.vnic_vlan_id(state.vms["a"], 0, server)
        for question in questions(A, E):
            assert back(send(state, "a", server, question), state, server) == [((tag,), E.mac)]


def test_guests_with_one_tag_on_a_cable_per_interface_answer_themselves() -> None:
    state = site("a2", one=card(11, OWN), other=card(12, OWN))
    for question in questions(A, E):
        assert back(send(state, "a", "a2", question), state, "a2") == []


@pytest.mark.parametrize("kind", PLACES)
def test_no_interface_is_answered_about_itself(kind: str) -> None:
    server = PLACES[kind]
    state = site(server)
    for question in questions(A, A)[1:]:
        assert (_own(state, server), A.mac) not in back(send(state, "a", server, question), state, server)
    two = replace(A, ips=(*A.ips, nic(21).ips[0]))
    state = site(server, one=two)
    other_own = make.arp_request(A.mac, int(two.ips[0]), int(two.ips[2]))
    assert (_own(state, server), A.mac) not in back(send(state, "a", server, other_own), state, server)


def _own(state: State, server: str) -> tuple[int, ...]:
    tag = state.vnic_vlan_id(state.vms["a"], 0, server)
    return () if tag is None else (tag,)


@pytest.mark.parametrize("kind", PLACES)
def test_announcements_and_probes_are_flooded_as_ever(kind: str) -> None:
    server = PLACES[kind]
    state = site(server)
    v4, v6 = int(A.ips[0]), int(A.ips[1])
    for frame in (
        make.gratuitous_arp(A.mac, v4), make.gratuitous_arp(A.mac, v4).with_fields(arp_op=2), make.arp_probe(A.mac, v4),
        make.neighbour_solicitation(A.mac, 0, v6), make.neighbour_advertisement(A.mac, v6), make.rarp(A.mac),
    ):  # fmt: skip
        journey = send(state, "a", server, frame)
        far = state.fabric.servers["b1" if server != "b1" else "a1"].attach[0]
        assert [row.packet["eth_src"] for row in journey.deliveries if row.port == far] == [A.mac]


def test_while_it_moves_it_is_answered_for_where_it_is_not() -> None:
    """At the target until the traffic goes there, at the source from then on."""
    peers = (vm("p", "a1", card(14)), vm("q", "b1", card(15)))
    move = replace(MOVE, commit="request")
    steps: dict[str, tuple[Command, ...]] = {
        "prepared": (move,),
        "delivered": (move, Prepared("m1"), Deliver("m1")),
        "activated": (move, Activate("m1")),
        "early": (replace(move, delivery="early"),),
    }
    answered: dict[str, list[bool]] = {}
    for name, rows in steps.items():
        state = start(fabric(), cug(), vm("web1", "a1", A), *peers, *rows)
        answered[name] = []
        for asker, at, host in (("p", "a1", 14), ("q", "b1", 15)):
            heard = back(send(state, asker, at, questions(card(host), A)[0]), state, at)
            answered[name].append(A.mac in [mac for _, mac in heard])
    source, target = [False, True], [True, False]
    assert answered == {"prepared": source, "delivered": target, "activated": target, "early": [False, False]}


@pytest.mark.parametrize("kind", PLACES)
def test_the_controller_keeps_silent_too(kind: str) -> None:
    """A question that a switch of plain OpenFlow handed up a moment before it had the flow."""
    server = PLACES[kind]
    state = site(server, on=fabric(Dialect.OPENFLOW13))
    ref: PortRef = state.fabric.servers[server].attach[0]
    where = metadata(segment=SEGMENT.of(state.cugs["web"].key), scope=SCOPE.of(state.cugs["web"].key))[0]
    tags = {name: state.vnic_vlan_id(state.vms[name], 0, server) or 0 for name in ("a", "e")}
    under = tags["a"] << 48 if kind == "per_interface" else 0
    for asked, silent in ((E, kind != "per_interface"), (A, True), (FAR, False)):
        for question in questions(A, asked):
            asker = Owner(OwnerKind.VM, "x", "0")
            punted = Punted(ref.switch, ref.port, where | under, Table.ANSWER, asker, to_bytes(question))
            assert (answer(state, punted) == []) is silent, (kind, asked, question)


def test_the_flows_that_leave_it_are_few() -> None:
    """One for each address that is answered for, at each port of each place."""
    state = site("b3")
    flows = [row for row in full(state).tables["tor-b"].flows.values() if row.table is Table.ANSWER and row.priority == 1500]
    assert len(flows) == 2 * 2 * 3 + 3  # a, e on both ports of the LAG and far at b1: ARP, and two solicitations
    assert sum(("eth_type", ETH_ARP, None) in row.match for row in flows) == 2 * 2 + 1
