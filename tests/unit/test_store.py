"""The SQLite store: durable, all or nothing, held by one, and clear about every fault."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ryu_vmmob.store import Record, StoreError, Write, open_store
from ryu_vmmob.store.sqlite import SCHEMA_VERSION, SqliteStore
from tests.unit.store_support import contents, fill, url
from tests.unit.store_support import path as path


def test_a_new_store_is_empty_and_makes_its_folder(tmp_path: Path) -> None:
    store = open_store(url(tmp_path / "a" / "b" / "vmmob.db"))
    assert (list(store.load()), store.revision) == ([], 0)
    store.close()
    assert os.listdir(tmp_path / "a" / "b") == ["vmmob.db"]


def test_what_was_committed_is_there_after_reopening(path: Path) -> None:
    store = open_store(url(path))
    store.commit(1, [Write("cug", "web", {"key": 1}), Write("vm", "web", {"ä": [1.5, None, "\n"]})])
    store.commit(2, [Write("cug", "web", {"key": 2})])
    store.commit(3, [Write("vm", "web", None), Write("vm", "never", None), Write("vm", "db", {})])
    store.close()
    again = open_store(url(path))
    assert list(again.load()) == [Record("cug", "web", {"key": 2}), Record("vm", "db", {})]
    assert again.revision == 3
    again.close()


def test_of_several_writes_to_one_object_the_last_counts(path: Path) -> None:
    store = open_store(url(path))
    store.commit(1, [Write("vm", "a", {"n": 1}), Write("vm", "a", None), Write("vm", "a", {"n": 2}), Write("vm", "b", {})])
    store.commit(1, [Write("vm", "b", {}), Write("vm", "b", None)])
    assert contents(store) == {("vm", "a"): {"n": 2}}
    store.close()


def test_in_memory() -> None:
    store = open_store("sqlite:///:memory:")
    store.commit(1, [Write("vm", "a", {"n": 1})])
    assert contents(store) == {("vm", "a"): {"n": 1}}
    store.close()
    assert contents(open_store("sqlite:///:memory:")) == {}


def test_closing_twice_is_no_fault_and_a_closed_store_says_so(path: Path) -> None:
    store = open_store(url(path))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.commit(1, [])


@pytest.mark.parametrize("bad", [{"n": float("nan")}, {"n": object()}])
def test_a_body_that_is_no_json_changes_nothing(path: Path, bad: dict[str, object]) -> None:
    store = open_store(url(path))
    with pytest.raises(StoreError, match="vm 'b' cannot be stored"):
        store.commit(1, [Write("vm", "a", {}), Write("vm", "b", bad)])
    with pytest.raises(StoreError, match="cannot be stored"):
        store.commit(1, [Write("vm", "a", {}), Write("vm", "\ud800", None)])
    assert (contents(store), store.revision) == ({}, 0)
    store.close()


def test_an_older_revision_is_refused_and_the_same_is_not(path: Path) -> None:
    store = open_store(url(path))
    store.commit(5, [Write("vm", "a", {})])
    with pytest.raises(StoreError, match="revision 4 is older than 5"):
        store.commit(4, [Write("vm", "b", {})])
    store.commit(5, [Write("vm", "c", {})])
    assert set(contents(store)) == {("vm", "a"), ("vm", "c")}
    store.close()


def test_a_fault_in_the_middle_of_a_commit_undoes_its_beginning(path: Path) -> None:
    store = SqliteStore(str(path))
    store._db.execute("CREATE TEMP TRIGGER t BEFORE INSERT ON record WHEN NEW.name = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StoreError, match="no"):
        store.commit(1, [Write("vm", "a", {}), Write("vm", "b", {})])
    assert (contents(store), store.revision) == ({}, 0)
    store.commit(1, [Write("vm", "c", {})])
    assert contents(store) == {("vm", "c"): {}}
    store.close()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "vmmob.db",
        "/var/lib/x.db",
        "postgres:///x",
        "sqlite://x.db",
        "sqlite:x.db",
        "sqlite:///",
        "sqlite:///a?b=1",
        "sqlite:///a%00b",
    ],
)
def test_urls_that_name_no_store(bad: str) -> None:
    with pytest.raises(StoreError, match="store"):
        open_store(bad)


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    store = open_store(f"sqlite://{tmp_path}/a%20b%3Fc%23d%25.db")
    store.commit(1, [Write("vm", "a", {})])
    store.close()
    assert os.listdir(tmp_path) == ["a b?c#d%.db"]


# One holder


def test_a_second_controller_is_refused_until_the_first_lets_go(path: Path) -> None:
    first = open_store(url(path))
    script = f"from ryu_vmmob.store import open_store; open_store({url(path)!r})"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert f"store {path}: another process has it open: one store serves one controller" in other.stderr
    with pytest.raises(StoreError, match="another process has it open"):
        open_store(url(path))
    first.commit(1, [Write("vm", "a", {})])
    first.close()
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# Damage


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("version: 1\nfabric: two-dcs\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(url(path))


def test_a_database_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="some other program"):
        open_store(url(path))
    assert path.read_bytes() == before


def test_a_newer_format(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreError, match=f"format {SCHEMA_VERSION + 1} is newer than {SCHEMA_VERSION}"):
        open_store(url(path))


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def torn(data: bytes) -> bytes:
    return data[:8192] + bytes(4096) + data[12288:]


def header_only(data: bytes) -> bytes:
    return data[:100]


def bit_flipped(data: bytes) -> bytes:
    at = data.index(b"x" * 100)
    return data[:at] + b"y" + data[at + 1 :]


@pytest.mark.parametrize("damage", [truncated, torn, header_only, bit_flipped])
def test_a_damaged_file_is_refused(path: Path, damage: Callable[[bytes], bytes]) -> None:
    fill(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=r"damaged|not a database"):
        open_store(url(path))


def refusal_or_difference(path: Path, sound: object) -> str | None:
    """Why the store is refused; what differs from ``sound`` if it is not; None for nothing."""
    try:
        store = open_store(url(path))
    except StoreError as error:
        return str(error)
    found = contents(store), store.revision
    store.close()
    return None if found == sound else f"other contents: {found}"


@pytest.mark.parametrize("part", ["header", "anywhere", "cut"])
def test_damage_of_any_kind_is_refused_in_a_sentence_or_changes_nothing(path: Path, part: str) -> None:
    """A single bit, or the end: never another exception, never other contents."""
    fill(path, 20)
    data, chance = path.read_bytes(), random.Random(part)
    store = open_store(url(path))
    sound = contents(store), store.revision
    store.close()
    refused = 0
    for _ in range(150):
        spoilt = bytearray(data)
        if part == "cut":
            spoilt = spoilt[: chance.randrange(len(data))]
        else:
            spoilt[chance.randrange(100 if part == "header" else len(data))] ^= 1 << chance.randrange(8)
        for file in path.parent.glob("vmmob.db*"):
            file.unlink()
        path.write_bytes(spoilt)
        said = refusal_or_difference(path, sound)
        refused += said is not None
        assert said is None or (said.startswith(f"store {path}: ") and "\n" not in said), said
    assert refused > (140 if part == "cut" else 0)


def test_a_log_that_is_gone_is_missed(path: Path, tmp_path: Path) -> None:
    """What was acknowledged last is in the log; without it the file is whole, and old."""
    fill(path, 5)
    store = open_store(url(path))
    store.commit(8, [Write("vm", "late", {})])
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    log = Path(f"{path}-wal").read_bytes()
    store.close()
    with pytest.raises(StoreError, match=r"not closed, and its log .*copy\.db-wal is gone"):
        open_store(url(copy))
    assert os.listdir(tmp_path).count("copy.db-wal") == 0
    Path(f"{copy}-wal").write_bytes(log)
    again = open_store(url(copy))
    assert ("vm", "late") in contents(again)
    again.close()


def crashed(path: Path, work: str) -> None:
    """A process that opens the store, does ``work`` and dies."""
    script = f"""if True:
        import os
        from ryu_vmmob.store import Write, open_store
        store = open_store({url(path)!r})
        {work}
    """
    subprocess.run([sys.executable, "-c", script], check=False)


def test_a_log_folded_in_by_another_program_is_taken_when_somebody_says_so(path: Path) -> None:
    fill(path, 5)
    crashed(path, "store.commit(8, [Write('vm', 'late', {})]); os.kill(os.getpid(), 9)")
    assert Path(f"{path}-wal").exists()
    with sqlite3.connect(path) as db:  # it reads, and folds the log in when it closes
        db.execute("SELECT count(*) FROM record").fetchone()
    db.close()
    with pytest.raises(StoreError, match="UPDATE life SET closed = 1") as refused:
        open_store(url(path))
    with sqlite3.connect(path) as db:
        db.execute(str(refused.value).rsplit("'")[1])
    db.close()
    store = open_store(url(path))
    assert len(contents(store)) == 6
    store.close()


@pytest.mark.parametrize(
    "end", ["raise SystemExit(1)", "1 / 0", "del store", "store.close()", "os._exit(3)", "os.kill(os.getpid(), 9)"]
)
def test_however_a_process_ends_the_next_one_starts(path: Path, end: str) -> None:
    fill(path, 5)
    for revision in (8, 9):
        crashed(path, f"store.commit({revision}, [Write('vm', 'late', {{'at': {revision}}})]); {end}")
        store = open_store(url(path))
        assert (store.revision, contents(store)["vm", "late"]) == (revision, {"at": revision})
        store.close()


def test_killed_at_any_moment_of_its_opening_and_closing_the_next_one_starts(path: Path) -> None:
    work = "import time\nfrom ryu_vmmob.store import open_store\nprint(flush=True)\n" + (
        f"while True:\n    open_store({url(path)!r}).close()\n"
    )
    chance = random.Random(1)
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", work], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.random() / 20)
        child.kill()
        child.wait()
        child.stdout.close()
        store = open_store(url(path))
        assert list(store.load()) == []
        store.close()


@pytest.mark.parametrize("end", ["", "-wal"])
def test_a_file_that_is_taken_away_takes_no_commit_until_it_is_back(path: Path, end: str) -> None:
    fill(path, 5)
    store = open_store(url(path))
    store.commit(8, [Write("vm", "a", {})])
    place, aside = Path(f"{path}{end}"), path.with_name("aside")
    place.rename(aside)
    with pytest.raises(StoreError, match="was taken away while it is in use; put it back"):
        store.commit(9, [Write("vm", "b", {})])
    place.write_bytes(aside.read_bytes())
    with pytest.raises(StoreError, match="was replaced while it is in use"):
        store.commit(9, [Write("vm", "b", {})])
    assert (("vm", "b") in contents(store), store.revision) == (False, 8)
    aside.rename(place)
    store.commit(9, [Write("vm", "b", {})])
    store.close()
    again = open_store(url(path))
    assert {("vm", "a"), ("vm", "b")} <= set(contents(again))
    again.close()


def test_what_is_acknowledged_is_on_the_disk(path: Path) -> None:
    """As far as SQLite can be asked: FULL syncs the log at each commit."""
    store = SqliteStore(str(path))
    assert [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")] == ["wal", 2]
    store.close()


def test_a_commit_that_waits_for_no_disk_is_followed_by_one_that_does(path: Path) -> None:
    """And the end of the process loses neither: a copy of the file and its log has both."""
    store = SqliteStore(str(path))
    done: list[str] = []
    store._db.set_trace_callback(done.append)
    store.commit(1, [Write("vm", "a", {})])
    store.commit(2, [Write("vm", "b", {})], sync=False)
    store.commit(3, [Write("vm", "c", {})])
    store._db.set_trace_callback(None)
    told = [row for row in done if row.startswith(("PRAGMA", "COMMIT"))]
    assert told == ["COMMIT", "PRAGMA synchronous = NORMAL", "COMMIT", "PRAGMA synchronous = FULL", "COMMIT"]
    crashed(path.with_name("other.db"), "store.commit(1, [Write('vm', 'a', {})], sync=False); os._exit(9)")
    with contextlib.closing(SqliteStore(str(path.with_name("other.db")))) as again:
        assert [row.name for row in again.load()] == ["a"]
    store.close()


def test_damage_that_no_read_would_meet(path: Path) -> None:
    """The list of free pages: a later write would give out a page that is in use."""
    fill(path)
    store = open_store(url(path))
    store.commit(8, [Write("vm", f"web{number}", None) for number in range(45)])
    store.close()
    data = bytearray(path.read_bytes())
    free = int.from_bytes(data[36:40], "big")
    assert free > 1
    data[36:40] = (free - 1).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        open_store(url(path))


def test_an_undamaged_file_of_the_same_making_is_taken(path: Path) -> None:
    fill(path)
    path.write_bytes(path.read_bytes())
    store = open_store(url(path))
    assert len(list(store.load())) == 50
    store.close()


def test_an_empty_file_is_a_lost_one(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="the file is empty, so what it held is lost"):
        open_store(url(path))


def test_a_log_without_its_file_is_not_played_back_into_a_new_one(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"anything")
    with pytest.raises(StoreError, match="the file is gone and its log"):
        open_store(url(path))


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(url(tmp_path))


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"Not a directory|File exists"):
        open_store(url(tmp_path / "file" / "vmmob.db"))


# Crashes. The child says "N" on its output after the commit of revision N has returned.

_CHILD = """
import os, sys
from ryu_vmmob.store import Write, open_store
store = open_store(sys.argv[1])
revision = store.revision
while True:
    revision += 1
    store.commit(revision, [Write("vm", f"vm{n}", {"revision": revision, "pad": "x" * 300}) for n in range(20)]
        + [Write("log", str(revision), {"revision": revision})])
    os.write(1, b"%d\\n" % revision)
"""


@pytest.mark.parametrize("commits", [1, 2, 25, 150])
def test_kill_9_loses_nothing_acknowledged_and_tears_nothing(path: Path, commits: int) -> None:
    done = 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, url(path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        for _ in range(commits):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.wait()
        child.stdout.close()
        acknowledged = done + commits + rest.count(b"\n")
        store = open_store(url(path))
        # One commit may have been finished and not yet acknowledged.
        assert acknowledged <= store.revision <= acknowledged + 1
        bodies = contents(store)
        assert {body["revision"] for (kind, _), body in bodies.items() if kind == "vm"} == {store.revision}  # type: ignore[index]
        assert sum(kind == "log" for kind, _ in bodies) == store.revision
        done = store.revision
        store.close()


def test_a_log_cut_short_by_a_crash_gives_the_state_before(path: Path, tmp_path: Path) -> None:
    """The last commit's frames are only half on the disk, as after a power cut before it returned."""
    store = open_store(url(path))
    store.commit(1, [Write("vm", "a", {"n": 1})])
    store.commit(2, [Write("vm", "a", {"n": 2}), *(Write("vm", f"b{n}", {"pad": "x" * 900}) for n in range(30))])
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    log = Path(f"{path}-wal").read_bytes()
    store.close()
    Path(f"{copy}-wal").write_bytes(log[: len(log) - 5000])
    again = open_store(url(copy))
    assert (contents(again), again.revision) == ({("vm", "a"): {"n": 1}}, 1)
    again.close()
