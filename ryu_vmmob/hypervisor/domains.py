"""A hypervisor's domains as this service sees them: a few facts of libvirt's XML. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

Tag = int | Literal["trunk"] | None
"""What a port does with tags: an access port of this VLAN-ID, none at all, or whatever comes."""


@dataclass(frozen=True, slots=True)
class Card:
    """An interface of a domain: its MAC in lower case, its device here (None: not yet), and the tag that its XML says.

    ``alias``: its name inside QEMU, where it is a virtio card with one queue; None otherwise.
    """

    mac: str
    device: str | None
    tag: Tag = None
    is_openvswitch: bool = False
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that is active here. ``arrived``: it came by a migration, as far as libvirt remembers."""

    name: str
    uuid: str
    cards: tuple[Card, ...]
    running: bool = True
    arrived: bool = False

    def card(self, mac: str) -> Card | None:
        """Return the interface with this MAC."""
        return next((row for row in self.cards if row.mac == mac.lower()), None)


def read_domain(xml: str, *, running: bool, arrived: bool) -> Domain:
    """Return a domain from its XML. Raises ValueError when that is none."""
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own
    except ElementTree.ParseError as error:
        raise ValueError(f"a domain's XML cannot be read: {error}") from error
    cards = tuple(card for element in root.findall("./devices/interface") if (card := _card(element)) is not None)
    return Domain(root.findtext("name", ""), root.findtext("uuid", ""), cards, running, arrived)


def _card(element: ElementTree.Element) -> Card | None:
    mac = element.find("mac")
    if mac is None:
        return None
    target, port = element.find("target"), element.find("virtualport")
    device = None if target is None else target.get("dev")
    is_openvswitch = port is not None and port.get("type") == "openvswitch"
    return Card(mac.get("address", "").lower(), device, _tag(element.find("vlan")), is_openvswitch, _alias(element))


def _alias(element: ElementTree.Element) -> str | None:
    alias, model, driver = element.find("alias"), element.find("model"), element.find("driver")
    if alias is None or model is None or not model.get("type", "").startswith("virtio"):
        return None
    return None if driver is not None and driver.get("queues", "1") != "1" else alias.get("name")


def _tag(vlan: ElementTree.Element | None) -> Tag:
    tags = [] if vlan is None else vlan.findall("tag")
    if vlan is None or not tags:
        return None
    plain = vlan.get("trunk", "no") == "no" and len(tags) == 1 and tags[0].get("nativeMode") is None
    return int(tags[0].get("id", "0")) if plain else "trunk"
