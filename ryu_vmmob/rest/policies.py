"""``/v1/policies``."""

from __future__ import annotations

from ryu_vmmob.model.policies import DeletePolicy
from ryu_vmmob.model.refusal import not_found
from ryu_vmmob.rest.call import Answer, Call
from ryu_vmmob.rest.policy_bodies import PolicyBody, policy_view
from ryu_vmmob.rest.routing import Route


def list_policies(call: Call) -> Answer:
    """Every policy, by name."""
    state = call.engine.state
    return Answer(200, {"items": [policy_view(state, policy) for _, policy in sorted(state.policies.items())]})


def get_policy(call: Call) -> Answer:
    """One policy."""
    state = call.engine.state
    policy = state.policies.get(call.names["policy"])
    if policy is None:
        raise not_found("policy", call.names["policy"])
    return Answer(200, policy_view(state, policy), policy.revision)


def put_policy(call: Call) -> Answer:
    """Create a policy (201) or replace it (200)."""
    name = call.names["policy"]
    seconds = call.seconds_to_wait()
    before = call.engine.state.policies.get(name)
    call.check_match(before.revision if before is not None else None)
    ticket = call.engine.execute(call.body.command(name))
    policy = ticket.state.policies[name]
    body = policy_view(ticket.state, policy) | call.confirmed(ticket, seconds)
    return Answer(201 if before is None else 200, body, policy.revision)


def delete_policy(call: Call) -> Answer:
    """Delete a policy: 204, and with ``?wait`` 200."""
    name = call.names["policy"]
    seconds = call.seconds_to_wait()
    before = call.engine.state.policies.get(name)
    if before is None:
        raise not_found("policy", name)
    call.check_match(before.revision)
    body = call.confirmed(call.engine.execute(DeletePolicy(name)), seconds)
    return Answer(200, body) if body else Answer(204, None)


ROUTES = (
    Route("GET", "/v1/policies", list_policies),
    Route("GET", "/v1/policies/{policy}", get_policy),
    Route("PUT", "/v1/policies/{policy}", put_policy, frozenset({"wait"}), PolicyBody),
    Route("DELETE", "/v1/policies/{policy}", delete_policy, frozenset({"wait"})),
)
