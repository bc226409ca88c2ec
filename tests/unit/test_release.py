"""The wheel and the source archive: what is in them, and that the wheel alone is enough to run the controller.

One wheel is built and installed for all tests here, without a network: the environment borrows the requirements of this one,
but neither its ryu_vmmob nor its Ryu. `make release-check` does the same with nothing borrowed.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from ryu_vmmob import __version__, options
from ryu_vmmob.cli.main import app
from ryu_vmmob.compat.startup import RYU_FOLDER, RYU_VERSION
from ryu_vmmob.manual.pages import commands
from tools.check_start import free_port

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "tools" / "vendor" / f"ryu-{RYU_VERSION}.tar.gz"


@dataclass(frozen=True)
class Installed:
    """What was built, and the environment that the wheel was installed in."""

    archive: Path
    wheel: Path
    place: Path

    @property
    def packages(self) -> Path:
        """The environment's site-packages."""
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.place)}))

    @contextlib.contextmanager
    def started(self, logs: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of the environment until the block ends; its output stands in ``logs/out``."""
        command = [str(self.place / "bin" / words[0]), *words[1:]]  # an absolute path stays as it is
        with (logs / "out").open("wb") as out, subprocess.Popen(command, cwd=logs, stdout=out, stderr=out) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.wait(60)

    def run(self, *words: str, cwd: Path | None = None, status: int = 0) -> str:
        """Run a command of the environment; returns its standard output and standard error."""
        command = [str(self.place / "bin" / words[0]), *words[1:]]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VMMOB", "RYU"))}
        environment["PYTHONWARNINGS"] = "ignore::SyntaxWarning"  # one of Ryu's files, where nothing was compiled beforehand
        done = subprocess.run(
            command, cwd=cwd or self.place, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("release")
    built = subprocess.run(
        [sys.executable, ROOT / "tools" / "dist.py", place / "dist"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    archive, wheel = map(Path, built.stdout.split())
    venv.create(place / "venv", with_pip=False, symlinks=True)
    found = Installed(archive, wheel, place / "venv")
    pip = [sys.executable, "-m", "pip", "--python", str(found.place / "bin" / "python"), "install", "--quiet"]
    done = subprocess.run(
        [*pip, "--no-deps", "--no-compile", "--no-index", str(wheel)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # A line in a .pth brings the folder, and none of the start-up files in it: neither the editable install nor its Ryu.
    borrowed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (found.packages / "borrowed.pth").write_text("\n".join(dict.fromkeys(borrowed)) + "\n", encoding="utf-8")
    return found


def answered(url: str, process: subprocess.Popen[bytes]) -> Any:
    """Return what a controller says at ``url``, as soon as it says anything."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"the controller ended with status {process.returncode}")


def test_ryu_in_the_wheel_is_the_one_of_pypi(installed: Installed) -> None:
    # What `pip download --no-binary ryu ryu==4.34` brings has this digest.
    digest = hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()
    assert digest == "a31041eb53aee0c36ca428645ad2607163ca5e1390f5a3d6ef2025b7829ce93e"
    with tarfile.open(ARCHIVE) as archive, zipfile.ZipFile(installed.wheel) as wheel:
        ours = {name for name in wheel.namelist() if name.startswith(f"{RYU_FOLDER}/ryu/")}
        files = {
            f"{RYU_FOLDER}/{row.name.removeprefix(f'ryu-{RYU_VERSION}/')}": row
            for row in archive
            if row.isfile() and row.name.startswith(f"ryu-{RYU_VERSION}/ryu/") and "/ryu/tests/" not in row.name
        }
        assert ours == set(files)
        assert len(ours) > 300
        for name, row in files.items():
            content = archive.extractfile(row)
            assert content is not None
            assert wheel.read(name) == content.read(), name
        licence = wheel.read(f"{RYU_FOLDER}/ryu-{RYU_VERSION}.dist-info/LICENSE")
    assert b"Apache License" in licence


def test_what_the_wheel_requires_can_be_had_as_it_is(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA") and RYU_FOLDER not in name)
        said = wheel.read(name).decode()
    required = {line.split()[1].split(">")[0].split("=")[0] for line in said.splitlines() if line.startswith("Requires-Dist: ")}
    assert "ryu" not in required, "its source does not build with a current setuptools"
    with tarfile.open(ARCHIVE) as archive:
        wanted = archive.extractfile(f"ryu-{RYU_VERSION}/ryu.egg-info/requires.txt")
        assert wanted is not None
        names = {line.split("!")[0].split(">")[0] for line in wanted.read().decode().split()}
    assert names <= required


def test_the_installed_ryu_is_the_one_of_the_wheel(installed: Installed) -> None:
    said = installed.run("python", "-c", "import ryu, ryu_vmmob; print(ryu.__file__, ryu_vmmob.__file__)").split()
    assert [Path(name).parents[1] for name in said] == [installed.packages / RYU_FOLDER, installed.packages]
    for command in ("ryu-manager", "vmmob-manager"):
        assert installed.run(command, "--version") == f"ryu-manager {RYU_VERSION}\n"
    about = "from importlib.metadata import version; print(version('ryu'))"
    assert installed.run("python", "-c", about) == f"{RYU_VERSION}\n"


def test_without_start_up_files_our_own_command_finds_it(installed: Installed, tmp_path: Path) -> None:
    """As after `pip install --target`: start-up files count in site-packages alone."""
    for name in ("ryu_vmmob", RYU_FOLDER):
        (tmp_path / name).symlink_to(installed.packages / name)
    others = [row for row in sys.path if Path(row).name != RYU_FOLDER]
    code = f"import sys; sys.path[:] = {[str(tmp_path), *others]!r}; from ryu_vmmob.manager import main; main(['--version'])"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"ryu-manager {RYU_VERSION}\n"), done.stderr


@pytest.mark.parametrize("command", ["ryu-manager", "vmmob-manager"])
def test_another_ryu_that_comes_first_is_refused(installed: Installed, tmp_path: Path, command: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(installed.packages / RYU_FOLDER / "ryu", other / "ryu")
    init = other / "ryu" / "__init__.py"
    init.write_text(init.read_text(encoding="utf-8").replace("(4, 34)", "(4, 30)"), encoding="utf-8")
    first = installed.packages / "aaa.pth"
    first.write_text(f"import sys; sys.path.insert(0, {str(other)!r})\n", encoding="utf-8")
    try:
        said = installed.run(command, "ryu_vmmob.apps.vmmob", status=1)
    finally:
        first.unlink()
    assert f"vmmob: Ryu 4.30 is installed in {other / 'ryu'}: only Ryu 4.34 will do; pip uninstall ryu" in said


@pytest.fixture(scope="module")
def folder(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``vmmob init`` of the wheel writes."""
    place = tmp_path_factory.mktemp("init") / "site"
    installed.run("vmmob", "init", str(place))
    return place


def test_init_writes_all_that_is_in_etc(installed: Installed, folder: Path) -> None:
    written = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    for source in (path for path in (ROOT / "etc").rglob("*") if path.is_file() and path.suffix != ".pyc"):
        name = str(source.relative_to(ROOT / "etc"))
        here = written.pop(name if "/" in name or name == "vmmob.conf" else f"examples/{name}")
        if name.startswith("systemd/") or name == "vmmob.conf":
            assert str(installed.place) in here.read_text() or str(folder) in here.read_text()
            assert "/opt/vmmob" not in here.read_text()
        else:
            assert here.read_bytes() == source.read_bytes(), name
    assert os.access(folder / "libvirt" / "qemu", os.X_OK)
    assert {name.partition("/")[0] for name in written} == {"fabric.yaml", "man"}


def test_what_init_writes_is_good(installed: Installed, folder: Path) -> None:
    for file in (folder / "fabric.yaml", *(folder / "examples").iterdir()):
        assert "no findings" in installed.run("vmmob", "check", "--strict", str(file))


def test_init_overwrites_nothing(installed: Installed, folder: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "already: nothing is written" in installed.run("vmmob", "init", str(folder), status=1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (tmp_path / "vmmob.conf").symlink_to("nowhere")
    said = installed.run("vmmob", "init", str(tmp_path), status=1)
    assert said == f"vmmob: {tmp_path} has vmmob.conf already: nothing is written\n"
    assert [path.name for path in tmp_path.iterdir()] == ["vmmob.conf"]


def test_init_says_why_it_cannot(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in installed.run("vmmob", "init", str(tmp_path / "file" / "site"), status=2)
    assert "letters, digits" in installed.run("vmmob", "init", str(tmp_path / "my $site"), status=2)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("which", ["ryu-manager", "ExecStart"])
def test_the_controller_starts_on_what_init_wrote(installed: Installed, folder: Path, tmp_path: Path, which: str) -> None:
    command = ["ryu-manager", "ryu_vmmob.apps.vmmob", "--config-file", str(folder / "vmmob.conf")]
    if which == "ExecStart":
        unit = (folder / "systemd" / "ryu-vmmob.service").read_text(encoding="utf-8")
        (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
        command = line.removeprefix("ExecStart=").split()
    port, openflow = free_port(), free_port()
    ports = ["--wsapi-port", str(port), "--ofp-tcp-listen-port", str(openflow), "--ofp-listen-host", "127.0.0.1"]
    with installed.started(tmp_path, *command, *ports) as process:
        about = answered(f"http://127.0.0.1:{port}/readyz", process)
        assert about["fabric"] == "two-dcs"
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
    assert b"<html" in page
    assert (folder / "vmmob.db").is_file()


def test_man_pages_name_every_command(folder: Path) -> None:
    top = (folder / "man" / "man1" / "vmmob.1").read_text(encoding="utf-8").replace("\\-", "-")
    for words, command in commands(typer.main.get_command(app), "vmmob"):
        assert f"\n.B {words.removeprefix('vmmob ')}\n" in top
        page = (folder / "man" / "man1" / f"vmmob-{words.split()[1]}.1").read_text(encoding="utf-8").replace("\\-", "-")
        assert f"\n.B {words}" in page
        for option in (name for row in command.params for name in row.opts if name.startswith("--")):
            assert option in page, f"{words} {option}"
    settings = (folder / "man" / "man5" / "vmmob.conf.5").read_text(encoding="utf-8")
    assert [row.name for row in options.listed() if f"\n.B {row.name}\n" not in settings] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_pages_are_well_formed(folder: Path) -> None:
    pages = sorted(map(str, (folder / "man").rglob("*.[15]")))
    assert len(pages) > 20
    done = subprocess.run(["groff", "-man", "-Tutf8", "-P-cbou", "-ww", *pages], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "vmmob check-switch [OPTIONS] [ADDRESS]" in done.stdout.replace("\N{HYPHEN}", "-")


def test_the_newest_version_of_the_changes_is_ours() -> None:
    written = re.findall(r"^## (\d+\.\d+\.\d+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert written[0][0] == __version__
    for _, when in written[1:]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", when), "only the newest may be unreleased"


def test_documents_name_the_files_of_this_version() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for named in re.findall(r"ryu_vmmob-(\d[\d.]*\d)[-.]|ryu-vmmob_(\d[\d.]*\d)_", page.read_text(encoding="utf-8")):
            assert __version__ in named, page.name


def test_the_source_archive_has_what_the_wheel_is_built_from(installed: Installed) -> None:
    with tarfile.open(installed.archive) as archive:
        names = {row.name.partition("/")[2] for row in archive}
    assert {
        "setup.cfg",
        "tools/build_backend.py",
        f"tools/vendor/ryu-{RYU_VERSION}.tar.gz",
        "etc/vmmob.conf",
        "CHANGELOG.md",
    } <= names
    written = configparser.ConfigParser()
    written.read(ROOT / "setup.cfg")
    assert written["options"]["python_requires"] == ">=3.11"
