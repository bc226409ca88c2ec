"""Owners of flows and groups: the object that contributes an entry, and which part of it.

======================= ============= ============ =======================================================================
kind                    name          part         what it puts into a switch
======================= ============= ============ =======================================================================
``SWITCH``                                         the flows every switch has (`base`)
``PUNT``                                           what each port may ask of the controller (`base.punt`)
``TREES``                                          where backup paths are installed, by which ports the frames of a tree may not
                                                   come (`trees.closed`)
``SERVER``              server                     what a server may not send (`base.refusals`)
``CUG``                 CUG                        a segment at a switch that carries it (`segment`, `gateway.gateway_on_link`)
``GATEWAY``             CUG                        its gateway at every edge of its routing domain (`gateway.gateway_in_scope`)
``ROUTING_DOMAIN``      domain                     a routed segment at a switch that carries it (`routes.routing_entries`)
``EXTERNAL``            network                    an external network at its edge (`external.external_entries`)
``CABLE``               CUG           server       a CUG on the cable of a server with tagging per interface, in parts: with
                                                   ``piece`` and ``number`` those of one VLAN-ID or tree node (`cable.Cable`)
``HOP``                 segment       edge         the group that leads to a remote edge (`segment.next_hop`)
``VM``                  VM            interface    an interface, at every switch that carries its CUG (`interface`)
``ROUTE``               VM            interface    the routes to it, at every edge of its routing domain (`routes`)
``POLICY``              policy                     a policy, at the edges where it can matter (`policy.policy_flows`)
======================= ============= ============ =======================================================================
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple


class OwnerKind(StrEnum):
    """The kind of an owner."""

    NONE = ""
    SWITCH = "switch"
    PUNT = "punt"
    TREES = "trees"
    SERVER = "server"
    CUG = "cug"
    GATEWAY = "gateway"
    ROUTING_DOMAIN = "routing_domain"
    EXTERNAL = "external"
    CABLE = "cable"
    HOP = "hop"
    VM = "vm"
    ROUTE = "route"
    POLICY = "policy"

    # Owners are keys of large dictionaries, and an enumeration's own hash is worked out in Python each time.
    __hash__ = str.__hash__


Piece = Literal["", "vnic", "node", "twin"]


class Owner(NamedTuple):
    """The owner of flows and groups. Empty fields do not apply."""

    kind: OwnerKind
    name: str = ""
    part: str = ""
    piece: Piece = ""
    number: str = ""

    @property
    def whole(self) -> Owner:
        """The object itself, whatever the part."""
        return Owner(self.kind, self.name)

    def __str__(self) -> str:
        return " ".join(text for text in self if text)


UNOWNED: Final = Owner(OwnerKind.NONE)
"""Of a flow that no compiler made, and of what a switch refused that belongs to no object."""
EVERY_SWITCH: Final = Owner(OwnerKind.SWITCH)
"""The owner of what every switch has."""
