"""docs/security.md names tests that are there, options that are there, and limits as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

from oslo_config import cfg

from ryu_vmmob import options
from ryu_vmmob.apps.rest_server import LEFT_OVER, Pace
from ryu_vmmob.rest import rates, routes, tokens
from ryu_vmmob.rest.formats import MAX_DEPTH

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_the_tests_it_names_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 25
    for file, function in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in text, f"{file}::{function}"


def test_the_limits_it_names_are_those_of_the_code() -> None:
    conf = cfg.ConfigOpts()
    options.register(conf)
    conf([])
    group, pace = conf[options.GROUP], Pace()
    for text in (
        f"`rest_rate` a second ({group.rest_rate:g})",
        f"`rest_connections` ({group.rest_connections})",
        f"{rates.FAILURES[1]:g} at once, {rates.FAILURES[0]:g} a second",
        f"for the headers | {pace.head:g} s each",
        f"in all | {pace.body:g} s",
        f"of one connection | {pace.idle:g} s",
        f"{LEFT_OVER >> 20} MiB or {pace.left_over:g} s",
        f"body | {routes.SMALL_BODY >> 20} MiB; `/v1/bulk` {routes.LARGE_BODY >> 20} MiB",
        f"nesting of a body | {MAX_DEPTH}",
        f"less than {tokens.SHORTEST_SAFE} characters",
    ):
        assert text in PAGE, text
    assert pace.handshake == pace.head
    assert rates.BURST == 4
