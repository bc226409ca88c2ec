"""``vmmob check-switch`` and what is behind it, with switches over real sockets that can do more or less."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_features import DEC_TTL, WRITE_METADATA, table_features
from ryu_vmmob.bench.fake_habits import take_on
from ryu_vmmob.bench.fake_switch import FakeFleet
from ryu_vmmob.bench.fake_tables import FLOW_MOD, Refused, match_size, oxm_fields
from ryu_vmmob.cli.main import app
from ryu_vmmob.fabric.model import Dialect
from ryu_vmmob.flows.fields import FIELDS
from ryu_vmmob.flows.pipeline import TABLES
from ryu_vmmob.whitebox import features
from ryu_vmmob.whitebox.dialogue import Dialogue, accept
from ryu_vmmob.whitebox.errors import DialogueError
from ryu_vmmob.whitebox.report import Report, examine
from ryu_vmmob.whitebox.sample import ROLES, told

SECONDS = 60.0


def met(
    try_out: bool = False,
    prepare: Callable[[FakeSwitch], None] = lambda switch: None,
    *,
    settle: float = 0.0,
    cleared: bool = True,
    **behaviour: Any,
) -> Report:
    """What comes of examining a fake switch. A trial leaves nothing behind (``cleared``), ``settle`` seconds later."""
    switches: dict[str, FakeSwitch] = {}
    fleet = FakeFleet(switches)

    def start(port: int) -> None:
        switch = switches["one"] = FakeSwitch(("127.0.0.1", port), 0xAB, (3, 4, 5, 17, 18, 49, 50))
        for name, value in behaviour.items():
            setattr(switch.behaviour, name, value)
        prepare(switch)
        fleet.start()

    try:
        with accept("127.0.0.1", 0, SECONDS, start) as talk:
            report = examine(talk, try_out=try_out)
            if try_out and cleared:
                time.sleep(settle)
                assert not switches["one"].tables.flows
                assert not switches["one"].tables.groups
                assert not switches["one"].tables.meters
            return report
    finally:
        fleet.stop()


def verdicts(report: Report) -> dict[str, str]:
    return {role: report.judgement.verdict(role) for role in ROLES}


ALL_WORK = dict.fromkeys(ROLES, "works")


def lacks(report: Report) -> list[str]:
    return [str(row) for row in report.judgement.lacks]


def test_a_plain_switch_that_can_do_everything_plain() -> None:
    report = met(table_features=table_features(len(TABLES)))
    assert report.judgement.dialect is Dialect.OPENFLOW13
    assert lacks(report) == ["cannot match tcp_flags in tables policy_out, policy_in: needed by policies with replies"]
    assert verdicts(report) == {"spine": "works", "border": "works in part", "tor": "works in part"}
    sizes = ", ".join(f"{table.label}: 4000" for table in TABLES)
    assert report.fabric_keys() == f'{{dpid: "0xab", dialect: openflow13, table_sizes: {{{sizes}}}}}'
    assert [text.split()[0] for text in report.handed_up()] == ["ARP", "packets", "packets"]


@pytest.mark.parametrize(
    ("limits", "said", "tor"),
    [
        ({"without": {"icmpv6_type"}}, "cannot match icmpv6_type in tables", "of no use"),
        ({"without": {"arp_spa"}}, "cannot match arp_spa in tables admit", "of no use"),
        (
            {"without": {"udp_dst"}},
            "cannot match udp_dst in tables admit, policy_out, policy_in: needed by VMs with IPv4, policies on ports",
            "works in part",
        ),
        ({"unmasked": {"ipv4_dst"}}, "cannot match ipv4_dst under a mask in table", "of no use"),
        ({"without": {DEC_TTL}}, "cannot count down the TTL in table route: needed by", "works in part"),
        ({"no_sets": {"eth_src"}}, "cannot set eth_src in table route: needed by", "works in part"),
        ({"no_instructions": {WRITE_METADATA}}, "cannot write metadata in table", "of no use"),
        ({"metadata": 0xFFFFFFFF}, "cannot write all bits of the metadata", "of no use"),
    ],
)
def test_what_a_table_cannot_do(limits: Any, said: str, tor: str) -> None:
    report = met(table_features=table_features(len(TABLES), **limits))
    assert any(row.startswith(said) for row in lacks(report)), lacks(report)
    assert verdicts(report)["tor"] == tor
    assert report.is_of_use == any(verdict != "of no use" for verdict in verdicts(report).values())


def test_too_few_tables() -> None:
    report = met(table_features=table_features(4), number_of_tables=4)
    assert verdicts(report) == dict.fromkeys(ROLES, "of no use")
    assert any(row.startswith(f"has 4 tables, and {len(TABLES)} are needed") for row in lacks(report))
    assert not report.is_of_use


def test_a_switch_that_keeps_its_tables_to_itself() -> None:
    report = met()
    assert verdicts(report) == ALL_WORK
    assert "it does not tell its table features (OFPBRC_BAD_MULTIPART)" in report.remarks
    assert any("--try finds out" in row for row in report.remarks)
    assert report.table_sizes == {}


def test_a_trial_tells_what_words_do_not() -> None:
    flags = FIELDS["tcp_flags"].oxm_class << 7 | FIELDS["tcp_flags"].number

    def judge(message: bytes) -> Refused | None:
        if message[1] != FLOW_MOD:
            return None
        return Refused(4, 6) if flags in oxm_fields(message[48 : 48 + match_size(message, 48)]) else None

    good = met(try_out=True)
    assert (good.judgement.dialect, verdicts(good), good.tried) == (Dialect.OPENVSWITCH, ALL_WORK, True)
    bad = met(try_out=True, refuses=judge)
    assert verdicts(bad) == {"spine": "works", "border": "works in part", "tor": "works in part"}
    assert lacks(bad) == [
        "the flow is refused (OFPBMC_BAD_FIELD: tcp_flags) in tables policy_out, policy_in: needed by policies with replies"
    ]


def test_nothing_is_tried_on_a_switch_of_ours() -> None:
    def ours(switch: FakeSwitch) -> None:
        from ryu_vmmob.flows import wire

        for flow in told(Dialect.OPENVSWITCH)["spine"].flows:
            switch.tables.apply(wire.flow_add(flow, 1))

    with pytest.raises(DialogueError, match="flows of a controller of ours: nothing is tried on it"):
        met(try_out=True, prepare=ours)


def test_every_way_of_not_being_a_switch() -> None:
    for behaviour, said in (({"version": 1}, "does not speak OpenFlow 1.3"), ({"hello_only": True}, "no answer within")):
        with pytest.raises(DialogueError, match=said):
            _within(0.3, behaviour)
    texts = ((b"GET / HTTP/1.0\r\n\r\n", "closed the connection"), (b"", "closed"), (bytes(8), "does not speak OpenFlow"))
    for data, said in texts:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)
            with pytest.raises(DialogueError, match=said):
                Dialogue(ours, 0.3)


def _within(seconds: float, behaviour: Any) -> None:
    switches: dict[str, FakeSwitch] = {}
    fleet = FakeFleet(switches)
    with socket.create_server(("127.0.0.1", 0)) as server:
        switch = switches["one"] = FakeSwitch(("127.0.0.1", server.getsockname()[1]), 1)
        for name, value in behaviour.items():
            setattr(switch.behaviour, name, value)
        fleet.start()
        try:
            stream, _ = server.accept()
            with Dialogue(stream, seconds) as talk:
                talk.portrait()
        finally:
            fleet.stop()


@pytest.mark.parametrize("body", [b"\x00\x10" + bytes(14), struct.pack("!HB5x32sQQIIHH", 68, 0, b"", 0, 0, 0, 0, 8, 90)])
def test_features_that_contradict_themselves(body: bytes) -> None:
    with pytest.raises(features.MalformedError):
        features.tables(body)


def test_the_sample_has_everything() -> None:
    """Every table, field, action and kind of group that the compiler can make for these roles occurs in it."""
    rows = told(Dialect.OPENVSWITCH)
    assert {flow.table for row in rows.values() for flow in row.flows} == set(TABLES)
    matched = {name for row in rows.values() for flow in row.flows for name, _, _ in flow.match}
    assert {"tcp_flags", "nw_ttl", "ipv6_nd_target", "icmpv4_type", "udp_dst", "vlan_vid", "arp_spa"} <= matched
    assert {group.type.name for row in rows.values() for group in row.groups} == {"ALL", "INDIRECT", "FAST_FAILOVER"}
    assert any(group.refers_to for group in rows["tor"].groups)


# The command


def run(*words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, ["check-switch", *words])
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result


def served(*words: str, status: int = 0, **behaviour: Any) -> Result:
    """The command, with a fake switch that connects to it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    switch = FakeSwitch(("127.0.0.1", port), 0xAB, range(1, 9))
    for name, value in behaviour.items():
        setattr(switch.behaviour, name, value)
    fleet = FakeFleet({"one": switch})
    thread = Thread(target=fleet.start)
    thread.start()
    try:
        return run("--listen", str(port), "--host", "127.0.0.1", *words, status=status)
    finally:
        thread.join()
        fleet.stop()


def test_the_command() -> None:
    result = served(table_features=table_features(len(TABLES), without={DEC_TTL}))
    assert "waiting at port" in result.stderr
    lines = result.stdout.splitlines()
    assert "as tor: works in part" in lines
    assert "as spine: works" in lines
    assert any(line.startswith("  refused: it cannot count down the TTL in table route: needed by") for line in lines)
    sizes = ", ".join(f"{table.label}: 4000" for table in TABLES)
    assert lines[-1] == f'for the fabric file: {{dpid: "0xab", dialect: openflow13, table_sizes: {{{sizes}}}}}'


def test_the_command_for_programs_and_for_a_role() -> None:
    found = json.loads(served("--json", "--role", "spine", table_features=table_features(len(TABLES), entries=300)).stdout)
    assert (found["dialect"], found["table_sizes"]["admit"], found["tables"]) == ("openflow13", 300, 254)
    assert found["roles"]["tor"]["verdict"] == "works in part"
    result = served("--role", "tor", table_features=table_features(len(TABLES), without={"arp_spa"}), status=1)
    assert "as tor: of no use" in result.stdout
    assert "as spine" not in result.stdout


def test_wrong_questions() -> None:
    assert "give the address" in run(status=2).stderr
    assert "give the address" in run("x:1", "--listen", "1", status=2).stderr
    assert "--role" in run("x:1", "--role", "leaf", status=2).stderr
    assert "Connection refused" in run("127.0.0.1:1", status=3).stderr
    for wrong in ("nonsense", ":6653", "host:", "host:99999"):
        assert run(wrong, status=2).stderr == f"vmmob: {wrong}: write HOST:PORT, or the path of a socket\n"
    assert "no switch connected" in run("--listen", "0", "--timeout", "0.1", "--host", "127.0.0.1", status=3).stderr


def test_the_field_that_is_refused_is_named() -> None:
    """Of a match with many fields: what it is without which the flow is taken, and whether it is the mask."""
    report = met(True, lambda switch: take_on(switch, "refuses_masks"), bundles=False)
    assert report.judgement.dialect is Dialect.OPENFLOW13
    assert all("OFPBMC_BAD_FIELD: " in row for row in lacks(report)), lacks(report)
    assert any(row.startswith("the flow is refused (OFPBMC_BAD_FIELD: tcp_flags)") for row in lacks(report))


def test_a_flow_that_is_not_kept_is_found_by_reading_back() -> None:
    report = met(True, lambda switch: take_on(switch, "drops_silently"))
    assert any(row.startswith("the flow is confirmed, and not there when it is read back") for row in lacks(report))
    assert any("that it confirmed" in row and "of 3,000 flows" in row for row in report.remarks), report.remarks


def test_a_kept_cookie_is_found_by_overwriting() -> None:
    assert any("keeps the old cookie" in row for row in met(True, lambda switch: take_on(switch, "keeps_cookies")).remarks)
    assert not any("keeps the old cookie" in row for row in met(True).remarks)


def test_a_table_that_is_too_small_is_found_by_filling_it() -> None:
    def small(switch: FakeSwitch) -> None:
        switch.tables.room = 1000

    report = met(True, small)
    assert any("of 3,000 flows in table bridge it took 1,000 (OFPFMFC_TABLE_FULL)" in row for row in report.remarks)
    assert report.table_sizes == {"bridge": 1000}


def test_a_switch_whose_long_answers_cannot_be_read() -> None:
    report = met(True, lambda switch: take_on(switch, "wraps_statistics"), settle=1.0)
    assert any("it stopped answering while 3,000 flows" in row for row in report.remarks), report.remarks
    assert verdicts(report) == ALL_WORK


def test_a_switch_that_dies_of_extensions_is_judged_as_a_plain_one() -> None:
    """The plain way is tried first, so something is known by then."""

    def mortal(switch: FakeSwitch) -> None:
        nicira = bytes.fromhex("00002320")
        switch.on_message = lambda message: switch.lose() if message[1] == FLOW_MOD and nicira in message else None

    report = met(True, mortal, cleared=False)
    assert report.judgement.dialect is Dialect.OPENFLOW13
    assert any("it stopped answering while it was given what only Open vSwitch has" in row for row in report.remarks)


def test_what_words_alone_do_not_decide_is_not_known() -> None:
    """Seen at a switch that carries everything: no instruction in any table, by its own words."""
    report = met(table_features=table_features(len(TABLES), no_instructions=range(7)))
    assert "of no use" not in verdicts(report).values()
    assert "not known" in verdicts(report).values()
    assert not report.is_of_use
    assert any("cannot be true: --try finds out" in row for row in report.remarks)
    few = met(table_features=table_features(len(TABLES))[:1], number_of_tables=64)
    assert set(verdicts(few).values()) == {"not known"}
    assert any(row.startswith("it says nothing of tables 1, 2") for row in few.remarks)
