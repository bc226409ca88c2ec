"""The etcd store at the limits of etcd: large records, a full database, a long log, and an earlier format."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest

from ryu_vmmob.store import StoreError, Write, migrate
from ryu_vmmob.store.etcd import layout, opening
from ryu_vmmob.store.etcd import store as etcd_store
from ryu_vmmob.store.etcd.gateway import RefusedError
from ryu_vmmob.store.etcd.layout import Entry, parted
from ryu_vmmob.store.sqlite import SCHEMA_VERSION
from tests.support.fake_etcd import FakeEtcd
from tests.unit.etcd_support import A, B, at_commits, log_of, moves_head, opened
from tests.unit.etcd_support import etcd as etcd
from tests.unit.store_support import contents


def test_a_record_too_large_for_etcd_is_refused_and_the_next_is_taken(etcd: FakeEtcd) -> None:
    text_ = random.Random(1).randbytes(1_200_000).hex()
    store = opened(etcd)
    with pytest.raises(StoreError, match="are too many for one value in etcd, which takes 1000000"):
        store.commit(1, [A, Write("vm", "b", {"text": text_})])
    store.commit(1, [A])
    assert contents(store) == {("vm", "a"): {"n": 1}}


def test_an_etcd_that_is_full_says_so_and_goes_on_when_there_is_room(etcd: FakeEtcd) -> None:
    store = opened(etcd)

    def full(path: str, body: dict[str, Any]) -> None:
        if moves_head(path, body):
            raise RefusedError("etcd refuses it: mvcc: database space exceeded", 8)

    etcd.refuses = full
    with pytest.raises(StoreError, match="database space exceeded"):
        store.commit(1, [A])
    with pytest.raises(StoreError, match="database space exceeded"):
        store.commit(1, [A])
    etcd.refuses = lambda path, body: None
    store.commit(1, [B])
    assert contents(store) == {("vm", "b"): {"n": 2}}


def test_the_log_is_folded_and_etcds_history_forgotten(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "LOG_ENTRIES", 10)
    store = opened(etcd)
    for number in range(40):
        store.commit(number + 1, [Write("vm", f"v{number % 7}", {"n": number})])
        with suppress(StoreError):
            while store.tidy():
                pass
        assert len(log_of(etcd)) <= 10
    assert etcd.requests.count("kv/compaction") == 3
    store.close()
    again = opened(etcd)
    assert contents(again) == {("vm", f"v{number % 7}"): {"n": number} for number in range(33, 40)}


def test_a_log_that_nothing_tidies_is_folded_by_commits(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "LOG_ENTRIES", 3)
    store = opened(etcd)
    for number in range(100):
        store.commit(number + 1, [Write("vm", f"v{number % 7}", {"n": number})])
        assert len(log_of(etcd)) <= 13


def test_a_fold_that_fails_in_the_middle_is_made_whole_by_the_next(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "LOG_ENTRIES", 10)
    monkeypatch.setattr(etcd_store, "_KEYS_IN_ONE_PUT", 3)
    store = opened(etcd)
    for number in range(12):
        store.commit(number + 1, [Write("vm", f"v{number}", {"n": number})])
    assert [store.tidy(), store.tidy()] == [True, True]
    etcd.fault = lambda path, body: "before"
    with pytest.raises(StoreError, match="no majority"):
        store.tidy()
    etcd.fault, etcd.time = (lambda path, body: ""), etcd.time + 2.0
    while store.tidy():
        pass
    assert log_of(etcd) == []
    store.close()
    assert len(contents(opened(etcd))) == 12


def test_a_process_killed_while_it_folds_leaves_a_store_that_opens(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "LOG_ENTRIES", 10)
    store = opened(etcd)
    wanted: dict[tuple[str, str], object] = {}
    for number in range(60):
        revision = store.revision + 1
        store.commit(revision, [Write("vm", f"v{number % 11}", {"n": number})])
        wanted["vm", f"v{number % 11}"] = {"n": number}
        left = [number % 9]

        def fault(path: str, body: dict[str, Any], left: list[int] = left) -> str:
            left[0] -= 1
            return "die after" if left[0] == 0 else ""

        etcd.fault = fault
        try:
            while store.tidy():
                pass
        except KeyboardInterrupt:
            etcd.fault = lambda path, body: ""
            store = opened(etcd, forget=True)
        etcd.fault = lambda path, body: ""
        assert contents(store) == wanted


# Formats


def test_an_earlier_format_is_upgraded_in_one_commit(etcd: FakeEtcd, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(etcd)
    store.commit(4, [A])
    store.close()
    upgrade = migrate.Upgrade("they have an m", lambda found: [Write(*name, {**body, "m": 1}) for name, body in found.items()])
    last = SCHEMA_VERSION
    monkeypatch.setitem(migrate.UPGRADES, last, upgrade)
    for module in (etcd_store, opening):
        monkeypatch.setattr(module, "SCHEMA_VERSION", last + 1)
    etcd.fault = at_commits("die")
    with pytest.raises(KeyboardInterrupt):
        opened(etcd)
    etcd.fault = lambda path, body: ""
    again = opened(etcd, forget=True)
    assert (again.revision, contents(again)) == (4, {("vm", "a"): {"n": 1, "m": 1}})
    again.close()
    monkeypatch.undo()
    etcd.use(monkeypatch)
    with pytest.raises(StoreError, match=f"its format {last + 1} is newer than {last}"):
        opened(etcd)


def test_entries_are_read_as_they_are_written() -> None:
    entry = Entry(3, 2, 1, "t", 4, 0, 5, "0f", 2)
    assert parted(layout.joined(entry, b"a\nb")) == (entry, b"a\nb")
    rows: list[layout.Row] = [("vm", "a\tb\n", '{"t":"\\t\\n"}'), ("vm", "ä", None)]
    assert list(layout.unpacked(layout.packed(rows))) == rows
    assert list(layout.unpacked(layout.packed([]))) == []
