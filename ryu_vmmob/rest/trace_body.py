"""The body of ``POST /v1/trace``: a question as a client writes it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ryu_vmmob.fabric import values
from ryu_vmmob.fabric.findings import quote
from ryu_vmmob.model.objects import Address
from ryu_vmmob.model.refusal import invalid
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.rest.bodies import IP, Body, Ip, Mac, Name, from_text, text_schema
from ryu_vmmob.rest.says import says
from ryu_vmmob.trace import IpProtocol, Piece, Question

TcpFlag = Literal["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"]
_FLAGS: Final[dict[TcpFlag, int]] = {
    "fin": 0x01, "syn": 0x02, "rst": 0x04, "psh": 0x08, "ack": 0x10, "urg": 0x20, "ece": 0x40, "cwr": 0x80,
}  # fmt: skip
"""RFC 9293, 3.1."""


def _any_mac(text: str) -> int:
    if re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", text) is None:
        fault = f"{quote(text)} is no MAC address: write six pairs of hexadecimal digits"
        raise PydanticCustomError("value", "{fault}", {"fault": fault})
    return mac(text)


def _any_ip(text: str) -> Address:
    try:
        found = ip_address(text)
    except ValueError:
        return values.host(text)  # which says what is wrong with it
    is_group = found.is_multicast or text == "255.255.255.255"
    return found if is_group and "%" not in text else values.host(text)


_PROTOCOLS: dict[str, IpProtocol] = {"tcp": 6, "udp": 17, "icmp": "icmp", "arp": "arp", "rs": "rs"}


def _protocol(value: object) -> IpProtocol:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255):
        return value
    if isinstance(value, str) and value in _PROTOCOLS:
        return _PROTOCOLS[value]
    raise PydanticCustomError("value", f"must be one of {', '.join(_PROTOCOLS)}, a number from 0 to 255, or null")


AnyMac = Annotated[
    int, PlainValidator(from_text(_any_mac)), text_schema("ff:ff:ff:ff:ff:ff", pattern="^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")
]
"""Group addresses too."""
AnyIp = Annotated[Address, PlainValidator(from_text(_any_ip)), text_schema("10.1.0.12", "ff02::1", **IP)]
"""Group addresses too."""
TraceProtocol = Annotated[
    IpProtocol,
    PlainValidator(_protocol),
    WithJsonSchema({"anyOf": [{"enum": [*_PROTOCOLS, None]}, {"type": "integer", "minimum": 0, "maximum": 255}]}),
]
Port = Annotated[int, Field(ge=0, le=65535)]
Octet = Annotated[int, Field(ge=0, le=255)]


class TraceFrom(Body):
    """The start of a traced packet: a VM or an external network, one of the two."""

    vm: Annotated[Name | None, says("The VM that sends.")] = None
    interface: Annotated[
        Annotated[int, Field(ge=0)] | None, says("The number of its interface, counted from 0. Left out or null: 0.")
    ] = None
    at: Annotated[
        Name | None, says("The server to send from, for a VM that moves and has two. Left out or null: where it runs.")
    ] = None
    mac: Annotated[
        Mac | None,
        says(
            "The MAC address that a VM claims to have, or that a host outside has. Left out or null: its own, or a next hop's."
        ),
    ] = None
    ip: Annotated[
        Ip | None,
        says("The address that a VM claims to have, or that a host outside has. Left out or null: its own, or a next hop's."),
    ] = None
    external: Annotated[Name | None, says("The external network that the packet comes from.")] = None


class TraceTo(Body):
    """The destination of a traced packet: an address, a MAC, or an address at a given MAC."""

    ip: Annotated[AnyIp | None, says("The IP address, also of a group. Left out or null: `mac` alone.")] = None
    mac: Annotated[
        AnyMac | None, says("The MAC address, also of a group. Left out or null: the one that the guest would find for `ip`.")
    ] = None


class TraceBody(Body):
    """The packet to trace."""

    source: Annotated[TraceFrom, Field(alias="from")]
    to: TraceTo
    protocol: Annotated[
        TraceProtocol,
        says(
            "`tcp`, `udp`, `icmp` (an echo request), `arp` (who has the address), `rs` (which routers are there), a number of",
            "IP from 0 to 255, or null: none in particular (253).",
        ),
    ] = None
    port: Annotated[Port | None, says("The destination port of TCP or UDP, 0 to 65535. Left out or null: 9.")] = None
    source_port: Annotated[Port | None, says("The source port of TCP or UDP, 0 to 65535. Left out or null: 40000.")] = None
    tcp_flags: Annotated[list[TcpFlag] | None, says("The flags of TCP that are set. Left out or null: `syn`.")] = None
    ttl: Annotated[Octet | None, says("The TTL or hop limit, 0 to 255. Left out or null: 64.")] = None
    fragment: Annotated[
        Piece,
        says(
            "`no`: the whole packet. `first`: a first fragment with its ports. `tiny`: one of TCP or UDP that ends before",
            "them. `later`: a fragment without any of the transport.",
        ),
    ] = "no"
    icmp_type: Annotated[Octet | None, says("The type of ICMP or ICMPv6, 0 to 255. Left out or null: an echo request.")] = None
    icmp_code: Annotated[Octet | None, says("The code of ICMP or ICMPv6, 0 to 255. Left out or null: 0.")] = None

    def question(self) -> Question:
        """As a question. Raises Refusal (422)."""
        source, to = self.source, self.to
        if (source.vm is None) is (source.external is None):
            raise invalid(("from", "needs a vm or an external, and not both"))
        if source.external is not None:
            for name in ("interface", "at"):
                if getattr(source, name) is not None:
                    raise invalid((f"from.{name}", "an external network has none"))
        if to.ip is None and to.mac is None:
            raise invalid(("to", "needs an ip or a mac"))
        flags = None if self.tcp_flags is None else sum(_FLAGS[name] for name in set(self.tcp_flags))
        return Question(
            source.vm, source.interface or 0, source.at, source.mac, source.ip, to.ip, to.mac, self.protocol, self.port,
            source.external, self.source_port, flags, self.ttl, self.fragment, self.icmp_type, self.icmp_code,
        )  # fmt: skip
