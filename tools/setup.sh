#!/bin/sh
# Makes everything ready for `make demo` and `make test` on a bare Debian 12; does nothing when it already has.
#
#   tools/setup.sh           all
#   tools/setup.sh system    only what is not Python: Debian packages (as root; otherwise it says what is missing)
#   tools/setup.sh venv      only the virtual environment in .venv
#
# PYTHON=... chooses the interpreter (3.11 or later); without it the python3 of the path, else Debian's own.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
PIP_VERSION=26.3
STAMP=$VENV/.ryu-vmmob-set-up
LOG=$VENV/set-up.log

say() { printf '[set-up] %s\n' "$*"; }
fail() { printf '[set-up] FAILED: %s\n' "$*" >&2; exit 1; }

# command that must exist, Debian package that has it
TOOLS='
ovs-vswitchd openvswitch-switch
ovsdb-server openvswitch-switch
mn           mininet
ip           iproute2
ethtool      ethtool
tcpdump      tcpdump
ping         iputils-ping
openssl      openssl
chromium     chromium
qemu-system-x86_64 qemu-system-x86
busybox      busybox-static
cc           gcc
libvirtd     libvirt-daemon-system
virsh        libvirt-clients
etcd         etcd-server
'

suits() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; }

# A Python that cannot make a virtual environment is of no use: Debian keeps that part in a package of its own.
can_make_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

choose_python() {
    for candidate in ${PYTHON:-} python3 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null && suits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

missing_packages() {
    echo "$TOOLS" | while read -r tool package; do
        [ -z "$tool" ] || PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || echo "$package"
    done | sort -u
    [ -f /usr/lib/python3/dist-packages/libvirt.py ] || echo python3-libvirt
    set -- /usr/lib/*/libc.a  # the guest of the laboratory is linked statically
    [ -e "$1" ] || echo libc6-dev
    if [ ! -x $VENV/bin/python ]; then
        chosen=$(choose_python || true)
        if [ -z "$chosen" ]; then
            echo python3
            echo python3-venv
        elif [ "$(readlink -f "$chosen")" = "$(readlink -f /usr/bin/python3 2>/dev/null)" ] && ! can_make_venv "$chosen"; then
            echo python3-venv
        fi
    fi
}

system_packages() {
    wanted=$(missing_packages | tr '\n' ' ')
    [ -n "${wanted% }" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "not root, so these Debian packages stay missing: $wanted(tests that need them are skipped)"
        return 0
    fi
    command -v apt-get >/dev/null || fail "these are missing and there is no apt-get: $wanted"
    say "installing Debian packages: $wanted"
    quiet=$(mktemp)
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $wanted; } \
        >"$quiet" 2>&1; then
        cat "$quiet" >&2
        rm -f "$quiet"
        fail "apt-get could not install: $wanted"
    fi
    rm -f "$quiet"
}

fingerprint() {
    # The place counts too: an environment that was moved or copied does not work.
    { pwd; cat requirements.lock setup.cfg pyproject.toml tools/setup.sh tools/build_backend.py tools/site/*
    } | sha256sum | cut -c1-32
}

pip_step() {
    say "$1"
    shift
    if ! PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 $VENV/bin/python -m pip "$@" >>"$LOG" 2>&1; then
        tail -n 40 "$LOG" >&2
        fail "pip $* (the whole log: $LOG)"
    fi
}

virtual_environment() {
    now=$(fingerprint)
    if [ -x $VENV/bin/python ] && $VENV/bin/python -c '' 2>/dev/null && [ "$(cat $STAMP 2>/dev/null)" = "$now" ]; then
        return 0
    fi
    if ! { [ -x $VENV/bin/python ] && $VENV/bin/python -m pip --version >/dev/null 2>&1 && suits $VENV/bin/python; }; then
        python=$(choose_python) || fail "no Python 3.11 or later; set PYTHON=/path/to/python3"
        can_make_venv "$python" || fail "$python cannot make virtual environments; install its venv package"
        say "virtual environment in $VENV, from $("$python" -V)"
        "$python" -m venv --clear $VENV
    fi
    : >"$LOG"
    pip_step "pip $PIP_VERSION" install --upgrade "pip==$PIP_VERSION"
    pip_step "the $(grep -c == requirements.lock) pinned packages of requirements.lock" \
        install --requirement requirements.lock
    # An environment of before 30 November 2026 has Ryu in site-packages; the package brings its own now.
    if $VENV/bin/python -c 'import sys, sysconfig, os; sys.exit(not os.path.isdir(sysconfig.get_path("purelib") + "/ryu"))'; then
        pip_step "Ryu of its own out of the way" uninstall --yes ryu
    fi
    pip_step "ryu-vmmob itself with Ryu, editable" install --no-deps --editable .
    pip_step "checking that the versions fit together" check
    echo "$now" >$STAMP
}

# Debian's Mininet belongs to Debian's Python and lies among all its other packages. A link to this one package in our
# site-packages makes `import mininet` work and lets nothing else in. Mininet is pure Python and imports nothing from outside
# the standard library, so it works with another Python version too (its one use of distutils comes from setuptools there).
link_mininet() {
    [ -x $VENV/bin/python ] || return 0
    place=$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    [ ! -e "$place/mininet/__init__.py" ] || return 0
    source=/usr/lib/python3/dist-packages/mininet
    if [ ! -f $source/__init__.py ]; then
        rm -f "$place/mininet"
        say "no Mininet: tests and demonstrations in network namespaces are not possible"
        return 0
    fi
    say "linking Debian's Mininet into the virtual environment"
    ln -sfn $source "$place/mininet"
}

# libvirt's module for Python is compiled: only an interpreter of the same version can load Debian's. Linked as Mininet is.
link_libvirt() {
    [ -x $VENV/bin/python ] || return 0
    place=$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    suffix=$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    source=/usr/lib/python3/dist-packages
    if [ -e "$place/libvirt.py" ] || [ ! -f $source/libvirt.py ] || [ ! -f "$source/libvirtmod$suffix" ]; then
        [ -e "$place/libvirt.py" ] || say "no libvirt-python for this interpreter: tests with real libvirtds are not possible"
        return 0
    fi
    say "linking Debian's libvirt-python into the virtual environment"
    for file in libvirt.py libvirt_qemu.py "libvirtmod$suffix" "libvirtmod_qemu$suffix"; do
        ln -sfn "$source/$file" "$place/$file"
    done
}

# The guest of the laboratory: its kernel is downloaded here, so that tests need no network. Without it they are skipped.
guest_image() {
    [ -x $VENV/bin/python ] && command -v qemu-system-x86_64 >/dev/null || return 0
    ! $VENV/bin/python -c 'import sys; from mininet_topos.qemu.image import is_made; sys.exit(not is_made())' 2>/dev/null || return 0
    say "the guest's kernel and its initial file system"
    $VENV/bin/python -m mininet_topos.qemu.image >>"$LOG" 2>&1 || say "no guest: moves of real VMs are not possible (see $LOG)"
}

what=${1:-all}
case $what in
all | system | venv) ;;
*) fail "unknown argument $what; use: all, system, venv" ;;
esac
[ "$what" = venv ] || system_packages
if [ "$what" != system ]; then
    virtual_environment
    link_mininet
    link_libvirt
    guest_image
fi
