"""Counters since the start: messages sent to each switch, and packets that each punted. `engine.readings` names them."""

from __future__ import annotations

from collections import Counter
from typing import Final

SENT: Final = ("flow", "group", "meter", "packet")
"""Kinds of messages that change a switch, or that it is to send on. What is sent again after a refused bundle counts again."""
DROPS: Final = ("stale", "size", "rate", "unread", "error_rate", "queue", "role")
"""Why something was dropped.

A packet handed up: ``stale``, no desired flow bears its cookie (any more); ``size``, too large to be answered; ``rate``, more
than are looked at of one switch. ``unread``: an unsolicited message over the rate limit. A packet to be sent:
``error_rate``, more ICMP errors than are sent for one switch; ``queue``, too many wait already; ``role``,
the switch is another controller's.
"""


class Tally:
    """Counters by switch and kind, or by switch and reason."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[str, str]] = Counter()
        self.packets: Counter[tuple[str, str]] = Counter()
        """Packets handed up, by switch and by the name of the table whose flow did."""
        self.drops: Counter[tuple[str, str]] = Counter()
        self.sent_on: Counter[str] = Counter()
        """Frames that reached the source of a move after its pause, by the switch that was to send them on to the target."""
