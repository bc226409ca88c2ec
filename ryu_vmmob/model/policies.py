"""Commands on policies, and the names that policies refer to. The rules of their values stand at the edge (REST bodies)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ryu_vmmob.model.draft import Draft
from ryu_vmmob.model.policy import Policy, Ports, Protocol, Selector, merged
from ryu_vmmob.model.refusal import conflict, invalid, not_found
from ryu_vmmob.model.state import State


@dataclass(frozen=True, slots=True)
class PutPolicy:
    """Create or replace a policy; the fields are those of `Policy`, ``ports`` in any order.

    ``dangling``: the ends, as paths, that name what is not there; None: there must be none.
    """

    name: str
    allow: bool
    source: Selector
    target: Selector
    priority: int = 100
    protocol: Protocol | None = None
    ports: Ports = ()
    replies: bool = False
    dangling: frozenset[str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """Delete a policy."""

    name: str


def put_policy(draft: Draft, command: PutPolicy) -> None:
    """Carry out `PutPolicy`. Raises Refusal: 422 when it names a CUG or VM that is not there, 409 when one is that should not
    be.
    """
    policy = Policy(
        command.name, command.priority, command.allow, command.source, command.target, command.protocol,
        merged(command.ports), command.replies, labels=command.labels, description=command.description,
    )  # fmt: skip
    said = command.dangling or frozenset()
    faults = [(path, kind, name) for path, kind, name in _missing(draft.state, policy)]
    there = sorted(said.difference(path for path, _, _ in faults))
    if there:
        raise conflict(f"dangling: {', '.join(there)} stands there, and what it names is there: leave it out")
    missing = [(path, f"there is no {kind} {name!r}") for path, kind, name in faults if path not in said]
    if missing:
        raise invalid(*missing)
    old = draft.state.policies.get(policy.name)
    if old is not None and replace(policy, revision=old.revision) == old:
        return
    draft.put_policy(policy)


def delete_policy(draft: Draft, command: DeletePolicy) -> None:
    """Carry out `DeletePolicy`. Raises Refusal (404)."""
    policy = draft.state.policies.get(command.name)
    if policy is None:
        raise not_found("policy", command.name)
    draft.drop_policy(policy)


def dangling(state: State, policy: Policy) -> tuple[str, ...]:
    """Return the ends that name an object that was deleted, as paths (``from.cug``, ``to.vm``): with one the policy matches
    nothing.
    """
    return tuple(path for path, _, _ in _missing(state, policy))


def _missing(state: State, policy: Policy) -> Iterator[tuple[str, str, object]]:
    """(path, kind in words, name) of each end that names what is not there."""
    for end, selector in (("from", policy.source), ("to", policy.target)):
        if selector.kind == "cug" and selector.value not in state.cugs:
            yield f"{end}.cug", "CUG", selector.value
        elif selector.kind == "vm" and selector.value not in state.vms:
            yield f"{end}.vm", "VM", selector.value


HANDLERS: Final[Mapping[type, Callable[..., None]]] = {
    PutPolicy: put_policy,
    DeletePolicy: delete_policy,
}
