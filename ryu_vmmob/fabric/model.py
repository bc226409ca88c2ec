"""The fabric: the physical things of the data centres, as immutable values.

Everything here comes from the fabric file and nothing from REST. The loader builds these values after the linter
has accepted the file, so inside the program they are trusted. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network


class Role(StrEnum):
    """The role of a switch; ``tor`` and ``border`` are edges: VMs or external networks hang on them (R3, R5)."""

    TOR = "tor"
    SPINE = "spine"
    BORDER = "border"

    @property
    def is_edge(self) -> bool:
        """Whether VMs or external networks may hang on such a switch."""
        return self is not Role.SPINE


class Dialect(StrEnum):
    """Capabilities of a switch beside forwarding.

    ``openvswitch``: OpenFlow 1.3 with the extensions of Open vSwitch. ``openflow13``: plain OpenFlow 1.3, without field
    moves, matches on the TTL and matches on TCP flags. So the controller answers ARP, ND and ping in place of such a
    switch, and a policy with ``replies`` cannot be carried there.
    """

    OPENVSWITCH = "openvswitch"
    OPENFLOW13 = "openflow13"


class Fragments(StrEnum):
    """The treatment of IP fragments by a switch: ``pass`` them through its tables, or ``drop`` them where they come in."""

    PASS = "pass"  # noqa: S105 - no secret
    DROP = "drop"


class BackupPaths(StrEnum):
    """The time at which switches get the flows of backup paths.

    As soon as the path has failed, or at once, so that only groups change when it does (`fabric.backup`).
    """

    ON_FAILURE = "on_failure"
    INSTALLED = "installed"


class Tagging(StrEnum):
    """How a server's cable tells interfaces apart.

    ``per_interface``: the server is a trivial L2 domain, and each vNIC has a VLAN-ID of its own on the cable. ``per_cug``:
    the ToR's L2 domain reaches into the server, and a CUG has one VLAN-ID there (R21). ``untagged``: a trivial L2 domain
    without VLAN-IDs (R23).
    """

    PER_INTERFACE = "per_interface"
    PER_CUG = "per_cug"
    UNTAGGED = "untagged"


@dataclass(frozen=True, slots=True, order=True)
class PortRef:
    """One OpenFlow port of one switch, written ``tor-a:49`` in the fabric file."""

    switch: str
    port: int

    def __str__(self) -> str:
        return f"{self.switch}:{self.port}"


@dataclass(frozen=True, slots=True)
class DataCenter:
    """A site with ToRs and one or more border switches (R5)."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class L2Domain:
    """A non-trivial L2 physical domain of the draft: one VLAN-ID space (R12, R13, R20).

    ``vlan_ids`` are the VLAN-IDs (1 to 4094, ascending) this fabric may allocate there. ``data_center`` is None for a
    domain between data centres. ``translate_guest_tags``: an edge port in this domain may translate a guest's own VLAN
    tag to the VLAN-ID that its CUG has in the domain, and back (R24, R25, R27). ``accept_unannounced``: a VM that is seen
    at a server of a switch in this domain may have moved there unannounced (`engine.arrivals`).
    """

    name: str
    vlan_ids: tuple[int, ...]
    data_center: str | None = None
    description: str = ""
    translate_guest_tags: bool = False
    accept_unannounced: bool = False


@dataclass(frozen=True, slots=True)
class Switch:
    """An OpenFlow switch. ``l2_domain`` is the domain of its server ports; ``dpid`` is its 64-bit datapath id.

    ``max_flows`` is how many flows it takes in all tables together (1 to 2^32-1); a change that needs more is refused
    (R45). None: no limit is known. ``table_sizes`` is the same for single tables, by name. ``l4_masks`` says that a switch of
    plain OpenFlow 1.3 matches TCP and UDP ports under a mask all the same. ``meters`` False: an Open vSwitch
    without meters, or with too few (`flows.meters`); one of plain OpenFlow 1.3 is given none anyhow.
    ``extender_ports`` are the ports of the 802.1BR port extenders whose controlling
    bridge this ToR is (R4): disjoint, ascending, and empty for other roles. They are in ``l2_domain`` like all others.
    ``fragments`` None: see `passes_fragments`.
    """

    name: str
    dpid: int
    role: Role
    l2_domain: str
    data_center: str | None = None
    description: str = ""
    dialect: Dialect = Dialect.OPENVSWITCH
    max_flows: int | None = None
    table_sizes: tuple[tuple[str, int], ...] = ()
    l4_masks: bool = False
    meters: bool = True
    extender_ports: tuple[range, ...] = ()
    fragments: Fragments | None = None

    @property
    def passes_fragments(self) -> bool:
        """Whether fragments of IP run through its tables: plain OpenFlow 1.3 cannot tell them apart."""
        return self.fragments is Fragments.PASS or (self.fragments is None and self.dialect is Dialect.OPENVSWITCH)


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between two switches; ``l2_domain`` says whose VLAN-IDs are on the wire."""

    a: PortRef
    b: PortRef
    l2_domain: str
    description: str = ""

    @property
    def name(self) -> str:
        """Stable name: both ends, the lesser first."""
        low, high = sorted((self.a, self.b))
        return f"{low}={high}"

    def end_at(self, switch: str) -> PortRef:
        """Return the end of this link that sits on ``switch``; KeyError when neither does."""
        if self.a.switch == switch:
            return self.a
        if self.b.switch == switch:
            return self.b
        raise KeyError(switch)

    def far_end(self, switch: str) -> PortRef:
        """Return the end of this link that does not sit on ``switch``."""
        return self.b if self.a.switch == switch else self.a


@dataclass(frozen=True, slots=True)
class Server:
    """A hypervisor and the ports it hangs on (several ports: one LAG inside one L2 domain, R14).

    ``l2_domain`` is the domain whose VLAN-IDs are on its cable; None where the server is a trivial L2 domain of its own
    (R12, R23). ``vlan_ids`` (ascending, within 1 to 4094) are those that vNICs may get on its cable; empty unless
    ``per_interface``. ``trusts_local_switching``: policies between VMs that its own switch joins need not be enforced.
    """

    name: str
    attach: tuple[PortRef, ...]
    l2_domain: str | None
    vlan_ids: tuple[int, ...] = ()
    trusts_local_switching: bool = False
    description: str = ""

    @property
    def tagging(self) -> Tagging:
        """Return how its frames say whose they are."""
        if self.vlan_ids:
            return Tagging.PER_INTERFACE
        return Tagging.UNTAGGED if self.l2_domain is None else Tagging.PER_CUG

    @property
    def tagged(self) -> bool:
        """Whether its frames carry VLAN-IDs."""
        return self.l2_domain is not None or bool(self.vlan_ids)

    @property
    def per_interface(self) -> bool:
        """Whether each vNIC has a VLAN-ID of its own on the cable."""
        return bool(self.vlan_ids)

    @property
    def switch(self) -> str:
        """The edge this server hangs on."""
        return self.attach[0].switch


@dataclass(frozen=True, slots=True)
class External:
    """A network outside, reached through an edge port (usually of a border)."""

    name: str
    attach: PortRef
    routing_domain: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    prefixes: tuple[IPv4Network | IPv6Network, ...] = ()
    next_hops: tuple[IPv4Address | IPv6Address, ...] = ()
    vlan_id: int | None = None
    description: str = ""


@dataclass(frozen=True)
class Fabric:
    """The whole physical network. Look-ups by name are exact; unknown names raise KeyError."""

    name: str
    gateway_mac: str
    data_centers: Mapping[str, DataCenter]
    l2_domains: Mapping[str, L2Domain]
    switches: Mapping[str, Switch]
    links: tuple[Link, ...]
    servers: Mapping[str, Server]
    externals: Mapping[str, External] = field(default_factory=dict)
    description: str = ""
    backup_paths: BackupPaths = BackupPaths.ON_FAILURE

    @cached_property
    def switch_by_dpid(self) -> Mapping[int, Switch]:
        """Switches by datapath id."""
        return {switch.dpid: switch for switch in self.switches.values()}

    @cached_property
    def links_of(self) -> Mapping[str, tuple[Link, ...]]:
        """Links of each switch, in file order; every switch has an entry."""
        found: dict[str, list[Link]] = {name: [] for name in self.switches}
        for link in self.links:
            found[link.a.switch].append(link)
            found[link.b.switch].append(link)
        return {name: tuple(links) for name, links in found.items()}

    @cached_property
    def links_between(self) -> Mapping[tuple[str, str], tuple[Link, ...]]:
        """Parallel links of each pair of neighbours (names in alphabetical order), the preferred one first."""
        found: dict[tuple[str, str], list[Link]] = {}
        for link in sorted(self.links, key=lambda link: link.name):
            low, high = sorted((link.a.switch, link.b.switch))
            found.setdefault((low, high), []).append(link)
        return {pair: tuple(links) for pair, links in found.items()}

    @cached_property
    def link_at(self) -> Mapping[PortRef, Link]:
        """The link at each end of a link."""
        return {end: link for link in self.links for end in (link.a, link.b)}

    @cached_property
    def link_by_name(self) -> Mapping[str, Link]:
        """Links by `Link.name`."""
        return {link.name: link for link in self.links}

    @cached_property
    def server_at(self) -> Mapping[PortRef, Server]:
        """The server at each port that one is attached to."""
        return {port: server for server in self.servers.values() for port in server.attach}

    @cached_property
    def servers_of(self) -> Mapping[str, tuple[Server, ...]]:
        """Servers of each switch, by name; every switch has an entry."""
        found: dict[str, list[Server]] = {name: [] for name in self.switches}
        for _, server in sorted(self.servers.items()):
            found[server.switch].append(server)
        return {name: tuple(servers) for name, servers in found.items()}

    @cached_property
    def externals_of(self) -> Mapping[str, tuple[External, ...]]:
        """External networks of each switch, by name; every switch has an entry."""
        found: dict[str, list[External]] = {name: [] for name in self.switches}
        for _, external in sorted(self.externals.items()):
            found[external.attach.switch].append(external)
        return {name: tuple(externals) for name, externals in found.items()}

    @cached_property
    def external_at(self) -> Mapping[PortRef, External]:
        """The external network at each port that one is attached to."""
        return {external.attach: external for external in self.externals.values()}

    @cached_property
    def switches_of_domain(self) -> Mapping[str, frozenset[str]]:
        """Switches with at least one port in each L2 domain (what must be in step before a VLAN-ID is reused)."""
        found: dict[str, set[str]] = {name: set() for name in self.l2_domains}
        for link in self.links:
            found[link.l2_domain].update((link.a.switch, link.b.switch))
        for server in self.servers.values():
            if server.l2_domain is not None:
                found[server.l2_domain].add(server.switch)
        return {name: frozenset(switches) for name, switches in found.items()}

    def accepts_unannounced(self, server: str) -> bool:
        """Whether VMs may come to a server unannounced: as the domain of its switch's server ports says."""
        return self.l2_domains[self.switches[self.servers[server].switch].l2_domain].accept_unannounced

    def port_domain(self, port: PortRef) -> str | None:
        """Return the L2 domain whose VLAN-IDs are spoken on ``port``; None for a trivial domain or an external port."""
        link = self.link_at.get(port)
        if link is not None:
            return link.l2_domain
        server = self.server_at.get(port)
        return server.l2_domain if server is not None else None
