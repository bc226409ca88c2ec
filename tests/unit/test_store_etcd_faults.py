"""The etcd store, when a request or its answer is lost exactly there: nothing acknowledged goes, nothing refused comes back."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.store import StoreError, Write
from ryu_vmmob.store.etcd import layout, owner
from ryu_vmmob.store.etcd import store as etcd_store
from ryu_vmmob.store.etcd.layout import Epoch, Head, parted, read, text
from ryu_vmmob.store.etcd.store import COMMIT_SECONDS, EtcdStore
from tests.support.fake_etcd import FakeEtcd
from tests.unit.etcd_support import KEYS, URL, A, B, at_commits, key64, log_of, opened
from tests.unit.etcd_support import etcd as etcd
from tests.unit.store_support import contents


@pytest.mark.parametrize("lost", ["before", "after", "late"])
def test_a_lost_answer_is_found_out_by_the_next_request(etcd: FakeEtcd, lost: str) -> None:
    store = opened(etcd)
    etcd.fault = at_commits(lost)
    store.commit(1, [A])
    store.commit(2, [B])
    assert store.revision == 2
    store.close()
    again = opened(etcd)
    assert (again.revision, set(contents(again))) == (2, {("vm", "a"), ("vm", "b")})
    assert read(Head, etcd.get(KEYS.head)).seq == 2


@pytest.mark.parametrize("last", ["before", "after", "late"])
def test_a_commit_that_was_refused_for_want_of_an_answer_is_not_there_afterwards(
    etcd: FakeEtcd, last: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(etcd)
    store.commit(1, [A, B])
    etcd.fault = lambda path, body: last
    began = etcd.time
    with pytest.raises(StoreError, match=r"no majority of etcd answered within 8\.\d s \((one|two|three):2379: timed out"):
        store.commit(2, [Write("vm", "a", {"n": 7}), Write("vm", "b", None), Write("vm", "c", {})])
    assert etcd.time - began < COMMIT_SECONDS + 3
    etcd.fault = lambda path, body: ""
    etcd.time += 2.0
    with caplog.at_level(logging.WARNING):
        store.commit(2, [Write("vm", "d", {})])
    assert ("it is taken back" in caplog.text) == (last != "before")
    wanted = {("vm", "a"): {"n": 1}, ("vm", "b"): {"n": 2}, ("vm", "d"): {}}
    assert (store.revision, contents(store)) == (2, wanted)
    store.close()
    again = opened(etcd)
    assert (again.revision, contents(again)) == (2, wanted)


def test_a_refused_commit_that_arrives_late_is_refused_by_etcd(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    held: list[tuple[str, dict[str, Any]]] = []

    def hold(path: str, body: dict[str, Any]) -> str:
        held.append((path, body))
        return "before"

    etcd.fault = hold
    with pytest.raises(StoreError, match="no majority"):
        store.commit(1, [A])
    etcd.fault, etcd.time = (lambda path, body: ""), etcd.time + 2.0
    store.commit(None, [])  # the head is fenced
    before = dict(etcd.values)
    assert any("succeeded" not in etcd.carry_out(*request) for request in held)
    assert etcd.values == before
    store.commit(1, [B])
    assert contents(store) == {("vm", "b"): {"n": 2}}


def test_what_took_a_commit_back_without_an_answer_is_not_taken_back_itself(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    store.commit(1, [B])
    etcd.fault = lambda path, body: "after"
    with pytest.raises(StoreError):
        store.commit(2, [A])
    known: list[str] = []

    def found_out_and_no_more(path: str, body: dict[str, Any]) -> str:
        known.append(path)
        return "after" if len(known) > 1 else ""

    etcd.fault, etcd.time = found_out_and_no_more, etcd.time + 2.0
    with pytest.raises(StoreError):
        store.commit(2, [A])
    etcd.fault, etcd.time = (lambda path, body: ""), etcd.time + 2.0
    store.commit(None, [])
    assert (store.revision, contents(store)) == (1, {("vm", "b"): {"n": 2}})
    assert [parted(row)[0].undoes for row in log_of(etcd)] == [None, None, 2]


def test_what_takes_a_commit_back_says_so_in_thelog_of(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    etcd.fault = lambda path, body: "after"
    with pytest.raises(StoreError):
        store.commit(1, [A])
    etcd.fault, etcd.time = (lambda path, body: ""), etcd.time + 2.0
    store.commit(None, [])
    entries = [parted(etcd.get(KEYS.log(seq)) or b"")[0] for seq in (1, 2)]
    assert [(row.revision, row.undoes, row.records) for row in entries] == [(1, None, 1), (0, 1, 0)]


def test_while_no_member_answers_the_next_commits_are_refused_at_once(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    etcd.fault = lambda path, body: "before"
    with pytest.raises(StoreError, match="no majority"):
        store.commit(1, [A])
    asked = len(etcd.requests)
    with pytest.raises(StoreError, match="no majority"):
        store.commit(1, [A])
    assert len(etcd.requests) == asked
    etcd.time += 1.1
    began = etcd.time
    with pytest.raises(StoreError, match=r"no majority of etcd answered within [2-4]\.\d s"):
        store.commit(1, [A])
    assert len(etcd.requests) > asked
    assert etcd.time - began < COMMIT_SECONDS / 2
    etcd.fault, etcd.time = (lambda path, body: ""), etcd.time + 1.1
    store.commit(1, [A])
    assert contents(store) == {("vm", "a"): {"n": 1}}


_FAULTS = st.sampled_from(["", "", "", "before", "after", "late", "late:3", "late:9", "die", "die after"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_lost_the_store_has_what_was_acknowledged(data: st.DataObject) -> None:
    """Any requests lost, any process killed at any request. A process that dies may or may not have made its last
    commits, which it did not acknowledge. One that lives has not made what it refused, once it makes the next."""
    with pytest.MonkeyPatch.context() as patch:
        etcd = FakeEtcd()
        etcd.use(patch)
        patch.setattr(etcd_store, "LOG_ENTRIES", 4)
        patch.setattr(layout, "PIECE", 30)
        store = opened(etcd)
        acknowledged: dict[tuple[str, str], object] = {}
        revision = 0
        refused: list[object] = []
        """What there would be with a commit that was refused, and that this process has not taken back yet."""
        for _ in range(data.draw(st.integers(1, 12))):
            storm = data.draw(st.lists(_FAULTS, max_size=14))
            etcd.fault = lambda path, body, storm=storm: storm.pop(0) if storm else ""  # type: ignore[misc]
            names = data.draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4))
            rows = [Write("vm", name, data.draw(st.sampled_from([None, {"r": revision}, {"r": "x" * 40}]))) for name in names]
            may = dict(acknowledged)
            for row in rows:
                may[row.kind, row.name] = row.body
            may = {name: body for name, body in may.items() if body is not None}
            ends = [(acknowledged, revision), *refused, (may, revision + 1)]
            try:
                store.commit(revision + 1, rows)
                acknowledged, revision, refused = may, revision + 1, []
                if data.draw(st.booleans()):
                    store.tidy()
            except StoreError:
                etcd.time += 2.0
                refused.append((may, revision + 1))
                assert store.revision == revision
            except KeyboardInterrupt:
                etcd.fault = lambda path, body: ""
                store = opened(etcd, forget=True)
                found = contents(store), store.revision
                assert found in ends
                (acknowledged, revision), refused = found, []
        etcd.fault = lambda path, body: ""
        etcd.time += 2.0
        store.commit(revision, [Write("vm", "end", {})])
        acknowledged["vm", "end"] = {}
        store.close()
        again = opened(etcd)
        assert (contents(again), again.revision) == (acknowledged, revision)
        parts = [name for name in etcd.values if key64(KEYS.parts[0])[:16] in name]
        assert len(parts) == sum(parted(row)[0].parts for row in log_of(etcd))


# One writer


def test_a_deposed_process_is_refused_and_says_by_what(etcd: FakeEtcd) -> None:
    first = opened(etcd)
    first.commit(1, [A])
    second = opened(etcd, forget=True)
    second.commit(2, [B])
    with pytest.raises(StoreError, match=r"another controller \(process \d+ on .*, opening 2\) has taken it over"):
        first.commit(2, [Write("vm", "lost", {})])
    with pytest.raises(StoreError, match="has taken it over"):
        first.tidy()
    assert set(contents(second)) == {("vm", "a"), ("vm", "b")}
    second.commit(3, [Write("vm", "c", {})])


def test_a_deposed_process_is_told_without_a_write(etcd: FakeEtcd) -> None:
    first = opened(etcd)
    opened(etcd, forget=True)
    first.tidy()
    etcd.time += etcd_store.LOOK_SECONDS
    with pytest.raises(StoreError, match="has taken it over"):
        first.tidy()


def test_a_part_of_a_deposed_process_is_refused_as_well(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PIECE", 10)
    first = opened(etcd)
    opened(etcd, forget=True)
    before = dict(etcd.values)
    with pytest.raises(StoreError, match="has taken it over"):
        first.commit(1, [A, B])
    assert etcd.values == before


def foreign(etcd: FakeEtcd) -> Epoch:
    """Have the owner be a process of another machine."""
    found = read(Epoch, etcd.get(KEYS.owner))._replace(host="elsewhere", alone="other space 1:2")
    etcd.values[key64(KEYS.owner)] = key64(text(found).decode()), etcd.values[key64(KEYS.owner)][1]
    return found


def test_an_owner_elsewhere_that_renews_its_lease_is_left_alone(etcd: FakeEtcd) -> None:
    opened(etcd)
    foreign(etcd)
    left = [18, 17, 16, 20]
    with_leases(etcd, left)
    with pytest.raises(StoreError, match=r"another controller \(process \d+ on elsewhere, opening 1\) has it open"):
        opened(etcd)
    assert read(Epoch, etcd.get(KEYS.epoch)).number == 1


def test_an_owner_elsewhere_that_died_is_waited_for(etcd: FakeEtcd) -> None:
    opened(etcd).commit(1, [A])
    foreign(etcd)
    began = etcd.time
    with_leases(etcd, list(range(owner.LEASE, -1, -1)))
    again = opened(etcd)
    assert again.revision == 1
    assert etcd.time - began >= owner.LEASE


def with_leases(etcd: FakeEtcd, left: list[int]) -> None:
    """Have a lease say that it lives so long yet; at 0 the owner's key goes."""
    real = etcd.carry_out

    def carry_out(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path != "lease/timetolive":
            return real(path, body)
        seconds = left.pop(0)
        if not seconds:
            etcd.values.pop(key64(KEYS.owner), None)
        return {"TTL": str(seconds)}

    etcd.carry_out = carry_out  # type: ignore[method-assign]


def test_the_lease_is_renewed_long_before_it_ends(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    before = len(etcd.requests)
    for _ in range(3 * owner.LEASE):
        etcd.time += 1.0
        store.tidy()
    assert etcd.requests[before:].count("lease/keepalive") >= 3 * 3
    assert etcd.requests[before:].count("lease/grant") == 0


def test_a_lease_that_ended_in_a_long_silence_is_replaced(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    etcd.values.pop(key64(KEYS.owner))
    etcd._leases.clear()
    etcd.time += owner.LEASE
    store.tidy()
    assert etcd.get(KEYS.owner) == etcd.get(KEYS.epoch)
    store.commit(1, [A])


# What is not ours, and what went back


def test_a_restored_backup_is_refused(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    store.commit(1, [A])
    backup = dict(etcd.values)
    store.commit(2, [B])
    etcd.values = backup
    with pytest.raises(StoreError, match=r"etcd went back: it has opening 1 and commit 1, .* knows opening 1 and commit 2"):
        store.commit(3, [Write("vm", "c", {})])
    with pytest.raises(StoreError, match="etcd went back"):
        store.commit(3, [Write("vm", "c", {})])


def test_an_epoch_that_went_back_is_refused(etcd: FakeEtcd) -> None:
    opened(etcd).close()
    backup = dict(etcd.values)
    store = opened(etcd)
    etcd.values = backup
    etcd.time += etcd_store.LOOK_SECONDS
    with pytest.raises(StoreError, match="etcd went back: it has opening 1"):
        store.tidy()


def test_another_cluster_does_not_count(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    etcd.cluster = "78"
    with pytest.raises(StoreError, match="it is of another cluster than before: a restored backup"):
        store.commit(1, [A])


def test_keys_that_are_gone_are_refused(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    etcd.values = {}
    with pytest.raises(StoreError, match="its keys are gone from etcd"):
        store.commit(1, [A])


def test_a_head_that_another_program_changed_is_refused(etcd: FakeEtcd) -> None:
    store = opened(etcd)
    etcd.put(KEYS.head, text(Head(5, 5, "x", 0, "0")))
    with pytest.raises(StoreError, match="another program changed its head: it has commit 5, and 0 was the last"):
        store.commit(1, [A])


def test_a_prefix_of_another_program_is_refused(etcd: FakeEtcd) -> None:
    etcd.put("/vmmob/something", b"")
    with pytest.raises(StoreError, match="its prefix has keys of another program"):
        opened(etcd)


def test_a_store_that_is_not_to_be_made_is_refused(etcd: FakeEtcd) -> None:
    with pytest.raises(StoreError, match="there is none"):
        EtcdStore(URL, create=False, clock=lambda: etcd.time, sleep=etcd.sleep)
    assert etcd.values == {}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (KEYS.format, b'{"layout":2,"least":3,"records":3}', "the format 2 of its keys is not 1"),
        (KEYS.format, b'{"layout":1,"least":99,"records":99}', "its format 99 is newer than"),
        (KEYS.format, b'{"layout":1,"least":0,"records":0}', "its format 0 is not known"),
        (KEYS.format, b"no", "its format cannot be read"),
        (KEYS.base, b"", "its base is missing"),
        (KEYS.base, b"1", "it has commit 2 and 1 records, and its head says commit 2 and 2 records"),
        (KEYS.log(1), b"", "its entry cannot be read"),
        (KEYS.log(2), None, "it is damaged: it has commit 1 and 1 records, and its head says commit 2 and 2 records"),
        (KEYS.log(1), None, "commit 1 is missing"),
        (KEYS.head, text(Head(2, 2, "x", 2, "77")), "or their digest differs"),
    ],
)
def test_damage_is_refused(etcd: FakeEtcd, key: str, value: bytes | None, reason: str) -> None:
    store = opened(etcd)
    store.commit(1, [A])
    store.commit(2, [B])
    store.close()
    if value is None:
        etcd.values.pop(key64(key))
    else:
        etcd.put(key, value)
    with pytest.raises(StoreError, match=reason):
        opened(etcd)
    assert etcd.get(KEYS.owner) is None  # the next one need not wait


def test_missing_and_damaged_parts_are_refused(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PIECE", 10)
    store = opened(etcd)
    store.commit(1, [A, B, Write("vm", "c", {})])
    store.close()
    entry = parted(etcd.get(KEYS.log(1)) or b"")[0]
    assert entry.parts == 3
    kept = etcd.values.pop(key64(KEYS.part(entry.token, 1)))
    with pytest.raises(StoreError, match="parts of commit 1 are missing"):
        opened(etcd)
    etcd.values[key64(KEYS.part(entry.token, 1))] = key64("xx"), kept[1]
    with pytest.raises(StoreError, match="a part of it is damaged"):
        opened(etcd)
