"""A fabric of real bridges, and the real controller under ``ryu-manager`` to which they connect.

Bridges are those of a fabric file with its port numbers, on dummy devices: no root, and every frame is put in by hand. The
oracle is `Site.differences`: what each switch has against a compile from nothing of what the store holds.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import requests

from mininet_topos.controller import Controller, Tls
from mininet_topos.controller import free_ports as free_ports
from mininet_topos.dummies import ports_of
from mininet_topos.ovs import PrivateOvs
from ryu_vmmob.engine.persist import restore
from ryu_vmmob.fabric.loader import load
from ryu_vmmob.flows.compiler import Compiler, full
from ryu_vmmob.flows.pipeline import group_parts
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.sim.packet import Packet
from ryu_vmmob.store import open_store
from ryu_vmmob.store.base import StoreError
from tests.support.bridges import Bridge
from tests.support.frames import to_bytes

FABRICS = Path(__file__).parents[2] / "etc"
SECONDS = 120.0
"""How long anything may take before a test gives up; on a quiet machine nothing here takes more than two."""
POLL_SECONDS = 0.05
NOWHERE = "tcp:127.0.0.1:1"
"""A controller that is not there. A bridge with no controller at all would lose its flows."""

T = TypeVar("T")

WEB = {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"]}
DB = {"subnets": ["10.2.0.0/24"]}
NETS = {"web": 1, "db": 2}


def nic(cug: str, number: int) -> dict[str, Any]:
    """Interface ``number`` (1 to 254) of CUG ``web`` (both address families) or ``db`` (IPv4), as a REST body."""
    net = NETS[cug]
    ips = [f"10.{net}.0.{number}", *([f"2001:db8:1::{number:x}"] if cug == "web" else [])]
    return {"cug": cug, "mac": mac_text(nic_mac(cug, number)), "ips": ips}


def nic_mac(cug: str, number: int) -> int:
    """Its MAC as packets have it."""
    return 0x020000000000 | NETS[cug] << 8 | number


def nic_ip(cug: str, number: int) -> int:
    """Its IPv4 address as packets have it."""
    return 10 << 24 | NETS[cug] << 16 | number


def nic_ip6(number: int) -> int:
    """Its IPv6 address in CUG ``web`` as packets have it."""
    return 0x20010DB80001 << 80 | number


def until(look: Callable[[], T], what: Callable[[], object] = lambda: "", seconds: float = SECONDS) -> T:
    """The first true value of ``look``; when there is none in time, ``what`` tells what there was instead."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what()}"
        time.sleep(POLL_SECONDS)
    return found


class Rest:
    """The controller's REST interface, as little of a client as will do."""

    def __init__(self, base: str, tls: Tls | None = None) -> None:
        self._base = base
        self._session = requests.Session()
        # What the environment says of CAs would go before what we say.
        self._session.trust_env = False
        for name, value in ({} if tls is None else tls.client).items():
            setattr(self._session, name, value)

    @property
    def verify(self) -> Any:
        """What `requests` is to verify the server with."""
        return self._session.verify

    def authorize(self, token: str) -> None:
        """Give a token with every call from now on."""
        self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        """One call, whatever comes of it."""
        return self._session.request(method, self._base + path, json=body, params=query, timeout=SECONDS)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One call that has to succeed; the answer's body."""
        answer = self.ask(method, path, body, **query)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, **query)

    def put(self, path: str, body: Any, **query: Any) -> Any:
        return self.call("PUT", path, body, **query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self.call("POST", path, body, **query)


class Site:
    """Bridges and a controller, which is not started yet. Use it as a context manager.

    ``settings`` are further options of group ``[vmmob]``; ``via`` gives the port that a switch connects to instead of the
    controller's own (a proxy's); ``first`` as `Controller` has it; ``store`` is the folder of the
    store, where ``settings`` put it elsewhere. With ``tls`` switches connect over TLS, if the Open vSwitch
    has its certificates.
    """

    def __init__(
        self,
        ovs: PrivateOvs,
        directory: Path,
        fabric: str = "example.yaml",
        *,
        settings: Mapping[str, str] | None = None,
        via: Callable[[int], Mapping[str, int]] = lambda port: {},
        first: Sequence[Path] = (),
        store: Path | None = None,
        tls: Tls | None = None,
    ) -> None:
        self.ovs = ovs
        self._store = store or directory
        self.directory = directory
        self.fabric_file = directory / fabric
        if FABRICS / fabric != self.fabric_file:
            shutil.copy(FABRICS / fabric, self.fabric_file)
        self.fabric = load(self.fabric_file)
        self.openflow_port, rest_port = free_ports(2)
        self.controller = Controller(
            self.fabric_file, directory, openflow_port=self.openflow_port, rest_port=rest_port,
            settings={"audit_interval": "0", **(settings or {})}, first=first, tls=tls,
        )  # fmt: skip
        self.rest = Rest(self.controller.rest, tls)
        self._scheme = "tcp" if tls is None else "ssl"
        self._via = via(self.openflow_port)
        self.bridges: dict[str, Bridge] = {}
        try:
            for name in self.fabric.switches:
                self.add_bridge(name)
        except BaseException:
            self.close()
            raise

    def add_bridge(self, name: str) -> None:
        """A bridge as empty as a switch that was just switched on; it connects at once, and again and again."""
        self.bridges[name] = Bridge(self.ovs, name, ports_of(self.fabric, name))
        self.bridges[name].connect(self.fabric.switches[name].dpid, self._target(name))

    def _target(self, name: str) -> str:
        return f"{self._scheme}:127.0.0.1:{self._via.get(name, self.openflow_port)}"

    def _dial(self, targets: Mapping[str, str]) -> None:
        """Let switches connect somewhere else, at once."""
        command: list[str] = []
        for name, target in targets.items():
            command += ["--", "set", "controller", name, "target=" + target.replace(":", r"\:")]
        self.ovs.vsctl(*command[1:])

    def hang_up(self, *names: str) -> None:
        """Switches lose their controller and keep what they have."""
        self._dial(dict.fromkeys(names, NOWHERE))

    def dial(self, *names: str) -> None:
        """They call it again."""
        self._dial({name: self._target(name) for name in names})

    def disconnect(self, *names: str) -> None:
        """Switches lose their controller and keep what they have; returns when the controller has noticed."""
        self.hang_up(*names)
        until(lambda: not any(self.switch(name)["connected"] for name in names))

    def reconnect(self, *names: str) -> None:
        """They come back; returns when the controller has noticed."""
        self.dial(*names)
        until(lambda: all(self.switch(name)["connected"] for name in names))

    def remove_bridge(self, name: str) -> None:
        self.bridges.pop(name).remove()

    def start(self, *, in_step: bool = True) -> None:
        """Start the controller; returns when every switch has what it should, or at once."""
        self.controller.start()
        # Switches that have knocked in vain wait for up to 8 s before they knock again: a new target is tried at once.
        self._dial(dict.fromkeys(self.bridges, NOWHERE))
        self._dial({name: self._target(name) for name in self.bridges})
        if in_step:
            self.until_in_step()

    def close(self) -> None:
        self.controller.kill()
        for name in list(self.bridges):
            self.remove_bridge(name)

    def __enter__(self) -> Site:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if value is not None:
            said = [row for row in self.controller.log.splitlines() if '"GET ' not in row]
            print("\n".join(said[-60:]))
        self.close()

    # What the controller says

    def switch(self, name: str) -> Any:
        return self.rest.get(f"/v1/switches/{name}")

    def until_in_step(self, *, but: frozenset[str] = frozenset()) -> None:
        """Every switch, ``but`` some, is connected and has confirmed everything without a fault."""

        def late() -> list[Any]:
            rows = self.rest.get("/v1/switches")["items"]
            return [row for row in rows if row["name"] not in but and not (row["connected"] and row["in_step"])]

        until(lambda: not late(), late)

    def put_cugs(self) -> None:
        """CUGs ``web`` and ``db``."""
        self.rest.post("/v1/bulk", {"cugs": {"web": WEB, "db": DB}}, wait=SECONDS)

    def put_vm(self, name: str, server: str, *nics: dict[str, Any]) -> Any:
        """A VM, confirmed by every switch that is there; the answer."""
        return self.rest.put(f"/v1/vms/{name}", {"server": server, "interfaces": list(nics)}, wait=SECONDS)

    def move(self, vm: str, to: str, **options: Any) -> Any:
        """Begin a migration; the answer, once the switches that are there have confirmed."""
        return self.rest.post("/v1/migrations", {"vm": vm, "to": to, **options}, wait=SECONDS)

    def clear(self) -> None:
        """No VM and no CUG any more, and no flow of theirs."""
        for row in self.rest.get("/v1/migrations")["items"]:
            if row["state"] in ("preparing", "prepared", "activated"):
                step = "commit" if row["state"] == "activated" else "abort"
                self.rest.post(f"/v1/migrations/{row['id']}/{step}", wait=SECONDS)
        for kind in ("vms", "cugs"):
            for row in self.rest.get(f"/v1/{kind}")["items"]:
                self.rest.call("DELETE", f"/v1/{kind}/{row['name']}", wait=SECONDS)
        self.until_right()

    def migration(self, id_: str) -> Any:
        return self.rest.get(f"/v1/migrations/{id_}")

    def until_state(self, id_: str, state: str) -> Any:
        """The migration, when it is in this state and its switches have confirmed it."""

        def there() -> Any:
            row = self.migration(id_)
            return row if row["state"] == state and not row["switches"]["pending"] else None

        return until(there, lambda: self.migration(id_))

    def flows(self, name: str) -> dict[str, Any]:
        """Desired flows of a switch by cookie, as the controller tells them."""
        return {row["cookie"]: row for row in self.rest.get(f"/v1/switches/{name}/flows")["items"]}

    # What is so

    def stored(self) -> State:
        """What the store holds: read from a copy of its files, because the controller holds them."""
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            for file in sorted(self._store.glob("vmmob.db*"), reverse=True):  # the log first
                shutil.copy(file, folder)
            store = open_store(f"sqlite:///{folder}/vmmob.db")
            try:
                return restore(store.load(), self.fabric, store.revision)[0]
            finally:
                store.close()

    def fresh(self) -> Compiler:
        """The flows and groups of a compile from nothing of what the store holds."""
        return full(self.stored())

    def differences(self) -> list[str]:
        """Where a switch has anything else than a fresh compile, or the controller says anything else."""
        try:
            fresh = self.fresh()
        except StoreError as error:  # copied in the middle of a write
            return [str(error)]
        found = []
        for name, bridge in self.bridges.items():
            want = fresh.tables[name]
            with bridge.client() as client:
                cookies, groups = Counter(client.cookies()), _ours(client.groups())
            for cookie in Counter(list(want.flows)) - cookies:
                found.append(f"{name} lacks {want.flows[cookie]}")
            for cookie in cookies - Counter(list(want.flows)):
                found.append(f"{name} has a flow too many: {cookie:#x} {want.flows.get(cookie)}")
            for number in sorted(groups.keys() | want.groups.keys()):
                wanted = want.groups.get(number)
                if groups.get(number) != (wanted and wanted.body):
                    found.append(f"{name}: group {number:#x} should be {wanted} and is {groups.get(number)!r}")
            said = self.rest.get(f"/v1/switches/{name}/flows")
            if sorted(row["cookie"] for row in said["items"]) != sorted(f"{cookie:#018x}" for cookie in want.flows):
                found.append(f"GET of {name}'s flows tells of others")
            if sorted(row["id"] for row in said["groups"]) != sorted(want.groups):
                found.append(f"GET of {name}'s groups tells of others")
        return found

    def has(self, name: str) -> tuple[frozenset[int], dict[int, bytes]]:
        """Cookies and groups of ours that a switch has."""
        with self.bridges[name].client() as client:
            return frozenset(client.cookies()), _ours(client.groups())

    def until_right(self) -> None:
        """Wait until all switches are in step and have exactly what a fresh compile has."""
        self.until_in_step()
        until(lambda: not self.differences(), self.differences)

    # What is done to it

    def inject(self, port: str, packet: Packet) -> None:
        """A frame comes in at ``switch:port``."""
        switch, _, number = port.partition(":")
        self.bridges[switch].receive(int(number), to_bytes(packet))

    def listen(self) -> Listener:
        """From now on, everything that the switches hear from the controller is noted by the switches themselves."""
        return Listener(self.ovs, self.openflow_port)


def _ours(groups: dict[int, bytes]) -> dict[int, bytes]:
    return {number: body for number, body in groups.items() if group_parts(number)}


class Listener:
    """What the switch daemon says it received from the controller, message by message, without any limit of rate."""

    def __init__(self, ovs: PrivateOvs, port: int) -> None:
        self._ovs = ovs
        self._line = re.compile(rf"\|tcp:127\.0\.0\.1:{port}: received: (\S+)(?: request)? \(OF1\.3\)")
        ovs.appctl("vlog/disable-rate-limit", "vconn")
        ovs.appctl("vlog/set", "vconn:file:dbg")
        self._start = len(ovs.log())

    def stop(self) -> None:
        self._ovs.appctl("vlog/set", "vconn:file:info")

    def counts(self) -> Counter[str]:
        """Messages of each kind, of all switches together."""
        return Counter(self._line.findall(self._ovs.log()[self._start :]))

    def changes(self) -> int:
        """Messages that change a table; those inside a bundle come as one ``ADD_MESSAGE`` each."""
        kinds = ("FLOW_MOD", "GROUP_MOD", "ADD_MESSAGE")
        return sum(count for kind, count in self.counts().items() if kind.endswith(kinds))


def populate(site: Site) -> None:
    site.put_cugs()
    site.put_vm("w1", "srv-a1", nic("web", 11), nic("db", 11))
    site.put_vm("w2", "srv-b1", nic("web", 12))
    site.put_vm("w3", "srv-a2", nic("web", 13))
    site.put_vm("w9", "srv-c1", nic("web", 19))
