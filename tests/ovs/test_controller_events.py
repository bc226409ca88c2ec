"""Events and timelines of the real controller with real switches: in order, every confirmation, over a restart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.client import Client, ClientError
from tests.support.controller import WEB, Site, nic, until


@pytest.fixture
def site(ovs: PrivateOvs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with Site(ovs, tmp_path) as running:
        running.until_in_step()
        yield running


def page(site: Site, **query: Any) -> list[Any]:
    items: list[Any] = site.rest.get("/v1/events", **query)["items"]
    return items


def test_a_move_from_beginning_to_end(site: Site) -> None:
    names = set(site.fabric.switches)
    until(lambda: {row["switch"] for row in page(site, types="switch.in_step")} == names)
    assert {row["switch"] for row in page(site, types="switch.connected")} == names
    site.rest.put("/v1/cugs/web", WEB)
    site.put_vm("w1", "srv-a1", nic("web", 11))
    last = site.rest.get("/v1/events", limit=1)["last"]
    heard = Client(site.controller.rest).events(["migration"], since=last)
    id_ = site.move("w1", "srv-c1")["id"]
    site.rest.post(f"/v1/migrations/{id_}/activate")
    rows = [*takewhile(lambda row: (row["event"], row.get("state")) != ("migration.confirmed", "committed"), heard)]
    heard.close()
    assert [row["event"].partition(".")[2] for row in rows] == [
        "preparing", "confirmed", "prepared", "activated", "confirmed", "committed",
    ]  # fmt: skip
    assert {row["migration"] for row in rows} == {id_}
    done = site.until_state(id_, "committed")
    for entry in done["timeline"]:
        assert entry["acknowledged"].keys() == entry["flow_mods"].keys()
        assert all(entry["time"] <= when <= entry["complete"] for when in entry["acknowledged"].values())
    times = [entry["time"] for entry in done["timeline"]]
    assert times == sorted(times)
    assert done["settled"] > 0
    assert "Traceback" not in site.controller.log


def test_over_a_restart(site: Site) -> None:
    site.rest.put("/v1/cugs/web", WEB)
    site.put_vm("w1", "srv-a1", nic("web", 11))
    id_ = site.move("w1", "srv-c1", commit="request")["id"]
    site.rest.post(f"/v1/migrations/{id_}/activate", wait=60)
    before = site.migration(id_)
    heard = Client(site.controller.rest).events(since=0)
    last = max(row["id"] for row in takewhile(lambda row: row["event"] != "migration.activated", heard))
    site.controller.kill()
    with pytest.raises(ClientError, match="tells no more: the connection is lost"):
        list(heard)
    site.controller.start()
    site.until_in_step()
    first, *later = page(site, since=last)
    assert (first["event"], first["missed"]) == ("gap", None)
    assert all(row["id"] > last for row in (first, *later))
    after = site.until_state(id_, "activated")
    # What was written with the activation is as it was; the activation's own was not, and each switch has confirmed it since.
    assert after["timeline"][:2] == before["timeline"][:2]
    assert after["timeline"][2]["acknowledged"].keys() == before["timeline"][2]["acknowledged"].keys()
    assert None not in after["timeline"][2]["acknowledged"].values()
    site.rest.post(f"/v1/migrations/{id_}/commit", wait=60)
    assert site.migration(id_)["timeline"][2] == after["timeline"][2]
