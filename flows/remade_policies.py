"""The part of `Recompute` for policies: which are made again, and at which edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ryu_vmmob.flows.making import Making, facts_of
from ryu_vmmob.flows.owner import Owner, OwnerKind
from ryu_vmmob.flows.policy import edges_of_policy, policy_flows
from ryu_vmmob.model.objects import routed_segment

_NO_EDGES: frozenset[str] = frozenset()


class Policies(Making):
    """The part of a plan that is about policies."""

    def _policies_touched(self) -> Mapping[str, frozenset[str] | None]:
        """Policies to be made again, with the edges where (None: all of them)."""
        found: dict[str, frozenset[str] | None] = {}

        def touch(names: Iterable[str], edges: frozenset[str] | None) -> None:
            for name in names:
                before = found.get(name, _NO_EDGES)
                found[name] = None if edges is None or before is None else before | edges

        touch(self.change.policies, None)
        for vm in self._breath.through(self._vms.union(self._relabelled())):
            edges = self._edges_of_vm(vm)
            touch(self.state.policies_of.get(("vm", vm), ()), edges)
            if self.before is not None:  # those whose selector picked it before
                touch(self.before.policies_of.get(("vm", vm), ()), edges)
        for cug in self._breath.through(self.change.cugs):
            joined, found_cug = self._joined(cug), self.state.cugs.get(cug)
            alone = found_cug is not None and found_cug.routing_domain is None
            if facts_of(self.before, cug) != facts_of(self.state, cug):
                touch(self._policies_about(cug), None)
            elif joined:
                touch(self._policies_about(cug) if alone else self.state.policies_of.get(("cug", cug), ()), joined)
            touch(self.state.policies_of.get(("any", ""), ()), joined)
        for domain in self.change.routing_domains:
            if joined := self._joined(routed_segment(domain)):
                for cug in self.state.routed_cugs.get(domain, ()):
                    touch(self._policies_about(cug), joined)
                touch(self.state.policies_of.get(("any", ""), ()), joined)
        return found

    def _relabelled(self) -> Iterator[str]:
        """VMs with other labels: nothing else of theirs need differ."""
        for name in self.change.vms:
            old, new = self.before.vms.get(name) if self.before is not None else None, self.state.vms.get(name)
            if old is not None and new is not None and old.labels != new.labels:
                yield name

    def _policies_about(self, cug: str) -> Iterator[str]:
        """Policies with an end that names the CUG, or a VM in it."""
        index = self.state.policies_of
        yield from index.get(("cug", cug), ())
        for member in self.state.members.get(cug, ()):
            yield from index.get(("vm", member.vm), ())

    def _joined(self, segment: str) -> frozenset[str]:
        """Edges that joined a segment or left it."""
        old, new = self._presences(segment)
        return (old.edges if old is not None else _NO_EDGES) ^ (new.edges if new is not None else _NO_EDGES)

    def _edges_of_vm(self, name: str) -> frozenset[str] | None:
        """Return where a VM's seats differ; None when its addresses do, or the labels by which policies pick it."""
        old = self.before.vms.get(name) if self.before is not None else None
        new = self.state.vms.get(name)
        if old is None or new is None or self.before is None or old.interfaces != new.interfaces or old.labels != new.labels:
            return None
        seats = (*self.before.seats_of(old), *self.state.seats_of(new))
        return frozenset(self.state.fabric.servers[seat.server].switch for seat in seats)

    def _policy(self, name: str, edges: frozenset[str] | None) -> None:
        """Redo a policy at the edges where it can matter: at those named, or at all of them."""
        policy, key = self.state.policies.get(name), Owner(OwnerKind.POLICY, name)
        if policy is None:
            self._gone(key)
            return
        wanted = edges_of_policy(self.state, policy)
        self._gone(key, wanted)
        for switch in wanted if edges is None else wanted & edges:
            self._put(switch, key, policy_flows(self.state, policy, switch))
