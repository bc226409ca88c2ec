"""Short ways to write commands, to carry them out on a state, and to compare states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from ipaddress import ip_address, ip_network

from ryu_vmmob.fabric.model import Fabric
from ryu_vmmob.model.breath import Breath
from ryu_vmmob.model.commands import Command, PutCug, PutVm
from ryu_vmmob.model.commands import apply as apply_at
from ryu_vmmob.model.draft import Change
from ryu_vmmob.model.objects import Interface
from ryu_vmmob.model.state import State, with_fabric


def cug(name: str = "web", number: int = 1, pins: dict[str, int] | None = None, v6: bool = True, **more: object) -> PutCug:
    """A CUG with 10.NUMBER.0.0/24 and, with ``v6``, 2001:db8:NUMBER::/64."""
    subnets = (ip_network(f"10.{number}.0.0/24"), ip_network(f"2001:db8:{number:x}::/64"))
    return PutCug(name, subnets if v6 else subnets[:1], pins=pins or {}, **more)  # type: ignore[arg-type]


def nic(
    host: int = 11, cug_name: str = "web", number: int = 1, mac: int | None = None, ips: Iterable[str] | None = None
) -> Interface:
    """Interface of a host in the CUG's IPv4 subnet; every (CUG, host) has its own MAC."""
    addresses = [f"10.{number}.0.{host}"] if ips is None else ips
    return Interface(cug_name, 0x020000000000 | number << 16 | host if mac is None else mac, tuple(map(ip_address, addresses)))


def vm(name: str = "web1", server: str = "a1", *interfaces: Interface) -> PutVm:
    """A VM, by default with host 11 of CUG ``web``."""
    return PutVm(name, server, interfaces or (nic(),))


def apply(state: State, *commands: Command, now: float = 0.0, breath: Breath | None = None) -> Change:
    """As that of the model; at the epoch where time plays no part."""
    return apply_at(state, *commands, now=now, breath=breath)


def start(fabric: Fabric, *commands: Command) -> State:
    """The state that these commands make of an empty one, each carried out by itself."""
    state = with_fabric(None, fabric)
    for command in commands:
        state = apply(state, command).state
    return state


def do(state: State, *commands: Command, now: float = 0.0) -> Change:
    """Several commands, each carried out by itself; the last one's change."""
    for command in commands:
        change = apply(state, command, now=now)
        state = change.state
    return change


def same(one: State, other: State) -> None:
    """Equal in every field, indexes included."""
    for field in fields(State):
        assert getattr(one, field.name) == getattr(other, field.name), field.name
