"""Differences between a hypervisor's domains and the controller's VMs, and the actions that correct them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ryu_vmmob.hypervisor.domains import Card, Domain, Tag
from ryu_vmmob.hypervisor.handover import GOING_ON


class Activate(NamedTuple):
    """The VM of this migration runs here already."""

    vm: str
    migration: str


class TakeBack(NamedTuple):
    """The VM of this migration, which counts as arrived elsewhere, runs here."""

    vm: str
    migration: str


class Claim(NamedTuple):
    """The VM runs here, and the controller takes it to be at ``placed``: its move is posted now."""

    vm: str
    placed: str


class Mend(NamedTuple):
    """The port of an interface does with tags what it must not."""

    vm: str
    mac: str
    device: str
    tag: int | None
    present: Tag
    possible: bool


class Complaint(NamedTuple):
    """What nothing here can put right, as a sentence."""

    vm: str
    text: str


Action = Activate | TakeBack | Claim | Mend | Complaint


def wanted_tags(vm: Mapping[str, Any], move: Mapping[str, Any] | None, here: str) -> dict[str, int | None]:
    """MAC -> tag that this server's switch must add to an interface (None: none); without guests that tag themselves."""
    legs = list(move["interfaces"]) if move is not None and move["to"] == here else None
    found: dict[str, int | None] = {}
    for interface in vm["interfaces"]:
        tag = interface["vlan_id"]
        if legs is not None:
            leg = next((row for row in legs if row["cug"] == interface["cug"]), None)
            if leg is None:
                continue
            legs.remove(leg)
            tag = leg["to_vlan_id"]
        if interface.get("guest_vlan_id") is None:
            found[interface["mac"].lower()] = tag
    return found


def compare(
    here: str,
    name: str,
    domain: Domain,
    vm: Mapping[str, Any] | None,
    move: Mapping[str, Any] | None,
    ports: Mapping[str, Tag],
    claims: str,
) -> list[Action]:
    """Return what is to be done about one domain.

    ``name``: what the controller calls it. ``vm``: its VM in REST, None without one. ``move``: its migration under way.
    ``ports``: what the ports of Open vSwitch really do, by device. ``claims``: ``migrated`` claims a VM for this server only if
    it came by a migration, ``running`` whichever runs here, ``none`` none at all.
    """
    if vm is None or not domain.running:
        return []
    if move is not None and move["to"] == here:
        arrived: list[Action] = [Activate(name, move["id"])] if move["state"] in GOING_ON else []
        return arrived + list(_tags(name, domain, wanted_tags(vm, move, here), ports))
    if move is not None and move["from"] == here:
        return [TakeBack(name, move["id"])] if move["state"] == "activated" else []
    if vm["server"] == here:
        return list(_tags(name, domain, wanted_tags(vm, None, here), ports))
    if move is not None:
        text = f"VM {name} runs here and is on its way from {move['from']} to {move['to']} (migration {move['id']})"
        return [Complaint(name, text)]
    if claims == "running" or (claims == "migrated" and domain.arrived):
        return [Claim(name, vm["server"])]
    return [Complaint(name, f"VM {name} runs here and is placed at {vm['server']}: it has no network here")]


def _tags(name: str, domain: Domain, wanted: Mapping[str, int | None], ports: Mapping[str, Tag]) -> Iterator[Action]:
    for mac, tag in sorted(wanted.items()):
        card = domain.card(mac)
        if card is None or card.device is None:
            continue
        present = ports.get(card.device, card.tag)
        if present != tag:
            yield Mend(name, mac, card.device, tag, present, card.device in ports)


def taps(domain: Domain, vm: Mapping[str, Any]) -> Sequence[tuple[int, Card]]:
    """Return (number in the controller's list, card) of each interface that the domain has here with a device."""
    rows = ((number, domain.card(interface["mac"])) for number, interface in enumerate(vm["interfaces"]))
    return [(number, card) for number, card in rows if card is not None and card.device is not None]
