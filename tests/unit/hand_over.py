"""A move by REST up to its pause, and frames to send on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from webob import Response

from ryu_vmmob.engine.sent_on import Frames
from tests.support.rest_service import Service, packed

ID = "m-000000000001"


MOVE = f"/v1/migrations/{ID}"


OPERATOR, READER = "b3BlcmF0b3Itb2YtY2xvdWQ", "cmVhZGVyLW9mLW1ldHJpY3M"


HEADER = bytes.fromhex("02000000000b02000000000c0800")


def frame(size: int = 60, header: bytes = HEADER, fill: int = 0) -> bytes:
    """An IPv4 frame to web1, of ``size`` bytes."""
    return header + bytes([fill]) * (size - len(header))


@dataclass
class Hand(Service):
    """A service, and what its switches were handed to send on."""

    def __post_init__(self) -> None:
        self.handed: list[Frames] = []
        self.takes = True

        def take(frames: Frames) -> bool:
            if self.takes:
                self.handed.append(frames)
            return self.takes

        self.send_frames = take
        super().__post_init__()

    def move(self, to: str = "srv-b1", **more: Any) -> Hand:
        """web1 is prepared to move."""
        self.connect()
        self.with_web()
        answer = self.ask("POST", "/v1/migrations", {"vm": "web1", "to": to, "commit": "request", **more})
        assert answer.status_int == 201, answer.text
        self.confirm()
        assert self.get(MOVE)["state"] == "prepared"
        return self

    def do(self, step: str, body: Any = None) -> Any:
        """A step that must succeed; the switches confirm it."""
        answer = self.ask("POST", f"{MOVE}/{step}", body)
        assert answer.status_int == 200, answer.text
        self.confirm()
        return answer.json

    def send(self, *frames: bytes, interface: int = 0, **headers: str) -> Response:
        """Frames as MessagePack."""
        body = packed({"interface": interface, "frames": list(frames)})
        return self.ask("POST", f"{MOVE}/frames", body, Content_Type="application/msgpack", **headers)


@pytest.fixture
def service() -> Hand:
    return Hand().move()
