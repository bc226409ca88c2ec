"""A VM that has arrived, or so it seems: an announcement that a neighbour may have forged."""

from __future__ import annotations

from ipaddress import IPv4Address

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.flows.flow import tells_controller
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import SEGMENT, Table
from ryu_vmmob.frames.arp_nd import arp_request
from ryu_vmmob.frames.parse import parse
from ryu_vmmob.model.commands import StartMigration
from ryu_vmmob.model.objects import Phase
from tests.support.commands import cug, nic, vm
from tests.support.engine_site import MOVE, Site, phase
from tests.support.fabrics import two_racks

MAC = nic(11).mac


OLD = ("tor-a", 1)


MOVER = Owner(OwnerKind.VM, "web1")


def site(move: StartMigration = MOVE, fabric: Fabric | None = None, neighbour: str = "b1") -> Site:
    """web1 is prepared to go from a1 to b1; web3 is a neighbour."""
    return Site(fabric or two_racks(), cug(), vm(), vm("web3", neighbour, nic(13)), move)


def arrive(made: Site) -> None:
    """A frame at the target meets the flow by which web1 is awaited there."""
    flow = next(
        row for row in made.engine.desired.flows("tor-b")
        if row.table is Table.ADMIT and row.owner.whole == MOVER and any(map(tells_controller, row.actions))
    )  # fmt: skip
    made.engine.network.frame_seen("tor-b", flow.cookie)
    assert phase(made) is Phase.ACTIVATED


def speak(made: Site, at: tuple[str, int] = OLD, ip: str = "10.1.0.11", mac: int = MAC) -> None:
    """web1 asks for its gateway, and the switch refuses and shows it."""
    frame = parse(arp_request(mac, int(IPv4Address(ip)), int(IPv4Address("10.1.0.1"))))
    assert frame is not None
    made.engine.network.frame_refused(*at, SEGMENT.of(made.state.cugs["web"].key)[0], frame)
