"""The one function of health: from facts to a verdict, the same for every reader."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from ryu_vmmob.fabric.model import External
from ryu_vmmob.health.parts import Part, named, split
from ryu_vmmob.health.tiles import tiles
from ryu_vmmob.health.values import (
    STUCK_SECONDS,
    Facts,
    Health,
    Loudness,
    Reason,
    Standing,
    Status,
    SwitchFacts,
    Thing,
    Waiting,
)
from ryu_vmmob.model.exits import working_exits
from ryu_vmmob.model.state import State

_LOUDNESS: Final = {Loudness.BAD: 0, Loudness.WARN: 1}
_CONTROLLER: Final = Thing("controller", "")


def judge(facts: Facts) -> Health:
    """Return the level of health, and every reason for it. Pure."""
    parts = split(facts.state.fabric, facts.state.links_down)
    found = [*_controller(facts), *_switches(facts), *_network(facts.state, parts), *_moves(facts)]
    reasons = tuple(sorted(found, key=lambda row: (not row.blocks, _LOUDNESS.get(row.level, 2))))
    status = Status.READY
    if any(row.blocks for row in reasons):
        status = Status.NOT_READY
    elif reasons:
        status = Status.DEGRADED
    standings = {row.name: row.standing for row in facts.switches}
    return Health(status, reasons, tiles(facts, reasons), standings, parts)


def _controller(facts: Facts) -> Iterator[Reason]:
    if facts.store is not None:
        what = f"nothing can be changed: {facts.store}"
        yield Reason("store.failing", Loudness.BAD, what, (_CONTROLLER,), "vmmob events --types store", blocks=True)
    if facts.switches and not facts.has_met:
        what = "no switch has been brought in step since the controller started"
        yield Reason("controller.unmet", Loudness.BAD, what, (_CONTROLLER,), "vmmob switch list", blocks=True)


def _switches(facts: Facts) -> Iterator[Reason]:
    for row in facts.switches:
        about, ask = (Thing("switch", row.name),), f"vmmob switch show {row.name}"
        told = _standing(row)
        if told is not None:
            kind, level, what, blocks = told
            yield Reason(kind, level, what, about, ask, blocks)
        if row.foreign:
            what = f"switch {row.name} has {row.foreign} flow{_s(row.foreign)} in our tables that are not ours"
            yield Reason("switch.foreign_flows", Loudness.WARN, what, about, ask)
        if row.missing:
            ports = named(f"{number} ({attached})" for number, attached in row.missing.items())
            what = f"switch {row.name} has no port{_s(len(row.missing))} {ports}, which the fabric file names"
            yield Reason("switch.ports_missing", Loudness.WARN, what, about, ask)


def _standing(row: SwitchFacts) -> tuple[str, Loudness, str, bool] | None:
    match row.standing:
        case Standing.AWAY:
            what = f"switch {row.name} is not connected: it forwards what it has, and is told nothing"
            return "switch.away", Loudness.BAD, what, False
        case Standing.HELD:
            return "switch.held", Loudness.BAD, row.held or f"switch {row.name} is held", True
        case Standing.REFUSED:
            what = f"switch {row.name} refused {row.faults} of its flows or groups, the first with: {row.error}"
            return "switch.refused", Loudness.WARN, what, False
        case Standing.BEHIND:
            what = f"switch {row.name} is {row.behind} revision{_s(row.behind)} behind what was decided"
            return "switch.behind", Loudness.WARN, what, True
        case Standing.SETTLING:
            return "switch.settling", Loudness.NOTE, f"switch {row.name} has not confirmed the newest yet", True
    return None


def _network(state: State, parts: tuple[Part, ...]) -> Iterator[Reason]:
    if parts:
        words = " | ".join(map(str, parts))
        things = tuple(Thing("switch", name) for part in parts for name in part.edges)
        what = f"the fabric is split into parts that cannot reach each other: {words}"
        yield Reason("fabric.split", Loudness.BAD, what, things, "vmmob events --types link")
    for link in state.fabric.links:
        if link.name in state.links_down:
            what = f"link {link.a} to {link.b} is down"
            yield Reason("link.down", Loudness.WARN, what, (Thing("link", link.name),), "vmmob events --types link")
    for name, external in sorted(state.fabric.externals.items()):
        about = (Thing("external", name),)
        used = external.routing_domain in state.routed_cugs
        if name in state.externals_down:
            level = Loudness.BAD if used and _is_missed(state, external, dead=True) else Loudness.WARN
            what = f"external network {name}: its port {external.attach} is dead"
            yield Reason("external.down", level, what, about, "vmmob fabric show")
        elif used and external.next_hops and not any((name, hop) in state.neighbours for hop in external.next_hops):
            level = Loudness.BAD if _is_missed(state, external, dead=False) else Loudness.WARN
            what = f"external network {name}: no next hop answers"
            yield Reason("external.silent", level, what, about, "vmmob events --types neighbour")


def _is_missed(state: State, external: External, *, dead: bool) -> bool:
    """Whether something that an external network leads to is reached by no other way out now."""
    own = [address.network for address in external.addresses] if dead else []
    ways = [row.prefix for row in working_exits(state, external.routing_domain)]
    return any(not any(_covers(way, prefix) for way in ways) for prefix in (*external.prefixes, *own))


def _covers(way: IPv4Network | IPv6Network, prefix: IPv4Network | IPv6Network) -> bool:
    return way.version == prefix.version and prefix.subnet_of(way)  # type: ignore[arg-type]


def _moves(facts: Facts) -> Iterator[Reason]:
    for row in facts.moves:
        reason = _stuck(row, facts.now)
        if reason is not None:
            id_ = row.migration.id
            what = f"the move of {row.migration.vm} {reason}"
            yield Reason("move.stuck", Loudness.WARN, what, (Thing("migration", id_),), f"vmmob migration show {id_}")


def _stuck(row: Waiting, now: float) -> str | None:
    if row.overdue is not None:
        return f"stays open although its time is over: {row.overdue}"
    if row.pending and now - row.migration.timeline[-1].time >= STUCK_SECONDS:
        return f"waits for {', '.join(row.pending)} to confirm"
    return None


def _s(number: int) -> str:
    return "" if number == 1 else "s"
