"""`says`: the description of a property in ``/openapi.json``, and the descriptions that bodies and answers have in common."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from ryu_vmmob.model.labels import LONGEST_DESCRIPTION, MOST_LABELS
from ryu_vmmob.model.move_options import LONGEST_TIMEOUT


def says(*sentences: str) -> Any:
    """Return metadata for `typing.Annotated` that makes ``sentences`` (Markdown) the description of a property."""
    return Field(description=" ".join(sentences))


LABELS: Final = (
    f"Values by key, at most {MOST_LABELS}. Selectors of lists and of policies pick objects by them; otherwise they change "
    "nothing."
)
DESCRIPTION: Final = (
    f"A note for people: one line of at most {LONGEST_DESCRIPTION} characters. It changes nothing in the network."
)
MODE: Final = says(
    "`hot`: the VM runs until it pauses at the source. `cold`: it is shut down at the source and starts at the target."
)
DELIVERY: Final = says(
    "When the VM's traffic goes to the target. `at_pause`: at `/deliver`. `early`: to both places as soon as the move is",
    "`prepared`. `on_activation`: when the move is activated.",
)
ACTIVATE: Final = says(
    "What activates the move. `announcement`: the first frame of the VM at the target, or `/activate`. `request`: `/activate`",
    "alone.",
)
COMMIT: Final = says(
    "What commits an activated move. `automatic`: the switches have confirmed the activation. `request`: `/commit` alone."
)
TIMEOUT: Final = says(
    f"Seconds from the start within which the move must be activated, more than 0 and at most {LONGEST_TIMEOUT}. After that",
    "the controller aborts it, unless the VM may run at the target already.",
)
PARALLEL: Final = says("How many migrations of the batch are under way at once at most, 1 to 1000.")
IPV6_RA: Final = (
    "What router advertisements of the gateway tell guests. `slaac`: to make an address out of the prefix. "
    "`dhcpv6_stateful`: to ask for everything by DHCPv6. `dhcpv6_stateless`: to make an address, and to ask for the rest."
)
SUBNETS: Final = says("The prefix of each address family, at most one for IPv4 and one for IPv6, without host bits.")
GATEWAYS: Final = says(
    "The gateway's address in each subnet, at most one for each address family. In a body, left out: the first host address."
)
ROUTING_DOMAIN: Final = says(
    "The routing domain, whose CUGs and external networks are routed to each other as policies allow. null: none; its gateway",
    "routes nothing.",
)
CUG_VLAN_IDS: Final = says("VLAN-IDs that were asked for, 1 to 4094, by L2 domain. The controller chooses all others.")
MAC: Final = says("The MAC address of the vNIC: unicast, and the same wherever the VM goes.")
IPS: Final = says(
    "Its IPv4 and IPv6 addresses, within the subnets of the CUG. IPv6 link-local addresses may stand beside them."
)
GUEST_VLAN_ID: Final = says(
    "The VLAN-ID that the guest itself puts on its frames, 1 to 4094, the same at every server. null: the guest sends no tag."
)
ETHERTYPES: Final = says(
    "What the interface may send inside its CUG beside ARP, RARP, IPv4 and IPv6: Ethernet types, or `any`. Left out: nothing."
)
ACTION: Final = says("What happens to a packet that matches. What is denied gets no answer.")
PRIORITY: Final = says("Of the policies that match a packet the highest priority decides, 0 to 10000. On a tie `deny` wins.")
PROTOCOL: Final = says(
    "`tcp`, `udp`, `icmp` (ICMPv6 for IPv6), the number of an IP protocol, 0 to 255, or null: every protocol."
)
PORTS: Final = says("Destination ports and ranges of TCP or UDP, 1 to 65535, such as `80` and `8000-8099`. Empty: every port.")
REPLIES: Final = says(
    "Whether answers from `to` to `from` are allowed as well: with `allow`, and `tcp`, `udp` or `icmp`. No state is kept."
)
SELECTOR_CUG: Final = says("A CUG: the addresses in its subnets.")
SELECTOR_VM: Final = says("A VM: the addresses of its interfaces, wherever it runs.")
SELECTOR_PREFIX: Final = says("Every address in this prefix.")
SELECTOR_LABELS: Final = says("Every VM whose labels meet all these requirements, separated by commas.")
SELECTOR_ANY: Final = says("Every address.")
SEGMENT_KEY: Final = says("The number of the segment in flows, groups and meters, 1 to 65535. It never changes.")
SEGMENT_VLAN_IDS: Final = says("VLAN-IDs of the segment, 1 to 4094, by L2 domain.")
CUG_NUMBERS: Final = says("The numbers of CUGs, by name.")
DOMAIN_NUMBERS: Final = says("The numbers of routing domains, by name.")
VNIC_NUMBERS: Final = says("Of each VM, the VLAN-IDs (1 to 4094) of its interfaces on the cable of its server, by CUG.")
CENTERS: Final = says("The data centres where the CUG has interfaces, by name.")
EDGES: Final = says("The edge switches of servers where the CUG has interfaces, by name.")
PRESENT_DOMAINS: Final = says("L2 domains where the CUG has a VLAN-ID, by name, also those that it only passes through.")
PRESENT_SERVERS: Final = says("Servers that are L2 domains of their own and have interfaces of the CUG, by name.")
PRESENT_VLAN_ID: Final = says("The VLAN-ID of the CUG in the domain, 1 to 4094.")
PRESENT_INTERFACES: Final = says("How many interfaces of the CUG are there, those about to arrive or to leave included.")
