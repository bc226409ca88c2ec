"""``vmmob export``, ``diff`` and ``apply``: the site as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.cli.yaml_text import yaml_text
from ryu_vmmob.fabric.findings import Report
from ryu_vmmob.fabric.source import parse
from tests.support.rest_service import Service, vm
from tests.unit.cli_support import Shell, pair, shell

__all__ = ["pair", "shell"]

POLICY = {"action": "allow", "from": {"prefix": "192.0.2.0/24"}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["80"]}


@pytest.fixture
def site(pair: Shell, tmp_path: Path) -> Path:
    """A site of two VMs and a policy, and the file that it exports."""
    pair.service.put("/v1/policies/http", POLICY)
    pair.service.confirm()
    file = tmp_path / "site.yaml"
    file.write_text(pair.run("export").stdout, encoding="utf-8")
    return file


def edited(file: Path, *changes: tuple[str, str]) -> str:
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_what_is_exported_is_no_difference(pair: Shell, site: Path) -> None:
    before = pair.service.engine.state
    assert pair.run("diff", "-f", str(site), "--prune").stdout == "0 to create, 0 to change, 0 to delete, 4 unchanged\n"
    assert pair.run("apply", "-f", str(site), "--prune").stdout == "0 to create, 0 to change, 0 to delete, 4 unchanged\n"
    assert pair.run("apply", "-f", "-", stdin=pair.run("export", "--json").stdout).exit_code == 0
    assert pair.service.engine.state is before


def test_an_empty_controller_becomes_the_same(pair: Shell, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, tables = site.read_text(encoding="utf-8"), pair.service.engine.desired.tables
    empty = Service()
    monkeypatch.setattr(pair.service, "engine", empty.engine)
    monkeypatch.setattr(pair.service.app, "_services", empty.app._services)
    assert pair.run("export").stdout.startswith("cugs: {}\nvms: {}\npolicies: {}\n")
    out = pair.run("apply", "-f", str(site)).stdout
    assert [row for row in out.splitlines() if row.startswith("+")] == ["+ CUG web", "+ VM web1", "+ VM web2", "+ policy http"]
    assert pair.run("export").stdout == text
    assert {name: row.flows.keys() for name, row in empty.engine.desired.tables.items()} == {
        name: row.flows.keys() for name, row in tables.items()
    }


def test_a_plan_is_shown_and_carried_out(pair: Shell, site: Path) -> None:
    file = edited(site, ("ports: ['80']", "ports: ['80', '443']"), ("web2", "web3"))
    before = pair.service.engine.state
    shown = pair.run("diff", "-f", file, status=1).stdout.splitlines()
    # web2 is still there, and web3 wants its addresses.
    assert shown == []
    shown = pair.run("diff", "-f", file, "--prune", status=1).stdout.splitlines()
    assert shown[:4] == ["- VM web2", "+ VM web3", "~ policy http", '    ports: ["80"] -> ["80", "443"]']
    assert shown[4].startswith("flows and groups: tor-a +")
    assert shown[5:] == ["1 to create, 1 to change, 1 to delete, 2 unchanged"]
    assert pair.run("apply", "-f", file, "--prune", "--dry-run").stdout.splitlines() == shown
    assert pair.service.engine.state is before
    done = pair.run("apply", "-f", file, "--prune", "--wait", "5").stdout.splitlines()
    assert done == [*shown, f"revision {before.revision + 1}"]
    assert set(pair.service.engine.state.vms) == {"web1", "web3"}
    assert pair.run("diff", "-f", file, "--prune").stdout.endswith("4 unchanged\n")


def test_flows_are_shown_on_request(pair: Shell, site: Path) -> None:
    file = edited(site, ("ports: ['80']", "ports: ['443']"))
    lines = pair.run("diff", "-f", file, "--flows", status=1).stdout.splitlines()
    assert any(line.startswith("    + ") and "tcp_dst=443" in line for line in lines)
    assert any(line.startswith("    - ") and "tcp_dst=80" in line for line in lines)
    assert pair.json("diff", "-f", file, "--flows", status=1)["plan"]["flows"].keys() == {
        line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")
    }


def test_apply_names_and_keeps_objects_that_the_file_lacks(pair: Shell, tmp_path: Path) -> None:
    file = tmp_path / "part.json"
    file.write_text(json.dumps({"vms": {"web1": vm()}}))
    out = pair.run("apply", "-f", str(file)).stdout.splitlines()
    assert out == [
        "not in the file, and left as it is (--prune deletes it): VM web2", "0 to create, 0 to change, 0 to delete, 1 unchanged"
    ]  # fmt: skip
    # Only kinds that the file has: the CUG is not pruned.
    assert pair.run("apply", "-f", str(file), "--prune").stdout.splitlines()[0] == "- VM web2"
    assert (set(pair.service.engine.state.vms), set(pair.service.engine.state.cugs)) == ({"web1"}, {"web"})


def test_a_vm_at_another_server_is_a_migration_and_never_moved(pair: Shell, site: Path) -> None:
    pair.service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1", "activate_on": "request"})
    pair.service.confirm()
    pair.service.ask("POST", "/v1/migrations/m-000000000001/activate")
    pair.service.confirm()
    file, before = edited(site, ("ports: ['80']", "ports: ['443']")), pair.service.engine.state
    for command in (["diff"], ["apply"], ["apply", "--dry-run"]):
        said = pair.run(*command, "-f", file, status=1)
        assert "VM web1 is on srv-b1, and the file has it on srv-a1: that is a migration" in said.stderr
        assert "vmmob move web1 srv-a1" in said.stderr
    assert pair.service.engine.state is before
    out = pair.run("apply", "-f", file, "--keep-places").stdout.splitlines()
    assert out[0] == "~ policy http"
    assert pair.service.engine.state.vms["web1"].server == "srv-b1"


def test_lists_as_the_command_line_gives_them(pair: Shell, tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    for kind, words in (("vms", ["vm", "list"]), ("cugs", ["cug", "list"])):
        file.write_text(json.dumps(pair.json(*words)))
        assert pair.run("apply", "-f", str(file), "--prune").stdout.endswith(f"{2 if kind == 'vms' else 1} unchanged\n")
    body: dict[str, Any] = pair.json("vm", "show", "web1")
    file.write_text(json.dumps(body))
    assert pair.run("vm", "put", "web1", "--file", str(file)).exit_code == 0


def test_files_that_are_refused(pair: Shell, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    assert "cannot be read: No such file" in pair.run("apply", "-f", str(file), status=2).stderr
    for text, said in (
        ("vms: {web1: {", "bad.yaml:1: "),
        ("- 1\n", "is no site"),
        ("", "is no site"),
        ("vms:\n  a: {}\n  a: {}\n", "bad.yaml:3: key \"a\" stands twice"),
        ("servers: {}\n", "servers: is not a known key"),
        ("vms:\n  web9: {server: srv-a1}\n", "vms.web9.interfaces: is required"),
        ('{"vms": ', "bad.yaml:1: "),
    ):  # fmt: skip
        file.write_text(text)
        assert said in pair.run("apply", "-f", str(file), status=2).stderr
    file.write_bytes(b"\xff")
    assert "no UTF-8 text" in pair.run("diff", "-f", str(file), status=2).stderr


ODD = ["02:00:00:00:00:11", "1e3", "0x10", "on", "null", "~", "12", "0012", "a: b", "- x", "#", "ü\n", ""]


@pytest.mark.parametrize("text", ODD)
def test_texts_come_back_as_texts(text: str) -> None:
    written = yaml_text({"cugs": {"a": {"description": text, "labels": {"k": text}}}})
    assert parse(written, Report("x")) == {"cugs": {"a": {"description": text, "labels": {"k": text}}}}
