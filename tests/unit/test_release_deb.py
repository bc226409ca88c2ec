"""The Debian package, installed by dpkg for real: over this machine's root, in a layer of files that goes with the test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ryu_vmmob import __version__

ROOT = Path(__file__).parents[2]
UNIT = Path("lib/systemd/system/ryu-vmmob.service")

LAYER = """\
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
ip link set lo up
cp "$2" "$1/root/package.deb"
cp "$3" "$1/root/within.sh"
exec chroot "$1/root" /bin/sh /within.sh
"""
"""Arguments: an empty folder, the package, what to run within."""

WITHIN = """\
set -eu
cd /
rm -rf /etc/vmmob /var/lib/vmmob /usr/lib/vmmob
dpkg -i /package.deb
echo "= user $(id -un vmmob) $(stat -c %U:%G:%a /etc/vmmob /etc/vmmob/vmmob.conf | tr '\\n' ' ')"
systemd-analyze verify --man=no --recursive-errors=no /lib/systemd/system/ryu-vmmob.service
echo "= version $(/usr/bin/vmmob version)"
/usr/bin/vmmob check /etc/vmmob/fabric.yaml
echo "= page $(man -w vmmob-move)"
/usr/lib/vmmob/bin/python -c 'import ryu, pydantic; print("= modules", ryu.__file__, pydantic.__file__)'

# What systemd does with the unit, where there is none: the folder of the state, the user, ExecStart.
install -d -o vmmob -g vmmob -m 700 /var/lib/vmmob
start=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/ryu-vmmob.service)
setpriv --reuid vmmob --regid vmmob --clear-groups --no-new-privs $start >/log 2>&1 &
service=$!
until /usr/bin/vmmob switch list >/switches 2>&1; do
    kill -0 $service 2>/dev/null || { cat /log /switches; exit 1; }
    sleep 0.2
done
echo "= switches $(grep -c no /switches)"
kill $service
wait $service || true
test -s /var/lib/vmmob/vmmob.db

dpkg -r ryu-vmmob
echo "= removed $(ls /usr/lib/vmmob 2>/dev/null | wc -l) $(ls /etc/vmmob | tr '\\n' ' ')"
dpkg -P ryu-vmmob
echo "= purged $(ls -d /etc/vmmob /var/lib/vmmob 2>/dev/null | wc -l)"
"""


@dataclass(frozen=True)
class Ran:
    """What came out: every line, and the words of the lines that the script marks."""

    text: str

    def words(self, name: str) -> list[str]:
        """Return the words of the line ``= NAME ...``."""
        found = [line.split()[2:] for line in self.text.splitlines() if line.startswith(f"= {name} ")]
        assert len(found) == 1, self.text
        return found[0]


PROBE = """\
set -eu
d=$(mktemp -d)
mount -t tmpfs tmpfs $d
mkdir $d/upper $d/work $d/root
mount -t overlay overlay -o lowerdir=/,upperdir=$d/upper,workdir=$d/work $d/root
"""


def _layers_can_be_made() -> bool:
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "sh", "-c", PROBE], capture_output=True, check=False).returncode == 0


def _minor() -> str:
    done = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, check=False)
    return done.stdout.removeprefix("Python ").rpartition(".")[0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not Path("/usr/bin/dpkg-deb").exists() or _minor() != "{}.{}".format(*sys.version_info):
        pytest.skip("needs Debian, and the Python that this Debian has")
    command = [sys.executable, "-m", "tools.deb", str(tmp_path_factory.mktemp("deb")), "--fast"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_what_the_package_says(package: Path) -> None:
    said = subprocess.run(["dpkg-deb", "-f", str(package)], capture_output=True, text=True, check=True).stdout
    fields = dict(re.findall(r"^([\w-]+): (.*)$", said, re.MULTILINE))
    assert (fields["Package"], fields["Version"]) == ("ryu-vmmob", __version__)
    assert f"python3 (>= {_minor()})" in fields["Depends"]
    files = subprocess.run(["dpkg-deb", "-c", str(package)], capture_output=True, text=True, check=True).stdout
    names = {line.split(None, 5)[5].split(" -> ")[0] for line in files.splitlines()}
    assert {
        "./etc/vmmob/vmmob.conf", f"./{UNIT}", "./usr/bin/vmmob", "./usr/share/man/man1/vmmob-move.1.gz",
        "./usr/share/man/man5/vmmob.conf.5.gz", "./usr/share/doc/ryu-vmmob/examples/grafana/vmmob.json",
        "./usr/share/doc/ryu-vmmob/examples/libvirt/qemu",
    } <= names  # fmt: skip
    assert {line.split()[1] for line in files.splitlines()} == {"root/root"}


@pytest.mark.skipif(not _layers_can_be_made(), reason="needs root, and file systems in layers")
def test_it_is_installed_runs_and_goes(package: Path, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "within.sh").write_text(WITHIN, encoding="utf-8")
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    done = subprocess.run(
        [*own, "sh", "-c", LAYER, "layer", str(tmp_path / "layer"), str(package), str(tmp_path / "within.sh")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
    )  # fmt: skip
    ran = Ran(done.stdout)
    assert done.returncode == 0, ran.text
    assert ran.words("user") == ["vmmob", "root:vmmob:750", "root:vmmob:640"]
    assert ran.words("version") == ["vmmob", __version__]
    assert ran.words("page") == ["/usr/share/man/man1/vmmob-move.1.gz"]
    assert all(name.startswith("/usr/lib/vmmob/lib/") for name in ran.words("modules"))
    assert "ryu_vmmob_ryu/ryu" in ran.words("modules")[0]
    assert ran.words("switches") == ["7"]
    assert ran.words("removed") == ["0", "fabric.yaml", "vmmob.conf"]
    assert ran.words("purged") == ["0"]
    assert not Path("/usr/lib/vmmob").exists(), "the layer was no layer"
