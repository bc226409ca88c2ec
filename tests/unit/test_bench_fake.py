"""The fake switch as a process: it connects, says who it is, keeps what it is told, and obeys its owner's lines."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ryu_vmmob.bench.fake_tables import BAD_OUT_GROUP, GROUP_EXISTS, METER_EXISTS, UNKNOWN_GROUP, FakeTables
from ryu_vmmob.flows import wire
from ryu_vmmob.flows.flow import Bucket, Flow, Group, GroupType, Output, ToGroup, match
from ryu_vmmob.flows.pipeline import GroupKind, Table, group_id

GROUP = Group(group_id(GroupKind.FLOOD, 1, 0), GroupType.ALL, (Bucket((Output(1),)),))
FLOW = Flow.undeclared(Table.BRIDGE, 1000, match(metadata=(1, 0xFFFF), eth_dst=1), (ToGroup(GROUP.id),))
HELLO = b"\x04\x00\x00\x08\x00\x00\x00\x01"


def test_tables_do_what_the_specification_says() -> None:
    tables = FakeTables()
    assert tables.apply(wire.flow_add(FLOW, 1)) == BAD_OUT_GROUP
    assert tables.apply(wire.group_modify(GROUP, 1)) == UNKNOWN_GROUP
    assert tables.apply(wire.group_add(GROUP, 1)) is None
    assert tables.apply(wire.group_add(GROUP, 1)) == GROUP_EXISTS
    assert tables.apply(wire.flow_add(FLOW, 1)) is None
    assert tables.cookies() == [FLOW.cookie]
    assert tables.apply(wire.flow_delete(FLOW.cookie ^ 1, 1)) is None
    assert tables.cookies() == [FLOW.cookie]
    assert tables.apply(wire.group_delete(GROUP.id, 1)) is None
    assert tables.cookies() == [], "flows that point to a group go with it"
    both = wire.meter_set(1, 100, (1, 2))
    add, modify = both[: len(both) // 2], both[len(both) // 2 :]
    assert [tables.apply(row) for row in (add, add, modify)] == [None, METER_EXISTS, None]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def test_the_process(listener: socket.socket) -> None:
    where = f"127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "ryu_vmmob.bench.fake_process", "--connect", where, "--dpid", "0x21", "--count", "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        switches = [listener.accept()[0] for _ in range(3)]
        dpids = set()
        for connection in switches:
            connection.settimeout(60)
            connection.sendall(HELLO + b"\x04\x05\x00\x08\x00\x00\x00\x02" + wire.group_add(GROUP, 3) + wire.flow_add(FLOW, 4))
            connection.sendall(wire.barrier(5))
            with connection.makefile("rb") as stream:
                kinds = {}
                while 21 not in kinds:
                    header = stream.read(8)
                    kinds[header[1]] = stream.read(int.from_bytes(header[2:4], "big") - 8)
            dpids.add(int.from_bytes(kinds[6][:8], "big"))
        assert dpids == {0x21, 0x22, 0x23}
        process.stdin.write("0x22 restart\nstate\n")
        process.stdin.flush()
        state = json.loads(process.stdout.readline())
        assert {name: row["flows"] for name, row in state.items()} == {"0x21": 1, "0x22": 0, "0x23": 1}
        again = listener.accept()[0]
        process.stdin.close()
        assert process.wait(60) == 0
        for connection in (*switches, again):
            connection.close()
