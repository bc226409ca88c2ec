"""`vmmob trace`: what is asked, and what is shown of the answer."""

from __future__ import annotations

import pytest

from tests.support.rest_service import vm
from tests.unit.cli_support import Shell
from tests.unit.cli_support import pair as pair
from tests.unit.cli_support import shell as shell


def vlan_id(shell: Shell, name: str) -> str:
    """The tag of the VM's only vNIC on its server's cable."""
    return str(shell.json("vm", "show", name)["interfaces"][0]["vlan_id"])


def test_trace_shows_hops_and_tables_and_the_verdict_last(pair: Shell) -> None:
    lines = pair.run("trace", "web1", "10.1.0.12", "--protocol", "tcp", "--port", "80").stdout.splitlines()
    found = pair.json("trace", "web1", "10.1.0.12", "--protocol", "tcp", "--port", "80")
    assert lines[0].split() == ["switch", "port", "VLAN-ID", "TTL", "table", "priority", "match", "actions", "whose"]
    rest = iter(lines[1:-1])
    for hop in found["hops"]:
        for number, row in enumerate(hop["tables"]):
            line = next(rest)
            assert line.startswith(hop["switch"] if number == 0 else " ")
            assert (f"in {hop['in_port']} " in line, f" {hop['vlan_id']} " in line, " 64 " in line) == (number == 0,) * 3
            assert f" {row['table']} " in line
            assert row["actions"] in line
        for out in hop["outputs"]:
            line = next(rest)
            assert line.split() == ["out", str(out["port"]), str(out["vlan_id"]), "64", "to", out["to"]]
    assert list(rest) == []
    assert lines[-1] == f"delivered: it reaches web2 at srv-c1 (tor-c:1), VLAN-ID {vlan_id(pair, 'web2')}"


def test_trace_asks_for_what_the_options_say(pair: Shell) -> None:
    assert "ip_proto=6" in pair.json("trace", "web1", "10.1.0.12", "--protocol", "6")["packet"]
    assert "udp_dst=53" in pair.json("trace", "web1", "10.1.0.12", "--protocol", "udp", "--port", "53")["packet"]
    assert pair.json("trace", "web1", "10.1.0.12", "--protocol", "arp")["verdict"] == "answered"
    assert pair.json("trace", "web1", "02-00-00-00-00-0c")["verdict"] == "delivered"
    assert pair.json("trace", "web1", "2001:db8:1::c", "--at", "srv-a1", "--interface", "0")["verdict"] == "delivered"


def test_trace_of_a_forger_is_a_no(pair: Shell) -> None:
    result = pair.run("trace", "web1", "10.1.0.12", "--as-ip", "10.1.0.77", status=1)
    assert result.stdout.splitlines()[-1] == "dropped: tor-a, table admit: no flow admits this source (anti-spoofing)"
    assert pair.json("trace", "web1", "10.1.0.12", "--as-mac", "02:00:00:00:00:77", status=1)["verdict"] == "dropped"


def test_trace_from_outside_and_between_cugs(shell: Shell) -> None:
    for number, (name, server) in enumerate((("app", "srv-a1"), ("db", "srv-c1")), 1):
        shell.run("cug", "put", name, "--subnet", f"10.{number}.0.0/24", "--routing-domain", "red")
        interface = f"cug={name},mac=02:00:00:00:0{number}:01,ip=10.{number}.0.11"
        shell.run("vm", "put", f"{name}1", "--server", server, "--interface", interface)
    tcp = ("10.2.0.11", "--protocol", "tcp", "--port", "80")
    assert shell.run("trace", "app1", *tcp, status=1).stdout.splitlines()[-1].startswith("denied: tor-a, table policy_out: ")
    selectors = ("--action", "allow", "--from", "any", "--to", "cug=db")
    shell.run("policy", "put", "http", *selectors, "--protocol", "tcp", "--port", "80", "--replies", "--wait", "5")
    lines = shell.run("trace", "app1", *tcp).stdout.splitlines()
    assert lines[-1].endswith("routed by tor-a, then tor-c; allowed by policy http")
    assert [line.split()[2:4] for line in lines if " out " in line][-1] == [vlan_id(shell, "db1"), "62"]
    assert "time_exceeded" in shell.run("trace", "app1", *tcp, "--ttl", "1", status=1).stdout.splitlines()[-2]
    outside = ("internet-1", *tcp, "--external", "--as-ip", "192.0.2.9", "--as-mac", "02:00:00:00:00:99")
    found = shell.json("trace", *outside)
    assert (found["verdict"], found["from"]["external"]) == ("delivered", "internet-1")
    assert "eth_src=02:00:00:00:00:99" in found["packet"]
    back = ("db1", "10.1.0.11", "--protocol", "tcp", "--source-port", "80", "--port", "9")
    assert shell.json("trace", *back, "--tcp-flag", "ack", "--tcp-flag", "psh")["verdict"] == "delivered"
    assert shell.json("trace", *back, status=1)["verdict"] == "denied"
    assert (
        "from.interface: an external network has none"
        in shell.run("trace", "internet-1", "10.2.0.11", "--external", "--interface", "0", status=2).stderr
    )


def test_trace_says_when_switches_are_behind(pair: Shell) -> None:
    pair.service.put("/v1/vms/web3", vm("srv-a2", 13))
    lines = pair.run("trace", "web1", "10.1.0.13").stdout.splitlines()
    assert lines[-2] == "not in step yet, so they may do otherwise: tor-a"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody", "10.1.0.12"], "vmmob: invalid input (422): from.vm: there is no VM 'nobody'\n"),
        (["web1", "10.1.0"], 'vmmob: invalid input (422): to.ip: "10.1.0" is no IPv4 or IPv6 address\n'),
        (["web1", "10.1.0.12", "--interface", "4"], "VM 'web1' has 1 interface, counted from 0\n"),
        (["web1", "10.1.0.12", "--protocol", "x"], "protocol: must be one of tcp, udp, icmp, arp, rs, a number"),
    ],
)
def test_trace_of_nonsense(pair: Shell, words: list[str], said: str) -> None:
    result = pair.run("trace", *words, status=2)
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


# The other commands


def test_trace_says_where_a_servers_own_switch_decides(pair: Shell) -> None:
    for number in (21, 22):
        interface = f"cug=web,mac=02:00:00:00:00:{number},ip=10.1.0.{number}"
        pair.run("vm", "put", f"near{number}", "--server", "srv-a2", "--interface", interface)
    result = pair.run("trace", "near21", "10.1.0.22", status=1)
    assert result.stdout.splitlines() == [
        "local_switching: inside srv-a2 its own switch decides: VM near22 is on the same wire, and the ToR never sees the frame"
    ]
    found = pair.json("trace", "near21", "10.1.0.22", status=1)
    assert found["local_switching"] == {"server": "srv-a2", "vms": ["near22"]}


def test_trace_takes_the_name_of_a_vm_for_its_address(pair: Shell) -> None:
    """The one in the sender's CUG and family, where it has one."""
    assert "ipv4_dst=10.1.0.12" in pair.json("trace", "web1", "web2")["packet"]
    pair.run("cug", "put", "other", "--subnet", "10.2.0.0/24")
    nics = ("cug=other,mac=02:00:00:00:02:13,ip=10.2.0.13", "cug=web,mac=02:00:00:00:01:13,ip=2001:db8:1::13,ip=10.1.0.13")
    pair.run("vm", "put", "both", "--server", "srv-b1", *(part for nic in nics for part in ("--interface", nic)))
    pair.run("vm", "put", "six", "--server", "srv-b1", "--interface", "cug=web,mac=02:00:00:00:01:14,ip=2001:db8:1::14")
    assert "ipv4_dst=10.1.0.13" in pair.json("trace", "web1", "both")["packet"]
    assert "ipv4_dst=10.2.0.13" in pair.json("trace", "both", "both", "--interface", "0", status=1)["packet"]
    assert "ipv6_dst=2001:db8:1::13" in pair.json("trace", "six", "both")["packet"]
    assert "nobody" in pair.run("trace", "web1", "nobody", status=1).stderr
    for wrong in ("10.1.0.999", "10.1.0", "not/an/address"):
        assert "no IPv4 or IPv6 address" in pair.run("trace", "web1", wrong, status=2).stderr
