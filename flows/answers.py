"""ARP and neighbour solicitations for members answered by the edge the asker hangs on.

Only multicast requests are answered: a unicast probe of a known neighbour asks whether it is alive, and that only it can say.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_vmmob.flows.fields import ETH_ARP, MAC_BROADCAST, eui64_link_local
from ryu_vmmob.flows.flow import Flow, match
from ryu_vmmob.flows.pipeline import SEGMENT, Priority, Table
from ryu_vmmob.flows.reply import HAIRPINNED, advertisement, arp_reply
from ryu_vmmob.model.objects import Cug, Interface

ND_MULTICAST = (0x333300000000, 0xFFFF00000000)


def answers(cug: Cug, interface: Interface) -> Iterator[Flow]:
    """Replies in the name of one interface, at an edge where its CUG is present."""
    where = {"metadata": SEGMENT.of(cug.key)}
    for ip in interface.ips:
        if ip.version == 4:
            yield arp_reply({**where, "eth_dst": MAC_BROADCAST}, interface.mac, int(ip), HAIRPINNED)
    v6 = {int(ip) for ip in interface.ips if ip.version == 6}
    for target in sorted(v6 | {eui64_link_local(interface.mac)}) if v6 else ():
        yield from advertisement(where, ND_MULTICAST, interface.mac, target, HAIRPINNED)


def own_announcements(cug: Cug, interface: Interface) -> Iterator[Flow]:
    """A gratuitous ARP asks for its sender's own address: it is news for the CUG, not a question (RFC 5227, 3)."""
    for ip in interface.ips:
        if ip.version == 4:
            yield Flow(
                Table.ANSWER,
                Priority.SPECIAL,
                match(
                    metadata=SEGMENT.of(cug.key),
                    eth_dst=MAC_BROADCAST,
                    eth_type=ETH_ARP,
                    arp_op=1,
                    arp_spa=int(ip),
                    arp_tpa=int(ip),
                ),
                goto=Table.BRIDGE,
            )
