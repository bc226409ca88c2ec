"""Routing, policies and external networks under any sequence of commands: what is made step by step is what is made again."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.engine.persist import restore
from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import (
    Abort,
    Activate,
    Command,
    Commit,
    DeleteCug,
    DeleteVm,
    LinksChanged,
    Prepared,
    PutCug,
    PutVm,
    SettleTrees,
    StartMigration,
)
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import ExternalsChanged, NeighbourHeard
from ryu_vmmob.model.state import State
from tests.support.commands import nic, vm
from tests.support.engine_site import Site
from tests.support.routed_networks import HOP_1, HOP_2, HOP_2_V6, PARTNER, WAN, two_borders, who

CUGS = {"web": 1, "db": 2, "lab": 1}
VMS = ("v1", "v2", "v3")
SERVERS = ("a1", "a2", "b1", "b2")


class Labelled(NamedTuple):
    """A VM gets other labels, as it is otherwise."""

    name: str
    labels: dict[str, str]


@st.composite
def cugs(draw: st.DrawFn) -> PutCug:
    name = draw(st.sampled_from(sorted(CUGS)))
    number = CUGS[name]
    v4 = draw(st.sampled_from([f"10.{number}.0.0/24", f"10.{number}.0.0/23"]))
    subnets = [ip_network(v4), ip_network(f"2001:db8:{number}::/64")][: draw(st.sampled_from([1, 2, 2]))]
    gateways = [ip_address(f"10.{number}.0.254")] if draw(st.booleans()) else []
    return PutCug(name, tuple(subnets), tuple(gateways), draw(st.sampled_from(["red", "red", "blue", None])))


def addresses(number: int, host: int) -> list[str]:
    return [f"10.{number}.0.{host}", f"2001:db8:{number}::{host}"]


@st.composite
def vms(draw: st.DrawFn) -> Command:
    name = draw(st.sampled_from(VMS))
    host = 11 + VMS.index(name)
    names = draw(st.lists(st.sampled_from(sorted(CUGS)), min_size=1, max_size=2, unique=True))
    nics = [
        replace(
            nic(host, cug, CUGS[cug], ips=addresses(CUGS[cug], host)[: draw(st.sampled_from([1, 2]))]),
            mac=0x020000000000 | sorted(CUGS).index(cug) << 8 | host,
        )
        for cug in names
    ]  # fmt: skip
    return replace(vm(name, draw(st.sampled_from(SERVERS)), *nics), labels=draw(labels))


labels = st.sampled_from([{}, {"role": "db"}, {"role": "web"}, {"role": "db", "x": "1"}])
selectors = st.sampled_from(
    ["cug:web", "cug:db", "cug:lab", "vm:v1", "vm:v2", "10.0.0.0/8", "192.0.2.0/24", "::/0", "any"]
    + [Selector("labels", text) for text in ("role=db", "role!=db", "!x,role", "role=db,x=1")]
)


@st.composite
def policies(draw: st.DrawFn) -> PutPolicy:
    put = PutPolicy(
        draw(st.sampled_from("pqr")),
        draw(st.booleans()),
        who(draw(selectors)),
        who(draw(selectors)),
        draw(st.sampled_from([1, 2])),
        draw(st.sampled_from([None, 6, "icmp"])),
    )
    return replace(put, ports=((80, 90),), replies=put.allow and draw(st.booleans())) if put.protocol == 6 else put


neighbours = st.sampled_from([("inet-1", HOP_1), ("inet-2", HOP_2), ("inet-2", HOP_2_V6), ("partner", PARTNER)]).flatmap(
    lambda pair: st.sampled_from([None, 0x02BB00000001]).map(lambda mac: NeighbourHeard(*pair, mac))
)
externals = st.frozensets(st.sampled_from(["partner", "inet-1", "inet-2", "lab-net"])).map(ExternalsChanged)
migrations = st.builds(StartMigration, st.just("m"), st.sampled_from(VMS), st.sampled_from(SERVERS))
steps = st.sampled_from([Prepared("m"), Activate("m"), Commit("m"), Abort("m")])
links = st.frozensets(st.sampled_from([WAN, "border-1:1=tor-a:49"]), max_size=1).map(lambda down: LinksChanged(down))
commands = st.one_of(
    cugs(), cugs(), vms(), vms(), vms(), policies(), policies(), neighbours, externals, migrations, steps, links,
    st.builds(Labelled, st.sampled_from(VMS), labels), st.just(SettleTrees()), st.sampled_from(VMS).map(DeleteVm),
    st.sampled_from("pqr").map(DeletePolicy), st.sampled_from(sorted(CUGS)).map(DeleteCug),
)  # fmt: skip


def check(site: Site) -> None:
    state, desired = site.state, site.engine.desired
    fresh = full(state)
    for name in state.fabric.switches:
        here, there = desired.tables[name], fresh.tables[name]
        assert {str(row) for row in here.flows.values()} == {str(row) for row in there.flows.values()}, name
        assert here.flows.keys() == there.flows.keys(), name
        assert here.groups == there.groups, name
        # Of several policies that say the same, any may be named.
        mine, others = ({c: row.owner[0] for c, row in tables.flows.items()} for tables in (here, there))
        assert mine == others, name
    again, _ = restore(site.store.load(), site.fabric, site.store.revision)
    if state.trees_settled:
        for field in State.__dataclass_fields__:
            assert getattr(again, field) == getattr(state, field), field


def _as_it_is(site: Site, row: Command | Labelled) -> Command | None:
    if not isinstance(row, Labelled):
        return row
    there = site.state.vms.get(row.name)
    return None if there is None else PutVm(row.name, there.server, there.interfaces, labels=row.labels)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(commands, min_size=1, max_size=2), min_size=4, max_size=25))
def test_step_by_step_is_anew(batches: list[list[Command | Labelled]]) -> None:
    site = Site(two_borders(), connected=False)
    for batch in batches:
        try:
            site.engine.execute(*(done for row in batch if (done := _as_it_is(site, row)) is not None))
        except Refusal:
            continue
        check(site)
