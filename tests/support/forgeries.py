"""Frames that a VM may send, and such as it must not: written by Scapy, sent by ``probes/raw_send.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

if TYPE_CHECKING:
    from mininet_topos.servers import Vm

PORTS = {4: 5004, 6: 5006}  # allowed from CUG to CUG, and to the outside
EVERYBODY, ALL_NODES, ALL_NODES_MAC = "ff:ff:ff:ff:ff:ff", "ff02::1", "33:33:00:00:00:01"


def _udp(source_mac: str, target_mac: str, source: str, target: str) -> bytes:
    version = 6 if ":" in source else 4
    network: Any = IPv6(src=source, dst=target) if version == 6 else IP(src=source, dst=target)
    return bytes(Ether(src=source_mac, dst=target_mac) / network / UDP(sport=40000, dport=PORTS[version]) / bytes(24))


def _arp(operation: int, source_mac: str, said_mac: str, said: str, target_mac: str, target: str) -> bytes:
    body = ARP(op=operation, hwsrc=said_mac, psrc=said, hwdst=target_mac, pdst=target)
    return bytes(Ether(src=source_mac, dst=target_mac) / body)


def _advertisement(source_mac: str, source: str, said_mac: str, said: str, target_mac: str, target: str) -> bytes:
    layers = Ether(src=source_mac, dst=target_mac) / IPv6(src=source, dst=target, hlim=255)
    return bytes(layers / ICMPv6ND_NA(tgt=said, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=said_mac))


def honest(liar: Vm, victim: Vm, other: Vm, gateway_mac: str) -> list[bytes]:
    """What the same VM may send in its own name: to one of its CUG, and to one of another over the gateway."""
    mac = liar.interfaces[0].mac
    found = []
    for version in (4, 6):
        own = liar.address(version=version)
        found.append(_udp(mac, victim.interfaces[0].mac, own, victim.address(version=version)))
        found.append(_udp(mac, gateway_mac, own, other.address(version=version)))
    return found


def in_a_neighbours_name(liar: Vm, victim: Vm) -> list[bytes]:
    """ARP, neighbour discovery and RARP that give the addresses of ``victim`` to ``liar``, or move its MAC to where that is."""
    mac, theirs = liar.interfaces[0].mac, victim.interfaces[0].mac
    found = []
    for source_mac in (mac, theirs):
        for operation in (1, 2):
            for target_mac, target in ((EVERYBODY, victim.address()), (theirs, victim.address())):
                found.append(_arp(operation, source_mac, source_mac, victim.address(), target_mac, target))
        for target_mac, target in ((ALL_NODES_MAC, ALL_NODES), (theirs, victim.address(version=6))):
            said = victim.address(version=6)
            found.append(_advertisement(source_mac, said, source_mac, said, target_mac, target))
    for body in (mac, theirs):
        found.append(bytes(Ether(src=theirs, dst=EVERYBODY, type=0x8035) / ARP(op=3, hwsrc=body, hwdst=body)))
    return found


def in_its_own_name(vm: Vm) -> list[bytes]:
    """The same kinds of frames, and true."""
    mac, own, own6 = vm.interfaces[0].mac, vm.address(), vm.address(version=6)
    return [
        _arp(1, mac, mac, own, EVERYBODY, own),
        _advertisement(mac, own6, mac, own6, ALL_NODES_MAC, ALL_NODES),
        bytes(Ether(src=mac, dst=EVERYBODY, type=0x8035) / ARP(op=3, hwsrc=mac, hwdst=mac)),
    ]


def forgeries(liar: Vm, victim: Vm, witness: Vm, other: Vm, outside4: str, outside6: str, gateway_mac: str) -> list[bytes]:
    """Frames of ``liar`` in the name of ``witness``, the gateway or a host outside, to all the others."""
    mac, their_mac, to_mac = (vm.interfaces[0].mac for vm in (liar, witness, victim))
    found = []
    for version, outside in ((4, outside4), (6, outside6)):
        own, theirs, to, far = (vm.address(version=version) for vm in (liar, witness, victim, other))
        gateway = liar.interfaces[0].gateways[version == 6]
        for source_mac in (mac, their_mac, gateway_mac):  # its own MAC with another's address; another's MAC altogether
            for source in (theirs, gateway, outside) + ((own,) if source_mac != mac else ()):
                found.append(_udp(source_mac, to_mac, source, to))
                found.append(_udp(source_mac, gateway_mac, source, far))
                found.append(_udp(source_mac, gateway_mac, source, outside))
        for said in (theirs, gateway):
            for target_mac, target in ((to_mac, to), (EVERYBODY, said)):
                if version == 4:
                    for operation in (1, 2):  # request and reply: both are believed
                        found += [_arp(operation, one, mac, said, target_mac, target) for one in (mac, their_mac)]
                        found.append(_arp(operation, mac, their_mac, own, target_mac, target))  # its own at another's MAC
                else:
                    group = (ALL_NODES_MAC, ALL_NODES) if target_mac == EVERYBODY else (target_mac, target)
                    found.append(_advertisement(mac, own, mac, said, *group))
                    found.append(_advertisement(mac, said, mac, said, *group))
                    found.append(_advertisement(their_mac, said, their_mac, said, *group))
    return found
