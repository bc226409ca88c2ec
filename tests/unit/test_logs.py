"""The log's two forms: what each line has, for our lines, for events and for anybody else's."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from ryu_vmmob import logs
from ryu_vmmob.engine.event_kinds import KINDS
from ryu_vmmob.engine.event_log import log_event
from ryu_vmmob.model.draft import Event
from tests.support.rest_service import TOKEN, Service


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """What a handler of the root logger writes; the others are left as they are."""
    root, stream = logging.getLogger(), io.StringIO()
    kept, level = root.handlers[:], root.level
    root.handlers[:] = [logging.StreamHandler(stream)]
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.handlers[:] = kept
        root.setLevel(level)


def rows(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_has_its_particulars(out: io.StringIO) -> None:
    logs.use(logs.JSON)
    log_event(Event("migration.aborted", {"id": "m-1", "vm": "web1", "reason": 'said "no"\nand left'}))
    (row,) = rows(out)
    assert row["time"].endswith("Z")
    assert {key: row[key] for key in row.keys() - {"time"}} == {
        "level": "warning", "logger": "ryu_vmmob.engine.event_log", "event": "migration.aborted", "migration": "m-1",
        "vm": "web1", "reason": 'said "no"\nand left',
    }  # fmt: skip


def test_what_an_event_does_not_know_is_left_out(out: io.StringIO) -> None:
    logs.use(logs.JSON)
    log_event(Event("migration.prepared", {"id": "m-1", "vm": "web1", "reason": None}))
    (row,) = rows(out)
    assert row["level"] == "info"
    assert "reason" not in row


def test_anybodys_lines_and_tracebacks(out: io.StringIO) -> None:
    logs.use(logs.JSON)
    logging.getLogger("ryu.base.app_manager").info("loading app %s", "x")
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("eventlet").exception("it failed")
    first, second = rows(out)
    assert (first["logger"], first["message"], first["level"]) == ("ryu.base.app_manager", "loading app x", "info")
    assert "exception" not in first
    assert second["message"] == "it failed"
    assert second["exception"].endswith("ValueError: wrong")


def test_a_logger_about_a_switch(out: io.StringIO) -> None:
    logs.use(logs.JSON)
    logs.about(logging.getLogger("x"), switch="tor-a").warning("switch %s: %s", "tor-a", "gone")
    (row,) = rows(out)
    assert (row["switch"], row["message"], row["level"]) == ("tor-a", "switch tor-a: gone", "warning")


def test_lines_for_people(out: io.StringIO) -> None:
    logs.use(logs.CONSOLE)
    log_event(Event("switch.held", {"switch": "tor-a", "foreign": 3}))
    logging.getLogger("ryu").info("hello")
    first, second = out.getvalue().splitlines()
    assert first.endswith("Z ERROR   switch.held switch=tor-a foreign=3")
    assert second.endswith("Z INFO    hello")


def test_another_form_is_refused(out: io.StringIO) -> None:
    with pytest.raises(ValueError, match="console or json"):
        logs.use("xml")


def test_the_managers_first_lines_are_in_the_form_asked_for(out: io.StringIO) -> None:
    """As `ryu.log.init_log` does it: the handler is made only then."""
    made = io.StringIO()

    def begin() -> None:
        logging.getLogger().handlers[:] = [logging.StreamHandler(made)]

    logs.follow(begin, lambda: None)()
    logging.getLogger("ryu").info("plain")
    assert made.getvalue() == "plain\n"
    logs.follow(begin, lambda: logs.JSON)()
    logging.getLogger("ryu").info("loading")
    assert json.loads(made.getvalue().splitlines()[1])["message"] == "loading"


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_is_logged_at_the_level_of_its_kind(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_event(Event(kind, {}))
    named = {"info": "INFO", "success": "INFO", "warning": "WARNING", "error": "ERROR"}
    assert [row.levelname for row in caplog.records] == [named[KINDS[kind].level]]


def test_no_token_is_logged(out: io.StringIO) -> None:
    logs.use(logs.JSON)
    logging.getLogger().setLevel(logging.DEBUG)
    service = Service().with_web()
    service.engine.on_event.add(log_event)
    service.connect()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    service.ask("GET", "/v1/vms", Authorization=f"Bearer {TOKEN}x")
    service.ask("GET", f"/v1/vms?token={TOKEN}")
    service.confirm()
    assert any(row.get("event") == "migration.prepared" for row in rows(out))
    assert TOKEN not in out.getvalue()


def test_a_stranger_can_cause_some_lines_only(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    refused = logs.Sparing(logging.getLogger("vmmob.test"), lines=2, seconds=60, clock=lambda: now[0])
    assert [refused("number %d", number) for number in range(5)] == [True, True, False, False, False]
    now[0] += 59
    assert not refused("number %d", 5)
    now[0] += 1
    assert refused("number %d", 6)
    now[0] += 60
    assert refused("number %d", 7)
    assert caplog.messages == [
        "number 0", "number 1", "4 more lines of the following kind were left out", "number 6", "number 7",
    ]  # fmt: skip
