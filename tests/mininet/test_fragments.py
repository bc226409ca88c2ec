"""Real guest stacks: datagrams in fragments, pings to the gateway of any size, path MTU discovery, errors that come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.laboratory import MISSING

if TYPE_CHECKING or not MISSING:
    from mininet_topos.endpoint import Endpoint
    from mininet_topos.processes import ChildError
    from mininet_topos.routed_world import populate
    from mininet_topos.traffic import PORT
    from mininet_topos.world import World, running

BIG: Final = 3000
CLOSED: Final = 9999
FAR: Final = {4: ("198.18.9.9", "198.18.9.1", 24), 6: ("2001:db8:99::9", "2001:db8:99::1", 64)}
"""A server behind a router outside, the router's address there, and the prefix length."""
SMALL_MTU: Final = 1300
FAR_PORT: Final = 8000
UPLOAD: Final = 200_000

_RECEIVE = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
s.settimeout(float(sys.argv[3]))
print('ready', flush=True)
try:
    print(len(s.recv(65535)), flush=True)
except TimeoutError:
    print('nothing', flush=True)
"""
_SEND = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for number in range(3):
    s.sendto(b'x' * int(sys.argv[3]), (sys.argv[1], int(sys.argv[2])))
"""
_ASK = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.settimeout(3)
try:
    s.send(b'anybody?')
    s.recv(100)
except ConnectionRefusedError:
    print('refused')
except TimeoutError:
    print('silence')
"""
_SERVE = """
import socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
s.settimeout(30)
print('ready', flush=True)
connection, _ = s.accept()
connection.settimeout(20)
total = 0
while data := connection.recv(65536):
    total += len(data)
print(total, flush=True)
"""
_UPLOAD = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
s.settimeout(15)
s.sendall(b'x' * int(sys.argv[3]))
s.shutdown(socket.SHUT_WR)
s.recv(1)
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running() as live:
        populate(live)
        yield live


@contextmanager
def program(where: list[str], code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python program in another network namespace, which has said that it is ready."""
    words = [*where, sys.executable, "-I", "-S", "-c", code, *map(str, arguments)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running_there:
        assert running_there.stdout is not None
        try:
            assert running_there.stdout.readline() == "ready\n"
            yield running_there
        finally:
            running_there.kill()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def arrived(source: Endpoint, target: Endpoint, version: int, port: int, size: int) -> str:
    """How many bytes of a datagram the receiver's stack puts together, or ``nothing``."""
    address = target.address(version=version)
    inside = ["nsenter", "-t", str(target.pid), "-n"]
    with program(inside, _RECEIVE, address, port, 3) as receiver:
        source.run(sys.executable, "-I", "-S", "-c", _SEND, address, str(port), str(size))
        return said(receiver)


@pytest.mark.requirement("R46a")
@pytest.mark.parametrize("version", [4, 6])
def test_an_allow_of_ports_carries_datagrams_of_any_size(world: World, version: int) -> None:
    near, far = world.vms["web-1"], world.vms["db-2"]
    for size in (100, BIG, 20_000):
        assert arrived(near, far, version, PORT + version, size) == str(size)
    for size in (100, BIG):
        assert arrived(near, far, version, CLOSED, size) == "nothing"


@pytest.mark.requirement("R46a")
@pytest.mark.parametrize("version", [4, 6])
def test_a_deny_of_ports_holds_for_datagrams_of_any_size(world: World, version: int) -> None:
    near, far = world.vms["web-1"], world.vms["web-3"]
    assert arrived(near, far, version, CLOSED, BIG) == str(BIG)
    web = {"cug": "web"}
    body = {"action": "deny", "from_": web, "to": web, "protocol": "udp", "ports": [str(CLOSED)]}
    world.orchestrator.put_policy("no-9999", **body)
    try:
        for size in (100, BIG):
            assert arrived(near, far, version, CLOSED, size) == "nothing"
        assert arrived(near, far, version, CLOSED + 1, BIG) == str(BIG)
    finally:
        world.orchestrator.call("DELETE", "/v1/policies/no-9999", wait=10)


@pytest.mark.requirement("R40")
@pytest.mark.parametrize("size", [56, 1472, 1473, BIG, 8000])
def test_the_gateway_answers_pings_of_any_size(world: World, size: int) -> None:
    vm = world.vms["web-1"]
    for address in (*vm.interfaces[0].gateways, "10.2.0.1", "2001:db8:2::1"):
        assert " 2 received" in vm.run("ping", "-c", "2", "-i", "0.2", "-W", "3", "-s", str(size), address), address


@pytest.mark.parametrize("version", [4, 6])
def test_a_closed_port_of_another_cug_refuses_at_once(world: World, version: int) -> None:
    """The receiver's own error comes back to who may send (port unreachable)."""
    near, far = world.vms["web-1"], world.vms["db-2"]
    said_there = near.run(sys.executable, "-I", "-S", "-c", _ASK, far.address(version=version), str(PORT + version))
    assert said_there.strip() == "refused"


@contextmanager
def behind_a_small_link(world: World, version: int) -> Iterator[list[str]]:
    """A server outside behind a router and a link of `SMALL_MTU`; how to run a program there."""
    outside, name = world.lab.outside["internet-1"], f"vmmob-far-{version}"
    server, router, length = FAR[version]
    family, nodad = f"-{version}", "nodad" if version == 6 else ""
    there = ["ip", "netns", "exec", name]
    forward = "ipv4/ip_forward" if version == 4 else "ipv6/conf/all/forwarding"
    near, far = f"vmmobnear{version}", f"vmmobfar{version}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        # The server's own end is wide, so it announces the usual MSS: only the router knows how small the link is.
        subprocess.run(["ip", "link", "add", near, "mtu", str(SMALL_MTU), "type", "veth", "peer", "name", far], check=True)
        subprocess.run(["ip", "link", "set", near, "netns", str(outside.pid), "mtu", str(SMALL_MTU)], check=True)
        subprocess.run(["ip", "link", "set", far, "netns", name, "mtu", "1500"], check=True)
        outside.run("sh", "-ec", "\n".join([
            f"ip link set {near} up", f"ip address add {router}/{length} dev {near} {nodad}",
            f"echo 1 > /proc/sys/net/{forward}",
        ]))  # fmt: skip
        for words in (
            ["link", "set", "lo", "up"], ["link", "set", far, "up"],
            [family, "address", "add", f"{server}/{length}", "dev", far, *nodad.split()],
            [family, "route", "add", "default", "via", router],
        ):  # fmt: skip
            subprocess.run([*there, "ip", *words], check=True)
        yield there
    finally:
        outside.run("sh", "-c", f"ip link del {near}; echo 0 > /proc/sys/net/{forward}")
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.parametrize("version", [4, 6])
def test_an_upload_passes_a_smaller_link_outside(world: World, version: int) -> None:
    """Path MTU discovery: the router outside, whose address no policy names, tells the guest how small the link is."""
    server, _, length = FAR[version]
    prefix = str(ip_network(f"{server}/{length}", strict=False))
    web = {"cug": "web"}
    world.orchestrator.put_policy(
        f"far-{version}", action="allow", from_=web, to={"prefix": prefix}, protocol="tcp", ports=[str(FAR_PORT)], replies=True
    )
    vm = world.vms["web-1"]
    with behind_a_small_link(world, version) as there, program(there, _SERVE, server, FAR_PORT) as serving:
        try:
            vm.run(sys.executable, "-I", "-S", "-c", _UPLOAD, server, str(FAR_PORT), str(UPLOAD))
        except ChildError as error:
            pytest.fail(f"the upload hangs: {error}")
        assert said(serving) == str(UPLOAD)
        learnt = vm.run("ip", f"-{version}", "route", "get", server)
        assert f"mtu {SMALL_MTU}" in learnt, learnt
