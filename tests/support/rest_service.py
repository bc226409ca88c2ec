"""The REST application over the real engine, with switches that confirm when the test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import msgpack  # type: ignore[import-untyped]
from webob import Request, Response

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.reload import reload
from ryu_vmmob.engine.sent_on import PASSING, Frames
from ryu_vmmob.engine.tickets import Ticket
from ryu_vmmob.fabric import examine, load
from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.rest.app import RestApp
from ryu_vmmob.rest.rates import Rates
from ryu_vmmob.store import Store, open_store
from ryu_vmmob.store.base import StoreError
from tests.support import confirming
from tests.support.description import assert_described
from tests.support.waiting import Queue

TOKEN = "c2VjcmV0"
EXAMPLE = Path(__file__).parents[2] / "etc" / "example.yaml"
FABRIC = load(EXAMPLE)
WEB = {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"]}


def per_cug(folder: Path) -> Fabric:
    """The example with servers that have one VLAN-ID for each CUG, another in each L2 domain. ``folder`` takes its file."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for name, keys in (
        ("srv-a1", 'attach: "tor-a:1"'),
        ("srv-b1", 'attach: ["tor-b:1", "tor-b:2"], bond: lag'),
        ("srv-c1", 'attach: "tor-c:1"'),
    ):
        assert f"{name}: {{{keys}}}" in text
        text = text.replace(f"{name}: {{{keys}}}", f"{name}: {{{keys}, tagging: per_cug}}")
    file = folder / "per_cug.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def vm(server: str = "srv-a1", number: int = 11, cug: str = "web") -> dict[str, Any]:
    """The body of a VM with one interface."""
    interface = {"cug": cug, "mac": f"02:00:00:00:00:{number:02x}", "ips": [f"10.1.0.{number}", f"2001:db8:1::{number:x}"]}
    return {"server": server, "interfaces": [interface]}


@dataclass
class Service:
    """A controller's REST interface; ``time`` and the switches move only when told to."""

    store: Store = field(default_factory=lambda: open_store("sqlite:///:memory:"))
    tokens: tuple[str, ...] = (TOKEN,)
    max_body: int = 2**20
    rates: Rates | None = None
    time: float = 1_700_000_000.25
    waited: list[tuple[int, float]] = field(default_factory=list)
    while_waiting: Callable[[], None] = lambda: None
    send_frames: Callable[[Frames], bool] = lambda frames: True

    fabric: Fabric = FABRIC
    file: str = EXAMPLE.read_text(encoding="utf-8")
    """What the fabric file holds when it is read again."""

    def __post_init__(self) -> None:
        self.queue = Queue()
        self.engine = Engine(self.fabric, self.store, lambda: self.time, alone=self.queue, send_frames=self.send_frames)
        self.ids = 0
        # It is read for every request, and goes with us.
        self.token_file = NamedTemporaryFile("w")  # noqa: SIM115
        self.write_tokens(*self.tokens)
        self.app = RestApp(
            self.engine,
            self.wait,
            self.new_id,
            self.token_file.name if self.tokens else None,
            max_body=self.max_body,
            rates=self.rates,
            reload=lambda dry_run: reload(self.engine, examine(self.file, "example.yaml"), dry_run=dry_run),
        )

    def write_tokens(self, *lines: str) -> None:
        """Put other lines into the token file."""
        self.token_file.seek(0)
        self.token_file.truncate()
        self.token_file.write("\n".join(lines))
        self.token_file.flush()

    def new_id(self) -> str:
        self.ids += 1
        return f"m-{self.ids:012x}"

    def wait(self, ticket: Ticket, seconds: float) -> None:
        self.waited.append((ticket.revision, seconds))
        self.while_waiting()

    # Switches

    def connect(self, *names: str) -> None:
        """Switches (all of them when none is named) connect and are brought in step."""
        confirming.connect(self.engine, self.time, names)

    def confirm(self, *names: str) -> None:
        """Switches (all of them when none is named) take what is pending and confirm it, until nothing is left."""
        confirming.confirm(self.engine, names)

    def passes(self, seconds: float = PASSING) -> None:
        """Time passes, and everything that is due by then is done."""
        self.time += seconds
        self.engine.progress()
        self.confirm()

    def break_store(self, why: str) -> None:
        """From now on the store takes nothing, which a request finds out."""

        def fail(*args: object, **options: object) -> None:
            raise StoreError(why)

        self.store.commit = fail  # type: ignore[method-assign]
        assert self.ask("PUT", "/v1/cugs/not-stored", {"subnets": ["10.250.0.0/24"]}).status_int == 503

    # Requests

    def ask(self, method: str, url: str, body: Any = None, **headers: str) -> Response:
        """One request with the token; ``If_Match`` stands for ``If-Match``. A body that is no bytes goes as JSON.

        Every answer has to be as the description of the interface says.
        """
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        request = Request.blank(url, method=method)
        if self.tokens:
            request.headers["Authorization"] = f"Bearer {self.tokens[0]}"
        if body is not None:
            request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.headers["Content-Type"] = "application/json"
        request.headers.update(given)
        answer = request.get_response(self.app)
        assert_described(method, request.environ["PATH_INFO"], answer)
        return answer

    def get(self, url: str) -> Any:
        """The body of a GET that must succeed."""
        answer = self.ask("GET", url)
        assert answer.status_int == 200, answer.text
        return answer.json

    def put(self, url: str, body: Any) -> Any:
        """The body of a PUT that must succeed."""
        answer = self.ask("PUT", url, body)
        assert answer.status_int in (200, 201), answer.text
        return answer.json

    def with_web(self) -> Service:
        """A CUG ``web`` with a VM ``web1`` on srv-a1."""
        self.put("/v1/cugs/web", WEB)
        self.put("/v1/vms/web1", vm())
        return self


def problem(answer: Response, status: int, *paths: str) -> str:
    """The detail of an answer that must be a problem of this status, with faults at exactly these paths."""
    assert answer.status_int == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["title"]
    assert sorted(row["path"] for row in answer.json.get("errors", [])) == sorted(paths), answer.text
    assert all(row["message"] for row in answer.json.get("errors", []))
    detail = answer.json["detail"]
    assert isinstance(detail, str)
    return detail


def packed(body: Any) -> bytes:
    """A MessagePack body."""
    data: bytes = msgpack.packb(body)
    return data


POLICY = {
    "priority": 100,
    "action": "allow",
    "from": {"prefix": "10.1.0.0/24"},
    "to": {"vm": "web1"},
    "protocol": "tcp",
    "ports": ["80", "8000-8099"],
    "replies": True,
}
