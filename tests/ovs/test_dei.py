"""What real Open vSwitch makes of the drop eligible indicator (DEI, IEEE 802.1Q, 9.6), byte for byte at its ports."""

from __future__ import annotations

from pathlib import Path

import pytest

from mininet_topos.ovs import PrivateOvs
from tests.support.bridges import Bridge, MakeBridge
from tests.support.controller import until

_PCP, _DEI, _FIRST, _OTHER = 5 << 13, 1 << 12, 100, 2000
_SRC, _DST = bytes.fromhex("020000000101"), bytes.fromhex("020000000102")


def frame(tci: int) -> bytes:
    return _DST + _SRC + b"\x81\x00" + tci.to_bytes(2, "big") + b"\x88\xb5" + bytes(46)


def recorded(path: Path) -> list[bytes]:
    """The frames of a pcap file, whichever way round its numbers are."""
    data, found = path.read_bytes(), list[bytes]()
    order = "little" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else "big"
    offset = 24
    while offset + 16 <= len(data):
        size = int.from_bytes(data[offset + 8 : offset + 12], order)  # type: ignore[arg-type]
        found.append(data[offset + 16 : offset + 16 + size])
        offset += 16 + size
    return found


def sent_out(ovs: PrivateOvs, bridge: Bridge, path: Path, actions: str, data: bytes) -> bytes:
    """What leaves by port 2 of a frame that comes in at port 1."""
    ovs.vsctl("set", "interface", bridge.device(2), f"options:tx_pcap={path}")
    ovs.ofctl("del-flows", bridge.name)
    ovs.ofctl("add-flow", bridge.name, f"in_port=1,dl_vlan={_FIRST},actions={actions}")
    ovs.appctl("netdev-dummy/receive", bridge.device(1), data.hex())
    return until(lambda: recorded(path) if path.exists() else [])[-1]


SAME = f"pop_vlan,push_vlan:0x8100,set_field:{0x1000 | _FIRST}->vlan_vid,set_field:5->vlan_pcp,output:2"
OTHER = f"pop_vlan,push_vlan:0x8100,set_field:{0x1000 | _OTHER}->vlan_vid,set_field:5->vlan_pcp,output:2"
IN_PLACE = f"set_field:{0x1000 | _OTHER}->vlan_vid,output:2"


@pytest.mark.parametrize(
    ("actions", "vlan_id", "kept"),
    [("output:2", _FIRST, True), (SAME, _FIRST, True), (OTHER, _OTHER, False), (IN_PLACE, _OTHER, False)],
    ids=["untouched", "same tag again", "another tag", "another tag in place"],
)
def test_the_drop_eligible_indicator_stays_where_a_tag_stays_as_it_is(
    ovs: PrivateOvs, bridge: MakeBridge, tmp_path: Path, actions: str, vlan_id: int, kept: bool
) -> None:
    """Open vSwitch reads it as "there is a tag", so no flow can match or set it. In a tag that comes out as it came in nothing
    is written; where the VLAN-ID or the priority is another, also when it is set in place, the tag is written without it.
    """
    out = sent_out(ovs, bridge("dei", 1, 2), tmp_path / "out.pcap", actions, frame(_PCP | _DEI | _FIRST))
    assert out[12:14] == b"\x81\x00"
    assert int.from_bytes(out[14:16], "big") == (_PCP | (_DEI if kept else 0) | vlan_id)
