"""The rate limit of each client, so that one client cannot starve the others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ryu_vmmob.rate_limit import TokenBucket
from ryu_vmmob.rest.problems import Problem, retry_after

BURST: Final = 4.0
"""Seconds' worth of requests that may come at once."""
MAX_CLIENTS: Final = 4096
"""Clients that are remembered; the one that asked longest ago is forgotten first."""
SHARE: Final = 0.25
"""Of the processor that one client's requests may take in the long run."""
FAILURES: Final = (1.0, 20.0)
"""Wrong tokens of one address that are told and logged: a second, and at once."""


class _Buckets:
    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._of: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, client: str) -> None:
        """Raise a 429 when ``client`` has to wait."""
        bucket = self._of.get(client)
        if bucket is None:
            bucket = self._of[client] = TokenBucket(self._rate, self._burst)
            if len(self._of) > MAX_CLIENTS:
                self._of.popitem(last=False)
        self._of.move_to_end(client)
        if not bucket.take(self._clock()):
            headers = retry_after(bucket.seconds_to_next())
            raise Problem(429, f"too many requests; ask again in {headers['Retry-After']} s", headers=headers)

    def charge(self, client: str, seconds: float) -> None:
        """Charge a request of ``client`` that took so much of the processor; `SHARE` / rate seconds cost nothing."""
        bucket = self._of.get(client)
        if bucket is not None:
            bucket.charge(max(0.0, seconds * self._rate / SHARE - 1.0))


class Rates:
    """``rate`` requests a second of one client (a token, or an address where there is none), 0: as many as it likes.

    ``clock``: seconds of a steady clock.
    """

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._requests = _Buckets(rate, max(1.0, rate * BURST), clock) if rate else None
        self._failures = _Buckets(*FAILURES, clock)

    def request(self, client: str) -> None:
        """Count a request. Raises a 429."""
        if self._requests is not None:
            self._requests.take(client)

    def charge(self, client: str, seconds: float) -> None:
        """Weigh a request that was counted: it took ``seconds`` of the processor."""
        if self._requests is not None:
            self._requests.charge(client, seconds)

    def failure(self, address: str) -> None:
        """Count a request without a good token. Raises a 429."""
        self._failures.take(address)
