"""What traffic waits for does not wait for a long command, with the real controller and real switches.

A bulk is worked out for some seconds. Meanwhile a VM is announced at its target: that is acted on before the bulk has ended,
no switch is given up, and in the end everything has been done.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.sim import packet as make
from tests.support.controller import Rest, Site, nic, nic_mac

VMS = 20_000
MAC = nic_mac("web", 11)


@pytest.fixture
def site(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Site]:
    with Site(ovs, tmp_path) as made:
        yield made


def bulk() -> dict[str, Any]:
    """VMs of a CUG of their own, all on one server."""
    vms = {}
    for number in range(VMS):
        high, low = divmod(number + 256, 256)
        interface = {"cug": "many", "mac": f"02:00:01:00:{high:02x}:{low:02x}", "ips": [f"10.200.{high}.{low}"]}
        vms[f"many-{number}"] = {"server": "srv-a2", "interfaces": [interface]}
    return {"cugs": {"many": {"subnets": ["10.200.0.0/16"], "gateways": ["10.200.255.254"]}}, "vms": vms}


def test_an_announcement_during_a_bulk(site: Site) -> None:
    site.put_cugs()
    site.put_vm("web1", "srv-a1", nic("web", 11))
    row = site.move("web1", "srv-c1", commit="request")
    site.until_state(row["id"], "prepared")
    disconnected = len(re.findall(r"switch\.disconnected", site.controller.log))
    answers: list[Any] = []
    other = Rest(site.controller.rest)
    posting = threading.Thread(target=lambda: answers.append(other.post("/v1/bulk", bulk())))
    posting.start()
    time.sleep(2)  # it has been read by then, and is worked out; that it is not over is looked at below
    site.inject("tor-c:1", make.rarp(MAC).with_vlans(row["interfaces"][0]["to_vlan_id"]))
    site.until_state(row["id"], "activated")
    at_activation = list(answers)
    site.rest.post(f"/v1/migrations/{row['id']}/commit", {})
    posting.join()
    assert at_activation == [], "the bulk was over before it could be overtaken: make it longer"
    assert len(answers[0]["created"]["vms"]) == VMS
    assert site.rest.get("/v1/vms/web1")["server"] == "srv-c1"
    assert len(re.findall(r"switch\.disconnected", site.controller.log)) == disconnected
    assert "Traceback" not in site.controller.log
