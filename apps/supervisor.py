"""Notification of the supervisor that the controller is ready (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

from ryu.lib import hub

SETTLE: Final = 0.1
"""Seconds after the applications are made; Ryu opens its ports in the same breath, before any other thread runs."""


def tell_ready() -> None:
    """Send READY=1 to the supervisor (sd_notify). A no-op without ``NOTIFY_SOCKET``; a socket that is not there is ignored."""
    hub.sleep(SETTLE)
    address = os.environ.pop("NOTIFY_SOCKET", None)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, suppress(OSError):
        # A leading @ stands for the NUL of an abstract address.
        notify.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)
