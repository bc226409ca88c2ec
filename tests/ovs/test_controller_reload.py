"""The fabric file edited under the running controller and read again, by SIGHUP and by REST, with real switches."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.sim import packet as make
from tests.ovs.trace import travel
from tests.support.controller import SECONDS, Site, nic, nic_ip, nic_mac, until

NEW_SWITCH = '  tor-d:    {dpid: "0x0d", role: tor, l2_domain: rack-b, data_center: dc1}\n'
NEW_LINK = '  - {a: "tor-d:49", b: "border-1:3", l2_domain: core-1}\n'
NEW_SERVERS = '  srv-d1: {attach: "tor-d:1"}\n  srv-a9: {attach: "tor-a:9"}\n'


@contextmanager
def site_with_two_vms(ovs: PrivateOvs, directory: Path) -> Iterator[Site]:
    with Site(ovs, directory, settings={"link_up_delay": "0"}) as site:
        site.put_cugs()
        site.put_vm("w1", "srv-a1", nic("web", 11))
        site.put_vm("w2", "srv-b1", nic("web", 12))
        site.until_right()
        yield site


def edit(site: Site, *pairs: tuple[str, str]) -> str:
    """Put each second text in the place of the first; the text before."""
    before = text = site.fabric_file.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    site.fabric_file.write_text(text, encoding="utf-8")
    return before


def hang_up(site: Site) -> None:
    os.kill(site.controller.pid, signal.SIGHUP)


def since(site: Site) -> dict[str, str | None]:
    return {row["name"]: row["connected_since"] for row in site.rest.get("/v1/switches")["items"]}


def test_a_description_touches_no_switch(ovs: PrivateOvs, tmp_path: Path) -> None:
    with site_with_two_vms(ovs, tmp_path) as site:
        connections = since(site)
        listener = site.listen()
        edit(site, ("srv-a1: {attach", "srv-a1: {description: by the door, attach"))
        hang_up(site)
        until(lambda: any(row["description"] == "by the door" for row in site.rest.get("/v1/fabric")["servers"]))
        site.until_in_step()
        # Whatever was sent for it stands before what a new VM needs, on the same connections.
        assert listener.changes() == 0
        assert since(site) == connections
        site.put_vm("w3", "srv-a2", nic("web", 13))
        assert listener.changes() > 0
        listener.stop()
        site.until_right()


def test_a_file_with_errors_and_one_that_takes_away_what_is_used(ovs: PrivateOvs, tmp_path: Path) -> None:
    with site_with_two_vms(ovs, tmp_path) as site:
        listener = site.listen()
        before = site.rest.get("/v1/fabric")
        good = edit(site, ('dpid: "0x0b"', 'dpid: "0x0a"'))
        hang_up(site)
        until(lambda: "dpid-used-twice" in site.controller.log and "fabric.refused" in site.controller.log)
        answer = site.rest.ask("POST", "/v1/fabric/reload")
        assert (answer.status_code, [row["path"] for row in answer.json()["errors"]]) == (422, ["switches.tor-b.dpid"])
        assert f"{site.fabric_file}:" in answer.json()["detail"]

        site.fabric_file.write_text(good, encoding="utf-8")
        line = next(row for row in good.splitlines(keepends=True) if row.startswith("  srv-a1:"))
        edit(site, (line, ""))
        hang_up(site)
        until(lambda: "server 'srv-a1' cannot be taken away: VM 'w1' is there" in site.controller.log)
        answer = site.rest.ask("POST", "/v1/fabric/reload")
        assert (answer.status_code, [row["path"] for row in answer.json()["errors"]]) == (409, ["servers.srv-a1"])

        site.fabric_file.unlink()
        assert site.rest.ask("POST", "/v1/fabric/reload").status_code == 422
        site.fabric_file.write_text(good, encoding="utf-8")
        assert site.rest.post("/v1/fabric/reload", wait=SECONDS)["unchanged"] is True
        assert site.rest.get("/v1/fabric") == before
        assert listener.changes() == 0
        listener.stop()
        site.until_right()


def test_a_switch_a_link_and_servers_come_and_go(ovs: PrivateOvs, tmp_path: Path) -> None:
    with site_with_two_vms(ovs, tmp_path) as site:
        old_fabric, connections = site.fabric, since(site)
        before = {name: site.has(name) for name in site.bridges}
        good = edit(
            site,
            ("  tor-c:    {dpid", f"{NEW_SWITCH}  tor-c:    {{dpid"),
            ('  - {a: "tor-a:49"', f'{NEW_LINK}  - {{a: "tor-a:49"'),
            ("  srv-a1:", f"{NEW_SERVERS}  srv-a1:"),
        )
        site.fabric = load(site.fabric_file)
        site.bridges["border-1"].add_port(3)
        # It knocks before the file says who it is: its connection is kept, and used once it is known.
        site.add_bridge("tor-d")
        until(lambda: "dpid 0xd connected" in site.controller.log)
        hang_up(site)
        until(lambda: "fabric.reloaded" in site.controller.log)
        site.until_right()
        until(lambda: all(row["up"] for row in site.rest.get("/v1/fabric")["links"]))
        assert {name: row for name, row in since(site).items() if name != "tor-d"} == connections

        tag = site.put_vm("w3", "srv-d1", nic("web", 13))["interfaces"][0]["vlan_id"]
        site.put_vm("w4", "srv-a9", nic("web", 14))
        site.until_right()
        packet = make.udp(nic_mac("web", 11), nic_mac("web", 13), nic_ip("web", 11), nic_ip("web", 13)).with_vlans(tag)
        assert travel(site, packet, "tor-d:1")[1] == ["tor-a:1"]

        site.fabric_file.write_text(good, encoding="utf-8")
        answer = site.rest.ask("POST", "/v1/fabric/reload")
        assert answer.status_code == 409
        paths = {row["path"] for row in answer.json()["errors"]}
        assert {"switches.tor-d", "servers.srv-d1", "servers.srv-a9", "links.border-1:3=tor-d:49"} == paths

        for name in ("w3", "w4"):
            site.rest.call("DELETE", f"/v1/vms/{name}", wait=SECONDS)
        answer = site.rest.post("/v1/fabric/reload", wait=SECONDS)
        assert answer["removed"]["switches"] == ["tor-d"]
        # What it had of ours it gives up, before it is let go.
        until(lambda: site.has("tor-d") == (frozenset(), {}), lambda: site.has("tor-d"))
        site.remove_bridge("tor-d")
        site.fabric = old_fabric
        site.until_right()
        assert {name: site.has(name) for name in site.bridges} == before
        assert {name: row for name, row in since(site).items() if name != "tor-d"} == connections
