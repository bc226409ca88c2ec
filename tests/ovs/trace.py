"""The simulator against a real switch: the same packet, as bytes, through ``ofproto/trace``.

Open vSwitch parses the frame itself and prints the datapath actions it would take; these are carried out on the packet and
compared with what the simulator says: ports, tags, every changed field, and copies to the controller with their cookies.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.fabric.model import Fabric, PortRef
from ryu_vmmob.flows.fields import VID_PRESENT
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.sim import probes
from ryu_vmmob.sim.packet import Packet, tag
from ryu_vmmob.sim.switch import Tables
from ryu_vmmob.sim.view import View
from tests.support.bridges import Bridge
from tests.support.controller import Site
from tests.support.frames import to_bytes

# Fields of the datapath's keys, by key and name, and what we call them. The rest (tos, checksums) is not modelled.
_NAMES = {
    "eth": {"src": "eth_src", "dst": "eth_dst"},
    "arp": {"sip": "arp_spa", "tip": "arp_tpa", "op": "arp_op", "sha": "arp_sha", "tha": "arp_tha"},
    "ipv4": {"src": "ipv4_src", "dst": "ipv4_dst", "proto": "ip_proto", "ttl": "nw_ttl"},
    "ipv6": {"src": "ipv6_src", "dst": "ipv6_dst", "proto": "ip_proto", "hlimit": "nw_ttl"},
    "tcp": {"src": "tcp_src", "dst": "tcp_dst"},
    "udp": {"src": "udp_src", "dst": "udp_dst"},
    "icmp": {"type": "icmpv4_type", "code": "icmpv4_code"},
    "icmpv6": {"type": "icmpv6_type", "code": "icmpv6_code"},
    "nd": {"target": "ipv6_nd_target", "sll": "ipv6_nd_sll", "tll": "ipv6_nd_tll"},
    "nd_ext": {"nd_reserved": "nd_reserved", "nd_options_type": "nd_options_type"},
}
_INVALID_TTL = 2  # OFPR_INVALID_TTL


@dataclass
class Traced:
    """What the switch would do with one packet."""

    outputs: list[tuple[int, Packet]] = field(default_factory=list)
    controller: list[tuple[int, Packet]] = field(default_factory=list)
    text: str = ""


def trace(bridge: Bridge, packet: Packet, in_port: int) -> Traced:
    """Run a packet through ``ofproto/trace``."""
    text = bridge.ovs.appctl("ofproto/trace", bridge.name, f"in_port={in_port}", to_bytes(packet).hex())
    found = re.search(r"^Datapath actions: (.*)$", text, re.M)
    assert found, text
    traced = Traced(text=text)
    _carry_out(bridge, _State(dict(packet.fields), list(packet.vlans), packet.payload), found[1], traced)
    return traced


def assert_agrees(bridge: Bridge, tables: Tables, packet: Packet, in_port: int, down: frozenset[int] = frozenset()) -> None:
    """The switch and the simulator do the same with this packet; ``down`` are ports without a live cable."""
    simulated = tables.process(packet, in_port, lambda port: port not in down)
    traced = trace(bridge, packet, in_port)
    # Switches send down dead ports as well: the frame is lost on the cable, and in the simulator at the network.
    expected = Counter((port, frame) for port, frame in simulated.outputs if port not in down)
    story = f"{packet}\nsimulated: {simulated.outputs}\n{[str(step) for step in simulated.path]}\n{traced.text}"
    assert Counter((port, frame) for port, frame in traced.outputs if port not in down) == expected, story
    assert Counter(traced.controller) == Counter(simulated.controller), story


@dataclass
class _State:
    """A frame inside the datapath."""

    fields: dict[str, int]
    vlans: list[int]
    payload: int

    def packet(self) -> Packet:
        fields = dict(self.fields)
        # What a link-layer option says depends on its type; the datapath's key keeps both addresses.
        kind = fields.get("nd_options_type")
        if kind is not None:
            if kind != 1:
                fields.pop("ipv6_nd_sll", None)
            if kind != 2:
                fields.pop("ipv6_nd_tll", None)
        return Packet(fields, tuple(self.vlans), self.payload)


def _carry_out(bridge: Bridge, state: _State, actions: str, traced: Traced) -> None:
    for name, arguments in _split(actions):
        match name:
            case "drop" | "meter":
                pass
            case "push_vlan":
                vlan_id = re.search(r"vid=(\d+)", arguments)
                assert vlan_id, arguments
                priority = re.search(r"pcp=(\d+)", arguments)
                state.vlans.insert(0, tag(int(vlan_id[1]), int(priority[1]) if priority else 0))
            case "pop_vlan":
                del state.vlans[0]
            case "set":
                _set(state, arguments)
            case "clone":
                copy = _State(dict(state.fields), list(state.vlans), state.payload)
                _carry_out(bridge, copy, arguments, traced)
            case "sample":  # a copy to the controller with a meter of its own: what the meter drops is that copy
                inner = re.fullmatch(r"sample=100\.0%,actions\((.*)\)", arguments)
                assert inner, arguments
                _carry_out(bridge, _State(dict(state.fields), list(state.vlans), state.payload), inner[1], traced)
            case "userspace":
                if f"reason={_INVALID_TTL}," in arguments:
                    continue  # made for every TTL that is used up, and given only to a controller that asked for it
                cookie = re.search(r"rule_cookie=(0x[0-9a-f]+|\d+)", arguments)
                assert cookie, arguments
                traced.controller.append((int(cookie[1], 0), state.packet()))
            case number if number.isdigit():
                traced.outputs.append((bridge.by_datapath_port[int(number)], state.packet()))
            case _:
                raise AssertionError(f"datapath action {name!r} is not understood: {actions}")


def _set(state: _State, arguments: str) -> None:
    had_option = state.fields.get("nd_options_type") in (1, 2)
    for key, inner in _split(arguments):
        if key == "vlan":
            vlan_id = re.search(r"vid=(\d+)", inner)
            assert vlan_id, arguments
            priority = re.search(r"pcp=(\d+)", inner)
            state.vlans[0] = tag(int(vlan_id[1]) & ~VID_PRESENT, int(priority[1]) if priority else 0)
            continue
        for row in inner.split(","):
            name, _, text = row.partition("=")
            ours = _NAMES[key].get(name)
            if ours is None or (ours.endswith(("_sll", "_tll", "options_type")) and not had_option):
                continue
            value, _, mask = text.partition("/")
            wanted = _number(value)
            if mask:
                wanted = wanted & _number(mask) | state.fields.get(ours, 0) & ~_number(mask)
            state.fields[ours] = wanted


def _number(text: str) -> int:
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        return mac(text)
    if re.fullmatch(r"0x[0-9a-f]+|\d+", text):
        return int(text, 0)
    return int(ip_address(text))


def _split(text: str) -> Iterator[tuple[str, str]]:
    """(name, what stands in its parentheses) of each element between top-level commas."""
    depth = start = 0
    for position, letter in enumerate(text + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            name, _, inner = text[start:position].strip().partition("(")
            yield name, inner.removesuffix(")")
            start = position + 1


def all_bridges(ovs: PrivateOvs, fabric: Fabric) -> dict[str, Bridge]:
    """A bridge per switch of a fabric, with its ports."""
    ports: dict[str, set[int]] = {name: set() for name in fabric.switches}
    ends = [*fabric.link_at, *fabric.server_at, *(external.attach for external in fabric.externals.values())]
    for end in ends:
        ports[end.switch].add(end.port)
    found = {name: Bridge(ovs, name, numbers) for name, numbers in ports.items()}
    for name in found:
        ovs.ofctl("set-frags", name, "nx-match")  # as the controller sets it
    return found


def everything_sent(state: View) -> Iterator[tuple[Packet, PortRef]]:
    """Packets worth trying: what members say, to whom, and what forgers say."""
    for one in state.seats:
        tags = () if one.vlan_id is None else (one.vlan_id,)
        for port in one.ports:
            packets = [*probes.to_everybody(one), *probes.forgeries(state, one)]
            for owner, peers in state.members[one.cug].items():
                if owner != one.owner:
                    packets += [*probes.unicast(one, peers[0]), *(asks for asks, _ in probes.requests(one, peers[0]))]
            for packet in packets:
                yield packet.with_vlans(*tags), port


def travel(site: Site, packet: Packet, port: str, pulled: frozenset[str] = frozenset()) -> tuple[list[str], list[str]]:
    """Every copy through the real switches: (links crossed, ports of servers where it comes out), each sorted.

    ``pulled`` are ports whose cable is out.
    """
    start = port_ref(port)
    waiting: deque[tuple[PortRef, Packet]] = deque([(start, packet)])
    crossed: list[str] = []
    delivered: list[str] = []
    while waiting:
        at, frame = waiting.popleft()
        assert len(crossed) < 50, "it goes round and round"
        for number, copy in trace(site.bridges[at.switch], frame, at.port).outputs:
            leaves = PortRef(at.switch, number)
            link = site.fabric.link_at.get(leaves)
            if link is None:
                delivered.append(str(leaves))
            elif not pulled & {str(link.a), str(link.b)}:
                crossed.append(link.name)
                waiting.append((link.far_end(at.switch), copy))
    return sorted(crossed), sorted(delivered)


def port_ref(port: str) -> PortRef:
    """``SWITCH:NUMBER`` as a value."""
    switch, _, number = port.partition(":")
    return PortRef(switch, int(number))
