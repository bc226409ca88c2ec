"""What the engine relies on, of every kind of store: the same tests over SQLite, a real etcd, and an imitated one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ryu_vmmob.store import Record, Store, StoreError, Write, open_store
from ryu_vmmob.store.backup import complete
from ryu_vmmob.store.etcd import store as etcd_store
from tests.support.etcd import Etcd
from tests.support.fake_etcd import FakeEtcd
from tests.unit.store_support import contents, url

Opens = Callable[[], Store]


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd | None]:
    if shutil.which("etcd") is None:
        yield None
        return
    with Etcd(tmp_path_factory.mktemp("etcd")) as started:
        yield started


@pytest.fixture(params=["sqlite", "etcd", "imitated etcd"])
def opens(
    request: pytest.FixtureRequest, tmp_path: Path, member: Etcd | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Opens]:
    """Opens the store of this test; what a test leaves open is closed."""
    place = url(tmp_path / "vmmob.db")
    if request.param == "etcd":
        if member is None:
            pytest.skip("no etcd (Debian package etcd-server)")
        place = member.url(tmp_path.name)
    elif request.param == "imitated etcd":
        FakeEtcd().use(monkeypatch)
        place = "etcd://nowhere/vmmob"
    opened: list[Store] = []

    def opens() -> Store:
        opened.append(open_store(place))
        return opened[-1]

    yield opens
    for store in opened:
        store.close()


def test_a_new_store_is_empty(opens: Opens) -> None:
    store = opens()
    assert (list(store.load()), store.revision) == ([], 0)


def test_what_was_committed_is_there_after_reopening(opens: Opens) -> None:
    store = opens()
    store.commit(1, [Write("cug", "web", {"key": 1}), Write("vm", "web", {"ä": [1.5, None, "\n\t\u2028"]})])
    store.commit(2, [Write("cug", "web", {"key": 2})])
    store.commit(3, [Write("vm", "web", None), Write("vm", "never", None), Write("vm", "db", {}), Write("vm", "a\tb/ä\n", {})])
    store.close()
    again = opens()
    assert again.load() == [Record("cug", "web", {"key": 2}), Record("vm", "a\tb/ä\n", {}), Record("vm", "db", {})]
    assert again.revision == 3


def test_of_several_writes_to_one_object_the_last_counts(opens: Opens) -> None:
    store = opens()
    store.commit(1, [Write("vm", "a", {"n": 1}), Write("vm", "a", None), Write("vm", "a", {"n": 2}), Write("vm", "b", {})])
    store.commit(1, [Write("vm", "b", {}), Write("vm", "b", None)])
    assert contents(store) == {("vm", "a"): {"n": 2}}
    store.close()
    assert contents(opens()) == {("vm", "a"): {"n": 2}}


def test_a_closed_store_takes_nothing_and_closing_twice_is_no_fault(opens: Opens) -> None:
    store = opens()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.commit(1, [])


@pytest.mark.parametrize("bad", [{"n": float("nan")}, {"n": object()}])
def test_a_body_that_is_no_json_changes_nothing(opens: Opens, bad: dict[str, object]) -> None:
    store = opens()
    with pytest.raises(StoreError, match="vm 'b' cannot be stored"):
        store.commit(1, [Write("vm", "a", {}), Write("vm", "b", bad)])
    with pytest.raises(StoreError, match="cannot be stored"):
        store.commit(1, [Write("vm", "a", {}), Write("vm", "\ud800", None)])
    assert (contents(store), store.revision) == ({}, 0)
    store.commit(1, [Write("vm", "c", {})])
    assert contents(store) == {("vm", "c"): {}}


def test_an_older_revision_is_refused_and_the_same_is_not(opens: Opens) -> None:
    store = opens()
    store.commit(5, [Write("vm", "a", {})])
    with pytest.raises(StoreError, match="revision 4 is older than 5"):
        store.commit(4, [Write("vm", "b", {})])
    store.commit(5, [Write("vm", "c", {})])
    store.commit(None, [Write("vm", "d", {})])
    assert (set(contents(store)), store.revision) == ({("vm", "a"), ("vm", "c"), ("vm", "d")}, 5)


def test_a_revision_may_change_without_a_write(opens: Opens) -> None:
    store = opens()
    store.commit(4, [])
    store.commit(None, ())
    store.close()
    assert opens().revision == 4


def test_a_second_holder_is_refused_until_the_first_lets_go(opens: Opens) -> None:
    store = opens()
    with pytest.raises(StoreError, match="has it open: one store serves one controller"):
        opens()
    store.commit(1, [Write("vm", "a", {})])
    store.close()
    assert contents(opens()) == {("vm", "a"): {}}


def test_the_bulk_of_20000_vms_is_one_commit(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large enough for several parts in etcd; then a part of it is deleted, and the log folded while that goes on."""
    monkeypatch.setattr(etcd_store, "LOG_ENTRIES", 3)
    store = opens()
    rows = [Write("vm", f"web{number}", {"number": number, "text": "x" * (number % 300)}) for number in range(20_000)]
    store.commit(1, rows)
    for number in range(5):
        store.commit(2 + number, [Write("vm", f"web{number}", None), Write("cug", "web", {"n": number})])
        store.tidy()
    more = True
    while more:
        more = store.tidy()
        store.commit(None, [Write("meta", "ids", {"value": 1})])
        monkeypatch.setattr(etcd_store, "LOG_ENTRIES", 1000)
    wanted = {("vm", row.name): row.body for row in rows[5:]} | {("cug", "web"): {"n": 4}, ("meta", "ids"): {"value": 1}}
    assert contents(store) == wanted
    store.close()
    again = opens()
    assert again.revision == 6
    assert contents(again) == wanted


def test_a_copy_is_of_one_moment_and_a_controller_can_be_started_on_it(opens: Opens, tmp_path: Path) -> None:
    store = opens()
    store.commit(3, [Write("meta", f"m{number}", {"value": [0, "x" * 300]}) for number in range(1200)])
    target = tmp_path / "copy.db"
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        store.commit(4, [Write("meta", f"m{number}", {"value": [1]}) for number in range(1200)])

    store.backup(str(target), pause)
    found = complete(str(target))
    assert pauses >= 2
    with contextlib.closing(open_store(url(target))) as copy:
        seen = {record.body["value"][0] for record in copy.load()}
        assert len(seen) == 1
        assert found.revision == copy.revision == (3 if seen == {0} else 4)
