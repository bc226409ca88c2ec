"""Who may send what to whom, one line of the rules in docs/rest.md (policies) each."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ryu_vmmob.model.commands import DeleteVm
from ryu_vmmob.model.decision import Decision, Party, Traffic, addressed, decide, member, outside
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.state import State
from ryu_vmmob.net.protocols import TCP_ACK, TCP_RST
from tests.support.commands import apply
from tests.unit.decision_site import ANY, DB, DB1, LONE, WEB, WEB1, prefix, put, site

HTTP = Traffic(6, 40000, 80)
SYN, ACK = 0x02, TCP_ACK


def ask(state: State, target: str, traffic: Traffic = HTTP, source: str = "10.1.0.11", near: str = "web") -> Decision:
    """The decision for a packet of a member of ``near``."""
    party = member(state, near, ip_address(source))
    return decide(state, party, addressed(state, party, ip_address(target)), traffic)


def test_who_an_address_is() -> None:
    state = site()
    web1 = member(state, "web", ip_address("10.1.0.11"))
    assert web1 == Party(ip_address("10.1.0.11"), "web", "web1", "red")
    expected = {
        "10.1.0.12": ("web", "web2", "red"),
        "10.1.0.99": ("web", None, "red"),
        "10.2.0.11": ("db", "db1", "red"),
        "10.2.0.99": ("db", None, "red"),
        "10.4.0.11": (None, None, "red"),
        "192.0.2.1": (None, None, "red"),
        "224.0.0.5": ("web", None, "red"),
        "255.255.255.255": ("web", None, "red"),
    }
    found = {text: addressed(state, web1, ip_address(text)) for text in expected}
    assert {text: (party.cug, party.vm, party.domain) for text, party in found.items()} == expected
    own = next(ip for ip in state.vms["web2"].interfaces[0].addresses if ip.is_link_local)
    assert addressed(state, web1, own).vm == "web2"
    assert addressed(state, member(state, "db", ip_address("10.2.0.11")), own).vm is None
    assert addressed(state, member(state, "lone", ip_address("10.4.0.11")), ip_address("10.2.0.11")).cug is None
    assert addressed(state, outside("red", ip_address("192.0.2.1")), ip_address("10.1.0.11")).vm == "web1"
    assert addressed(state, outside("blue", ip_address("192.0.2.1")), ip_address("10.1.0.11")).vm == "blue1"
    assert addressed(state, outside("red", ip_address("192.0.2.1")), ip_address("224.0.0.5")).cug is None


def test_without_policies_inside_is_allowed_and_all_else_denied() -> None:
    state = site()
    assert ask(state, "10.1.0.12") == Decision(True, None)
    assert ask(state, "224.0.0.5") == Decision(True, None)
    assert ask(state, "10.2.0.11") == Decision(False, None)
    assert ask(state, "192.0.2.1") == Decision(False, None)
    assert ask(state, "10.4.0.12", source="10.4.0.11", near="lone") == Decision(True, None)


def test_the_highest_priority_decides_and_on_a_tie_deny() -> None:
    state = site(put("b", True, WEB, DB), put("a", True, WEB, DB))
    assert ask(state, "10.2.0.11") == Decision(True, "a")
    state = apply(state, put("deny", False, WEB, DB)).state
    assert ask(state, "10.2.0.11") == Decision(False, "deny")
    state = apply(state, put("more", True, ANY, DB1, priority=101)).state
    assert ask(state, "10.2.0.11") == Decision(True, "more")
    assert ask(state, "10.2.0.99") == Decision(False, "deny")


def test_each_direction_is_stated_by_itself() -> None:
    state = site(put("p", True, WEB, DB))
    assert ask(state, "10.2.0.11").allowed
    assert not ask(state, "10.1.0.11", source="10.2.0.11", near="db").allowed


@pytest.mark.parametrize(
    ("source", "target", "to", "matched"),
    [
        (WEB, WEB, "10.1.0.12", True),
        (WEB, WEB, "10.2.0.11", False),
        (WEB1, ANY, "10.1.0.12", True),
        (ANY, ANY, "10.2.0.11", True),
        (ANY, WEB, "224.0.0.5", True),
        (ANY, ANY, "224.0.0.5", True),
        (WEB1, ANY, "224.0.0.5", True),
        (ANY, Selector("vm", "web2"), "224.0.0.5", False),
        (ANY, Selector("vm", "web2"), "10.1.0.12", True),
        (prefix("10.1.0.0/28"), prefix("10.2.0.0/16"), "10.2.0.11", True),
        (prefix("10.1.0.0/29"), ANY, "10.2.0.11", False),
        (prefix("10.1.0.0/28"), prefix("::/0"), "10.2.0.11", False),
        (WEB, prefix("192.0.2.0/24"), "192.0.2.1", True),
        (WEB, DB, "192.0.2.1", False),
    ],
)
def test_selectors(source: Selector, target: Selector, to: str, matched: bool) -> None:
    state = site(put("p", False, source, target))
    assert (ask(state, to).policy == "p") is matched


def test_from_outside() -> None:
    state = site(put("p", True, prefix("192.0.2.0/24"), WEB1))
    far, other = (outside(domain, ip_address("192.0.2.1")) for domain in ("red", "blue"))
    web1 = member(state, "web", ip_address("10.1.0.11"))
    assert decide(state, far, web1, HTTP) == Decision(True, "p")
    assert decide(state, far, member(state, "web", ip_address("10.1.0.12")), HTTP) == Decision(False, None)
    assert decide(state, other, web1, HTTP) == Decision(False, None)


def test_nothing_passes_between_scopes_or_through() -> None:
    """Whatever a policy says: routing domains are apart, a CUG without one is alone, and nobody is a way between externals."""
    state = site(put("p", True, ANY, ANY), put("q", True, WEB, Selector("cug", "blue")), put("r", True, LONE, DB))
    web1 = member(state, "web", ip_address("10.1.0.11"))
    assert decide(state, web1, member(state, "blue", ip_address("10.1.0.11")), HTTP) == Decision(False, None)
    lone1 = member(state, "lone", ip_address("10.4.0.11"))
    assert decide(state, lone1, member(state, "db", ip_address("10.2.0.11")), HTTP) == Decision(False, None)
    assert ask(state, "10.2.0.11", source="10.4.0.11", near="lone") == Decision(False, None)
    far, near = outside("red", ip_address("192.0.2.1")), outside("red", ip_address("198.51.100.1"))
    assert decide(state, far, near, HTTP) == Decision(False, None)
    nd = Traffic(58, icmp_type=135)
    assert decide(state, web1, member(state, "blue", ip_address("10.1.0.11")), nd) == Decision(False, None)


@pytest.mark.parametrize(
    ("protocol", "traffic", "matched"),
    [
        (None, Traffic(47), True),
        (6, HTTP, True),
        (6, Traffic(17, 1, 80), False),
        (47, Traffic(47), True),
        ("icmp", Traffic(1), True),
        ("icmp", Traffic(58), False),
        (1, Traffic(1), True),
        (58, Traffic(58, icmp_type=128), True),
    ],
)
def test_protocols(protocol: object, traffic: Traffic, matched: bool) -> None:
    state = site(put("p", True, WEB, DB, protocol=protocol))
    assert ask(state, "10.2.0.11", traffic).allowed is matched


def test_icmp_is_icmpv6_for_ipv6_and_neighbour_discovery_is_exempt() -> None:
    state = site(put("p", False, WEB, WEB, protocol="icmp"), put("q", False, WEB, ANY, protocol=58))
    v6 = {"source": "2001:db8:1::11"}
    assert ask(state, "2001:db8:1::12", Traffic(1), **v6) == Decision(True, None)
    for type_, decision in ((128, Decision(False, "p")), (132, Decision(False, "p")), (138, Decision(False, "p"))):
        assert ask(state, "2001:db8:1::12", Traffic(58, icmp_type=type_), **v6) == decision
    for type_ in range(133, 138):
        assert ask(state, "2001:db8:1::12", Traffic(58, icmp_type=type_), **v6) == Decision(True, None)


def test_ports_are_destination_ports() -> None:
    state = site(put("p", True, WEB, DB, protocol=6, ports=((80, 80), (8000, 8099))))
    ports = (0, 79, 80, 81, 7999, 8000, 8099, 8100)
    assert [port for port in ports if ask(state, "10.2.0.11", Traffic(6, 80, port)).allowed] == [80, 8000, 8099]
    assert not ask(state, "10.2.0.11", Traffic(6)).allowed, "a later fragment has no port"
    assert not ask(state, "10.2.0.11", Traffic(17, 80, 80)).allowed


def test_replies_of_a_connection() -> None:
    state = site(put("p", True, WEB, DB, protocol=6, ports=((80, 80),), replies=True))

    def reply(flags: int, source_port: int = 80, protocol: int = 6) -> Decision:
        return ask(state, "10.1.0.11", Traffic(protocol, source_port, 40000, flags), source="10.2.0.11", near="db")

    assert reply(ACK) == reply(TCP_RST) == reply(SYN | ACK) == Decision(True, "p")
    assert reply(SYN) == reply(0) == reply(ACK, 81) == reply(ACK, protocol=17) == Decision(False, None)
    state = apply(state, put("deny", False, DB, WEB, priority=100)).state
    assert reply(ACK) == Decision(False, "deny")
    state = apply(state, put("p", True, WEB, DB, protocol=6, replies=True)).state
    state = apply(state, put("deny", False, DB, WEB, priority=99)).state
    assert reply(ACK, 9999) == Decision(True, "p")


def test_without_replies_an_answer_needs_its_own_policy() -> None:
    state = site(put("p", True, WEB, DB, protocol=6))
    assert not ask(state, "10.1.0.11", Traffic(6, 80, 40000, ACK), source="10.2.0.11", near="db").allowed


def test_a_policy_that_names_a_deleted_vm_matches_nothing() -> None:
    state = site(put("p", False, ANY, Selector("vm", "web2")))
    assert ask(state, "10.1.0.12") == Decision(False, "p")
    state = apply(state, DeleteVm("web2")).state
    assert ask(state, "10.1.0.12") == Decision(True, None)


def test_link_local_addresses_count_inside_their_own_cug() -> None:
    state = site(put("p", False, WEB, Selector("vm", "web2")), put("q", False, WEB1, DB))
    own = {name: state.vms[name].interfaces[0].addresses[-1] for name in ("web1", "web2")}
    web1 = member(state, "web", own["web1"])
    assert decide(state, web1, addressed(state, web1, own["web2"]), HTTP) == Decision(False, "p")
    assert decide(state, web1, addressed(state, web1, ip_address("fe80::99")), HTTP) == Decision(True, None)
