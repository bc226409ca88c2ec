"""The length checks refuse nothing that a real switch says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mininet_topos.ovs import PrivateOvs, missing_programs
from tests.support.ryu_manager import MANAGER, controller, poll

pytestmark = pytest.mark.skipif(bool(missing_programs()), reason="Open vSwitch is not installed")

FLOWS = """
table=0,priority=100,in_port=1,dl_vlan=10 actions=strip_vlan,write_metadata:0x1/0xff,goto_table:1
table=1,priority=50,arp,arp_tpa=10.0.0.1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT
table=1,priority=40,ipv6,ipv6_dst=2001:db8::/64 actions=group:1
table=1,priority=30,tcp,tp_dst=80,nw_dst=10.1.0.0/16 actions=meter:1,group:2
table=1,priority=0 actions=drop
"""


def test_every_reply_of_open_vswitch_passes(tmp_path: Path) -> None:
    with PrivateOvs(dummy=True) as ovs, controller(tmp_path, MANAGER, "tests.ovs.compat_ask_everything") as running:
        with running.connect():
            pass
        ovs.vsctl(
            "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "protocols=OpenFlow13", "fail_mode=secure"
        )
        ovs.vsctl(
            "set-controller", "br0", "tcp:127.0.0.1:1"
        )  # nobody: a bridge that gets its first controller forgets its flows
        for port in (1, 2):
            ovs.vsctl("add-port", "br0", f"p{port}", "--", "set", "interface", f"p{port}", f"ofport_request={port}")
        ovs.ofctl("add-meter", "br0", "meter=1,kbps,band=type=drop,rate=1000")
        push = "bucket=actions=push_vlan:0x8100,set_field:4106->vlan_vid,output:2"
        ovs.ofctl("add-group", "br0", f"group_id=1,type=all,{push},bucket=actions=output:1")
        ovs.ofctl(
            "add-group", "br0", "group_id=2,type=ff,bucket=watch_port:1,actions=output:1,bucket=watch_port:2,actions=output:2"
        )
        ovs.ofctl("add-flows", "br0", "-", stdin=FLOWS)
        ovs.vsctl("set-controller", "br0", f"tcp:127.0.0.1:{running.port}")

        def finished() -> str | None:
            assert running.process.poll() is None, running.log()
            return running.log() if "GOT EventOFPBarrierReply" in running.log() else None

        log = poll(finished, "the replies")
    assert "refused" not in log, log
    assert "Encountered an error while parsing" not in log, log
    got = Counter(line for line in log.splitlines() if line.startswith("GOT"))
    assert got["GOT EventOFPFlowStatsReply 5"] == 1, log
    assert got["GOT EventOFPGroupDescStatsReply 2"] == 1, log
    assert got["GOT EventOFPMeterConfigStatsReply 1"] == 1, log
    assert any(line.startswith("GOT EventOFPTableFeaturesStatsReply") for line in got), log
    assert got["GOT EventONFBundleCtrlMsg "] == 2, log  # open reply and discard reply
