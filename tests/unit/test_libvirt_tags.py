"""The hook as a filter: the <vlan> of each interface is that of the server, and no other byte of the XML changes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.libvirt_site import HOOK, XML, HookSite, Hypervisor, site

__all__ = ["site"]

MAC = "02:00:00:00:00:0b"


def load() -> Any:
    """The module of the hook that edits XML: it lies outside every package."""
    spec = importlib.util.spec_from_file_location("hook_tags", HOOK.parent / "vmmob_hook" / "tags.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TAGS = load()


def domain(inner: str, kind: str = "bridge", around: str = "") -> str:
    """A domain with one interface."""
    return (
        f"<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n  <devices>\n{around}"
        f"    <interface type='{kind}'>\n      <mac address='02:00:00:00:00:0B'/>{inner}\n      <model type='virtio'/>\n"
        '    </interface>\n  </devices>\n  <qemu:commandline>\n    <qemu:arg value="-s &lt;"/>\n  </qemu:commandline>\n'
        "</domain>\n"
    )


def vlan(tag: int) -> str:
    """A <vlan> as the hook writes it."""
    return f"\n      <vlan>\n        <tag id='{tag}'/>\n      </vlan>"


OVS = "\n      <source bridge='br0'/>\n      <virtualport type='openvswitch'/>"


@pytest.mark.parametrize(
    ("before", "tag", "after"),
    [
        ("", 500, vlan(500)),
        (vlan(100), 500, vlan(500)),
        ("\n      <vlan><tag id='100'/></vlan>", 500, vlan(500)),
        ("\n      <vlan trunk='yes'><tag id='1'/><tag id='2'/></vlan>", 7, vlan(7)),
        ("\n      <vlan><tag id='7' nativeMode='untagged'/></vlan>", 7, vlan(7)),
        (vlan(100), None, ""),
        ("\n      <vlan><tag id='500'/></vlan>", 500, "\n      <vlan><tag id='500'/></vlan>"),
        ("\n      <vlan/>", 5, vlan(5)),
        ("", None, ""),
    ],
)
def test_one_interface(before: str, tag: int | None, after: str) -> None:
    changed = TAGS.Domain(domain(OVS + before).encode()).with_tags({MAC: tag})
    assert changed.decode() == domain(OVS + after)
    assert TAGS.Domain(changed).differing({MAC: tag}) == []


def test_xml_on_one_line() -> None:
    line = domain(OVS + "<vlan><tag id='1'/></vlan>").replace("\n", "").replace("  ", "").encode()
    assert TAGS.Domain(line).with_tags({MAC: 9}) == line.replace(b"id='1'", b"id='9'")
    assert TAGS.Domain(line).with_tags({MAC: None}) == line.replace(b"<vlan><tag id='1'/></vlan>", b"")
    bare = line.replace(b"<vlan><tag id='1'/></vlan>", b"")
    assert TAGS.Domain(bare).with_tags({MAC: 1}) == line


def test_what_only_looks_like_an_interface_stays() -> None:
    decoys = (
        "    <!-- <interface type='bridge'><mac address='02:00:00:00:00:0b'/><vlan><tag id='3'/></vlan></interface> -->\n"
        "    <hostdev><interface><mac address='02:00:00:00:00:0b'/><vlan><tag id='4'/></vlan></interface></hostdev>\n"
        "    <description><![CDATA[<interface type='bridge'/>ü]]></description>\n"
        "    <interface type='user'><mac address='02:00:00:00:00:99'/></interface>\n"
    )
    text = domain(OVS + "\n      <vlan><tag id='1'/></vlan>", around=decoys)
    changed = TAGS.Domain(text.encode()).with_tags({MAC: 2, "02:00:00:00:00:77": 3})
    assert changed.decode() == text.replace("<vlan><tag id='1'/></vlan>", "<vlan>\n        <tag id='2'/>\n      </vlan>")


@pytest.mark.parametrize(
    ("kind", "inner", "good"),
    [
        ("network", "\n      <source network='n'/>", True),
        ("hostdev", "", True),
        ("bridge", OVS, True),
        ("bridge", "\n      <source bridge='br0'/>", False),
        ("bridge", "\n      <source bridge='br0'/>\n      <vlan><tag id='2'/></vlan>", True),  # Linux bridges, libvirt 11
        ("direct", "\n      <source dev='eth0' mode='bridge'/>", False),
        ("user", "", False),
    ],
)
def test_interfaces_that_take_no_tag(kind: str, inner: str, good: bool) -> None:
    found = TAGS.Domain(domain(inner, kind).encode())
    if good:
        assert TAGS.Domain(found.with_tags({MAC: 500})).differing({MAC: 500}) == []
    else:
        with pytest.raises(TAGS.Bad, match=f"{MAC} must be tagged with 500 here and is of type {kind}"):
            found.with_tags({MAC: 500})
        assert found.with_tags({MAC: None}) == found.text


@pytest.mark.parametrize("text", [b"", b"<domain>", b"\xff\xfe<", "<domain/>".encode("utf-16")])
def test_xml_that_cannot_be_read(text: bytes) -> None:
    with pytest.raises(TAGS.Bad, match="cannot be read"):
        TAGS.Domain(text)


# The hook itself


def with_tag(tag: int | None, inner: str = "<virtualport type='openvswitch'/>") -> str:
    """web1's XML with this tag."""
    vlan = "" if tag is None else f"\n      <vlan>\n        <tag id='{tag}'/>\n      </vlan>"
    return XML.replace("<virtualport type='openvswitch'/>", inner + vlan)


def test_a_migration_takes_the_tag_of_its_server(site: HookSite) -> None:
    assert site.target.receives_xml(with_tag(100)) == with_tag(500)
    site.source.calls("release", "end", "migrated")
    site.service.confirm()
    assert site.source.receives_xml(with_tag(500)) == with_tag(100)
    assert site.moves() == [("srv-c1", "committed"), ("srv-a1", "prepared")]


def test_at_an_untagged_server_the_tag_goes(site: HookSite) -> None:
    there = site.hypervisor("srv-a2")
    assert there.receives_xml(with_tag(100)) == with_tag(None)


def test_a_restored_guest_gets_the_tag_of_where_it_is(site: HookSite) -> None:
    site.source.calls("restore", "begin", xml=with_tag(777))
    assert site.source.printed == with_tag(100)
    assert "placed at srv-a1" in site.target.calls("restore", "begin")
    assert (site.target.printed, site.moves()) == ("", [])
    willing = site.hypervisor("srv-c1", cold_moves="yes")
    willing.calls("restore", "begin", xml=with_tag(100))
    assert willing.printed == with_tag(500)
    for operation in ("prepare", "start", "started"):
        willing.calls(operation, "begin", xml=with_tag(500))
    site.service.confirm()
    assert site.moves() == [("srv-c1", "committed")]


@pytest.mark.parametrize("policy", ["open", "closed"])
def test_a_tag_that_cannot_be_set_stops_the_guest(site: HookSite, policy: str) -> None:
    there = site.hypervisor("srv-c1", on_failure=policy)
    said = there.calls("migrate", "begin", status=1, xml=with_tag(None, ""))
    assert f"the interface {MAC} must be tagged with 500 here and is of type bridge" in said
    assert site.moves() == [("srv-c1", "aborted")]
    site.service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    site.service.confirm()
    there.calls("migrate", "begin", status=1, xml=with_tag(None, ""))
    assert site.moves()[-1] == ("srv-c1", "prepared"), "a move that another announced is not the hook's to undo"


def test_a_guest_with_a_tag_of_its_own_keeps_its_trunk(site: HookSite) -> None:
    site.service.ask("DELETE", "/v1/vms/web1")
    site.service.put("/v1/cugs/shop", {"subnets": ["10.9.0.0/24"], "vlan_ids": {"rack-a": 150}})
    interface = {"cug": "shop", "mac": MAC, "ips": ["10.9.0.11"], "guest_vlan_id": 150}
    site.service.put("/v1/vms/web1", {"server": "srv-a1", "interfaces": [interface]})
    there = site.hypervisor("srv-a2")
    assert there.receives_xml(with_tag(42)) == with_tag(42)
    assert there.receives_xml(with_tag(None)) == with_tag(None)
    assert site.moves() == [("srv-a2", "prepared")]


def test_a_wrong_tag_is_told_at_the_start(site: HookSite) -> None:
    assert "tag 7 and must have 100" in site.source.calls("started", "begin", xml=with_tag(7))
    assert site.source.calls("started", "begin", xml=with_tag(100)) == ""
    site.target.receives_xml(with_tag(100))
    assert "tag 100 and must have 500" in site.target.calls("started", "begin", xml=with_tag(100))
    assert site.moves() == [("srv-c1", "prepared")]


def test_an_interface_that_the_guest_does_not_have_is_told(site: HookSite) -> None:
    assert "has no interface 02:00:00:00:00:0b" in site.target.calls("migrate", "begin", xml=XML.replace(":0b", ":0c"))


# A guest that comes back from where the controller does not know it yet


@pytest.mark.parametrize("commit", ["automatic", "request"])
def test_a_guest_comes_back(site: HookSite, commit: str) -> None:
    site.service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1", "commit": commit})
    site.service.confirm()
    site.swift = True
    assert site.source.receives_xml(with_tag(500)) == with_tag(100)
    assert site.moves() == [("srv-c1", "committed"), ("srv-a1", "prepared")]


def test_a_guest_that_never_left_does_not_come_back(site: HookSite) -> None:
    site.service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    site.service.confirm()
    (site.source.running / "web1.pid").write_text(f"{os.getpid()}\n")
    assert "VM web1 runs here and is on its way to srv-c1" in site.source.calls("migrate", "begin", status=1)
    assert site.moves() == [("srv-c1", "prepared")]


# What a call costs


@pytest.mark.parametrize(("operation", "sub"), [("start", "begin"), ("stopped", "end"), ("prepare", "begin")])
def test_calls_that_mean_nothing_import_nothing(tmp_path: Path, operation: str, sub: str) -> None:
    alone = Hypervisor(tmp_path, "http://127.0.0.1:1", "srv-c1")
    command = [sys.executable, "-X", "importtime", "-S", "-I", str(HOOK), "web1", operation, sub, "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, env=alone.environment)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"ssl", "json", "urllib.request", "pyexpat", "configparser", "threading", "syslog"})
