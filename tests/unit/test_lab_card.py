"""The imitated card of a VM, at the instants at which an order and a frame come at once."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from mininet_topos import nic
from mininet_topos.nic import Card


def test_a_frame_that_comes_with_the_order_to_pause_waits_for_the_guest_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of one poll are served one after another, and the guest's may come behind the order."""
    answers: list[dict[str, Any]] = []
    with ExitStack() as stack:
        ends: dict[str, socket.socket] = {}
        taps: dict[str, int] = {}
        monkeypatch.setattr(nic, "open_tap", taps.__getitem__)
        for name in ("guest", "here", "there"):
            ours, ends[name] = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(ends[name].close)
            ours.setblocking(False)
            ends[name].setblocking(False)
            taps[name] = ours.detach()
            stack.callback(os.close, taps[name])
        card = Card(answers.append)
        stack.callback(card.poll.close)
        card.obey({"op": "guest", "interface": 0, "tap": "guest", "mac": "02:00:00:00:01:0b"})
        for name in ("here", "there"):
            card.obey({"op": "plug", "interface": 0, "place": name, "tap": name})
        ends["guest"].send(b"first")
        events = card.poll.poll(0)
        assert events
        card.obey({"op": "pause"})
        for fd, _ in events:
            card._serve(fd, *card.roles[fd])
        card.obey({"op": "flip", "to": "there", "announce": False})
        for fd, _ in card.poll.poll(0):
            card._serve(fd, *card.roles[fd])
        assert ends["there"].recv(100) == b"first"
        with pytest.raises(BlockingIOError):
            ends["here"].recv(100)
    assert all(row["ok"] for row in answers)
