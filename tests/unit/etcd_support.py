"""A store on an imitated etcd whose faults are placed exactly."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from ryu_vmmob.store import Write
from ryu_vmmob.store.etcd.layout import Keys
from ryu_vmmob.store.etcd.store import EtcdStore
from tests.support.fake_etcd import FakeEtcd

URL = "etcd://one,two,three/vmmob"
KEYS = Keys("/vmmob")
A, B = Write("vm", "a", {"n": 1}), Write("vm", "b", {"n": 2})


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> FakeEtcd:
    fake = FakeEtcd()
    fake.use(monkeypatch)
    return fake


def opened(etcd: FakeEtcd, *, forget: bool = False) -> EtcdStore:
    """Open the store; ``forget``: the process that had it open has died, and its lease is over."""
    if forget:
        etcd.values.pop(key64(KEYS.owner), None)
    return EtcdStore(URL, clock=lambda: etcd.time, sleep=etcd.sleep)


def key64(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def moves_head(path: str, body: dict[str, Any]) -> bool:
    """Whether a request is the transaction that makes a commit."""
    return any(row.get("request_put", {}).get("key") == key64(KEYS.head) for row in body.get("success", ()))


def at_commits(*what: str) -> Callable[[str, dict[str, Any]], str]:
    """Faults of the transactions that move the head, one after the other; then none."""
    left = list(what)
    return lambda path, body: left.pop(0) if left and moves_head(path, body) else ""


def log_of(etcd: FakeEtcd) -> list[bytes]:
    found = etcd.carry_out("kv/range", {"key": key64(KEYS.logs[0]), "range_end": key64(KEYS.logs[1])})
    return [base64.b64decode(row["value"]) for row in found["kvs"]]
