"""A private Open vSwitch: its own database and switch daemon in a scratch directory.

Nothing here touches the system's Open vSwitch. Several instances live side by side, each with its own run directory,
and `PrivateOvs.env` points the ordinary tools (and Mininet, which calls them) at one of them. With ``dummy=True`` every
device is a dummy (``--enable-dummy=override``): no root, no kernel device, and `ofproto/trace` over a real OpenFlow
channel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

READY_SECONDS = 20.0  # a loaded machine needs a few seconds; a healthy one a tenth of a second
STOP_SECONDS = 10.0
PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl")
PATH_OF_ROOT = "/usr/local/sbin:/usr/sbin:/sbin"  # the daemons live there; an ordinary user's PATH leaves it out


class OvsError(RuntimeError):
    """A command of Open vSwitch failed, or a daemon did not come up; the text has the command and what it said."""


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{PATH_OF_ROOT}"


def find_program(name: str) -> str | None:
    """Full path of an Open vSwitch program, or None; the administrator's directories are searched as well."""
    return shutil.which(name, path=_path())


def missing_programs() -> list[str]:
    """Return the programs of Open vSwitch that are not installed here; empty when all are."""
    return [name for name in PROGRAMS if find_program(name) is None]


def find_schema() -> Path:
    """Return the database schema that belongs to the installed ``ovsdb-server``. Raises OvsError when there is none."""
    given = os.environ.get("OVS_PKGDATADIR")
    server = find_program("ovsdb-server")
    folders = [Path(given)] if given else []
    if server:
        folders += [parent / "share" / "openvswitch" for parent in list(Path(server).resolve().parents)[1:3]]
    for folder in folders:
        if (folder / "vswitch.ovsschema").is_file():
            return folder / "vswitch.ovsschema"
    raise OvsError(f"no vswitch.ovsschema in {[str(folder) for folder in folders]}: is Open vSwitch installed?")


class PrivateOvs:
    """One ``ovsdb-server`` and one ``ovs-vswitchd`` of our own.

    Use it as a context manager, or call `start` and `stop`. ``run_dir`` is made (and removed again) when not given;
    keep it short, socket paths may have 107 bytes. ``other_config`` goes into the Open_vSwitch row before the switch
    daemon starts. The daemons die with the thread that called `start` when that is the main thread, so a crash leaves
    no process behind (of bridges with ``datapath_type=netdev`` the tap devices do stay then).
    """

    def __init__(
        self,
        *,
        dummy: bool = False,
        run_dir: Path | None = None,
        nice: int = 0,
        other_config: Mapping[str, str] | None = None,
    ) -> None:
        self.dummy = dummy
        self.nice = nice
        self.other_config = dict(other_config or {})
        self._own_dir = run_dir is None
        self._dir = run_dir
        self._server: subprocess.Popen[bytes] | None = None
        self._switch: subprocess.Popen[bytes] | None = None

    @property
    def run_dir(self) -> Path:
        """Where sockets, pid files, logs and the database are."""
        if self._dir is None:
            raise OvsError("the private Open vSwitch was not started")
        return self._dir

    @property
    def env(self) -> dict[str, str]:
        """The environment in which every Open vSwitch tool (and Mininet) talks to this instance."""
        folder = str(self.run_dir)
        mine = dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"), folder)
        return {**os.environ, "PATH": _path(), **mine}

    @property
    def pids(self) -> list[int]:
        """The process ids of the running daemons."""
        return [p.pid for p in (self._server, self._switch) if p is not None and p.poll() is None]

    @property
    def switch_pid(self) -> int:
        """The process id of ``ovs-vswitchd``."""
        if self._switch is None:
            raise OvsError("the private Open vSwitch is not running")
        return self._switch.pid

    @contextmanager
    def activated(self) -> Iterator[PrivateOvs]:
        """Point this process' own environment at this instance meanwhile: Mininet reads it from there."""
        before = dict(os.environ)
        os.environ.update(self.env)
        try:
            yield self
        finally:
            os.environ.clear()
            os.environ.update(before)

    def start(self) -> PrivateOvs:
        """Start both daemons and wait until they answer. Raises OvsError, with nothing left running."""
        if self._switch is not None:
            raise OvsError("the private Open vSwitch runs already")
        if missing := missing_programs():
            raise OvsError(f"Open vSwitch is not installed: {', '.join(missing)} not found")
        if self._dir is None:
            self._dir = Path(tempfile.mkdtemp(prefix="vmmob-ovs-"))
        self._dir.mkdir(parents=True, exist_ok=True)
        try:
            self._start_server()
            self._start_switch()
        except BaseException:
            self.stop()
            raise
        return self

    def _start_server(self) -> None:
        database = self.run_dir / "conf.db"
        if not database.exists():
            self._run("ovsdb-tool", "create", str(database), str(find_schema()))
        self._server = self._spawn("ovsdb-server", str(database), f"--remote=punix:{self.run_dir / 'db.sock'}", "--no-chdir")
        self._until_ready(self._server, "ovs-vsctl", "--timeout=1", "--no-wait", "init")
        settings = [f"other_config:{key}={value}" for key, value in self.other_config.items()]
        if settings:
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *settings)

    def _start_switch(self) -> None:
        dummy = ["--enable-dummy=override", "--disable-system"] if self.dummy else []
        self._switch = self._spawn("ovs-vswitchd", f"unix:{self.run_dir / 'db.sock'}", "--no-chdir", *dummy)
        self._until_ready(self._switch, "ovs-appctl", "--timeout=1", "version")
        self.vsctl("show")  # without --no-wait: returns when the daemon has taken the configuration

    def stop(self) -> None:
        """Stop both daemons, with the kernel devices they made, and remove the directory if we made it."""
        if self._switch is not None and self._switch.poll() is None:
            # asked to stop by a signal, it would leave the bridges' tap devices behind, and they persist
            with suppress(OvsError):
                self._run("ovs-appctl", f"--timeout={STOP_SECONDS:.0f}", "exit", "--cleanup")
        for process in (self._switch, self._server):
            if process is None:
                continue
            if process is self._server:
                process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # it takes its pid file and sockets with the directory
                process.wait()
        self._switch = self._server = None
        if self._own_dir and self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def __enter__(self) -> PrivateOvs:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def vsctl(self, *arguments: str) -> str:
        """Run ``ovs-vsctl`` and return what it printed. Raises OvsError."""
        timeout = () if any(a.startswith("--timeout") for a in arguments) else ("--timeout=30",)
        return self._run("ovs-vsctl", *timeout, *arguments)

    def ofctl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run ``ovs-ofctl`` over OpenFlow 1.3 and return what it printed; a flow file ``-`` is ``stdin``. Raises OvsError."""
        return self._run("ovs-ofctl", "-O", "OpenFlow13", *arguments, stdin=stdin)

    def appctl(self, *arguments: str) -> str:
        """Run ``ovs-appctl`` on the switch daemon and return what it printed. Raises OvsError."""
        return self._run("ovs-appctl", "--timeout=30", *arguments)

    def log(self, daemon: str = "ovs-vswitchd") -> str:
        """Return what the daemon has written to its log so far; empty when there is none."""
        file = self.run_dir / f"{daemon}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [find_program(name) or name, *arguments, "--pidfile", "--log-file", "-vconsole:off"]
        setpriv = shutil.which("setpriv", path=_path())
        if setpriv and threading.current_thread() is threading.main_thread():
            command = [setpriv, "--pdeathsig", "TERM", *command]
        if self.nice:
            command = ["nice", "-n", str(self.nice), *command]
        with (self.run_dir / f"{name}.out").open("wb") as out:
            return subprocess.Popen(
                command, env=self.env, cwd=self.run_dir, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, in order
            )  # fmt: skip

    def _until_ready(self, daemon: subprocess.Popen[bytes], *probe: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self._run(*probe)
                return
            except OvsError as error:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    said = "\n".join(f.read_text(errors="replace") for f in sorted(self.run_dir.glob("*.out")))
                    raise OvsError(f"Open vSwitch did not come up: {error}\n{said}{self.log()[-2000:]}") from error
            time.sleep(0.02)

    def _run(self, *command: str, stdin: str | None = None) -> str:
        full = [find_program(command[0]) or command[0], *command[1:]]
        done = subprocess.run(full, env=self.env, cwd=self.run_dir, input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise OvsError(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.stdout
