"""What the encoder writes is read back as it was; what it never writes is said to be unknown."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.flows import decode
from ryu_vmmob.flows.action import Action, DecTtl, Move, Output, PopVlan, PushVlan, SetField, ToGroup
from ryu_vmmob.flows.fields import FIELDS
from ryu_vmmob.flows.flow import Flow, encode_actions, match
from ryu_vmmob.flows.pipeline import TABLES, Table

NAMES = sorted(FIELDS)
MOVES = [(a, b) for a in NAMES for b in NAMES if FIELDS[a].nxm and FIELDS[b].nxm and FIELDS[a].size == FIELDS[b].size]


def value_of(name: str) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << 8 * FIELDS[name].size) - 1)


@st.composite
def matches(draw: st.DrawFn) -> decode.Match:
    names = draw(st.sets(st.sampled_from(NAMES), max_size=6))
    return match(**{name: draw(value_of(name) | st.tuples(value_of(name), value_of(name))) for name in names})


actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(Output, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF)),
    st.builds(ToGroup, st.integers(0, 0xFFFFFFFF)),
    st.sampled_from([PushVlan(), PopVlan(), DecTtl()]),
    st.sampled_from(NAMES).flatmap(lambda name: st.builds(SetField, st.just(name), value_of(name))),
    st.sampled_from(MOVES).map(lambda pair: Move(*pair)),
)
action_lists = st.lists(actions, max_size=5).map(tuple)
numbers = st.integers(0, (1 << 64) - 1)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TABLES), st.integers(0, 0xFFFF), matches(), action_lists, st.none() | st.sampled_from(TABLES),
    st.none() | st.tuples(numbers, numbers), st.none() | st.integers(1, 0xFFFFFFFF),
)  # fmt: skip
def test_a_flow_says_what_it_was_made_of(
    table: Table,
    priority: int,
    rows: decode.Match,
    done: tuple[Action, ...],
    goto: Table | None,
    metadata: tuple[int, int] | None,
    meter: int | None,
) -> None:
    flow = Flow.undeclared(table, priority, rows, done, goto, metadata, meter)
    assert (flow.table, flow.priority, flow.match, flow.actions) == (table, priority, rows, done)
    assert (flow.goto, flow.metadata, flow.meter) == (goto, metadata, meter)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_said_to_be_unknown(data: bytes) -> None:
    for read in (decode.match, decode.instructions, decode.actions):
        with suppress(decode.Unknown):
            read(data)


@settings(max_examples=200, deadline=None)
@given(action_lists.filter(bool), st.data())
def test_an_action_list_cut_off_within_an_action_is_unknown(done: tuple[Action, ...], data: st.DataObject) -> None:
    whole = encode_actions(done)
    boundaries = {len(encode_actions(done[:number])) for number in range(len(done) + 1)}
    cut = data.draw(st.integers(1, len(whole)).filter(lambda length: length not in boundaries))
    with pytest.raises(decode.Unknown):
        decode.actions(whole[:cut])


@pytest.mark.parametrize(
    "what",
    [
        "ffff0018 00002320 000a 0000 0000 0000 0000000000000000",  # another action of Open vSwitch's
        "ffff0018 00002320 0006 0020 0000 0000 00000206 00000406",  # part of a field only
        "0019 0010 80000d04 0fff 0fff 00000000",  # set-field with a mask
        "0000 0010 00000001",  # shorter than it says
    ],
)
def test_what_is_never_written_is_unknown(what: str) -> None:
    with pytest.raises(decode.Unknown):
        decode.actions(bytes.fromhex(what.replace(" ", "")))
