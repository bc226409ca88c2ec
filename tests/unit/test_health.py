"""The one function of health: each thing that may be wrong, what is said of it, and who is told."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.fabric import load
from ryu_vmmob.fabric.attached import Attached
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.health import REASONS, Facts, Health, Loudness, Reason, Standing, Status, SwitchFacts, judge
from ryu_vmmob.health.parts import split
from ryu_vmmob.health.values import STUCK_SECONDS, Waiting
from ryu_vmmob.model.state import State, with_fabric
from tests.support.rest_service import WEB, Service, vm

ROOT = Path(__file__).parents[2]
TWO = load(ROOT / "etc" / "two-dcs.yaml")
WAN = frozenset(
    link.name for link in TWO.links if TWO.switches[link.a.switch].data_center != TWO.switches[link.b.switch].data_center
)
"""The links between the data centres."""


def state(fabric: Fabric = TWO, **fields: frozenset[str]) -> State:
    return replace(with_fabric(None, fabric), **fields)  # type: ignore[arg-type]


def well(state_: State, **fields: Any) -> Facts:
    """All switches in step."""
    switches = tuple(SwitchFacts(name, Standing.IN_STEP) for name in state_.fabric.switches)
    return Facts(**{"state": state_, "switches": switches, "has_met": True, "now": 1000.0, **fields})


def only(health: Health, kind: str) -> Reason:
    """The one reason of a kind, which is all that is wrong."""
    (found,) = health.reasons
    assert found.kind == kind
    return found


def texts(health: Health) -> list[str]:
    return [row.text for row in health.tiles]


def test_all_is_well() -> None:
    found = judge(well(state()))
    assert (found.status, found.reasons, found.level) == (Status.READY, (), Loudness.GOOD)
    assert texts(found) == ["all 7 switches are in step", "no move under way", "nothing refused in the last minute"]


@pytest.mark.parametrize(
    ("standing", "kind", "level", "status"),
    [
        (Standing.AWAY, "switch.away", Loudness.BAD, Status.DEGRADED),
        (Standing.HELD, "switch.held", Loudness.BAD, Status.NOT_READY),
        (Standing.REFUSED, "switch.refused", Loudness.WARN, Status.DEGRADED),
        (Standing.BEHIND, "switch.behind", Loudness.WARN, Status.NOT_READY),
        (Standing.SETTLING, "switch.settling", Loudness.NOTE, Status.NOT_READY),
    ],
)
def test_how_a_switch_stands(standing: Standing, kind: str, level: Loudness, status: Status) -> None:
    facts = well(state())
    sick = SwitchFacts("tor-a", standing, behind=2, faults=3, error="TABLE_FULL", held="switch tor-a is held")
    found = judge(facts._replace(switches=(sick, *facts.switches[1:])))
    reason = only(found, kind)
    assert (found.status, reason.level, reason.about) == (status, level, (("switch", "tor-a"),))
    assert found.standings["tor-a"] is standing
    # What passes by itself is no news for a strip.
    assert ("all 7 switches are in step" in texts(found)) is (standing is Standing.SETTLING)
    assert any("tor-a" in text for text in texts(found)) is (standing is not Standing.SETTLING)
    assert found.level is (Loudness.GOOD if standing is Standing.SETTLING else level)


def test_a_controller_that_has_met_no_switch_is_not_ready_and_one_without_any_is() -> None:
    found = judge(well(state(), has_met=False))
    assert (found.status, only(found, "controller.unmet").blocks) == (Status.NOT_READY, True)
    assert judge(well(state(), has_met=False, switches=())).status is Status.READY


def test_ports_that_the_file_names_and_the_switch_does_not_have() -> None:
    facts = well(state())
    missing = {49: Attached("link", "border-1:1=tor-a:49"), 1: Attached("server", "srv-a1")}
    found = judge(facts._replace(switches=(SwitchFacts("tor-a", Standing.IN_STEP, missing=missing), *facts.switches[1:])))
    reason = only(found, "switch.ports_missing")
    assert reason.what == (
        "switch tor-a has no ports 49 (link border-1:1=tor-a:49), 1 (server srv-a1), which the fabric file names"
    )
    assert (found.status, reason.level) == (Status.DEGRADED, Loudness.WARN)
    assert "ports missing at tor-a" in texts(found)


def test_foreign_flows_and_a_store_that_fails() -> None:
    facts = well(state())
    found = judge(facts._replace(switches=(SwitchFacts("tor-a", Standing.IN_STEP, foreign=2), *facts.switches[1:])))
    assert "2 flows in our tables that are not ours" in only(found, "switch.foreign_flows").what
    assert (found.status, found.level) == (Status.DEGRADED, Loudness.WARN)
    found = judge(facts._replace(store="the disk is full"))
    assert only(found, "store.failing").what == "nothing can be changed: the disk is full"
    assert (found.status, found.level) == (Status.NOT_READY, Loudness.BAD)


def test_data_centres_that_are_cut_asunder_are_named() -> None:
    assert len(WAN) > 1
    one = judge(well(state(links_down=frozenset([min(WAN)]))))
    assert only(one, "link.down").level is Loudness.WARN
    assert one.parts == ()
    both = judge(well(state(links_down=WAN)))
    assert [row.kind for row in both.reasons] == ["fabric.split", "link.down", "link.down"]
    assert both.reasons[0].what.endswith(": dc1 | dc2")
    assert (both.level, both.status) == (Loudness.BAD, Status.DEGRADED)
    assert [row.data_centers for row in both.parts] == [("dc1",), ("dc2",)]
    assert both.parts[0].edges == tuple(sorted(name for name, row in TWO.switches.items() if row.data_center == "dc1"))
    assert f"2 links down: {', '.join(name.replace('=', ' – ') for name in sorted(WAN))}" in texts(both)
    assert texts(both)[0] == "cannot reach each other: dc1 | dc2"


def test_an_edge_that_is_cut_off_is_named_and_so_is_the_rest() -> None:
    down = frozenset(link.name for link in TWO.links if "tor-a" in (link.a.switch, link.b.switch))
    rest, alone = split(TWO, down)
    assert (alone.data_centers, alone.edges, str(alone)) == ((), ("tor-a",), "tor-a")
    assert rest.data_centers == ("dc2",)
    assert str(rest).startswith("dc2, ")
    assert "tor-a" not in rest.edges


def test_what_the_fabric_file_never_joined_is_not_split() -> None:
    links = tuple(link for link in TWO.links if link.name not in WAN)
    apart = replace(TWO, links=links)
    assert split(apart, frozenset()) == ()
    down = frozenset(link.name for link in links if "tor-a" in (link.a.switch, link.b.switch))
    assert sorted(row.edges == ("tor-a",) for row in split(apart, down)) == [False, True]
    assert all("dc2" not in row.data_centers for row in split(apart, down)), "the other half is as it was"


def test_an_external_network_is_bad_where_nothing_else_leads_there() -> None:
    service = Service(fabric=TWO)
    service.connect()
    service.put("/v1/cugs/web", {**WEB, "routing_domain": "red"})
    service.confirm()
    now = service.engine.state
    names = sorted(TWO.externals)
    kinds = {(row.kind, row.about[0].name): row.level for row in judge(well(now)).reasons}
    assert kinds == {("external.silent", name): Loudness.BAD for name in names if TWO.externals[name].next_hops}
    answering = {(name, hop): 1 for name in names for hop in TWO.externals[name].next_hops}
    heard = replace(now, neighbours=now.neighbours.update(answering))
    assert judge(well(heard)).reasons == ()
    for name in names:
        gone = judge(well(replace(heard, externals_down=frozenset([name]))))
        others = [row for other, row in TWO.externals.items() if other != name]
        default = IPv4Network("0.0.0.0/0")
        elsewhere = any(default in row.prefixes and row.routing_domain == "red" for row in others)
        assert only(gone, "external.down").level is (Loudness.WARN if elsewhere else Loudness.BAD)
    # Nobody is routed there: nobody misses it.
    idle = judge(well(replace(state(), externals_down=frozenset(names[:1]))))
    assert only(idle, "external.down").level is Loudness.WARN


def test_a_move_is_stuck_when_it_waits_for_long_or_stays_open() -> None:
    service = Service().with_web()
    service.connect()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    (move,) = service.engine.state.migrations.values()
    begun = move.timeline[-1].time
    facts = well(service.engine.state, now=begun, moves=(Waiting(move, ("tor-c",)),))
    assert judge(facts).reasons == ()
    assert "1 move under way" in texts(judge(facts))
    late = judge(facts._replace(now=begun + STUCK_SECONDS))
    assert only(late, "move.stuck").what == "the move of web1 waits for tor-c to confirm"
    assert only(late, "move.stuck").about == (("migration", move.id),)
    assert judge(facts._replace(now=begun + STUCK_SECONDS, moves=(Waiting(move),))).reasons == ()
    over = judge(facts._replace(moves=(Waiting(move, (), "switch tor-c is away"),)))
    assert "stays open although its time is over: switch tor-c is away" in only(over, "move.stuck").what


def test_the_engine_s_own_moves_and_refusals_reach_it() -> None:
    service = Service().with_web()
    service.connect()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    service.time += STUCK_SECONDS
    kinds = {row["kind"] for row in service.get("/v1/health")["reasons"]}
    assert "move.stuck" in kinds
    service.confirm()
    found = service.get("/v1/health")
    assert "move.stuck" not in {row["kind"] for row in found["reasons"]}
    assert {"1 move under way"} <= {row["text"] for row in found["tiles"]}


def test_the_same_is_told_everywhere() -> None:
    """What blocks comes first, and every reason has its row in the description and in the metrics."""
    service = Service()
    service.connect("tor-a")
    service.put("/v1/cugs/web", WEB)
    service.put("/v1/vms/web1", vm())
    service.break_store("no space")
    health, ready = service.get("/v1/health"), service.ask("GET", "/readyz").json
    assert ready["reasons"] == health["reasons"]
    assert (ready["status"], health["status"]) == ("not_ready", "not_ready")
    assert ready["troubles"] == [row["what"] for row in health["reasons"] if row["level"] != "note"]
    blocking = [row["blocks"] for row in health["reasons"]]
    assert blocking == sorted(blocking, reverse=True)
    assert {row["kind"] for row in health["reasons"]} <= set(REASONS)
    said = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
    assert [kind for kind in REASONS if f"| `{kind}` |" not in said] == []


def test_a_move_away_from_the_others_is_warned_of() -> None:
    """Before it begins, where it may go, and while it is under way; and only while the fabric is split."""
    service = Service(fabric=TWO)
    service.connect()
    service.put("/v1/cugs/web", WEB)
    for number, server in enumerate(("srv-a1", "srv-a2", "srv-c1"), 1):
        service.put(f"/v1/vms/web{number}", vm(server, 10 + number))
    service.confirm()

    def warned(server: str) -> list[str]:
        body = {"vm": "web1", "to": server}
        (row,) = [row for row in service.get("/v1/vms/web1/placements")["items"] if row["server"] == server]
        dry = service.ask("POST", "/v1/migrations?dry_run=true", body).json
        assert dry.get("warnings") == row.get("warnings")
        found: list[str] = row.get("warnings", [])
        return found

    assert (warned("srv-c2"), warned("srv-b1")) == ([], [])
    service.engine.network.links_seen(WAN)
    service.confirm()
    said = "of the 2 other VMs of its CUGs are out of reach of"
    assert warned("srv-c2") == [f"1 {said} srv-c2: links that are down split the fabric"]
    assert warned("srv-b1") == [f"1 {said} srv-b1: links that are down split the fabric"]
    service.ask("DELETE", "/v1/vms/web3")
    assert warned("srv-b1") == []
    assert [text.partition(" are ")[0] for text in warned("srv-c2")] == ["1 of the 1 other VMs of its CUGs"]
    begun = service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c2"}).json
    assert begun["warnings"] == warned_of(service, begun["id"])
    service.engine.network.links_seen(frozenset())
    assert warned_of(service, begun["id"]) is None


def warned_of(service: Service, id_: str) -> list[str] | None:
    found: list[str] | None = service.get(f"/v1/migrations/{id_}").get("warnings")
    return found
