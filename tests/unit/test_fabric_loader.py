"""The fabric file as values: what ``load`` gives for a good file, and how it refuses a bad one."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from ryu_vmmob import fabric
from ryu_vmmob.fabric.model import (
    DataCenter,
    Dialect,
    External,
    Fragments,
    L2Domain,
    Link,
    PortRef,
    Role,
    Server,
    Switch,
    Tagging,
)
from ryu_vmmob.fabric.source import MAX_BYTES
from tests.support.fabric_examples import EXAMPLE, complete

SMALL = """\
version: 1
fabric: small
gateway_mac: "02-00-5E-00-00-0A"
l2_domains: {rack: {vlan_ids: "200, 10 - 12"}}
switches: {tor: {dpid: 0x10, role: tor, l2_domain: rack}}
servers: {srv: {attach: "tor:1"}}
"""

VNICS = tuple(range(2, 4095))
"""VLAN-IDs of vNICs on the cable of a server of which the file says nothing."""


def test_example_loads_as_the_contract_describes_it() -> None:
    two_dcs = fabric.load(EXAMPLE)
    assert two_dcs.name == "two-dcs"
    assert two_dcs.gateway_mac == "02:00:5e:00:00:01"
    assert two_dcs.data_centers == {"dc1": DataCenter("dc1"), "dc2": DataCenter("dc2")}
    assert list(two_dcs.l2_domains) == ["rack-a", "rack-b", "core-1", "wan", "rack-c"]
    assert two_dcs.l2_domains["rack-b"] == L2Domain("rack-b", (*range(100, 200), 300), data_center="dc1")
    assert two_dcs.l2_domains["wan"].data_center is None
    assert two_dcs.switches["border-1"] == Switch("border-1", 0x11, Role.BORDER, "core-1", data_center="dc1")
    assert two_dcs.switch_by_dpid[0x0C].name == "tor-c"
    assert two_dcs.links[2] == Link(PortRef("border-1", 48), PortRef("border-2", 48), "wan")
    assert len(two_dcs.links) == 4
    assert two_dcs.servers == {
        "srv-a1": Server("srv-a1", (PortRef("tor-a", 1),), None, VNICS),
        "srv-a2": Server("srv-a2", (PortRef("tor-a", 2),), None),
        "srv-b1": Server("srv-b1", (PortRef("tor-b", 1), PortRef("tor-b", 2)), None, VNICS),
        "srv-c1": Server("srv-c1", (PortRef("tor-c", 1),), None, VNICS),
    }
    assert two_dcs.externals == {
        "internet-1": External(
            name="internet-1",
            attach=PortRef("border-1", 10),
            routing_domain="red",
            addresses=(ip_interface("192.0.2.1/24"), ip_interface("2001:db8:ffff::1/64")),
            prefixes=(ip_network("0.0.0.0/0"), ip_network("::/0")),
            next_hops=(ip_address("192.0.2.254"), ip_address("2001:db8:ffff::fe")),
        )
    }


@pytest.mark.requirement("R12")
@pytest.mark.parametrize(
    ("said", "tagging", "domain", "vlan_ids", "trusted"),
    [
        ("", Tagging.PER_INTERFACE, None, VNICS, False),
        ("tagging: per_interface", Tagging.PER_INTERFACE, None, VNICS, False),
        ('vlan_ids: "7-9, 1000, 4094"', Tagging.PER_INTERFACE, None, (7, 8, 9, 1000, 4094), False),
        ('vlan_ids: "1"', Tagging.PER_INTERFACE, None, (1,), False),
        ("tagging: per_cug", Tagging.PER_CUG, "rack", (), False),
        ("tagging: tagged", Tagging.PER_CUG, "rack", (), False),
        ("tagging: per_cug, local_switching: trusted", Tagging.PER_CUG, "rack", (), True),
        ("tagging: untagged", Tagging.UNTAGGED, None, (), False),
        ("tagging: untagged, local_switching: trusted", Tagging.UNTAGGED, None, (), True),
    ],
)
def test_tagging(said: str, tagging: Tagging, domain: str | None, vlan_ids: tuple[int, ...], trusted: bool) -> None:
    """Nothing said: each vNIC has a VLAN-ID of its own. The old word for one per CUG still stands for it."""
    server = fabric.loads(SMALL.replace('"tor:1"', f'"tor:1", {said}' if said else '"tor:1"')).servers["srv"]
    assert (server.tagging, server.l2_domain, server.vlan_ids, server.trusts_local_switching) == (
        tagging, domain, vlan_ids, trusted,
    )  # fmt: skip


def test_values_are_normalised() -> None:
    small = fabric.loads(SMALL)
    assert small.gateway_mac == "02:00:5e:00:00:0a"
    assert small.l2_domains["rack"].vlan_ids == (10, 11, 12, 200)
    assert small.switches["tor"].dpid == 16
    assert small.data_centers == {}
    assert small.externals == {}
    assert small.links == ()


@pytest.mark.parametrize(
    ("written", "dpid"),
    [
        ("10", 10),
        ("0x10", 16),
        ('"0x10"', 16),
        ("0000000000000010", 16),  # as ovs-vsctl prints it: sixteen digits, hexadecimal, unquoted
        ('"00000000000000ff"', 255),
        ("0xffffffffffffffff", 2**64 - 1),
        ('"0xffffffffffffffff"', 2**64 - 1),
    ],
)
def test_datapath_ids(written: str, dpid: int) -> None:
    assert fabric.loads(SMALL.replace("0x10", written)).switches["tor"].dpid == dpid


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ('"10"', "dpid-syntax"),  # ten or sixteen?
        ("010", "dpid-syntax"),
        ('"0x"', "dpid-syntax"),
        ('""', "dpid-syntax"),
        ("0x10000000000000000", "dpid-range"),
        ('"0x10000000000000000"', "dpid-range"),
        ("-1", "dpid-range"),
        ("9" * 5000, "dpid-syntax"),
        ("true", "wrong-type"),
        ("1.0", "wrong-type"),
    ],
)
def test_datapath_ids_refused(written: str, rule: str) -> None:
    assert [finding.rule for finding in fabric.check(SMALL.replace("0x10", written))] == [rule]


def test_descriptions_are_kept() -> None:
    text = complete(
        "description: all\n"
        "data_centers: {dc1: {description: one}}\n"
        "l2_domains: {wan: {description: two}}\n"
        "switches: {tor-a: {description: three}}\n"
        "servers: {srv-a1: {description: four}}\n"
        "externals: {internet-1: {description: five, vlan_id: 7}}\n"
        'links: [{a: "tor-a:50", b: "border-1:3", l2_domain: core-1, description: six}]\n'
    )
    found = fabric.loads(text)
    kept = (
        found.data_centers["dc1"],
        found.l2_domains["wan"],
        found.switches["tor-a"],
        found.servers["srv-a1"],
        found.externals["internet-1"],
    )
    assert [value.description for value in kept] == ["one", "two", "three", "four", "five"]
    assert found.externals["internet-1"].vlan_id == 7


def test_what_a_switch_can_do_and_a_domain_may_do() -> None:
    small = fabric.loads(SMALL)
    assert (small.switches["tor"].dialect, small.switches["tor"].max_flows) == (Dialect.OPENVSWITCH, None)
    assert small.switches["tor"].extender_ports == ()
    assert not small.l2_domains["rack"].translate_guest_tags
    keys = "dialect: openflow13, fragments: pass, max_flows: 2000, table_sizes: {admit: 500, bridge: 900}, l4_masks: true"
    keys += ', ports: 54, extender_ports: "2001-2048, 1001 - 1048,99"'
    text = SMALL.replace("role: tor,", f"role: tor, {keys},").replace('10 - 12"', '10 - 12", translate_guest_tags: true')
    found = fabric.loads(text)
    assert found.switches["tor"] == Switch(
        "tor",
        16,
        Role.TOR,
        "rack",
        dialect=Dialect.OPENFLOW13,
        max_flows=2000,
        table_sizes=(("admit", 500), ("bridge", 900)),
        l4_masks=True,
        fragments=Fragments.PASS,
        extender_ports=(range(99, 100), range(1001, 1049), range(2001, 2049)),
    )
    assert found.l2_domains["rack"].translate_guest_tags


@pytest.mark.requirement("R4")
def test_extenders_of_one_tor_are_in_its_domain() -> None:
    tor = 'switches: {tor-c: {ports: 54, extender_ports: "1001-1048,2001-2048"}}\n'
    extended = (("srv-c1", 1), ("srv-x", 1001), ("srv-y", 2001))
    servers = ", ".join(f'{name}: {{attach: "tor-c:{port}", tagging: per_cug}}' for name, port in extended)
    found = fabric.loads(complete(f"{tor}servers: {{{servers}}}"))
    assert {found.servers[name].l2_domain for name in ("srv-c1", "srv-x", "srv-y")} == {"rack-c"}
    assert found.port_domain(PortRef("tor-c", 1001)) == found.port_domain(PortRef("tor-c", 2001)) == "rack-c"
    assert [server.name for server in found.servers_of["tor-c"]] == ["srv-c1", "srv-x", "srv-y"]


def test_external_networks_by_switch_and_by_port() -> None:
    found = fabric.loads(
        complete(
            "externals:\n"
            '  lab: {attach: "border-1:12", routing_domain: blue, addresses: ["198.51.100.1/24"]}\n'
            '  backup: {attach: "border-1:11", routing_domain: green, addresses: ["198.51.100.1/24"], vlan_id: 5}\n'
        )
    )
    names = {switch: [external.name for external in externals] for switch, externals in found.externals_of.items()}
    assert names == {"tor-a": [], "tor-b": [], "border-1": ["backup", "internet-1", "lab"], "border-2": [], "tor-c": []}
    at = {str(port): external.name for port, external in found.external_at.items()}
    assert at == {"border-1:10": "internet-1", "border-1:11": "backup", "border-1:12": "lab"}


def test_empty_sections_and_data_centres_may_stand_without_a_value() -> None:
    text = SMALL.replace('servers: {srv: {attach: "tor:1"}}', "servers:\nlinks:\nexternals:\ndata_centers: {dc1: }")
    text = text.replace("l2_domain: rack}", "l2_domain: rack, data_center: dc1}")
    found = fabric.loads(text)
    assert list(found.data_centers) == ["dc1"]
    assert found.servers == {}


def test_aliases_may_be_used() -> None:
    text = SMALL.replace("rack: {vlan_ids", "rack: &one {vlan_ids").replace('10 - 12"}', '10 - 12"}, other: *one')
    assert fabric.loads(text).l2_domains["other"].vlan_ids == (10, 11, 12, 200)


def test_warnings_do_not_keep_a_file_from_loading() -> None:
    text = SMALL.replace("}\nswitches", ", spare: {vlan_ids: 5}}\nswitches")
    assert [finding.rule for finding in fabric.check(text)] == ["domain-unused"]
    assert "spare" in fabric.loads(text).l2_domains


def test_error_carries_all_findings_warnings_too() -> None:
    text = SMALL.replace("}\nswitches", ", spare: {vlan_ids: 5}}\nswitches").replace("tor:1", "tor:0")
    with pytest.raises(fabric.FabricError) as caught:
        fabric.loads(text, "x.yaml")
    assert [(finding.line, finding.rule) for finding in caught.value.findings] == [(4, "domain-unused"), (6, "port-range")]
    assert str(caught.value).splitlines()[1] == str(caught.value.findings[1])
    assert str(caught.value.findings[1]).startswith("x.yaml:6: error: servers.srv.attach: port number 0 is outside")
    assert str(caught.value.findings[1]).endswith(" [port-range]")


def test_load_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_text(SMALL.replace("tor:1", "tor:0"))
    with pytest.raises(fabric.FabricError) as caught:
        fabric.load(file)
    assert {finding.file for finding in caught.value.findings} == {str(file)}


@pytest.mark.parametrize("name", [".", "missing.yaml", "null\0byte"])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(fabric.FabricError) as caught:
        fabric.load(f"{tmp_path}/{name}")
    assert [finding.rule for finding in caught.value.findings] == ["file-unreadable"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_bytes((SMALL + "description: Gerät\n").encode(encoding))
    with pytest.raises(fabric.FabricError) as caught:
        fabric.load(file)
    assert [(finding.line, finding.rule) for finding in caught.value.findings] == [
        (1 if encoding == "utf-16" else 7, "not-utf8")
    ]


def test_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "fabric.yaml"
    file.write_bytes(SMALL.encode("utf-8-sig"))
    assert fabric.load(file) == fabric.loads(SMALL) == fabric.loads("\ufeff" + SMALL)


def test_hostile_text_is_bounded() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{step}: &a{step} [{','.join([f'*a{step - 1}'] * 9)}]\n" for step in range(1, 12)
    )
    for text in (bomb, "a: &a [*a]", "- " * 5000, "a: &b\n  c: *b\n", "#" * (MAX_BYTES + 1)):
        assert [finding.rule for finding in fabric.check(text)] == ["too-large"]


def test_a_key_that_is_nearly_one_is_guessed() -> None:
    wrong = SMALL.replace("gateway_mac", "gatewaymac")
    (said,) = [finding.message for finding in fabric.check(wrong) if finding.rule == "unknown-key"]
    assert said.startswith('unknown key "gatewaymac", did you mean "gateway_mac"; known here: version, ')
    (said,) = [finding.message for finding in fabric.check(SMALL + "zzz: 1\n") if finding.rule == "unknown-key"]
    assert said.startswith('unknown key "zzz"; known here: version, ')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[vmmob]\nfabric = a\n", "expected one mapping of keys in the whole file, but found text"),
        ("a:\n - b\n c: d\n", "while parsing a block collection expected the end of the mapping or list, but found '?'"),
    ],
)
def test_what_is_no_yaml_is_said_without_names_of_tokens(text: str, said: str) -> None:
    assert fabric.check(text)[0].message == said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("\n\n# nothing\n", 1),
        ("- 1\n- 2\n", 1),
        ("just text", 1),
        ("null", 1),
        ("version: 1\n---\nversion: 1\n", 2),
        ("version: 1\nfabric: [1\n", 2),
        ("version: 1\nfabric: \x07\n", 2),
        ('version: 1\nfabric: "\\UFFFFFFFF"\n', None),
        ("%YAML 9.9\n---\nversion: 1\n", 1),
        ("version: *nowhere", 1),
        ("? [1, 2]\n: 3\n", 1),
        ("version: \ud800", 1),
    ],
)
def test_what_is_no_fabric_file(text: str, line: int | None) -> None:
    found = fabric.check(text)
    assert found
    assert found[0].is_error
    if line is not None:
        assert found[0].line == line
