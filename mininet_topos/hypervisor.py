"""What a hypervisor programs into its virtual switch, as a pure function of the interfaces that are plugged there.

No learning: destinations are known. Toward the fabric a frame carries the guest's own tag if it has one, else the VLAN-ID that
the controller named for the interface (none on an untagged server); toward the guest it carries no tag, or the guest's own.
To a virtual switch two VLAN-IDs are two networks: guests of one CUG under different ones meet in the fabric only.

=======  ==================================================================================================
table 0  which CUG a frame belongs to (register 0), and whether the fabric or a guest sent it (register 1)
table 1  where it goes: guests of the same CUG on this server, the fabric, or both
table 2  how it looks toward the fabric
=======  ==================================================================================================

While a VM is on the move (`Plug.moving`), frames for it from guests of this server go to its device here *and* to the
fabric, which brings them to the other place; so the flip needs no change here, and neither copy comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

GROUP_BIT = "01:00:00:00:00:00/01:00:00:00:00:00"
PRESENT = 0x1000  # vlan_vid's "there is a tag" bit (OpenFlow 1.3)


@dataclass(frozen=True)
class Plug:
    """One interface of a VM on one server. ``key`` numbers its CUG and ``vlan_id``; ``port`` is its device there.

    ``vlan_id`` is the tag on the wire (None: nothing), ``guest_vlan_id`` the tag the guest itself writes.
    """

    key: int
    mac: str
    port: int
    vlan_id: int | None
    guest_vlan_id: int | None = None
    moving: bool = False


def flows(plugs: Sequence[Plug], uplinks: Sequence[int], tagged: bool) -> list[str]:
    """The complete flow table, in ``ovs-ofctl`` syntax. ``uplinks``: one port, or the members of a LAG."""
    found = [*_from_guests(plugs), *_bridging(plugs), *_to_fabric(plugs, uplinks, tagged)]
    found += _from_fabric_tagged(plugs, uplinks) if tagged else _from_fabric_untagged(plugs, uplinks)
    return sorted(set(found))


def _classified(plug: Plug, from_fabric: bool) -> str:
    guest_tag = 0 if plug.guest_vlan_id is None else plug.guest_vlan_id | PRESENT
    return (
        f"load:{plug.key}->NXM_NX_REG0[],load:{int(from_fabric)}->NXM_NX_REG1[],"
        f"load:{guest_tag}->NXM_NX_REG2[],resubmit(,1)"
    )


def _from_guests(plugs: Iterable[Plug]) -> Iterator[str]:
    for plug in plugs:
        start = f"table=0,priority=200,in_port={plug.port}"
        if plug.guest_vlan_id is None:
            yield f"{start},vlan_tci=0,actions={_classified(plug, False)}"
            continue
        yield f"{start},dl_vlan={plug.guest_vlan_id},actions=pop_vlan,{_classified(plug, False)}"
        # the card's own announcement knows nothing of the guest's tag
        yield f"{start},vlan_tci=0,dl_type=0x8035,actions={_classified(plug, False)}"


def _from_fabric_tagged(plugs: Iterable[Plug], uplinks: Sequence[int]) -> Iterator[str]:
    for plug in plugs:
        if plug.vlan_id is None:
            raise ValueError(f"{plug.mac}: a tagged server needs a VLAN-ID for each interface")
        for port in uplinks:
            unmarked = Plug(plug.key, "", 0, plug.vlan_id)
            yield f"table=0,priority=100,in_port={port},dl_vlan={plug.vlan_id},actions=pop_vlan,{_classified(unmarked, True)}"


def _from_fabric_untagged(plugs: Sequence[Plug], uplinks: Sequence[int]) -> Iterator[str]:
    """Without VLAN-IDs the MAC tells the CUG; a broadcast can be told only while there is but one (per guest tag)."""
    by_tag: dict[int | None, set[int]] = {}
    for plug in plugs:
        by_tag.setdefault(plug.guest_vlan_id, set()).add(plug.key)
    for plug in plugs:
        tag = "vlan_tci=0" if plug.guest_vlan_id is None else f"dl_vlan={plug.guest_vlan_id}"
        pop = "" if plug.guest_vlan_id is None else "pop_vlan,"
        for port in uplinks:
            start = f"table=0,priority=100,in_port={port},{tag}"
            yield f"{start},dl_dst={plug.mac},actions={pop}{_classified(plug, True)}"
            if len(by_tag[plug.guest_vlan_id]) == 1:
                yield f"{start},dl_dst={GROUP_BIT},actions={pop}{_classified(plug, True)}"


def _to_guest(plug: Plug) -> str:
    if plug.guest_vlan_id is None:
        return f"output:{plug.port}"
    return f"push_vlan:0x8100,set_field:{plug.guest_vlan_id | PRESENT}->vlan_vid,output:{plug.port},pop_vlan"


def _bridging(plugs: Sequence[Plug]) -> Iterator[str]:
    for plug in plugs:
        here = f"table=1,priority=200,reg0={plug.key},dl_dst={plug.mac}"
        up = ",resubmit(,2)" if plug.moving else ""
        yield f"{here},reg1=1,actions={_to_guest(plug)}"
        yield f"{here},reg1=0,actions={_to_guest(plug)}{up}"
    for key in sorted({plug.key for plug in plugs}):
        everyone = ",".join(_to_guest(plug) for plug in plugs if plug.key == key)
        start = f"table=1,priority=150,reg0={key},dl_dst={GROUP_BIT}"
        yield f"{start},reg1=1,actions={everyone}"
        yield f"{start},reg1=0,actions={everyone},resubmit(,2)"
    yield "table=1,priority=100,reg1=0,actions=resubmit(,2)"


def _to_fabric(plugs: Iterable[Plug], uplinks: Sequence[int], tagged: bool) -> Iterator[str]:
    out = f"output:{uplinks[0]}"
    if len(uplinks) > 1:  # a sender keeps to one member of the LAG, and leaves it when that one is down
        out = f"bundle(eth_src,0,hrw,ofport,members:{','.join(map(str, uplinks))})"
    for plug in plugs:
        if tagged and plug.vlan_id is not None:
            tag = f"push_vlan:0x8100,set_field:{plug.vlan_id | PRESENT}->vlan_vid,"
            yield f"table=2,reg0={plug.key},actions={tag}{out}"
        elif plug.guest_vlan_id is None:
            yield f"table=2,reg0={plug.key},reg2=0,actions={out}"
        else:
            guest = plug.guest_vlan_id | PRESENT
            yield f"table=2,reg0={plug.key},reg2={guest},actions=push_vlan:0x8100,set_field:{guest}->vlan_vid,{out}"
