"""The policies' decision as the matched flows carry it out, and whether it agrees with `model.decision` (invariant 7)."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_vmmob.flows.flow import Flow
from ryu_vmmob.flows.owner import OwnerKind
from ryu_vmmob.flows.pipeline import Table
from ryu_vmmob.model.decision import Decision, decide
from ryu_vmmob.sim.network import Visit
from ryu_vmmob.trace.case import Case
from ryu_vmmob.trace.hops import flow_in
from ryu_vmmob.trace.outlook import obstacle
from ryu_vmmob.trace.values import Opinion

_REPORT = "that is a fault of the controller: report it"


def opinion(case: Case, visits: Iterable[Visit]) -> Opinion | None:
    """None when no table of policies was met, as by ARP and by what is answered."""
    met = {
        table: [flow for visit in visits if (flow := flow_in(visit, table)) is not None]
        for table in (Table.POLICY_OUT, Table.POLICY_IN)
    }
    left, reached = met[Table.POLICY_OUT], met[Table.POLICY_IN]
    if not (left or reached):
        return None
    allowed = all(flow.goto is not None for flow in (*left, *reached))
    return Opinion(_decided(left), _decided(reached), allowed, _fault(case, [*left, *reached], reached=bool(reached)))


def named(flow: Flow) -> str | None:
    """Return the policy that a flow is of; None for another flow."""
    return flow.owner.name if flow.owner.kind is OwnerKind.POLICY else None


def _decided(flows: Iterable[Flow]) -> str | None:
    return next((name for flow in flows if (name := named(flow)) is not None), None)


def _fault(case: Case, flows: list[Flow], *, reached: bool) -> str | None:
    if case.sender is None or case.receiver is None:
        return None
    decision = decide(case.state, case.sender, case.receiver, case.traffic)
    reason = f"policy {decision.policy}" if decision.policy is not None else "no policy"
    dropped = next((flow for flow in flows if flow.goto is None), None)
    if dropped is None:
        # What is bridged may pass where no policy denies it, whatever address stands in it.
        if reached and not decision.allowed and not (decision.policy is None and case.is_bridged):
            return f"yet by the policies it is denied ({reason} decides): {_REPORT}"
    elif decision.allowed and not _needs_no_flow(case, dropped, decision):
        return f"yet by the policies it is allowed ({reason} decides): {_REPORT}"
    return None


def _needs_no_flow(case: Case, dropped: Flow, decision: Decision) -> bool:
    """Whether policies allow a packet that no flow needs to allow, so that a drop is no fault.

    A packet to the gateway's MAC for an address of the sender's own CUG reaches no receiver. And a policy has flows only where
    they can match: not for unassigned addresses, nor at edges that no path leads to.
    """
    if named(dropped) is not None:
        return False
    return decision.policy is None or case.gateway is not None or obstacle(case) is not None
