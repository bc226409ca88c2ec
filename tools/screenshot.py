#!/usr/bin/env python3
"""Makes docs/pictures/dashboard.png and large.png: the real controller in a headless browser, a move under way.

    PYTHONPATH=. .venv/bin/python tools/screenshot.py [FOLDER]

With a folder all pictures go there, those of a phone too, and none into the documentation. The small site has real bridges, the
large one fake switches (`ryu_vmmob.bench.large_site`).

It needs Open vSwitch and Chromium (tools/setup.sh installs both), no root and no network. The bridges are private ones on
dummy devices; nothing is left behind.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser  # noqa: E402

from mininet_topos.ovs import PrivateOvs  # noqa: E402
from ryu_vmmob.bench import large_site  # noqa: E402
from ryu_vmmob.bench.rig import Rig  # noqa: E402
from ryu_vmmob.flows.router import router_mac  # noqa: E402
from ryu_vmmob.sim import packet as make  # noqa: E402
from tests.browser.chrome import Watched, chromium  # noqa: E402
from tests.support.controller import SECONDS, Site  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
DOCUMENTED = ("dashboard", "large")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
CUGS = {
    "web": {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "routing_domain": "red"},
    "shop": {"subnets": ["10.2.0.0/24"], "routing_domain": "red"},
    "db": {"subnets": ["10.3.0.0/24"], "routing_domain": "red"},
    "lab": {"subnets": ["10.4.0.0/24"]},
}
PLACES = {
    "srv-a1": ("web1", "shop1"), "srv-a2": ("web2", "db1"), "srv-a3": ("lab1",),
    "srv-b1": ("web3", "shop2"), "srv-b2": ("db2", "lab2"), "srv-c1": ("shop3",),
    "srv-c2": ("web4", "lab3"), "srv-d1": ("db3", "shop4"),
}  # fmt: skip


def _allow(source: dict[str, Any], cug: str, *ports: str) -> dict[str, Any]:
    return {"action": "allow", "from": source, "to": {"cug": cug}, "protocol": "tcp", "ports": list(ports), "replies": True}


POLICIES = {
    "shop-to-db": _allow({"cug": "shop"}, "db", "5432"),
    "web-to-shop": _allow({"cug": "web"}, "shop", "8080"),
    "world-to-web": _allow({"any": True}, "web", "80", "443"),
}


def _vms() -> dict[str, Any]:
    nets = list(CUGS)
    found = {}
    for server, names in PLACES.items():
        for name in names:
            cug, number = name.rstrip("0123456789"), int(name[-1])
            net = nets.index(cug) + 1
            ips = [f"10.{net}.0.{10 + number}", *([f"2001:db8:1::{10 + number:x}"] if cug == "web" else [])]
            interface = {"cug": cug, "mac": f"02:00:00:00:{net:02x}:{10 + number:02x}", "ips": ips}
            found[name] = {"server": server, "interfaces": [interface]}
    return found


def populate(site: Site) -> None:
    """CUGs, VMs, policies; a move that is over, one that was aborted, and one that is prepared."""
    site.rest.post("/v1/bulk", {"cugs": CUGS, "vms": _vms(), "policies": POLICIES}, wait=SECONDS)
    over = site.move("db3", "srv-c1", activate_on="request")
    site.rest.post(f"/v1/migrations/{over['id']}/activate")
    site.until_state(over["id"], "committed")
    given_up = site.move("shop2", "srv-a2")
    site.rest.post(f"/v1/migrations/{given_up['id']}/abort", {"reason": "the hypervisor found no memory"}, wait=SECONDS)


def answer_outside(site: Site) -> None:
    """Let the routers outside answer once: without them the strip would report that no next hop answers."""
    for number, external in enumerate(site.fabric.externals.values(), 1):
        hop = next(hop for hop in external.next_hops if hop.version == 4)
        own = next(row.ip for row in external.addresses if row.version == 4)
        frame = make.arp_reply(0x020000FE0000 + number, int(hop), router_mac(site.stored(), external.attach.switch), int(own))
        site.inject(str(external.attach), frame if external.vlan_id is None else frame.with_vlans(external.vlan_id))


def small(folder: Path, browser: Browser) -> list[str]:
    """Draw two data centres with real bridges, a move under way; return what was wrong with the page."""
    with (
        PrivateOvs(dummy=True) as ovs, tempfile.TemporaryDirectory() as scratch,
        Site(ovs, Path(scratch), "two-dcs.yaml") as site,
    ):  # fmt: skip
        populate(site)
        faults = []
        for name, size in (("dashboard", DESK), ("dashboard-phone", PHONE)):
            watched = Watched(browser, site.controller.rest, viewport=size)
            page = watched.load()
            if name == "dashboard":
                site.move("web1", "srv-c1", activate_on="request", commit="request")
                forged = make.gratuitous_arp(0x020000000211, 10 << 24 | 2 << 16 | 11)
                tag = site.rest.get("/v1/vms/web2")["interfaces"][0]["vlan_id"]
                site.inject("tor-a:2", forged.with_vlans(tag))
                answer_outside(site)
            page.wait_for_selector("article.move.prepared")
            page.wait_for_selector("#log li.warn .words >> text=refused")
            faults += take(watched, folder, name)
    return faults


def large(folder: Path, browser: Browser) -> list[str]:
    """Draw a large site with fake switches: all of it while a VM moves, and the way of a packet."""
    with Rig(large_site.fabric(), real=False) as rig:
        rig.fakes.say("all traffic 1000000")
        rig.client.post("/v1/bulk", large_site.bulk(), wait=SECONDS)
        rig.until_in_step()
        rig.client.post("/v1/migrations", {"vm": "shop-web-03", "to": "srv-2-06-04", "activate_on": "request"}, wait=SECONDS)
        faults = []
        for name, size, address in (
            ("large", DESK, "#vm=shop-web-03"), ("large-phone", PHONE, ""), ("large-path", DESK, "#vm=mail-web-01"),
        ):  # fmt: skip
            watched = Watched(browser, rig.controller.rest, viewport=size)
            page = watched.load()
            page.evaluate("address => { location.hash = address; }", address)
            page.wait_for_selector("article.move.prepared")
            if name == "large-path":
                form = page.locator("form[data-form=trace]")
                form.get_by_label("To", exact=True).fill("mail-app-02")
                form.get_by_label("Protocol").select_option("tcp")
                form.get_by_label("Port").fill("8080")
                form.get_by_role("button", name="Show the path").click()
                page.wait_for_selector("form .verdict")
                page.locator("#tab-vms").click()
            faults += take(watched, folder, name)
    return faults


def take(watched: Watched, folder: Path, name: str) -> list[str]:
    """Take a picture of a page as it is; return what was wrong with it."""
    watched.page.mouse.move(0, 0)
    watched.page.evaluate("document.activeElement.blur()")
    watched.page.wait_for_timeout(700)
    watched.page.screenshot(path=str(folder / f"{name}.png"))
    watched.close()
    print(f"{folder / name}.png: {(folder / name).with_suffix('.png').stat().st_size // 1024} KiB")
    return [f"{name}: {fault}" for fault in watched.faults]


def main() -> int:
    """Take the pictures: those of the documentation there, or all of them in a folder."""
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        folder.mkdir(parents=True, exist_ok=True)
        faults = small(folder, browser) + large(folder, browser)
        if len(sys.argv) == 1:
            for name in DOCUMENTED:
                shutil.copy(folder / f"{name}.png", PICTURES)
    for fault in faults:
        print("the page had a fault:", fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
