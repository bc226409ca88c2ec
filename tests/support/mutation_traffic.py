"""Packets drawn at random, for hosts' and external ports: the truth, half a truth and lies, of every family, some in pieces.

They owe nothing to the judge's own probes: what differs for one of these differs for somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, TypeVar

from ryu_vmmob.fabric.model import PortRef
from ryu_vmmob.net.addresses import MAC_BROADCAST, eui64_link_local, multicast_mac, solicited_node
from ryu_vmmob.net.protocols import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP, TCP_ACK, TCP_RST
from ryu_vmmob.sim import packet as make
from ryu_vmmob.sim.facts import Address, ExternalFacts
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.sim.view import Seat, View

_T = TypeVar("_T")
STRANGER: Final = 0x02C0FFEE0001
_FLAGS: Final = (0x002, 0x012, TCP_ACK, TCP_RST, TCP_ACK | 1, 0x001, 0)
_TTLS: Final = (64, 64, 64, 64, 255, 3, 2, 1, 0)
_GROUPS_V4: Final = (0xFFFFFFFF, 0xE0000001, 0xE00000FB, 0xEF010203)
_GROUPS_V6: Final = (0xFF02 << 112 | 1, 0xFF02 << 112 | 2, 0xFF02 << 112 | 0xFB, 0xFF05 << 112 | 0x10003)
_ODD_V4: Final = (0, 0x7F000001, 0xA9FE0101, 0xCB007105, 0x08080808, 0xC0A80505, 0xC0000237, 0xAC100003)
_ODD_V6: Final = (0, 1, 0xFE80 << 112 | 0xBEEF, 0x20010DB8DEAD << 80 | 5, 0x2606 << 112 | 7, 0x20010DB800FF << 80 | 0x99)
_ETH_LLDP: Final = 0x88CC


class Traffic:
    """Draws packets for one network. The same seed draws the same packets."""

    def __init__(self, view: View, seed: int) -> None:
        self.view = view
        self.random = Random(seed)
        self.server_ports = sorted(port for port in view.fabric.server_at if view.network.port_up(port))
        self.externals = {row.port: row for row in view.externals}
        self.routers = sorted(view.router_macs.values())
        hops = {mac for row in view.externals for mac in row.next_hops.values() if mac is not None}
        self.macs = sorted({*(seat.mac for seat in view.seats), view.gateway_mac, *self.routers, *hops, STRANGER})
        self.ips = {version: self._addresses(version) for version in (4, 6)}
        self.tags = sorted({*view.vlan_ids.values(), 7, 4000})
        ranges = [row for rule in view.policies for row in rule.ports]
        ports = {port for low, high in ranges for port in (low - 1, low, (low + high) // 2, high, high + 1)}
        self.ports = sorted(ports | {9, 67, 68, 80, 40000})

    def _addresses(self, version: int) -> list[int]:
        found = {int(ip) for seat in self.view.seats for ip in seat.ips if ip.version == version}
        for facts in self.view.cugs.values():
            found |= {int(ip) for ip in facts.gateways if ip.version == version}
            for net in facts.subnets:
                if net.version == version:
                    found |= {int(net.network_address) + number for number in (0, 2, 77, 255)}
        for row in self.view.externals:
            found |= {int(own.ip) for own in row.addresses if own.version == version}
            found |= {int(hop) for hop in row.next_hops if hop.version == version}
        if version == 6:
            macs = {*(seat.mac for seat in self.view.seats), self.view.gateway_mac}
            found |= {eui64_link_local(mac) for mac in macs} | {*_ODD_V6, *_GROUPS_V6}
        else:
            found |= {*_ODD_V4, *_GROUPS_V4}
        return sorted(found)

    def packets(self, number: int) -> list[tuple[PortRef, Packet]]:
        """So many packets, each with the port where it comes in."""
        return [self.packet() for _ in range(number)]

    def packet(self) -> tuple[PortRef, Packet]:
        """One packet; two of three are what an honest sender might say."""
        if self.externals and self.likely(0.25):
            port = self.one(sorted(self.externals))
            sender: Seat | ExternalFacts | None = self.externals[port]
        else:
            port = self.one(self.server_ports)
            here = self.view.seats_at[self.view.fabric.server_at[port].name]
            sender = self.one(here) if here and self.likely(0.9) else None
        honest = sender is not None and self.likely(0.67)
        claimed = sender if honest or sender is None or self.likely(0.5) else self.one(self.view.seats)
        fields = self._said(claimed)
        if not honest:
            self._twist(fields)
        return port, self._piece(Packet(fields, self._tags(sender, honest)))

    def _piece(self, packet: Packet) -> Packet:
        """Of one IP packet in five a fragment, or one whose headers hide what it carries."""
        if packet["eth_type"] not in (ETH_IPV4, ETH_IPV6) or not self.likely(0.2):
            return packet
        if packet["eth_type"] == ETH_IPV6 and self.likely(0.1):
            return self.one((make.cut_off_chain(packet), make.behind_unknown_header(packet, 135)))
        return self.one((make.first_fragment, make.first_fragment, make.tiny_fragment, make.later_fragment))(packet)

    def _tags(self, sender: Seat | ExternalFacts | None, honest: bool) -> tuple[int, ...]:
        if sender is not None and (honest or self.likely(0.7)):
            return sender.tags
        return self.one(((), (self.one(self.tags),), (self.one(self.tags), self.one(self.tags))))

    def _said(self, sender: Seat | ExternalFacts | None) -> dict[str, int]:
        """Something that the sender could mean, in one family."""
        seat = sender if isinstance(sender, Seat) else None
        mac = seat.mac if seat else self.one(self._outside_macs(sender))
        version = self.one([ip.version for ip in seat.ips] if seat else (4, 6))
        source = self._own(sender, version)
        dst = self.one(self.ips[version])
        kind = self.random.random()
        if kind < 0.03:
            return {"eth_dst": MAC_BROADCAST, "eth_src": mac, "eth_type": ETH_RARP, "arp_op": 3, "arp_sha": mac, "arp_tha": mac,
                    "arp_spa": 0, "arp_tpa": 0}  # fmt: skip
        if kind < 0.04:
            return {"eth_dst": self.one(self.macs), "eth_src": mac, "eth_type": self.one((_ETH_LLDP, 0x9000, 0x88E5))}
        if kind < 0.3:
            return self._arp(sender, mac, source) if version == 4 else self._discovery(sender, mac, source)
        eth_dst = self._next_hop(sender, dst, version)
        fields = {"eth_dst": eth_dst, "eth_src": mac, "eth_type": ETH_IPV4 if version == 4 else ETH_IPV6,
                  f"ipv{version}_src": source, f"ipv{version}_dst": dst, "nw_ttl": self.one(_TTLS)}  # fmt: skip
        return {**fields, **self._transport(version)}

    def _transport(self, version: int) -> dict[str, int]:
        source, target = self.one(self.ports), self.one(self.ports)
        kind = self.random.random()
        if kind < 0.3:
            return {"ip_proto": 17, "udp_src": source, "udp_dst": target}
        if kind < 0.65:
            return {"ip_proto": 6, "tcp_src": source, "tcp_dst": target, "tcp_flags": self.one(_FLAGS)}
        if kind < 0.9:
            icmp = (1, "icmpv4", (8, 8, 0, 3)) if version == 4 else (58, "icmpv6", (128, 128, 129, 1, 131, 143, 134, 137))
            return {"ip_proto": icmp[0], f"{icmp[1]}_type": self.one(icmp[2]), f"{icmp[1]}_code": 0}
        return {"ip_proto": self.one((47, 50, 132, 253))}

    def _arp(self, sender: Seat | ExternalFacts | None, mac: int, source: int) -> dict[str, int]:
        target = self.one((self._asked(sender, 4), self._asked(sender, 4), source))
        op = self.one((1, 1, 1, 2))
        whole = op == 1 and self.likely(0.7)
        return {"eth_dst": MAC_BROADCAST if whole else self.one(self.macs), "eth_src": mac, "eth_type": ETH_ARP, "arp_op": op,
                "arp_sha": mac, "arp_spa": 0 if op == 1 and self.likely(0.15) else source, "arp_tha": 0, "arp_tpa": target,
                }  # fmt: skip

    def _discovery(self, sender: Seat | ExternalFacts | None, mac: int, source: int) -> dict[str, int]:
        own = self.one((source, eui64_link_local(mac)))
        kind = self.one((133, 135, 135, 135, 136, 136, 134))
        fields = {"eth_src": mac, "eth_type": ETH_IPV6, "ip_proto": 58, "icmpv6_type": kind, "icmpv6_code": 0, "nw_ttl": 255}
        if kind in (133, 134):
            group = 0xFF02 << 112 | (2 if kind == 133 else 1)
            return {**fields, "eth_dst": multicast_mac(group), "ipv6_src": own, "ipv6_dst": group}
        fields["nd_reserved"] = 0 if kind == 135 else 0x60000000
        if kind == 136:
            dst = self.one((_GROUPS_V6[0], self._asked(sender, 6)))
            eth_dst = multicast_mac(dst) if dst >> 120 == 0xFF else self._next_hop(sender, dst, 6)
            return {**fields, "eth_dst": eth_dst, "ipv6_src": own, "ipv6_dst": dst, "ipv6_nd_target": own,
                    "nd_options_type": 2, "ipv6_nd_tll": mac}  # fmt: skip
        if self.likely(0.2):
            return {**fields, "eth_dst": multicast_mac(solicited_node(own)), "ipv6_src": 0, "ipv6_dst": solicited_node(own),
                    "ipv6_nd_target": own, "nd_options_type": 0}  # fmt: skip
        target = self._asked(sender, 6)
        group, direct = solicited_node(target), self.likely(0.3)
        return {**fields, "eth_dst": self._next_hop(sender, target, 6) if direct else multicast_mac(group), "ipv6_src": own,
                "ipv6_dst": target if direct else group, "ipv6_nd_target": target, "nd_options_type": 1,
                "ipv6_nd_sll": mac}  # fmt: skip

    def _twist(self, fields: dict[str, int]) -> None:
        """One to three fields say something else."""
        for _ in range(self.one((1, 1, 2, 3))):
            name = self.one(sorted(fields.keys() - {"eth_type", "ip_proto", "icmpv4_type", "icmpv6_type", "nd_options_type"}))
            if name in ("eth_dst", "eth_src") or name.endswith(("sha", "tha", "sll", "tll")):
                fields[name] = self.one((*self.macs, 0)) if name.startswith(("arp", "ipv6")) else self.one(self.macs)
            elif name.startswith("ipv6"):
                fields[name] = self.one(self.ips[6])
            elif name.startswith("ipv4") or name.endswith("pa"):
                fields[name] = self.one(self.ips[4])
            elif name.endswith(("_src", "_dst")):
                fields[name] = self.one(self.ports)

    def _own(self, sender: Seat | ExternalFacts | None, version: int) -> int:
        """An address that is the sender's own, as far as it has one."""
        if isinstance(sender, Seat):
            own = [int(ip) for ip in sender.ips if ip.version == version]
            return self.one([*own, *own, *own, eui64_link_local(sender.mac)]) if version == 6 else self.one(own)
        outside = [0x08080808, 0xC0A80505, 0xC0000237, 0xAC100002] if version == 4 else [0x2606 << 112 | 7, _ODD_V6[-1]]
        return self.one([*outside, self.one(self.ips[version])])

    def _outside_macs(self, sender: ExternalFacts | Seat | None) -> Sequence[int]:
        if isinstance(sender, ExternalFacts):
            return [*(mac for mac in sender.next_hops.values() if mac is not None), STRANGER]
        return self.macs

    def _asked(self, sender: Seat | ExternalFacts | None, version: int) -> int:
        """An address that one might look for on one's own wire."""
        near: list[Address] = []
        if isinstance(sender, Seat):
            near += (ip for seat in self.view.seats if seat.cug == sender.cug for ip in seat.ips)
            near += self.view.cugs[sender.cug].gateways
        elif sender is not None:
            near += (own.ip for own in sender.addresses)
        rows = [int(ip) for ip in near if ip.version == version]
        return self.one(rows) if rows and self.likely(0.8) else self.one(self.ips[version])

    def _next_hop(self, sender: Seat | ExternalFacts | None, dst: int, version: int) -> int:
        """Mostly the MAC that the sender's ARP table would have, else any."""
        if self.likely(0.1):
            return self.one((*self.macs, MAC_BROADCAST))
        if version == 6 and dst >> 120 == 0xFF:
            return multicast_mac(dst)
        if version == 4 and dst >= 0xE0000000:
            return MAC_BROADCAST if dst == 0xFFFFFFFF else 0x01005E000000 | dst & 0x7FFFFF
        if isinstance(sender, ExternalFacts):
            return self.view.router_macs[sender.switch]
        name = sender.cug if isinstance(sender, Seat) else None
        for seat in self.view.seats:
            if seat.cug == name and dst in (*seat.v4, *seat.v6, eui64_link_local(seat.mac)):
                return seat.mac
        return self.view.gateway_mac

    def one(self, rows: Sequence[_T]) -> _T:
        """One of several, each as likely as any other."""
        return rows[int(self.random.random() * len(rows))]

    def likely(self, chance: float) -> bool:
        return self.random.random() < chance
