"""The fragment mode of real switches is the controller's to set: at the connection, at each audit, and after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mininet_topos.ovs import PrivateOvs
from tests.support.controller import SECONDS, Site, nic, until

NOTHING = {"missing": 0, "alien": 0, "altered": 0}


@pytest.fixture
def site(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Site]:
    with Site(ovs, tmp_path) as running:
        running.put_cugs()
        running.put_vm("w1", "srv-a1", nic("web", 11))
        running.until_right()
        yield running


def mode(site: Site, switch: str) -> str:
    """``normal``, ``drop`` or ``nx-match``, as the switch says itself."""
    return site.ovs.ofctl("get-frags", switch).strip()


def audited(site: Site, switch: str) -> None:
    number = site.rest.post(f"/v1/switches/{switch}/audit")["audit"]
    until(lambda: site.switch(switch)["audits"] >= number)


def test_every_switch_gets_it_when_it_connects(site: Site) -> None:
    assert {name: mode(site, name) for name in site.bridges} == dict.fromkeys(site.bridges, "nx-match")
    assert all(site.switch(name)["repairs"]["fragments"] == NOTHING for name in site.bridges)


@pytest.mark.parametrize("other", ["normal", "drop"])
def test_an_audit_sets_it_again_and_counts_it(site: Site, other: str) -> None:
    site.ovs.ofctl("set-frags", "tor-a", other)
    assert mode(site, "tor-a") == other
    audited(site, "tor-a")
    assert mode(site, "tor-a") == "nx-match"
    assert site.switch("tor-a")["repairs"]["fragments"] == {**NOTHING, "altered": 1}
    assert site.switch("tor-a")["in_step"]
    assert "fragments_altered=1" in site.controller.log
    audited(site, "tor-a")
    assert site.switch("tor-a")["repairs"]["fragments"]["altered"] == 1


def test_a_right_switch_gets_no_message_that_changes_it(site: Site) -> None:
    listener = site.listen()
    audited(site, "tor-a")
    listener.stop()
    assert "OFPT_GET_CONFIG_REQUEST" in listener.counts()
    assert "OFPT_SET_CONFIG" not in listener.counts()


def test_it_is_set_again_when_a_switch_comes_back(site: Site) -> None:
    site.disconnect("tor-c")
    site.ovs.ofctl("set-frags", "tor-c", "normal")
    site.reconnect("tor-c")
    site.until_in_step()
    assert mode(site, "tor-c") == "nx-match"


def test_a_reload_changes_it(site: Site) -> None:
    text = site.fabric_file.read_text()
    row = next(line for line in text.splitlines() if line.strip().startswith("tor-c:"))
    site.fabric_file.write_text(text.replace(row, row.replace("role: tor", "fragments: drop, role: tor")))
    site.rest.post("/v1/fabric/reload", wait=SECONDS)
    until(lambda: mode(site, "tor-c") == "drop")
    assert mode(site, "tor-a") == "nx-match"
    assert site.switch("tor-c")["fragments"] == "drop"
