// Servers, switches and external networks: what there is to say, and the evacuation of a server or switch.

import { ApiError, part, post } from "./api.js";
import { clock, count, h, link, redraw, table } from "./dom.js";
import { switchOf } from "./fabric.js";
import { pairs } from "./facts.js";
import { history } from "./history.js";
import { portFacts, portsTable, watchPorts } from "./ports.js";

export function serverPanel(site, name) {
  const facts = h("div", {});
  const update = () => {
    const row = site.fabric.servers.find((each) => each.name === name);
    const vms = [...site.vms.values()].filter((vm) => vm.server === name).map((vm) => vm.name).sort();
    const refused = row && site.switches.get(switchOf(row.attach[0]))?.refused?.[name];
    redraw(facts, [row, vms, refused], () => (row ? [
      pairs([["Description", row.description], ["Data centre", row.data_center], ["L2 domain", row.l2_domain ? link("domain", row.l2_domain) : row.tagging === "untagged" ? "a trivial one: no VLAN-IDs" : null],
        ["Attached to", row.attach.map((port) => [link("port", port), " "])], ["VLAN-IDs on its cable", row.vlan_ids],
        ["Refused frames", refused ? h("span.warn", {}, `⚠ ${refused}`) : null]]),
      h("h3", {}, count(vms.length, "VM")), h("ul.names", {}, vms.map((vm) => h("li", {}, link("vm", vm)))),
    ] : h("p", {}, `Server ${name} is not in the fabric any more.`)));
  };
  update();
  return { title: `Server ${name}`, element: h("div", {}, facts, evacuation("servers", name), history("server", name)), update };
}

/** What audits have put right: numbers by kind and by how it was wrong. */
function repaired(repairs) {
  const rows = Object.entries(repairs ?? {}).flatMap(([kind, wrongs]) => Object.entries(wrongs)
    .filter(([, number]) => number).map(([wrong, number]) => `${number} ${kind.replaceAll("_", " ")} ${wrong}`));
  return rows.length ? `put right: ${rows.join(", ")}` : "nothing to put right";
}

export function switchPanel(site, name) {
  const facts = h("div", {});
  const ports = h("div", {});
  const close = watchPorts([name], (found) => redraw(ports, found, () => portsTable(name, found[name])));
  const update = () => {
    const row = site.switches.get(name);
    const standing = site.standing(name);
    redraw(facts, [row, standing], () => (row ? [
      standing === "away" ? h("p.verdict.bad", {}, "✕ It is not connected. It goes on with the flows it has; what it misses, it gets when it is back.") : null,
      standing === "held" ? h("p.verdict.bad", {}, `✕ ${row.faults[0]?.error ?? "It is held."}`) : null,
      standing === "behind" ? h("p.verdict.warn", {}, `⚠ It has not confirmed the newest ${count(row.behind, "change")}.`) : null,
      row.faults.length ? [h("p.verdict.warn", {}, `⚠ It refused ${count(row.faults.length, "flow or group", "flows or groups")}.`),
        table("Refused", ["Error", "What", "Whose"], row.faults.map((fault) => [fault.error, fault.cause, fault.owner.reason]))] : null,
      pairs([["Description", row.description], ["Role", row.role], ["Data centre", row.data_center], ["L2 domain", link("domain", row.l2_domain)],
        ["Datapath", h("span.mono", {}, row.dpid)], ["Dialect", row.dialect], ["Connected", row.connected_since ? `since ${clock(row.connected_since)}` : "no"],
        ["In step", row.in_step ? "yes" : `no, ${row.behind} behind`],
        ["Audited", row.audited ? `at ${clock(row.audited)}, ${count(row.audits, "time")}; ${repaired(row.repairs)}` : null],
        ["Foreign flows", row.foreign_flows ? h("span.warn", {}, `⚠ ${row.foreign_flows} in our tables`) : null],
        ["Missing ports", row.missing_ports.length
          ? h("span.warn", {}, `⚠ ${row.missing_ports.map((at) => `${at.port} (${at.kind} ${at.name})`).join(", ")}`) : null],
        ["Messages dropped", row.dropped_messages ? h("span.warn", {}, `⚠ ${row.dropped_messages}`) : null], ["Groups", row.groups],
        ["Flows", `${Object.values(row.flows).reduce((sum, number) => sum + number, 0)}${row.max_flows ? ` of at most ${row.max_flows}` : ""}`]]),
      h("details", { "data-key": `flows/${name}` }, h("summary", {}, "Flows by table"), table("Flows by table", ["Table", "Flows"], Object.entries(row.flows))),
      Object.keys(row.refused).length ? table("Refused frames", ["Server", "Frames refused"],
        Object.entries(row.refused).map(([server, number]) => [link("server", server), h("span.warn", {}, `⚠ ${number}`)])) : null,
    ] : h("p", {}, `Switch ${name} is not in the fabric any more.`)));
  };
  update();
  return { title: `Switch ${name}`, element: h("div", {}, facts, h("h3", {}, "Ports"), ports, evacuation("switches", name), history("switch", name)), update, close };
}

export function externalPanel(site, name) {
  const facts = h("div", {});
  const update = () => {
    const row = site.fabric.externals.find((each) => each.name === name);
    redraw(facts, row, () => (row ? pairs([["Description", row.description], ["Attached to", [link("port", row.attach), " on ", link("switch", switchOf(row.attach))]],
      ["Up", row.up ? "yes" : h("span.bad", {}, "✕ no")], ["VLAN-ID", row.vlan_id ?? "untagged"], ["Routing domain", row.routing_domain],
      ["Addresses", row.addresses.join(", ")], ["Prefixes", row.prefixes.join(", ")], ["Next hops", row.next_hops.join(", ")],
      ["Answering", Object.keys(row.neighbours).join(", ") || "none"]]) : h("p", {}, `External network ${name} is not in the fabric any more.`)));
  };
  update();
  return { title: `External network ${name}`, element: h("div", {}, facts, history("external", name)), update };
}

export function linkPanel(site, name) {
  const facts = h("div", {});
  const ports = h("div", {});
  const row = () => site.fabric.links.find((each) => each.name === name);
  const ends = row() ? [row().a, row().b] : [];
  const close = watchPorts(ends.map(switchOf), (found) => redraw(ports, found, () => ends.map((port) => [h("h3", {}, link("port", port)), portFacts(port, found[switchOf(port)])])));
  const update = () => {
    const now = row();
    redraw(facts, now, () => (now ? [
      now.up ? null : h("p.verdict.bad", {}, "✕ It carries nothing: the port at one end or both is down."),
      pairs([["Description", now.description], ["Between", [link("switch", switchOf(now.a)), " and ", link("switch", switchOf(now.b))]],
        ["Up", now.up ? "yes" : "no"], ["L2 domain", link("domain", now.l2_domain)]]),
    ] : h("p", {}, `Link ${name} is not in the fabric any more.`)));
  };
  update();
  return { title: `Link ${name}`, element: h("div", {}, facts, ports, history("link", name)), update, close };
}

/** First the plan, then, when it is confirmed, the batch. */
function evacuation(resource, name) {
  const path = `/v1/${resource}/${part(name)}/evacuate`;
  const place = h("div", { "aria-live": "polite" });
  const attempt = async (work) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      place.replaceChildren(h("p.bad", {}, error.status === 404 ? "This controller cannot evacuate." : error.message));
    }
  };
  const begin = () => attempt(async () => {
    const batch = await post(path, {});
    place.replaceChildren(h("p", {}, `Batch ${batch.id}: ${count(batch.total, "VM")}. Its moves are in the list below.`));
  });
  const plan = () => attempt(async () => {
    const found = await post(`${path}?dry_run=true`, {});
    place.replaceChildren(
      table("Plan", ["VM", "From", "To"], found.vms.map((row) => [link("vm", row.vm), row.from, row.to ?? `✕ ${row.reason ?? "nowhere"}`])),
      found.total ? h("p.buttons", {}, h("button.danger", { type: "button", onclick: begin }, `Evacuate ${count(found.total, "VM")}`)) : h("p.quiet", {}, "Nothing is here."));
  });
  return h("div", {}, h("h3", {}, "Evacuate"), h("p.buttons", {}, h("button", { type: "button", onclick: plan }, "Show the plan")), place);
}
