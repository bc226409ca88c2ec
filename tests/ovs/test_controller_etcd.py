"""The controller on etcd: a restart changes no flow, an etcd that hangs stalls nothing else, one that is away is a 503."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.store import StoreError, open_store
from tests.support.controller import Site, nic, populate
from tests.support.etcd import Etcd, missing

pytestmark = missing


def test_a_controller_on_etcd(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Etcd(tmp_path) as etcd, Site(ovs, tmp_path, settings={"store": etcd.url("vmmob")}) as site:
        populate(site)
        site.until_in_step()
        listener = site.listen()
        site.controller.kill()
        site.start()
        assert listener.counts()["OFPST_FLOW"] >= len(site.bridges)  # every switch was asked, and heard so
        assert listener.changes() == 0
        before = site.rest.get("/v1/vms")["items"]
        assert before
        listener.stop()
        with pytest.raises(StoreError, match=r"another controller \(process \d+ on .*, opening 2\) has it open"):
            open_store(etcd.url("vmmob"))

        # While etcd hangs a change waits, and all else goes on.
        body = {"server": sorted(site.fabric.servers)[0], "interfaces": [nic("web", 99)]}
        answers: list[Any] = []
        etcd.signal(0, signal.SIGSTOP)
        put = threading.Thread(target=lambda: answers.append(put_vm(site, "v99", body)))
        put.start()
        for _ in range(5):
            assert requests.get(f"{site.controller.rest}/healthz", timeout=60).ok
        assert not answers
        etcd.signal(0, signal.SIGCONT)
        put.join()
        assert [answer.status_code for answer in answers] == [201]

        # Without etcd a change is refused, and what is there is still told; afterwards it goes on by itself.
        etcd.kill(0)
        refused = put_vm(site, "v98", {**body, "interfaces": [nic("web", 98)]})
        assert refused.status_code == 503
        assert "no majority of etcd answered" in refused.text
        assert len(site.rest.get("/v1/vms")["items"]) == len(before) + 1
        assert requests.get(f"{site.controller.rest}/readyz", timeout=60).status_code == 503
        etcd.start(0)
        etcd.until_ready(0)
        site.until_in_step()
        while (again := put_vm(site, "v98", {**body, "interfaces": [nic("web", 98)]})).status_code == 503:
            threading.Event().wait(0.1)
        assert again.status_code == 201
        kinds = [row["event"] for row in site.rest.get("/v1/events")["items"] if row["event"].startswith("store.")]
        assert (kinds[0], kinds[-1]) == ("store.failed", "store.recovered")
        copy = tmp_path / "copy.db"
        copy.write_bytes(requests.post(f"{site.controller.rest}/v1/backup", timeout=60).content)
        assert copy.read_bytes().startswith(b"SQLite format 3")


def put_vm(site: Site, name: str, body: dict[str, Any]) -> requests.Response:
    return requests.put(f"{site.controller.rest}/v1/vms/{name}", json=body, timeout=60)
