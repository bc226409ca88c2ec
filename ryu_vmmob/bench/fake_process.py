"""Fake switches as a process: ``python -m ryu_vmmob.bench.fake_process --connect HOST:PORT --dpid N [--count N]``.

Its owner changes how they behave by lines on standard input, one change a line. SWITCH is a dpid, or ``all``:

    SWITCH FIELD VALUE          one of `fake_connection.Behaviour`, VALUE as in Python: 0x11 delay 2.0, all reads False
    SWITCH refuse_table NUMBER  no flow gets into this table
    SWITCH refuse all|nothing
    SWITCH restart              it comes back empty
    SWITCH lose                 its connection
    SWITCH forget_echoes        how long echo replies took so far
    state                       prints a JSON object with what each switch has

It ends with the end of its input, unless ``--forever``.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import signal
import sys
from typing import Any

from ryu_vmmob.bench.fake_behaviour import Behaviour
from ryu_vmmob.bench.fake_connection import FakeSwitch
from ryu_vmmob.bench.fake_switch import FakeFleet, raise_file_limit
from ryu_vmmob.bench.fake_tables import refuse_all, refuse_table

_FIELDS = {row.name for row in dataclasses.fields(Behaviour)}


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _number(text: str) -> int:
    return int(text, 0)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(prog="fake_switch", description="Switches that speak OpenFlow 1.3 and forward nothing.")
    found.add_argument("--connect", type=_address, required=True, metavar="HOST:PORT", help="where the controller listens")
    found.add_argument("--dpid", type=_number, default=1, help="of the first switch (default 1)")
    found.add_argument("--count", type=_number, default=1, help="how many, with dpids that follow each other (default 1)")
    found.add_argument("--ports", type=_number, default=48, help="ports of each, from 1 (default 48)")
    found.add_argument("--set", nargs=2, action="append", default=[], metavar=("FIELD", "VALUE"), help="how they behave")
    found.add_argument("--forever", action="store_true", help="read no commands, run until killed")
    return found


def obey(fleet: FakeFleet, line: str) -> str | None:
    """Carry out a line of input; what is to be printed. Raises ValueError with a sentence when it makes no sense."""
    words = line.split(maxsplit=2)
    if words == ["state"]:
        return json.dumps(fleet.do(lambda: {name: _state(switch) for name, switch in fleet.switches.items()}))
    if len(words) < 2:
        raise ValueError(f"{line.strip()!r}: write SWITCH FIELD VALUE, SWITCH restart, SWITCH lose or state")
    names = list(fleet.switches) if words[0] == "all" else [f"{int(words[0], 0):#x}"]
    for name in names:
        if name not in fleet.switches:
            raise ValueError(f"there is no switch {name}")
        _obey_one(fleet, name, words[1], words[2].strip() if len(words) == 3 else "")
    return None


def _obey_one(fleet: FakeFleet, name: str, what: str, value: str) -> None:
    if what == "restart":
        fleet.restart(name)
    elif what == "lose":
        fleet.lose(name)
    elif what == "forget_echoes":
        fleet.do(fleet.switches[name].echoes.forget)
    elif what == "refuse_table":
        fleet.change(name, refuses=refuse_table(int(value, 0)))
    elif what == "refuse":
        if value not in ("all", "nothing"):
            raise ValueError(f"refuse {value!r}: must be all or nothing")
        fleet.change(name, refuses=refuse_all if value == "all" else None)
    elif what in _FIELDS - {"refuses"}:
        fleet.change(name, **{what: _literal(value)})
    else:
        raise ValueError(f"there is no {what!r}; there are {', '.join(sorted(_FIELDS))}")


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _state(switch: FakeSwitch) -> dict[str, object]:
    tables = switch.tables
    return {
        "connected": switch.connected,
        "connections": switch.connections,
        "flows": len(tables.flows),
        "groups": len(tables.groups),
        "meters": len(tables.meters),
        "messages": sum(switch.said.values()),
        "echoes": {"answered": switch.echoes.answered, "slowest": switch.echoes.slowest},
    }


def main(arguments: list[str] | None = None) -> int:
    """Run until the input ends."""
    options = parser().parse_args(arguments)
    raise_file_limit(options.count + 64)
    switches = {
        f"{dpid:#x}": FakeSwitch(options.connect, dpid, range(1, options.ports + 1))
        for dpid in range(options.dpid, options.dpid + options.count)
    }
    with FakeFleet(switches) as fleet:
        for name, value in options.set:
            obey(fleet, f"all {name} {value}")
        if options.forever:
            signal.pause()
        for line in sys.stdin:
            if not line.strip():
                continue
            try:
                said = obey(fleet, line)
            except ValueError as error:
                sys.stderr.write(f"fake_switch: {error}\n")
            else:
                if said is not None:
                    sys.stdout.write(said + "\n")
                    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
