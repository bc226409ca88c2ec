"""Calls made up from the description of the interface: good ones, bad ones, and sequences that follow its links.

schemathesis makes them up and holds every answer against the description. The seed is fixed, so a run can be
repeated with the same modules loaded: hypothesis takes constants from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import schemathesis
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from ryu_vmmob.rest.formats import MSGPACK
from tests.support.description import closed

SEED: Final = 20_201_111
NAMES: Final = ("web", "db", "web1", "web2", "web3", "web-in", "srv-a1", "srv-a2", "srv-b1", "srv-c1", "tor-a", "tor-c", "red")
TEXTS: Final = (
    *NAMES, "10.1.0.0/24", "10.2.0.0/16", "2001:db8:1::/64", "10.1.0.1", "10.1.0.11", "10.1.0.12", "2001:db8:1::11",
    "02:00:00:00:00:0b", "02:00:00:00:00:0c", "02:00:00:00:00:99", "80", "8000-8099", "internet-1",
)  # fmt: skip
_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    "cug": ("web", "db", "new"), "vm": ("web1", "web2", "web3", "web4", "new"), "policy": ("web-in", "new"),
    "server": ("srv-a1", "srv-a2", "srv-b1", "srv-c1"), "switch": ("tor-a", "tor-c"),
    "subnet": ("10.3.0.0/24", "2001:db8:3::/64"),
    "mac": ("02:00:00:00:03:01", "02:00:00:00:03:02"), "ip": ("10.1.0.31", "10.1.0.32", "10.2.0.33", "2001:db8:1::31"),
}  # fmt: skip
_IN_BODIES: Final = {
    "vm": "vm", "server": "server", "interfaces[*].cug": "cug", "interfaces[*].mac": "mac", "interfaces[*].ips[*]": "ip",
    "subnets[*]": "subnet", "from.vm": "vm", "to.ip": "ip", "to[*]": "server",
}  # fmt: skip
_OFTEN: Final = 0.8


ENTITY_TAGS: Final = "entity-tags"
_CONDITIONS: Final = frozenset({"If-Match", "If-None-Match"})
schemathesis.openapi.format(ENTITY_TAGS, st.sampled_from(("*", '"1"', 'W/"2"', '"3", "4"', '"~,!"')))


def callable_from(found: Any) -> Any:
    """The description, closed, with a format for the headers that are entity tags.

    schemathesis makes headers of letters and digits alone where it knows no format, and calls them valid.
    """
    found = closed(found)
    for path in found["paths"].values():
        for row in path.values():
            for parameter in row.get("parameters", []):
                if parameter["name"] in _CONDITIONS:
                    parameter["schema"]["format"] = ENTITY_TAGS
    return found


@schemathesis.serializer(MSGPACK)
def packed(ctx: Any, value: Any) -> bytes:
    """A body in MessagePack."""
    try:
        data: bytes = msgpack.packb(value)
    except (OverflowError, ValueError, TypeError):  # what MessagePack has not: large integers, say
        data = b"\xc1"
    return data


@schemathesis.deserializer(MSGPACK)
def unpacked(ctx: Any, response: Any) -> Any:
    """An answer in MessagePack."""
    return msgpack.unpackb(response.content)


def config(token: str, phases: Mapping[str, int | None]) -> SchemathesisConfig:
    """``phases``: how many calls of each operation in each phase, None where it says itself; the others are left out."""
    return SchemathesisConfig.from_dict({
        "seed": SEED,
        "workers": 1,
        "continue-on-failure": True,
        "headers": {"Authorization": f"Bearer {token}"},
        "dictionaries": {name: {"values": list(values)} for name, values in {**_KNOWN, "texts": TEXTS}.items()},
        "parameters": {
            **{f"path.{name}": _often(name) for name in ("cug", "vm", "policy", "server", "switch")},
            **{f"body.{place}": _often(name) for place, name in _IN_BODIES.items()},
        },
        "generation": {
            "deterministic": True, "database": "none", "no-shrink": True,
            "dictionaries": {"string": {"dictionary": "texts", "probability": 0.5}},
        },
        "phases": {
            name: {"enabled": name in phases}
            | ({"generation": {"max-examples": count}} if (count := phases.get(name)) is not None else {})
            for name in ("examples", "coverage", "fuzzing", "stateful")
        },
        "operations": [
            # Not to be ready is no failure.
            {"include-path": "/readyz", "checks": {
                "not_a_server_error": {"expected-statuses": ["2xx", "4xx", 503]},
                "positive_data_acceptance": {"expected-statuses": ["2xx", 503]},
            }},
            {"include-path": "/v1/migrations", "parameters": {"body.to": _often("server")}},
        ],
        "checks": {
            # What holds beside other objects no schema can say: it is a 404, 409, 412 or 422, and never a 400.
            "positive_data_acceptance": {"expected-statuses": ["2xx", 404, 409, 412, 422]},
            # It asks again without a token at every call, which is soon too often (429). Another test asks everything once.
            "ignored_auth": {"enabled": False},
        },
    })  # fmt: skip


def _often(name: str) -> dict[str, Any]:
    return {"dictionary": name, "probability": _OFTEN}


@dataclass
class Outcome:
    """What a run found: ``faults`` as sentences, and how many calls got which status, by operation."""

    faults: list[str] = field(default_factory=list)
    statuses: dict[str, Counter[int]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return sum(sum(row.values()) for row in self.statuses.values())


def run(schema: Any) -> Outcome:
    """Make the calls."""
    outcome = Outcome()
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            outcome.faults.append(f"{event.label}: {event.value!r}")
        if isinstance(event, events.ScenarioFinished):
            _note(event.recorder, outcome)
    return outcome


def _note(recorder: Any, outcome: Outcome) -> None:
    for id_, interaction in recorder.interactions.items():
        if interaction.response is not None:
            label = recorder.cases[id_].value.operation.label
            outcome.statuses.setdefault(label, Counter())[interaction.response.status_code] += 1
    for id_, checks in recorder.checks.items():
        for check in checks:
            if check.status is Status.FAILURE and not _is_too_often(recorder, id_, check):
                outcome.faults.append(_fault(recorder, id_, check))


def _is_too_often(recorder: Any, id_: str, check: Any) -> bool:
    """Whether a call without a token got a 429 where the check knows of 401 only: the one is as right as the other."""
    answer = recorder.interactions[id_].response
    return check.name == "missing_required_header" and answer is not None and answer.status_code == 429


def _fault(recorder: Any, id_: str, check: Any) -> str:
    case = recorder.cases[id_].value
    failure = check.failure_info.failure
    request = recorder.interactions[id_].request
    answer = recorder.interactions[id_].response
    sent = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
    said = f"{answer.status_code} {answer.content[:300]!r}" if answer is not None else "no answer"
    first = f"{case.operation.label}: {check.name}: {failure.title}: {failure.message}"
    return f"{first}\n  {request.method} {request.uri} {sent} {str(request.body)[:500]}\n  {said}"


def show(faults: Iterable[str]) -> str:
    """The first few, for a failed test."""
    rows = list(faults)
    return f"{len(rows)} faults\n" + "\n".join(rows[:12])
