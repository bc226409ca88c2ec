"""The linter in detail: lines, paths, messages, and the cases beside each rule.

That every rule has a file that breaks it and one that keeps it is shown by ``test_fabric_docs``.
"""

from __future__ import annotations

import pytest

from ryu_vmmob import fabric
from tests.support.fabric_examples import EXAMPLE, complete

TEXT = EXAMPLE.read_text(encoding="utf-8")


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def rules(snippet: str) -> list[str]:
    return [finding.rule for finding in fabric.check(complete(snippet))]


def external(name: str, attach: str, **keys: str) -> str:
    """An external network ``name`` in routing domain red, with the lists given in place of the usual ones."""
    said = {"routing_domain": "red", "addresses": '["198.51.100.1/24"]'} | keys
    return f'  {name}: {{attach: "{attach}", ' + ", ".join(f"{key}: {value}" for key, value in said.items()) + "}\n"


def test_example_has_no_findings() -> None:
    assert fabric.check(TEXT) == ()


def test_port_used_twice_names_both_uses_with_their_lines() -> None:
    text = TEXT.replace('srv-c1: {attach: "tor-c:1"}', 'srv-c1: {attach: "tor-c:49"}')
    (finding,) = fabric.check(text, "f.yaml")
    here, there = line_of(text, "srv-c1:"), line_of(text, '"tor-c:49", b')
    assert (finding.line, finding.path, finding.rule) == (here, "servers.srv-c1.attach", "port-used-twice")
    assert f"by links[3].a in line {there} and by servers.srv-c1.attach in line {here}" in finding.message


@pytest.mark.parametrize(
    ("snippet", "path"),
    [
        ('servers: {srv-x: {attach: "border-1:10"}}', "externals.internet-1.attach"),
        ('servers: {srv-x: {attach: ["tor-c:2", "tor-c:2"], bond: lag}}', "servers.srv-x.attach[1]"),
        ('links: [{a: "tor-a:1", b: "border-1:3", l2_domain: core-1}]', "servers.srv-a1.attach"),
        ('links: [{a: "tor-a:49", b: "border-1:3", l2_domain: core-1}]', "links[4].a"),
        ("externals:\n" + external("x", "border-1:10", routing_domain="blue", vlan_id="5"), "externals.x.attach"),
    ],
)
def test_port_used_twice_whatever_the_uses(snippet: str, path: str) -> None:
    (finding,) = fabric.check(complete(snippet))
    assert (finding.rule, finding.path) == ("port-used-twice", path)


def test_third_use_of_a_port_is_a_finding_too() -> None:
    snippet = 'servers: {srv-x: {attach: "tor-c:1"}, srv-y: {attach: "tor-c:1"}}'
    assert rules(snippet) == ["port-used-twice", "port-used-twice"]


def test_dpid_used_twice_is_found_across_notations() -> None:
    text = TEXT.replace('dpid: "0x0c"', "dpid: 10")
    (finding,) = fabric.check(text)
    assert (finding.line, finding.path) == (line_of(text, "tor-c:    {"), "switches.tor-c.dpid")
    assert f'switch "tor-a" has it in line {line_of(text, "tor-a:    {")}' in finding.message


def test_every_duplicate_key_is_found_with_its_line() -> None:
    text = TEXT + "version: 1\nfabric: a\nfabric: b\n"
    last = len(TEXT.splitlines())
    assert [(finding.line, finding.path, finding.rule) for finding in fabric.check(text)] == [
        (last + 1, "version", "duplicate-key"),
        (last + 2, "fabric", "duplicate-key"),
        (last + 3, "fabric", "duplicate-key"),
    ]


def test_a_number_and_the_same_text_are_one_key() -> None:
    text = TEXT.replace("  srv-c1: {", '  7: {attach: "tor-c:7"}\n  "7": {attach: "tor-c:8"}\n  srv-c1: {')
    assert [finding.rule for finding in fabric.check(text)] == ["duplicate-key"]


def test_all_faults_of_a_file_are_found_at_once() -> None:
    text = (
        TEXT.replace('gateway_mac: "02', 'gateway_mac: "03')
        .replace('"3000-3999"', '"3000-4999"')
        .replace('dpid: "0x12"', 'dpid: "0x11"')
        .replace("l2_domain: wan}", "l2_domain: van}")
        .replace("bond: lag", "bond: lacp")
        .replace("tagging: untagged", "taging: untagged")
        .replace('"192.0.2.254"', '"192.0.3.254"')
    )
    assert {(finding.path, finding.rule) for finding in fabric.check(text) if finding.is_error} == {
        ("gateway_mac", "mac-not-unicast"),
        ("l2_domains.wan.vlan_ids", "vlan-range"),
        ("switches.border-2.dpid", "dpid-used-twice"),
        ("links[2].l2_domain", "unknown-name"),
        ("servers.srv-b1.bond", "unknown-value"),
        ("servers.srv-a2.taging", "unknown-key"),
        ("externals.internet-1.next_hops[0]", "next-hop-outside"),
    }


def test_an_unknown_key_hides_no_other_fault_of_its_object() -> None:
    assert set(rules('servers: {srv-c1: {attach: "tor-a:1", colour: red}}')) == {"unknown-key", "port-used-twice"}


def test_a_faulty_object_gives_no_echo() -> None:
    """Names of faulty objects stay known, and what depends on them is not judged."""
    text = TEXT.replace('wan:    {vlan_ids: "3000-3999"}', "wan:    {vlan_ids: [1]}")
    text = text.replace('tor-a:    {dpid: "0x0a", role: tor,', "tor-a:    {role: tor,")
    text = text.replace('a: "tor-b:49", b: "border-1:2"', 'a: "tor-b:49", b: "border-1"')
    assert [(finding.path, finding.rule) for finding in fabric.check(text)] == [
        ("l2_domains.wan.vlan_ids", "wrong-type"),
        ("switches.tor-a", "missing-key"),
        ("links[1].b", "port-syntax"),
    ]


def test_wrong_type_says_what_was_expected() -> None:
    (finding,) = fabric.check(complete("l2_domains: {rack-c: {vlan_ids: [500]}}"))
    assert finding.message == "found a list: expected a whole number or text"


@pytest.mark.parametrize(
    ("snippet", "path"),
    [
        ("l2_domains: {rack-c: {data_center: dc9}}", "l2_domains.rack-c.data_center"),
        ("switches: {tor-c: {data_center: dc9}}", "switches.tor-c.data_center"),
        ("switches: {tor-c: {l2_domain: rack-9}}", "switches.tor-c.l2_domain"),
        ('links: [{a: "tor-c:50", b: "border-2:2", l2_domain: rack-9}]', "links[4].l2_domain"),
        ('links: [{a: "tor-9:50", b: "border-2:2", l2_domain: rack-c}]', "links[4].a"),
        ('servers: {srv-x: {attach: ["tor-c:2", "tor-9:2"], bond: lag}}', "servers.srv-x.attach[1]"),
        ('externals: {internet-1: {attach: "border-9:2"}}', "externals.internet-1.attach"),
    ],
)
def test_unknown_names_wherever_a_name_is_used(snippet: str, path: str) -> None:
    found = [finding for finding in fabric.check(complete(snippet)) if finding.is_error]
    assert [(finding.rule, finding.path) for finding in found] == [("unknown-name", path)]


@pytest.mark.parametrize(
    ("vlan_ids", "expected"),
    [
        ('"1-4094"', []),
        ("4094", []),
        ('"5,3,1"', []),
        ('"0-10"', ["vlan-range"]),
        ("0", ["vlan-range"]),
        ("-5", ["vlan-syntax"]),
        ("100_199", ["vlan-range"]),
        ('"4095"', ["vlan-range"]),
        ('"100-"', ["vlan-syntax"]),
        ('"100,,200"', ["vlan-syntax"]),
        ('","', ["vlan-syntax", "vlan-syntax"]),
        ('"１００"', ["vlan-syntax"]),
        ('"   "', ["vlan-empty"]),
        ('"10-20,20-30"', ["vlan-overlap"]),
        ('"30-20,5000,7,7"', ["vlan-overlap", "vlan-range", "vlan-reversed"]),
        ('"' + "9" * 30 + '"', ["vlan-range"]),
    ],
)
def test_vlan_ids(vlan_ids: str, expected: list[str]) -> None:
    text = TEXT.replace('vlan_ids: "500-599"', f"vlan_ids: {vlan_ids}")
    found = [finding.rule for finding in fabric.check(text)]
    assert found == (expected if vlan_ids != '","' else expected[:1])


@pytest.mark.parametrize(("number", "expected"), [("0", 1), ("1", 0), ("4094", 0), ("4095", 1)])
def test_external_vlan_id(number: str, expected: int) -> None:
    assert rules(f"externals: {{internet-1: {{vlan_id: {number}}}}}") == ["vlan-range"] * expected


@pytest.mark.parametrize(
    ("attach", "rule"),
    [
        ("tor-c:4294967039", None),
        ("tor-c:4294967040", "port-range"),
        ("tor-c:0", "port-range"),
        ("tor-c:" + "9" * 60, "port-range"),
        ("tor-c:" + "9" * 6000, "port-syntax"),
        ("tor-c:-1", "port-syntax"),
        ("tor-c:01", "port-syntax"),
        ("tor-c:0x1", "port-syntax"),
        ("tor-c: 1", "port-syntax"),
        ("tor-c:1:1", "port-syntax"),
        (":1", "port-syntax"),
        ("", "port-syntax"),
    ],
)
def test_ports(attach: str, rule: str | None) -> None:
    text = TEXT.replace('"tor-c:1"', f'"{attach}", tagging: per_cug')
    assert [finding.rule for finding in fabric.check(text)] == ([rule] if rule else [])


@pytest.mark.parametrize("attach", ['"tor-c:{}"', '["tor-c:{}", "tor-c:7"], bond: lag', '["tor-c:7", "tor-c:{}"], bond: lag'])
def test_ports_of_a_server_with_tagging_per_interface(attach: str) -> None:
    """Groups of its cable are numbered by the port, and have 16 bits for it."""
    for port, found in ((65535, []), (65536, ["per-interface-port"]), (4294967039, ["per-interface-port"])):
        text = TEXT.replace('"tor-c:1"', attach.format(port))
        assert [finding.rule for finding in fabric.check(text)] == found


@pytest.mark.parametrize("use", ["links", "servers", "externals"])
def test_every_use_of_a_port_must_be_on_its_switch(use: str) -> None:
    snippet = {
        "links": 'links: [{a: "tor-a:50", b: "border-1:49", l2_domain: core-1}]',
        "servers": 'servers: {srv-x: {attach: "border-1:49"}}',
        "externals": 'externals: {internet-1: {attach: "border-1:49"}}',
    }[use]
    (finding,) = fabric.check(complete("switches: {border-1: {ports: 48}}\n" + snippet))
    assert (finding.rule, finding.path.split(".")[0].split("[")[0]) == ("port-outside-switch", use)


@pytest.mark.parametrize("ports", ["0", "-1", "4294967040"])
def test_number_of_ports(ports: str) -> None:
    assert "port-range" in rules(f"switches: {{tor-c: {{ports: {ports}}}}}")


@pytest.mark.requirement("R14")
def test_lag_of_an_untagged_server_is_a_lag_too() -> None:
    server = "servers: {{srv-x: {{attach: [{}], bond: lag, tagging: untagged}}}}"
    assert rules(server.format('"tor-a:3", "tor-a:4"')) == []
    assert rules(server.format('"tor-a:3", "tor-b:4"')) == ["lag-spans-domains"]


@pytest.mark.requirement("R14")
def test_lag_that_spans_domains_names_them_and_the_requirement() -> None:
    (finding,) = fabric.check(complete('servers: {srv-x: {attach: ["tor-a:3", "tor-b:3"], bond: lag}}'))
    assert finding.path == "servers.srv-x.attach"
    assert '(R14), this one does: "rack-a" on tor-a, "rack-b" on tor-b' in finding.message


def test_external_network_on_a_spine() -> None:
    snippet = "switches: {border-1: {role: spine}, border-3: {dpid: 99, role: border, l2_domain: core-1, data_center: dc1}}\n"
    snippet += 'links: [{a: "border-3:1", b: "border-1:3", l2_domain: core-1}]'
    assert rules(snippet) == ["attach-not-edge"]


def test_link_in_a_domain_of_one_end_or_of_no_data_centre_is_sound() -> None:
    assert rules('links: [{a: "border-1:47", b: "border-2:47", l2_domain: core-1}]') == []
    assert rules('links: [{a: "tor-a:47", b: "tor-c:47", l2_domain: wan}]') == []


def test_parallel_links_are_sound() -> None:
    assert rules('links: [{a: "border-1:47", b: "border-2:47", l2_domain: wan}]') == []


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("192.0.2.1/31", None),
        ("192.0.2.0/31", None),
        ("192.0.2.1/32", None),
        ("2001:db8::/127", None),
        ("192.0.2.255/24", "ip-unusable"),
        ("2001:db8::/64", "ip-unusable"),
        ("0.0.0.0/0", "ip-unusable"),
        ("127.0.0.1/8", "ip-unusable"),
        ("224.0.0.1/24", "ip-unusable"),
        ("ff02::1/64", "ip-unusable"),
        ("192.0.2.1", "ip-syntax"),
        ("192.0.2.1/255.255.255.0", "ip-syntax"),
        ("192.0.2.1/33", "ip-syntax"),
        ("192.0.2.256/24", "ip-syntax"),
        ("fe80::1%eth0/64", "ip-syntax"),
        ("web", "ip-syntax"),
        ("", "ip-syntax"),
    ],
)
def test_addresses(address: str, rule: str | None) -> None:
    snippet = "externals:\n" + external("x", "border-2:10", addresses=f'["{address}"]')
    assert rules(snippet) == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("hop", "rule"),
    [
        ("198.51.100.2", None),
        ("198.51.100.1", "next-hop-own"),
        ("198.51.100.0", "ip-unusable"),
        ("198.51.100.255", "ip-unusable"),
        ("198.51.101.2", "next-hop-outside"),
        ("198.51.100.2/24", "ip-syntax"),
        ("224.0.0.1", "ip-unusable"),
    ],
)
def test_next_hops(hop: str, rule: str | None) -> None:
    snippet = "externals:\n" + external("x", "border-2:10", next_hops=f'["{hop}"]', prefixes='["203.0.113.0/24"]')
    assert rules(snippet) == ([rule] if rule else [])


@pytest.mark.parametrize(
    "prefix", ["203.0.113.0", "203.0.113.0/33", "203.0.113.1/24", "2001:db8::1/32", "fe80::%x/64", "1/8", "web/8", "::/0.0.0.0"]
)
def test_prefixes_refused(prefix: str) -> None:
    snippet = "externals:\n" + external("x", "border-2:10", next_hops='["198.51.100.2"]', prefixes=f'["{prefix}"]')
    assert rules(snippet) == ["ip-syntax"]


def test_both_addresses_of_a_point_to_point_subnet_are_hosts() -> None:
    """RFC 3021."""
    keys = {"addresses": '["198.51.100.1/31"]', "next_hops": '["198.51.100.0"]', "prefixes": '["203.0.113.0/24"]'}
    assert rules("externals:\n" + external("x", "border-2:10", **keys)) == []


def test_next_hop_of_the_other_family_is_outside() -> None:
    snippet = "externals:\n" + external("x", "border-2:10", next_hops='["2001:db8::1"]', prefixes='["::/0"]')
    assert rules(snippet) == ["next-hop-outside"]


ROUTED = {"addresses": '["198.51.100.1/24"]', "next_hops": '["198.51.100.2"]'}


@pytest.mark.parametrize(
    ("snippet", "expected"),
    [
        pytest.param(external("x", "border-1:11", prefixes='["203.0.113.0/24"]', **ROUTED), 1, id="inside the default route"),
        pytest.param(external("x", "border-1:11", prefixes='["0.0.0.0/0"]', **ROUTED), 1, id="the same prefix"),
        pytest.param(external("x", "border-2:11", prefixes='["0.0.0.0/0"]', **ROUTED), 0, id="another edge"),
        pytest.param(
            external("x", "border-1:11", prefixes='["0.0.0.0/0"]', routing_domain="blue", **ROUTED), 0, id="another domain"
        ),
        pytest.param(external("x", "border-1:11"), 0, id="a connected subnet beside a default route"),
        pytest.param(external("x", "border-1:11", addresses='["192.0.2.9/25"]'), 1, id="connected subnets"),
        pytest.param(external("x", "border-1:11", addresses='["2001:db8:ffff::2/64"]'), 1, id="IPv6 connected subnets"),
        pytest.param(external("x", "border-2:11", prefixes='["10.0.0.0/8", "10.1.0.0/16"]', **ROUTED), 1, id="in one network"),
        pytest.param(
            external("x", "border-2:11", prefixes='["198.51.100.128/25"]', **ROUTED), 1, id="inside the connected subnet"
        ),
        pytest.param(external("x", "border-2:11", addresses='["10.0.0.1/24", "10.0.0.1/24"]'), 1, id="an address twice"),
        pytest.param(external("x", "border-2:11", addresses='["10.0.0.1/24", "10.0.0.2/24"]'), 0, id="two in one subnet"),
    ],
)
def test_external_prefixes(snippet: str, expected: int) -> None:
    assert rules("externals:\n" + snippet) == ["external-prefix-overlap"] * expected


def test_edge_with_servers_and_no_link_is_named_alone() -> None:
    snippet = "switches: {tor-d: {dpid: 13, role: tor, l2_domain: rack-c, data_center: dc2}}\n"
    snippet += 'servers: {srv-d1: {attach: "tor-d:1"}}'
    (finding,) = fabric.check(complete(snippet))
    assert (finding.rule, finding.path, finding.is_error) == ("edge-unconnected", "switches.tor-d", False)
    assert finding.message == 'servers or external networks hang on it, but no link connects edge "tor-d"'


def test_split_fabric_names_its_parts() -> None:
    text = "\n".join(line for line in TEXT.splitlines() if "wan}" not in line)
    found = {finding.rule: finding for finding in fabric.check(text)}
    assert set(found) == {"fabric-split", "domain-unused"}
    assert found["fabric-split"].message.endswith("parts of the fabric: tor-a, tor-b, border-1; border-2, tor-c")


def test_lone_spine_splits_the_fabric() -> None:
    assert rules("switches: {spine-1: {dpid: 1, role: spine, l2_domain: core-1}}") == ["fabric-split"]


@pytest.mark.parametrize("name", ["-a", ".a", "a b", "a:1", "ä", "a/b", "x" * 64, "", "a\\nb"])
def test_names_refused(name: str) -> None:
    text = TEXT.replace("  srv-c1:", f'  "{name}":')
    (finding,) = fabric.check(text)
    assert (finding.rule, finding.line) == ("name-syntax", line_of(TEXT, "srv-c1:"))
    assert "\n" not in str(finding)
    assert str(finding).isascii()


@pytest.mark.parametrize("name", ["a", "7", "A.b_c-d", "x" * 63])
def test_names_accepted(name: str) -> None:
    assert fabric.check(TEXT.replace("  srv-c1:", f'  "{name}":')) == ()


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01", "00:00:00:00:00:00"])
def test_gateway_mac_is_unicast(mac: str) -> None:
    assert rules(f'gateway_mac: "{mac}"') == ["mac-not-unicast"]


@pytest.mark.parametrize("mac", ["02:00:5e:00:00", "02:00:5e:00:00:0g", "02:00:5e-00-00-01", "0200.5e00.0001", ""])
def test_gateway_mac_syntax(mac: str) -> None:
    assert rules(f'gateway_mac: "{mac}"') == ["mac-syntax"]


def test_sexagesimal_and_merge_keys_are_nothing_special() -> None:
    text = TEXT.replace('"tor-c:1"}', '"tor-c:1", <<: {tagging: untagged}}')
    (finding,) = fabric.check(text)
    assert (finding.rule, finding.path) == ("unknown-key", 'servers.srv-c1."<<"')
