"""Short ways to use the dashboard in a browser."""

from __future__ import annotations

import json

from playwright.sync_api import Page, expect

from tests.support.controller import until

CY = "document.getElementById('map')._cyreg.cy"


def wait_for(page: Page, what: str) -> None:
    """Until an expression is true in the page. Playwright's own way evaluates text in the page, which our policy forbids."""
    until(lambda: page.evaluate(what), lambda: what)


def wait_node(page: Page, node: str, what: str = "n => n.nonempty()") -> None:
    wait_for(page, f"({what})({CY}.getElementById({json.dumps(node)}))")


def find(page: Page, name: str) -> None:
    """Open something by the search box."""
    page.locator("#find").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator("#details h2")).to_contain_text(name)
