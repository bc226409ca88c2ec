"""kill -9 of the controller at every step of a move, on real switches: the move ends as if nothing had happened.

Each case lets a move come to its phase, sends the request of that phase to a controller that dies at a named point
(`tests/support/dying.py`), starts it again on the same store, and goes on as an orchestrator does that got no answer: it asks
again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import requests

from mininet_topos.controller import ControllerError
from mininet_topos.ovs import PrivateOvs
from tests.support import dying
from tests.support.controller import SECONDS, Site, nic, until

HOME, AWAY = "srv-a1", "srv-c1"

STORING = ("before the store", "in the transaction", "stored", "adopted")
AT_SWITCHES = (
    ("POST answered", 1), ("a switch is next", 1), ("a switch is next", 2), ("bundle filled", 1), ("bundle filled", 2),
    ("commit asked", 1), ("bundle committed", 1), ("bundle committed", 2), ("confirmed", 1), ("confirmed", 2),
)  # fmt: skip

Point = tuple[str, int]


def _of(*commands: str) -> list[Point]:
    return [(f"{command} {where}", 1) for command in commands for where in STORING]


CASES: dict[str, list[Point]] = {
    "prepare": [*_of("StartMigration", "Prepared"), *AT_SWITCHES],
    "activate": [*_of("Activate", "Commit"), *AT_SWITCHES],
    "commit": [*_of("Commit", "EndQuarantines"), *AT_SWITCHES],
    "abort": [*_of("Abort"), *AT_SWITCHES],
}
"""By phase: the request after which the controller dies, and where. `activate` goes with an automatic commit."""


@pytest.fixture(scope="module")
def site(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"vlan_quarantine": "0", "link_up_delay": "0"}
    with Site(ovs, tmp_path_factory.mktemp("kill"), settings=settings, first=[Path(dying.__file__)]) as started:
        started.put_cugs()
        started.put_vm("w1", HOME, nic("web", 11), nic("db", 11))
        started.put_vm("w2", "srv-b1", nic("web", 12))
        started.put_vm("d1", "srv-b1", nic("db", 14))
        yield started


def _other(site: Site) -> tuple[str, str]:
    """Where w1 is, and where it goes."""
    here = site.rest.get("/v1/vms/w1")["server"]
    return here, AWAY if here == HOME else HOME


def _under_way(site: Site) -> Any:
    """The migration of w1 that has not ended, or None."""
    rows = site.rest.get("/v1/migrations", vm="w1")["items"]
    found = [row for row in rows if row["state"] in ("preparing", "prepared", "activated")]
    assert len(found) <= 1, found
    return found[0] if found else None


def _begin(site: Site, to: str, commit: str) -> str:
    """POST the migration, or find the one that the request which nobody answered has begun; its id."""
    answer = site.rest.ask("POST", "/v1/migrations", {"vm": "w1", "to": to, "activate_on": "request", "commit": commit})
    if answer.status_code == 409:
        row = _under_way(site)
        assert row["id"] in answer.json()["detail"]
        assert row["to"] == to
        return str(row["id"])
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _until_dead(site: Site, method: str, path: str, body: Any = None) -> bool:
    """Send the request on which, sooner or later, the controller dies; whether it was answered."""
    try:
        answered = site.rest.ask(method, path, body).ok
    except requests.ConnectionError:
        answered = False
    site.controller.until_dead()
    return answered


def _go_on(site: Site, id_: str, steps: tuple[str, ...], end: str) -> None:
    for step in steps:
        if step == "activate":
            until(lambda: site.migration(id_)["state"] != "preparing", lambda: site.migration(id_))
        site.rest.post(f"/v1/migrations/{id_}/{step}")
    done = site.until_state(id_, end)
    site.until_right()
    states = [entry["state"] for entry in done["timeline"]]
    assert len(states) == len(set(states)), states
    assert _under_way(site) is None


@pytest.mark.parametrize(
    ("phase", "point", "passage"), list(chain.from_iterable([(phase, *row) for row in rows] for phase, rows in CASES.items()))
)
def test_a_move_goes_on_where_it_was(site: Site, phase: str, point: str, passage: int) -> None:
    here, there = _other(site)
    commit = "automatic" if phase == "activate" else "request"
    steps = {"prepare": ("activate", "commit"), "activate": ("activate",), "commit": ("commit",), "abort": ("abort",)}[phase]
    id_ = ""
    if phase != "prepare":
        id_ = _begin(site, there, commit)
        site.until_state(id_, "prepared")
    if phase == "commit":
        site.rest.post(f"/v1/migrations/{id_}/activate", wait=SECONDS)
    dying.die_at(site.directory, point, passage)
    if phase == "prepare":
        body = {"vm": "w1", "to": there, "activate_on": "request", "commit": commit}
        answered = _until_dead(site, "POST", "/v1/migrations", body)
    else:
        answered = _until_dead(site, "POST", f"/v1/migrations/{id_}/{phase}")
    site.start()
    if answered:  # what was acknowledged is there
        reached = {"prepare": "preparing", "activate": "activated", "commit": "committed", "abort": "aborted"}[phase]
        row = site.rest.get("/v1/migrations", vm="w1")["items"][-1]
        assert reached in [entry["state"] for entry in row["timeline"]]
    if phase == "prepare":
        id_ = _begin(site, there, commit)
    _go_on(site, id_, steps, "aborted" if phase == "abort" else "committed")
    assert _other(site)[0] == (here if phase == "abort" else there)
    # And the next one is as if nothing had been.
    here, there = _other(site)
    _go_on(site, _begin(site, there, "automatic"), ("activate",), "committed")
    assert _other(site)[0] == there


@pytest.mark.parametrize(("point", "passage"), [("bundle filled", 1), ("commit asked", 1), ("bundle committed", 2)])
def test_killed_again_while_it_puts_the_switches_right(site: Site, point: str, passage: int) -> None:
    """The first dies with nothing sent to any switch, the second in the middle of what the first left to do."""
    _, there = _other(site)
    dying.die_at(site.directory, "StartMigration stored")
    body = {"vm": "w1", "to": there, "activate_on": "request"}
    assert not _until_dead(site, "POST", "/v1/migrations", body)
    dying.die_at(site.directory, point, passage)
    try:
        site.start()
    except (ControllerError, requests.ConnectionError):
        pass
    else:
        pytest.fail("it lives")
    site.controller.until_dead()
    site.start()
    _go_on(site, _begin(site, there, "automatic"), ("activate",), "committed")
    assert _other(site)[0] == there
