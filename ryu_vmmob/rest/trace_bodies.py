"""Bodies of traces: a question as a client writes it (contract 3)."""

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
AnyIp = Annotated[
    Address, PlainValidator(from_text(_any_ip)), text_schema("10.1.0.12", "ff02::1", **IP)
]
"""Group addresses too."""
TraceProtocol = Annotated[
    IpProtocol,
    PlainValidator(_protocol),
    WithJsonSchema({"anyOf": [{"enum": [*_PROTOCOLS, None]}, {"type": "integer", "minimum": 0, "maximum": 255}]}),
]
Port = Annotated[int, Field(ge=0, le=65535)]
Octet = Annotated[int, Field(ge=0, le=255)]


class TraceFrom(Body):
    """Where a traced packet starts: at a VM or at an external network.

    ``mac`` and ``ip``: what a VM claims to be, instead of what it is; outside, who it is that sends.
    """

    vm: Name | None = None
    interface: Annotated[int, Field(ge=0)] | None = None
    at: Name | None = None
    mac: Mac | None = None
    ip: Ip | None = None
    external: Name | None = None


class TraceTo(Body):
    """Where a traced packet shall go: an address, a MAC, or an address at a MAC that is not looked up."""

    ip: AnyIp | None = None
    mac: AnyMac | None = None


class TraceBody(Body):
    """``POST /v1/trace``."""

    source: Annotated[TraceFrom, Field(alias="from")]
    to: TraceTo
    protocol: TraceProtocol = None
    port: Port | None = None
    source_port: Port | None = None
    tcp_flags: list[TcpFlag] | None = None
    ttl: Octet | None = None
    fragment: Piece = "no"
    icmp_type: Octet | None = None
    icmp_code: Octet | None = None

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
