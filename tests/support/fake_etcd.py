"""An etcd in memory, behind the store's gateway: for faults that have to happen at an exact request."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from ryu_vmmob.store.etcd.gateway import Gateway, RefusedError, _MemberError


class FakeEtcd:
    """The part of etcd's gateway that the store uses. ``fault`` is asked before each request what becomes of it.

    Its answer: ``""`` (nothing), ``before`` (the request is lost), ``after`` (it is carried out, and the answer is lost),
    ``late`` (it is lost for now, and carried out before the next one, or with ``late:9`` before the ninth), ``die`` and
    ``die after`` (the process ends there).
    """

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, str | None]] = {}
        self.revision = 1
        self.cluster = "77"
        self.time = 0.0
        self.requests: list[str] = []
        self.fault: Callable[[str, dict[str, Any]], str] = lambda path, body: ""
        self.refuses: Callable[[str, dict[str, Any]], None] = lambda path, body: None
        self._late: list[tuple[int, Any, Any]] = []
        self._leases: set[str] = set()

    def use(self, monkeypatch: Any) -> None:
        """Stand in for the members of every store that is opened from now on."""
        monkeypatch.setattr(Gateway, "_ask", lambda gateway, path, data, timeout: self._asked(gateway, path, data, timeout))

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds

    def _asked(self, gateway: Gateway, path: str, data: bytes, timeout: float) -> dict[str, Any]:
        body = json.loads(data)
        self.requests.append(path)
        self.time += 0.001
        self._late = [(left - 1, *row) for left, *row in self._late]
        for left, *row in self._late:
            if not left:
                self.carry_out(*row)
        what, _, delay = self.fault(path, body).partition(":")
        if what == "die":
            raise KeyboardInterrupt
        if what == "late":
            self._late.append((int(delay or 1), path, body))
        if what in ("before", "late"):
            self.time += timeout
            raise _MemberError("timed out")
        self.refuses(path, body)
        answer = self.carry_out(path, body)
        if what == "die after":
            raise KeyboardInterrupt
        if what == "after":
            self.time += timeout
            raise _MemberError("timed out")
        return gateway._of_the_cluster(answer)

    def carry_out(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks for."""
        header = {"cluster_id": self.cluster, "revision": str(self.revision)}
        if path == "kv/range":
            return {"header": header, **self._range(body)}
        if path == "kv/txn":
            return {"header": header, **self._txn(body)}
        if path == "lease/grant":
            self._leases.add(lease := str(len(self._leases) + 1))
            return {"header": header, "ID": lease, "TTL": body["TTL"]}
        if path == "lease/keepalive":
            return {"result": {"header": header, **({"TTL": "20"} if body["ID"] in self._leases else {})}}
        if path == "lease/revoke":
            self._leases.discard(body["ID"])
            self.values = {key: row for key, row in self.values.items() if row[1] != body["ID"]}
        return {"header": header}

    def _txn(self, body: dict[str, Any]) -> dict[str, Any]:
        assert len(body.get("success", ())) <= 128, "etcd takes 128 operations"
        assert sum(len(json.dumps(row)) for row in body.get("success", ())) < 1.5 * 1024 * 1024, "etcd takes 1.5 MiB"
        holds = all(self._holds(row) for row in body.get("compare", ()))
        done = body.get("success" if holds else "failure", ())
        self.revision += 1
        answers = list(self._operations(done))
        return {"responses": answers, **({"succeeded": True} if holds else {})}

    def _holds(self, row: dict[str, Any]) -> bool:
        found = self.values.get(row["key"])
        return found is None if row["target"] == "VERSION" else found is not None and found[0] == row["value"]

    def _operations(self, rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        for row in rows:
            if "request_range" in row:
                yield {"response_range": self._range(row["request_range"])}
            elif "request_put" in row:
                asked = row["request_put"]
                self.values[asked["key"]] = asked["value"], asked.get("lease")
                yield {}
            else:
                for key in self._names(row["request_delete_range"]):
                    del self.values[key]
                yield {}

    def _names(self, asked: dict[str, Any]) -> list[str]:
        first, end = base64.b64decode(asked["key"]), base64.b64decode(asked.get("range_end", ""))
        names = {base64.b64decode(key): key for key in self.values}
        return [names[name] for name in sorted(names) if (first <= name < end if end else name == first)]

    def _range(self, asked: dict[str, Any]) -> dict[str, Any]:
        names = self._names(asked)[: int(asked.get("limit", "0")) or None]
        return {"kvs": [{"key": key, "value": self.values[key][0], "lease": self.values[key][1] or "0"} for key in names]}

    def put(self, key: str, value: bytes) -> None:
        """Set a key, past the store."""
        self.values[base64.b64encode(key.encode()).decode()] = base64.b64encode(value).decode(), None

    def get(self, key: str) -> bytes | None:
        """Read a key, past the store."""
        found = self.values.get(base64.b64encode(key.encode()).decode())
        return None if found is None else base64.b64decode(found[0])


__all__ = ["FakeEtcd", "RefusedError"]
