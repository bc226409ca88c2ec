"""Plain OpenFlow 1.3 with the habits of switches that nobody here wrote: the controller is right with each, or says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_features import table_features
from ryu_vmmob.bench.fake_habits import HABITS, take_on
from ryu_vmmob.bench.fake_tables import match_size, oxm_fields
from ryu_vmmob.engine.fleet import NOT_KEPT
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.kinds import PROBES
from ryu_vmmob.flows.pipeline import Table
from tests.ovs.fakes import FakeSite
from tests.support.controller import FABRICS, SECONDS, nic, until

HABITED = "tor-a"


@contextmanager
def plain_site(tmp_path: Path, *habits: str, at: str = HABITED, **keys: str) -> Iterator[FakeSite]:
    """Plain switches, of which one has these habits; VMs at three of them. ``keys``: of all switches in the fabric file."""
    words = "".join(f" {key}: {value}," for key, value in {"dialect": "openflow13", **keys}.items())
    file = tmp_path / "plain.yaml"
    text = (FABRICS / "example.yaml").read_text(encoding="utf-8")
    file.write_text(re.sub("role: (tor|border),", rf"\g<0>{words}", text), encoding="utf-8")
    site = FakeSite(tmp_path, str(file))
    take_on(site.fakes[at], "has_no_bundles", *habits)
    if "matches_no_discovery" in habits:
        site.refusing = frozenset({at})
    with site:
        site.put_cugs()
        yield site


def populate(site: FakeSite) -> None:
    site.put_vm("w1", "srv-a1", nic("web", 11))
    site.put_vm("w2", "srv-b1", nic("web", 12))
    site.put_vm("d1", "srv-a1", nic("db", 14))


def put_four(site: FakeSite) -> None:
    """A VM that has IPv4 alone, at the habited switch."""
    site.rest.put("/v1/cugs/four", {"subnets": ["10.4.0.0/24"]})
    row = {"cug": "four", "mac": "02:00:00:00:04:11", "ips": ["10.4.0.11"]}
    site.rest.put("/v1/vms/f1", {"server": "srv-a1", "interfaces": [row]}, wait=SECONDS)


def there_and_back(site: FakeSite) -> None:
    """A whole move away from the habited switch, and one to it."""
    for server in ("srv-c1", "srv-a1"):
        begun = site.move("w1", server, activate_on="request")
        site.until_state(begun["id"], "prepared")
        site.rest.post(f"/v1/migrations/{begun['id']}/activate")
        site.until_state(begun["id"], "committed")


def events(site: FakeSite, kind: str) -> list[Any]:
    found: list[Any] = site.rest.get("/v1/events", types=kind)["items"]
    return found


def entries(site: FakeSite, name: str = HABITED) -> dict[tuple[int, int, bytes], int]:
    """Place -> cookie of everything that a switch has."""
    return site.fleet.do(lambda: {place: row.cookie for place, row in site.fakes[name].tables.flows.items()})


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


NOSQL = {
    "priority": 100, "action": "deny", "from": {"cug": "web"}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["5432-5433"],
}  # fmt: skip


def capability(site: FakeSite, name: str = HABITED) -> Any:
    return site.switch(name)["capability"]


def modifications(site: FakeSite, name: str = HABITED) -> int:
    """Flow-mods, group-mods and meter-mods that a switch was ever sent."""
    return site.fleet.do(lambda: sum(site.fakes[name].said[kind] for kind in (14, 15, 29)))


def test_a_mask_that_the_fabric_file_wrongly_promises_is_refused_before_it_is_stored(tmp_path: Path) -> None:
    """``l4_masks: true`` of a switch that has none, and that says nothing of what it can do: a probe tells, before anybody asks
    for a policy. The field, the mask and the table are named; nothing is stored.
    """
    with plain_site(tmp_path, "refuses_masks", l4_masks="true") as site:
        populate(site)
        found = capability(site)
        assert {"table": "policy_out", "what": "cannot match tcp_dst under a mask"} in found["lacks"]
        assert found["probed"] > 100
        answer = site.rest.ask("PUT", "/v1/policies/nosql", NOSQL, wait=SECONDS)
        assert answer.status_code == 409
        assert answer.json()["detail"] == (
            "R45: switch 'tor-a' cannot match tcp_dst under a mask in table policy_out, which policy nosql needs there"
        )
        assert site.rest.get("/v1/policies")["items"] == []
        assert site.switch(HABITED)["faults"] == []
        site.until_right()
        other = capability(site, "tor-b")
        assert [row for row in other["lacks"] if "mask" in row["what"]] == [], "its neighbour has such masks"


def test_what_a_switch_comes_to_refuse_is_told_as_refused_and_then_known(tmp_path: Path) -> None:
    """It took such masks when it was asked: the policy is stored, and not acknowledged there; the next one is refused."""
    with plain_site(tmp_path, l4_masks="true") as site:
        populate(site)
        site.fleet.do(lambda: take_on(site.fakes[HABITED], "refuses_masks"))
        answer = site.rest.put("/v1/policies/nosql", NOSQL, wait=SECONDS)["switches"]
        assert (answer["acknowledged"], answer["pending"]) == (["tor-b"], [])
        assert {(row["switch"], row["owner"]["name"]) for row in answer["refused"]} == {(HABITED, "nosql")}
        assert all("OFPBMC_BAD_FIELD" in row["error"] for row in answer["refused"])
        ready = site.rest.ask("GET", "/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        way = {"from": {"vm": "w1"}, "to": {"ip": "10.1.0.12"}, "protocol": "tcp", "port": 5432}
        traced = site.rest.post("/v1/trace", way)
        assert {row["owner"]["name"] for row in traced["refused"]} == {"nosql"}
        assert "but switch tor-a does not have a flow on this way" in traced["reason"]
        until(lambda: capability(site)["lacks"], lambda: capability(site))
        again = site.rest.ask("PUT", "/v1/policies/more", {**NOSQL, "ports": ["6000-6003"]})
        assert (again.status_code, "cannot match tcp_dst under a mask" in again.json()["detail"]) == (409, True)


def test_an_interface_that_a_switch_cannot_guard_is_refused(tmp_path: Path) -> None:
    """It does not look into neighbour discovery: nobody with IPv6 comes to hang on it, and who has IPv4 alone does."""
    with plain_site(tmp_path, "matches_no_discovery") as site:
        lacks = capability(site)["lacks"]
        assert {"table": "admit", "what": "cannot match ipv6_nd_target"} in lacks
        put_four(site)
        six = {"subnets": ["10.6.0.0/24", "2001:db8:6::/64"]}
        site.rest.put("/v1/cugs/six", six)
        row = {"cug": "six", "mac": "02:00:00:00:06:01", "ips": ["10.6.0.11", "2001:db8:6::11"]}
        here = site.rest.ask("PUT", "/v1/vms/s1", {"server": "srv-a1", "interfaces": [row]})
        assert here.status_code == 409
        assert "R45: switch 'tor-a' cannot match ipv6_nd_" in here.json()["detail"]
        site.rest.put("/v1/vms/s1", {"server": "srv-b1", "interfaces": [row]}, wait=SECONDS)
        move = site.rest.ask("POST", "/v1/migrations", {"vm": "s1", "to": "srv-a1"})
        assert (move.status_code, "tor-a" in move.json()["detail"]) == (409, True), "nor does it move there"


def test_a_restart_asks_no_switch_again(tmp_path: Path) -> None:
    """What was found out is in the store: no probe, and no other message that changes anything, is sent to a right switch."""
    with plain_site(tmp_path, "matches_no_discovery") as site:
        put_four(site)
        site.until_in_step(but=frozenset({HABITED}))
        before, known = {name: modifications(site, name) for name in site.fakes}, capability(site)
        site.controller.kill()
        site.controller.start()
        site.until_in_step(but=frozenset({HABITED}))
        until(lambda: site.switch(HABITED)["audits"])
        assert capability(site) == known
        kept = {name: number for name, number in before.items() if name != HABITED}
        assert {name: modifications(site, name) for name in kept} == kept
        lacking = len(site.switch(HABITED)["faults"])
        assert 0 < modifications(site) - before[HABITED] <= 2 * lacking, "what it refused is tried again, and nothing else"


def test_another_software_is_asked_anew(tmp_path: Path) -> None:
    """The switch is the same by its dpid, and comes back with a version that can less."""
    with plain_site(tmp_path) as site:
        populate(site)
        assert capability(site)["lacks"] == []
        before = modifications(site)

        def renew() -> None:
            take_on(site.fakes[HABITED], "matches_no_discovery")
            site.fakes[HABITED].behaviour.software = "2"
            site.fakes[HABITED].lose()

        site.fleet.do(renew)
        until(lambda: (found := capability(site)) and found["described"] == "vmmob, fake switch, 2" and found["lacks"])
        assert modifications(site) > before


def test_who_asks_has_a_switch_asked_anew(tmp_path: Path) -> None:
    """The software is the same and its configuration is not: somebody says so."""
    with plain_site(tmp_path) as site:
        assert capability(site)["lacks"] == []
        site.fleet.do(lambda: take_on(site.fakes[HABITED], "matches_no_discovery"))
        site.audit(HABITED)
        assert capability(site)["lacks"] == []
        number = site.rest.post(f"/v1/switches/{HABITED}/audit?capability=true")["audit"]
        until(lambda: site.switch(HABITED)["audits"] >= number)
        assert {row["what"] for row in capability(site)["lacks"]} >= {"cannot match ipv6_nd_target"}


def test_words_that_tell_all_leave_nothing_to_probe(tmp_path: Path) -> None:
    """It tells its tables field by field and mask by mask, and how many flows they take: that is believed, and counts."""
    with plain_site(tmp_path) as site:
        populate(site)
        site.controller.kill()
        told = table_features(12, entries=50, without=("ipv6_nd_tll",))

        def renew() -> None:
            site.fakes[HABITED].behaviour.software = "2"
            site.fakes[HABITED].behaviour.table_features = told

        site.fleet.do(renew)
        before = modifications(site)
        site.controller.start()
        site.until_in_step()
        found = capability(site)
        assert found["table_sizes"]["admit"] == 50
        # What its words deny is asked for all the same, and it turns out to have it.
        assert found["lacks"] == []
        assert 0 < found["probed"] < 20
        assert modifications(site) - before < 4 * found["probed"] + 8
        wide = {f"m{index}": {"server": "srv-a1", "interfaces": [nic("web", 30 + index)]} for index in range(12)}
        answer = site.rest.ask("POST", "/v1/bulk", {"vms": wide})
        assert answer.status_code == 409
        assert "table admit of switch 'tor-a' takes 50 flows" in answer.json()["detail"]


def test_probes_leave_nothing_and_carry_nothing(tmp_path: Path) -> None:
    """While a switch is asked nothing of ours is in the way: probes that match stand below all else, the others match nothing
    that there is; and all of them go.
    """
    seen: list[bytes] = []
    with plain_site(tmp_path) as site:
        site.fleet.do(lambda: setattr(site.fakes[HABITED], "on_message", seen.append))
        site.rest.post(f"/v1/switches/{HABITED}/audit?capability=true")
        until(lambda: (found := capability(site)) and found["probed"] > 100)
        site.until_right()
        added = [row for row in seen if row[1] == 14 and row[25] == 0]
        gone = [row for row in seen if row[1] == 14 and row[25] == 4]
        assert len(added) > 100
        assert {(row[24], row[30:32], row[48 : 48 + match_size(row, 48)]) for row in added} == {
            (row[24], row[30:32], row[48 : 48 + match_size(row, 48)]) for row in gone
        }
        for row in added:
            fields = oxm_fields(row[48 : 48 + match_size(row, 48)])
            metadata, _ = fields.get(OPENFLOW_BASIC << 7 | FIELDS["metadata"].number, (0, 0))
            source, _ = fields.get(OPENFLOW_BASIC << 7 | FIELDS["eth_src"].number, (0, 0))
            nowhere = metadata == (1 << 64) - 1 or source >> 40 & 1
            assert nowhere or int.from_bytes(row[30:32], "big") in PROBES


def test_a_switch_that_ends_its_connection_over_probes_is_not_asked_for_ever(tmp_path: Path) -> None:
    with plain_site(tmp_path) as site:
        populate(site)

        def die(message: bytes) -> None:
            probe = message[1] == 14 and int.from_bytes(message[30:32], "big") in PROBES
            if probe:
                site.fakes[HABITED].lose()

        site.fleet.do(lambda: setattr(site.fakes[HABITED], "on_message", die))
        site.rest.post(f"/v1/switches/{HABITED}/audit?capability=true")
        until(lambda: "while it is asked what it can do" in site.controller.log, lambda: site.controller.log[-2000:])
        until(lambda: site.switch(HABITED)["in_step"], lambda: site.switch(HABITED))
        assert capability(site) is None
        there_and_back(site)


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
    """The cable goes, and is told of; it comes back, and nothing is said. The next audit asks."""
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


def many(site: FakeSite, number: int) -> None:
    """So many VMs at the habited switch."""
    cugs = {f"big{index}": {"subnets": ["10.7.0.0/16"]} for index in range((number + 2) // 3)}
    rows = {f"m{index}": {"server": "srv-a1", "interfaces": [_nic(index)]} for index in range(number)}
    site.rest.post(
        "/v1/bulk", {"cugs": cugs, "vms": {"w1": {"server": "srv-a1", "interfaces": [nic("web", 11)]}, **rows}}, wait=SECONDS
    )


def _nic(index: int) -> dict[str, Any]:
    host = 20 + index
    return {
        "cug": f"big{index // 3}",
        "mac": f"02:00:00:00:{host >> 8:02x}:{host & 0xFF:02x}",
        "ips": [f"10.7.{host >> 8}.{host & 0xFF}"],
    }


def link(site: FakeSite) -> Any:
    return next(row for row in site.rest.get("/v1/fabric")["links"] if "tor-a:49" in (row["a"], row["b"]))
