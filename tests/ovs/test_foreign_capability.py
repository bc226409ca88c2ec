"""What a plain switch can do is found out before anything is promised, and kept."""

from __future__ import annotations

from pathlib import Path

from ryu_vmmob.bench.fake_features import table_features
from ryu_vmmob.bench.fake_habits import take_on
from ryu_vmmob.bench.fake_tables import match_size, oxm_fields
from ryu_vmmob.flows.fields import FIELDS, OPENFLOW_BASIC
from ryu_vmmob.flows.kinds import PROBES
from tests.ovs.foreign import (
    HABITED,
    capability,
    modifications,
    plain_site,
    populate,
    put_four,
    there_and_back,
)
from tests.support.controller import SECONDS, nic, until

NOSQL = {
    "priority": 100, "action": "deny", "from": {"cug": "web"}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["5432-5433"],
}  # fmt: skip


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


def test_a_switch_with_another_software_version_is_probed_again(tmp_path: Path) -> None:
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


def test_an_audit_with_capability_probes_the_switch_again(tmp_path: Path) -> None:
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
        until(lambda: "when it is probed" in site.controller.log, lambda: site.controller.log[-2000:])
        until(lambda: site.switch(HABITED)["in_step"], lambda: site.switch(HABITED))
        assert capability(site) is None
        there_and_back(site)
