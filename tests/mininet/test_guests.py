"""Guests as they are, with real kernels: duplicates are found, and a link-local address of the guest's own choice works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.servers import Interface, Vm
    from mininet_topos.world import World, running

SECONDS = 15.0
"""How long a kernel may take; the gateway advertises itself unasked every 200 seconds."""
GATEWAY_LINK = "fe80::5eff:fe00:1"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as live:
        subnets = ["10.1.0.0/24", "2001:db8:1::/64"]
        live.orchestrator.put_cug("web", subnets, routing_domain="red", ipv6_ra_mode="dhcpv6_stateful")
        for name, server, host in (("a", "srv-a1", 11), ("c", "srv-c1", 13)):
            card = Interface("web", f"02:00:00:00:01:{host:02x}", (f"10.1.0.{host}/24", f"2001:db8:1::{host:x}/64"))
            live.vms[name] = live.orchestrator.start_vm(name, server, [card])
        yield live


def until(look: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def addresses(vm: Vm) -> str:
    return vm.run("ip", "-6", "-o", "address", "show", "dev", "eth0")


def row_of(vm: Vm, address: str) -> str:
    return next((row for row in addresses(vm).splitlines() if f" {address}/" in row), "")


def is_settled(vm: Vm, address: str) -> bool:
    """Whether duplicate address detection is over for an address."""
    row = row_of(vm, address)
    return "dadfailed" in row or (bool(row) and "tentative" not in row)


@pytest.mark.parametrize(
    ("address", "taken"),
    [("2001:db8:1::d", True), ("2001:db8:1::1", True), ("fe80::ff:fe00:10d", True), ("fe80::a:b:c:d", False)],
)
def test_duplicate_address_detection_finds_who_has_it(world: World, address: str, taken: bool) -> None:
    """The address of another VM, of the gateway, the link-local one that another is known to have; and one that nobody has."""
    (a,) = world.everyone("a")
    a.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1", "net.ipv6.conf.eth0.dad_transmits=1")
    a.run("ip", "-6", "address", "add", f"{address}/64", "dev", "eth0")
    try:
        until(lambda: is_settled(a, address), lambda: addresses(a))
        assert ("dadfailed" in row_of(a, address)) is taken, addresses(a)
    finally:
        a.run("ip", "-6", "address", "del", f"{address}/64", "dev", "eth0")


def test_a_guest_with_a_stable_private_link_local_address_has_a_router(world: World) -> None:
    """RFC 7217: the kernel chooses it, asks for routers from it, and is answered at once; its neighbours reach it there."""
    a, c = world.everyone("a", "c")
    links = {}
    for vm, secret in ((a, "2001:db8::a"), (c, "2001:db8::c")):
        own = vm.address(version=6)
        vm.run(
            "sysctl", "-qw", f"net.ipv6.conf.eth0.stable_secret={secret}", "net.ipv6.conf.eth0.addr_gen_mode=2",
            "net.ipv6.conf.eth0.accept_ra=1", "net.ipv6.conf.eth0.accept_dad=1",
        )  # fmt: skip
        vm.run("ip", "link", "set", "eth0", "down")
        vm.run("ip", "link", "set", "eth0", "up")
        vm.run("ip", "-6", "address", "replace", f"{own}/64", "dev", "eth0")

        def link(vm: Vm = vm) -> str:
            rows = [row for row in addresses(vm).splitlines() if " fe80:" in row and "tentative" not in row]
            return rows[0].split()[3].split("/")[0] if rows else ""

        until(lambda link=link: bool(link()), lambda vm=vm: addresses(vm))  # type: ignore[misc]
        links[vm.name] = link()
        assert "ff:fe" not in links[vm.name], links
        routes = lambda vm=vm: vm.run("ip", "-6", "route", "show", "default", "proto", "ra")  # noqa: E731
        until(lambda routes=routes: GATEWAY_LINK in routes(), routes)  # type: ignore[misc]
    assert links["a"] != links["c"]
    for asker, asked in ((a, links["c"]), (c, links["a"])):
        said = asker.run("ping", "-6", "-c", "3", "-i", "0.2", "-W", "3", "-I", "eth0", asked)
        assert "3 received" in said or "2 received" in said, said
