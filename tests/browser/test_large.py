"""The dashboard of a large site: 24 switches, 200 servers, 2,000 VMs, 40 CUGs. The controller is real, its switches are not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ryu_vmmob.bench import large_site
from ryu_vmmob.bench.rig import Rig
from tests.browser.chrome import Watched
from tests.browser.page import CY, find, wait_for

SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
LEAST = 9.0
"""Pixels of letters that can still be read."""
GRAFANA = "https://grafana.example.org/d/vmmob"


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(large_site.fabric(), real=False, settings={"grafana_url": GRAFANA}) as started:
        started.fakes.say("all traffic 1000000")
        started.client.post("/v1/bulk", large_site.bulk(), wait=60)
        started.until_in_step()
        yield started


@pytest.fixture(scope="module")
def pages(rig: Rig, browser: Browser) -> Iterator[dict[str, Watched]]:
    """One page of each size for all tests: what is slow is to learn 2,000 VMs."""
    found = {size: Watched(browser, rig.controller.rest, viewport=view) for size, view in SIZES.items()}
    for watched in found.values():
        watched.load()
    yield found
    for watched in found.values():
        watched.close()


@pytest.fixture
def opened(pages: dict[str, Watched]) -> Iterator[Callable[..., Page]]:
    """``opened(size, address)``: the page at an address, with nothing left of what was done before."""
    for watched in pages.values():
        watched.faults.clear()

    def load(size: str = "desk", address: str = "", expected: tuple[str, ...] = ()) -> Page:
        pages[size].expected = ("404", *expected)  # what was deleted is asked for once more
        page = pages[size].page
        page.evaluate("location.hash = '#events='")
        expect(page.locator("#tab-events")).to_have_attribute("aria-selected", "true")
        for select in ("#log-filter", "#log-time"):
            page.locator(select).select_option("")
        for chip in page.locator("#legend [aria-pressed=true]").all():
            chip.click()
        page.locator("#legend input").fill("")
        page.evaluate("document.getElementById('details').hidden || document.querySelector('#details .bar button').click()")
        page.get_by_role("button", name="Show all").click()
        if address:
            page.evaluate("address => { location.hash = address; }", address)
        return page

    yield load
    assert [fault for watched in pages.values() for fault in watched.faults] == []


def letters(page: Page, selector: str) -> dict[str, float]:
    """How high the letters of nodes are on the screen, in pixels; of those that can be seen."""
    found: dict[str, float] = page.evaluate(
        f"""Object.fromEntries({CY}.nodes({json.dumps(selector)}).filter(n => n.visible() && n.style('label'))
            .map(n => [n.id(), parseFloat(n.style('font-size')) * {CY}.zoom()]))"""
    )
    return found


def in_view(page: Page, *ids: str) -> list[str]:
    """Those of some nodes that are whole on the map."""
    found: list[str] = page.evaluate(
        f"""{json.dumps(ids)}.filter(id => {{ const v = {CY}.extent();
            const b = {CY}.getElementById(id).boundingBox({{includeLabels: false}});
            return b.x1 >= v.x1 && b.x2 <= v.x2 && b.y1 >= v.y1 && b.y2 <= v.y2; }})"""
    )
    return found


def settled(page: Page) -> None:
    """Until labels have followed the last change of the distance."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_is_seen_and_its_names_can_be_read(opened: Any, size: str) -> None:
    page = opened(size)
    settled(page)
    switches = list(large_site.fabric()["switches"])
    names = letters(page, ".switch")
    assert names.keys() == {f"sw:{name}" for name in switches}
    racks = letters(page, ".rack")
    assert len(racks) == 20
    assert min([*names.values(), *racks.values()]) >= LEAST
    assert page.evaluate(f"{CY}.getElementById('rack:tor-1-01').style('label')") == "10 servers\n100 VMs"
    assert not letters(page, ".server"), "what could not be read is left out"
    ids = [f"rack:{large_site.tor(*place)}" for place in large_site.racks()]
    assert in_view(page, *ids) == ids
    # Cards do not lie on each other, and are large enough for what they say.
    boxes = page.evaluate(f"{CY}.nodes('.rack').map(n => n.renderedBoundingBox({{includeLabels: false}}))")
    for at, one in enumerate(boxes):
        assert one["w"] >= 60
        assert one["h"] >= 40
        for other in boxes[at + 1 :]:
            apart = one["x2"] <= other["x1"] or other["x2"] <= one["x1"] or one["y2"] <= other["y1"] or other["y2"] <= one["y1"]
            assert apart, (one, other)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_rack_opens_where_it_is_and_closes_again(opened: Any) -> None:
    page = opened()
    before = page.evaluate(f"{CY}.getElementById('rack:tor-2-07').position()")
    at = page.evaluate(f"{CY}.getElementById('rack:tor-2-07').renderedPosition()")
    page.locator("#map").click(position=at)
    settled(page)
    servers = letters(page, ".server")
    mine = [f"srv:{large_site.server(2, 7, number)}" for number in range(1, 11)]
    assert in_view(page, *mine) == mine
    assert min(servers[name] for name in mine) >= LEAST
    assert page.evaluate(f"{CY}.getElementById('rack:tor-2-07').position()") == before
    page.get_by_role("button", name="Show all").click()
    settled(page)
    assert not letters(page, ".server")


@pytest.mark.parametrize("size", SIZES)
def test_what_is_found_is_gone_to_and_closing_leads_back(opened: Any, size: str) -> None:
    page = opened(size)
    vm = large_site.bulk()["vms"]["shop-web-17"]
    find(page, "shop-web-17")
    settled(page)
    assert in_view(page, "vm:shop-web-17", f"srv:{vm['server']}") == ["vm:shop-web-17", f"srv:{vm['server']}"]
    assert letters(page, ".vm")["vm:shop-web-17"] >= LEAST - 1
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    settled(page)
    ids = [f"rack:{large_site.tor(*place)}" for place in large_site.racks()]
    assert in_view(page, *ids) == ids


def test_a_path_is_gone_to_with_its_ends_and_vlan_ids(opened: Any) -> None:
    page = opened("desk", "#vm=shop-web-03")
    form = page.locator("form[data-form=trace]")
    form.get_by_label("To", exact=True).fill("shop-app-07")
    form.get_by_label("Protocol").select_option("tcp")
    form.get_by_label("Port").fill("8080")
    form.get_by_role("button", name="Show the path").click()
    expect(form.locator(".verdict")).to_contain_text("delivered")
    settled(page)
    on_path = page.evaluate(f"{CY}.nodes('.onpath').map(n => n.id())")
    assert {"vm:shop-web-03", "vm:shop-app-07"} <= set(on_path)
    assert sorted(in_view(page, *on_path)) == sorted(on_path)
    hops = page.evaluate(
        f"{CY}.edges('.onpath').map(e => [e.data('hop'), parseFloat(e.style('font-size')) * {CY}.zoom(), e.effectiveOpacity()])"
    )
    assert hops
    assert all(label.startswith("VLAN ") and height >= LEAST and seen == 1 for label, height, seen in hops)


def test_a_move_is_seen_from_afar_and_gone_to(rig: Rig, opened: Any) -> None:
    body = {"vm": "wiki-db-01", "to": "srv-2-10-10", "activate_on": "request"}
    move = rig.client.post("/v1/migrations", body, wait=30)
    page = opened()
    try:
        wait_for(page, f"{CY}.getElementById('rack:tor-2-10').style('label').includes('⇄ 1 moving')")
        expect(page.locator("article.move")).to_contain_text("wiki-db-01")
        confirmed = page.locator("article.move details details")
        assert confirmed.count() == 0 or not confirmed.first.get_attribute("open"), "twenty switches push nothing else off"
        find(page, "wiki-db-01")
        settled(page)
        both = ["vm:wiki-db-01", "ghost:wiki-db-01"]
        assert in_view(page, *both) == both
        assert page.evaluate(f"{CY}.getElementById('ghost:wiki-db-01').style('label')").startswith("wiki-db-01\nready")
    finally:
        rig.client.post(f"/v1/migrations/{move['id']}/abort", {}, wait=30)


def test_one_of_forty_cugs_is_searched_for_and_brought_out(opened: Any) -> None:
    page = opened()
    legend = page.locator("#legend")
    expect(legend.locator("button")).to_have_count(40)
    legend.get_by_label("Find a CUG").fill("shop")
    expect(legend.locator("button")).to_have_count(4)
    legend.locator("button", has_text="shop-web").click()
    shown = set(page.evaluate(f"{CY}.nodes('.rack').filter(n => !n.hasClass('dim')).map(n => n.data('name'))"))
    vms = large_site.bulk()["vms"]
    assert shown == {f"tor-{vms[name]['server'][4:8]}" for name in vms if name.startswith("shop-web")}
    assert page.evaluate(f"{CY}.getElementById('rack:{min(shown)}').style('label')") == "10 of its 100 VMs"
    legend.get_by_label("Find a CUG").fill("nothing like it")
    expect(legend.locator("button")).to_have_count(1)


def test_lists_are_filtered_sorted_and_have_addresses(opened: Any) -> None:
    page = opened("desk", "#vms=shop-web%20srv-2-09")
    rows = page.locator("#list tbody tr")
    expect(page.locator("#list .total")).to_have_text("10 of 2000")
    expect(rows).to_have_count(10)
    expect(page.locator("#tab-vms")).to_have_attribute("aria-selected", "true")
    page.locator("#list-find").fill("10.7.0.27")
    expect(rows).to_have_count(1)
    wait_for(page, "location.hash === '#vms=10.7.0.27'")
    rows.first.get_by_role("button", name="shop-web-17").click()
    expect(page.locator("#details h2")).to_have_text("VM shop-web-17")
    page.go_back()
    expect(page.locator("#list-find")).to_have_value("10.7.0.27")
    page.locator("#list-find").fill("")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Name", exact=True).click()
    page.get_by_role("button", name="Name ▴").click()
    expect(rows.first).to_contain_text("wiki-web-50")
    page.locator("#list-find").fill("web- srv-1")
    page.get_by_role("button", name="Show 150 more").click()
    expect(rows).to_have_count(250)
    # By keyboard from list to list, and each has what there is.
    page.locator("#tab-vms").focus()
    for kind, number in (("servers", 200), ("switches", 24), ("links", 45), ("cugs", 40), ("policies", 31), ("domains", 23)):
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#tab-{kind}")).to_be_focused()
        expect(page.locator("#list .total")).to_have_text(f"{number} rows")


def test_a_pool_of_vlan_ids_says_how_full_it_is(rig: Rig, opened: Any) -> None:
    pool = rig.client.get("/v1/l2_domains/core-1")
    page = opened("desk", "#domains=core-1")
    row = page.locator("#list tbody tr")
    expect(row).to_have_count(1)
    for text in ("2000-2999", str(pool["used"]), str(pool["free"])):
        expect(row).to_contain_text(text)
    row.get_by_role("button", name="core-1").click()
    details = page.locator("#details")
    expect(details).to_contain_text(f"{pool['used']} used, {pool['resting']} resting, {pool['free']} free of 1000")
    holder = next(row for row in pool["holders"] if row["name"] == "shop-web")
    expect(details.locator("tr", has_text="shop-web")).to_contain_text(str(holder["vlan_id"]))


def test_events_of_long_ago_are_found_and_an_object_has_a_history(opened: Any) -> None:
    page = opened()
    # 2,000 VMs make far more events than the page keeps: what is searched for is asked of the controller.
    page.locator("#list-find").fill("vm BILLING-web-01 was created")
    log = page.locator("#log li")
    expect(log).to_have_count(1)
    expect(log.locator("time")).to_have_text(re.compile(r"^\d\d [A-Z][a-z]{2,3} \d\d:\d\d:\d\d$"))
    wait_for(page, "location.hash === '#events=vm%20BILLING-web-01%20was%20created'")
    page.locator("#list-find").fill("no event says this")
    expect(page.locator("#log")).to_contain_text("Nothing like that is kept.")
    page.locator("#list-find").fill("")
    page.locator("#log-filter").select_option("cug")
    page.locator("#log-time").select_option("60")
    expect(page.locator("#log li", has_text="CUG billing-web was created")).to_have_count(1)
    find(page, "billing-web-01")
    page.locator("#details summary", has_text="History").click()
    history = page.locator("#details .history li")
    expect(history.first).to_be_visible()
    assert all("billing-web-01" in text for text in history.all_inner_texts())


def test_ports_have_counters_and_rates_as_long_as_somebody_looks(rig: Rig, opened: Any) -> None:
    page = opened("desk", "#switch=tor-1-03")
    row = page.locator("#details tr", has=page.get_by_role("button", name="srv-1-03-05"))
    # Each port counts its number times a megabyte a second in, half of it out.
    expect(row).to_contain_text("Mbit/s")
    row.get_by_role("button", name="5", exact=True).click()
    details = page.locator("#details")
    expect(details.locator("h2")).to_have_text("Port tor-1-03:5")
    expect(details.locator("tr", has_text="Now")).to_contain_text("Mbit/s")
    rates = next(each["rates"] for each in rig.client.get("/v1/switches/tor-1-03/ports")["items"] if each["port"] == 5)
    assert rates["received"]["bits_per_second"] == pytest.approx(40e6, rel=0.2)
    assert rates["sent"]["bits_per_second"] == pytest.approx(20e6, rel=0.2)
    asked: list[str] = []
    page.get_by_role("button", name="Close").click()
    page.on("request", lambda request: asked.append(request.url))
    wait_for(page, "performance.now() > (window.since ??= performance.now()) + 2500")
    assert not [url for url in asked if url.endswith("/ports")]
    page.evaluate("address => { location.hash = address; }", "#link=border-1:48=border-2:48")
    for switch in ("border-1", "border-2"):
        expect(details).to_contain_text(f"{switch}:48")
    expect(details.locator("table")).to_have_count(2)


def test_a_policy_is_made_tried_changed_and_deleted(rig: Rig, opened: Any) -> None:
    page = opened("desk", "#policies=", ("422",))
    page.get_by_role("button", name="New policy").click()
    form = page.locator("[data-form=new-policy]")
    form.get_by_label("Name", exact=True).fill("chat-to-mail")
    form.get_by_label("From: name").fill("chat-app")
    form.get_by_label("To: name").fill("nobody")
    form.get_by_label("Protocol").select_option("tcp")
    form.get_by_label("Ports").fill("25, 587")
    form.get_by_role("button", name="Create").click()
    expect(form.locator(".answer")).to_contain_text("nobody")
    form.get_by_label("To: name").fill("mail-app")
    form.get_by_role("button", name="Show what would change").click()
    expect(form.locator(".answer")).to_contain_text("+ policies chat-to-mail")
    assert "chat-to-mail" not in [row["name"] for row in rig.client.get("/v1/policies")["items"]]
    form.get_by_role("button", name="Create").click()
    expect(page.locator("#details h2")).to_have_text("Policy chat-to-mail")
    expect(page.locator("#details")).to_contain_text("allows tcp 25, 587, with replies")
    page.locator("#details summary", has_text="Change it").click()
    change = page.locator("[data-form=policy]")
    change.get_by_label("Action").select_option("deny")
    change.get_by_role("button", name="Save").click()
    expect(page.locator("#details .verdict")).to_contain_text("denies")
    assert rig.client.get("/v1/policies/chat-to-mail")["action"] == "deny"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Really delete policy chat-to-mail").click()
    expect(page.locator("#details")).to_be_hidden()
    expect(page.locator("#list .total")).to_have_text("31 rows")


def test_a_cug_is_made_changed_and_deleted(rig: Rig, opened: Any) -> None:
    page = opened("desk", "#new=cug", ("412",))
    form = page.locator("[data-form=new-cug]")
    form.get_by_label("Name", exact=True).fill("audit")
    form.get_by_label("Subnets").fill("10.200.0.0/24")
    form.get_by_label("VLAN-IDs it asks for").fill("core-1: 2900")
    form.get_by_role("button", name="Create").click()
    details = page.locator("#details")
    expect(details.locator("h2")).to_have_text("CUG audit")
    assert rig.client.get("/v1/cugs/audit")["vlan_ids"] == {"core-1": 2900}
    page.locator("#details summary", has_text="Change it").click()
    change = page.locator("[data-form=cug]")
    change.get_by_label("Routing domain").fill("audits")
    change.get_by_role("button", name="Save").click()
    expect(details).to_contain_text("audits")
    # Somebody else was quicker: what one has not seen is not overwritten.
    now = rig.client.get("/v1/cugs/audit")
    page.route(
        "**/v1/cugs/audit",
        lambda route: route.continue_(headers={**route.request.headers, "if-match": f'"{now["revision"] - 1}"'}),
    )
    change.get_by_label("Routing domain").fill("others")
    change.get_by_role("button", name="Save").click()
    expect(details.locator("form .bad")).to_be_visible()
    page.unroute_all()
    assert rig.client.get("/v1/cugs/audit")["routing_domain"] == "audits"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Really delete CUG audit").click()
    expect(details).to_be_hidden()


def test_who_asks_and_what_else_there_is(opened: Any) -> None:
    page = opened()
    about = page.locator("#about")
    expect(about).to_contain_text("0.1.0 · operator")
    expect(about.get_by_role("link", name="Grafana")).to_have_attribute("href", GRAFANA)
    expect(about.get_by_role("link", name="REST")).to_have_attribute("href", "/docs")
