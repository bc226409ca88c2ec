"""A private Open vSwitch for the whole session: real daemons, dummy ports, no root."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mininet_topos.ovs import PrivateOvs, missing_programs
from tests.ovs.bridges import Bridge

MakeBridge = Callable[..., Bridge]


@pytest.fixture(scope="session")
def ovs() -> Iterator[PrivateOvs]:
    """Skips, loudly (see tests/conftest.py), where Open vSwitch is not installed."""
    if missing := missing_programs():
        pytest.skip(f"Open vSwitch is not installed: {', '.join(missing)} not found")
    with PrivateOvs(dummy=True) as running:
        yield running


@pytest.fixture
def bridge(ovs: PrivateOvs) -> Iterator[MakeBridge]:
    """``bridge(name, ports)`` makes a bridge that goes with the test."""
    made: list[Bridge] = []

    def make(name: str, *ports: int) -> Bridge:
        made.append(Bridge(ovs, name, ports))
        return made[-1]

    yield make
    for one in made:
        one.remove()
