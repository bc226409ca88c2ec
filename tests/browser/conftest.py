"""One browser and one controller with real switches for the whole tier; each test has a page of its own.

Both end with the tier: Playwright keeps an event loop running in this thread, which other tiers could not bear.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from mininet_topos.ovs import PrivateOvs
from tests.browser.chrome import Open, Watched, chromium, program
from tests.support.bridges import ovs  # noqa: F401 - a fixture
from tests.support.controller import SECONDS, Site, nic

VMS = {
    "web1": ("srv-a1", "web", 11), "web2": ("srv-b1", "web", 12), "db1": ("srv-a2", "db", 11), "db2": ("srv-d1", "db", 12),
}  # fmt: skip


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Skips, loudly (see tests/conftest.py), where Chromium is not installed."""
    if program() is None:
        pytest.skip("Chromium is not installed: tools/setup.sh does it, as root, where Debian's packages can be reached")
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def running(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: F811
    with Site(ovs, tmp_path_factory.mktemp("browser"), "two-dcs.yaml") as started:
        yield started


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """Four VMs in two CUGs of one routing domain, and a policy between them; nothing is left of it afterwards."""
    running.rest.post("/v1/bulk", {
        "cugs": {"web": {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "routing_domain": "red"},
                 "db": {"subnets": ["10.2.0.0/24"], "routing_domain": "red"}},
        "vms": {name: {"server": server, "interfaces": [nic(cug, number)]} for name, (server, cug, number) in VMS.items()},
        "policies": {"web-to-db": {"action": "allow", "from": {"cug": "web"}, "to": {"vm": "db1"}, "protocol": "tcp",
                                   "ports": ["5432"], "replies": True}},
    }, wait=SECONDS)  # fmt: skip
    yield running
    running.rest.call("DELETE", "/v1/policies/web-to-db", wait=SECONDS)
    running.clear()


@pytest.fixture
def open_page(browser: Browser, running: Site) -> Iterator[Open]:
    """``open_page(**options)`` opens the dashboard; a page that did what it should not fails the test."""
    pages: list[Watched] = []

    def open_(base: str = running.controller.rest, **options: Any) -> Watched:
        pages.append(Watched(browser, base, **options))
        return pages[-1]

    yield open_
    faults = [fault for page in pages for fault in page.faults]
    for page in pages:
        page.close()
    assert faults == []
