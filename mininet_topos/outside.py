"""The world outside: for each routing domain one host, behind all external networks of that domain.

It has the addresses of the next hops on its devices, one device for each external network, and for each of them a host
address of its own on the loopback (`HOSTS`). A packet to any of these addresses reaches it, whichever border it
leaves by; what it sends *from* address N enters the fabric by external network N. So both ways in are open at the same time,
without a routing protocol. When an external network is down, what would have entered there takes the first that is up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_interface

from mininet_topos.processes import run_inside
from ryu_vmmob.fabric.model import External

HOSTS = ("203.0.113.{}/32", "2001:db8:cafe::{}/128")
"""Addresses of the host outside; numbered like the external networks of the fabric file, from 1."""
LINK_LOCAL = "fe80::fe/64"  # a router asks for its neighbours from such an address (RFC 4861, 4.3)
UNUSED_MAC = "02:00:00:00:de:ad"
FIRST_TABLE = 100  # number of a routing table of the kernel


@dataclass
class Outside:
    """The host outside as it is seen over one external network; the name is that network's.

    ``pid`` is the same for all networks of one routing domain, ``number`` (from 1) tells them apart.
    """

    external: External
    number: int
    pid: int
    device: str
    server: None = None
    hosts: tuple[str, ...] = field(init=False)
    _mac: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.hosts = tuple(text.format(self.number) for text in HOSTS)

    @property
    def name(self) -> str:
        """The external network's."""
        return self.external.name

    def address(self, interface: int = 0, version: int = 4) -> str:
        """Return the host address from which packets enter by this network. Raises LookupError for another version than 4 and
        6.
        """
        for host in self.hosts:
            if ip_interface(host).version == version:
                return str(ip_interface(host).ip)
        raise LookupError(f"no IPv{version} address outside")

    def run(self, *command: str) -> str:
        """Run a command in the world outside. Raises ChildError."""
        return run_inside(self.pid, *command)

    def configure(self) -> None:
        """Give the device, the next hops' and the host's addresses, and the way back through this network."""
        self._mac = self.run("cat", f"/sys/class/net/{self.device}/address").strip()
        settings = {
            "ipv4/conf/all/rp_filter": 0, "ipv4/conf/default/rp_filter": 0, f"ipv4/conf/{self.device}/rp_filter": 0,
            f"ipv4/conf/{self.device}/arp_announce": 2, f"ipv4/conf/{self.device}/arp_ignore": 1,
            "ipv6/conf/all/accept_ra": 0, "ipv6/conf/default/accept_dad": 0, f"ipv6/conf/{self.device}/disable_ipv6": 0,
        }  # fmt: skip
        script = [f"ip link set {self.device} addrgenmode none"]
        script += [f"echo {value} > /proc/sys/net/{key}" for key, value in settings.items()]
        script += ["ip link set lo up", f"ethtool -K {self.device} tx off >/dev/null"]
        for host in self.hosts:
            address = ip_interface(host)
            script.append(f"ip address add {host} dev lo")
            script.append(f"ip -{address.version} rule add from {address.ip} lookup {self._table}")
        self._script([*script, *self._life()])

    @property
    def _table(self) -> int:
        return FIRST_TABLE + self.number

    def _life(self) -> list[str]:
        """Return what goes with the device when it is down."""
        script = [f"ip link set {self.device} address {self._mac} up"]
        script.append(f"ip -6 address replace {LINK_LOCAL} dev {self.device} nodad")
        for hop in self.external.next_hops:
            for own in self.external.addresses:
                if hop in own.network:
                    nodad = " nodad" if hop.version == 6 else ""
                    way = f"ip -{hop.version} route replace default via {own.ip} dev {self.device}"
                    script.append(f"ip address replace {hop}/{own.network.prefixlen} dev {self.device}{nodad}")
                    script += [f"{way} table {self._table}", f"{way} metric {self.number}"]
        return script

    def cut(self) -> None:
        """Let the next hop die, and the border's port lose its carrier."""
        self._script([f"ip link set {self.device} down"])

    def silence(self) -> None:
        """Let the next hop die while the carrier stays: it answers nothing, and hears nothing that is sent to its MAC."""
        script = [f"ip address flush dev {self.device}"]
        for table in ("main", self._table):
            script += [f"ip -{version} route flush dev {self.device} table {table}" for version in (4, 6)]
        self._script([*script, f"ip link set {self.device} address {UNUSED_MAC}"])

    def revive(self) -> None:
        """Undo `cut` or `silence`."""
        self._script(self._life())

    def _script(self, lines: list[str]) -> None:
        self.run("sh", "-ec", "\n".join(lines))
