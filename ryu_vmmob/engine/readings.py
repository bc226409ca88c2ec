"""Metrics that are read off the engine at each scrape: names, labels and values, and no library.

What it costs depends on the switches, servers and links of the fabric, not on how many VMs or flows there are. Labels are names
out of the fabric file and words of our own only, so neither a client nor a frame can make their number grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from immutables import Map

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.event_kinds import KINDS
from ryu_vmmob.engine.fleet import Place
from ryu_vmmob.engine.roles import Role
from ryu_vmmob.engine.tally import DROPS, SENT
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.health import REASONS, Status
from ryu_vmmob.model.migration_steps import Stage, stage

UNDER_WAY: Final = (Stage.PREPARING, Stage.PREPARED, Stage.DELIVERED, Stage.ACTIVATED, Stage.RETURNING)


class Reading(NamedTuple):
    """One metric: counters only go up while the controller lives. Each sample has the values of ``labels``, and a number."""

    name: str
    kind: Literal["counter", "gauge"]
    says: str
    labels: tuple[str, ...]
    samples: Iterable[tuple[tuple[str, ...], float]]


class Readings:
    """The readings of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holders: Map[tuple[str, int], int] = Map()
        self._vlan_ids: Counter[str] = Counter()

    def take(self) -> Iterator[Reading]:
        """All of them; ages by the engine's clock, on which the times in the state are."""
        now = self._engine.clock()
        yield from self._whole(now)
        yield from self._fabric()
        yield from self._switches(now)
        yield from self._traffic()

    def _whole(self, now: float) -> Iterator[Reading]:
        engine, state = self._engine, self._engine.state
        yield Reading("vmmob_revision", "gauge", "newest revision decided", (), [((), state.revision)])
        health = engine.health()
        kinds = Counter(row.kind for row in health.troubles)
        yield Reading(
            "vmmob_health", "gauge", "1: what /readyz says", ("status",),
            [((row.value,), row is health.status) for row in Status],
        )  # fmt: skip
        yield Reading(
            "vmmob_health_reasons", "gauge", "why not all is well, by kind (docs/rest.md)", ("kind",),
            [((kind,), kinds[kind]) for kind in REASONS],
        )  # fmt: skip
        numbers = {
            "cug": state.cugs, "vm": state.vms, "policy": state.policies, "routing_domain": state.routing_domains,
        }  # fmt: skip
        yield Reading(
            "vmmob_objects", "gauge", "objects there are, by kind", ("kind",),
            [((kind,), len(rows)) for kind, rows in numbers.items()],
        )  # fmt: skip
        moving = [state.migrations[id_] for id_ in engine.under_way]
        stages = Counter(stage(row) for row in moving)
        yield Reading(
            "vmmob_migrations", "gauge",
            "migrations under way, by state; `delivered`: its source has paused, `returning`: it is undone", ("state",),
            [((row.value,), stages[row]) for row in UNDER_WAY],
        )  # fmt: skip
        oldest = dict.fromkeys(UNDER_WAY, 0.0)
        for row in moving:
            oldest[stage(row)] = max(oldest[stage(row)], now - row.timeline[-1].time)
        yield Reading(
            "vmmob_migration_oldest_seconds", "gauge",
            "how long the migration that is longest in a state has been in it, in seconds; 0: none is", ("state",),
            [((row.value,), seconds) for row, seconds in oldest.items()],
        )  # fmt: skip
        yield Reading(
            "vmmob_events_total", "counter", "events told, by kind (docs/rest.md)", ("event",),
            [((kind,), engine.events.counts[kind]) for kind in sorted({*KINDS, *engine.events.counts})],
        )  # fmt: skip
        yield Reading(
            "vmmob_event_listeners", "gauge", "clients that listen to /v1/events", (), [((), engine.events.listeners)]
        )

    def _fabric(self) -> Iterator[Reading]:
        state = self._engine.state
        fabric = state.fabric
        yield Reading(
            "vmmob_link_up", "gauge", "1: the link carries traffic", ("link",),
            [((row.name,), row.name not in state.links_down) for row in fabric.links],
        )  # fmt: skip
        yield Reading(
            "vmmob_external_up", "gauge", "1: the port of the external network is alive", ("external",),
            [((name,), name not in state.externals_down) for name in sorted(fabric.externals)],
        )  # fmt: skip
        if state.holders is not self._holders:
            self._holders, self._vlan_ids = state.holders, Counter(domain for domain, _ in state.holders)
        domains = sorted(fabric.l2_domains)
        yield Reading(
            "vmmob_vlan_ids_taken", "gauge", "VLAN-IDs of an L2 domain that are in use or in quarantine", ("l2_domain",),
            [((name,), self._vlan_ids[name]) for name in domains],
        )  # fmt: skip
        yield Reading(
            "vmmob_vlan_ids", "gauge", "VLAN-IDs that an L2 domain has", ("l2_domain",),
            [((name,), len(fabric.l2_domains[name].vlan_ids)) for name in domains],
        )  # fmt: skip

    def _switches(self, now: float) -> Iterator[Reading]:
        engine = self._engine
        names = engine.fleet.names
        status = {name: engine.fleet.status(name) for name in names}
        by_switch = ("switch",)
        yield Reading(
            "vmmob_switch_connected", "gauge", "1: the switch is connected", by_switch,
            [((name,), row.connected) for name, row in status.items()],
        )  # fmt: skip
        yield Reading(
            "vmmob_switch_in_step", "gauge", "1: it has confirmed everything, and refused nothing", by_switch,
            [((name,), row.in_step) for name, row in status.items()],
        )  # fmt: skip
        yield Reading(
            "vmmob_switch_behind_revisions", "gauge", "revisions decided that it has not confirmed", by_switch,
            [((name,), row.behind) for name, row in status.items()],
        )  # fmt: skip
        yield Reading(
            "vmmob_switch_faults", "gauge", "flows and groups that it refuses now", by_switch,
            [((name,), len(row.faults)) for name, row in status.items()],
        )  # fmt: skip
        yield Reading(
            "vmmob_switch_refused", "gauge", "1: it has confirmed everything but what it refuses or does not keep", by_switch,
            [((name,), row.place is Place.REFUSED) for name, row in status.items()],
        )  # fmt: skip
        yield Reading(
            "vmmob_switch_other_controller", "gauge", "1: another controller is its master, so it is held", by_switch,
            [((name,), status[name].connected and engine.roles.role(name) is Role.SLAVE) for name in names],
        )  # fmt: skip
        tables = {name: engine.desired.tables.get(name) for name in names}
        yield Reading(
            "vmmob_flows", "gauge", "flows that it should have, by table", ("switch", "table"),
            [
                ((name, table.label), rows.by_table[table] if rows is not None else 0)
                for name, rows in tables.items() for table in TABLES
            ],
        )  # fmt: skip
        yield Reading(
            "vmmob_groups", "gauge", "groups that it should have", by_switch,
            [((name,), len(rows.groups) if rows is not None else 0) for name, rows in tables.items()],
        )  # fmt: skip
        repairs = engine.repairs
        yield Reading(
            "vmmob_repairs_total", "counter",
            "flows, groups, meters and fragment modes that audits found wrong and put right, by what (`kind`) and how it was"
            " wrong (`wrong`)",
            ("switch", "kind", "wrong"),
            [
                ((name, kind, wrong), number)
                for name in names for kind, rows in repairs.counts(name).items() for wrong, number in rows.items()
            ],
        )  # fmt: skip
        yield Reading(
            "vmmob_audits_total", "counter", "comparisons with what it should have, also at each connection", by_switch,
            [((name,), repairs.audits(name)) for name in names],
        )  # fmt: skip
        yield Reading(
            "vmmob_audit_age_seconds", "gauge", "seconds since the last comparison; no sample before the first", by_switch,
            [((name,), now - last) for name in names if (last := repairs.last(name)) is not None],
        )  # fmt: skip
        yield Reading(
            "vmmob_foreign_flows", "gauge", "flows in our tables that are not ours, as the last comparison saw", by_switch,
            [((name,), repairs.foreign(name)) for name in names],
        )  # fmt: skip

    def _traffic(self) -> Iterator[Reading]:
        engine, tally = self._engine, self._engine.tally
        names = engine.fleet.names
        yield Reading(
            "vmmob_messages_sent_total", "counter",
            "flow-mods, group-mods, meter-mods and packet-outs sent; those sent again after a bundle was refused count again",
            ("switch", "kind"), [((name, kind), tally.sent[name, kind]) for name in names for kind in SENT],
        )  # fmt: skip
        yield Reading(
            "vmmob_frames_sent_on_total", "counter",
            "frames that reached the source of a move after its pause, by the switch that sent them on to the target",
            ("switch",), [((name,), tally.sent_on[name]) for name in names],
        )  # fmt: skip
        yield Reading(
            "vmmob_packets_in_total", "counter", "packets handed up, by the table whose flow did (docs/pipeline.md)",
            ("switch", "table"), [((name, row.label), tally.packets[name, row.label]) for name in names for row in TABLES],
        )  # fmt: skip
        yield Reading(
            "vmmob_drops_total", "counter", "what the controller dropped, by reason (below)", ("switch", "reason"),
            [
                ((name, reason), engine.fleet.dropped[name] if reason == "unread" else tally.drops[name, reason])
                for name in names for reason in DROPS
            ],
        )  # fmt: skip
        fabric = engine.state.fabric
        yield Reading(
            "vmmob_frames_refused_total", "counter", "frames that no interface may send, as the switches count, by server",
            ("server", "switch"),
            [((name, row.switch), engine.refusals.counts[name]) for name, row in sorted(fabric.servers.items())],
        )  # fmt: skip
