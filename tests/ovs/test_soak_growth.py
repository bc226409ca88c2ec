"""What a soak calls growth: a fault only where everything that is kept had time to be full (tests/ovs/soak_commands.py)."""

from __future__ import annotations

from tests.ovs.soak_commands import GROWTH, LONG, Found


def life(seconds: float, first: int, last: int) -> Found:
    """A life whose blocks go from one number to another at once, in its middle."""
    times = [seconds * part / 100 for part in range(101)]
    return Found(samples=[{"time": time, "blocks": first if time < seconds / 2 else last} for time in times])


def test_a_long_life_that_grows_is_a_fault() -> None:
    grown = int(700_000 * GROWTH) + 1
    assert life(LONG, 700_000, 700_000).grown() == []
    (fault,) = life(LONG, 700_000, grown).grown()
    assert fault == f"blocks grew from 700000 to {grown} in half of {LONG:.0f} s, with all bounds small"
    assert life(LONG - 1, 700_000, grown).grown() == [], "not all was full yet"


def test_what_holds_more_than_its_bound_is_a_fault() -> None:
    assert Found(caches={"a": [64, 64, 9000], "b": [1, 64, 1]}).grown() == []
    assert Found(caches={"a": [65, 64, 9000]}).grown() == ["a holds 65 of 64"]


def test_the_types_that_grew_most_in_the_second_half_come_first() -> None:
    counts: list[dict[str, int]] = [
        {"flow": 1},
        {"flow": 5, "event": 9, "gone": 7},
        {"flow": 50},
        {"flow": 8, "event": 90, "gone": 0},
    ]
    assert list(Found(types=[{"counts": row} for row in counts]).grown_types().items()) == [
        ("event", [9, 90]),
        ("flow", [5, 8]),
    ]
    assert Found().grown_types() == {}
