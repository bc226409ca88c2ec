"""The dashboard in a real browser, with the real controller and real switches behind it."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from ryu_vmmob.sim import packet as make
from tests.browser.chrome import Open
from tests.browser.page import CY, find, wait_for, wait_node
from tests.support.controller import SECONDS, Site, nic_ip, nic_mac, until


def classes(page: Page, node: str) -> str:
    return str(page.evaluate(f"{CY}.getElementById({json.dumps(node)}).classes().join(' ')"))


def above(page: Page) -> str:
    """The server in which VM web1 is drawn."""
    return str(
        page.evaluate(
            f"""() => {{ const vm = {CY}.getElementById('vm:web1').position();
            return {CY}.nodes('.server').filter(n => {{ const b = n.boundingBox();
                return vm.x > b.x1 && vm.x < b.x2 && vm.y > b.y1 && vm.y < b.y2; }}).map(n => n.data('name')).join(' '); }}"""
        )
    )


def test_a_move_is_seen_from_the_first_step_to_the_last(site: Site, open_page: Open) -> None:
    page = open_page().load()
    expect(page.locator("#status")).to_contain_text("all 7 switches are in step")
    expect(page.locator("#fabric-name")).to_have_text("two-dcs")
    assert above(page) == "srv-a1"
    begun = site.move("web1", "srv-c1", activate_on="request", commit="request")
    leg = begun["interfaces"][0]
    expect(page.locator("#status")).to_contain_text("1 move under way")
    move = page.locator(f"[data-migration='{begun['id']}']")
    expect(move.locator(".state")).to_contain_text("prepared")
    # Both places are shown, the new one with the VLAN-ID it will have.
    wait_node(page, "ghost:web1", f"n => n.data('label') === 'web1\\nready · {leg['to_vlan_id']}'")
    assert above(page) == "srv-a1"
    # On each server's cable it has a number of its own, which is no L2 domain's.
    cells = move.locator("table").first.locator("tbody td")
    expect(cells).to_have_text(["web", str(leg["from_vlan_id"]), str(leg["to_vlan_id"])])
    move.get_by_role("button", name="Activate").click()
    expect(move.locator(".state")).to_contain_text("activated")
    wait_node(page, "ghost:web1", "n => n.data('label').includes('leaving')")
    wait_for(page, f"{CY}.getElementById('vm:web1').data('server') === 'srv-c1'")
    assert above(page) == "srv-c1"
    move.get_by_role("button", name="Commit").click()
    expect(move.locator(".state")).to_contain_text("committed")
    wait_node(page, "ghost:web1", "n => n.empty()")
    expect(page.locator("#status")).to_contain_text("no move under way")
    expect(page.locator("#status")).to_contain_text("live")
    move.locator("summary").click()
    expect(move).to_contain_text(re.compile(r"Settled in [\d.]+ m?s: so long after the activation"))
    timeline = move.locator("table").nth(1)
    done = site.migration(begun["id"])
    for entry in done["timeline"]:
        row = timeline.locator("tr", has=page.locator("td", has_text=entry["state"])).first
        for name, number in entry["flow_mods"].items():
            expect(row).to_contain_text(f"{name}: {number}")
    for word in ("begins to move", "the target is ready", "has arrived", "the move is over"):
        expect(page.locator("#log")).to_contain_text(word)


def test_a_move_begun_in_the_page_arrives_by_the_first_frame_there(site: Site, open_page: Open) -> None:
    page = open_page().load()
    find(page, "web1")
    form = page.locator("form[data-form=move]")
    # Where it is already it cannot go, and it says why.
    here = form.locator("label.place", has_text="srv-a1")
    expect(here).to_contain_text("already")
    expect(here.locator("input")).to_be_disabled()
    form.locator("label.place", has_text="srv-c1").locator("input").check()
    form.get_by_role("button", name="Prepare the move").click()
    expect(page.locator("article.move.prepared")).to_be_visible()
    (begun,) = [row for row in site.rest.get("/v1/migrations", vm="web1")["items"] if row["state"] == "prepared"]
    site.inject("tor-c:1", make.rarp(nic_mac("web", 11)).with_vlans(begun["interfaces"][0]["to_vlan_id"]))
    expect(page.locator(f"[data-migration='{begun['id']}'] .state")).to_contain_text("committed")
    wait_for(page, f"{CY}.getElementById('vm:web1').data('server') === 'srv-c1'")
    expect(page.locator("#details")).to_contain_text("srv-c1")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_vm_travels_over_its_switches_unless_the_user_wants_stillness(site: Site, open_page: Open, motion: str) -> None:
    page = open_page(reduced_motion=motion).load()
    begun = site.move("web1", "srv-c1", activate_on="request", commit="request")
    expect(page.locator("article.move.prepared")).to_be_visible()
    wait_node(page, "ghost:web1")
    wait_for(page, f"!{CY}.getElementById('vm:web1').animated()")
    page.evaluate(
        f"""() => {{ window.places = []; const vm = {CY}.getElementById('vm:web1');
        vm.on('position', () => window.places.push({{ ...vm.position() }})); }}"""
    )
    site.rest.post(f"/v1/migrations/{begun['id']}/activate", wait=SECONDS)
    until(lambda: above(page) == "srv-c1", lambda: above(page))
    near = page.evaluate(
        f"""['tor-a', 'tor-c'].map(name => {{ const at = {CY}.getElementById('sw:' + name).position();
        return Math.min(...window.places.map(p => Math.hypot(p.x - at.x, p.y - at.y))); }})"""
    )
    assert (max(near) < 1) is (motion == "no-preference"), near


def test_a_click_on_a_vm_tells_of_it_and_of_the_path_to_another(site: Site, open_page: Open) -> None:
    page = open_page().load()
    at = page.evaluate(f"{CY}.getElementById('vm:web2').renderedPosition()")
    page.locator("#map").click(position=at)
    details = page.locator("#details")
    vm = site.rest.get("/v1/vms/web2")
    (nic,) = vm["interfaces"]
    for text in ("VM web2", "srv-b1", nic["mac"], *nic["ips"], str(nic["vlan_id"]), "web-to-db"):
        expect(details).to_contain_text(text)
    form = page.locator("form[data-form=trace]")
    form.get_by_label("To", exact=True).fill("db1")
    form.get_by_label("Protocol").select_option("tcp")
    form.get_by_label("Port").fill("5432")
    form.get_by_role("button", name="Show the path").click()
    verdict = form.locator(".verdict")
    expect(verdict).to_contain_text("delivered")
    expect(verdict).to_contain_text("allowed by policy web-to-db")
    asked = {"from": {"vm": "web2"}, "to": {"ip": "10.2.0.11"}, "protocol": "tcp", "port": 5432}
    answer = site.rest.post("/v1/trace", asked)
    drawn = {row["id"]: row["hop"] for row in page.evaluate(f"{CY}.edges('.onpath').map(e => e.data())")}
    links = {f"ln:{out['link']}": f"VLAN {out['vlan_id']}" for hop in answer["hops"] for out in hop["outputs"] if out["link"]}
    ends = {"at:srv-b1:0", "at:srv-a2:0"}
    assert {key: value for key, value in drawn.items() if key not in ends} == links
    assert ends <= drawn.keys()
    for hop in answer["hops"]:
        row = form.locator("tr", has=page.locator("strong", has_text=hop["switch"]))
        expect(row).to_contain_text(f"{hop['in_port']} · {hop['vlan_id'] or 'untagged'}")
    # What no policy allows is denied, with the reason.
    form.get_by_label("Port").fill("22")
    form.get_by_role("button", name="Show the path").click()
    expect(verdict).to_contain_text("✕ denied")
    expect(verdict).to_contain_text("no policy allows")


def test_a_switch_that_is_away_stands_out_and_so_does_its_return(site: Site, open_page: Open) -> None:
    page = open_page().load()
    site.disconnect("tor-d")
    try:
        tile = page.locator("#status button.bad", has_text="not connected")
        expect(tile).to_have_text("✕1 not connected: tor-d")
        wait_node(page, "sw:tor-d", "n => n.hasClass('stands-away') && n.data('label').includes('not connected')")
        expect(page.locator("#log")).to_contain_text("tor-d is not connected any more")
        assert page.title().startswith("✕")
        tile.click()
        expect(page.locator("#details")).to_contain_text("It is not connected")
    finally:
        site.reconnect("tor-d")
    expect(page.locator("#status")).to_contain_text("all 7 switches are in step")
    wait_node(page, "sw:tor-d", "n => !n.hasClass('stands-away')")


def test_without_a_websocket_it_asks_and_when_nobody_answers_it_says_so(site: Site, open_page: Open) -> None:
    watched = open_page()
    watched.expected = ("net::ERR_FAILED",)
    watched.page.route_web_socket("**/v1/events*", lambda socket: socket.close())
    page = watched.load()
    status = page.locator("#status")
    expect(status).to_contain_text("asked every 2 s")
    begun = site.move("web1", "srv-c1", activate_on="request")
    expect(page.locator("article.move.prepared")).to_be_visible()
    expect(page.locator("#log")).to_contain_text("web1: the target is ready")
    site.rest.post(f"/v1/migrations/{begun['id']}/activate", wait=SECONDS)
    wait_for(page, f"{CY}.getElementById('vm:web1').data('server') === 'srv-c1'")
    page.route("**/v1/health", lambda route: route.abort())
    expect(status.locator(".lost")).to_contain_text(re.compile(r"no answer from the controller, as of \d\d:\d\d:\d\d"))
    assert page.title().startswith("✕")
    assert above(page) == "srv-c1"  # what is known stays
    page.unroute("**/v1/health")
    expect(status).to_contain_text("asked every 2 s")


def test_a_server_is_evacuated_after_its_plan_was_shown(site: Site, open_page: Open) -> None:
    page = open_page().load()
    find(page, "srv-a1")
    details = page.locator("#details")
    details.get_by_role("button", name="Show the plan").click()
    expect(details.locator("table", has_text="To")).to_contain_text("web1")
    assert site.rest.get("/v1/batches", state="running")["items"] == []
    details.get_by_role("button", name="Evacuate 1 VM").click()
    expect(page.locator("article.move.prepared")).to_contain_text("web1")
    (batch,) = site.rest.get("/v1/batches", state="running")["items"]
    site.rest.post(f"/v1/batches/{batch['id']}/abort", wait=SECONDS)
    expect(page.locator("article.move.aborted").first).to_contain_text("web1")


def test_many_vms_are_counted_and_each_is_still_found(site: Site, open_page: Open) -> None:
    watched = open_page()
    servers = sorted(site.fabric.servers)
    (sample,) = site.rest.get("/v1/vms", server="srv-d1")["items"]
    many = [{**sample, "name": f"many{number}", "server": servers[number % len(servers)]} for number in range(1000)]
    watched.expected = ("404",)  # where the one that is found may move to, which the controller does not know
    watched.page.route("**/v1/vms", lambda route: route.fulfill(json={"items": [*route.fetch().json()["items"], *many]}))
    page = watched.load()
    assert page.evaluate(f"{CY}.nodes('.vm').length") == 0
    expected = 125 + sum(row["server"] == "srv-a1" for row in site.rest.get("/v1/vms")["items"])
    assert page.evaluate(f"{CY}.getElementById('srv:srv-a1').data('label')") == f"srv-a1\n{expected} VMs"
    find(page, "many777")
    assert page.evaluate(f"{CY}.nodes('.vm').map(n => n.data('name'))") == ["many777"]
    assert "picked" in classes(page, "vm:many777")
    # Those that move are drawn as well.
    site.move("web1", "srv-c1", activate_on="request")
    wait_node(page, "ghost:web1")
    wait_node(page, "vm:web1")
    page.keyboard.press("Escape")
    wait_node(page, "vm:many777", "n => n.empty()")


def test_refused_flows_and_frames_stand_out(site: Site, open_page: Open) -> None:
    watched = open_page()
    owner = {"kind": "vm", "name": "web2", "reason": "interface 0 of VM web2 is reached, or speaks, here"}
    fault = {"error": "FLOW_MOD_FAILED: TABLE_FULL", "cause": "table=bridge priority=1000", "owner": owner}

    def altered(route: Route) -> None:
        body = route.fetch().json()
        for row in body["items"]:
            if row["name"] == "tor-b":
                row["faults"] = [fault]
        route.fulfill(json=body)

    def judged(route: Route) -> None:
        body = route.fetch().json()
        body["switches"]["tor-b"] = "refused"
        opens = {"kind": "switch", "name": "tor-b"}
        body["tiles"].insert(0, {"kind": "switch.refused", "level": "warn", "text": "1 refused flows: tor-b", "opens": opens})
        route.fulfill(json=body)

    watched.page.route("**/v1/switches", altered)
    watched.page.route("**/v1/health", judged)
    page = watched.load()
    expect(page.locator("#status .warn")).to_contain_text("1 refused flows: tor-b")
    assert "stands-refused" in classes(page, "sw:tor-b")
    page.locator("#status .warn", has_text="refused flows").click()
    expect(page.locator("#details")).to_contain_text("TABLE_FULL")
    # A forged frame, and the real switch that refuses it.
    tag = site.rest.get("/v1/vms/db1")["interfaces"][0]["vlan_id"]
    site.inject("tor-a:2", make.gratuitous_arp(nic_mac("db", 11), nic_ip("db", 99)).with_vlans(tag))
    expect(page.locator("#status")).to_contain_text("refused in the last minute")
    wait_for(page, "!document.getElementById('status').textContent.includes('nothing refused')")
    wait_node(page, "srv:srv-a2", "n => n.hasClass('refused')")
    expect(page.locator("#log li.warn").first).to_contain_text("refused")


def test_a_move_and_a_trace_say_what_a_switch_refused(site: Site, open_page: Open) -> None:
    """Refused is not acknowledged: the move and the trace show the switch, its error and the owner of the flow."""
    owner = {"kind": "policy", "name": "nosql", "reason": "policy nosql can matter here"}
    fault = {"switch": "tor-b", "error": "BAD_FIELD", "cause": "table=policy_out priority=10201", "owner": owner}
    site.move("web1", "srv-c1", activate_on="request")
    watched = open_page()

    def altered(route: Route) -> None:
        body = route.fetch().json()
        for row in body["items"]:
            row["switches"] = {**row["switches"], "refused": [fault]}
        route.fulfill(json=body)

    def traced(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "refused": [fault]})

    watched.page.route(re.compile(r".*/v1/migrations(\?.*)?$"), altered)
    watched.page.route("**/v1/trace", traced)
    page = watched.load()
    expect(page.locator("article.move").first).to_contain_text("tor-b refused: BAD_FIELD: table=policy_out priority=10201")
    find(page, "web1")
    form = page.locator("form[data-form=trace]")
    form.get_by_label("To", exact=True).fill("web2")
    form.get_by_role("button", name="Show the path").click()
    said = "tor-b does not have a flow on this way (policy nosql can matter here)"
    expect(form.locator(".verdict.warn")).to_contain_text(said)
