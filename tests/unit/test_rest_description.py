"""``/openapi.json``: valid, whole, the same every time; and that answers are held against it at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31
from webob import Response

from ryu_vmmob.rest import bodies
from ryu_vmmob.rest.app import ROUTES
from ryu_vmmob.rest.descriptions import OPERATIONS
from ryu_vmmob.rest.openapi import PROBLEMS, describe
from ryu_vmmob.rest.operations import TAGS
from tests.support.description import METHODS, assert_described, description
from tests.support.rest_service import TOKEN, WEB, Service, packed, problem, vm


def _operations() -> list[tuple[str, str, Any]]:
    return [(method, path, row[method]) for path, row in description()["paths"].items() for method in METHODS if method in row]


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for row in value for found in _references(row)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for row in value.values() for found in _references(row)]


def test_it_is_openapi_3_1() -> None:
    rows = jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(description())
    assert [f"{row.instance_path}: {row.message}" for row in rows] == []


def test_its_schemas_are_schemas() -> None:
    schemas = description()["components"]["schemas"]
    assert len(schemas) > 50
    for schema in schemas.values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert schema.get("type") != "object" or schema["description"]


def test_its_references_lead_somewhere_and_nothing_is_idle() -> None:
    components = description()["components"]
    known = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in components[kind]}
    assert set(_references(description())) == known


def test_every_route_is_described_and_nothing_else() -> None:
    assert {(method.upper(), path) for method, path, _ in _operations()} == {(row.method, row.pattern) for row in ROUTES}


def test_operations_have_names_sentences_and_tags() -> None:
    rows = [row for _, _, row in _operations()]
    assert len({row["operationId"] for row in rows}) == len(rows)
    assert len({row["summary"] for row in rows}) == len(rows)
    assert {tag for row in rows for tag in row["tags"]} == set(TAGS)
    assert not [row["summary"] for row in rows if "``" in row["summary"] or row["summary"].endswith(".")]


def test_operations_have_descriptions_beside_their_sentences() -> None:
    rows = {row["operationId"]: row for _, _, row in _operations()}
    assert [name for name, row in rows.items() if not row.get("description")] == []
    assert OPERATIONS.keys() <= rows.keys()


def test_parameters_are_those_of_the_routes() -> None:
    for route in ROUTES:
        rows = description()["paths"][route.pattern][route.method.lower()].get("parameters", [])
        assert {row["name"] for row in rows if row["in"] == "query"} == route.query
        assert [row["name"] for row in rows if row["in"] == "path"] == re.findall(r"\{(\w+)\}", route.pattern)


@pytest.mark.parametrize("path", ["/v1/migrations", "/v1/batches"])
def test_every_state_that_may_be_asked_for_is_taken(path: str) -> None:
    parameters = description()["paths"][path]["get"]["parameters"]
    (states,) = [row["schema"]["enum"] for row in parameters if row["name"] == "state"]
    service = Service()
    assert len(states) > 3
    assert {state: service.ask("GET", f"{path}?state={state}").status_int for state in states} == dict.fromkeys(states, 200)


def test_every_body_has_an_example_that_is_good() -> None:
    for route in ROUTES:
        row = route.operation
        assert (row.example is None) is (route.body is None), route.pattern
        if route.body is not None:
            bodies.read(route.body, json.loads(json.dumps(row.example)))


def test_links_lead_to_operations() -> None:
    by_id = {row["operationId"]: row for _, _, row in _operations()}
    answers = [answer for row in by_id.values() for answer in row["responses"].values()]
    links = [link for answer in answers for link in answer.get("links", {}).values()]
    assert len(links) >= 8
    for link in links:
        names = {row["name"] for row in by_id[link["operationId"]]["parameters"] if row["in"] == "path"}
        assert link["parameters"].keys() == names


def _properties() -> dict[str, Any]:
    """Every property of every schema, by its place."""
    schemas = description()["components"]["schemas"]
    return {f"{name}.{key}": row for name, schema in schemas.items() for key, row in schema.get("properties", {}).items()}


def _said(row: Any) -> str:
    """What the description says of a property: beside its type, or of the schema that it is."""
    if row.keys() == {"$ref"}:
        row = description()["components"]["schemas"][row["$ref"].rpartition("/")[2]]
    return str(row.get("description", ""))


def test_every_property_is_described() -> None:
    rows = _properties()
    assert len(rows) > 600
    assert [place for place, row in rows.items() if not _said(row)] == []
    sentence = re.compile(r"[A-Z`0].*[^.]\.", re.DOTALL)
    assert [place for place, row in rows.items() if not sentence.fullmatch(_said(row))] == []
    assert [place for place, row in rows.items() if "``" in _said(row) or "  " in _said(row) or "See `" in _said(row)] == []


def test_every_parameter_is_described() -> None:
    rows = [(row["operationId"], found) for _, _, row in _operations() for found in row.get("parameters", [])]
    assert len(rows) > 100
    assert [(id_, row["name"]) for id_, row in rows if not row.get("description", "").endswith(".")] == []


def _choices(row: Any) -> list[Any]:
    """A schema and what it is a choice of."""
    return [row, *(found for one in row.get("anyOf", []) for found in _choices(one))]


def test_a_property_names_its_unit_and_its_greatest_value() -> None:
    """Numbers that are no counts have a unit; a limit that people may meet stands in the words as well."""
    numbers = [place for place, row in _properties().items() if any(one.get("type") == "number" for one in _choices(row))]
    assert len(numbers) > 8
    assert [place for place in numbers if not re.search("[Ss]econd", _said(_properties()[place]))] == []
    limits = {place: max((one.get("maximum", 0) for one in _choices(row)), default=0) for place, row in _properties().items()}
    told = {place: limit for place, limit in limits.items() if 0 < limit < 100_000}
    assert len(told) > 40
    unsaid = {place: limit for place, limit in told.items() if str(limit) not in _said(_properties()[place])}
    assert [place for place in unsaid if not _said(_properties()[place]).startswith("Read-only")] == []


def _schemas(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in the description that may be a schema, with where it stands."""
    if isinstance(value, dict):
        yield place, value
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, row in rows:
        yield from _schemas(row, f"{place}/{key}")


def test_generators_of_clients_leave_nothing_out() -> None:
    """What openapi-python-client 0.29 leaves an operation out for, or takes a schema away for."""
    headers = [row for _, _, found in _operations() for row in found.get("parameters", []) if row["in"] == "header"]
    assert len(headers) > 20
    # A header is text, number or truth, and no choice between them.
    assert {(row["schema"]["type"], *(row["schema"].keys() & {"anyOf", "oneOf", "allOf"})) for row in headers} == {("string",)}
    # Two types of one name get the names of their modules, and the generator still calls both by their title.
    assert [name for name in description()["components"]["schemas"] if "__" in name] == []
    rows = list(_schemas(description()))
    assert len(rows) > 1000
    # An object has no default of its own, and a choice none that is one.
    assert [place for place, row in rows if "$ref" in row and "default" in row] == []
    assert [place for place, row in rows if "anyOf" in row and isinstance(row.get("default"), dict)] == []
    # openapi-generator 7.26 has no type for a choice whose branches name none, and writes a class that is not there.
    branches = [(place, branch) for place, row in rows for branch in row.get("anyOf", ()) if isinstance(branch, dict)]
    assert [place for place, branch in branches if not branch.keys() & {"type", "$ref", "enum"}] == []
    # One without a type becomes `if any_ != Trueand not isinstance(any_, Unset)`.
    assert [place for place, row in rows if "const" in row and "type" not in row] == []


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_conditions_are_described_as_they_are_taken(name: str) -> None:
    row = description()["paths"]["/v1/cugs/{cug}"]["put"]["parameters"]
    (schema,) = [found["schema"] for found in row if found["name"] == name]
    described = jsonschema_rs.Draft202012Validator(schema)
    service = Service().with_web()
    for header, good in {
        "*": True, '"12"': True, 'W/"12"': True, '"1", "2"': True, '"*"': True, "": False, "12": False, "**": False,
        '*, "1"': False, '"1" "2"': False, "w/\"1\"": False,
    }.items():  # fmt: skip
        assert described.is_valid(header) is good, header
        answer = service.ask("PUT", "/v1/cugs/web", WEB, **{name.replace("-", "_"): header})
        assert (answer.status_int != 400) is good, f"{header}: {answer.text}"


def test_who_needs_a_token() -> None:
    assert description()["security"] == [{"bearer": []}]
    free = [path for _, path, row in _operations() if row.get("security") == []]
    assert free == [row.pattern for row in ROUTES if row.open]
    assert all(("401" in row["responses"]) is (path not in free) for _, path, row in _operations())


@pytest.mark.parametrize("given", ["Bearer x", f"Basic {TOKEN}", TOKEN, ""])
def test_a_wrong_token_opens_nothing(given: str) -> None:
    service = Service()
    for method, path, row in _operations():
        answer = service.ask(method.upper(), re.sub(r"\{\w+\}", "web", path), Authorization=given)
        assert (answer.status_int == 401) is (row.get("security") != []), f"{method} {path}: {answer.status}"


def test_it_is_served_like_everything_else() -> None:
    service = Service()
    assert service.get("/openapi.json") == description()
    assert service.ask("GET", "/openapi.json").body == service.ask("GET", "/openapi.json").body
    assert TOKEN not in service.ask("GET", "/openapi.json").text
    problem(service.ask("GET", "/openapi.json", Authorization="Bearer x"), 401)


def test_the_description_is_the_same_each_time() -> None:
    describe.cache_clear()
    assert json.dumps(describe(ROUTES)) == json.dumps(description())


def test_statuses_of_problems_stand_in_the_reference() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")
    written = {int(number) for row in re.findall(r"^\| ([0-9, ]+) \| ", text, re.MULTILINE) for number in row.split(",")}
    assert written == PROBLEMS.keys() | {405}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [({"status": "ok", "more": 1}, "application/json"), ({}, "application/json"), ({"status": "ok"}, "text/plain")],
)
def test_an_answer_that_is_not_described(body: Any, media_type: str) -> None:
    answer = Response(json.dumps(body).encode(), content_type=media_type, headers={"Vary": "Accept"})
    with pytest.raises(AssertionError):
        assert_described("GET", "/healthz", answer)


def test_a_status_that_is_not_described() -> None:
    with pytest.raises(AssertionError):
        assert_described("GET", "/healthz", Response(status=418))


def test_message_pack_is_held_against_it_too() -> None:
    service = Service().with_web()
    formats = {"Content_Type": "application/msgpack", "Accept": "application/msgpack"}
    answer = service.ask("PUT", "/v1/vms/web2", packed(vm("srv-a2", 12)), **formats)
    assert (answer.status_int, answer.content_type) == (201, "application/msgpack")


def test_the_first_reader_waits_for_nothing() -> None:
    """The description takes a third of a second in one piece: it is there when the application is."""
    describe.cache_clear()
    service = Service()
    assert describe.cache_info().misses == 1
    service.get("/openapi.json")
    assert describe.cache_info().misses == 1
