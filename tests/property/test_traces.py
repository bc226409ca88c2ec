"""Whatever is asked of whatever network: a trace has a verdict, and it accuses the controller of nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.flows.compiler import full
from ryu_vmmob.model.commands import Command, StartMigration
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.routing_domains import ExternalsChanged
from ryu_vmmob.model.state import State
from ryu_vmmob.trace import Question, trace
from tests.support.commands import apply, nic, start, vm
from tests.support.routed_networks import CUGS, HEARD, two_borders, who

EMPTY = start(two_borders(), *CUGS)
SERVERS = ("a1", "a2", "b1", "b2")
NUMBERS = {"web": 1, "db": 2, "lab": 1, "lone": 4}
HOSTS = range(20, 24)
ADDRESSES = (
    "8.8.8.8", "203.0.113.4", "2001:db8:99::1", "172.16.0.2", "192.0.2.1", "192.0.2.77", "192.0.2.255", "10.1.0.1", "10.2.0.1",
    "2001:db8:1::1", "10.1.0.77", "10.2.0.77", "10.4.0.33", "255.255.255.255", "ff02::1", "ff02::2", "fe80::1",
    "fe80::5eff:fe00:1",
    *(f"10.{number}.0.{host}" for number in (1, 2, 4) for host in HOSTS),
    *(f"2001:db8:{number}::{host}" for number in (1, 2, 4) for host in HOSTS),
)  # fmt: skip
MACS = (0x02005E000001, 0x020000100000 | HOSTS[0], 0x020000100099)


def a_vm(host: int, server: str, cug: str) -> Command:
    ips = [f"10.{NUMBERS[cug]}.0.{host}", f"2001:db8:{NUMBERS[cug]}::{host}"]
    return vm(f"v{host}", server, nic(cug_name=cug, mac=0x020000100000 | host, ips=ips))


def _of_the_protocol(put: PutPolicy) -> PutPolicy:
    """Ports and replies only where there are such."""
    ports = put.ports if put.protocol in (6, 17) else ()
    return replace(put, ports=ports, replies=put.replies and put.allow and put.protocol is not None)


servers = st.sampled_from(SERVERS)
ends = st.sampled_from(["any", "cug:web", "cug:db", "cug:lab", "cug:lone", "10.0.0.0/8", "192.0.2.0/24", "0.0.0.0/0", "vm:v20"])
policies = st.builds(
    PutPolicy,
    name=st.sampled_from("pqr"),
    allow=st.booleans(),
    source=ends.map(who),
    target=ends.map(who),
    priority=st.sampled_from([1, 2]),
    protocol=st.sampled_from([None, 6, 17, "icmp"]),
    ports=st.sampled_from([(), ((9, 80),)]),
    replies=st.booleans(),
).map(_of_the_protocol)
moves = st.builds(
    lambda to, delivery: StartMigration("m-1", "v20", to, delivery=delivery, timeout=300.0),
    servers,
    st.sampled_from(["at_pause", "early", "on_activation"]),
)
vms = st.lists(st.builds(a_vm, st.sampled_from(HOSTS), servers, st.sampled_from(sorted(NUMBERS))), max_size=4)
outside = st.lists(st.sampled_from(HEARD), max_size=3).flatmap(
    lambda heard: st.sampled_from([[], [ExternalsChanged(frozenset({"inet-1", "partner"}))]]).map(lambda lost: [*heard, *lost])
)
states = st.tuples(vms, outside, st.lists(policies, max_size=3), st.lists(moves, max_size=1))
questions = st.lists(
    st.fixed_dictionaries(
        {
            "ip": st.sampled_from(ADDRESSES).map(ip_address),
            "protocol": st.sampled_from([None, 6, 17, 47, "icmp", "arp", "rs"]),
        },
        optional={
            "mac": st.sampled_from(MACS),
            "ttl": st.sampled_from([0, 1, 2, 3]),
            "tcp_flags": st.sampled_from([0x02, 0x10]),
            "source_port": st.sampled_from([9, 80, 81]),
            "fragment": st.sampled_from(["first", "tiny", "later"]),
            "icmp_type": st.sampled_from([0, 1, 2, 3, 4, 8, 11, 12, 128, 129, 134]),
            "claimed_ip": st.sampled_from(ADDRESSES).map(ip_address),
        },
    ),
    min_size=4,
    max_size=12,
)


def network(commands: tuple[list[Any], ...]) -> State:
    """What these commands make, those that are refused apart."""
    state = EMPTY
    for command in (row for rows in commands for row in rows):
        try:
            state = apply(state, command).state
        except Refusal:
            continue
    return state


@settings(max_examples=150, deadline=None)
@given(states, questions)
def test_every_question_has_its_answer(commands: tuple[list[Any], ...], asked: list[dict[str, Any]]) -> None:
    state = network(commands)
    tables = full(state).tables
    senders: list[dict[str, Any]] = [{"vm": name} for name in sorted(state.vms)]
    senders += [{"external": "inet-1"}, {"external": "inet-2"}]
    for number, question in enumerate(asked):
        try:
            found = trace(state, tables, Question(**question, **senders[number % len(senders)]))
        except Refusal:
            continue
        kind, reason = found.verdict
        assert kind not in ("loop", "undefined"), reason
        assert reason
        assert "report it" not in reason, (question, found.hops)
        assert (kind == "delivered") <= bool(found.arrivals)
        assert all(hop.ending is None or hop.ending.reason.startswith(f"{hop.visit.switch}, table ") for hop in found.hops)
