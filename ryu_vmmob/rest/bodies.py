"""Bodies of requests: what may stand in them, and the commands they become.

Here stands what a value must look like by itself; what it must be beside all the others (unknown CUGs, taken addresses)
is for the commands.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from ryu_vmmob.fabric import values
from ryu_vmmob.fabric.findings import NAME, show
from ryu_vmmob.model.labels import KEY, LONGEST_DESCRIPTION, MOST_LABELS, VALUE
from ryu_vmmob.model.objects import Address, Network
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.net.addresses import mac
from ryu_vmmob.rest.problems import invalid_input
from ryu_vmmob.rest.says import DESCRIPTION, LABELS, says

_T = TypeVar("_T")


def from_text(parse: Callable[[str], _T]) -> Callable[[object], _T]:
    """Return a validator from one of the fabric file's parsers."""

    def validate(value: object) -> _T:
        if not isinstance(value, str):
            raise PydanticCustomError("text", "must be text")
        try:
            return parse(value)
        except values.InvalidValueError as error:
            raise PydanticCustomError("value", "{fault}", {"fault": str(error)}) from error

    return validate


def _mac(text: str) -> int:
    return mac(values.gateway_mac(text))


def _subnet(text: str) -> Network:
    subnet = values.network(text)
    if subnet.is_multicast or subnet.is_loopback or subnet.is_link_local:
        raise PydanticCustomError("value", "{fault}", {"fault": f"{subnet} is no prefix of unicast addresses"})
    if subnet.num_addresses < 4:
        raise PydanticCustomError("value", "{fault}", {"fault": f"{subnet} has no room for a gateway and a VM"})
    return subnet


NAME_SCHEMA: Final = {"type": "string", "pattern": f"^{NAME.pattern}$"}
IP: Final = {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
PREFIX: Final = {"pattern": "^[0-9A-Fa-f.:]+/[0-9]+$"}


def text_schema(*examples: str, **rules: object) -> WithJsonSchema:
    """Return how text that we read ourselves is described: ``rules`` that hold for all of it, and what it may look like."""
    return WithJsonSchema({"type": "string", **rules, "examples": list(examples)})


Name = Annotated[str, PlainValidator(from_text(values.name)), WithJsonSchema(NAME_SCHEMA)]
Mac = Annotated[
    int,
    PlainValidator(from_text(_mac)),
    text_schema("02:00:00:00:00:01", pattern="^[0-9A-Fa-f][02468ACEace]([:-][0-9A-Fa-f]{2}){5}$"),
]
Ip = Annotated[Address, PlainValidator(from_text(values.host)), text_schema("10.1.0.11", "2001:db8:1::11", **IP)]
Subnet = Annotated[Network, PlainValidator(from_text(_subnet)), text_schema("10.1.0.0/24", "2001:db8:1::/64", **PREFIX)]
VlanId = Annotated[int, Field(ge=values.MIN_VLAN_ID, le=values.MAX_VLAN_ID)]


def _ethertypes(value: object) -> tuple[int, ...] | Literal["any"]:
    if value == "any":
        return "any"
    if not isinstance(value, list) or not all(isinstance(row, str) and _ETHERTYPE.fullmatch(row) for row in value):
        raise PydanticCustomError("ethertypes", 'must be "any", or a list of Ethernet types such as "0x88f7"')
    return tuple(sorted({int(row, 16) for row in value}))


_ETHERTYPE: Final = re.compile("0x[0-9A-Fa-f]{4}")
Ethertypes = Annotated[
    "tuple[int, ...] | Literal['any']",
    PlainValidator(_ethertypes),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "any", "type": "string"},
                {"type": "array", "items": {"type": "string", "pattern": "^0x[0-9A-Fa-f]{4}$", "examples": ["0x88f7"]}},
            ]
        }
    ),
]


def _frame(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except ValueError:
            pass
    raise PydanticCustomError("frame", "must be bytes, in JSON as Base64 text")


_BASE64: Final = {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/octet-stream"}
FrameBytes = Annotated[bytes, PlainValidator(_frame), WithJsonSchema(_BASE64)]


def one_per_family(found: list[_Versioned]) -> list[_Versioned]:
    """Validate that there is at most one of each IP version."""
    if len({item.version for item in found}) != len(found):
        raise PydanticCustomError("families", "R9: one per address family")
    return found


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


class Body(BaseModel):
    """A body: keys and types exactly as written here."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    read_only: ClassVar[tuple[str, ...]] = ()
    """Keys that follow from the rest, beside ``name``: what they say must be so (`ryu_vmmob.rest.read_only`)."""

    def contradictions(self, view: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield a fault for each read-only key that says something else than ``view``, the object as it is now."""
        yield from ()

    @classmethod
    def bare(cls, view: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body that makes the object which ``view`` shows: what was asked for, without what follows from the rest.

        Keys with their defaults are left out.
        """
        found = {}
        for name, field in cls.model_fields.items():
            key = field.alias or name
            if name != "name" and name not in cls.read_only and key in view:
                value = view[key]
                if field.is_required() or value not in (None, field.get_default(call_default_factory=True)):
                    found[key] = value
        return found


def _matching(pattern: str, fault: str) -> Callable[[object], str]:
    """Return a validator of text that a pattern describes."""
    rule = re.compile(pattern)

    def validate(value: object) -> str:
        if not isinstance(value, str):
            raise PydanticCustomError("text", "must be text")
        if rule.fullmatch(value) is None:
            raise PydanticCustomError("value", "{fault}", {"fault": fault})
        return value

    return validate


_DESCRIPTION: Final = rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{0,{LONGEST_DESCRIPTION}}}"
LabelKey = Annotated[
    str,
    PlainValidator(_matching(KEY, "is no key: letters, digits, '-', '_' and '.', at most 63, perhaps after a domain and '/'")),
    text_schema("role", "example.org/team", pattern=f"^{KEY}$"),
]
LabelValue = Annotated[
    str,
    PlainValidator(_matching(VALUE, "must be letters, digits, '-', '_' and '.', at most 63, no sign first or last")),
    text_schema("db", "", pattern=f"^{VALUE}$"),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=MOST_LABELS), says(LABELS)]
Description = Annotated[
    str,
    PlainValidator(_matching(_DESCRIPTION, f"must be one line of at most {LONGEST_DESCRIPTION} characters")),
    text_schema("The database of the shop", pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", maxLength=LONGEST_DESCRIPTION),
]


class Described(Body):
    """Notes for people about an object; they change nothing in the network."""

    labels: Labels = Field(default={})
    description: Annotated[Description, says(DESCRIPTION)] = ""


class Empty(Body):
    """A body without any key, or none at all."""


_BodyT = TypeVar("_BodyT", bound=Body)

_MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a known key",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le:g}",
    "too_long": "must have at most {max_length}",
    "too_short": "must have at least {min_length}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_unicode": "must be Unicode text",
}


def read(type_: type[_BodyT], value: Any) -> _BodyT:
    """``value`` as a body; a 422 that names the faults, each with its path."""
    try:
        return type_.model_validate(value)
    except ValidationError as error:
        raise invalid_input(faults_of(error)) from error


def faults_of(error: ValidationError, *place: str) -> Iterator[Fault]:
    """Each fault with its path, which begins with ``place``."""
    for row in error.errors(include_url=False, include_input=False):
        yield _fault(row, place)


def _fault(found: ErrorDetails, place: tuple[str, ...]) -> Fault:
    # "[key]" is the library's mark for a fault of a key itself.
    path = (*place, *(step for step in found["loc"] if step != "[key]"))
    message = _MESSAGES.get(found["type"])
    return Fault(show(path), found["msg"] if message is None else message.format(**found.get("ctx", {})))
