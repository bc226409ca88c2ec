"""Plain OpenFlow 1.3 with the habits of switches that nobody here wrote: the controller is right with each, or says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_habits import HABITS, take_on
from ryu_vmmob.engine.fleet import NOT_KEPT
from ryu_vmmob.flows.pipeline import Table
from tests.ovs.foreign import (
    HABITED,
    entries,
    events,
    link,
    many,
    plain_site,
    populate,
    there_and_back,
)
from tests.support.controller import SECONDS, nic, until


def test_each_habit_has_a_name() -> None:
    switch = FakeSwitch(("127.0.0.1", 1), 1)
    take_on(switch, *HABITS)
    assert len(HABITS) >= 5
    assert (switch.tables.keeps_cookies, switch.behaviour.wraps_statistics, switch.behaviour.tells_ports) == (True, True, False)


def test_a_switch_that_keeps_to_the_standard_gets_nothing_else(tmp_path: Path) -> None:
    """It refuses masks that the standard does not have, and fields too: a deny by a range of ports holds there all the same."""
    with plain_site(tmp_path, "refuses_masks") as site:
        populate(site)
        deny = {
            "priority": 100, "action": "deny", "from": {"cug": "web"}, "to": {"cug": "web"}, "protocol": "tcp",
            "ports": ["5432-5433"],
        }  # fmt: skip
        answer = site.rest.put("/v1/policies/nosql", deny, wait=SECONDS)
        assert answer["switches"] == {"acknowledged": ["tor-a", "tor-b"], "pending": []}
        there_and_back(site)
        site.until_right()
        assert site.switch(HABITED)["faults"] == []
        wide = site.rest.ask("PUT", "/v1/policies/nosql", {**deny, "ports": ["1-1000"]})
        assert (wide.status_code, "R45" in wide.json()["detail"]) == (409, True)


def test_a_kept_cookie_leaves_no_flow_behind(tmp_path: Path) -> None:
    """Moves change flows by ADD and take them away again: with the old cookie one stayed, and won (no audit is involved)."""
    with plain_site(tmp_path, "keeps_cookies") as site:
        populate(site)
        there_and_back(site)
        site.until_right()
        assert [row["switch"] for row in events(site, "switch.keeps_cookies")] == [HABITED]
        assert site.switch(HABITED)["habits"] == ["keeps_cookies"]
        there_and_back(site)
        site.until_right()


def test_an_audit_deletes_no_right_flow_under_an_old_cookie(tmp_path: Path) -> None:
    """A controller that has just started finds what the one before it left under old cookies."""
    with plain_site(tmp_path) as site:
        populate(site)
        site.until_right()
        desired = site.fresh().tables[HABITED].flows
        places = entries(site)
        renamed = [place for place, cookie in places.items() if cookie in desired][:20]

        def rename() -> None:
            tables = site.fakes[HABITED].tables
            tables.keeps_cookies = True
            for number, place in enumerate(renamed):
                entry = tables.flows[place]
                tables._drop(place)
                tables.put(entry._replace(cookie=entry.cookie ^ (number + 1)))

        site.fleet.do(rename)
        lost: list[tuple[int, int, bytes]] = []
        site.audit(HABITED)
        lost.extend(place for place in renamed if place not in entries(site))
        assert lost == []
        site.until_right()
        assert [row["switch"] for row in events(site, "switch.keeps_cookies")] == [HABITED]
        assert site.switch(HABITED)["repairs"]["flows"] == {"missing": 0, "alien": 0, "altered": 0}


def test_aliens_go_by_their_places(tmp_path: Path) -> None:
    """Two entries under one cookie that nothing desired has: both go, and nothing else does."""
    with plain_site(tmp_path, "writes_otherwise") as site:
        populate(site)
        site.until_right()

        def add() -> None:
            tables = site.fakes[HABITED].tables
            rows = [row for row in tables.flows.values() if row.table == Table.BRIDGE.id and row.priority][:2]
            for row in rows:
                tables.put(row._replace(priority=row.priority + 7, cookie=rows[0].cookie ^ 0x55))

        before = entries(site)
        site.fleet.do(add)
        site.audit(HABITED)
        until(lambda: entries(site) == before, lambda: entries(site).keys() ^ before.keys())
        assert site.switch(HABITED)["in_step"]


def test_statistics_that_wrap_are_asked_for_table_by_table(tmp_path: Path) -> None:
    """All tables together are more than 64 KiB, and no table is: the switch is compared as any other."""
    with plain_site(tmp_path, "wraps_statistics") as site:
        many(site, 60)
        flows = site.fleet.do(lambda: [row.stats() for row in site.fakes[HABITED].tables.flows.values()])
        assert sum(map(len, flows)) > 1 << 16
        site.fleet.do(lambda: site.fakes[HABITED].tables._drop(next(iter(site.fakes[HABITED].tables.flows))))
        site.audit(HABITED)
        site.until_right()
        assert site.switch(HABITED)["repairs"]["flows"]["missing"] == 1
        assert len(events(site, "switch.connected")) == len(site.fakes)


def test_a_table_that_cannot_be_read_is_told_and_the_switch_goes_on(tmp_path: Path) -> None:
    with plain_site(tmp_path, "wraps_statistics") as site:
        many(site, 330)
        site.until_right()
        site.rest.post(f"/v1/switches/{HABITED}/audit")
        (told,) = until(lambda: events(site, "switch.unreadable"), lambda: site.controller.log[-2000:])
        assert told["switch"] == HABITED
        assert "admit" in told["tables"]
        until(lambda: site.switch(HABITED)["in_step"], lambda: site.switch(HABITED))
        assert site.switch(HABITED)["habits"] == ["unreadable"]
        site.until_right()
        there_and_back(site)
        site.until_right()
        number = site.switch(HABITED)["audits"]
        site.audit(HABITED)
        assert site.switch(HABITED)["audits"] > number


def test_a_flow_that_vanishes_is_not_acknowledged(tmp_path: Path) -> None:
    """A plain switch is asked for what it was told before it counts as having it: no audit has to come by first."""
    with plain_site(tmp_path, at="tor-c") as site:
        audits = site.switch("tor-c")["audits"]
        site.fleet.do(lambda: take_on(site.fakes["tor-c"], "drops_silently"))
        row = {"server": "srv-c1", "interfaces": [nic("web", 19)]}
        answer = site.rest.put("/v1/vms/w9", row, wait=SECONDS)["switches"]
        assert "tor-c" not in answer["acknowledged"]
        assert {(fault["switch"], fault["error"]) for fault in answer["refused"]} == {("tor-c", NOT_KEPT)}
        site.put_vm("w1", "srv-a1", nic("web", 11))
        begun = site.move("w1", "srv-c1", activate_on="request")
        ended = site.until_undone(begun["id"], "failed")
        assert NOT_KEPT in ended["reason"]
        assert site.switch("tor-c")["audits"] == audits


def test_flows_that_vanish_without_a_word_are_told(tmp_path: Path) -> None:
    """A switch that confirms flows and does not have them is not in step, and a move that needs them is not prepared on it."""
    with plain_site(tmp_path, at="tor-c") as site:
        site.fleet.do(lambda: take_on(site.fakes["tor-c"], "drops_silently"))
        site.rest.put("/v1/vms/w1", {"server": "srv-a1", "interfaces": [nic("web", 11)]}, wait=SECONDS)
        site.rest.put("/v1/vms/w9", {"server": "srv-c1", "interfaces": [nic("web", 19)]}, wait=SECONDS)
        site.audit("tor-c")
        row: Any = until(lambda: found if (found := site.switch("tor-c"))["faults"] else None)
        desired = site.flows("tor-c")
        lost = [cookie for cookie in desired if int(cookie, 16) % 8 == 0]
        assert {fault["cause"].split()[0] for fault in row["faults"]} <= {f"table={flow['table']}" for flow in desired.values()}
        missing = {fault["cause"] for fault in row["faults"]}
        assert 0 < len(missing) <= len(lost)
        assert {fault["error"] for fault in row["faults"]} == {NOT_KEPT}
        assert row["standing"] == "refused"
        ready = site.rest.ask("GET", "/readyz").json()
        assert (ready["status"], ready["switches"]["refused"]) == ("degraded", ["tor-c"])
        site.fleet.change("tor-c", loses=None)
        site.audit("tor-c")
        site.until_right()


def test_what_vanishes_at_the_first_contact_is_found_at_once(tmp_path: Path) -> None:
    """A plain switch is compared again as soon as it has been filled: nobody has to wait for an audit."""
    with plain_site(tmp_path) as site:
        populate(site)
        site.fleet.do(lambda: take_on(site.fakes[HABITED], "drops_silently"))
        site.fleet.restart(HABITED)
        row: Any = until(lambda: found if (found := site.switch(HABITED))["faults"] else None)
        assert {fault["error"] for fault in row["faults"]} == {NOT_KEPT}
        assert row["audits"] <= 2


def test_a_port_that_comes_back_without_a_word_is_found(tmp_path: Path) -> None:
    """The switch reports that the cable goes, and not that it comes back. The next audit asks."""
    with plain_site(tmp_path) as site:
        populate(site)
        site.fleet.do(lambda: site.fakes[HABITED].plug(49, up=False))
        until(lambda: not link(site)["up"])
        site.fleet.do(lambda: take_on(site.fakes[HABITED], "tells_no_ports"))
        site.fleet.do(lambda: site.fakes[HABITED].plug(49, up=True))
        site.audit(HABITED)
        until(lambda: link(site)["up"])


def test_a_port_that_goes_without_a_word_is_found(tmp_path: Path) -> None:
    with plain_site(tmp_path, "tells_no_ports") as site:
        site.fleet.do(lambda: site.fakes[HABITED].plug(49, up=False))
        site.audit(HABITED)
        until(lambda: not link(site)["up"])


def test_a_switch_of_any_habit_that_can_be_lived_with(tmp_path: Path) -> None:
    """All at once but flows that vanish: moves go through, and in the end every switch has what it should."""
    with plain_site(tmp_path, "keeps_cookies", "tells_no_ports", "refuses_masks", "writes_otherwise") as site:
        populate(site)
        there_and_back(site)
        site.until_in_step()
        site.audit(HABITED)
        there_and_back(site)
        wanted = site.fresh().tables[HABITED].flows
        until(lambda: sorted(entries(site).values()) == sorted(wanted), lambda: len(entries(site)))
