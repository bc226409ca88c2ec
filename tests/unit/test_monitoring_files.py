"""The Grafana dashboard, the alert rules and the pages about them speak of metrics and labels that there are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from ryu_vmmob.rest.app import ROUTES

ROOT = Path(__file__).parents[2]
RULES = YAML(typ="safe").load((ROOT / "etc" / "prometheus" / "vmmob-rules.yaml").read_text(encoding="utf-8"))
BOARD = json.loads((ROOT / "etc" / "grafana" / "vmmob.json").read_text(encoding="utf-8"))
METRICS_PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
OF_PROMETHEUS = frozenset({"instance", "job"})
_NAME = re.compile(r"\b(?:vmmob|process|python)_\w+")
_SELECTOR = re.compile(r"\b((?:vmmob|process|python)_\w+)\{([^{}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")
_DURATION = re.compile(r"\d+[smhd]")


class Described(NamedTuple):
    kind: str
    labels: frozenset[str]


def described() -> dict[str, Described]:
    """Every metric of docs/metrics.md, which another test holds against the code."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| .+ \|$", METRICS_PAGE, re.MULTILINE)
    return {name: Described(kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


METRICS = described()


def metric(name: str) -> Described:
    """What a name in an expression is; KeyError when there is no such thing."""
    if name in METRICS:
        assert METRICS[name].kind != "histogram", f"{name}: of a histogram there are only _bucket, _count and _sum"
        return METRICS[name]
    base, _, part = name.rpartition("_")
    found = METRICS[base]
    assert found.kind == "histogram"
    assert part in ("bucket", "count", "sum")
    return found._replace(labels=found.labels | {"le"} if part == "bucket" else found.labels)


def expressions() -> Iterator[tuple[str, str]]:
    """(where, expression) of every alert, panel, variable and annotation."""
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for row in BOARD["annotations"]["list"]:
        yield row["name"], row["expr"]


EXPRESSIONS = list(expressions())


def test_there_is_something_to_look_at() -> None:
    assert len(METRICS) > 40
    assert len(ALERTS) > 20
    assert len(PANELS) > 30
    assert all(name.startswith(("vmmob_", "process_", "python_")) for name in METRICS)


def test_the_table_of_metrics_is_current() -> None:
    tool = ROOT / "tools" / "dump_metrics.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run tools/dump_metrics.py\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(("where", "text"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS])
def test_every_name_and_label_is_real(where: str, text: str) -> None:
    names = _NAME.findall(text)
    known = frozenset().union(*(metric(name).labels for name in names)) | OF_PROMETHEUS
    for name, selector in _SELECTOR.findall(text):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        assert labels <= metric(name).labels | OF_PROMETHEUS, f"{where}: {name}"
    for group in _BY.findall(text):
        assert set(group.replace(" ", "").split(",")) <= known, where
    # Rates are of counters, and of histograms' parts.
    for name in re.findall(r"\b(?:rate|increase)\(((?:vmmob|process|python)_\w+)", text):
        assert metric(name).kind in ("counter", "histogram"), f"{where}: {name}"
    assert text.count("(") == text.count(")")
    assert names or text.startswith(("up{", "min(up{")), where


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_whole(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Vmmob[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert _DURATION.fullmatch(rule.get("for", "0s"))
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    # What a text mentions, the outcome of the expression must still have.
    groups = [set(group.replace(" ", "").split(",")) for group in _BY.findall(rule["expr"])]
    kept = frozenset.intersection(*map(frozenset, groups)) if groups else None
    names = _NAME.findall(rule["expr"])
    for name in re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])):
        if kept is not None:
            assert name in kept, f"{rule['alert']}: {name}"
        else:
            assert all(name in metric(row).labels | OF_PROMETHEUS for row in names), f"{rule['alert']}: {name}"
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operations.md"
    assert anchor == rule["alert"].lower()


def test_every_alert_is_explained_and_nothing_else() -> None:
    headings = re.findall(r"^### (Vmmob\w+)$", OPERATIONS, re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in ALERTS)
    assert len(set(headings)) == len(headings)
    sections = re.split(r"^### Vmmob\w+$", OPERATIONS, flags=re.MULTILINE)[1:]
    for name, section in zip(headings, sections, strict=True):
        assert section.strip().startswith("*"), f"{name}: what it means comes first"
        mentioned = set(re.findall(r"\bVmmob[A-Z]\w+", section))
        assert mentioned <= set(headings), name


def test_the_panels_fit_together() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "the import chooses the data source"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_the_dashboards_variables_are_there() -> None:
    variables = {row["name"]: row for row in BOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([panel.get("targets") for panel in PANELS]))) - {"__rate_interval"}
    assert used == set(variables)
    for row in variables.values():
        if row["type"] == "query":
            name, label = re.findall(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", row["definition"])[0]
            assert label in metric(name).labels | OF_PROMETHEUS


def test_every_metric_of_ours_is_shown() -> None:
    """What nobody looks at need not be counted."""
    shown = {name for _, text in EXPRESSIONS for name in _NAME.findall(text)}
    bases = shown | {name.rpartition("_")[0] for name in shown}
    assert {name for name in METRICS if name.startswith("vmmob_")} - bases == set()


def test_routes_in_expressions_are_real() -> None:
    named = {route for _, text in EXPRESSIONS for route in re.findall(r'route\S?="([^"]+)"', text)}
    assert named
    assert named <= {route.pattern for route in ROUTES}
