"""The switch-over of an imitated VM, in the order of a real hypervisor: pause, deliver, send on, go on, send on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mininet_topos.lab import Lab
    from mininet_topos.servers import Vm

FRAMES_A_CALL = 500  # half of what the controller takes
BYTES_A_CALL = 1 << 20
QUIET_SECONDS = 0.05  # without any frame at the source: no more are under way
LOOK_EVERY = 0.01


class Network(Protocol):
    """What the network does for a VM that moves. Each call returns when it is done."""

    def deliver(self) -> None:
        """Send the VM's traffic to the target from now on: the VM has paused."""

    def send_on(self, interface: int, frames: Sequence[bytes]) -> int:
        """Bring frames that reached the source to the target; how many were sent."""


class Rest:
    """The controller, by REST. ``post`` sends a body (or None) to a path and returns the answer's."""

    def __init__(self, migration: str, post: Callable[[str, Any], Any]) -> None:
        self._path = f"/v1/migrations/{migration}"
        self._post = post

    def deliver(self) -> None:
        """Note that the source has paused."""
        self._post(f"{self._path}/deliver", None)

    def send_on(self, interface: int, frames: Sequence[bytes]) -> int:
        """Frames that came to the source after its pause."""
        sent = 0
        for batch in batches(frames):
            sent += int(self._post(f"{self._path}/frames", {"interface": interface, "frames": batch})["sent"])
        return sent


def batches(frames: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Frames in their order, in parts that one call may carry."""
    batch: list[bytes] = []
    size = 0
    for frame in frames:
        if batch and (len(batch) == FRAMES_A_CALL or size + len(frame) > BYTES_A_CALL):
            yield batch
            batch, size = [], 0
        batch.append(frame)
        size += len(frame)
    if batch:
        yield batch


def switch_over(
    lab: Lab, vm: Vm, server: str, network: Network | None, *, pause: float = 0.0, announce: bool = True
) -> dict[str, Any]:
    """Let a prepared VM go on at ``server``; what the card said, with the pause in ms and the number of frames sent on.

    ``network`` None: it is told nothing, and what reaches the source after the pause is lost. ``pause`` in
    seconds is what the copy of the last memory takes besides.
    """
    paused = vm.nic.ask({"op": "pause"})
    sent_on = 0
    if network is not None:
        network.deliver()
        sent_on += send_on(vm, network)
    time.sleep(pause)
    done = lab.flip(vm, server, announce=announce)
    since = time.monotonic()
    while network is not None and time.monotonic() - since < QUIET_SECONDS:
        time.sleep(LOOK_EVERY)
        if late := send_on(vm, network):
            sent_on += late
            since = time.monotonic()
    return {**done, "pause_ms": round((done["at"] - paused["at"]) * 1e3, 3), "sent_on": sent_on}


def send_on(vm: Vm, network: Network) -> int:
    """Give the network what came to the place where a VM paused, since it did or since the last call; how many it sent."""
    by_interface: dict[int, list[bytes]] = {}
    rescued: Mapping[str, Any] = vm.nic.ask({"op": "rescue"})
    for interface, frame in rescued["frames"]:
        by_interface.setdefault(int(interface), []).append(bytes.fromhex(frame))
    return sum(network.send_on(interface, frames) for interface, frames in by_interface.items())
