"""How a fake switch behaves, and how long it waited for answers to its own echo requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ryu_vmmob.bench.fake_tables import Judge

Point = int | Literal["before commit", "after commit"]
"""Where within a bundle a connection is lost: after so many messages, or before or after the commit is carried out."""


@dataclass(slots=True)
class Behaviour:
    """How a switch behaves; may be changed at any time (from another thread: `FakeFleet.change`)."""

    delay: float = 0.0
    """Seconds by which every answer comes late, echo replies too."""
    answers: Literal["all", "echo", "nothing"] = "all"
    """``echo``: it is alive and never done; ``nothing``: it reads and is silent."""
    reads: bool = True
    """False: what the controller sends stays in the sockets' buffers, until those are full."""
    refuses: Judge | None = None
    loses: Callable[[bytes], bool] | None = None
    """Changes (flow-mods, group-mods, meter-mods as bytes) that it says nothing against and does not carry out."""
    wraps_statistics: bool = False
    """Tells all entries of a reply in one message, whose length is counted in 16 bits and begins again at 64 KiB."""
    tells_ports: bool = True
    """False: changes of ports are told to who asks only."""
    bundles: bool = True
    roles: bool = True
    """False: it does not know requests for a role."""
    lose_at: Point | None = None
    """Once: the connection is lost within the next bundle, and made again."""
    errors: float = 0.0
    """Errors a second that it sends without reason, about the message ``error_xid``."""
    error_xid: int = 0
    packet_ins: float = 0.0
    """Packet-ins a second, of the flow with the cookie ``packet_cookie``."""
    packet_cookie: int = 0
    packet_port: int = 1
    packet: bytes = b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01\x80\x35" + bytes(46)
    hello_only: bool = False
    """Says hello and then nothing, not even that it is alive."""
    version: int = 4
    """The version it says it speaks: 1 is OpenFlow 1.0, and no other."""
    rewrites: bool = False
    """Tells match fields in another order than it was told them, as some switches do."""
    table_features: tuple[bytes, ...] | None = None
    """What it tells of its tables, an entry each; None: that question is refused."""
    number_of_tables: int = 254
    software: str = "1"
    """The version that it describes itself with."""
    remembers: bool = True
    """False: it says yes to every change and keeps none, so that thousands of switches cost little beside what is measured."""
    echo: float = 0.0
    """Seconds between two echo requests of its own; 0: none. How long the answers take is in `FakeSwitch.echoes`."""
    traffic: int = 0
    """Bytes a second that each port says it receives, times its number; it says it sends half of that."""
    connects: bool = True
    """False: it does not connect (any more); a connection that stands is lost."""


@dataclass(slots=True)
class Echoes:
    """How long answers to a switch's echo requests took, in seconds. An open request counts with its age so far."""

    asked: float | None = None
    """When the open request was sent, by the loop's clock."""
    answered: int = 0
    slowest: float = 0.0

    def look(self, now: float) -> None:
        """Let the open request count."""
        if self.asked is not None:
            self.slowest = max(self.slowest, now - self.asked)

    def forget(self) -> None:
        """Begin to count again; an open request counts from its beginning."""
        self.answered, self.slowest = 0, 0.0
