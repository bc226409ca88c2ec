"""Whether a policy separates two neighbours, held against every packet that the policies drawn can tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from ryu_vmmob.model.commands import PutVm
from ryu_vmmob.model.decision import Decision, Traffic, decide, member
from ryu_vmmob.model.local_switching import separated
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.policies import PutPolicy
from ryu_vmmob.model.policy import Protocol, Selector
from ryu_vmmob.model.refusal import Refusal
from ryu_vmmob.model.state import State
from tests.support.commands import apply, cug, nic, start, vm
from tests.support.fabrics import two_racks

ONE, OTHER = nic(11, ips=["10.1.0.11", "2001:db8:1::b"]), nic(12, ips=["10.1.0.12", "10.1.0.20", "2001:db8:1::c"])
BESIDE = replace(nic(14), ips=(nic(14).ips[0],))
ROUTED = nic(13, "db", 2, ips=["10.2.0.13"])
BASE = start(
    two_racks(), cug(routing_domain="red"), cug("db", 2, routing_domain="red"),
    replace(vm("one", "a1", ONE), labels={"role": "x"}), vm("other", "a2", OTHER), vm("routed", "b1", ROUTED),
)  # fmt: skip
ENDS = [
    *(Selector("cug", name) for name in ("web", "db")),
    *(Selector("vm", name) for name in ("one", "other", "routed")),
    *(Selector("prefix", ip_network(text)) for text in ("10.1.0.0/28", "10.1.0.20/32", "2001:db8::/32", "fe80::/10")),
    *(Selector("labels", text) for text in ("role=x", "!role", "role")),
    Selector("any"),
]
PORTS = [((80, 90),), ((80, 84),), ((85, 90),), ((1, 65535),), ((90, 90), (443, 443))]
NUMBERS = (1, 6, 17, 58, 99, 100)
EDGES = (None, 0, 1, 79, 80, 84, 85, 89, 90, 91, 442, 443, 444, 65535)


@st.composite
def puts(draw: st.DrawFn) -> PutPolicy:
    protocols: list[Protocol | None] = [None, None, 6, 6, 17, "icmp", 1, 58, 99]
    protocol = draw(st.sampled_from(protocols))
    ports = draw(st.sampled_from([(), *PORTS])) if protocol in (6, 17) else ()
    allow = draw(st.booleans())
    replies = allow and protocol == 6 and draw(st.booleans())
    ends = draw(st.sampled_from(ENDS)), draw(st.sampled_from(ENDS))
    return PutPolicy(draw(st.sampled_from("abcdef")), allow, *ends, draw(st.sampled_from([1, 2, 3])), protocol, ports, replies)


def packets(state: State, one: Interface, other: Interface) -> Iterator[Decision]:
    """What is decided of every packet between the two."""
    for a, b in ((one, other), (other, one)):
        for source in a.addresses if a.cug == b.cug else a.ips:
            for target in b.addresses if a.cug == b.cug else b.ips:
                if source.version != target.version:
                    continue
                for number in NUMBERS:
                    for port in EDGES if number in (6, 17) else (None,):
                        for flags in (0, 0x10) if number == 6 else (0,):
                            traffic = Traffic(number, port, port, flags, 128 if number == 58 else None)
                            yield decide(state, member(state, a.cug, source), member(state, b.cug, target), traffic)


@given(st.lists(puts(), max_size=5), st.sampled_from([(ONE, OTHER), (ONE, ROUTED), (OTHER, ROUTED)]))
def test_separated_is_what_decisions_say(rows: list[PutPolicy], pair: tuple[Interface, Interface]) -> None:
    state = BASE
    for row in rows:
        state = apply(state, row).state
    denied = {row.policy for row in packets(state, *pair) if not row.allowed and row.policy is not None}
    found = separated(state, *pair)
    assert (found is not None) == bool(denied)
    assert found is None or found.name in denied


LABELS = st.builds(lambda labels: replace(vm("beside", "a1", BESIDE), labels=labels), st.sampled_from([{}, {"role": "x"}]))


@given(st.lists(puts() | LABELS, max_size=6))
def test_whatever_is_put_two_that_are_together_stay_unseparated(rows: list[PutPolicy | PutVm]) -> None:
    """A placement, labels and policies in any order: what was accepted never separates two that meet."""
    state = apply(BASE, vm("beside", "a1", BESIDE)).state
    for row in rows:
        with suppress(Refusal):
            state = apply(state, row).state
    assert separated(state, ONE, state.vms["beside"].interfaces[0]) is None
