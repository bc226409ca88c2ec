"""Starting: the stock manager on a current eventlet, and what the start-up file costs everybody else."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import ryu_vmmob
from ryu_vmmob import compat

ROOT = Path(ryu_vmmob.__file__).resolve().parent.parent
SITE = ROOT / "tools" / "site"
STOCK = "from ryu.cmd.manager import main; main(['--version'])"
INSTALL = "from ryu_vmmob.compat import install; install(); "


def python(code: str, *flags: str, off: str = "") -> subprocess.CompletedProcess[str]:
    """Run some code in a fresh interpreter."""
    environment = {**os.environ, "RYU_VMMOB_COMPAT_OFF": off, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *flags, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_stock_manager_does_not_start_without_it() -> None:
    ended = python(INSTALL + STOCK, off="already_handled")
    assert ended.returncode != 0
    assert "cannot import name 'ALREADY_HANDLED'" in ended.stderr


@pytest.mark.parametrize("command", ["ryu-manager", "vmmob-manager"])
def test_installed_command_starts(command: str) -> None:
    try:
        metadata.distribution("ryu-vmmob")
    except metadata.PackageNotFoundError:
        pytest.skip("the package is not installed in this environment")
    ended = subprocess.run([Path(sys.prefix, "bin", command), "--version"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "ryu-manager 4.34\n")


def test_notice_of_eventlet() -> None:
    assert "Eventlet is deprecated" in python(INSTALL + STOCK, off="eventlet_notice").stderr
    assert python(INSTALL + STOCK).stderr == ""


def test_other_programs_still_hear_eventlets_notice() -> None:
    assert "Eventlet is deprecated" in python(INSTALL + "import eventlet").stderr


def test_start_loads_neither_eventlet_nor_ryu() -> None:
    ended = python(
        INSTALL + "import sys; print(*sorted(m for m in sys.modules if m.split('.')[0] in {'eventlet', 'ryu', 'greenlet'}))"
    )
    assert (ended.stdout, ended.stderr) == ("\n", "")


def test_a_start_file_that_finds_no_package_breaks_nothing(tmp_path: Path) -> None:
    for file in SITE.iterdir():
        shutil.copy(file, tmp_path)
    # -S: only this folder's start-up files are read. The package cannot be imported, as after half an uninstallation.
    gone = f"import sys, site; sys.modules['ryu_vmmob'] = None; site.addsitedir({str(tmp_path)!r}); print('fine')"
    ended = python(gone, "-S")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "fine\n", "")


def test_the_start_file_puts_the_finder_in_place(tmp_path: Path) -> None:
    for file in SITE.iterdir():
        shutil.copy(file, tmp_path)
    names = f"import sys, site; site.addsitedir({str(tmp_path)!r}); print(type(sys.meta_path[0]).__name__)"
    ended = python(names, "-S")
    assert (ended.stdout, ended.stderr) == ("_PartFinder\n", "")


def test_the_newer_start_file_names_the_same_function() -> None:
    lines = (SITE / "ryu_vmmob_compat.start").read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert len(entries) == 1
    module, _, function = entries[0].partition(":")
    assert getattr(importlib.import_module(module), function) is compat.install


def test_a_part_that_fails_is_a_warning_to_others_and_an_error_to_us() -> None:
    broken = INSTALL + "from ryu_vmmob.compat import startup, tls; tls.replace_server = None; "
    others = python(broken + "import ryu.lib.hub; print('loaded')")
    assert (others.returncode, others.stdout) == (0, "loaded\n")
    assert "a compatibility part was not applied" in others.stderr
    ours = python(broken + "from ryu_vmmob.manager import main; main(['--version'])")
    assert ours.returncode != 0
    assert "CompatError: compatibility with Ryu 4.34 cannot be established: ryu.lib.hub" in ours.stderr


def test_modules_that_are_loaded_already_are_treated_at_once() -> None:
    late = (
        "import eventlet.wsgi, ryu.lib.hub, ryu.ofproto.ofproto_parser; "
        "from ryu_vmmob import compat; compat.apply(); compat.apply();"
        "print([part.active for part in compat.status()])"
    )
    ended = python("import sys; sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != '_PartFinder']; " + late)
    assert ended.stdout == "[True, True, True, True, True]\n", ended.stderr


def test_status_says_what_is_needed_here() -> None:
    code = INSTALL + "from ryu_vmmob import compat; print(*compat.status(), sep='\\n')"
    on, off = python(code).stdout.splitlines(), python(code, off="all").stdout.splitlines()
    names = ["already_handled", "parse_guard", "tls_server", "connections", "eventlet_notice"]
    assert len(on) == len(off) == len(names)
    for name, active, inactive in zip(names, on, off, strict=True):
        assert active.startswith(f"PartStatus(name='{name}', needed=True, active=True, why='")
        assert inactive.startswith(f"PartStatus(name='{name}', needed=True, active=False, why='")
        assert "left out by RYU_VMMOB_COMPAT_OFF" in inactive


def test_the_stock_manager_knows_our_options() -> None:
    """With a stand-in for the module of options: what matters here is when it is called and with what."""
    options = (
        "import sys, types; from oslo_config import cfg; module = types.ModuleType('ryu_vmmob.options');"
        "module.register = lambda conf: conf.register_cli_opts([cfg.StrOpt('probe')], group='vmmob');"
        "sys.modules['ryu_vmmob.options'] = module; import ryu_vmmob; ryu_vmmob.options = module;"
    )
    assert "--vmmob-probe" in python(INSTALL + options + STOCK.replace("--version", "--help")).stdout
