"""Frames that reached the source of a move after the pause: validated, counted, and sent on to the target.

The guest has seen everything that came before its pause, and nothing that came after; so these frames are neither lost nor
doubled if the target's switch hands them out there. They have been through every table on their way to the source. How many
there were is kept here until the migration is written anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from ryu_vmmob.flows.flow import Action
from ryu_vmmob.flows.ports import to_vnic
from ryu_vmmob.model.objects import Migration, Phase
from ryu_vmmob.model.refusal import Refusal, conflict, invalid
from ryu_vmmob.model.state import State
from ryu_vmmob.net.addresses import mac_text
from ryu_vmmob.rate_limit import TokenBucket

MAX_FRAMES: Final = 1000
"""Frames of one request."""
MAX_BYTES: Final = 2 * 2**20
"""Bytes of all frames of one request together."""
FRAME_BYTES: Final = (14, 9216)
"""Bytes of a frame: an Ethernet header at least."""
FRAMES_A_SECOND: Final = 5000
"""Of one migration; so many may also come at once."""
AFTER_ACTIVATION: Final = 5.0
"""Seconds for which frames are taken after the activation."""
PASSING: Final = 0.5
"""Seconds after a delivery in which switches may still hand frames to the source: what was under way, or is in a cache."""
_VLAN_TYPE: Final = b"\x81\x00"


class Frames(NamedTuple):
    """Frames for a switch to send by ``actions``."""

    switch: str
    actions: tuple[Action, ...]
    frames: tuple[bytes, ...]


class SentOn:
    """The number of frames sent on for each migration, and their rate limit."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        """Not stored yet."""
        self._buckets: dict[str, tuple[TokenBucket, float]] = {}
        """With the time of their last use: one that has rested is full, and need not be kept."""
        self._latest = 0.0

    def judge(self, state: State, migration: Migration, number: int, frames: Sequence[bytes], now: float) -> Frames:
        """Return what the target's switch is to send. ``now`` in seconds since the epoch.

        Raises Refusal: 409 where the migration takes none now, 422 for frames that are not this interface's, 429 for too many.
        """
        vm = state.vms.get(migration.vm)
        if migration.delivery == "early":
            raise conflict(f"migration {migration.id} is early: the target has had a copy of each frame")
        if vm is None or not _takes_frames(migration, now) or migration.target not in state.fabric.servers:
            raise conflict(
                f"migration {migration.id} takes no frames now: only from the delivery, or the activation, until "
                f"{AFTER_ACTIVATION:g} s after the activation"
            )
        if vm.server != (migration.source if _activated(migration) is None else migration.target):
            raise conflict(f"VM {vm.name!r} has moved on to {vm.server!r} since")
        if number >= len(vm.interfaces):
            raise invalid(("interface", f"VM {vm.name!r} has {len(vm.interfaces)} interfaces, counted from 0"))
        interface, server = vm.interfaces[number], state.fabric.servers[migration.target]
        _check(frames, interface.mac)
        bare = tuple(_bare(frame, interface.guest_vlan_id) for frame in frames)
        _check_length(bare)
        self._take(migration.id, len(frames), now)
        return Frames(server.switch, to_vnic(state, state.cugs[interface.cug], vm, number, server), bare)

    def _take(self, migration: str, frames: int, now: float) -> None:
        """Raise a 429 where that is more than the migration may have sent on."""
        self._latest = max(self._latest, now)  # a clock that is set back is no reason to wait
        rested = [id_ for id_, (_, used) in self._buckets.items() if self._latest - used > 1]
        for id_ in rested:
            del self._buckets[id_]
        bucket, _ = self._buckets.get(migration, (TokenBucket(FRAMES_A_SECOND, FRAMES_A_SECOND), 0.0))
        self._buckets[migration] = bucket, self._latest
        if not bucket.take(self._latest, frames):
            said = f"a migration may have {FRAMES_A_SECOND} frames a second sent on"
            raise Refusal(429, "too many frames", said, retry_after=bucket.seconds_to_next(frames))

    def count(self, migration: str, frames: int) -> None:
        """So many were handed to the switch."""
        self._counts[migration] += frames

    def filled(self, row: Migration) -> Migration:
        """Return the migration with the number of frames in its timeline: where it was delivered, or else activated."""
        count = self._counts.get(row.id, 0)
        if not count:
            return row
        places = [at for at, entry in enumerate(row.timeline) if entry.phase in (Phase.DELIVERED, Phase.ACTIVATED)]
        timeline = list(row.timeline)
        timeline[places[0]] = timeline[places[0]]._replace(frames=timeline[places[0]].frames + count)
        return replace(row, timeline=tuple(timeline))

    def unstored(self) -> dict[str, int]:
        """Migrations whose counts wait for something to be written, and the counts."""
        return dict(self._counts)

    def stored(self, migrations: Iterable[str], counts: Mapping[str, int]) -> None:
        """Forget what was written of these migrations: ``counts``, what was `unstored` when they were `filled`."""
        for id_ in migrations:
            left = self._counts.pop(id_, 0) - counts.get(id_, 0)
            if left > 0:
                self._counts[id_] = left


def has_passed(migration: Migration, now: float) -> bool:
    """Whether nothing comes to the source any more that could be sent on, so that it may be taken away.

    A delivery changes the switches one by one, and Open vSwitch goes on for a moment with what its datapath has cached. What
    arrives while the source is there is captured and sent on; later it would be dropped. A clock that was set back makes no
    migration wait.
    """
    delivered = next((entry.time for entry in migration.timeline if entry.phase is Phase.DELIVERED), None)
    return delivered is None or not 0 <= now - delivered < PASSING


def _takes_frames(migration: Migration, now: float) -> bool:
    if migration.is_returning or migration.phase in (Phase.ABORTED, Phase.FAILED):
        return False
    activated = _activated(migration)
    return migration.is_delivered if activated is None else now <= activated + AFTER_ACTIVATION


def _activated(migration: Migration) -> float | None:
    return next((entry.time for entry in migration.timeline if entry.phase is Phase.ACTIVATED), None)


def _bare(frame: bytes, guest_vlan_id: int | None) -> bytes:
    """Return a frame without the guest's own tag, which the way to the interface puts on."""
    if guest_vlan_id is None or frame[12:14] != _VLAN_TYPE or int.from_bytes(frame[14:16], "big") & 0xFFF != guest_vlan_id:
        return frame
    return frame[:12] + frame[16:]


def _check(frames: Sequence[bytes], mac: int) -> None:
    """Raise a 422 that names the first frame that is none of this interface's."""
    if len(frames) > MAX_FRAMES:
        raise invalid(("frames", f"there are {len(frames)}, and a request may have {MAX_FRAMES}"))
    if sum(map(len, frames)) > MAX_BYTES:
        raise invalid(("frames", f"all together have more than {MAX_BYTES} bytes"))
    wanted = mac.to_bytes(6, "big")
    _check_length(frames)
    for number, frame in enumerate(frames):
        if frame[:6] != wanted:
            to = mac_text(int.from_bytes(frame[:6], "big"))
            raise invalid((f"frames[{number}]", f"it is for {to}, and the interface is {mac_text(mac)}"))


def _check_length(frames: Sequence[bytes]) -> None:
    for number, frame in enumerate(frames):
        if not FRAME_BYTES[0] <= len(frame) <= FRAME_BYTES[1]:
            raise invalid((f"frames[{number}]", f"it has {len(frame)} bytes, not {FRAME_BYTES[0]} to {FRAME_BYTES[1]}"))
