"""Flows of this host's Open vSwitch that carry frames from the cable to a moving VM's tap, whatever the switch has learned.

With tagging per CUG, and without tags, neighbours on a server need a VM's broadcasts, and get its frames, while it is
elsewhere. So the server's switch learns the VM's MAC at the cable, and rightly so. When the VM comes, or is still here while
it speaks at its target already, that entry has the switch drop each frame for it that comes up the cable. A flow for the MAC
on frames of the cable alone stands above what is learned; frames of the neighbours go on to where the VM speaks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Final, NamedTuple

from ryu_vmmob.hypervisor.domains import Domain
from ryu_vmmob.hypervisor.vswitch import OpenVSwitch, SwitchError

LOG: Final = logging.getLogger("vmmob.hypervisor")
LEARNED_SECONDS: Final = 300
"""How long Open vSwitch keeps what it has learned, if it is not told otherwise (``mac-aging-time``)."""


class Entry(NamedTuple):
    """The flows for one MAC on one bridge."""

    bridge: str
    mac: str


class Forwarding:
    """The flows for VMs that move from or to this host. ``switch`` None: there are none."""

    def __init__(self, switch: OpenVSwitch | None) -> None:
        self._switch = switch
        self._entries: dict[str, set[Entry]] = {}
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Delete the flows of an earlier run of the service."""
        if self._switch is not None:
            try:
                for bridge in self._switch.bridges():
                    self._switch.delete_flows(bridge)
            except SwitchError as error:
                LOG.warning("flows of an earlier run: %s", error)

    def open(self, vm: str, domain: Domain, others: Iterable[Domain], seconds: int = 0) -> None:
        """Have frames of the cable for each of the VM's interfaces go to its tap. ``others``: all domains of this host.
        ``seconds``: how long; 0: until `close`.
        """
        devices = {card.device for row in others for card in row.cards}
        for card in domain.cards:
            if self._switch is None or card.device is None or not card.is_openvswitch:
                continue
            try:
                self._open(vm, self._switch, card.device, card.mac, devices, seconds)
            except SwitchError as error:
                LOG.warning("VM %s: frames for %s go where the server's switch has learned it: %s", vm, card.mac, error)

    def _open(self, vm: str, switch: OpenVSwitch, device: str, mac: str, devices: set[str | None], seconds: int) -> None:
        bridge, tag = switch.place_of(device)
        if not switch.is_only_learning(bridge):
            if bridge not in self._told:
                self._told.add(bridge)
                LOG.info("bridge %s has flows of its own: they decide where frames for a VM that moves go", bridge)
            return
        cables = [] if isinstance(tag, int) else [port for port in switch.ports(bridge) if port not in devices]
        switch.forward(bridge, device, mac, tag, cables, seconds)
        with self._lock:
            self._entries.setdefault(vm, set()).add(Entry(bridge, mac))

    def settle(self, vm: str, domain: Domain | None, others: Iterable[Domain]) -> None:
        """Leave it to what the switch learns, as soon as it has forgotten where the VM was. ``domain`` None: it is not here."""
        if domain is not None:
            self.open(vm, domain, others, LEARNED_SECONDS)
        else:
            self.close(vm)

    def close(self, vm: str) -> None:
        """Delete the flows for a VM: what the switch learns decides."""
        with self._lock:
            entries = self._entries.pop(vm, set())
        for entry in entries:
            try:
                if self._switch is not None:
                    self._switch.delete_flows(entry.bridge, entry.mac)
            except SwitchError as error:
                LOG.warning("VM %s: %s", vm, error)

    def stop(self) -> None:
        """Delete all of them."""
        for vm in list(self._entries):
            self.close(vm)
