"""docs/fabric.md and the code say the same: rules, severities, keys, and every example does what it claims."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from ryu_vmmob import fabric
from ryu_vmmob.fabric import schema
from ryu_vmmob.fabric.rules import Rule
from tests.support.fabric_examples import DOCUMENT, RuleDoc, complete, documented_rules

RULES = documented_rules()
WITH_EXAMPLES = [doc for doc in RULES if doc.bad is not None]
APPENDED = {"too-large", "yaml-syntax", "yaml-tag", "duplicate-key"}
"""Rules about the text itself: their examples stand at the end of the file."""
PROSE = {"file-unreadable", "not-utf8"}
"""Rules that no YAML text can break; ``test_fabric_loader`` breaks them."""


def test_document_lists_exactly_the_rules_of_the_code() -> None:
    assert [(doc.rule, doc.severity) for doc in RULES] == [(rule.label, rule.severity.value) for rule in Rule]


def test_document_states_each_rule_as_the_code_does() -> None:
    for doc, rule in zip(RULES, Rule, strict=True):
        assert doc.text.startswith(f"{rule.sentence}.")


def test_only_rules_about_the_bytes_have_no_yaml_example() -> None:
    assert {doc.rule for doc in RULES if doc.bad is None} == PROSE


@pytest.mark.parametrize("doc", WITH_EXAMPLES, ids=lambda doc: doc.rule)
def test_bad_example_breaks_its_rule_and_no_other(doc: RuleDoc) -> None:
    assert doc.bad is not None
    found = fabric.check(complete(doc.bad, append=doc.rule in APPENDED))
    assert {(finding.rule, finding.severity.value) for finding in found} == {(doc.rule, doc.severity)}


@pytest.mark.parametrize("doc", WITH_EXAMPLES, ids=lambda doc: doc.rule)
def test_good_example_has_no_findings(doc: RuleDoc) -> None:
    assert doc.good is not None
    assert fabric.check(complete(doc.good, append=doc.rule in APPENDED)) == ()


def test_document_lists_exactly_the_keys_of_the_schema() -> None:
    rows = re.findall(r"^\| (\(top\)|`\w+`) \| `(\w+)` \| (yes|no) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    models: dict[str, type[BaseModel]] = {
        "(top)": schema._Top,
        "`data_centers`": schema.DataCenterDoc,
        "`l2_domains`": schema.L2DomainDoc,
        "`switches`": schema.SwitchDoc,
        "`links`": schema.LinkDoc,
        "`servers`": schema.ServerDoc,
        "`externals`": schema.ExternalDoc,
    }
    expected = {
        (section, key, "yes" if info.is_required() else "no")
        for section, model in models.items()
        for key, info in model.model_fields.items()
    }
    assert len(rows) == len(set(rows))
    assert set(rows) == expected


def test_every_value_that_a_key_may_have_is_told() -> None:
    told = 0
    for model in (schema.L2DomainDoc, schema.SwitchDoc, schema.ServerDoc):
        for info in model.model_fields.values():
            for value in re.findall(r"'(\w+)'", str(info.annotation)) if "Literal" in str(info.annotation) else ():
                assert f"`{value}`" in str(info.description)
                told += 1
    assert told >= 10
