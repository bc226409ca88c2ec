"""Two hundred VMs leave a server, then a whole switch, on three real switches; in the middle the controller is killed."""

from __future__ import annotations

from collections import Counter

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.bench.evacuate import CUGS, HOME, VMS, Orchestrator, bodies
from ryu_vmmob.client import Client
from tests.support.controller import SECONDS, Site


def placed(site: Site) -> Counter[str]:
    return Counter(row["server"] for row in site.rest.get("/v1/vms")["items"])


def test_two_hundred_vms_leave_a_server_and_a_switch(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> None:
    asked = bodies(VMS, CUGS, HOME)
    with Site(ovs, tmp_path_factory.mktemp("evacuate"), "one-dc.yaml") as site:
        site.rest.post("/v1/bulk", asked, wait=SECONDS)
        client = Client(site.controller.rest, timeout=SECONDS)
        orchestrator = Orchestrator(client, site.fabric, site.bridges, asked["vms"])

        # One server, to any other: its neighbour in the rack takes all.
        begun = client.post(f"/v1/servers/{HOME}/evacuate", {"parallel": 16})
        done = orchestrator.see_through(begun["id"])
        assert (done["state"], done["counts"]) == ("finished", {"committed": VMS})
        assert placed(site) == {"srv-a2": VMS}
        site.until_right()

        # The whole switch, killed on the way: nobody is asked a second time, nobody is forgotten.
        begun = client.post("/v1/switches/tor-a/evacuate", {"parallel": 16})
        some = orchestrator.see_through(begun["id"], lambda batch: batch["counts"].get("committed", 0) >= VMS // 4)
        assert some["state"] == "running"
        site.controller.kill()
        site.start()
        assert client.get(f"/v1/batches/{begun['id']}")["counts"]["committed"] >= VMS // 4
        done = orchestrator.see_through(begun["id"])
        assert (done["state"], done["counts"]) == ("finished", {"committed": VMS})
        assert placed(site) == {"srv-b1": VMS // 2, "srv-b2": VMS // 2}
        assert len({row["migration"] for row in done["vms"]}) == VMS
        site.until_right()
