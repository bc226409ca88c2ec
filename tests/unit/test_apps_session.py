"""A session and a switch that talks nonsense: the connection ends, the controller does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ryu_vmmob.apps.session import MAX_PACKETS, Session
from ryu_vmmob.apps.transactions import MAX_PARTS, Lost
from ryu_vmmob.flows.flow import Output
from ryu_vmmob.flows.wire import MULTIPART_FLOW, MalformedReply, flow_stats_cookies
from tests.support.fabrics import ring
from tests.support.world import World


class Deaf:
    """A datapath that takes everything and answers with one reply, whatever it is asked."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.closed = False
        self.session: Session | None = None

    def send(self, data: bytes) -> bool:
        assert self.session is not None
        xid = int.from_bytes(data[4:8], "big")
        kind = {18: 19, 20: 21}.get(data[1])  # a multipart reply, a barrier reply
        self.session.reply(SimpleNamespace(xid=xid, msg_type=kind, mp_type=MULTIPART_FLOW, body=self.body, more=False))
        return True

    def close(self) -> None:
        self.closed = True


def _session(body: bytes) -> tuple[Session, Deaf, World]:
    world = World(ring())
    datapath: Any = Deaf(body)
    session = Session(datapath, "ta", world.engine, 0.0)
    datapath.session = session
    return session, datapath, world


@pytest.mark.parametrize("body", [b"\x00", b"\x00\x00" + bytes(60), b"\xff\xff" + bytes(60)])
def test_a_malformed_reply_ends_the_connection_and_nothing_else(body: bytes) -> None:
    with pytest.raises(MalformedReply):
        flow_stats_cookies(body)
    session, datapath, world = _session(body)
    session.run()
    assert datapath.closed
    assert not world.engine.fleet.is_connected("ta")
    assert world.engine.fleet.is_connected("tb")


def test_an_ended_session_sends_nothing_and_leaves_a_newer_one_alone() -> None:
    session, _, world = _session(b"")
    session.end()
    with pytest.raises(Lost):
        session._put(b"")
    assert world.engine.fleet.is_connected("ta")


def test_only_what_is_owed_is_kept() -> None:
    """Replies and errors that nobody asked for, however many, leave nothing behind."""
    session, _, _ = _session(b"")
    session._awaited, session._first = (7, 21), session._xid + 1
    for xid in range(1000):
        session.reply(SimpleNamespace(xid=xid, msg_type=19, body=b"", more=True))
        session.error(xid, "about nothing")
        session.error(session._xid + 1 + xid, "about what is not sent yet")
    assert session._inbox.qsize() == 0
    assert not session._errors
    session.reply(SimpleNamespace(xid=7, msg_type=19))
    session.reply(SimpleNamespace(xid=7, msg_type=21))
    session.reply(SimpleNamespace(xid=7, msg_type=21))
    assert session._inbox.qsize() == 1


def test_a_reply_without_an_end_that_nobody_reads_ends_the_session() -> None:
    session, _, _ = _session(b"")
    session._awaited = (7, 19)
    for _ in range(2 * MAX_PARTS):
        session.reply(SimpleNamespace(xid=7, msg_type=19, body=b"", more=True))
    assert session._inbox.qsize() == MAX_PARTS
    with pytest.raises(Lost):
        session._receive()


def test_frames_to_be_sent_on_are_taken_all_or_none_and_in_order() -> None:
    session, _, world = _session(b"")
    frames = [bytes([number]) * 60 for number in range(3)]
    assert session.packets_out((Output(1),), frames) is False, "it is not known yet whose the switch is"
    assert session._outbox.qsize() == 0
    session.commands = True
    assert session.packets_out((Output(1),), frames) is True
    assert session.packets_out((Output(1),), []) is True
    messages = session._outbox.get_nowait()
    places = [messages.index(frame) for frame in frames]
    assert places == sorted(places)
    assert session._outbox.qsize() == 0
    for number in range(MAX_PACKETS):
        assert session.packets_out((Output(1),), frames) is True, number
    assert session.packets_out((Output(1),), frames) is False
    session._outbox.get_nowait()
    assert session.packets_out((Output(1),), frames[:1]) is True
    assert world.engine.tally.sent["ta", "packet"] == 3 * (MAX_PACKETS + 1) + 1
    assert world.engine.tally.drops["ta", "queue"] == 0, "the caller got the answer"
