"""Length checks: honest messages pass, each impossible length is refused by name."""

from __future__ import annotations

import pytest

from ryu_vmmob.compat.lengths import READ_RAW, MalformedMessageError, check
from ryu_vmmob.flows import wire
from tests.support.openflow_messages import (
    HONEST,
    IMPOSSIBLE,
)


@pytest.mark.parametrize("what", HONEST)
def test_honest(what: str) -> None:
    data = HONEST[what]
    check(data[0], data[1], data)
    check(data[0], data[1], bytearray(data), raw=True)


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_impossible(what: str) -> None:
    data, words = IMPOSSIBLE[what]
    with pytest.raises(MalformedMessageError) as refused:
        check(data[0], data[1], data)
    assert words in str(refused.value)


def test_raw_looks_at_the_list_of_entries_only() -> None:
    inside, _ = IMPOSSIBLE["action of length 0"]
    check(4, 19, inside, raw=True)
    with pytest.raises(MalformedMessageError):
        check(4, 19, IMPOSSIBLE["flow of length 0"][0], raw=True)


def test_other_versions_are_not_read_as_if_they_were_1_3() -> None:
    check(6, 19, IMPOSSIBLE["flow of length 0"][0])


@pytest.mark.parametrize("name", [name for name in vars(wire) if name.startswith("MULTIPART_")])
def test_what_the_wire_asks_for_comes_unparsed(name: str) -> None:
    """A session waits for the raw reply: parsed by Ryu it would never come, and the connection would end after 30 seconds."""
    assert getattr(wire, name) in READ_RAW
