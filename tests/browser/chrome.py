"""Debian's Chromium, driven by Playwright; and what a page did that it should not have done."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

PROGRAM = "chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
MILLISECONDS = 30_000.0
"""How long anything may take in the page before a test gives up; more than two seconds is rare."""


def program() -> str | None:
    """Where Chromium is; None: it is not installed."""
    return shutil.which(PROGRAM)


@contextmanager
def chromium() -> Iterator[Browser]:
    """One headless browser."""
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page in a context of its own. ``faults``: errors and warnings in the console, uncaught errors, requests to others.

    ``options`` are Playwright's for a context. Warnings count, because a breach of the content security policy may be one.
    """

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        self.base = base
        self.expected: tuple[str, ...] = ()
        """Parts of messages that are no faults here."""
        self.faults: list[str] = []
        self.requested: list[str] = []
        usual = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}
        self.context = browser.new_context(**{**usual, **options})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        self.requested.append(request.url)
        if urlsplit(request.url).netloc != urlsplit(self.base).netloc and not request.url.startswith("data:"):
            self.faults.append(f"asked another host: {request.url}")

    def load(self) -> Page:
        """Open the dashboard and wait until it has drawn something."""
        self.page.goto(self.base + "/")
        self.page.wait_for_selector("body[data-drawn]")
        return self.page

    def close(self) -> None:
        """End it, with answers still on their way."""
        self.page.unroute_all(behavior="ignoreErrors")
        self.context.close()


Open = Callable[..., Watched]
