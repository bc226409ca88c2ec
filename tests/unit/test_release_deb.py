"""The Debian package, installed by dpkg for real: over this machine's root, in a layer of files that goes with the test."""

from __future__ import annotations

import os
import re
import shutil
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
rm -rf "$1/root/etc/vmmob" "$1/root/var/lib/vmmob" "$1/root/usr/lib/vmmob"
cp "$2" "$1/root/package.deb"
cp "$3" "$1/root/within.sh"
"""
"""Arguments: an empty folder, the package, what to run within."""

CHANGED_ROOT = """\
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
ip link set lo up
exec chroot "$1/root" /bin/sh /within.sh
"""

BOOTED = """\
chroot "$1/root" dpkg -i /package.deb
cat >"$1/root/etc/systemd/system/within.service" <<END
[Unit]
SuccessAction=exit
FailureAction=exit
After=basic.target
[Service]
Type=oneshot
StandardOutput=file:/said
StandardError=file:/said
ExecStart=/bin/sh /within.sh
END
# Said and not guessed: beside the mixed hierarchy of some machines, it looks for groups that it has not made.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
systemd-nspawn --register=no --keep-unit --private-network --quiet --boot --directory="$1/root" \
    systemd.unit=within.service >"$1/console" 2>&1 </dev/null || true
cat "$1/root/said" || cat "$1/console"
"""
"""The same as a container with a systemd of its own, which starts nothing but what it needs and our service."""

UNDER_SYSTEMD = """\
set -eu
value() { systemctl show --value -p "$1" ryu-vmmob; }
until_true() {
    for _ in $(seq 300); do
        ! "$@" || return 0
        sleep 0.2
    done
    journalctl -u ryu-vmmob --no-pager
    exit 1
}
has_reloaded() { journalctl -u ryu-vmmob | grep -q 'the fabric file'; }
has_restarted() { [ "$(value NRestarts)" = 1 ] && [ "$(value ActiveState)" = active ]; }

systemctl start ryu-vmmob
echo "= started $(value Type) $(value ActiveState) $(value User) $(stat -c %U:%a /var/lib/vmmob)"
echo "= switches $(/usr/bin/vmmob switch list | grep -c no)"
systemctl reload ryu-vmmob
until_true has_reloaded
systemctl kill --kill-whom=main --signal=SEGV ryu-vmmob
until_true has_restarted
echo "= restarted $(value NRestarts)"
dpkg -r ryu-vmmob
echo "= removed $(systemctl is-active ryu-vmmob)"
"""

WITHIN = """\
set -eu
cd /
dpkg -i /package.deb
echo "= user $(id -un vmmob) $(stat -c %U:%G:%a /etc/vmmob /etc/vmmob/vmmob.conf | tr '\\n' ' ')"
if command -v systemd-analyze >/dev/null; then
    systemd-analyze verify --man=no --recursive-errors=no /lib/systemd/system/ryu-vmmob.service
fi
echo "= version $(/usr/bin/vmmob version)"
/usr/bin/vmmob check /etc/vmmob/fabric.yaml
if command -v man >/dev/null; then man -w vmmob-move; fi
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


def _run(package: Path, place: Path, how: str, within: str) -> Ran:
    """Run a script over this machine's files with nothing of it left behind. ``how``: `CHANGED_ROOT` or `BOOTED`."""
    (place / "layer").mkdir()
    (place / "within.sh").write_text(within, encoding="utf-8")
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        [*own, "sh", "-c", LAYER + how, "layer", str(place / "layer"), str(package), str(place / "within.sh")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert not Path("/usr/lib/vmmob").exists(), "the layer was no layer"
    return Ran(done.stdout)


@pytest.mark.skipif(not _layers_can_be_made(), reason="needs root, and file systems in layers")
def test_it_is_installed_runs_and_goes(package: Path, tmp_path: Path) -> None:
    ran = _run(package, tmp_path, CHANGED_ROOT, WITHIN)
    assert ran.words("user") == ["vmmob", "root:vmmob:750", "root:vmmob:640"]
    assert ran.words("version") == ["vmmob", __version__]
    assert all(name.startswith("/usr/lib/vmmob/lib/") for name in ran.words("modules"))
    assert "ryu_vmmob_ryu/ryu" in ran.words("modules")[0]
    assert ran.words("switches") == ["7"]
    assert ran.words("removed") == ["0", "fabric.yaml", "vmmob.conf"]
    assert ran.words("purged") == ["0"]


@pytest.mark.skipif("VMMOB_RELEASE_CHECK" not in os.environ, reason="boots a systemd: make release-check does it")
@pytest.mark.skipif(shutil.which("systemd-nspawn") is None, reason="systemd-nspawn (Debian: systemd-container) is missing")
@pytest.mark.skipif(not _layers_can_be_made(), reason="needs root, and file systems in layers")
def test_systemd_starts_reloads_and_restarts_its_unit(package: Path, tmp_path: Path) -> None:
    ran = _run(package, tmp_path, BOOTED, UNDER_SYSTEMD)
    assert ran.words("started") == ["notify", "active", "vmmob", "vmmob:700"]
    assert ran.words("switches") == ["7"]
    assert ran.words("restarted") == ["1"]
    assert ran.words("removed") == ["inactive"]
