"""``/openapi.json``: the description of this interface (OpenAPI 3.1), made from the routes and the types that they use."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

import ryu_vmmob
from ryu_vmmob.rest.answers import ProblemDetails
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.descriptions import OPERATIONS
from ryu_vmmob.rest.formats import JSON, MSGPACK
from ryu_vmmob.rest.operations import TAGS, listing
from ryu_vmmob.rest.parameters import Json, conditions, in_path, in_query
from ryu_vmmob.rest.problems import CONTENT_TYPE
from ryu_vmmob.rest.routes import Route

_Key = tuple[Any, JsonSchemaMode]

PROBLEMS: Final[Mapping[int, str]] = {
    400: "Not well formed, or a query parameter that is unknown, stands twice or has a wrong value.",
    401: "No token, or a wrong one.",
    403: "The token is a reader's, and this takes an operator's; or a web page has no business here.",
    404: "Nothing is there.",
    406: f"Neither {JSON} nor {MSGPACK} is accepted; nothing was done.",
    408: "The body came too slowly.",
    409: "Understood, and the present state does not admit it.",
    412: "`If-Match` or `If-None-Match` does not hold.",
    413: "The body is larger than what is taken.",
    415: f"The body is neither {JSON} nor {MSGPACK}.",
    422: "Understood, and a value breaks a rule; `errors` has the faults.",
    426: "Another version of WebSockets is spoken here.",
    429: "Too often.",
    500: "A fault of the controller; its log has the traceback.",
    501: "This server does no WebSockets.",
    503: "Not now, and nothing was changed: the store does not take it, too many listen, or the token file cannot be used.",
}
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {"WWW-Authenticate": "Which token is wanted (RFC 6750)."},
    429: {"Retry-After": "Seconds."},
    426: {"Sec-WebSocket-Version": "The version that is spoken here."},
}
_INTRODUCTION: Final = (
    "Moves virtual machines between racks and data centres without a break. A 2xx is durable. Bodies are JSON or MessagePack, "
    "as `Content-Type` and `Accept` say; errors are problem details (RFC 9457). `HEAD` works wherever `GET` does, and other "
    "methods are a 405 that names those there are."
)


class _Schemas(GenerateJsonSchema):
    """Without titles that only repeat names; a map whose keys follow a rule has no others."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: core_schema.DictSchema) -> Json:
        found: Json = super().dict_schema(schema)
        return found | {"additionalProperties": False} if "patternProperties" in found else found


@cache
def describe(routes: tuple[Route, ...]) -> Json:
    """Return the description of ``routes``, the same for the same routes."""
    adapters = {key: TypeAdapter(key[0]) for key in _types(routes)}
    references, found = TypeAdapter.json_schemas(
        [(key, key[1], adapter) for key, adapter in adapters.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    schemas = {key[0]: schema for (key, _), schema in references.items()}
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.pattern, {})[route.method.lower()] = _operation(route, schemas)
    used = sorted({status for route in routes for status in _refusals(route)})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ryu-vmmob",
            "version": ryu_vmmob.__version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(_plain(found.get("$defs", {})).items())),
            "responses": {_name(status): _problem(status, schemas[ProblemDetails]) for status in used},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "A token of `api_token_file`."}},
        },
    }


def _types(routes: Iterable[Route]) -> list[_Key]:
    """Every type of a body or answer, each once; what is read is described as it is read."""
    found: dict[_Key, None] = {(ProblemDetails, "serialization"): None}
    for route in routes:
        if route.body is not None:
            found[route.body, "validation"] = None
        for type_ in route.operation.answers.values():
            if type_ is not None:
                found[type_, "serialization"] = None
    return list(found)


def _operation(route: Route, schemas: Mapping[Any, Json]) -> Json:
    row = route.operation
    summary, text = _texts(route)
    names = re.findall(r"\{(\w+)\}", route.pattern)
    parameters = [in_path(name) for name in names] + [in_query(name, route.pattern) for name in sorted(route.query)]
    found: Json = {"operationId": row.id, "tags": [row.tag], "summary": summary}
    if text:
        found["description"] = text
    if route.open:
        found["security"] = []
    elif route.brief:
        found["security"] = [{}, {"bearer": []}]  # in brief without a token, in detail with one
    parameters += conditions() if row.conditional else []
    if parameters:
        found["parameters"] = parameters
    if route.body is not None:
        media = {"schema": schemas[route.body], "example": row.example}
        found["requestBody"] = {"required": route.body_required, "content": {JSON: media, MSGPACK: media}}
    answers = {str(status): _answer(status, route, schemas) for status in row.answers}
    refusals = {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in _refusals(route)}
    found["responses"] = dict(sorted((refusals | answers).items()))
    return found


def _refusals(route: Route) -> list[int]:
    """Statuses of problems: those that follow from what the route takes, and those of its row."""
    row = route.operation
    found = {400, 429, 500, *row.refusals}
    found |= set() if route.media else {406}
    found |= set() if route.open else {401, 403, 503}
    found |= {404, 422} if "{" in route.pattern else set()
    found |= {408, 413, 415, 422} if route.body is not None else set()
    found |= {412} if row.conditional else set()
    return sorted(found - row.answers.keys())


def _answer(status: int, route: Route, schemas: Mapping[Any, Json]) -> Json:
    row = route.operation
    type_ = row.answers[status]
    found: Json = {"description": HTTPStatus(status).phrase + "."}
    headers = {}
    if type_ is not None:
        found["content"] = {media: {"schema": schemas[type_]} for media in route.media or (JSON, MSGPACK)}
        if status < 400:
            headers["Vary"] = _header("`Accept`: the format depends on it.")
        else:
            found["content"][CONTENT_TYPE] = {"schema": schemas[ProblemDetails]}
    if row.tagged and status in (200, 201, 202) and not (status == 200 and row.located):
        headers["ETag"] = _header("The object's revision in quotes.", pattern='^"[0-9]+"$')
    if status in row.located:
        headers["Location"] = _header("Where what came of it is.", format="uri-reference")
    if headers:
        found["headers"] = headers
    if status in row.links:
        found["links"] = {
            name: {"operationId": operation, "parameters": {parameter: place}}
            for name, (operation, parameter, place) in row.links[status].items()
        }
    return found


def _header(text: str, **schema: str) -> Json:
    return {"description": text, "required": True, "schema": {"type": "string"} | schema}


def _problem(status: int, schema: Json) -> Json:
    found: Json = {"description": PROBLEMS[status], "content": {CONTENT_TYPE: {"schema": schema}}}
    headers = _HEADERS.get(status)
    return found | ({"headers": {name: _header(text) for name, text in headers.items()}} if headers else {})


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _texts(route: Route) -> tuple[str, str]:
    """Return the first sentence of a resource's function, and the rest with what `OPERATIONS` has.

    What it raises is among the responses.
    """
    text = re.sub(r"\s*Raises .*", "", inspect.getdoc(route.handler) or "", flags=re.DOTALL)
    first, _, rest = " ".join(text.split()).replace("``", "`").partition(". ")
    return first.rstrip("."), f"{rest} {OPERATIONS.get(route.operation.id, '')}".strip()


def _plain(value: Any) -> Any:
    """With descriptions in Markdown, on one line."""
    if isinstance(value, dict):
        return {
            key: " ".join(row.split()).replace("``", "`") if key == "description" and isinstance(row, str) else _plain(row)
            for key, row in value.items()
        }
    return [_plain(row) for row in value] if isinstance(value, list) else value


def with_description(routes: Iterable[Route]) -> tuple[Route, ...]:
    """``routes``, and one more that describes them all."""

    def get_description(call: Call) -> Answer:
        """Return the description of this interface (OpenAPI 3.1)."""
        return Answer(200, describe(found))

    found = (*routes, Route("GET", "/openapi.json", get_description, listing("get_description", "Controller", Json)))
    return found
