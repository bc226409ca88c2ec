"""The judge on a routed network written out by hand: right tables are right, and each fault breaks the invariant it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_vmmob.flows.flow import DecTtl, Flow, Group
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.sim.invariants import check
from tests.unit.sim_routed_facts import RULES
from tests.unit.sim_routed_lab import entries, view

Chosen = Callable[[Flow], bool]


def broken(switch: str, chosen: Chosen, change: Callable[[Flow], Flow] | None = None) -> set[int]:
    """Numbers of the invariants that break when some flows of a switch are changed, or without ``change`` taken away."""
    made = entries()
    rows: list[Flow | Group] = []
    hit = 0
    for row in made[switch]:
        if isinstance(row, Flow) and chosen(row):
            hit += 1
            if change is not None:
                rows.append(change(row))
        else:
            rows.append(row)
    assert hit, "no such flow"
    return {found.invariant for found in check(view({**made, switch: rows}))}


def of(table: Table, *words: str) -> Chosen:
    """Flows of a table whose text has all the words."""
    return lambda row: row.table is table and all(word in str(row) for word in words)


def test_right_tables_are_right() -> None:
    assert list(check(view())) == []


@pytest.mark.parametrize(
    ("number", "switch", "chosen"),
    [
        pytest.param(1, "edge", of(Table.ADMIT, "in_port=9", "ipv4_src=10.1.0.0/"), id="inside addresses from outside"),
        pytest.param(5, "tor-a", of(Table.ANSWER, "arp_tpa=10.1.0.1"), id="the gateway is not known where a VM hangs"),
        pytest.param(7, "tor-a", of(Table.POLICY_OUT, "tcp_dst=23"), id="a denial is missing"),
        pytest.param(7, "tor-a", of(Table.POLICY_OUT, "priority=500"), id="without a rule everything may pass"),
        pytest.param(8, "tor-a", of(Table.POLICY_IN, "tcp_dst=5432"), id="what is allowed does not arrive"),
        pytest.param(8, "tor-a", of(Table.ROUTE, "10.2.0.12/"), id="a host route is missing"),
        pytest.param(8, "edge", of(Table.INGRESS, "in_port=9"), id="the outside does not come in"),
    ],
)
def test_a_flow_taken_away(number: int, switch: str, chosen: Chosen) -> None:
    assert number in broken(switch, chosen)


def test_a_router_that_does_not_count() -> None:
    """The TTL says how many routers there were (invariant 6)."""

    def uncounted(row: Flow) -> Flow:
        actions = tuple(action for action in row.actions if not isinstance(action, DecTtl))
        return Flow.undeclared(row.table, row.priority, row.match, actions, row.goto, row.metadata)

    assert 6 in broken("tor-b", of(Table.ROUTE, "dec_ttl", "10.1.0.12/"), uncounted)


def test_tables_for_other_rules_are_wrong() -> None:
    """What the switches do is held against the rules there are, not those they were made from."""
    found = {row.invariant for row in check(view(entries(rules=RULES[1:])))}
    assert found
    assert found <= {7, 8}
