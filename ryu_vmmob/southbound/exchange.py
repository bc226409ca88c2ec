"""The interface of a session for its parts: exchanges of messages with its switch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from ryu_vmmob.engine.engine import Engine
from ryu_vmmob.engine.fleet import SwitchFault
from ryu_vmmob.engine.messages import Message


class Exchange(Protocol):
    """One connection of one switch, to which messages may be sent. Every method may raise what ends the connection."""

    name: str
    log: logging.LoggerAdapter[logging.Logger]
    engine: Engine
    port_news: int
    """Port changes that the switch told by itself."""
    cookies_seen: bool
    """Whether it was looked what cookie a flow has here after an ADD put it in another's place."""
    on_ports: Callable[[str, Mapping[int, bool]], None]

    @property
    def refused_xids(self) -> frozenset[int]:
        """Transaction ids of the exchange under way, or of the last one, that the switch refused."""

    def refusal_of(self, xid: int) -> str:
        """Return what the switch said to one of them."""

    def begin(self) -> None:
        """Begin an exchange: what the switch says from now on is about its messages."""

    def next_xid(self) -> int:
        """Return a transaction id of the exchange under way."""

    def tell(self, messages: list[bytes]) -> None:
        """Send messages, and wait until the switch has done them or said why not."""

    def ask(self, request: Callable[[int], bytes], *, required: bool = True, most: int = ...) -> Iterator[bytes]:
        """Return the bodies of a multipart reply; none where the switch refuses to answer and need not (not ``required``).

        It ends the connection of a switch that answers more than ``most`` bytes.
        """

    def ask_each(
        self, requests: Iterable[Callable[[int], bytes]], *, required: bool = True, most: int = ...
    ) -> Iterator[bytes]:
        """Return the bodies of the replies to several questions that are asked at once; otherwise as `ask`."""

    def ask_config(self) -> Any:
        """Return the configuration reply (flags, miss_send_len); None when the switch does not answer, or refuses to."""

    def one_by_one(self, rows: Iterable[Message]) -> list[SwitchFault]:
        """Send messages without a bundle; what was refused."""
