"""A private Open vSwitch for the whole session: real daemons, dummy ports, no root."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mininet_topos.ovs import PrivateOvs
from tests.support.bridges import Bridge, MakeBridge, ovs  # noqa: F401 - a fixture


@pytest.fixture
def bridge(ovs: PrivateOvs) -> Iterator[MakeBridge]:  # noqa: F811
    """``bridge(name, ports)`` makes a bridge that goes with the test."""
    made: list[Bridge] = []

    def make(name: str, *ports: int) -> Bridge:
        made.append(Bridge(ovs, name, ports))
        return made[-1]

    yield make
    for one in made:
        one.remove()
