"""Whatever the text: a fabric, or a FabricError whose findings point into the file. Never another exception."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ryu_vmmob import fabric
from ryu_vmmob.fabric.model import Role
from ryu_vmmob.fabric.rules import Rule
from ryu_vmmob.fabric.values import MAX_FLOWS, MAX_PORT
from tests.support.fabric_examples import EXAMPLE, complete

TEXT = EXAMPLE.read_text(encoding="utf-8")
LINES = TEXT.splitlines(keepends=True)
EVERY_KEY = complete(
    "l2_domains: {rack-a: {translate_guest_tags: true}}\n"
    "switches: {tor-a: {ports: 54, extender_ports: '1001-1048,2001', dialect: openflow13, max_flows: 4000}}\n"
    "servers: {srv-a3: {attach: 'tor-a:1001'}}\n"
)
"""The example with the keys that it leaves out."""
LABELS = {rule.label for rule in Rule}
LIMITS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# fmt: off
LIKELY = [
    ":1", "0-5", "0.0.0.0/0", "0x", "0x0a", "1-4094", "1-4294967039", "1000-2000,2000", "1001", "10.0.0.1/8", "192.0.2.1",
    "02:00:00:00:00:01", "5-1", "::/0", "dc1", "fe80::1%x", "lag", "openflow13", "spine", "tor", "tor-a", "tor-a:0",
    "tor-a:1", "tor-a:1001", "untagged", "wan",
]
TOKENS = [
    *"{}[],:-?&*!|>%@`\"'#\n\t ~<\0\x85\u2028\ufeff\ud800ä",
    "<<", "---\n", "...\n", "%YAML 1.1\n", "&a ", "*a", "!!int ", "!!binary ", "!x ", "- ", ": ", "? ", "null", "\"\\x",
    "1e999",
]
# fmt: on

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["", "x" * 100, "9" * 5000, *LIKELY]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=6
)
fragments = st.sampled_from(TOKENS)


def holds(text: str) -> None:
    try:
        loaded = fabric.loads(text)
    except fabric.FabricError as error:
        findings = error.findings
        assert any(finding.is_error for finding in findings)
    else:
        findings = fabric.check(text)
        assert not any(finding.is_error for finding in findings)
        usable(loaded)
    last = max(1, len(text.splitlines()))
    for finding in findings:
        assert 1 <= finding.line <= last
        assert finding.rule in LABELS
        assert len(str(finding).splitlines()) == 1
    assert list(findings) == sorted(findings, key=lambda finding: finding.line)


def usable(loaded: fabric.Fabric) -> None:
    """What the rest of the program takes for granted of a loaded fabric."""
    assert len(loaded.switch_by_dpid) == len(loaded.switches)
    uses = [end for link in loaded.links for end in (link.a, link.b)]
    uses += [port for server in loaded.servers.values() for port in server.attach]
    uses += [external.attach for external in loaded.externals.values()]
    assert len(uses) == len(set(uses))
    assert {port.switch for port in uses} <= set(loaded.switches)
    for server in loaded.servers.values():
        assert {port.switch for port in server.attach} == {server.switch}
        assert loaded.switches[server.switch].role.is_edge
    for domain in loaded.l2_domains.values():
        assert domain.vlan_ids == tuple(sorted(set(domain.vlan_ids)))
        assert 1 <= domain.vlan_ids[0] <= domain.vlan_ids[-1] <= 4094
    assert set(loaded.switches_of_domain) == set(loaded.l2_domains)
    assert set(loaded.links_of) == set(loaded.servers_of) == set(loaded.externals_of) == set(loaded.switches)
    assert {port for port, external in loaded.external_at.items() if port == external.attach} == set(loaded.external_at)
    assert {external.name for external in loaded.external_at.values()} == set(loaded.externals)
    for switch in loaded.switches.values():
        extended = switch.extender_ports
        assert not extended or switch.role is Role.TOR
        assert all(ranged and 1 <= ranged[0] <= ranged[-1] <= MAX_PORT for ranged in extended)
        assert all(low.stop <= high.start for low, high in pairwise(extended))
        assert switch.max_flows is None or 1 <= switch.max_flows <= MAX_FLOWS
        assert not any(link.end_at(switch.name).port in ranged for link in loaded.links_of[switch.name] for ranged in extended)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(entries):
        yield tree, key
        yield from places(value)


@LIMITS
@given(st.text())
def test_any_text(text: str) -> None:
    holds(text)


@LIMITS
@given(st.lists(fragments | st.text(max_size=4), max_size=25))
def test_any_row_of_yaml_tokens(parts: list[str]) -> None:
    holds("".join(parts))


@LIMITS
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    findings = fabric.check(data)
    assert any(finding.is_error for finding in findings)
    assert {finding.line for finding in findings} <= set(range(1, max(1, len(data.splitlines())) + 1))


@LIMITS
@given(values)
def test_any_document(tree: Any) -> None:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump({"version": 1, "switches": tree, "links": tree, "externals": tree}, out)
    holds(out.getvalue())


@LIMITS
@given(st.data())
def test_example_with_changed_values(data: st.DataObject) -> None:
    yaml = YAML(typ="safe", pure=True)
    tree = yaml.load(EVERY_KEY)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(places(tree))))
        action = data.draw(st.sampled_from(["replace", "delete", "copy", "rename"]))
        if action == "delete":
            del container[key]
        elif action == "replace" or isinstance(container, list):
            container[key] = data.draw(values)
        elif action == "copy":
            other, from_key = data.draw(st.sampled_from(list(places(yaml.load(EVERY_KEY)))))
            container[key] = other[from_key]
        else:
            container[data.draw(st.text(max_size=8))] = container.pop(key)
        if not tree:
            break
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(tree, out)
    holds(out.getvalue())


@LIMITS
@given(st.data())
def test_example_with_changed_text(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[position])))
        match data.draw(st.sampled_from(["delete", "repeat", "insert", "cut", "swap"])):
            case "delete" if len(lines) > 1:
                del lines[position]
            case "repeat":
                lines.insert(data.draw(st.integers(0, len(lines))), lines[position])
            case "insert":
                lines[position] = lines[position][:column] + data.draw(fragments) + lines[position][column:]
            case "cut":
                lines[position] = lines[position][:column]
            case _:
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[position], lines[other] = lines[other], lines[position]
    holds("".join(lines))
