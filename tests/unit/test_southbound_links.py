"""Which links are down: believed as told, as stored, or as seen last; up only after a while."""

from __future__ import annotations

from dataclasses import replace

from ryu_vmmob.fabric.model import Link, PortRef, Role, Switch
from ryu_vmmob.southbound.links import LinkWatch
from tests.support.fabrics import two_racks

A, B = "spine:1=tor-a:49", "spine:2=tor-b:49"
NOBODY: frozenset[str] = frozenset()


def watch(down: frozenset[str] = NOBODY, *, told: bool = True) -> LinkWatch:
    """A watch with a delay of 5 s; with ``told`` every switch has said at second 0 that all its ports are up."""
    made = LinkWatch(two_racks(), down, 5.0)
    if told:
        for switch, ports in {"tor-a": (1, 2, 3, 49), "spine": (1, 2), "tor-b": (1, 2, 3, 4, 49)}.items():
            connect(made, switch, *ports)
    return made


def connect(made: LinkWatch, switch: str, *up: int, down: tuple[int, ...] = (), now: float = 0.0) -> None:
    for port in (*up, *down):
        made.port(switch, port, up=port in up, now=now)
    made.ports_known(switch, (*up, *down))


def test_before_anybody_speaks_it_is_as_stored() -> None:
    made = watch(frozenset({B}), told=False)
    assert made.down(0.0) == {B}
    assert made.down(100.0) == {B}


def test_all_up() -> None:
    assert watch().down(0.0) == NOBODY


def test_one_end_down_is_enough_and_counts_at_once() -> None:
    made = watch()
    made.port("spine", 1, up=False, now=10.0)
    assert made.down(10.0) == {A}


def test_up_again_counts_after_the_delay() -> None:
    made = watch()
    made.port("spine", 1, up=False, now=10.0)
    made.port("spine", 1, up=True, now=11.0)
    assert made.down(15.9) == {A}
    assert made.down(16.0) == NOBODY


def test_up_told_twice_does_not_start_the_delay_anew() -> None:
    made = watch()
    made.port("spine", 1, up=False, now=10.0)
    made.port("spine", 1, up=True, now=11.0)
    made.port("spine", 1, up=True, now=15.0)
    assert made.down(16.0) == NOBODY


def test_a_flapping_link_stays_down() -> None:
    made = watch()
    for second in range(10, 60, 4):
        made.port("tor-a", 49, up=False, now=second)
        made.port("tor-a", 49, up=True, now=second + 1)
        assert made.down(second + 3) == {A}


def test_both_ends_wait_for_themselves() -> None:
    made = watch()
    for switch, port, second in (("tor-a", 49, 20.0), ("spine", 1, 23.0)):
        made.port(switch, port, up=False, now=10.0)
        made.port(switch, port, up=True, now=second)
    assert made.down(27.0) == {A}
    assert made.down(28.0) == NOBODY


def test_a_stored_failure_lasts_until_both_switches_have_spoken() -> None:
    made = watch(frozenset({A}), told=False)
    connect(made, "tor-a", 1, 2, 3, 49)
    assert made.down(0.0) == {A}
    connect(made, "spine", 1, 2)
    assert made.down(0.0) == NOBODY


def test_a_port_that_is_not_there_is_down() -> None:
    made = watch(told=False)
    connect(made, "tor-a", 1, 2, 3, 49)
    connect(made, "spine", 2)
    assert made.down(0.0) == {A}
    made.port("spine", 1, up=True, now=30.0)
    assert made.down(35.0) == NOBODY


def test_a_switch_that_is_away_is_believed_as_it_was_seen_last() -> None:
    made = watch()
    made.port("tor-b", 49, up=False, now=10.0)
    assert made.down(1000.0) == {B}


def test_a_port_that_vanished_while_its_switch_was_away_is_down() -> None:
    """On a new connection a switch names all its ports: what it said over the last one is void."""
    made = watch()
    connect(made, "spine", 2, now=50.0)
    assert made.down(60.0) == {A}
    connect(made, "spine", 1, 2, now=70.0)
    assert made.down(75.0) == NOBODY


def test_a_reconnection_with_the_same_ports_changes_nothing() -> None:
    made = watch()
    connect(made, "spine", 1, 2, now=50.0)
    assert made.down(50.0) == NOBODY


def test_a_link_that_failed_while_its_switch_was_away_waits_when_it_is_back() -> None:
    made = watch()
    connect(made, "spine", 2, down=(1,), now=50.0)
    assert made.down(50.0) == {A}
    connect(made, "spine", 1, 2, now=60.0)
    assert made.down(64.0) == {A}
    assert made.down(65.0) == NOBODY


def test_server_ports_and_unknown_ports_mean_nothing() -> None:
    made = watch()
    made.port("tor-a", 1, up=False, now=10.0)
    made.port("tor-a", 4711, up=False, now=10.0)
    made.port("elsewhere", 1, up=False, now=10.0)
    assert made.down(10.0) == NOBODY


def test_another_fabric_is_believed_from_what_was_said_before() -> None:
    made = watch()
    fabric = two_racks()
    made.port("tor-a", 50, up=True, now=0.0)
    made.port("tor-b", 50, up=True, now=0.0)
    new = Link(PortRef("tor-a", 50), PortRef("tor-b", 50), "core")
    absent = Link(PortRef("tor-a", 51), PortRef("tor-b", 51), "core")
    stranger = Link(PortRef("tor-a", 3), PortRef("tor-x", 1), "core")
    switches = {**fabric.switches, "tor-x": Switch("tor-x", 9, Role.TOR, "core", "dc1")}
    fabric = replace(fabric, switches=switches, links=(*fabric.links, new, absent, stranger))
    made.use(fabric, frozenset({new.name, absent.name, stranger.name}))
    assert made.down(0.0) == {absent.name, stranger.name}
    made.port("tor-x", 1, up=True, now=1.0)
    made.ports_known("tor-x", (1,))
    assert made.down(1.0) == {absent.name}


def test_a_switch_that_is_gone_has_said_nothing() -> None:
    made = watch()
    fabric = two_racks()
    gone = replace(
        fabric, switches={name: row for name, row in fabric.switches.items() if name != "tor-b"}, links=fabric.links[:1],
        servers={name: row for name, row in fabric.servers.items() if row.switch != "tor-b"},
    )  # fmt: skip
    made.use(gone, NOBODY)
    assert made.down(0.0) == NOBODY
    made.use(fabric, frozenset({B}))
    assert made.down(0.0) == {B}
