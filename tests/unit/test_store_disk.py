"""A store on a disk that is full or faulty, and where it may not write."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ryu_vmmob.store import StoreError, Write, open_store
from ryu_vmmob.store.sqlite import SqliteStore
from tests.unit.store_support import contents, fill, url
from tests.unit.store_support import path as path


class Faulty:
    """A connection that refuses statements that begin so, as SQLite does when the disk is full."""

    def __init__(self, db: sqlite3.Connection, begins: str) -> None:
        self._db, self.begins = db, begins

    def execute(self, statement: str, *values: tuple[str, ...]) -> sqlite3.Cursor:
        if self.begins and statement.startswith(self.begins):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._db.execute(statement, *values)

    def close(self) -> None:
        self._db.close()


@pytest.mark.parametrize("begins", ["BEGIN", "INSERT", "UPDATE", "COMMIT"])
def test_a_disk_that_is_full_at_any_moment(path: Path, begins: str) -> None:
    fill(path, 5)
    store = SqliteStore(str(path))
    faulty = store._db = Faulty(store._db, begins)  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(StoreError, match="the disk is full"):
            store.commit(8, [Write("vm", "late", {})])
        assert (len(contents(store)), store.revision) == (5, 7)
    faulty.begins = ""
    store.commit(8, [Write("vm", "late", {})])
    store.close()
    again = open_store(url(path))
    assert (len(contents(again)), again.revision) == (6, 8)
    again.close()


def in_child(work: Callable[[], None]) -> None:
    """Run ``work`` in a process of its own, whose limits and user may be changed; its failure fails the test."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def big(prefix: str) -> list[Write]:
    return [Write("vm", f"{prefix}{number}", {"pad": "x" * 4000}) for number in range(100)]


def test_a_file_size_limit_refuses_the_commit_and_keeps_the_rest(path: Path) -> None:
    fill(path)

    def work() -> None:
        store = open_store(url(path))
        limit = os.path.getsize(path) + 100_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        before = contents(store)
        with pytest.raises(StoreError, match="disk"):
            store.commit(8, big("big"))
        assert (contents(store), store.revision) == (before, 7)
        store.commit(8, [Write("vm", "small", {})])
        assert set(contents(store)) == set(before) | {("vm", "small")}
        os._exit(0)  # as a crash: nothing is closed

    in_child(work)
    store = open_store(url(path))
    assert (len(list(store.load())), store.revision) == (51, 8)
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_refuses_the_commit_and_room_mends_it(small_disk: Path) -> None:
    path = small_disk / "vmmob.db"
    fill(path, 5)
    store = open_store(url(path))
    with pytest.raises(StoreError, match="the disk is full"):
        store.commit(8, big("big"))
    assert (len(list(store.load())), store.revision) == (5, 7)
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    store.commit(8, big("big"))
    assert (len(list(store.load())), store.revision) == (105, 8)
    store.close()


@pytest.mark.root
def test_a_disk_too_small_for_a_new_store_is_left_empty(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=8k", str(small_disk)], check=True)
    with pytest.raises(StoreError, match="the disk is full"):
        open_store(url(small_disk / "vmmob.db"))
    assert os.listdir(small_disk) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into (pytest's own may not be)."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def as_nobody(work: Callable[[], None]) -> Callable[[], None]:
    """Root may write everywhere, so ``work`` runs as somebody else."""

    def inside() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        work()

    return inside


def test_a_read_only_file(open_folder: Path) -> None:
    path = open_folder / "vmmob.db"
    fill(path)
    path.chmod(0o444)
    open_folder.chmod(0o555)

    def work() -> None:
        with pytest.raises(StoreError, match="read-only"):
            open_store(url(path))

    in_child(as_nobody(work))
    open_folder.chmod(0o755)
    path.chmod(0o644)
    store = open_store(url(path))
    assert len(list(store.load())) == 50
    store.close()


def test_a_file_that_may_not_be_read(open_folder: Path) -> None:
    path = open_folder / "vmmob.db"
    fill(path)
    path.chmod(0)

    def work() -> None:
        with pytest.raises(StoreError, match="may not be read"):
            open_store(url(path))

    in_child(as_nobody(work))


def test_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    open_folder.chmod(0o555)

    def work() -> None:
        with pytest.raises(StoreError, match="Permission denied"):
            open_store(url(open_folder / "deep" / "vmmob.db"))

    in_child(as_nobody(work))
    open_folder.chmod(0o755)
    assert os.listdir(open_folder) == []
