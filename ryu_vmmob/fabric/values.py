"""The small grammars of the fabric file: names, datapath ids, ports, VLAN-IDs, MAC and IP addresses.

Every function takes a value as the file has it and returns the typed one, or raises :class:`InvalidValueError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import NamedTuple

from ryu_vmmob.fabric.findings import NAME, quote
from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.fabric.rules import Rule

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

MAX_DPID = 2**64 - 1
MAX_PORT = 0xFFFFFEFF
"""Highest number of an ordinary port in OpenFlow 1.3; reserved ports lie above."""
MIN_VLAN_ID = 1
MAX_VLAN_ID = 4094
MAX_FLOWS = 0xFFFFFFFF
"""The highest limit of flows that can be given: OpenFlow 1.3 counts the flows of all tables in 32 bits."""
TABLE_NAMES = (
    "ingress", "admit", "answer", "advertise", "policy_out", "gateway", "route", "bridge", "policy_in", "deliver", "refuse",
    "punt",
)  # fmt: skip
"""Names of the pipeline's tables (`ryu_vmmob.flows.pipeline`, which this layer may not import; a test compares the two)."""

_HEX_DPID = re.compile(r"0[xX]([0-9a-fA-F]{1,64})|([0-9a-fA-F]{16})")
_PORT = re.compile(r"([^:]+):(0|[1-9][0-9]{0,63})")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:(?::[0-9a-fA-F]{2}){5}|(?:-[0-9a-fA-F]{2}){5})")
_PIECE = re.compile(r"([0-9]{1,64})(?:\s*-\s*([0-9]{1,64}))?")


class InvalidValueError(ValueError):
    """A value that breaks ``rule``; ``str()`` says how."""

    def __init__(self, rule: Rule, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def name(text: str) -> str:
    """Return a name of an object or routing domain."""
    if NAME.fullmatch(text) is None:
        raise InvalidValueError(
            Rule.NAME_SYNTAX,
            f"{quote(text)} is no name: letters, digits, dots, underscores and hyphens, at most 63, "
            "the first a letter or digit",
        )
    return text


def dpid(value: int | str) -> int:
    """Return a datapath id: a number, ``0x`` and hexadecimal digits, or the 16 hexadecimal digits that switches print."""
    if isinstance(value, str):
        match = _HEX_DPID.fullmatch(value)
        if match is None:
            raise InvalidValueError(
                Rule.DPID_SYNTAX,
                f'{quote(value)} is no datapath id: write a number, "0x" and hexadecimal digits, or 16 hexadecimal digits',
            )
        number = int(match[1] or match[2], 16)
    else:
        number = value
    if not 1 <= number <= MAX_DPID:
        raise InvalidValueError(Rule.DPID_RANGE, f"datapath id {quote(value)} is outside 1 to 2^64-1")
    return number


def port_ref(text: str) -> PortRef:
    """Return a port, ``tor-a:49``; the switch may not exist and the number may be out of range (:func:`port_number`)."""
    match = _PORT.fullmatch(text)
    if match is None:
        raise InvalidValueError(Rule.PORT_SYNTAX, f"{quote(text)} is no port: write SWITCH:NUMBER, such as tor-a:1")
    return PortRef(match[1], int(match[2]))


def port_number(number: int) -> int:
    """Return the number of an ordinary OpenFlow port."""
    if not 1 <= number <= MAX_PORT:
        raise InvalidValueError(Rule.PORT_RANGE, f"port number {number} is outside 1 to {MAX_PORT} (0xfffffeff)")
    return number


def gateway_mac(text: str) -> str:
    """Return a unicast MAC address, in lower case with colons."""
    if _MAC.fullmatch(text) is None:
        raise InvalidValueError(Rule.MAC_SYNTAX, f"{quote(text)} is no MAC address: write six pairs of hexadecimal digits")
    mac = text.lower().replace("-", ":")
    if int(mac[:2], 16) & 1:
        raise InvalidValueError(Rule.MAC_NOT_UNICAST, f"{mac} is a multicast address: the first octet must be even")
    if mac == "00:00:00:00:00:00":
        raise InvalidValueError(Rule.MAC_NOT_UNICAST, "the zero address names no station")
    return mac


def vlan_id(number: int) -> int:
    """Return a VLAN-ID that may stand in a tag (IEEE 802.1Q reserves 0 and 4095)."""
    if not MIN_VLAN_ID <= number <= MAX_VLAN_ID:
        raise InvalidValueError(Rule.VLAN_RANGE, f"VLAN-ID {number} is outside {MIN_VLAN_ID} to {MAX_VLAN_ID}")
    return number


def max_flows(number: int) -> int:
    """Return how many flows a switch takes in all its tables together."""
    if not 1 <= number <= MAX_FLOWS:
        raise InvalidValueError(Rule.MAX_FLOWS_RANGE, f"{number} flows are outside 1 to {MAX_FLOWS}")
    return number


def table_name(name: str) -> str:
    """Return the name of one of the pipeline's tables."""
    if name not in TABLE_NAMES:
        raise InvalidValueError(Rule.TABLE_UNKNOWN, f"no table is called {quote(name)}: there are {', '.join(TABLE_NAMES)}")
    return name


class _Numbers(NamedTuple):
    """A grammar of numbers and ranges, separated by commas: what is counted, and the rules that can be broken."""

    word: str
    example: str
    lowest: int
    highest: int
    none: str
    empty: Rule
    syntax: Rule
    backwards: Rule
    outside: Rule


_VLAN_IDS = _Numbers(
    word="VLAN-ID",
    example='"100", "100-199" or "100-199,300"',
    lowest=MIN_VLAN_ID,
    highest=MAX_VLAN_ID,
    none="no VLAN-IDs: an L2 domain needs at least one",
    empty=Rule.VLAN_EMPTY,
    syntax=Rule.VLAN_SYNTAX,
    backwards=Rule.VLAN_REVERSED,
    outside=Rule.VLAN_RANGE,
)
_EXTENDER_PORTS = _Numbers(
    word="port number",
    example='"1001", "1001-1048" or "1001-1048,2001-2048"',
    lowest=1,
    highest=MAX_PORT,
    none="no ports: a switch without port extenders needs no such key",
    empty=Rule.EXTENDER_SYNTAX,
    syntax=Rule.EXTENDER_SYNTAX,
    backwards=Rule.EXTENDER_REVERSED,
    outside=Rule.PORT_RANGE,
)


def vlan_ranges(value: int | str) -> Iterator[range | InvalidValueError]:
    """Return the ranges of ``"100-199,300"``, in the order written; a fault in place of each piece that has one."""
    return _ranges(value, _VLAN_IDS)


def extender_ranges(value: int | str) -> Iterator[range | InvalidValueError]:
    """Return the ranges of ``"1001-1048,2001-2048"``, in the order written; a fault in place of each piece that has one."""
    return _ranges(value, _EXTENDER_PORTS)


def _ranges(value: int | str, grammar: _Numbers) -> Iterator[range | InvalidValueError]:
    if isinstance(value, str) and not value.strip():
        yield InvalidValueError(grammar.empty, grammar.none)
        return
    for piece in str(value).split(","):
        try:
            yield _range(piece.strip(), grammar)
        except InvalidValueError as fault:
            yield fault


def _range(piece: str, grammar: _Numbers) -> range:
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise InvalidValueError(grammar.syntax, f"{quote(piece)} is no {grammar.word} or range: write {grammar.example}")
    low = int(match[1])
    high = int(match[2]) if match[2] is not None else low
    if low > high:
        raise InvalidValueError(grammar.backwards, f"range {quote(piece)} runs backwards: write {high}-{low}")
    for number in (low, high):
        if not grammar.lowest <= number <= grammar.highest:
            said = f"{grammar.word}s {quote(piece)}: outside {grammar.lowest} to {grammar.highest}"
            raise InvalidValueError(grammar.outside, said)
    return range(low, high + 1)


def interface(text: str) -> Interface:
    """Return an own address with its prefix length, ``192.0.2.1/24``."""
    parts = text.split("/")
    if len(parts) != 2 or not parts[1].isascii() or not parts[1].isdigit():
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)}: write an address with its prefix length, such as 192.0.2.1/24")
    try:
        found = ip_interface(text)
    except ValueError:
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)} is no IPv4 or IPv6 address with a prefix length") from None
    _host(found.ip, found.network, text)
    return found


def network(text: str) -> Network:
    """Return a prefix without host bits, ``10.0.0.0/8``."""
    parts = text.split("/")
    if len(parts) != 2 or not parts[1].isascii() or not parts[1].isdigit():
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)}: write a prefix with its length, such as 10.0.0.0/8")
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)} is no IPv4 or IPv6 prefix") from None
    if "%" in text:
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)}: a zone has no meaning here")
    if ip_address(parts[0]) != found.network_address:
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)} has host bits set: write {found}")
    return found


def host(text: str) -> Address:
    """Return a unicast host address without prefix length."""
    try:
        found = ip_address(text)
    except ValueError:
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)} is no IPv4 or IPv6 address") from None
    _host(found, None, text)
    return found


def _host(address: Address, subnet: Network | None, text: str) -> None:
    """Refuse addresses that no host can have."""
    if "%" in text:
        raise InvalidValueError(Rule.IP_SYNTAX, f"{quote(text)}: a zone has no meaning here")
    if address.is_unspecified or address.is_multicast or address.is_loopback or address == IPv4Address(2**32 - 1):
        raise InvalidValueError(Rule.IP_UNUSABLE, f"{quote(text)} is no unicast host address")
    if subnet is None:
        return
    # RFC 3021 and RFC 6164: with 31 or 127 bits both addresses are hosts.
    if subnet.max_prefixlen - subnet.prefixlen < 2:
        return
    if address == subnet.network_address:
        raise InvalidValueError(Rule.IP_UNUSABLE, f"{quote(text)} is the address of the subnet itself")
    if address.version == 4 and address == subnet.broadcast_address:
        raise InvalidValueError(Rule.IP_UNUSABLE, f"{quote(text)} is the broadcast address of its subnet")
