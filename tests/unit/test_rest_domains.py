"""``/v1/l2_domains``: how full the space of VLAN-IDs of each domain is, and who has which."""

from __future__ import annotations

from tests.support.rest_service import Service, problem, vm


def test_use_of_a_pool_from_the_first_member_to_the_end_of_the_quarantine() -> None:
    service = Service()
    service.connect()
    before = {row["name"]: row for row in service.get("/v1/l2_domains")["items"]}
    assert before.keys() == service.fabric.l2_domains.keys()
    assert all(row["used"] == row["resting"] == 0 and row["free"] == row["size"] for row in before.values())
    service.put("/v1/cugs/web", {"subnets": ["10.1.0.0/24", "2001:db8:1::/64"], "routing_domain": "red"})
    service.put("/v1/vms/web1", vm("srv-a1", 11))
    service.put("/v1/vms/web2", vm("srv-c1", 12))
    service.confirm()
    presence = service.get("/v1/cugs/web")["presence"]["l2_domains"]
    assert presence
    for name, row in ((row["name"], row) for row in service.get("/v1/l2_domains")["items"]):
        one = service.get(f"/v1/l2_domains/{name}")
        assert {key: one[key] for key in row} == row
        assert row["used"] == len(one["holders"]) == row["size"] - row["free"]
        mine = [each["vlan_id"] for each in one["holders"] if (each["kind"], each["name"]) == ("cug", "web")]
        assert mine == ([presence[name]["vlan_id"]] if name in presence else [])
    kinds = {each["kind"] for name in presence for each in service.get(f"/v1/l2_domains/{name}")["holders"]}
    assert kinds == {"cug", "routing_domain"}
    wan = service.get("/v1/l2_domains/wan")
    assert wan["used"] > 0
    for name in ("web1", "web2"):
        service.ask("DELETE", f"/v1/vms/{name}")
    service.confirm()
    after = service.get("/v1/l2_domains/wan")
    assert (after["used"], after["resting"], after["free"]) == (0, wan["used"], wan["free"])
    assert {each["state"] for each in after["holders"]} == {"resting"}
    service.passes(61)
    assert service.get("/v1/l2_domains/wan")["free"] == wan["size"]


def test_no_such_domain() -> None:
    problem(Service().ask("GET", "/v1/l2_domains/rack-z"), 404)
