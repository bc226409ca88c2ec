"""``/metrics``: numbers for Prometheus. The only place that knows its client library.

What can be read off the engine is read at each scrape (`engine.readings`); what happens in between, such as how long a
commit took, is told to `Metrics` as it happens.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ryu_vmmob import __version__
from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.readings import Reading, Readings
from ryu_vmmob.model.objects import Migration, Phase

MEDIA_TYPES: Final = ("text/plain", "application/openmetrics-text")
"""What ``/metrics`` may answer with; which, ``Accept`` decides. Text when it names neither."""
METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})
NO_ROUTE: Final = "none"
"""The route of a request that has none (404, or refused before it was looked for), and of the dashboard's files."""

_STEP_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_STORE_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_REST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_DELAY_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_RYU: Final = importlib.metadata.version("ryu")
"""Looked for once: each search reads folders, and leaves objects in cycles."""


class Refused(NamedTuple):
    """Messages of switches that Ryu's parser was kept from; the same as `compat.Refusals`."""

    malformed: int
    too_slow: int


def nothing_refused() -> tuple[int, int]:
    """For a controller without connections."""
    return Refused(0, 0)


class Metrics:
    """The registry of one controller.

    ``refused`` says how many messages were malformed, and how many took too long to parse.
    """

    def __init__(self, refused: Callable[[], tuple[int, int]] = nothing_refused) -> None:
        # When a counter began is of no use with a scrape a minute, and doubles the answer.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._refused = refused
        self._readings: list[Readings] = []
        self._begun = Counter("vmmob_migrations_begun", "migrations begun, by mode", ("mode",), registry=self.registry)
        self._ended = Counter("vmmob_migrations_ended", "migrations over, by outcome", ("outcome",), registry=self.registry)
        self._steps = Histogram(
            "vmmob_migration_seconds", "time from the beginning of a migration to the state `state`", ("state",),
            buckets=_STEP_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._commits = Histogram(
            "vmmob_store_commit_seconds", "time that a commit takes until it is durable, those that fail included",
            buckets=_STORE_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._failures = Counter("vmmob_store_failures", "commits that the store did not take", registry=self.registry)
        self._requests = Counter(
            "vmmob_rest_requests", "requests answered, by method, route and status", ("method", "route", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._latency = Histogram(
            "vmmob_rest_request_seconds", "time to answer a request; with `?wait` the wait is part of it", ("method", "route"),
            buckets=_REST_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._delay = Histogram(
            "vmmob_loop_delay_seconds", "how much later than wanted the controller looked for what is due (twice a second)",
            buckets=_DELAY_SECONDS, registry=self.registry,
        )  # fmt: skip
        # So that the first of a kind is an increase: a series that begins with 1 is none to Prometheus.
        for mode in ("hot", "cold"):
            self._begun.labels(mode)
        for phase in Phase:
            if phase.is_final:
                self._ended.labels(phase.value)
            if phase in _TIMED:
                self._steps.labels(phase.value)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_Numbers(self))

    def watch(self, engine: Engine) -> None:
        """Have the numbers of ``engine`` in the answer; one engine for each `Metrics`."""
        self._readings = [Readings(engine)]
        engine.on_step.add(self._step)

    def readings(self) -> Iterator[Reading]:
        """Yield what is read at each scrape."""
        build = (__version__, platform.python_version(), _RYU)
        yield Reading(
            "vmmob_build_info", "gauge", "always 1: the versions that run", ("version", "python", "ryu"), [(build, 1)]
        )
        refused = Refused(*self._refused())
        yield Reading(
            "vmmob_openflow_refused_total", "counter", "messages of switches not parsed to the end; each ended its connection",
            ("reason",), [((name,), number) for name, number in refused._asdict().items()],
        )  # fmt: skip
        for row in self._readings:
            yield from row.take()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the answer to a scrape with this ``Accept`` header, and its content type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type

    # What happens

    def _step(self, migration: Migration) -> None:
        # The phase that it has come to: a delivery is a step within one that was entered before.
        phase = migration.timeline[-1].phase
        if phase is Phase.PREPARING:
            self._begun.labels(migration.mode).inc()
        elif phase in _TIMED and not migration.is_returning:
            self._steps.labels(phase.value).observe(max(0.0, migration.timeline[-1].time - migration.started))
        if phase.is_final:
            self._ended.labels(phase.value).inc()

    def stored(self, seconds: float, taken: bool) -> None:  # noqa: FBT001  (a callback)
        """Count a commit that ended; `store.timed`."""
        self._commits.observe(seconds)
        if not taken:
            self._failures.inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered. ``route`` is the pattern of its path, or `NO_ROUTE`."""
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)

    def delayed(self, seconds: float) -> None:
        """Something that was due came so much later."""
        self._delay.observe(max(0.0, seconds))


_TIMED: Final = (Phase.PREPARED, Phase.ACTIVATED, Phase.COMMITTED)


class _Numbers(Collector):
    """Readings as the library wants them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Nothing: names clash nowhere, and a registration must not read the engine."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for row in self._metrics.readings():
            make = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
            family = make(row.name, row.says, labels=row.labels)
            for labels, value in row.samples:
                family.add_metric(labels, float(value))
            yield family
