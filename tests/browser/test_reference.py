"""The page of the REST interface: it shows all of the description, is searched, linked, and read on a phone."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.chrome import Open, Watched
from tests.support.controller import until
from tests.support.description import METHODS, description


def opened(watched: Watched, hash_: str = "") -> Page:
    """Open the page and wait until it is drawn."""
    watched.page.goto(f"{watched.base}/docs{hash_}")
    watched.page.wait_for_selector("body[data-drawn]")
    return watched.page


def test_all_of_the_interface_is_read_searched_and_linked(open_page: Open) -> None:
    page = opened(open_page())
    operations = [row[method]["operationId"] for row in description()["paths"].values() for method in METHODS if method in row]
    assert page.evaluate("[...document.querySelectorAll('.entry')].map(row => row.id)") == [
        *page.evaluate("[...document.querySelectorAll('#contents a')].map(row => row.getAttribute('href').slice(1))")
    ]
    expect(page.locator(".entry:not(.schema)")).to_have_count(len(operations))
    expect(page.locator(".entry.schema")).to_have_count(len(description()["components"]["schemas"]))

    page.keyboard.press("/")
    page.keyboard.type("evacuate server")
    expect(page.locator(".entry:not(.schema):visible")).to_have_count(2)
    page.keyboard.press("Enter")
    found = page.locator("[id='operation=evacuate_server']")
    for text in (
        "parallel",
        "How many migrations of the batch",
        "1 to 1000",
        "default 8",
        "dry_run",
        "curl -X POST",
        "PlannedBatch",
    ):
        expect(found).to_contain_text(text)
    expect(found.locator("summary").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(found).not_to_have_attribute("open", "")

    found.locator("summary").first.click()
    found.get_by_role("link", name="EvacuateBody").click()
    schema = page.locator("[id='schema=EvacuateBody']")
    expect(schema).to_have_attribute("open", "")
    expect(page.locator("#find")).to_have_value("evacuate server")  # the schema has these words, too
    assert page.url.endswith("#schema=EvacuateBody")


def test_nothing_is_undefined_and_every_link_leads_somewhere(open_page: Open) -> None:
    page = opened(open_page(), "#schema=Migration")
    expect(page.locator("[id='schema=Migration']")).to_have_attribute("open", "")
    page.evaluate("document.querySelectorAll('.entry').forEach(row => { row.open = true; })")
    until(lambda: page.evaluate("[...document.querySelectorAll('.entry')].every(row => row.childElementCount === 2)"))
    page.evaluate("document.querySelectorAll('details').forEach(row => { row.open = true; })")
    links = "[...document.querySelectorAll('a[href^=\"#\"]')].map(row => row.getAttribute('href').slice(1))"
    assert page.evaluate(f"{links}.filter(id => !document.getElementById(id))") == []
    # One verdict of a trace has that name.
    page.evaluate(
        "[...document.querySelectorAll('code')].filter(row => row.textContent === 'undefined').forEach(row => row.remove())"
    )
    text = page.locator("body").inner_text()
    assert len(text) > 50_000
    assert [word for word in ("[object Object]", "undefined", "NaN", "function ") if word in text] == []


def test_on_a_phone_it_is_as_wide_as_the_screen(open_page: Open) -> None:
    page = opened(open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True))
    page.locator("[id='operation=put_policy'] > summary").tap()
    page.locator("[id='schema=Trace'] > summary").tap()
    expect(page.locator("[id='operation=put_policy']")).to_contain_text("On a tie")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
