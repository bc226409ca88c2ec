"""Which policies can concern whom: the indexes ``policies_of`` and ``selections`` of the state.

A policy whose end is a selector of labels stands for the VMs that it picks, and is found under each of them as if it named it.
So whatever asks for the policies of a VM has these as well, and a move, which changes no label, costs nothing for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from immutables import Map

from ryu_vmmob.model.labels import requirements, selects
from ryu_vmmob.model.objects import Vm
from ryu_vmmob.model.policy import Policy, Selector
from ryu_vmmob.model.refusal import conflict
from ryu_vmmob.model.state import State

_ANYBODY: Final = frozenset({("any", "")})
_NONE: Final[Map[str, None]] = Map()
Key = tuple[str, str]
MOST_PAIRS: Final = 10_000
"""Pairs of VMs that one policy may stand for."""


def policy_keys(policy: Policy) -> frozenset[Key]:
    """Return where a policy stands in the index ``policies_of`` by what it says itself."""
    ends = (policy.source, policy.target)
    named = frozenset((end.kind, str(end.value)) for end in ends if end.kind in ("cug", "vm", "labels"))
    return named or _ANYBODY


def index_policy(state: State, policy: Policy) -> State:
    """Enter a policy into the indexes."""
    selections = state.selections
    for text in _texts(policy):
        if text not in selections:
            selections = selections.set(text, picked(state, text))
    state = replace(state, selections=selections)
    index = state.policies_of
    for key in _all_keys(state, policy):
        index = index.set(key, index.get(key, _NONE).set(policy.name, None))
    return replace(state, policies_of=index)


def picked(state: State, selector: object) -> Map[str, None]:
    """Return the VMs that a selector picks, also one that is no policy's any more."""
    text = str(selector)
    if text in state.selections:
        return state.selections[text]
    wanted = requirements(text)
    return Map({name: None for name, vm in state.vms.items() if selects(wanted, vm.labels)})


def unindex_policy(state: State, policy: Policy) -> State:
    """Return the inverse of `index_policy`."""
    index, selections = state.policies_of, state.selections
    for key in _all_keys(state, policy):
        row = index[key].delete(policy.name)
        index = index.set(key, row) if row else index.delete(key)
    for text in _texts(policy):
        if ("labels", text) not in index:
            selections = selections.delete(text)
    return replace(state, policies_of=index, selections=selections)


def index_labels(state: State, vm: Vm) -> State:
    """Enter a VM that is written into the selections that pick it."""
    selections, index, key = state.selections, state.policies_of, ("vm", vm.name)
    for text, names in state.selections.items():
        if selects(requirements(text), vm.labels):
            selections = selections.set(text, names.set(vm.name, None))
            row = index.get(key, _NONE)
            for policy in index[("labels", text)]:
                row = row.set(policy, None)
            index = index.set(key, row)
    return state if selections is state.selections else replace(state, selections=selections, policies_of=index)


def unindex_labels(state: State, vm: Vm) -> State:
    """Return the inverse of `index_labels`."""
    selections, index, key = state.selections, state.policies_of, ("vm", vm.name)
    for text, names in state.selections.items():
        if vm.name in names:
            selections = selections.set(text, names.delete(vm.name))
    if selections is state.selections:
        return state
    row = index[key]
    for policy in row:
        if key not in policy_keys(state.policies[policy]):
            row = row.delete(policy)
    index = index.set(key, row) if row else index.delete(key)
    return replace(state, selections=selections, policies_of=index)


def _texts(policy: Policy) -> Iterator[str]:
    for end in {policy.source, policy.target}:
        if end.kind == "labels":
            yield str(end.value)


def _all_keys(state: State, policy: Policy) -> frozenset[Key]:
    named = (("vm", name) for text in _texts(policy) for name in state.selections[text])
    return policy_keys(policy) | frozenset(named)


def refuse_large(state: State, policies: Iterable[str], vms: Iterable[str]) -> None:
    """409 (R45) where one of these policies, or of those that pick one of these VMs, stands for too many pairs of VMs."""
    if not state.selections:
        return
    names = {*policies, *(policy for vm in vms for policy in state.policies_of.get(("vm", vm), ()))}
    for name in sorted(names):
        policy = state.policies.get(name)
        if policy is not None and (pairs := _pairs(state, policy)) > MOST_PAIRS:
            raise conflict(
                f"R45: policy {name!r} would stand for {pairs} pairs of VMs, and each takes flows of its own: "
                f"{MOST_PAIRS} is the most; name a CUG or a prefix at one end"
            )


def _pairs(state: State, policy: Policy) -> int:
    return _count(state, policy.source) * _count(state, policy.target)


def _count(state: State, end: Selector) -> int:
    return len(state.selections[str(end.value)]) if end.kind == "labels" else 1
