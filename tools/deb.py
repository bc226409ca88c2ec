"""Builds the Debian package into a folder (default: dist), as root or not, without a network: `make deb`.

The package has an environment of its own in /usr/lib/vmmob, for Debian's Python: our wheel, and the requirements of the wheel
in the versions of the environment that runs this (those of requirements.lock, which the tests ran with). Nothing of it gets
into the way of Debian's own modules, and nothing is downloaded when it is installed.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tools.dist import build

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = "ryu-vmmob"
HOME: Final = "usr/lib/vmmob"
PROGRAMS: Final = ("vmmob", "vmmob-manager", "vmmob-hypervisor")
PYTHON: Final = "/usr/bin/python3"
_CONTROL: Final = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: the authors of ryu-vmmob <root@localhost>
Section: net
Priority: optional
Depends: python3 (>= {python}), python3 (<< {next}), passwd
Suggests: openvswitch-switch, python3-libvirt
Installed-Size: {size}
Description: network controller for virtual machines that move
 An OpenFlow 1.3 controller, an application for Ryu 4.34, that gives out VLAN-IDs, translates them where L2 domains meet,
 and keeps user groups apart while virtual machines move between servers, racks and data centres.
 .
 Ryu and all other Python modules are in /usr/lib/vmmob.
"""


def main() -> int:
    """Build it; prints the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("dist"))
    parser.add_argument("--fast", action="store_true", help="compress little: for tests")
    given = parser.parse_args()
    here, there = "{}.{}".format(*sys.version_info), _minor_of_debian()
    if here != there:
        sys.exit(f"this environment has Python {here} and Debian's is {there}: make clean, then PYTHON={PYTHON} make setup")
    os.umask(0o022)
    folder = given.folder.absolute()
    with tempfile.TemporaryDirectory() as scratch:
        _, wheel = build(folder)
        stage = Path(scratch, "stage")
        _environment(stage, wheel)
        _settings(stage)
        version = wheel.name.split("-")[1]
        print(_packed(stage, version, folder, level=1 if given.fast else 9))
    return 0


def _minor_of_debian() -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def requirements(wheel: Path) -> Iterator[metadata.Distribution]:
    """Yield every distribution that a wheel needs, from this environment. Raises PackageNotFoundError."""
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1)
        wanted = Parser().parsestr(packed.read(name).decode()).get_all("Requires-Dist", [])
    seen: set[str] = set()
    while wanted:
        requirement = Requirement(wanted.pop())
        key = requirement.name.lower().replace("_", "-")
        if key in seen or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(key)
        found = metadata.distribution(requirement.name)
        wanted += found.requires or []
        yield found


def _environment(stage: Path, wheel: Path) -> None:
    """Make the environment, and move its paths to where it will lie."""
    home = stage / HOME
    home.parent.mkdir(parents=True)
    # Debian's libvirt-python is compiled for Debian's Python and is not on PyPI as a wheel: vmmob-hypervisor loads that one.
    command = [PYTHON, "-m", "venv", "--without-pip", "--symlinks", "--system-site-packages", str(home)]
    subprocess.run(command, check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", "--no-compile", "--disable-pip-version-check", str(wheel)], check=True)
    (packages,) = (home / "lib").glob("python*/site-packages")
    for found in requirements(wheel):
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
    for script in (*(home / "bin").iterdir(), home / "pyvenv.cfg"):
        if script.is_symlink():
            continue
        text = script.read_text(encoding="utf-8")
        script.write_text(text.replace(str(stage), ""), encoding="utf-8")
    for activation in (home / "bin").glob("[Aa]ctivate*"):
        activation.unlink()


def _settings(stage: Path) -> None:
    """Write what `vmmob init` writes, each where Debian has it."""
    home, place = stage / HOME, stage / "etc" / "vmmob"
    # Run from the stage: the scripts in it name the final place already.
    code = "from ryu_vmmob.cli.main import main; main()"
    state = stage / "var" / "lib" / "vmmob"
    command = [str(home / "bin" / "python"), "-c", code, "init", str(place), "--state", str(state)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    for file in (place / "vmmob.conf", *(place / "systemd").iterdir()):
        file.write_text(file.read_text(encoding="utf-8").replace(str(stage), ""), encoding="utf-8")
    units = stage / "lib" / "systemd" / "system"
    units.parent.mkdir(parents=True)
    (place / "systemd").rename(units)
    about = stage / "usr" / "share" / "doc" / PACKAGE
    about.mkdir(parents=True)
    (place / "examples").rename(about / "examples")
    for name in ("grafana", "prometheus", "libvirt", "qemu"):
        (place / name).rename(about / "examples" / name)
    manual = stage / "usr" / "share" / "man"
    (place / "man").rename(manual)
    for page in manual.rglob("*.[15]"):
        _gzip(page)
    shutil.copyfile(ROOT / "LICENSE", about / "copyright")
    shutil.copyfile(ROOT / "CHANGELOG.md", about / "changelog")
    _gzip(about / "changelog")
    programs = stage / "usr" / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(f"../lib/vmmob/bin/{name}")


def _gzip(file: Path) -> None:
    """Replace a file by its compressed form, which is the same in every build."""
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    file.unlink()


def _packed(stage: Path, version: str, folder: Path, *, level: int) -> Path:
    """Make the package of the staged files. Returns its file."""
    size = sum(path.lstat().st_size for path in stage.rglob("*") if not path.is_dir()) // 1024
    control = stage / "DEBIAN"
    control.mkdir()
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    major, minor = sys.version_info[:2]
    values = {
        "package": PACKAGE, "version": version, "architecture": architecture, "size": size,
        "python": f"{major}.{minor}", "next": f"{major}.{minor + 1}",
    }  # fmt: skip
    (control / "control").write_text(_CONTROL.format(**values), encoding="utf-8")
    configuration = sorted(path for path in (stage / "etc").rglob("*") if path.is_file())
    (control / "conffiles").write_text("".join(f"/{path.relative_to(stage)}\n" for path in configuration), encoding="utf-8")
    for script in (ROOT / "tools" / "debian").iterdir():
        shutil.copyfile(script, control / script.name)
        (control / script.name).chmod(0o755)
    file = folder / f"{PACKAGE}_{version}_{architecture}.deb"
    command = [
        "dpkg-deb",
        "--root-owner-group",
        f"-z{level}",
        "-Zgzip" if level == 1 else "-Zxz",
        "--build",
        str(stage),
        str(file),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return file


if __name__ == "__main__":
    sys.exit(main())
