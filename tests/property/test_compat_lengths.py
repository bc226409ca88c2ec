"""Whatever passes the length checks, Ryu's own parser comes to an end on: honest messages with some bytes changed."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ryu_vmmob import compat
from ryu_vmmob.compat.lengths import MalformedMessageError, check
from tests.support.openflow_messages import HONEST, IMPOSSIBLE

SEEDS = [*HONEST.values(), *(data for data, _ in IMPOSSIBLE.values())]


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    logging.getLogger("ryu.ofproto.ofproto_parser").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("ryu.ofproto.ofproto_parser").setLevel(logging.NOTSET)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A seed with up to four bytes replaced, small values first: those are what lengths are made of; perhaps cut short."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(8, max(8, len(data) - 1)))
        if place < len(data):
            data[place] = draw(st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        del data[draw(st.integers(8, len(data))) :]
    data[2:4] = len(data).to_bytes(2, "big")
    return bytes(data)


@given(messages())
@example(IMPOSSIBLE["group of length 0"][0])
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_passes_can_be_parsed_in_time(data: bytes) -> None:
    compat.apply()
    from ryu.exception import OFPTruncatedMessage
    from ryu.ofproto import ofproto_parser, ofproto_protocol

    from ryu_vmmob.compat.guard import WATCH, ParseTimeoutError

    version, kind = data[0], data[1]
    try:
        check(version, kind, data)
    except MalformedMessageError:
        return
    protocol = ofproto_protocol.ProtocolDesc(version=4)
    parse = ofproto_parser.msg.unguarded
    try:
        WATCH.run(parse, protocol, version, kind, len(data), 7, bytearray(data))
    except ParseTimeoutError:  # itself an OFPTruncatedMessage
        pytest.fail(f"passed the checks and hangs the parser: {data.hex()}")
    except OFPTruncatedMessage:
        pass  # an honest error of Ryu's parser
