"""Calls made up from the description, against the real controller as a process of its own: every answer is as it says."""

from __future__ import annotations

from pathlib import Path

import requests
import schemathesis

from ryu_vmmob.rest.app import ROUTES
from tests.ovs.fakes import FakeSite
from tests.support.controller import WEB, nic
from tests.support.described_calls import callable_from, config, run, show
from tests.support.description import description

TOKEN = "ZGVzY3JpcHRpb24tb2YtdGhlLWNvbnRyb2xsZXI="


def test_every_operation_of_the_real_controller(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(f"{TOKEN}\n", encoding="ascii")
    site = FakeSite(tmp_path, api_token_file=str(token_file), rest_rate="0")
    site.rest.authorize(TOKEN)
    with site:
        site.rest.put("/v1/cugs/web", WEB)
        for number, (name, server) in enumerate({"web1": "srv-a1", "web2": "srv-a2", "web3": "srv-b1"}.items(), 11):
            site.put_vm(name, server, nic("web", number))
        base = site.controller.rest
        served = requests.get(f"{base}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60).json()
        assert served == description()
        phases = {"examples": None, "coverage": None, "fuzzing": 3}
        schema = schemathesis.openapi.from_dict(callable_from(served), config=config(TOKEN, phases))
        schema.config.update(base_url=base)
        outcome = run(schema)
        assert outcome.faults == [], show(outcome.faults)
        assert outcome.statuses.keys() == {f"{route.method} {route.pattern}" for route in ROUTES}
        assert outcome.calls > 1000
        assert "Traceback" not in site.controller.log
        site.until_right()
