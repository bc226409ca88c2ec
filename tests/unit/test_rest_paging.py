"""Lists in pages: what is there all the time is told exactly once, whatever comes and goes meanwhile."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.support.rest_service import WEB, Service, problem, vm

NAMES = [f"v{number:02d}" for number in range(10)]


@pytest.fixture
def service() -> Service:
    service = Service()
    service.put("/v1/cugs/web", WEB)
    for number, name in enumerate(NAMES):
        service.put(f"/v1/vms/{name}", vm("srv-a1", 20 + number) | {"labels": {"odd": str(number % 2)}})
        service.put(f"/v1/policies/{name}", {"action": "deny", "from": {"any": True}, "to": {"cug": "web"}})
        service.put(f"/v1/cugs/{name}", {"subnets": [f"10.{100 + number}.0.0/24"]})
    service.connect()
    return service


def pages(service: Service, url: str, limit: int) -> list[list[str]]:
    found, page = [], ""
    while True:
        answer = service.get(f"{url}{'&' if '?' in url else '?'}limit={limit}{page}")
        found.append([row.get("name") or row["id"] for row in answer["items"]])
        if "page" not in answer:
            return found
        page = f"&page={answer['page']}"


def test_pages_make_up_the_list(service: Service) -> None:
    for url in ("/v1/vms", "/v1/policies", "/v1/vms?selector=odd=1", "/v1/vms?server=srv-a1"):
        every = [row["name"] for row in service.get(url)["items"]]
        for limit in (1, 3, len(every) - 1, len(every), 10_000):
            found = pages(service, url, limit)
            assert [name for page in found for name in page] == every
            assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
            assert 0 < len(found[-1]) <= limit
    assert pages(service, "/v1/vms?server=srv-c1", 5) == [[]]


def test_moves_and_evacuations_in_pages(service: Service) -> None:
    for name in NAMES[:5]:
        service.ask("POST", "/v1/migrations", {"vm": name, "to": "srv-c1"})
        service.time += 0.5
    for server in ("srv-c1", "srv-b1"):
        assert service.ask("POST", f"/v1/servers/{server}/evacuate").status_int == 202
    for url in ("/v1/migrations", "/v1/batches", "/v1/migrations?state=preparing"):
        every = [row["id"] for row in service.get(url)["items"]]
        assert len(every) >= 2
        for limit in (1, 2, len(every)):
            assert [name for page in pages(service, url, limit) for name in page] == every


def test_pages_show_each_object_that_stays_exactly_once(service: Service) -> None:
    first = service.get("/v1/vms?limit=4")
    assert [row["name"] for row in first["items"]] == NAMES[:4]
    for name in ("v03", "v04", "v00"):  # the one that the page ends with, one that would have come, one that is told
        assert service.ask("DELETE", f"/v1/vms/{name}").status_int == 204
    service.put("/v1/vms/a-early", vm("srv-a1", 90))
    service.put("/v1/vms/v05-between", vm("srv-a1", 91))
    second = service.get(f"/v1/vms?limit=4&page={first['page']}")
    assert [row["name"] for row in second["items"]] == ["v05", "v05-between", "v06", "v07"]
    third = service.get(f"/v1/vms?page={second['page']}")
    assert ([row["name"] for row in third["items"]], third.get("page")) == (["v08", "v09"], None)
    assert service.get(f"/v1/vms?page={second['page']}") == third


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "1.0", "x", "", "%D9%A3", "1e3", "9" * 50])
def test_limits_that_are_refused(service: Service, limit: str) -> None:
    problem(service.ask("GET", f"/v1/vms?limit={limit}"), 400, "?limit")


def _token(*parts: Any) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "page",
    [
        "x", "%20", "====", "bnVsbA", _token(), _token("/v1/vms"), _token("/v1/cugs", "v01"), _token("/v1/vms", 1),
        _token("/v1/vms", None), _token("/v1/vms", 1.0, "v01"), _token("/v1/vms", ["v01"]), _token("/v1/vms", "v01", "v02"),
        _token("/v1/vms", "v01") + "=",
    ],
)  # fmt: skip
def test_pages_that_nobody_named(service: Service, page: str) -> None:
    problem(service.ask("GET", f"/v1/vms?page={page}"), 404)
    assert service.ask("GET", f"/v1/vms?page={_token('/v1/vms', 'v01')}").status_int == 200
