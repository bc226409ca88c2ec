"""The linter on what a switch can do and a domain may do: port extenders, flow limits, dialects, guests' own tags."""

from __future__ import annotations

import pytest

from ryu_vmmob import fabric
from tests.support.fabric_examples import complete


def rules(snippet: str) -> list[str]:
    return [finding.rule for finding in fabric.check(complete(snippet))]


@pytest.mark.parametrize(
    ("extender_ports", "expected"),
    [
        ('"1001-1048,2001-2048"', []),
        ('" 2001 - 2048 , 55"', []),
        ("1001", []),
        ('"55-4294967039"', []),
        ('""', ["extender-syntax"]),
        ("-1001", ["extender-syntax"]),
        ('"1001-"', ["extender-syntax"]),
        ('"1001-1048,"', ["extender-syntax"]),
        ('"１００１"', ["extender-syntax"]),
        ("[1001]", ["wrong-type"]),
        ('"0-10"', ["port-range"]),
        ('"4294967040"', ["port-range"]),
        ('"' + "9" * 30 + '"', ["port-range"]),
        ('"1048-1001"', ["extender-reversed"]),
        ('"54-60"', ["extender-overlap"]),
        ('"1001-1048,1048-1050"', ["extender-overlap"]),
        ('"55-4294967039,1001,2001-2048"', ["extender-overlap", "extender-overlap"]),
        ('"20-10,5000000000,54,x,54"', ["extender-overlap"] * 2 + ["extender-reversed", "extender-syntax", "port-range"]),
    ],
)
def test_extender_ports(extender_ports: str, expected: list[str]) -> None:
    assert rules(f"switches: {{tor-c: {{ports: 54, extender_ports: {extender_ports}}}}}") == expected


def test_overlapping_extender_ports_are_named() -> None:
    snippet = 'switches: {{tor-c: {{ports: {ports}, extender_ports: "2001-2048, 1001-1048,1040-1100, 1041"}}}}'
    said = [finding.message.split(": ", 1)[-1] for finding in fabric.check(complete(snippet.format(ports=54)))]
    assert said == ["1040 to 1048 stands twice", "1041 stands twice"]
    found = fabric.check(complete(snippet.format(ports=1010)))
    assert {finding.path for finding in found} == {"switches.tor-c.extender_ports"}
    assert any(finding.message.endswith(" begins at 1001, and the switch itself has ports 1 to 1010") for finding in found)


@pytest.mark.requirement("R4")
def test_servers_hang_on_port_extenders_of_their_tor() -> None:
    tor = 'switches: {tor-c: {ports: 54, extender_ports: "1001-1048,2001-2048"}}\n'
    assert rules(tor + 'servers: {srv-x: {attach: "tor-c:1001"}, srv-y: {attach: "tor-c:2048", tagging: untagged}}') == []
    assert rules(tor + 'servers: {srv-x: {attach: ["tor-c:1001", "tor-c:2001"], bond: lag}}') == []
    (finding,) = fabric.check(complete(tor + 'servers: {srv-x: {attach: "tor-c:1049"}}'))
    assert (finding.rule, finding.path) == ("port-outside-switch", "servers.srv-x.attach")
    assert finding.message.endswith('"tor-c" has ports 1 to 54 and extender ports "1001-1048,2001-2048"')


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("role", ["border", "spine"])
def test_only_a_tor_is_a_controlling_bridge(role: str) -> None:
    snippet = f"switches: {{other: {{dpid: 99, role: {role}, l2_domain: core-1, data_center: dc1, extender_ports: 1001}}}}\n"
    snippet += 'links: [{a: "other:1", b: "border-1:3", l2_domain: core-1}]'
    (finding,) = fabric.check(complete(snippet))
    assert (finding.rule, finding.path) == ("extender-not-tor", "switches.other.extender_ports")
    assert f"is a {role}: only a ToR" in finding.message


@pytest.mark.parametrize("ports", ["", "ports: 54, "])
def test_either_end_of_a_link_on_an_extender(ports: str) -> None:
    snippet = f"switches: {{tor-c: {{{ports}extender_ports: 1001-1048}}}}\nlinks:\n"
    snippet += '  - {a: "tor-c:1001", b: "border-2:2", l2_domain: rack-c}\n'
    snippet += '  - {a: "border-2:3", b: "tor-c:1048", l2_domain: rack-c}\n'
    found = [(finding.rule, finding.path) for finding in fabric.check(complete(snippet))]
    assert found == [("link-on-extender", "links[4].a"), ("link-on-extender", "links[5].b")]


def test_a_port_that_a_faulty_range_may_hold_is_no_further_fault() -> None:
    snippet = 'switches: {tor-c: {ports: 54, extender_ports: "1001-1048,2001--2048"}}\nservers: {srv-x: {attach: "tor-c:2001"}}'
    assert rules(snippet) == ["extender-syntax"]


@pytest.mark.parametrize(
    ("max_flows", "expected"),
    [
        ("1", []),
        ("4294967295", []),
        ("0", ["max-flows-range"]),
        ("-1", ["max-flows-range"]),
        ("4294967296", ["max-flows-range"]),
        ("1.5", ["wrong-type"]),
        ('"4000"', ["wrong-type"]),
        ("true", ["wrong-type"]),
    ],
)
def test_max_flows(max_flows: str, expected: list[str]) -> None:
    assert rules(f"switches: {{tor-c: {{max_flows: {max_flows}}}}}") == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ("{}", []),
        ("{admit: 1, refuse: 4294967295}", []),
        ("{admit: 0}", ["max-flows-range"]),
        ("{acl: 10}", ["table-unknown"]),
        ("{acl: 0}", ["max-flows-range", "table-unknown"]),
        ('{admit: "10"}', ["wrong-type"]),
        ("[admit]", ["wrong-type"]),
    ],
)
def test_table_sizes(sizes: str, expected: list[str]) -> None:
    assert rules(f"switches: {{tor-c: {{table_sizes: {sizes}}}}}") == expected


def test_dialects_and_guest_tags_have_fixed_values() -> None:
    (finding,) = fabric.check(complete("switches: {tor-c: {dialect: ovs}}"))
    assert (finding.rule, finding.path) == ("unknown-value", "switches.tor-c.dialect")
    assert finding.message == 'found text "ovs": expected openvswitch or openflow13'
    (finding,) = fabric.check(complete("l2_domains: {rack-c: {translate_guest_tags: 1}}"))
    assert (finding.rule, finding.message) == ("wrong-type", "found 1: expected true or false")
