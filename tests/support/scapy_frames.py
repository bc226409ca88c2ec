"""Scapy as the oracle for frames: what it builds, and what it makes of ours."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from scapy.layers.l2 import Ether
from scapy.packet import NoPayload, Packet

from ryu_vmmob.frames.content import Frame
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.net.addresses import mac, mac_text

GATEWAY_MAC, VM_MAC = mac("02:00:5e:00:01:01"), mac("02:00:00:00:00:11")
GATEWAY_4, VM_4, FAR_4 = (int(IPv4Address(text)) for text in ("10.1.0.1", "10.1.0.11", "192.0.2.7"))
GATEWAY_6, VM_6, FAR_6, LOCAL_6 = (
    int(IPv6Address(text)) for text in ("2001:db8:1::1", "2001:db8:1::11", "2001:db8:ffff::7", "fe80::5eff:fe00:101")
)


def v4(value: int) -> str:
    """An IPv4 address as Scapy writes it."""
    return str(IPv4Address(value))


def v6(value: int) -> str:
    """An IPv6 address as Scapy writes it."""
    return str(IPv6Address(value))


def ether(dst: int = GATEWAY_MAC, src: int = VM_MAC) -> Any:
    """Scapy's Ethernet header, of a VM's frame to its gateway unless told otherwise."""
    return Ether(dst=mac_text(dst), src=mac_text(src))


def seen(data: Any) -> Frame:
    """What we read of a frame that Scapy built."""
    frame = parse(bytes(data))
    assert frame is not None
    return frame


def dissected(data: bytes, *layers: type[Packet]) -> Any:
    """Scapy's reading of our frame: exactly these layers behind Ethernet, with the lengths and checksums Scapy would write."""
    packet: Any = Ether(data)
    assert tuple(packet.layers()[1:]) == layers
    again: Any = Ether(data)
    layer = again
    while not isinstance(layer, NoPayload):
        for name in ("chksum", "cksum", "len", "plen"):
            if name in layer.fields and "error" not in layer.__class__.__name__:
                delattr(layer, name)
        layer = layer.payload
    assert bytes(again) == data
    return packet
