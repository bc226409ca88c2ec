"""The meters of a switch: one for each purpose at each port at which something of the fabric hangs, so their number is bounded:
4 and an answering one for each port of a server, 2 for each of an external network, 1 for each of a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ryu_vmmob.fabric.model import Dialect, Fabric
from ryu_vmmob.flows.pipeline import METER_RATES, Meter, meter_id

_AT_SERVERS: Final = (Meter.ANSWERS, Meter.REFUSALS, Meter.AWAITED, Meter.WATCHED, Meter.ANNOUNCEMENTS)
_AT_EXTERNALS: Final = (Meter.ANSWERS, Meter.NEIGHBOURS)


def ports_of(fabric: Fabric, switch: str) -> list[int]:
    """Return the ports of a switch at which servers, external networks and other switches hang, ascending."""
    ends = [*fabric.link_at, *fabric.server_at, *(row.attach for row in fabric.externals.values())]
    return sorted({end.port for end in ends if end.switch == switch})


def meters_of(fabric: Fabric, switch: str) -> Mapping[int, int]:
    """(id, packets a second) of the meters that a switch needs: none for one that is said to have none."""
    found = fabric.switches.get(switch)
    if found is None or found.dialect is not Dialect.OPENVSWITCH or not found.meters:
        return {}
    wanted = [(Meter.ANSWERS, port) for port in ports_of(fabric, switch)]
    wanted += [(meter, end.port) for end in fabric.server_at if end.switch == switch for meter in _AT_SERVERS]
    ends = (row.attach for row in fabric.externals.values())
    wanted += [(meter, end.port) for end in ends if end.switch == switch for meter in _AT_EXTERNALS]
    return {meter_id(meter, port): METER_RATES[meter] for meter, port in wanted}
