"""``/v1/policies``: what may stand in a request, what an answer has, and what is done."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NotRequired

from pydantic import ConfigDict, Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from ryu_vmmob.fabric import values
from ryu_vmmob.fabric.findings import quote
from ryu_vmmob.model import policy as model
from ryu_vmmob.model.labels import SELECTOR, parse
from ryu_vmmob.model.objects import Network
from ryu_vmmob.model.policies import DeletePolicy, PutPolicy, dangling
from ryu_vmmob.model.policy import Ports, Protocol
from ryu_vmmob.model.refusal import Fault
from ryu_vmmob.model.state import State
from ryu_vmmob.net.keys import MAX_POLICY_PRIORITY
from ryu_vmmob.net.protocols import TCP, UDP
from ryu_vmmob.rest import answers
from ryu_vmmob.rest.answers import Page, Planned, Revision
from ryu_vmmob.rest.bodies import PREFIX, Body, Described, Name, from_text, text_schema
from ryu_vmmob.rest.collection import Collection
from ryu_vmmob.rest.read_only import ReadOnlyName, ReadOnlyRevision, differing
from ryu_vmmob.rest.says import (
    ACTION,
    PORTS,
    PRIORITY,
    PROTOCOL,
    REPLIES,
    SELECTOR_ANY,
    SELECTOR_CUG,
    SELECTOR_LABELS,
    SELECTOR_PREFIX,
    SELECTOR_VM,
    says,
)
from ryu_vmmob.rest.views import View, described

_MAX_PORT: Final = 65_535
_NAMED: Final[dict[str, Protocol]] = {"tcp": TCP, "udp": UDP, "icmp": "icmp"}
_WORDS: Final = {protocol: word for word, protocol in _NAMED.items()}
_RANGE = re.compile(r"([0-9]{1,64})(?:-([0-9]{1,64}))?")


def _wrong(fault: str) -> PydanticCustomError:
    return PydanticCustomError("value", "{fault}", {"fault": fault})


def _protocol(value: object) -> Protocol | None:
    if isinstance(value, str) and value in _NAMED:
        return _NAMED[value]
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255):
        return value
    raise _wrong(f"must be one of {', '.join(_NAMED)}, a number from 0 to 255, or null")


def _ports(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise _wrong(f'{quote(text)} is no port or range: write "80" or "8000-8099"')
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise _wrong(f"range {quote(text)} runs backwards: write {high}-{low}")
    if low < 1 or high > _MAX_PORT:
        raise _wrong(f"{quote(text)}: outside 1 to {_MAX_PORT}")
    return low, high


def _labels(value: object) -> str:
    """Return a selector in its canonical form."""
    if not isinstance(value, str):
        raise PydanticCustomError("text", "must be text")
    try:
        return ",".join(map(str, parse(value)))
    except ValueError as error:
        raise _wrong(str(error)) from error


def _true(value: object) -> bool:
    if value is not True:
        raise _wrong("must be true")
    return True


Prefix = Annotated[Network, PlainValidator(from_text(values.network)), text_schema("10.0.0.0/8", "::/0", **PREFIX)]
PortRange = Annotated[
    tuple[int, int], PlainValidator(from_text(_ports)), text_schema("80", "8000-8099", pattern="^[0-9]{1,64}(-[0-9]{1,64})?$")
]
LabelSelector = Annotated[str, PlainValidator(_labels), text_schema("role=db,env!=test", pattern=f"^{SELECTOR}$")]
TrueOnly = Annotated[bool, PlainValidator(_true), WithJsonSchema({"type": "boolean", "const": True})]
PolicyProtocol = Annotated[
    Protocol | None,
    PlainValidator(_protocol),
    WithJsonSchema({"anyOf": [{"enum": [*_NAMED, None]}, {"type": "integer", "minimum": 0, "maximum": 255}]}),
]


def _one_key(schema: dict[str, Any]) -> None:
    schema.update(minProperties=1, maxProperties=1)
    for row in schema["properties"].values():
        row.pop("default", None)


class SelectorBody(Body):
    """One end of a policy: exactly one of its keys."""

    # The defaults only stand for what is not there.
    model_config = ConfigDict(json_schema_extra=_one_key)

    cug: Annotated[Name, SELECTOR_CUG] = ""
    vm: Annotated[Name, SELECTOR_VM] = ""
    prefix: Annotated[Prefix, SELECTOR_PREFIX] = values.network("::/0")
    labels: Annotated[LabelSelector, SELECTOR_LABELS] = ""
    any: Annotated[TrueOnly, SELECTOR_ANY] = True

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, value: object) -> object:
        if isinstance(value, Mapping) and len(value.keys() & cls.model_fields.keys()) != 1:
            raise _wrong(f"must have exactly one of {', '.join(cls.model_fields)}")
        return value

    def selector(self) -> model.Selector:
        """As a model object."""
        if "cug" in self.model_fields_set:
            return model.Selector("cug", self.cug)
        if "vm" in self.model_fields_set:
            return model.Selector("vm", self.vm)
        if "labels" in self.model_fields_set:
            return model.Selector("labels", self.labels)
        return model.Selector("prefix", self.prefix) if "prefix" in self.model_fields_set else model.Selector("any")


_FROM: Final = says("Who sends.")
_TO: Final = says("Who receives.")


class PolicyBody(Described):
    """A policy to create or replace: what may pass from one end to the other."""

    priority: Annotated[int, Field(ge=0, le=MAX_POLICY_PRIORITY), PRIORITY] = 100
    action: Annotated[Literal["allow", "deny"], ACTION]
    source: Annotated[SelectorBody, Field(alias="from"), _FROM]
    target: Annotated[SelectorBody, Field(alias="to"), _TO]
    protocol: Annotated[PolicyProtocol, PROTOCOL] = None
    ports: Annotated[list[PortRange], Field(default_factory=list), PORTS]
    replies: Annotated[bool, REPLIES] = False
    name: ReadOnlyName = None
    dangling: Annotated[
        list[Literal["from.cug", "from.vm", "to.cug", "to.vm"]] | None,
        says("Read-only: the ends that name what is not there, as GET says it. Left out: there must be none."),
    ] = None
    revision: ReadOnlyRevision = None

    # What is at fault itself is not in ``info.data``, and is no reason for a second fault.

    @field_validator("ports")
    @classmethod
    def _with_a_protocol(cls, value: list[tuple[int, int]], info: ValidationInfo) -> list[tuple[int, int]]:
        if value and info.data.get("protocol", TCP) not in (TCP, UDP):
            raise _wrong("only with protocol tcp or udp")
        return value

    @field_validator("replies")
    @classmethod
    def _of_connections(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  (called by pydantic)
        answered = info.data.get("protocol", TCP) in (TCP, UDP, "icmp")
        if value and not (answered and info.data.get("action", "allow") == "allow"):
            raise _wrong("only with protocol tcp, udp or icmp and action allow")
        return value

    read_only: ClassVar = ("revision",)

    def contradictions(self, view: Mapping[str, Any]) -> Iterator[Fault]:
        """See `Body`. ``dangling`` is for the command: other objects of the same request may end it."""
        return differing(self, self.read_only, view)

    def command(self, name: str) -> PutPolicy:
        """As the command for the policy ``name``."""
        return PutPolicy(
            name, self.action == "allow", self.source.selector(), self.target.selector(), self.priority, self.protocol,
            tuple(self.ports), self.replies, None if self.dangling is None else frozenset(self.dangling),
            self.labels, self.description,
        )  # fmt: skip


class Selector(TypedDict):
    """One end of a policy: exactly one of its keys."""

    cug: NotRequired[Annotated[str, SELECTOR_CUG]]
    vm: NotRequired[Annotated[str, SELECTOR_VM]]
    prefix: NotRequired[Annotated[str, SELECTOR_PREFIX]]
    labels: NotRequired[Annotated[str, SELECTOR_LABELS]]
    any: NotRequired[Annotated[Literal[True], SELECTOR_ANY]]


_Ends = TypedDict("_Ends", {"from": Annotated[Selector, _FROM], "to": Annotated[Selector, _TO]})


class Policy(Planned, answers.Described, _Ends):
    """A policy: what may pass from one end to the other."""

    name: Annotated[str, says("The name of the policy.")]
    priority: Annotated[int, Field(ge=0, le=MAX_POLICY_PRIORITY), PRIORITY]
    action: Annotated[Literal["allow", "deny"], ACTION]
    protocol: Annotated[Literal["tcp", "udp", "icmp"] | Annotated[int, Field(ge=0, le=255)] | None, PROTOCOL]
    ports: Annotated[list[str], PORTS]
    replies: Annotated[bool, REPLIES]
    dangling: Annotated[list[str], says("The ends that name an object that was deleted, such as `to.cug`.")]
    revision: Revision


class Policies(TypedDict):
    """Policies, by name."""

    items: Annotated[list[Policy], says("The policies.")]
    page: NotRequired[Page]


def policy_view(state: State, policy: model.Policy) -> View:
    """Return a policy; ``dangling`` are the ends that name an object that was deleted, as paths."""
    protocol = policy.protocol
    return {
        "name": policy.name,
        "priority": policy.priority,
        "action": "allow" if policy.allow else "deny",
        "from": _selector_view(policy.source),
        "to": _selector_view(policy.target),
        "protocol": None if protocol is None else _WORDS.get(protocol, protocol),
        "ports": _ports_view(policy.ports),
        "replies": policy.replies,
        "dangling": list(dangling(state, policy)),
        "revision": policy.revision,
        **described(policy),
    }


def _selector_view(selector: model.Selector) -> dict[str, object]:
    return {selector.kind: True if selector.kind == "any" else str(selector.value)}


def _ports_view(ports: Ports) -> list[str]:
    return [str(low) if low == high else f"{low}-{high}" for low, high in ports]


EXAMPLE: Final = {
    "action": "allow", "from": {"any": True}, "to": {"cug": "web"}, "protocol": "tcp", "ports": ["80", "8000-8099"],
    "replies": True,
}  # fmt: skip

POLICIES: Final = Collection[model.Policy](
    name="policies", key="policy", noun="policy", tag="Policies",
    objects=lambda state: state.policies, view=policy_view, answer=Policy, answers=Policies, body=PolicyBody, example=EXAMPLE,
    put=lambda body, name: body.command(name), delete=DeletePolicy,
)  # fmt: skip
ROUTES: Final = POLICIES.routes()
