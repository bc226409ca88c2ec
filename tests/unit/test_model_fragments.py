"""What policies say to fragments, to answers and to ICMP errors: the words of docs/rest.md, a line each."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ryu_vmmob.model.decision import Traffic, addressed, decide, member, outside
from ryu_vmmob.model.policy import Selector
from ryu_vmmob.model.state import State
from ryu_vmmob.net.protocols import TCP_ACK
from tests.unit.decision_site import ANY, DB, WEB, prefix, put, site

UDP, TCP = 17, 6
FIRST = Traffic(UDP, 40000, 53, fragment="first")
TINY = Traffic(TCP, fragment="first")
LATER, LATER_V6 = Traffic(UDP, fragment="later"), Traffic(44, fragment="later")
WEB1, WEB2, DB1 = ("10.1.0.11", "2001:db8:1::11"), ("10.1.0.12", "2001:db8:1::12"), ("10.2.0.11", "2001:db8:2::11")
FAR = ("198.51.100.9", "2001:db8:99::9")


def passes(state: State, source: str, target: str, traffic: Traffic) -> bool:
    """Whether the packet passes between two addresses of web, db and the outside."""
    near = {"10.1.": "web", "10.2.": "db", "2001:db8:1:": "web", "2001:db8:2:": "db"}
    cug = next((name for begin, name in near.items() if source.startswith(begin)), None)
    party = outside("red", ip_address(source)) if cug is None else member(state, cug, ip_address(source))
    return decide(state, party, addressed(state, party, ip_address(target)), traffic).allowed


@pytest.mark.parametrize("version", [0, 1])
def test_an_allow_of_ports_carries_the_whole_datagram(version: int) -> None:
    state = site(put("dns", True, WEB, DB, protocol=UDP, ports=((53, 53),)))
    later = (LATER, LATER_V6)[version]
    assert passes(state, WEB1[version], DB1[version], FIRST)
    assert passes(state, WEB1[version], DB1[version], later)
    assert not passes(state, WEB1[version], DB1[version], FIRST._replace(target_port=54))
    assert not passes(state, WEB1[version], DB1[version], Traffic(UDP, fragment="first"))
    assert not passes(state, DB1[version], WEB1[version], later)
    # The protocol of a later fragment is read in IPv4 alone.
    assert passes(state, WEB1[version], DB1[version], Traffic(44 if version else TCP, fragment="later")) is bool(version)


@pytest.mark.parametrize("version", [0, 1])
def test_a_deny_of_ports_is_not_passed_in_fragments(version: int) -> None:
    state = site(put("no-ssh", False, WEB, WEB, protocol=TCP, ports=((22, 22),)))
    ssh = Traffic(TCP, 40000, 22, 2, fragment="first")
    assert not passes(state, WEB1[version], WEB2[version], ssh)
    assert not passes(state, WEB1[version], WEB2[version], TINY)
    assert passes(state, WEB1[version], WEB2[version], ssh._replace(target_port=80))
    assert passes(state, WEB1[version], WEB2[version], Traffic(UDP, fragment="first"))
    assert passes(state, WEB1[version], WEB2[version], (Traffic(TCP, fragment="later"), LATER_V6)[version])


def test_a_deny_that_is_certain_holds_for_later_fragments() -> None:
    state = site(put("no-udp", False, WEB, WEB, protocol=UDP))
    assert not passes(state, WEB1[0], WEB2[0], LATER)
    assert passes(state, WEB1[0], WEB2[0], Traffic(TCP, fragment="later"))
    assert passes(state, WEB1[1], WEB2[1], LATER_V6)
    everything = site(put("nothing", False, WEB, WEB))
    assert not passes(everything, WEB1[1], WEB2[1], LATER_V6)
    fragments = site(put("no-fragments", False, WEB, WEB, protocol=44))
    assert not passes(fragments, WEB1[1], WEB2[1], LATER_V6)
    assert passes(fragments, WEB1[1], WEB2[1], FIRST)


@pytest.mark.parametrize("kind", [None, 133, 134, 135, 136, 137])
def test_neighbour_discovery_in_fragments_is_denied(kind: int | None) -> None:
    """Also where everything is allowed, and where the type is hidden."""
    state = site(put("all", True, ANY, ANY))
    assert not passes(state, WEB1[1], WEB2[1], Traffic(58, icmp_type=kind, fragment="first"))
    assert passes(state, WEB1[1], WEB2[1], Traffic(58, icmp_type=128, fragment="first"))


def test_flags_count_in_whole_segments_only() -> None:
    state = site(put("web", True, WEB, DB, protocol=TCP, ports=((80, 80),), replies=True))
    answer = Traffic(TCP, 80, 40000, TCP_ACK)
    assert passes(state, DB1[0], WEB1[0], answer)
    for fragment in ("first", "later"):
        assert not passes(state, DB1[0], WEB1[0], answer._replace(fragment=fragment))
    assert not passes(state, DB1[1], WEB1[1], LATER_V6)


@pytest.mark.parametrize("version", [0, 1])
def test_answers_by_swapped_ports(version: int) -> None:
    state = site(put("dns", True, WEB, DB, protocol=UDP, ports=((53, 53),), replies=True))
    answer = Traffic(UDP, 53, 40000)
    assert passes(state, DB1[version], WEB1[version], answer)
    assert passes(state, DB1[version], WEB1[version], answer._replace(fragment="first"))
    assert passes(state, DB1[version], WEB1[version], (LATER, LATER_V6)[version])
    assert not passes(state, DB1[version], WEB1[version], Traffic(UDP, 54, 53))
    assert not passes(state, DB1[version], WEB1[version], Traffic(UDP, fragment="first"))
    assert not passes(state, DB1[version], WEB1[version], Traffic(TCP, 53, 40000, TCP_ACK))


@pytest.mark.parametrize("version", [0, 1])
def test_answers_to_pings(version: int) -> None:
    state = site(put("ping", True, WEB, DB, protocol="icmp", replies=True))
    number, request, reply = ((1, 8, 0), (58, 128, 129))[version]
    assert passes(state, WEB1[version], DB1[version], Traffic(number, icmp_type=request))
    assert passes(state, DB1[version], WEB1[version], Traffic(number, icmp_type=reply))
    assert passes(state, DB1[version], WEB1[version], (Traffic(1, fragment="later"), LATER_V6)[version])
    assert not passes(state, DB1[version], WEB1[version], Traffic(number, icmp_type=request))


ERRORS = ((1, (3, 11, 12)), (58, (1, 2, 3, 4)))


@pytest.mark.parametrize("version", [0, 1])
def test_errors_reach_who_may_send_from_anywhere_on_the_way(version: int) -> None:
    number, kinds = ERRORS[version]
    far = prefix(("198.51.100.0/24", "2001:db8:99::/64")[version])
    router = ("203.0.113.1", "2001:db8:77::1")[version]
    state = site(put("out", True, WEB, far, protocol=TCP, ports=((8000, 8000),)))
    for kind in kinds:
        assert passes(state, router, WEB1[version], Traffic(number, icmp_type=kind))
        assert not passes(state, router, DB1[version], Traffic(number, icmp_type=kind))
        assert not passes(state, WEB1[version], FAR[version], Traffic(number, icmp_type=kind))
        assert not passes(site(), router, WEB1[version], Traffic(number, icmp_type=kind))
    for kind in (5, 8, 13, 0, 128, 129) if version == 0 else (128, 129, 130, 140):
        assert not passes(state, router, WEB1[version], Traffic(number, icmp_type=kind))
    assert not passes(state, router, WEB1[version], Traffic((58, 1)[version], icmp_type=kinds[0]))
    # Of the other family the policy speaks nowhere.
    other = Traffic(ERRORS[1 - version][0], icmp_type=3)
    assert not passes(state, ("2001:db8:77::1", "203.0.113.1")[version], WEB1[1 - version], other)


def test_errors_between_cugs_come_from_the_receiver_alone() -> None:
    state = site(put("sql", True, WEB, DB, protocol=TCP, ports=((5432, 5432),)))
    unreachable = Traffic(1, icmp_type=3)
    assert passes(state, DB1[0], WEB1[0], unreachable)
    assert not passes(state, FAR[0], WEB1[0], unreachable)
    assert not passes(state, WEB1[0], DB1[0], unreachable)
    assert not passes(state, DB1[0], WEB1[0], unreachable._replace(fragment="later"))


def test_errors_about_answers_reach_who_answers() -> None:
    """Path MTU discovery of a server inside: its data are the replies."""
    needed = Traffic(1, icmp_type=3)
    for replies in (True, False):
        state = site(put("in", True, ANY, WEB, protocol=TCP, ports=((80, 80),), replies=replies))
        assert passes(state, "203.0.113.1", WEB1[0], needed) is replies
        assert passes(state, WEB1[0], "203.0.113.1", needed)


def test_a_deny_above_the_allow_is_above_its_errors_too() -> None:
    far = Selector("prefix", prefix("198.51.100.0/24").value)
    rows = [put("out", True, WEB, far, protocol=TCP), put("no-icmp", False, ANY, WEB, protocol="icmp", priority=200)]
    assert not passes(site(*rows), "203.0.113.1", WEB1[0], Traffic(1, icmp_type=3))
    assert passes(site(rows[0]), "203.0.113.1", WEB1[0], Traffic(1, icmp_type=3))
