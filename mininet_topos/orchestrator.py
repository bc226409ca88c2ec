"""What a cloud's orchestrator does: tell the controller of CUGs and VMs over REST, start them, and move them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack  # type: ignore[import-untyped]
import requests

from mininet_topos.lab import Lab
from mininet_topos.servers import Interface, Vm
from mininet_topos.switchover import Rest, switch_over

FINAL = ("committed", "aborted", "failed")
STEP_SECONDS = 30.0
POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.1  # of an imitated VM; real ones are away 50 to 500 ms


class OrchestratorError(RuntimeError):
    """The controller refused, or did not get there in time; ``status`` is the HTTP status (0: none)."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Move:
    """A finished move: the VLAN-IDs of the first interface, the flip as the card reports it, the migration's last body."""

    vm: str
    source: str
    target: str
    migration: Mapping[str, Any]
    flip: Mapping[str, Any]

    @property
    def vlan_ids(self) -> tuple[int | None, int | None]:
        """Before and after, of the first interface."""
        leg = self.migration["interfaces"][0]
        return leg["from_vlan_id"], leg["to_vlan_id"]

    @property
    def flow_mods(self) -> dict[str, int]:
        """Flow-mods sent to each switch, over all phases."""
        found: dict[str, int] = {}
        for entry in self.migration["timeline"]:
            for switch, number in entry["flow_mods"].items():
                found[switch] = found.get(switch, 0) + number
        return {switch: number for switch, number in sorted(found.items()) if number}


class Orchestrator:
    """Drives one laboratory and one controller."""

    def __init__(self, lab: Lab, rest: str, token: str | None = None) -> None:
        self.lab = lab
        self._rest = rest
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    # REST

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One call; the answer's body. Raises OrchestratorError with what the controller said."""
        answer = self._session.request(method, self._rest + path, json=body, params=query, timeout=STEP_SECONDS + 10)
        if not answer.ok:
            raise OrchestratorError(f"{method} {path}: {answer.status_code} {answer.text.strip()}", answer.status_code)
        return answer.json() if answer.content else None

    def until_in_step(self, seconds: float = STEP_SECONDS) -> None:
        """Wait until every switch is connected and has what it should. Raises OrchestratorError."""

        def behind() -> list[str]:
            switches = self.call("GET", "/v1/switches")["items"]
            return [s["name"] for s in switches if not (s["connected"] and s["in_step"])]

        self._until(lambda: not behind(), seconds, lambda: f"not in step: {', '.join(behind())}")

    def put_cug(self, name: str, subnets: Sequence[str], **more: Any) -> Any:
        """Create a CUG and wait for its switches."""
        return self.call("PUT", f"/v1/cugs/{name}", {"subnets": list(subnets), **more}, wait=STEP_SECONDS)

    def put_policy(self, name: str, **body: Any) -> Any:
        """Create or replace a policy and wait for its switches; ``from`` is given as ``from_``."""
        body["from"] = body.pop("from_")
        return self.call("PUT", f"/v1/policies/{name}", body, wait=STEP_SECONDS)

    def start_vm(self, name: str, server: str, interfaces: Sequence[Interface]) -> Vm:
        """Tell the controller of a VM, wait for the switches, then start it with the VLAN-IDs it was given."""
        body = {"server": server, "interfaces": [interface.body() for interface in interfaces]}
        answer = self.call("PUT", f"/v1/vms/{name}", body, wait=STEP_SECONDS)
        return self.lab.add_vm(name, server, interfaces, [i["vlan_id"] for i in answer["interfaces"]])

    def tags(self, name: str) -> set[int | None]:
        """Return the VLAN-IDs with which a VM's server tags its frames (None: no tag)."""
        return {interface["vlan_id"] for interface in self.call("GET", f"/v1/vms/{name}")["interfaces"]}

    def end_vm(self, vm: Vm) -> None:
        """Stop a VM and forget it."""
        self.lab.remove_vm(vm)
        self.call("DELETE", f"/v1/vms/{vm.name}", wait=STEP_SECONDS)

    # moves

    def prepare(self, vm: Vm, server: str, **options: Any) -> dict[str, Any]:
        """Begin a migration and plug the VM at its target; returns when it is prepared. Raises OrchestratorError."""
        migration = self.call("POST", "/v1/migrations", {"vm": vm.name, "to": server, **options})
        try:
            self.lab.prepare_server(vm, server, [leg["to_vlan_id"] for leg in migration["interfaces"]])
            return self.until_state(migration["id"], "prepared")
        except BaseException:
            self.abort(vm, server, migration["id"])
            raise

    def abort(self, vm: Vm, server: str, id_: str) -> dict[str, Any]:
        """Call a prepared migration off: the VM stays where it is."""
        answer: dict[str, Any] = self.call("POST", f"/v1/migrations/{id_}/abort", wait=STEP_SECONDS)
        if server in vm.places:
            self.lab.release_server(vm, server)
        return answer

    def move(self, vm: Vm, server: str, *, announce: bool = True, pause: float = PAUSE_SECONDS, **options: Any) -> Move:
        """Return a whole hot move: prepare, switch over, wait for the commit, unplug the source.

        ``pause``: how long the VM stands still, in seconds. ``options`` go into the migration.
        """
        source = vm.server
        prepared = self.prepare(vm, server, **options)
        flip = switch_over(self.lab, vm, server, self.network(prepared), pause=pause, announce=announce)
        if prepared["activate_on"] == "request":
            self.call("POST", f"/v1/migrations/{prepared['id']}/activate")
        if prepared["commit"] == "request":
            self.until_state(prepared["id"], "activated")
            self.call("POST", f"/v1/migrations/{prepared['id']}/commit")
        done = self.until_state(prepared["id"], "committed")
        self.lab.release_server(vm, source)
        return Move(vm.name, source, server, done, flip)

    def network(self, migration: Mapping[str, Any]) -> Rest | None:
        """Return what a hypervisor tells of a switch-over; None where the migration's kind of delivery wants nothing."""
        return Rest(migration["id"], self.post) if migration["delivery"] == "at_pause" else None

    def post(self, path: str, body: Any) -> Any:
        """Return a call in msgpack, waited for; the answer's body. Raises OrchestratorError."""
        headers = {"Content-Type": "application/msgpack", "Accept": "application/json"}
        data = None if body is None else msgpack.packb(body)
        answer = self._session.post(
            self._rest + path, data=data, params={"wait": STEP_SECONDS} if body is None else {},
            headers=headers if body is not None else {}, timeout=STEP_SECONDS + 10,
        )  # fmt: skip
        if not answer.ok:
            raise OrchestratorError(f"POST {path}: {answer.status_code} {answer.text.strip()}", answer.status_code)
        return answer.json()

    def until_state(self, id_: str, wanted: str, seconds: float = STEP_SECONDS) -> dict[str, Any]:
        """Wait until a migration is in a state and the switches have acknowledged it. Raises OrchestratorError."""
        last: dict[str, Any] = {}

        def there() -> bool:
            last.clear()
            last.update(self.call("GET", f"/v1/migrations/{id_}"))
            if last["state"] in FINAL and last["state"] != wanted:
                raise OrchestratorError(f"migration {id_} is {last['state']}, not {wanted}: {last['reason']}")
            return bool(last["state"] == wanted and not last["switches"]["pending"])

        self._until(there, seconds, lambda: f"migration {id_} is {last.get('state')}, not {wanted}: {last}")
        return last

    @staticmethod
    def _until(done: Any, seconds: float, complaint: Any) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise OrchestratorError(f"after {seconds} s {complaint()}")
            time.sleep(POLL_SECONDS)
