"""The store on real etcd members: processes and members that are killed or stopped, certificates, passwords, copies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from ryu_vmmob.cli.main import app
from ryu_vmmob.store import Access, StoreError, Write, open_store
from ryu_vmmob.store.etcd import store as etcd_store
from tests.support.etcd import Etcd, missing
from tests.unit.store_support import contents, fill, url

pytestmark = missing
KILLS = int(os.environ.get("VMMOB_ETCD_KILLS", "2"))
"""How often the leader is killed under writes."""


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as started:
        yield started


# Processes that are killed

KILLED = """
import json, os, signal, sys
from ryu_vmmob.store import Write, open_store
from ryu_vmmob.store.etcd import layout, store
from ryu_vmmob.store.etcd.gateway import Gateway

layout.PIECE, store.LOG_ENTRIES = 300, 3
url, ask = sys.argv[1], Gateway._ask

def work(point, moment, out):
    asked = 0
    def dying(self, *request):
        nonlocal asked
        asked += 1
        if asked == point and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = ask(self, *request)
        if asked == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    opened = open_store(url)
    Gateway._ask = dying
    while True:
        revision = opened.revision + 1
        opened.commit(revision, [Write("vm", f"v{number}", {"revision": revision}) for number in range(20)])
        os.write(out, b"%d " % revision)
        while opened.tidy():
            pass

for point in range(1, 13):
    for moment in "before", "after":
        back, out = os.pipe()
        child = os.fork()
        if not child:
            work(point, moment, out)
        os.close(out)
        said = os.fdopen(back).read().split()
        _, status = os.waitpid(child, 0)
        opened = open_store(url)
        rows = [record.body["revision"] for record in opened.load()]
        strays = len(opened._gateway.range(*opened._keys.parts, opened._clock() + 9, keys_only=True))
        in_log = [token for token in opened._found.logged.values() if token]
        print(json.dumps([status, int(said[-1]) if said else None, opened.revision, rows, bool(strays) == bool(in_log)]))
        opened.close()
"""


def test_a_process_killed_at_any_request_of_a_commit_loses_nothing(member: Etcd) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, member.url("killed")], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    results = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(results) == 24
    last = made = 0
    for status, acknowledged, revision, rows, clean in results:
        assert status == signal.SIGKILL
        acknowledged = last if acknowledged is None else acknowledged
        assert revision in (acknowledged, acknowledged + 1)
        assert set(rows) == ({revision} if revision else set())
        assert len(rows) == (20 if revision else 0)
        assert clean
        made += revision == acknowledged + 1
        last = revision
    assert made >= 1  # also the one that was made and not acknowledged


# Members


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("three"), 3, election=300) as started:
        yield started


class Writer(threading.Thread):
    """Commits as fast as it can, and notes what was acknowledged."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._store = open_store(place)
        self.acknowledged: dict[str, int] = {}
        self.refused = 0
        self.more = threading.Condition()
        self.stopped = False

    def run(self) -> None:
        number = 0
        while not self.stopped:
            number += 1
            try:
                self._store.commit(self._store.revision + 1, [Write("vm", f"v{number}", {"n": number})])
            except StoreError:
                self.refused += 1
                continue
            with self.more:
                self.acknowledged[f"v{number}"] = number
                self.more.notify_all()

    def wait(self, count: int) -> None:
        """Return when so many more are acknowledged."""
        with self.more:
            wanted = len(self.acknowledged) + count
            assert self.more.wait_for(lambda: len(self.acknowledged) >= wanted, timeout=60)

    def stop(self) -> int:
        self.stopped = True
        self.join()
        revision = self._store.revision
        self._store.close()
        return revision


def test_the_leader_is_killed_under_writes_and_nothing_acknowledged_is_missing(three: Etcd) -> None:
    place = three.url("killed-leader")
    writer = Writer(place)
    writer.start()
    for _ in range(KILLS):
        writer.wait(20)
        leader = three.leader()
        three.kill(leader)
        writer.wait(20)
        three.start(leader)
        three.until_ready(leader)
    revision = writer.stop()
    again = open_store(place)
    found = {record.name: record.body["n"] for record in again.load()}
    assert (found, again.revision) == (writer.acknowledged, revision)
    again.close()


def test_a_member_that_hangs_is_left_for_the_next_one(three: Etcd) -> None:
    leader = three.leader()
    store = open_store(three.url("hangs", leader, *({0, 1, 2} - {leader})))
    store.commit(1, [Write("vm", "a", {})])
    three.signal(leader, signal.SIGSTOP)
    try:
        store.commit(2, [Write("vm", "b", {})])
        store.commit(3, [Write("vm", "c", {})])
    finally:
        three.signal(leader, signal.SIGCONT)
    assert set(contents(store)) == {("vm", "a"), ("vm", "b"), ("vm", "c")}
    store.close()


def test_without_a_majority_commits_are_refused_and_go_on_afterwards(three: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "COMMIT_SECONDS", 2.5)
    monkeypatch.setattr(etcd_store, "AFTER_FAILURE", 0.0)
    store = open_store(three.url("minority"))
    store.commit(1, [Write("vm", "a", {"n": 1})])
    for number in (0, 1):
        three.kill(number)
    with pytest.raises(StoreError, match=r"no majority of etcd answered within 2\.\d s .*127\.0\.0\.1:\d+: .*refused"):
        store.commit(2, [Write("vm", "a", {"n": 2})])
    for number in (0, 1):
        three.start(number)
    for number in (0, 1):
        three.until_ready(number)
    store.commit(2, [Write("vm", "b", {})])
    assert (store.revision, contents(store)) == (2, {("vm", "a"): {"n": 1}, ("vm", "b"): {}})
    store.close()


# Access


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A CA, and one certificate of it for members and clients. It has no common name: etcd's gateway refuses those that do."""
    here = str(tmp_path)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ca", "-days", "2", "-keyout", f"{here}/ca.key", "-out", f"{here}/ca.pem")  # fmt: skip  # noqa: E501
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=vmmob", "-keyout", f"{here}/own.key", "-out", f"{here}/own.csr"
    )
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", f"{here}/own.csr", "-CA", f"{here}/ca.pem", "-CAkey", f"{here}/ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{here}/names", "-out", f"{here}/own.pem")  # fmt: skip  # noqa: E501
    return tmp_path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: no test certificates")
def test_certificates_and_a_password_are_asked_for_and_told(certificates: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {name: str(certificates / name) for name in ("ca.pem", "own.pem", "own.key", "password")}
    options = ["--cert-file", files["own.pem"], "--key-file", files["own.key"], "--client-cert-auth", "--trusted-ca-file", files["ca.pem"]]  # fmt: skip  # noqa: E501
    client: dict[str, Any] = {"verify": files["ca.pem"], "cert": (files["own.pem"], files["own.key"]), "timeout": 5}
    with Etcd(certificates, 1, *options, scheme="https") as etcd:
        top = f"https://127.0.0.1:{etcd.ports[0]}/v3/"
        until_answers(f"{top}maintenance/status", client)
        for path, body in {
            "auth/user/add": {"name": "root", "password": "r"},
            "auth/user/grant": {"user": "root", "role": "root"},
            "auth/role/add": {"name": "store"},
            "auth/role/grant": {
                "name": "store",
                "perm": {"permType": "READWRITE", "key": "L3ZtbW9iLw==", "range_end": "L3ZtbW9iMA=="},
            },
        }.items():
            assert requests.post(top + path, json=body, **client).ok
        user = {"name": "vmmob", "password": "s3cret-word"}
        assert requests.post(f"{top}auth/user/add", json=user, **client).ok
        assert requests.post(f"{top}auth/user/grant", json={"user": "vmmob", "role": "store"}, **client).ok
        assert requests.post(f"{top}auth/enable", json={}, **client).ok
        (certificates / "password").write_text("s3cret-word\n")
        for name in ("own.key", "password", "ca.pem"):
            (certificates / name).chmod(0o600)
        access = Access(files["ca.pem"], files["own.pem"], files["own.key"], "vmmob", files["password"])
        store = etcd_store.EtcdStore(etcd.url("vmmob"), access)
        store.commit(1, [Write("vm", "a", {})])
        store._gateway._token = "over.1"  # as after five minutes without a request
        store.commit(2, [Write("vm", "b", {})])
        store.close()
        assert set(contents(open_store(etcd.url("vmmob"), access))) == {("vm", "a"), ("vm", "b")}
        (certificates / "open").write_text("s3cret-word\n")
        (certificates / "open").chmod(0o644)
        (certificates / "open.key").write_bytes((certificates / "own.key").read_bytes())
        (certificates / "open.key").chmod(0o644)
        for what, said in (
            (access._replace(password_file=str(certificates / "open")), "others than its owner may use the password file"),
            (access._replace(private_key=str(certificates / "open.key")), "everyone on this machine may use the private key"),
        ):
            with pytest.raises(StoreError, match=said):
                open_store(etcd.url("vmmob"), what)
        faults = []
        for place, what in (
            ("elsewhere", access),
            ("vmmob", access._replace(user=None, password_file=None)),
            ("vmmob", access._replace(password_file=files["ca.pem"])),
        ):
            with pytest.raises(StoreError) as refused:
                open_store(etcd.url(place), what)
            faults.append(str(refused.value))
    assert "permission denied" in faults[0]
    assert "permission denied" in faults[1]
    assert "authentication failed" in faults[2]
    assert "s3cret-word" not in "".join(faults) + caplog.text


def until_answers(place: str, client: dict[str, Any]) -> None:
    for _ in range(500):
        try:
            if requests.post(place, json={}, **client).ok:
                return
        except requests.RequestException:
            threading.Event().wait(0.02)
    raise AssertionError(place)


# Copies


def test_a_store_is_copied_to_etcd_and_back(member: Etcd, tmp_path: Path) -> None:
    fill(tmp_path / "vmmob.db")
    place, back = member.url("copied"), url(tmp_path / "back.db")
    run = CliRunner()
    there = run.invoke(app, ["store", "copy", url(tmp_path / "vmmob.db"), place])
    assert (there.exit_code, there.stderr) == (0, "")
    again = run.invoke(app, ["store", "copy", place, back])
    assert again.exit_code == 0
    words = there.stdout.split("revision 7, 50 records, digest ")[1].split(":")[0]
    assert len(words) == 32
    assert words in again.stdout
    first, last = open_store(url(tmp_path / "vmmob.db")), open_store(back)
    assert list(first.load()) == list(last.load())
    assert first.revision == last.revision == 7
    # None of the two is empty now, and both are in use.
    for source, target, said in (
        (url(tmp_path / "vmmob.db"), member.url("new"), "another process has it open"),
        (place, back, "another process has it open"),
        (place, url(tmp_path / "other.db"), None),
        (url(tmp_path / "other.db"), place, "it is not empty (revision 7), and nothing was copied"),
        (url(tmp_path / "mistyped.db"), member.url("new"), "there is none"),
        (member.url("mistyped"), url(tmp_path / "new.db"), "there is none"),
        (place, place, "it is both source and target"),
        ("sqlite:///:memory:", place, "nothing to copy"),
    ):
        found = run.invoke(app, ["store", "copy", source, target])
        assert found.exit_code == (0 if said is None else 1), found.stderr
        assert (said or "") in found.stderr
    assert not (tmp_path / "mistyped.db").exists()
    assert not (tmp_path / "new.db").exists()
    assert member.keys("mistyped") == {}
    first.close()
    last.close()
    held = open_store(place)
    found = run.invoke(app, ["store", "copy", place, url(tmp_path / "new.db")])
    assert "has it open: one store serves one controller" in found.stderr
    held.close()


def test_a_copy_that_does_not_hold_the_same_is_found(member: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "vmmob.db", 3)
    whole = etcd_store.EtcdStore.commit

    def lossy(self: etcd_store.EtcdStore, revision: int | None, writes: list[Write], *, sync: bool = True) -> None:
        whole(self, revision, list(writes)[1:], sync=sync)

    monkeypatch.setattr(etcd_store.EtcdStore, "commit", lossy)
    found = CliRunner().invoke(app, ["store", "copy", url(tmp_path / "vmmob.db"), member.url("lossy")])
    assert found.exit_code == 1
    assert "it holds 2 records" in found.stderr


# URLs


@pytest.mark.parametrize(
    ("place", "access", "said"),
    [
        ("etcd://one:1", Access(), "it names no prefix"),
        ("etcd:///vmmob", Access(), "a member has no name"),
        ("etcd://one,,two/vmmob", Access(), "a member has no name"),
        ("etcd://one:x/vmmob", Access(), "Port could not be cast"),
        ("etcd://[::1/vmmob", Access(), "Invalid IPv6"),
        ("etcd://one/vmmob?a=1", Access(), "write etcd://"),
        ("etcd://one/a//b", Access(), "it names no prefix"),
        ("etcd://root:s3cret-word@one/vmmob", Access(), "a URL may hold no user and no password"),
        ("etcd://one/vmmob", Access(user="root"), "go together"),
        ("etcd://one/vmmob", Access(certificate="x"), "go together"),
        ("etcd://one/vmmob", Access(ca="x"), "are for TLS"),
        ("etcds://one/vmmob", Access(ca="/nowhere"), "the certificates cannot be used"),
        (
            "etcd://127.0.0.1:1/vmmob",
            Access(user="root", password_file="/nowhere"),
            "the password file /nowhere cannot be read",
        ),
    ],
)
def test_urls_and_options_that_name_no_store(place: str, access: Access, said: str) -> None:
    with pytest.raises(StoreError, match=r"^store ") as refused:
        open_store(place, access)
    assert said in str(refused.value)
    assert "s3cret-word" not in str(refused.value)


def test_an_address_without_an_etcd_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "OPEN_SECONDS", 0.3)
    with pytest.raises(
        StoreError, match=r"store etcd://\[::1\]:2,127\.0\.0\.1:1/x: no majority of etcd .*127\.0\.0\.1:1: .*refused"
    ):
        open_store("etcd://[::1]:2,127.0.0.1:1/x")
