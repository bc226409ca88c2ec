"""etc/libvirt/qemu as libvirt calls it: a process with libvirt's arguments and XML, against the real REST application."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.libvirt_site import HOOK, UUID, HookSite, Hypervisor, site

__all__ = ["site"]


def test_a_live_migration(site: HookSite) -> None:
    site.target.receives()
    assert site.moves() == [("srv-c1", "prepared")], "the guest still runs at its source"
    site.source.calls("stopped", "end")
    site.source.calls("release", "end", "migrated")
    site.service.confirm()
    assert site.moves() == [("srv-c1", "committed")]
    assert site.place() == "srv-c1"


def test_a_guest_that_was_heard_first(site: HookSite) -> None:
    site.target.receives()
    (id_,) = site.service.engine.state.migrations
    site.service.ask("POST", f"/v1/migrations/{id_}/activate")
    site.source.calls("release", "end", "migrated")
    assert site.moves() == [("srv-c1", "activated")]
    site.target.calls("release", "end", "shutdown")  # it arrived, and is switched off later: no abort
    assert site.moves() == [("srv-c1", "activated")]


def test_an_older_libvirt_gives_no_reason(site: HookSite) -> None:
    site.target.receives()
    site.source.calls("release", "end")
    assert site.moves() == [("srv-c1", "prepared")], "it may as well have been switched off"


def test_a_migration_that_fails(site: HookSite) -> None:
    site.target.receives()
    site.target.calls("stopped", "end")
    site.target.calls("release", "end", "failed")
    site.service.confirm()
    assert site.moves() == [("srv-c1", "aborted")]
    assert site.place() == "srv-a1"
    (row,) = site.service.get("/v1/migrations")["items"]
    assert row["reason"] == "libvirt: the guest's process at srv-c1 ended (failed)"


def test_a_move_that_the_orchestrator_announced(site: HookSite) -> None:
    site.service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-c1"})
    site.service.confirm()
    site.target.receives()
    assert site.moves() == [("srv-c1", "prepared")]
    said = site.hypervisor("srv-b1").calls("migrate", "begin", status=1)
    assert "VM web1 is on its way to srv-c1, not to srv-b1 (migration m-" in said
    site.hypervisor("srv-b1").calls("release", "end", "failed")
    assert site.moves() == [("srv-c1", "prepared")], "no business of srv-b1"


@pytest.mark.parametrize("policy", ["open", "closed"])
def test_what_the_controller_refuses_does_not_come(site: HookSite, policy: str) -> None:
    nowhere = site.hypervisor("srv-x", on_failure=policy)
    assert "no server 'srv-x'" in nowhere.calls("migrate", "begin", status=1)
    assert site.moves() == []


def test_guests_that_are_nobodys_pass(site: HookSite) -> None:
    site.target.calls("migrate", "begin", guest="other")
    site.source.calls("migrate", "begin")  # restored where it is placed
    assert site.moves() == []


def test_switches_that_are_not_ready_in_time(site: HookSite) -> None:
    site.service.while_waiting = lambda: None
    said = site.hypervisor("srv-c1", timeout="2").calls("migrate", "begin", status=1)
    assert "is not prepared: no answer yet from border-1" in said
    assert [state for _, state in site.moves()] == ["aborted"]
    site.hypervisor("srv-c1", timeout="2", on_failure="open").calls("migrate", "begin")
    assert [state for _, state in site.moves()] == ["aborted", "preparing"], "it goes on while the memory is copied"


@pytest.mark.parametrize(("policy", "status"), [("open", 0), ("closed", 1)])
def test_no_controller(tmp_path: Path, policy: str, status: int) -> None:
    alone = Hypervisor(tmp_path, "http://127.0.0.1:1", "srv-c1", on_failure=policy)
    assert "http://127.0.0.1:1 cannot be asked: [Errno 111]" in alone.calls("migrate", "begin", status=status)
    for operation, sub in (("started", "begin"), ("release", "end"), ("restore", "begin")):
        assert "cannot be asked" in alone.calls(operation, sub), "it must not end a guest"
    for operation, sub in (("stopped", "end"), ("start", "begin"), ("reconnect", "begin"), ("attach", "begin")):
        assert alone.calls(operation, sub) == ""


def test_a_controller_that_is_silent_keeps_nobody_waiting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        alone = Hypervisor(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", "srv-c1", timeout="0.2")
        assert "timed out" in alone.calls("migrate", "begin", status=1)


@pytest.mark.parametrize(("operation", "sub", "status"), [("migrate", "begin", 1), ("release", "end", 0)])
def test_a_hook_that_hangs_ends_at_its_time_out(tmp_path: Path, operation: str, sub: str, status: int) -> None:
    alone = Hypervisor(tmp_path, "http://127.0.0.1:1", "srv-c1", timeout="0.1")
    command = [sys.executable, "-S", "-I", str(HOOK), "web1", operation, sub, "-"]
    environment = {"VMMOB_HOOK_CONF": str(alone.config)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.read() == f"vmmob: {operation} of web1: no answer in time\n"  # its standard input has no end
        assert process.wait() == status


def test_a_guest_by_its_uuid(site: HookSite) -> None:
    site.service.put(f"/v1/vms/{UUID}", {
        "server": "srv-a1",
        "interfaces": [{"cug": "web", "mac": "02:00:00:00:00:33", "ips": ["10.1.0.33"]}],
    })  # fmt: skip
    site.hypervisor("srv-c1", guest="uuid").calls("migrate", "begin")
    assert [row["vm"] for row in site.service.get("/v1/migrations")["items"]] == [UUID]


def test_a_guest_that_is_started_elsewhere(site: HookSite) -> None:
    for operation in ("prepare", "start", "started"):
        site.target.calls(operation, "begin")
    assert site.moves() == [], "unless it is wanted, nobody moves because somebody starts a guest"
    willing = site.hypervisor("srv-c1", cold_moves="yes")
    for operation in ("prepare", "start", "started"):
        willing.calls(operation, "begin")
    site.service.confirm()
    assert site.moves() == [("srv-c1", "committed")]
    (row,) = site.service.get("/v1/migrations")["items"]
    assert row["mode"] == "cold"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "there must be one section, [vmmob]"),
        ("url = x", "it must be [vmmob]"),
        ("[vmmob]\nurll = x", "urll is not known"),
        ("[vmmob]\non_failure = maybe", "on_failure must be one of closed, open"),
        ("[vmmob]\ntimeout = long", "timeout must be a number of seconds above 0, at most 60"),
        ("[vmmob]\nmove_timeout = 99999999", "move_timeout must be"),
        ("[vmmob]\nguest = mac", "guest must be one of name, uuid"),
        ("[vmmob]\ntoken_file = /nonexistent", "token file /nonexistent: No such file"),
        ("[vmmob]\nca = /nonexistent", "/nonexistent"),
    ],
)
def test_a_bad_hook_conf_stops_who_comes_and_nobody_else(tmp_path: Path, text: str, fault: str) -> None:
    alone = Hypervisor(tmp_path, "http://127.0.0.1:1", "srv-c1")
    alone.config.write_text(text)
    assert fault in alone.calls("migrate", "begin", status=1)
    assert fault in alone.calls("started", "begin")


def test_a_token_that_others_may_read_is_not_used(site: HookSite) -> None:
    (site.directory / "token").chmod(0o644)
    assert "chmod 600" in site.target.calls("migrate", "begin", status=1)
    (site.directory / "token").write_text("wrong\n")
    (site.directory / "token").chmod(0o600)
    assert "the token is not valid" in site.target.calls("migrate", "begin", status=1)


def test_the_example_is_a_hook_conf(tmp_path: Path) -> None:
    alone = Hypervisor(tmp_path, "http://127.0.0.1:1", "srv-c1")
    text = (HOOK.parent / "hook.conf").read_text().replace("# ", "#").replace("\n#", "\n")
    settings = [line for line in text.splitlines() if " = " in line and "http" not in line and line.split()[1] == "="]
    alone.config.write_text("[vmmob]\nurl = http://127.0.0.1:1\n" + "\n".join(settings))
    assert "token file /etc/vmmob/hook.token" in alone.calls("migrate", "begin", status=1)
    assert len(settings) == 8
