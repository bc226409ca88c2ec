// A CUG: where it is, which VLAN-ID it has where, who is in it, what policies say of it; and the form to change it or make one.

import { part } from "./api.js";
import { count, h, link, redraw, table } from "./dom.js";
import { endText, labelText, pairs, trafficText } from "./facts.js";
import { deleteButton, field, notes, numbers, putForm, words, writable } from "./form.js";
import { history } from "./history.js";

const SHOWN = 24;
const MODES = ["", "slaac", "dhcpv6_stateful", "dhcpv6_stateless"];
function cugForm(site, name, open) {
  const row = name ? site.cugs.get(name) : null;
  const own = h("input", { type: "text", required: true, maxlength: 63, autocomplete: "off", spellcheck: "false" });
  const subnets = h("input", { type: "text", required: true, value: row?.subnets.join(", ") ?? "", placeholder: "10.1.0.0/24, 2001:db8:1::/64", spellcheck: "false" });
  const gateways = h("input", { type: "text", value: row?.gateways?.join(", ") ?? "", placeholder: "the first host address", spellcheck: "false" });
  const domain = h("input", { type: "text", value: row?.routing_domain ?? "", list: "routing-domains", placeholder: "none: it is on its own", spellcheck: "false" });
  const mode = h("select", {}, MODES.map((value) => h("option", { value, selected: (row?.ipv6_ra_mode ?? "") === value }, value || "nothing")));
  const pins = h("input", { type: "text", value: Object.entries(row?.vlan_ids ?? {}).map(([key, value]) => `${key}: ${value}`).join(", "), placeholder: "rack-a: 110", spellcheck: "false" });
  const noted = notes(row);
  const domains = [...new Set([...site.cugs.values()].map((each) => each.routing_domain).filter(Boolean))].sort();
  const body = () => {
    const found = { ...writable(site.cugs.get(name)), ...noted.body(), subnets: words(subnets.value), gateways: words(gateways.value), routing_domain: domain.value.trim() || null, vlan_ids: numbers(pins.value) };
    delete found.ipv6_ra_mode;
    return mode.value ? { ...found, ipv6_ra_mode: mode.value } : found;
  };
  return putForm({
    path: () => `/v1/cugs/${part(name || own.value.trim())}`, body, revision: () => (name ? site.cugs.get(name)?.revision ?? null : null),
    done: (answer) => { if (!name) open("cug", answer.name); },
    fields: [name ? null : field("Name", own), field("Subnets", subnets), field("Gateways", gateways), field("Routing domain", domain),
      field("Guests take IPv6 addresses by", mode), field("VLAN-IDs it asks for", pins), noted.fields, h("datalist", { id: "routing-domains" }, domains.map((value) => h("option", { value })))],
  });
}

export function cugPanel(site, name, { open, shut, single }) {
  const facts = h("div", {});
  const forms = h("div", {});
  let built = null;
  const update = () => {
    const row = site.cugs.get(name);
    const members = [...site.vms.values()].filter((vm) => vm.interfaces.some((nic) => nic.cug === name)).map((vm) => vm.name).sort();
    const rules = [...site.policies.values()].filter((each) => each.from.cug === name || each.to.cug === name || each.from.any || each.to.any);
    redraw(facts, [row, members, rules], () => (row ? [
      pairs([["Description", row.description], ["Labels", labelText(row.labels)],
        ["Subnets", h("span.mono", {}, row.subnets.join(" "))], ["Gateways", h("span.mono", {}, row.gateways.join(" "))],
        ["Routing domain", row.routing_domain ?? "none: it is on its own"], ["Guests take IPv6 addresses by", row.ipv6_ra_mode],
        ["Data centres", row.presence.data_centers.join(", ") || "none yet"]]),
      h("p.buttons", {}, h("button", { type: "button", onclick: () => single(name) }, "Show on the map"), h("button", { type: "button", "data-open": "vms", "data-name": name }, `List its ${count(members.length, "VM")}`)),
      h("ul.names", {}, members.slice(0, SHOWN).map((vm) => h("li", {}, link("vm", vm))), members.length > SHOWN ? h("li.quiet", {}, `and ${members.length - SHOWN} more`) : null),
      table("VLAN-IDs", ["L2 domain", "VLAN-ID", "Interfaces"], Object.entries(row.presence.l2_domains).map(([domain, each]) => [link("domain", domain), each.vlan_id, each.interfaces || h("span.quiet", {}, "passes through")])),
      h("h3", {}, "Policies that concern it"),
      rules.length ? table("Policies", ["Policy", "From", "To", "What"], rules.map((each) => [[h("span", { class: each.action === "allow" ? "good" : "bad" }, each.action === "allow" ? "✓ " : "✕ "), link("policy", each.name)],
        endText(each.from), endText(each.to), trafficText(each)])) : h("p.quiet", {}, "None: inside it everything passes, beyond it nothing."),
    ] : h("p", {}, `CUG ${name} is not there any more.`)));
    if (row && row.revision !== built && !forms.contains(document.activeElement)) {
      built = row.revision;
      forms.replaceChildren(h("details", { "data-form": "cug" }, h("summary", {}, "Change it"), cugForm(site, name, open),
        deleteButton({ path: `/v1/cugs/${part(name)}`, revision: () => site.cugs.get(name)?.revision, what: `CUG ${name}`, done: shut })));
    }
    if (!row) forms.replaceChildren();
  };
  update();
  return { title: `CUG ${name}`, element: h("div", {}, facts, forms, history("cug", name)), update };
}

export function newCugPanel(site, name, { open }) {
  return { title: "A new CUG", element: h("div", { "data-form": "new-cug" }, cugForm(site, null, open)), update: () => {} };
}
