"""What a measurement needs of its ends: a VM (`mininet_topos.servers.Vm`), or the world outside (`mininet_topos.outside`)."""

from __future__ import annotations

from typing import Protocol


class Endpoint(Protocol):
    """A network namespace with addresses, in which programs can be run."""

    @property
    def name(self) -> str:
        """For tables."""

    @property
    def pid(self) -> int:
        """A process in its network namespace."""

    @property
    def server(self) -> str | None:
        """The server on which it runs; None: on none of the fabric's."""

    def address(self, interface: int = 0, version: int = 4) -> str:
        """Its address of that IP version, without a prefix length. Raises LookupError."""

    def run(self, *command: str) -> str:
        """Run a command inside and return what it printed. Raises ChildError."""
