"""Ports as masks, and decisions against a reading of the rules in docs/rest.md (policies) that looks at every policy."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.model.decision import Traffic, addressed, decide, matches, member, outside
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy
from ryu_vmmob.model.policy import Selector, merged, port_masks
from ryu_vmmob.model.policy_index import index_policy
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, nic, start, vm
from tests.support.fabrics import two_racks

LEADING_ONES = {0x10000 - 2**bits for bits in range(17)}

numbers = st.sampled_from([0, 1, 2, 1023, 1024, 8080, 32767, 32768, 65534, 65535]) | st.integers(0, 65535)
ranges = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(ranges, max_size=6))
def test_masks_match_exactly_the_ports(ports: list[tuple[int, int]]) -> None:
    wanted = {number for low, high in ports for number in range(low, high + 1)}
    masks = port_masks(ports)
    # A mask of leading ones lets the lower bits run: no number twice, none missing, none too many.
    found = [number for value, mask in masks for number in range(value, value + 0x10000 - mask)]
    assert len(found) == len(set(found))
    assert set(found) == wanted
    assert all(value & mask == value and mask in LEADING_ONES for value, mask in masks)
    assert {number for low, high in merged(ports) for number in range(low, high + 1)} == wanted


@given(ranges)
def test_no_pair_of_masks_could_be_one(ports: tuple[int, int]) -> None:
    """Fewest: two halves of one block would have been that block."""
    masks = port_masks([ports])
    blocks = set(masks)
    for value, mask in masks:
        size = 0x10000 - mask
        assert (value ^ size, mask) not in blocks


BASE = start(
    two_racks(),
    cug("c1", 1, routing_domain="red"),
    cug("c2", 2, routing_domain="red"),
    cug("c3", 3),
    replace(vm("v1", "a1", nic(11, "c1", 1), nic(11, "c3", 3)), labels={"role": "db"}),
    vm("v2", "b1", nic(11, "c2", 2), nic(12, "c1", 1)),
)
selectors = st.sampled_from(
    [
        *(Selector("cug", name) for name in ("c1", "c2", "c3")),
        *(Selector("vm", name) for name in ("v1", "v2")),
        *(Selector("labels", text) for text in ("role=db", "!role", "role=db,x!=y", "none")),
        *(Selector("prefix", ip_network(text)) for text in ("10.0.0.0/8", "10.1.0.8/29", "192.0.2.0/24")),
        Selector("any"),
    ]
)
puts = st.builds(
    PutPolicy,
    name=st.sampled_from("abcde"),
    allow=st.booleans(),
    source=selectors,
    target=selectors,
    priority=st.sampled_from([1, 2]),
    protocol=st.sampled_from([None, 6, 17, "icmp"]),
    ports=st.sampled_from([(), (), ((80, 90),)]),
).flatmap(lambda put: st.just(put) if put.protocol is None else st.booleans().map(lambda on: replace(put, replies=on)))
addresses = st.sampled_from(["10.1.0.11", "10.1.0.12", "10.1.0.99", "10.2.0.11", "10.3.0.11", "192.0.2.1", "224.0.0.5"])
traffic = st.builds(
    Traffic, st.sampled_from([1, 6, 6, 17]), st.sampled_from([80, 9, None]), st.sampled_from([80, 9, None]),
    st.sampled_from([0, 16]), st.sampled_from([None, 0, 3, 8]), st.sampled_from(["no", "no", "first", "later"]),
)  # fmt: skip


def _with(puts: list[PutPolicy | DeletePolicy]) -> State:
    state = BASE
    for put in puts:
        if isinstance(put, PutPolicy) or put.name in state.policies:
            state = apply(state, put).state
    return state


@settings(max_examples=300, deadline=None)
@given(st.lists(puts | st.builds(DeletePolicy, st.sampled_from("abcde")), max_size=8))
def test_the_index_is_what_the_policies_make(puts: list[PutPolicy | DeletePolicy]) -> None:
    state = _with(puts)
    again = replace(state, policies_of=BASE.policies_of, selections=BASE.selections)
    for policy in state.policies.values():
        again = index_policy(again, policy)
    assert again.policies_of == state.policies_of
    assert again.selections == state.selections


@settings(max_examples=500, deadline=None)
@given(st.lists(puts, max_size=6), st.sampled_from(["c1", "c2", "c3", None]), addresses, addresses, traffic)
def test_a_decision_is_that_of_all_policies_together(
    puts: list[PutPolicy], near: str | None, source: str, target: str, traffic: Traffic
) -> None:
    state = _with(list(puts))
    sender = outside("red", ip_address(source)) if near is None else member(state, near, ip_address(source))
    to = addressed(state, sender, ip_address(target))
    inside = sender.cug is not None and sender.cug == to.cug
    routed = sender.domain == to.domain == "red" and (sender.cug, to.cug) != (None, None)
    said = [row for row in state.policies.values() if matches(row, sender, to, traffic)] if inside or routed else []
    top = [row for row in said if row.priority == max(other.priority for other in said)]
    decision = decide(state, sender, to, traffic)
    assert decision.allowed is (all(row.allow for row in top) if top else inside)
    assert decision.policy == min((row.name for row in top if row.allow is decision.allowed), default=None)
