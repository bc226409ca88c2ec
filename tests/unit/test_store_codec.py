"""Every model object comes back from its JSON body as it was."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_vmmob.model.batches.values import Batch, BatchState, BatchVm, Outcome
from ryu_vmmob.model.objects import Cug, Interface, Leg, Migration, Phase, TimelineEntry, Vm
from ryu_vmmob.model.policy import Policy, Selector
from ryu_vmmob.model.state import Quarantined
from ryu_vmmob.store import StoreError, Write, open_store
from ryu_vmmob.store.codec import decode, encode, pair_name, pair_of, pair_write, write

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
vlan_ids = st.integers(1, 4094)
maybe_vlan_ids = st.none() | vlan_ids
revisions = st.integers(0, 2**62)
times = st.floats(0, 1e11)
networks = st.ip_addresses().flatmap(
    lambda ip: st.integers(0, ip.max_prefixlen).map(lambda length: ip_network((ip, length), strict=False))
)
cugs = st.builds(
    Cug,
    name=names,
    key=st.integers(1, 65535),
    subnets=st.lists(networks, min_size=1, max_size=2).map(tuple),
    gateways=st.lists(st.ip_addresses(), max_size=2).map(tuple),
    routing_domain=st.none() | names,
    pins=st.dictionaries(names, vlan_ids, max_size=3),
    revision=revisions,
)
interfaces = st.builds(
    Interface,
    cug=names,
    mac=st.integers(0, 2**48 - 1),
    ips=st.lists(st.ip_addresses(), max_size=3).map(tuple),
    guest_vlan_id=maybe_vlan_ids,
)
vms = st.builds(
    Vm,
    name=names,
    server=names,
    interfaces=st.lists(interfaces, max_size=3).map(tuple),
    migration=st.none() | names,
    revision=revisions,
)
flow_mods = st.dictionaries(names, st.integers(0, 10**6), max_size=2)
confirmations = st.dictionaries(names, times, max_size=2)
timelines = st.lists(st.builds(TimelineEntry, st.sampled_from(Phase), times, flow_mods, confirmations), max_size=4)
migrations = st.builds(
    Migration,
    id=names,
    vm=names,
    source=names,
    target=names,
    mode=st.sampled_from(["hot", "cold"]),
    delivery=st.sampled_from(["at_pause", "early", "on_activation"]),
    activate_on=st.sampled_from(["announcement", "request"]),
    commit=st.sampled_from(["automatic", "request"]),
    timeout=times,
    phase=st.sampled_from(Phase),
    started=times,
    legs=st.lists(st.builds(Leg, names, maybe_vlan_ids, maybe_vlan_ids), max_size=3).map(tuple),
    switches=st.lists(names, max_size=3).map(tuple),
    step_revision=revisions,
    timeline=timelines.map(tuple),
    reason=st.none() | st.text(),
    revision=revisions,
    batch=st.none() | names,
)
selectors = (
    st.builds(Selector, st.sampled_from(["cug", "vm"]), names | st.sampled_from(["10.0.0.0", "10"]))
    | st.builds(Selector, st.just("prefix"), networks)
    | st.just(Selector("any"))
)
policies = st.builds(
    Policy,
    name=names,
    priority=st.integers(0, 10000),
    allow=st.booleans(),
    source=selectors,
    target=selectors,
    protocol=st.none() | st.just("icmp") | st.integers(0, 255),
    ports=st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535)), max_size=3).map(tuple),
    replies=st.booleans(),
    revision=revisions,
)
batches = st.builds(
    Batch,
    id=names,
    servers=st.lists(names, max_size=3).map(tuple),
    switch=st.none() | names,
    targets=st.none() | st.lists(names, max_size=3).map(tuple),
    timeout=times,
    parallel=st.integers(1, 1000),
    state=st.sampled_from(BatchState),
    size=revisions,
    planned=revisions,
    next=revisions,
    moving=st.lists(revisions, max_size=3).map(tuple),
    started=times,
    ended=st.none() | times,
    reason=st.none() | st.text(),
    revision=revisions,
)
batch_vms = st.builds(
    BatchVm,
    batch=names,
    number=revisions,
    vm=names,
    source=names,
    target=st.none() | names,
    outcome=st.sampled_from(Outcome),
    reason=st.none() | st.text(),
)
quarantines = st.builds(Quarantined, vlan_ids, times, revisions)


def through_json(kind: str, value: Any) -> Any:
    return decode(kind, "x", json.loads(json.dumps(encode(value), allow_nan=False)))


@given(cugs)
def test_cugs(cug: Cug) -> None:
    assert through_json("cug", cug) == cug


@given(vms)
def test_vms(vm: Vm) -> None:
    assert through_json("vm", vm) == vm


@given(migrations)
def test_migrations(migration: Migration) -> None:
    back = through_json("migration", migration)
    assert back == migration
    # Equality does not tell a list from a named tuple, nor text from an enumeration.
    assert [type(leg) for leg in back.legs] == [Leg] * len(migration.legs)
    assert [type(entry) for entry in back.timeline] == [TimelineEntry] * len(migration.timeline)
    assert type(back.phase) is Phase


@given(policies)
def test_policies(policy: Policy) -> None:
    back = through_json("policy", policy)
    assert back == policy
    assert type(back.protocol) is type(policy.protocol)


@given(batches)
def test_batches(batch: Batch) -> None:
    back = through_json("batch", batch)
    assert back == batch
    assert type(back.state) is BatchState
    assert write(batch)[:2] == ("batch", batch.id)


@given(batch_vms)
def test_vms_of_batches(row: BatchVm) -> None:
    back = through_json("batch_vm", row)
    assert back == row
    assert type(back.outcome) is Outcome


@given(quarantines)
def test_quarantines(row: Quarantined) -> None:
    back = through_json("quarantine", row)
    assert back == row
    assert type(back) is Quarantined


@given(names, revisions)
def test_plain_values_and_pairs(name: str, number: int) -> None:
    assert through_json("switch_key", number) == number
    assert pair_of(pair_name(name, number)) == (name, number)


def test_through_a_store() -> None:
    resting = Quarantined(110, 1.5, 7)
    cug = Cug("web", 3, (), (), "red", {"rack-a": 110})
    store = open_store("sqlite:///:memory:")
    store.commit(1, [write(cug), pair_write("quarantine", ("rack-a", 4), resting)])
    store.commit(1, [pair_write("allocation", ("rack-a", 3), 110)])
    store.commit(2, [pair_write("allocation", ("rack-a", 3), None), Write("meta", "last", encode(3))])
    found = {(kind, name): decode(kind, name, body) for kind, name, body in store.load()}
    assert found == {("cug", "web"): cug, ("quarantine", "rack-a/4"): resting, ("meta", "last"): 3}
    store.close()


def test_a_migration_is_stored_under_its_id() -> None:
    assert write(Migration("m-1", "web1", "a", "b"))[:2] == ("migration", "m-1")


def test_a_record_from_before_a_field_was_there() -> None:
    assert decode("vm", "web1", {"name": "web1", "server": "a", "interfaces": []}) == Vm("web1", "a", ())


POLICY = {"name": "x", "priority": 1, "allow": True, "source": {"kind": "any"}, "target": {"kind": "any"}}


@pytest.mark.parametrize(
    ("kind", "body", "fault"),
    [
        ("vm", {"name": "web1", "interfaces": []}, "server: Field required"),
        ("vm", {"name": "web1", "server": "a", "interfaces": [{"cug": "web", "mac": "x", "ips": []}]}, r"interfaces\[0\].mac"),
        ("cug", {"name": "web", "key": 1, "subnets": ["10.0.0.0/33"], "gateways": []}, r"subnets\[0\]"),
        ("quarantine", {"value": []}, "quarantine 'x'"),
        ("policy", {"name": "x"}, "source: Field required"),
        ("policy", POLICY | {"source": {"kind": "prefix", "value": "10.0.0.1/8"}}, "host bits set"),
        ("policy", POLICY | {"source": {"kind": "prefix"}}, "does not appear to be"),
        ("policy", POLICY | {"source": {"kind": "x"}}, "source.kind"),
        ("policy", POLICY | {"source": 1}, "source"),
        ("basket", {"name": "x"}, "means nothing to this version"),
        ("meta", {"other": 1}, "means nothing to this version"),
    ],
)
def test_bodies_that_are_none(kind: str, body: dict[str, Any], fault: str) -> None:
    with pytest.raises(StoreError, match=fault):
        decode(kind, "x", body)


@pytest.mark.parametrize("bad", ["", "rack-a", "rack-a/", "/", "rack-a/x", "rack-a/-1"])
def test_names_that_are_no_pair(bad: str) -> None:
    with pytest.raises(StoreError):
        pair_of(bad)


def _objects(value: Any) -> list[dict[str, Any]]:
    """Every object in a body that stands for a dataclass: those with fields of their own."""
    if isinstance(value, dict):
        return [value, *(found for row in value.values() for found in _objects(row))]
    return [found for row in value for found in _objects(row)] if isinstance(value, list) else []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("cug", Cug("web", 1, (ip_network("10.1.0.0/24"),), (), None, {})),
        ("vm", Vm("web1", "srv-a1", (Interface("web", 1, ()),))),
        ("migration", Migration("m", "web1", "srv-a1", "srv-b1")),
        ("policy", Policy("p", 1, True, Selector("cug", "web"), Selector("any"))),
    ],
)
def test_a_field_of_a_newer_version_is_refused_and_not_dropped(kind: str, value: Any) -> None:
    """Read without it, the object would be written without it, and what the newer version promised would be gone."""
    assert decode(kind, "x", encode(value)) == value
    whole = json.dumps(encode(value))
    for number in range(len(_objects(json.loads(whole)))):
        body = json.loads(whole)
        if not _objects(body)[number]:
            continue  # a map by name: whatever stands there is a name
        _objects(body)[number]["stateful"] = True
        with pytest.raises(StoreError, match=r"stateful: .*(not permitted|Unexpected|valid integer)"):
            decode(kind, "x", body)
