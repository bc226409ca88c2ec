"""Whatever a client sends, the answer is a refusal or a success, never a failure of the controller."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_vmmob.rest.app import ROUTES
from tests.support.rest_service import POLICY, WEB, Service, packed, vm

_BODIES = {
    "CugBody": WEB | {"gateways": ["10.1.0.1"], "routing_domain": "red", "vlan_ids": {"rack-a": 110}, "labels": {"role": "db"}},
    "VmBody": {"server": "srv-a1", "interfaces": [vm()["interfaces"][0] | {"guest_vlan_id": None, "vlan_id": None}]},
    "MigrationBody": {"vm": "web1", "to": "srv-b1", "mode": "hot", "timeout": 300},
    "FramesBody": {"interface": 0, "frames": [b64encode(bytes.fromhex("02000000000b0200000000010800")).decode()]},
    "AbortBody": {"reason": "x"},
    "MigrationAbortBody": {"reason": "x", "force": False},
    "EvacuateBody": {"to": ["srv-b1"], "mode": "hot", "timeout": 300, "parallel": 8},
    "Empty": {},
    "PolicyBody": POLICY,
    "BulkBody": {"cugs": {"web": WEB}, "vms": {"web1": vm()}, "policies": {"p": POLICY}, "delete": {"vms": ["web2"]}},
    "TraceBody": {"from": {"vm": "web1", "interface": 0}, "to": {"ip": "10.1.0.12"}, "protocol": "tcp", "port": 80},
}

_NAMES = ["web", "web1", "web2", "srv-a1", "srv-a2", "srv-c1", "rack-a", "wan", "true", "false"]
_IN_PATHS = ["web", "web1", "p", "m-000000000001", "b-000000000002", "tor-a", "srv-a2", "%00"]
_ADDRESSES = ["10.1.0.7", "2001:db8:1::7", "::", "255.255.255.255", "02:00:00:00:00:01", "02:00:5e:00:00:01"]
_PREFIXES = ["10.1.0.0/24", "2001:db8:1::/64", "10.1.0.0/31", "10.0.0.0/0", "::/0"]
_words = st.sampled_from([*_NAMES, *_ADDRESSES, *_PREFIXES])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | _words | st.text(max_size=6)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(place for key in keys for place in _places(value[key], (*path, key)))]


@st.composite
def bodies(draw: st.DrawFn, name: str) -> Any:
    """A good body with a few places replaced, or anything at all."""
    body = copy.deepcopy(_BODIES[name])
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_places(body)))
        new = draw(values)
        if not path:
            return new
        target: Any = body
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = new
    return body


def a_moment() -> Service:
    """A VM on its way that has paused, a server being evacuated, switches in step."""
    service = Service().with_web()
    service.connect()
    service.ask("POST", "/v1/migrations", {"vm": "web1", "to": "srv-b1"})
    service.confirm()
    assert service.ask("POST", "/v1/migrations/m-000000000001/deliver").status_int == 200
    service.put("/v1/vms/web2", vm("srv-a2", 12))
    service.put("/v1/policies/p", POLICY)
    service.put("/v1/vms/web3", vm("srv-c1", 13))
    service.ask("POST", "/v1/servers/srv-c1/evacuate")
    return service


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_no_request_makes_the_controller_fail(data: st.DataObject) -> None:
    # /readyz has a 503 that is no failure.
    route = data.draw(st.sampled_from([route for route in ROUTES if route.pattern != "/readyz"]))
    url = route.pattern
    for key in ("cug", "vm", "policy", "id", "switch", "server"):
        url = url.replace(f"{{{key}}}", data.draw(st.sampled_from(_IN_PATHS)))
    query = data.draw(st.dictionaries(st.sampled_from([*sorted(route.query), "x"]), _words, max_size=2))
    url += "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
    headers = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "Accept": st.sampled_from(["*/*", "application/msgpack", ";", "text/html"]),
                "If_Match": st.sampled_from(["*", '"1"', "x"]),
            },
        )
    )
    body: bytes | None = None
    if route.body is not None:
        value = data.draw(bodies(route.body.__name__))
        if data.draw(st.booleans()):
            headers["Content_Type"] = "application/msgpack"
            try:
                body = packed(value)
            except (OverflowError, ValueError):  # integers that MessagePack has not
                body = data.draw(st.binary())
        else:
            body = data.draw(st.just(json.dumps(value).encode()) | st.binary(max_size=20))
    service = a_moment()
    before = service.engine.state
    answer = service.ask(route.method, url, body, **headers)
    assert answer.status_int < 500, (route.method, url, body, answer.text)
    if answer.status_int >= 400:
        assert answer.content_type == "application/problem+json"
        assert service.engine.state is before
