"""The linter's rules: one stable name, one severity and one sentence each.

``docs/fabric.md`` lists the same set with a bad and a good example; a test compares the two.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class Severity(StrEnum):
    """The severity of a finding: a file with an error is not loaded, one with warnings is."""

    ERROR = "error"
    WARNING = "warning"


_E = Severity.ERROR
_W = Severity.WARNING


class Rule(Enum):
    """A rule of the fabric file; ``label`` is the name that findings, documents and scripts use."""

    # The file as text and as YAML
    FILE_UNREADABLE = (_E, "the file can be opened and read")
    NOT_UTF8 = (_E, "the file is UTF-8 text")
    TOO_LARGE = (_E, "size, nesting and alias expansion stay within bounds")
    YAML_SYNTAX = (_E, "the file is one well-formed YAML document")
    YAML_TAG = (_E, "values are plain mappings, lists, text, numbers and true or false, without tags of other types")
    DUPLICATE_KEY = (_E, "a key occurs once in its mapping")

    # Shape: keys and types
    UNKNOWN_KEY = (_E, "only the documented keys are used")
    MISSING_KEY = (_E, "required keys are present")
    WRONG_TYPE = (_E, "a value has the type its key asks for")
    UNKNOWN_VALUE = (_E, "a key with a fixed set of values has one of them")
    VERSION_UNSUPPORTED = (_E, "the format version is 1")
    NAME_SYNTAX = (_E, "a name is a letter or digit, then at most 62 letters, digits, dots, underscores or hyphens")

    # Single values
    DPID_SYNTAX = (_E, "a datapath id is a number, 0x and hexadecimal digits, or 16 hexadecimal digits")
    DPID_RANGE = (_E, "a datapath id lies in 1 to 2^64-1")
    PORT_SYNTAX = (_E, "a port is written SWITCH:NUMBER")
    PORT_RANGE = (_E, "a port number lies in 1 to 4294967039 (0xfffffeff)")
    MAC_SYNTAX = (_E, "a MAC address is six pairs of hexadecimal digits")
    MAC_NOT_UNICAST = (_E, "the gateway's MAC address is unicast and not zero")
    VLAN_SYNTAX = (_E, "VLAN-IDs are numbers and ranges, separated by commas")
    VLAN_RANGE = (_E, "a VLAN-ID lies in 1 to 4094")
    VLAN_REVERSED = (_E, "a range of VLAN-IDs goes from low to high")
    VLAN_OVERLAP = (_E, "a VLAN-ID occurs once in its L2 domain, or among those of a server")
    VLAN_EMPTY = (_E, "an L2 domain, or a server that names VLAN-IDs, has at least one")
    EXTENDER_SYNTAX = (_E, "extender ports are numbers and ranges, separated by commas")
    EXTENDER_REVERSED = (_E, "a range of extender ports goes from low to high")
    EXTENDER_OVERLAP = (_E, "an extender port occurs once, with a number above the switch's own ports")
    MAX_FLOWS_RANGE = (_E, "the most flows of a switch lie in 1 to 4294967295")
    TABLE_UNKNOWN = (_E, "table_sizes names only tables of the pipeline")
    IP_SYNTAX = (_E, "addresses, prefixes and next hops are well-formed IPv4 or IPv6")
    IP_UNUSABLE = (_E, "addresses and next hops are unicast host addresses")

    # References between objects
    UNKNOWN_NAME = (_E, "every data centre, L2 domain and switch that is named exists")
    DPID_USED_TWICE = (_E, "no two switches have one datapath id")
    PORT_USED_TWICE = (_E, "a port has one use: one end of one link, one server or one external network")
    PORT_OUTSIDE_SWITCH = (_E, "a port is one of the ports that its switch declares, or one of its extender ports")
    EXTENDER_NOT_TOR = (_E, "port extenders are attached to ToRs only: a ToR is their controlling bridge (R4)")
    LINK_ON_EXTENDER = (_E, "no end of a link is an extender port")
    LINK_TO_ITSELF = (_E, "a link joins two different switches")
    LINK_DOMAIN_FOREIGN = (_E, "a link's L2 domain belongs to no data centre, or to that of one of its ends")
    DATA_CENTER_MISMATCH = (_E, "a switch and its L2 domain are in one data centre")

    # Servers
    ATTACH_EMPTY = (_E, "a server is attached to at least one port")
    ATTACH_NOT_EDGE = (_E, "servers and external networks are attached to edges (tor, border), never on a spine")
    BOND_MISSING = (_E, "a server with several ports has a bond")
    BOND_SINGLE_PORT = (_E, "a server with one port has no bond")
    SERVER_VLAN_IDS = (_E, "a server has vlan_ids of its own only with tagging: per_interface")
    LOCAL_SWITCHING = (_E, "local_switching is set only where the server's own switch joins VMs: per_cug or untagged")
    PER_INTERFACE_PORT = (_E, "a server with tagging: per_interface is attached to ports up to 65535")
    LAG_SPANS_DOMAINS = (_E, "the ports of a LAG are in one L2 domain (R14)")
    LAG_ONE_SWITCH = (_E, "the ports of a LAG are on one switch")

    # External networks
    ADDRESSES_EMPTY = (_E, "an external network has at least one address")
    NEXT_HOP_OUTSIDE = (_E, "a next hop is inside the subnet of one of the addresses")
    NEXT_HOP_OWN = (_E, "a next hop is not one of the fabric's own addresses there")
    PREFIX_WITHOUT_NEXT_HOP = (_E, "prefixes of an address family have a next hop of that family")
    EXTERNAL_PREFIX_OVERLAP = (_E, "external prefixes of one routing domain on one edge do not overlap")

    # Allowed, but rarely intended
    FABRIC_EMPTY = (_W, "the fabric has a switch")
    EDGE_UNCONNECTED = (_W, "a link connects every edge to the fabric")
    FABRIC_SPLIT = (_W, "links join all switches into one fabric")
    BACKUP_PATH_MISSING = (_W, "with backup_paths: installed, no link is the only path between two parts of the fabric")
    EDGE_WITHOUT_DATA_CENTER = (_W, "where there are data centres, every edge is in one")
    DATA_CENTER_EMPTY = (_W, "a data centre has a switch")
    DATA_CENTER_WITHOUT_BORDER = (_W, "of several data centres, each has a border switch (R5)")
    DOMAIN_UNUSED = (_W, "a switch or a link uses every L2 domain")
    NEXT_HOP_UNUSED = (_W, "next hops of an address family have prefixes of that family")

    def __init__(self, severity: Severity, sentence: str) -> None:
        self.severity = severity
        self.sentence = sentence

    @property
    def label(self) -> str:
        """The stable name, such as ``port-used-twice``."""
        return self.name.lower().replace("_", "-")
