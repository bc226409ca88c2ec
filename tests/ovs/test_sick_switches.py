"""Switches that are away, late, slow, deaf, forgetful or loud: the others go on, and each is made right in the end."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ryu_vmmob.bench.fake_behaviour import Point
from ryu_vmmob.bench.fake_tables import FLOW_MOD, refuse_all, refuse_table
from ryu_vmmob.flows.pipeline import Table
from tests.ovs.fakes import FakeSite
from tests.support.controller import SECONDS, nic, until

SICK = "tor-c"
"""Concerned with a move of w1 to srv-c1, and with none among srv-a1, srv-a2 and srv-b1 in a CUG that is not there."""
UNHEARD = {"deaf": {"answers": "nothing"}, "never done": {"answers": "echo"}, "does not read": {"reads": False}}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FakeSite]:
    with FakeSite(tmp_path) as running:
        running.put_cugs()
        running.put_vm("w1", "srv-a1", nic("web", 11))
        running.put_vm("w2", "srv-b1", nic("web", 12))
        running.put_vm("d1", "srv-a1", nic("db", 14))
        running.put_vm("d2", "srv-b1", nic("db", 15))
        running.until_right()
        yield running


def move_beside(site: FakeSite) -> None:
    """A whole move that has nothing to do with the sick switch."""
    begun = site.move("d1", "srv-b1", activate_on="request")
    site.until_state(begun["id"], "prepared")
    site.rest.post(f"/v1/migrations/{begun['id']}/activate")
    ended = site.until_state(begun["id"], "committed")
    assert SICK not in ended["switches"]["acknowledged"]


def start(site: FakeSite, timeout: float = 300.0) -> Any:
    """Begin a move that the sick switch is concerned with; do not wait."""
    return site.rest.post("/v1/migrations", {"vm": "w1", "to": "srv-c1", "activate_on": "request", "timeout": timeout})


def until_only_the_sick_is_pending(site: FakeSite, id_: str) -> Any:
    def there() -> Any:
        row = site.migration(id_)
        return row if row["switches"]["pending"] == [SICK] and len(row["switches"]["acknowledged"]) >= 2 else None

    found = until(there, lambda: site.migration(id_))
    assert found["state"] == "preparing"
    return found


def finish(site: FakeSite, id_: str) -> None:
    """The move goes on by itself once the switch is well, and can be ended; every switch is right."""
    site.until_state(id_, "prepared")
    site.rest.post(f"/v1/migrations/{id_}/activate")
    site.until_state(id_, "committed")
    site.until_right()


@pytest.mark.parametrize("how", UNHEARD.values(), ids=UNHEARD)
def test_a_switch_that_is_silent(site: FakeSite, how: dict[str, object]) -> None:
    site.be(SICK, **how)
    begun = start(site)
    until_only_the_sick_is_pending(site, begun["id"])
    move_beside(site)
    assert site.migration(begun["id"])["switches"]["pending"] == [SICK]
    site.be(SICK, answers="all", reads=True)
    if how.get("answers") == "echo":
        site.fleet.lose(SICK)  # it is given up by itself as well, and that takes half a minute
    finish(site, begun["id"])


def test_a_switch_that_does_not_read_while_there_is_much_to_tell_it(site: FakeSite) -> None:
    """What waits to be sent waits for this switch only; it is made right when it reads again."""
    site.put_vm("w3", "srv-c1", nic("web", 13))
    site.be(SICK, reads=False)
    body = {f"v{number}": {"server": "srv-c1", "interfaces": [many(number)]} for number in range(1, 200)}
    site.rest.post("/v1/bulk", {"vms": body})
    move_beside(site)
    assert site.switch(SICK)["behind"] > 0
    site.be(SICK, reads=True)
    site.until_right()


def many(number: int) -> dict[str, Any]:
    """An interface with many addresses."""
    ips = [f"2001:db8:1::{number:x}:{host:x}" for host in range(1, 16)]
    return {"cug": "web", "mac": f"02:00:00:00:{0x77 + number // 256:02x}:{number % 256:02x}", "ips": ips}


def move_back(site: FakeSite) -> None:
    begun = site.move("d1", "srv-a1", activate_on="request")
    site.rest.post(f"/v1/migrations/{begun['id']}/activate")
    site.until_state(begun["id"], "committed")


def test_a_slow_switch(site: FakeSite) -> None:
    site.be(SICK, delay=2.0)
    begun = start(site)
    until_only_the_sick_is_pending(site, begun["id"])
    move_beside(site)
    site.until_state(begun["id"], "prepared")  # slowly, and without a change of its ways
    site.be(SICK, delay=0.0)
    finish(site, begun["id"])
    assert site.fakes[SICK].connections == 1


def test_a_switch_that_is_away_and_one_that_is_away_too_long(site: FakeSite) -> None:
    site.be(SICK, connects=False)
    site.until_connected(SICK, False)
    begun = start(site)
    assert begun["state"] == "preparing"
    until_only_the_sick_is_pending(site, begun["id"])
    move_beside(site)
    site.be(SICK, connects=True)
    finish(site, begun["id"])
    site.be(SICK, connects=False)
    site.until_connected(SICK, False)
    back = site.rest.post("/v1/migrations", {"vm": "w1", "to": "srv-a1", "activate_on": "request", "timeout": 1})
    ended = site.until_undone(back["id"])
    assert f"not confirmed by: {SICK}" in ended["reason"]
    site.be(SICK, connects=True)
    site.until_right()


def test_a_switch_that_is_away_holds_up_no_commit(site: FakeSite) -> None:
    begun = site.move("w1", "srv-b1", activate_on="request")
    assert begun["state"] == "prepared"
    (other,) = set(begun["switches"]["acknowledged"]) - {"tor-a", "tor-b"} or {"tor-a"}
    site.be(other, connects=False)
    site.until_connected(other, False)
    site.rest.post(f"/v1/migrations/{begun['id']}/activate")
    until(lambda: site.migration(begun["id"])["state"] == "committed")
    site.be(other, connects=True)
    site.until_right()


def test_a_switch_that_connects_late_and_one_that_restarts_empty(tmp_path: Path) -> None:
    late = FakeSite(tmp_path)
    late.fakes[SICK].behaviour.connects = False
    with late as site:
        site.put_cugs()
        assert site.put_vm("w1", "srv-a1", nic("web", 11))["switches"]["pending"] == []
        site.rest.put("/v1/vms/w3", {"server": "srv-c1", "interfaces": [nic("web", 13)]})
        site.be(SICK, connects=True)
        site.until_right()
        connections = site.fakes[SICK].connections
        site.fleet.restart(SICK)
        until(lambda: site.fakes[SICK].connections > connections and site.fakes[SICK].tables.flows)
        site.until_right()
        assert site.switch(SICK)["repairs"]["flows"]["missing"] == 0


@pytest.mark.parametrize("point", [1, 3, "before commit", "after commit"])
def test_a_connection_lost_within_a_bundle(site: FakeSite, point: Point) -> None:
    site.be(SICK, lose_at=point)
    begun = start(site)
    finish(site, begun["id"])
    assert site.fakes[SICK].connections == 2


def test_no_bundles_and_a_connection_lost_between_messages(site: FakeSite) -> None:
    site.be(SICK, bundles=False)
    seen = 0

    def lose(message: bytes) -> None:
        nonlocal seen
        if message[1] == FLOW_MOD:
            seen += 1
            if seen == 3:
                site.fakes[SICK].lose()

    site.fleet.do(lambda: setattr(site.fakes[SICK], "on_message", lose))
    begun = start(site)
    finish(site, begun["id"])
    assert site.fakes[SICK].connections == 2


def test_a_switch_that_refuses(site: FakeSite) -> None:
    for refuses in (refuse_table(Table.BRIDGE.id), refuse_all):
        site.be(SICK, refuses=refuses)
        begun = start(site)
        ended = site.until_undone(begun["id"], "failed")
        assert "TABLE_FULL" in ended["reason"]
        move_beside(site)
        move_back(site)
        site.be(SICK, refuses=None)
        site.until_right()
    finish(site, start(site)["id"])


@pytest.mark.parametrize(
    "flood", [{"errors": 20_000.0}, {"packet_ins": 20_000.0}, {"errors": 20_000.0, "error_xid": 0x7A7A7A7A}], ids=str
)
def test_a_switch_that_floods(site: FakeSite, flood: dict[str, object]) -> None:
    """It is read slowly, what is too much is dropped and counted, and even this switch is served meanwhile."""
    site.be(SICK, **flood)
    until(lambda: site.switch(SICK)["dropped_messages"] > 1000)
    begun = start(site)
    move_beside(site)
    site.until_state(begun["id"], "prepared")
    assert "switch.floods switch=tor-c" in site.controller.log
    assert site.switch("tor-a")["dropped_messages"] == 0
    site.be(SICK, errors=0.0, packet_ins=0.0)
    finish(site, begun["id"])


def test_a_flood_from_a_flow_that_awaits_a_vm(site: FakeSite) -> None:
    """The first of its frames moves the VM, the others change nothing."""
    begun = site.rest.post("/v1/migrations", {"vm": "w1", "to": "srv-c1"}, wait=SECONDS)
    (awaited, *_) = [row for row in site.flows(SICK).values() if row["table"] == "admit" and "controller" in row["actions"]]
    site.be(SICK, packet_ins=5000.0, packet_cookie=int(awaited["cookie"], 16))
    site.until_state(begun["id"], "committed")
    until(lambda: site.switch(SICK)["dropped_messages"] > 1000)
    site.be(SICK, packet_ins=0.0)
    site.until_right()


def test_a_switch_that_writes_flows_in_its_own_way_is_not_told_again_and_again(site: FakeSite) -> None:
    site.be(SICK, rewrites=True)
    site.put_vm("w3", "srv-c1", nic("web", 13))
    said = site.fleet.do(lambda: site.fakes[SICK].said[FLOW_MOD])
    for _ in range(2):
        site.audit(SICK)
    assert site.fleet.do(lambda: site.fakes[SICK].said[FLOW_MOD]) == said
    assert site.switch(SICK)["repairs"]["flows"] == {"missing": 0, "alien": 0, "altered": 0}


def test_two_connections_with_one_dpid_and_those_that_are_no_switch(site: FakeSite) -> None:
    """The newer one stands; nothing is left behind of connections that come to nothing."""
    address = ("127.0.0.1", site.openflow_port)
    before = threads_and_sockets(site)
    strangers = [socket.create_connection(address) for _ in range(3)]
    for stranger, hello in zip(strangers, (b"", hello_of(1), hello_of(4)), strict=True):
        stranger.sendall(hello)
    site.be(SICK, answers="nothing")
    twin = socket.create_connection(address)
    become_switch(twin, site.fabric.switches[SICK].dpid)
    until(lambda: site.fakes[SICK].connections > 1)  # its connection was closed, and it makes another
    site.be(SICK, answers="all")
    site.until_right()
    for each in (*strangers, twin):
        each.close()
    unknown = socket.create_connection(address)
    become_switch(unknown, 0x4242)
    until(lambda: "switch.unknown dpid=0x4242" in site.controller.log)
    unknown.close()
    move_beside(site)
    until(lambda: threads_and_sockets(site) <= before, lambda: (threads_and_sockets(site), before))


def hello_of(version: int) -> bytes:
    return struct.pack("!BBHI", version, 0, 8, 1)


def become_switch(connection: socket.socket, dpid: int) -> None:
    """As far as features and ports."""
    connection.sendall(hello_of(4))
    with connection.makefile("rb") as stream:
        while True:
            header = stream.read(8)
            kind, size, xid = header[1], int.from_bytes(header[2:4], "big"), header[4:8]
            stream.read(size - 8)
            if kind == 5:
                connection.sendall(b"\x04\x06\x00\x20" + xid + struct.pack("!QIBB2xII", dpid, 0, 254, 0, 0x4F, 0))
            if kind == 18:
                connection.sendall(b"\x04\x13\x00\x10" + xid + struct.pack("!HH4x", 13, 0))
                return


def threads_and_sockets(site: FakeSite) -> int:
    """Sockets of the controller on its OpenFlow port."""
    local = f":{site.openflow_port:04X}"
    mine = {link.readlink().name for link in Path(f"/proc/{site.controller.pid}/fd").iterdir() if link.is_symlink()}
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(local) and f"socket:[{row[9]}]" in mine for row in rows)


def test_the_audit_comes_by_itself(tmp_path: Path) -> None:
    with FakeSite(tmp_path, audit_interval="0.2") as site:
        site.put_cugs()
        site.put_vm("w1", "srv-a1", nic("web", 11))
        site.until_right()
        tables = site.fakes["tor-a"].tables

        def tamper() -> None:
            place, entry = next(
                (place, row) for place, row in tables.flows.items() if row.table == Table.BRIDGE.id and row.instructions
            )
            tables.flows[place] = entry._replace(instructions=b"")

        site.fleet.do(tamper)
        until(lambda: site.switch("tor-a")["repairs"]["flows"]["altered"] == 1)
        site.until_right()
        assert "switch.repaired switch=tor-a flows_altered=1" in site.controller.log
