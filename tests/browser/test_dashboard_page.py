"""The dashboard as a page: names as text, the keyboard, colours, widths, and the token."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from mininet_topos.controller import Controller
from tests.browser.chrome import Open
from tests.browser.page import CY, find, wait_node
from tests.support.controller import FABRICS, SECONDS, Site, free_ports

TOKEN = "c2VjcmV0"


EVIL = '<img src=x onerror="window.hit=1">'


def test_whatever_names_say_is_text(site: Site, open_page: Open) -> None:
    """REST admits no such names; a page that trusted it to would be one fault away from running what a guest's owner wrote."""
    watched = open_page()
    watched.expected = ("422",)  # such a switch cannot be asked for its ports

    def poisoned(route: Route) -> None:
        answer = route.fetch()
        text = answer.text()
        for name in ("web1", "rack-a", "web-to-db", "tor-c", "internet-1", "srv-a1", "10.2.0.12"):
            text = re.sub(rf"\b{name}\b", lambda found: json.dumps(EVIL + found[0])[1:-1], text)
        route.fulfill(status=answer.status, body=text, content_type="application/json")

    given_up = site.move("db2", "srv-c2")
    site.rest.post(f"/v1/migrations/{given_up['id']}/abort", {"reason": EVIL + "reason"}, wait=SECONDS)
    watched.page.route("**/v1/*", poisoned)
    page = watched.load()
    expect(page.locator("#log")).to_contain_text(EVIL + "reason")
    expect(page.locator("#moves")).to_contain_text(EVIL + "reason")
    page.locator("#find").fill("onerror")
    expect(page.locator("#found")).to_contain_text(EVIL + "web1")
    page.keyboard.press("Enter")
    expect(page.locator("#details h2")).to_contain_text(EVIL)
    for name in ("tor-c", "internet-1", "srv-a1", "db2", "web-to-db", "rack-a"):
        page.locator("#find").fill(name)
        page.keyboard.press("Enter")
        expect(page.locator("#details h2")).to_be_visible()
    assert page.evaluate("window.hit") is None
    assert page.evaluate("[...document.images].map(i => i.getAttribute('src'))") == ["/dashboard/icon.svg"]


def test_everything_by_keyboard(site: Site, open_page: Open) -> None:
    page = open_page().load()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#find")).to_be_focused()
    # From the search to a VM, its form, and a move under way.
    page.keyboard.type("db2")
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_focused()
    expect(page.locator("#details label.place").first).to_be_visible()
    kinds = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        here: Any = page.evaluate(
            """(() => { const e = document.activeElement, s = getComputedStyle(e);
            const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2;
            return {type: e.type ?? '', name: e.name ?? '', seen}; })()"""
        )
        assert here["seen"], here
        kinds.add(here["type"])
        if here["name"] == "to":
            break
    assert "radio" in kinds
    page.keyboard.press("Space")
    chosen = page.evaluate("document.activeElement.value")
    page.keyboard.press("Enter")
    expect(page.locator("article.move.prepared")).to_be_visible()
    (begun,) = [row for row in site.rest.get("/v1/migrations", vm="db2")["items"] if row["state"] == "prepared"]
    assert begun["to"] == chosen
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    expect(page.locator("#find")).to_be_focused()
    # The map: arrows walk, Enter opens.
    page.locator("#map").focus()
    page.keyboard.press("ArrowDown")
    said = page.locator("#map-says")
    expect(said).to_have_text("external internet-1")
    page.keyboard.press("ArrowDown")
    expect(said).to_contain_text("border-1")
    page.keyboard.press("Enter")
    expect(page.locator("#details h2")).to_have_text("Switch border-1")
    page.keyboard.press("Escape")
    expect(page.locator("#map")).to_be_focused()
    # And the move ends by keyboard too; after that the focus is still somewhere.
    page.locator("article.move").get_by_role("button", name="Abort").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"[data-migration='{begun['id']}'] .state")).to_contain_text("aborted")


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


WRITTEN_ON = {
    "text": ["ground", "card", "node", *(f"cug{number}-fill" for number in range(8))],
    "quiet": ["card", "ground", "box", "box-inner"],
    "accent": ["card", "busy-fill"],
    **{name: ["card", f"{name}-fill"] for name in ("bad", "warn", "good")},
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_is_dark_and_both_can_be_read(site: Site, open_page: Open, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for what is written."""
    page = open_page(color_scheme=scheme).load()
    names = sorted({*WRITTEN_ON, *(name for grounds in WRITTEN_ON.values() for name in grounds)})
    light = {
        name: luminance(page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()"))
        for name in names
    }
    assert (light["ground"] < 0.1) is (scheme == "dark")
    for name, grounds in WRITTEN_ON.items():
        for ground in grounds:
            low, high = sorted((light[name], light[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)
    drawn = page.evaluate(f"{CY}.getElementById('sw:tor-a').style('color')")
    assert drawn == page.evaluate("getComputedStyle(document.body).color").replace(" ", "")


@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_sticks_out_sideways(site: Site, open_page: Open, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800}).load()
    find(page, "web1")
    expect(page.locator("#details label.place").first).to_be_visible()
    # A third VM makes the servers taller.
    site.move("web2", "srv-a1", activate_on="request")
    site.move("db2", "srv-a1", activate_on="request")
    wait_node(page, "ghost:db2")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.getElementById('map').clientWidth") >= 400
    # The whole fabric is in view.
    assert page.evaluate(
        f"(() => {{ const b = {CY}.elements().renderedBoundingBox(), m = document.getElementById('map');"
        "return b.x1 >= -1 && b.y1 >= -1 && b.x2 <= m.clientWidth + 1 && b.y2 <= m.clientHeight + 1; })()"
    )


def test_the_token_is_asked_for_once_and_kept_in_the_tab_only(tmp_path: Path, open_page: Open) -> None:
    secret = tmp_path / "tokens"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    openflow_port, rest_port = free_ports(2)
    with Controller(
        FABRICS / "two-dcs.yaml",
        tmp_path,
        openflow_port=openflow_port,
        rest_port=rest_port,
        settings={"api_token_file": str(secret)},
    ) as controller:
        watched = open_page(controller.rest)
        watched.expected += ("401",)  # the browser notes each in its console, whatever the page does about it
        page = watched.page
        page.goto(controller.rest + "/")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The controller does not know this token.")
        page.locator("#token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-drawn]")
        expect(page.locator("#status")).to_contain_text("7 not connected")
        assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
        assert not any(TOKEN in url for url in watched.requested)
        page.reload()
        page.wait_for_selector("body[data-drawn]")
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.get_by_role("button", name="Forget token").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
