"""Long commits are written in another thread, and others work meanwhile; one is written at a time."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import eventlet
import pytest
from eventlet import patcher, tpool
from eventlet.semaphore import Semaphore

from ryu_vmmob.store import Write
from ryu_vmmob.store.aside import LONG, AsideStore
from ryu_vmmob.store.sqlite import SqliteStore
from tests.unit.store_support import contents
from tests.unit.store_support import path as path

PATIENCE = 10.0
"""Seconds after which a store that holds everything up is found out."""


class Slow(SqliteStore):
    """Writes only when others have been at work."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.others_worked = patcher.original("threading").Event()

    def commit(self, *args: Any, **options: Any) -> None:
        assert self.others_worked.wait(PATIENCE), "nothing else ran while the store wrote"
        super().commit(*args, **options)


@pytest.fixture
def slow(path: Path) -> Iterator[Slow]:
    store = Slow(path)
    yield store
    store.close()
    tpool.killall()


def rows(count: int) -> list[Write]:
    return [Write("vm", f"web{number}", {"number": number}) for number in range(count)]


def test_others_work_while_a_long_commit_is_written(slow: Slow) -> None:
    store = AsideStore(slow, tpool.execute, Semaphore(1))
    eventlet.spawn_after(0.01, slow.others_worked.set)
    store.commit(3, rows(LONG))
    assert (store.revision, len(contents(store))) == (3, LONG)


def test_what_is_noted_meanwhile_comes_after_it_and_keeps_its_revision(slow: Slow) -> None:
    store = AsideStore(slow, tpool.execute, Semaphore(1))
    long = eventlet.spawn(store.commit, 3, rows(LONG))
    eventlet.sleep(0)
    noted = eventlet.spawn(store.commit, None, [Write("vm", "web1", {"number": "noted"})])
    eventlet.sleep(0)
    assert not noted.dead
    slow.others_worked.set()
    long.wait()
    noted.wait()
    assert store.revision == 3
    assert contents(store)["vm", "web1"] == {"number": "noted"}


def test_it_closes_after_what_it_writes(slow: Slow) -> None:
    store = AsideStore(slow, tpool.execute, Semaphore(1))
    long = eventlet.spawn(store.commit, 3, rows(LONG))
    eventlet.sleep(0)
    eventlet.spawn_after(0.01, slow.others_worked.set)
    store.close()
    long.wait()
    again = SqliteStore(slow.path)
    assert (again.revision, len(contents(again))) == (3, LONG)
    again.close()


def test_a_copy_has_all_of_a_long_commit_or_nothing(slow: Slow, tmp_path: Path) -> None:
    slow.others_worked.set()
    store = AsideStore(slow, tpool.execute, Semaphore(1))
    store.commit(1, [Write("vm", f"web{number}", {"text": "x" * 500}) for number in range(20_000)])
    pauses, longs = [], []

    def pause() -> None:
        pauses.append(store.revision)
        if len(pauses) == 3:
            longs.append(eventlet.spawn(store.commit, 2, [Write("vm", f"web{n}", {"text": "y" * 500}) for n in range(20_000)]))
        eventlet.sleep(0)

    store.backup(str(tmp_path / "copy.db"), pause)
    longs[0].wait()
    assert pauses[-1] == store.revision == 2
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        letters = {json.loads(text)["text"][0] for (text,) in copy.execute("SELECT body FROM record")}
        assert (letters, copy.execute("SELECT revision FROM head").fetchall()) in [({"x"}, [(1,)]), ({"y"}, [(2,)])]
