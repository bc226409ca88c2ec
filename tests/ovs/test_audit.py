"""Somebody changes flows, groups and meters of a real switch by hand; the audit finds it, counts it and puts it right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.flows.audit import MOST_ODD
from ryu_vmmob.flows.flow import Flow, show_instructions
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.pipeline import TABLES, Meter, Table, meter_id
from tests.support.controller import Site, nic, until

MARKED = 0x7A00000000000001
NOTHING = {"missing": 0, "alien": 0, "altered": 0}


@pytest.fixture(scope="module")
def site(ovs: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(ovs, tmp_path_factory.mktemp("audit")) as running:
        running.put_cugs()
        running.put_vm("w1", "srv-a1", nic("web", 11))
        running.put_vm("w2", "srv-a2", nic("web", 12))
        running.put_vm("w3", "srv-c1", nic("web", 13))
        running.until_right()
        yield running


def audit(site: Site, switch: str = "tor-a") -> dict[str, dict[str, int]]:
    """Have a switch audited; what was counted, without what was not."""
    before = site.switch(switch)["repairs"]
    number = site.rest.post(f"/v1/switches/{switch}/audit")["audit"]
    until(lambda: site.switch(switch)["audits"] >= number)
    after = site.switch(switch)["repairs"]
    found = {kind: {name: row[name] - before[kind][name] for name in row} for kind, row in after.items()}
    return {kind: {name: number for name, number in row.items() if number} for kind, row in found.items() if row != NOTHING}


def dump(site: Site, switch: str = "tor-a") -> list[str]:
    """Flows, groups and meters as the switch shows them, without what it counts."""
    shown = []
    for what in ("dump-flows", "dump-groups", "dump-meters"):
        text = site.ovs.ofctl(what, switch)
        shown += sorted(
            re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, ?", "", row) for row in text.splitlines()[1:]
        )
    return shown


def flow_of(site: Site, table: Table, switch: str = "tor-a") -> Flow:
    """A desired flow of VM w1, or of its CUG, in this table."""
    owners = Owner(OwnerKind.VM, "w1"), Owner(OwnerKind.CUG, "web")
    return next(row for row in site.fresh().tables[switch].flows.values() if row.table is table and row.owner.whole in owners)


def flow_mods(site: Site, work: Any) -> int:
    listener = site.listen()
    work()
    listener.stop()
    return listener.changes()


def test_a_switch_that_is_right_gets_no_message_that_changes_anything(site: Site) -> None:
    assert flow_mods(site, lambda: audit(site)) == 0
    assert audit(site) == {}


@pytest.mark.parametrize("table", [Table.INGRESS, Table.ADMIT, Table.BRIDGE, Table.DELIVER], ids=str)
def test_actions_altered_under_an_unchanged_cookie(site: Site, table: Table) -> None:
    before = dump(site)
    flow = flow_of(site, table)
    site.ovs.ofctl("mod-flows", "tor-a", f"table={table.id},cookie={flow.cookie:#x}/-1,actions=output:2")
    assert dump(site) != before
    assert audit(site) == {"flows": {"altered": 1}}
    assert dump(site) == before
    site.until_right()
    assert audit(site) == {}


def test_every_flow_of_ours_altered_at_once(site: Site) -> None:
    before = dump(site)
    for table in TABLES:
        site.ovs.ofctl("mod-flows", "tor-a", f"table={table.id},cookie=0x7a00000000000000/0xff00000000000000,actions=drop")
    found = audit(site)
    does_something = [flow for flow in site.fresh().flows("tor-a") if show_instructions(flow) != "drop"]
    assert found == {"flows": {"altered": len(does_something)}}
    assert dump(site) == before


def test_a_flow_moved_to_another_priority_or_match(site: Site) -> None:
    before = dump(site)
    flow = flow_of(site, Table.DELIVER)
    site.ovs.ofctl("del-flows", "tor-a", f"cookie={flow.cookie:#x}/-1")
    site.ovs.ofctl("add-flow", "tor-a", f"table={Table.DELIVER.id},priority=7,cookie={flow.cookie:#x},actions=output:1")
    assert audit(site) == {"flows": {"altered": 1}}
    assert dump(site) == before


def test_a_copy_beside_the_right_flow_goes_and_the_right_one_stays(site: Site) -> None:
    before = dump(site)
    flow = flow_of(site, Table.DELIVER)
    site.ovs.ofctl("add-flow", "tor-a", f"table={Table.DELIVER.id},priority=60000,cookie={flow.cookie:#x},actions=output:1")
    assert audit(site) == {"flows": {"alien": 1}}
    assert dump(site) == before


def test_a_timeout_put_on_a_flow(site: Site) -> None:
    before = dump(site)
    flow = flow_of(site, Table.DELIVER)
    shown = next(row for row in site.ovs.ofctl("dump-flows", "tor-a").splitlines() if f"{flow.cookie:#x}" in row)
    match, actions = re.search(r"(priority=.*) actions=(.*)$", shown).groups()  # type: ignore[union-attr]
    told = f"table={Table.DELIVER.id},cookie={flow.cookie:#x},hard_timeout=3600,{match},actions={actions}"
    site.ovs.ofctl("add-flow", "tor-a", told)
    assert dump(site) != before
    assert audit(site) == {"flows": {"altered": 1}}
    assert dump(site) == before


def test_flows_deleted_and_flows_added_with_our_mark(site: Site) -> None:
    before = dump(site)
    gone = site.ovs.ofctl("dump-flows", "tor-a", f"table={Table.ADMIT.id}").count("cookie=")
    site.ovs.ofctl("del-flows", "tor-a", f"table={Table.ADMIT.id}")
    site.ovs.ofctl("add-flow", "tor-a", f"table={Table.BRIDGE.id},priority=9,cookie={MARKED:#x},actions=flood")
    assert audit(site) == {"flows": {"missing": gone, "alien": 1}}
    assert dump(site) == before


def test_more_flows_with_our_mark_than_one_reading_has_room_for(site: Site) -> None:
    """They go in more than one step, and the switch counts as right when all are gone; an altered flow among them is found."""
    before, aliens = dump(site), MOST_ODD + 5000
    flow = flow_of(site, Table.BRIDGE)
    site.ovs.ofctl("mod-flows", "tor-a", f"table={flow.table.id},cookie={flow.cookie:#x}/-1,actions=output:2")
    rows = (
        f"table={Table.ADMIT.id},priority=9,cookie={MARKED + n:#x},dl_src={n.to_bytes(6).hex(':')},actions=drop\n"
        for n in range(aliens)
    )
    site.ovs.ofctl("add-flows", "tor-a", "-", stdin="".join(rows))
    assert audit(site) == {"flows": {"alien": aliens, "altered": 1}}
    assert dump(site) == before


def test_groups_altered_deleted_and_added(site: Site) -> None:
    before = dump(site)
    groups = sorted(site.fresh().tables["tor-a"].groups)
    assert len(groups) >= 2
    site.ovs.ofctl("mod-group", "tor-a", f"group_id={groups[0]},type=all,bucket=output:2")
    assert audit(site) == {"groups": {"altered": 1}}
    assert dump(site) == before
    users = site.ovs.ofctl("dump-flows", "tor-a").count(f"group:{groups[1]}")
    site.ovs.ofctl("del-groups", "tor-a", f"group_id={groups[1]}")  # flows that point to it go with it
    assert audit(site) == {"flows": {"missing": users}, "groups": {"missing": 1}}
    assert dump(site) == before
    site.ovs.ofctl("add-group", "tor-a", "group_id=0x1fff0fff,type=all,bucket=output:2")
    assert audit(site) == {"groups": {"alien": 1}}
    assert dump(site) == before


def test_meters_altered_and_deleted(site: Site) -> None:
    before = dump(site)
    site.ovs.ofctl("mod-meter", "tor-a", f"meter={meter_id(Meter.ANSWERS, 1)},pktps,burst,band=type=drop,rate=7,burst_size=7")
    assert audit(site) == {"meters": {"altered": 1}}
    assert dump(site) == before
    refusals = meter_id(Meter.REFUSALS, 1)
    users = len(re.findall(rf"meter:{refusals}\b", site.ovs.ofctl("dump-flows", "tor-a")))
    assert users == 1
    site.ovs.ofctl("del-meter", "tor-a", f"meter={refusals}")
    found = audit(site)
    assert found["meters"] == {"missing": 1}
    assert found.get("flows", {}) in ({}, {"missing": users})
    assert dump(site) == before


def test_flows_without_our_mark_are_left_alone_and_counted(site: Site) -> None:
    assert site.switch("tor-a")["foreign_flows"] == 0
    site.ovs.ofctl("add-flow", "tor-a", f"table={Table.BRIDGE.id},priority=9,cookie=0x5,actions=drop")
    site.ovs.ofctl("add-flow", "tor-a", "table=100,cookie=0x5,actions=drop")
    assert audit(site) == {}
    assert site.switch("tor-a")["foreign_flows"] == 1
    assert site.ovs.ofctl("dump-flows", "tor-a").count("cookie=0x5") == 2
    site.ovs.ofctl("del-flows", "tor-a", "cookie=5/-1")
    assert audit(site) == {}
    assert site.switch("tor-a")["foreign_flows"] == 0
    # One that stands where one of ours should is overwritten.
    before = dump(site)
    flow = flow_of(site, Table.DELIVER)
    shown = next(row for row in site.ovs.ofctl("dump-flows", "tor-a").splitlines() if f"{flow.cookie:#x}" in row)
    match = re.search(r"(priority=.*) actions=", shown).group(1)  # type: ignore[union-attr]
    site.ovs.ofctl("add-flow", "tor-a", f"table={Table.DELIVER.id},cookie=0x5,{match},actions=drop")
    assert audit(site) == {"flows": {"missing": 1}}
    assert dump(site) == before


def test_what_was_altered_while_the_switch_was_away(site: Site) -> None:
    before = dump(site)
    flow = flow_of(site, Table.BRIDGE)
    site.disconnect("tor-a")
    assert site.rest.ask("POST", "/v1/switches/tor-a/audit").status_code == 409
    site.ovs.ofctl("mod-flows", "tor-a", f"cookie={flow.cookie:#x}/-1,actions=drop")
    site.reconnect("tor-a")
    until(lambda: dump(site) == before)
    site.until_right()
