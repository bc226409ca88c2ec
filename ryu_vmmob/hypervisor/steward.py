"""The periodic comparison of this hypervisor's domains with REST, which makes up for missed events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Final

from ryu_vmmob.client import Client, ClientError, RefusedError
from ryu_vmmob.hypervisor.catch_up import Action, Activate, Claim, Complaint, Mend, TakeBack, compare
from ryu_vmmob.hypervisor.domains import Domain, Tag
from ryu_vmmob.hypervisor.forwarding import Forwarding
from ryu_vmmob.hypervisor.handover import UNDER_WAY
from ryu_vmmob.hypervisor.libvirt_events import HostError
from ryu_vmmob.hypervisor.service import Host
from ryu_vmmob.hypervisor.vswitch import OpenVSwitch, SwitchError

LOG: Final = logging.getLogger("vmmob.hypervisor")
SETTLE_SECONDS: Final = 2.0
"""A VM is claimed only when two comparisons so far apart agree: events of a move that goes well arrive in between."""
CLAIM_SECONDS: Final = 60.0
"""A VM is claimed at most so often: two hypervisors that both run it do not fight."""
PREPARE_SECONDS: Final = 10.0


class Steward:
    """Compares the domains of this server with the controller's VMs, and corrects differences.

    ``claims``: see `compare`. ``switch`` None: tags of ports are not corrected. ``forwarding``: that of the service.
    """

    def __init__(
        self,
        here: str,
        host: Host,
        connect: Callable[[], Client],
        name_of: Callable[[str, str], str],
        switch: OpenVSwitch | None,
        forwarding: Forwarding,
        claims: str = "migrated",
        interval: float = 30.0,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._here, self._host, self._name_of, self._switch = here, host, name_of, switch
        self._claims, self._interval, self._settle = claims, interval, settle
        self._connect, self._forwarding = connect, forwarding
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self._suspects: set[Action] = set()
        self._told: set[str] = set()
        self._claimed: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="comparison with REST", daemon=True)

    def start(self) -> None:
        """Begin to compare."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        self._wanted.set()
        self._thread.join(30)

    def look(self) -> None:
        """Compare soon; returns at once."""
        self._wanted.set()

    def _run(self) -> None:
        client = self._connect()
        seconds = 0.0
        while not self._ending.is_set():
            if self._wanted.wait(seconds):
                self._wanted.clear()
            if self._ending.is_set():
                return
            try:
                again = self.compare(client)
            except (ClientError, HostError) as error:
                LOG.warning("the domains could not be compared with the controller's VMs: %s", error)
                again = False
            except Exception:
                LOG.exception("the domains could not be compared with the controller's VMs")
                again = False
            if again and self._ending.wait(self._settle):
                return
            seconds = 0.0 if again else self._interval

    def compare(self, client: Client) -> bool:
        """One comparison, and what follows; whether another is wanted soon. Raises ClientError, HostError."""
        domains = self._host.domains()
        placed = {row["name"]: row for row in client.vms.list(server=self._here)}
        moves = {row["vm"]: row for state in UNDER_WAY for row in client.migrations.list(state=state)}
        ports = self._ports(domains)
        suspects: set[Action] = set()
        told: set[str] = set()
        again = False
        for domain in domains:
            name = self._name_of(domain.name, domain.uuid)
            try:
                vm = placed.get(name) or _vm(client, name)
                for action in compare(self._here, name, domain, vm, moves.get(name), ports, self._claims):
                    if isinstance(action, Complaint):
                        told.add(action.text)
                        if action.text not in self._told:
                            LOG.warning("%s", action.text)
                    elif isinstance(action, Claim | TakeBack) and action not in self._suspects:
                        suspects.add(action)
                        again = True
                    else:
                        again |= self._act(client, action, told)
                        if isinstance(action, Mend) and action.possible:
                            # What it said with the wrong tag taught the switch nothing, and its announcements are over.
                            self._forwarding.settle(name, domain, domains)
            except (ClientError, SwitchError) as error:
                LOG.warning("VM %s: %s", name, error)
        self._suspects, self._told = suspects, told
        return again

    def _ports(self, domains: list[Domain]) -> Mapping[str, Tag]:
        if self._switch is None:
            return {}
        devices = [card.device for row in domains for card in row.cards if card.is_openvswitch and card.device is not None]
        try:
            return self._switch.tags(devices)
        except SwitchError as error:
            LOG.warning("the ports' tags are not known: %s", error)
            return {}

    def _act(self, client: Client, action: Action, told: set[str]) -> bool:
        """Whether another comparison is wanted soon. Raises ClientError, SwitchError."""
        if isinstance(action, Activate):
            client.migrations.activate(action.migration)
            LOG.info("%s: VM %s runs here already", action.migration, action.vm)
        elif isinstance(action, TakeBack):
            client.migrations.abort(action.migration, reason=f"its hypervisor {self._here}: the VM runs here")
            LOG.warning("%s: VM %s counts as arrived elsewhere and runs here: taken back", action.migration, action.vm)
        elif isinstance(action, Claim):
            return self._claim(client, action)
        elif isinstance(action, Mend):
            return self._mend(action, told)
        return True

    def _claim(self, client: Client, action: Claim) -> bool:
        now = monotonic()
        if now - self._claimed.get(action.vm, -CLAIM_SECONDS) < CLAIM_SECONDS:
            return False
        self._claimed[action.vm] = now
        move = client.migrations.start(action.vm, self._here, mode="hot", wait=PREPARE_SECONDS)
        LOG.warning("%s: VM %s came here from %s unannounced", move["id"], action.vm, action.placed)
        client.migrations.activate(move["id"])
        return True

    def _mend(self, action: Mend, told: set[str]) -> bool:
        text = f"VM {action.vm}: interface {action.mac} ({action.device}) has tag {action.present} and must have {action.tag}"
        if self._switch is None or not action.possible:
            told.add(text)
            if text not in self._told:
                LOG.warning("%s: that can only be set where the guest is defined", text)
            return False
        self._switch.set_tag(action.device, action.tag)
        LOG.warning("%s: set", text)
        return True


def _vm(client: Client, name: str) -> Any | None:
    try:
        return client.vms.get(name)
    except RefusedError as error:
        if error.status == 404:
            return None
        raise
