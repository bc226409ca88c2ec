"""What the page says when something is wrong: in the strip, in the title of the tab, and when nobody answers any more."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from ryu_vmmob.fabric.model import PortRef
from tests.browser.chrome import Open
from tests.browser.page import find, wait_for
from tests.support.controller import Site, nic, until

IN_STEP = "all 7 switches are in step"


@contextmanager
def pulled(site: Site, *ports: PortRef) -> Iterator[None]:
    """Without these cables."""
    for port in ports:
        site.bridges[port.switch].set_link(port.port, up=False)
    try:
        yield
    finally:
        for port in ports:
            site.bridges[port.switch].set_link(port.port, up=True)


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    """The controller hangs: its connections stand, and nothing comes."""
    os.kill(site.controller.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(site.controller.pid, signal.SIGCONT)


@pytest.fixture
def calm(running: Site) -> Iterator[Site]:
    """A CUG that is not routed, so that nobody misses the networks outside, where nobody answers here. All is well."""
    running.rest.put("/v1/cugs/web", {"subnets": ["10.1.0.0/24"]})
    for name, server, number in (("web1", "srv-a1", 11), ("web2", "srv-c1", 12)):
        running.put_vm(name, server, {**nic("web", number), "ips": [f"10.1.0.{number}"]})
    running.until_in_step()
    assert running.rest.get("/v1/health")["status"] == "ready"
    yield running
    running.clear()


def wan(site: Site) -> list[PortRef]:
    """An end of each link between the data centres."""
    switches = site.fabric.switches
    return [row.a for row in site.fabric.links if switches[row.a.switch].data_center != switches[row.b.switch].data_center]


REFUSED_FOR = 90.0
"""Seconds, more than the minute for which a refused frame of an earlier test stands in the strip and in the title."""


def until_title(page: Page, pattern: str, seconds: float = 30.0) -> None:
    expect(page).to_have_title(re.compile(pattern), timeout=1000 * seconds)


def measured(what: str, began: float) -> None:
    """For a reader of the output (pytest -s); nothing is judged by it."""
    print(f"{what}: {time.monotonic() - began:.1f} s")


def test_data_centres_cut_asunder_are_red_and_stand_in_the_title(calm: Site, open_page: Open) -> None:
    page = open_page().load()
    status = page.locator("#status")
    expect(status).to_contain_text(IN_STEP)
    site, links = calm, wan(calm)
    assert len(links) > 1
    began = time.monotonic()
    with pulled(site, links[0]):
        tile = status.locator("button.warn", has_text="1 link down")
        expect(tile).to_be_visible()
        measured("a link is down, amber", began)
        until_title(page, "^⚠ ")
        tile.click()
        expect(page.locator("#details h2")).to_contain_text(str(links[0]))
        expect(page.locator("#details")).to_contain_text("It carries nothing")
        began = time.monotonic()
        with pulled(site, *links[1:]):
            until_title(page, "^✕ two-dcs")
            measured("both data centres are cut apart, red, ✕ in the title", began)
            tile = status.locator("button.bad", has_text="cannot reach each other")
            expect(tile).to_contain_text("dc1 | dc2")
            expect(status).to_contain_text(f"{len(links)} links down")
            # Who would move a VM away from the others is warned.
            find(page, "web1")
            place = page.locator("label.place", has_text="srv-b1")
            expect(place).to_contain_text("1 of the 1 other VMs of its CUGs are out of reach")
            # The command line and the probe say the same, for they are told by the same function.
            health, ready = site.rest.get("/v1/health"), site.rest.get("/readyz")
            assert [row["data_centers"] for row in health["parts"]] == [["dc1"], ["dc2"]]
            assert (ready["status"], ready["troubles"][0]) == ("degraded", health["reasons"][0]["what"])
    expect(status.locator(".bad")).to_have_count(0)
    expect(status.locator(".warn", has_text="link")).to_have_count(0)
    until_title(page, "^two-dcs", REFUSED_FOR)


def test_an_external_network_that_is_down_is_told(site: Site, open_page: Open) -> None:
    page = open_page().load()
    (name, external), *_ = sorted(site.fabric.externals.items())
    with pulled(site, external.attach):
        tile = page.locator("#status button", has_text="1 external network down")
        expect(tile).to_contain_text(name)
        until_title(page, "^✕ ")
        tile.click()
        expect(page.locator("#details h2")).to_contain_text(name)
    expect(page.locator("#status")).not_to_contain_text("1 external network down")


def grey(page: Page) -> bool:
    """Whether nothing on the page has a colour that would say how things are."""
    return bool(
        page.evaluate(
            """(() => {
        const style = (each) => getComputedStyle(each), all = (what) => [...document.querySelectorAll(what)];
        const areas = all("main, aside").every((each) => style(each).filter.includes("grayscale(1)"));
        const tiles = all("#status .tile:not(.lost)");
        const card = style(document.querySelector("#status .tile:not(.lost)")).backgroundColor;
        return areas && tiles.length > 1 && tiles.every((each) => style(each).filter.includes("grayscale(1)")
            && style(each).backgroundColor === card);
    })()"""
        )
    )


def test_a_controller_that_hangs_turns_the_page_grey_until_it_is_back(calm: Site, open_page: Open) -> None:
    site, watched = calm, open_page()
    watched.expected = ("ERR_", "WebSocket")
    page = watched.load()
    status = page.locator("#status")
    expect(status).to_contain_text("live")
    assert not grey(page)
    began = time.monotonic()
    with stopped(site):
        expect(status.locator(".lost")).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d"))
        measured("the controller hangs, grey", began)
        assert grey(page)
        expect(status).not_to_contain_text("live")
        until_title(page, r"^✕ as of \d\d:\d\d:\d\d · two-dcs")
        # It stays so, and the time with it, however often it is asked in vain.
        first = status.locator(".lost").inner_text()
        wait_for(page, "performance.now() > (window.since ??= performance.now()) + 8000")
        assert status.locator(".lost").inner_text() == first
        began = time.monotonic()
    expect(status).to_contain_text("live")
    measured("it goes on, coloured", began)
    wait_for(page, "!document.body.classList.contains('lost')")
    assert not grey(page)
    expect(status).to_contain_text(IN_STEP)
    # What happens from now on is heard.
    site.disconnect("tor-d")
    try:
        expect(status.locator("button.bad")).to_contain_text("1 not connected: tor-d")
    finally:
        site.reconnect("tor-d")
    expect(status).to_contain_text(IN_STEP)


def test_a_stream_that_says_nothing_is_not_live(site: Site, open_page: Open) -> None:
    """The connection stands and is dead: the page asks instead, and makes another."""
    watched = open_page()
    sockets: list[WebSocketRoute] = []

    def silent(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) > 1:
            socket.connect_to_server()

    watched.page.route_web_socket("**/v1/events*", silent)
    page = watched.load()
    # The first is silent for ever; that it is given up shows in that there is a second, and that one speaks.
    until(lambda: page.evaluate("true") and len(sockets) > 1)
    expect(page.locator("#status")).to_contain_text("live")
    site.disconnect("tor-d")
    try:
        expect(page.locator("#log")).to_contain_text("tor-d")
    finally:
        site.reconnect("tor-d")


@pytest.mark.parametrize("kind", ["vm", "switch", "server", "external", "link", "move"])
def test_what_is_looked_at_has_an_address(site: Site, open_page: Open, kind: str) -> None:
    """An address that is pasted elsewhere opens the same; the way back in the browser closes it again."""
    moved = site.move("db2", "srv-c2")
    site.rest.post(f"/v1/migrations/{moved['id']}/abort", {}, wait=30)
    names = {"vm": "web1", "switch": "tor-a", "server": "srv-a1", "external": sorted(site.fabric.externals)[0],
             "link": site.fabric.links[0].name, "move": moved["id"]}  # fmt: skip
    name = names[kind]
    watched = open_page()
    page = watched.page
    page.goto(f"{watched.base}/#{kind}={name}")
    page.wait_for_selector("body[data-drawn]")
    if kind == "move":
        expect(page.locator(f"article.move.picked[data-migration='{name}']")).to_be_visible()
        expect(page.locator("article.move.picked details")).to_have_attribute("open", "")
        return
    expect(page.locator("#details h2")).to_contain_text(name)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#details")).to_be_hidden()
    wait_for(page, "location.hash === ''")
    find(page, "tor-b")
    wait_for(page, "location.hash === '#switch=tor-b'")
    page.go_back()
    expect(page.locator("#details")).to_be_hidden()
    page.go_back()
    expect(page.locator("#details h2")).to_contain_text(name)


ASKED = {"switch": "table", "port": "table", "link": "table", "domain": "dl"}
"""What is in a panel once that has come which it asks for by itself."""


def shows_no_object(page: Page, kind: str, name: str) -> None:
    """Nothing is written that is no text for people."""
    for word in ("[object", "undefined", "NaN"):
        assert word not in page.locator("body").inner_text(), (kind, name)


def test_no_panel_shows_an_object_as_such(site: Site, open_page: Open) -> None:
    """Every panel of everything there is, after a comparison that put something right."""
    site.rest.post("/v1/switches/tor-a/audit")
    moved = site.move("web1", "srv-c1", activate_on="request")
    watched = open_page()
    repaired = {"flows": {"missing": 2, "alien": 0, "altered": 1}, "groups": {"missing": 0, "alien": 0, "altered": 0}}

    def after_repairs(route: Route) -> None:
        body = route.fetch().json()
        for row in body["items"]:
            if row["name"] == "tor-a":
                row["repairs"].update(repaired)
                row["audited"] = row["audited"] or "2026-11-30T08:00:00Z"
        route.fulfill(json=body)

    watched.page.route("**/v1/switches", after_repairs)
    page = watched.load()
    fabric = site.fabric
    things = [("vm", name) for name in ("web1", "web2", "db1", "db2")]
    things += [("switch", name) for name in fabric.switches] + [("server", name) for name in fabric.servers]
    things += [("external", name) for name in fabric.externals] + [("link", row.name) for row in fabric.links]
    things += [("cug", "web"), ("policy", "web-to-db"), ("new", "CUG"), ("new", "policy")]
    things += [("domain", name) for name in fabric.l2_domains]
    things += [("port", f"tor-a:{number}") for number in (1, 49)]
    for kind, name in things:
        page.evaluate("address => { location.hash = address; }", f"#{kind}={name}")
        expect(page.locator("#details h2")).to_contain_text(name)
        page.evaluate("for (const each of document.querySelectorAll('#details details')) each.open = true")
        expect(page.locator("#details")).not_to_contain_text("asking…")
        if kind in ASKED:
            expect(page.locator(f"#details {ASKED[kind]}").first).to_be_attached()
        shows_no_object(page, kind, name)
        if (kind, name) == ("switch", "tor-a"):
            expect(page.locator("#details")).to_contain_text("put right: 2 flows missing, 1 flows altered")
        if (kind, name) == ("switch", "tor-b"):
            expect(page.locator("#details")).to_contain_text("nothing to put right")
            # A real switch says what its ports count.
            expect(page.locator("#details tr", has=page.get_by_role("button", name="1", exact=True))).not_to_contain_text(
                "no such"
            )
    assert moved["id"] in page.locator("#moves").inner_html()
    for tab in page.locator("#tabs button").all():
        tab.click()
        shows_no_object(page, "list", tab.inner_text())
        assert page.locator("#list tbody tr, #log li").count() > 0


def test_cugs_keep_their_colours_when_another_comes(site: Site, open_page: Open) -> None:
    page = open_page().load()

    def colours() -> dict[str, str]:
        found: dict[str, str] = page.evaluate(
            """Object.fromEntries([...document.querySelectorAll("#legend button")].map((each) =>
                [each.textContent.split(" ")[0], each.querySelector(".swatch").className]))"""
        )
        return found

    before = colours()
    assert before.keys() == {"web", "db"}
    assert len(set(before.values())) == 2
    site.rest.put("/v1/cugs/aaa", {"subnets": ["10.9.0.0/24"]})
    expect(page.locator("#legend")).to_contain_text("aaa")
    assert {name: colour for name, colour in colours().items() if name != "aaa"} == before
    page.reload()
    page.wait_for_selector("body[data-drawn]")
    assert {name: colour for name, colour in colours().items() if name != "aaa"} == before
    assert len(set(colours().values())) == 3
    site.rest.call("DELETE", "/v1/cugs/aaa")


def test_a_slash_begins_the_search_anew(site: Site, open_page: Open) -> None:
    page = open_page().load()
    for name in ("web1", "tor-a"):
        page.keyboard.type(f"/{name}")
        expect(page.locator("#find")).to_have_value(name)
        page.keyboard.press("Enter")
        expect(page.locator("#details h2")).to_contain_text(name)
        page.keyboard.press("Escape")
        expect(page.locator("#details")).to_be_hidden()


def test_a_port_that_the_switch_does_not_have(calm: Site, open_page: Open) -> None:
    page = open_page().load()
    status, bridge = page.locator("#status"), calm.bridges["tor-d"]
    port = next(row.attach[0].port for row in calm.fabric.servers.values() if row.switch == "tor-d")
    calm.ovs.vsctl("del-port", bridge.device(port))
    try:
        tile = status.locator("button.warn", has_text="ports missing at tor-d")
        expect(tile).to_be_visible()
        tile.click()
        expect(page.locator("#details")).to_contain_text(f"⚠ {port} (server ")
    finally:
        bridge.add_port(port)
    expect(tile).to_have_count(0)
