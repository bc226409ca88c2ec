// A policy: what it says and whom it concerns; and the form to change it or make one.

import { part } from "./api.js";
import { h, link, redraw } from "./dom.js";
import { labelText, pairs, trafficText } from "./facts.js";
import { deleteButton, field, notes, putForm, words, writable } from "./form.js";
import { history } from "./history.js";

const ENDS = { cug: "CUG", vm: "VM", prefix: "prefix", any: "any" };
const PROTOCOLS = ["", "tcp", "udp", "icmp"];

const side = (row) => (row.cug ? ["CUG ", link("cug", row.cug)] : row.vm ? ["VM ", link("vm", row.vm)] : row.prefix ?? "any");

/** One end as a choice of what it is and a name: {element, value}. */
function end(site, label, row) {
  const kind = row ? Object.keys(row)[0] : "cug";
  const what = h("select", { "aria-label": `${label}: what` }, Object.entries(ENDS).map(([value, text]) => h("option", { value, selected: value === kind }, text)));
  const list = h("datalist", { id: `ends-${label}` });
  const name = h("input", { type: "text", "aria-label": `${label}: name`, list: list.id, value: row && kind !== "any" ? row[kind] : "", spellcheck: "false", autocomplete: "off" });
  const offer = () => {
    const names = what.value === "cug" ? site.cugs.keys() : what.value === "vm" ? site.vms.keys() : [];
    list.replaceChildren(...[...names].sort().map((value) => h("option", { value })));
    name.disabled = what.value === "any";
  };
  what.addEventListener("change", offer);
  offer();
  return { element: h("fieldset.end", {}, h("legend", {}, label), what, name, list), value: () => (what.value === "any" ? { any: true } : { [what.value]: name.value.trim() }) };
}

function policyForm(site, name, open) {
  const row = name ? site.policies.get(name) : null;
  const own = h("input", { type: "text", required: true, maxlength: 63, autocomplete: "off", spellcheck: "false" });
  const priority = h("input", { type: "number", min: 1, required: true, value: String(row?.priority ?? 100) });
  const action = h("select", {}, ["allow", "deny"].map((value) => h("option", { value, selected: row?.action === value }, value)));
  const [from, to] = [end(site, "From", row?.from), end(site, "To", row?.to)];
  const known = row?.protocol ?? "";
  const choices = PROTOCOLS.includes(known) ? PROTOCOLS : [...PROTOCOLS, String(known)];
  const protocol = h("select", {}, choices.map((value) => h("option", { value, selected: value === String(known) }, value || "everything")));
  const ports = h("input", { type: "text", value: row?.ports?.join(", ") ?? "", placeholder: "80, 8000-8099", spellcheck: "false" });
  const replies = h("input", { type: "checkbox", checked: row ? row.replies : true });
  const admit = () => {
    ports.disabled = !["tcp", "udp"].includes(protocol.value);
    replies.disabled = protocol.value !== "tcp" || action.value !== "allow";
  };
  for (const each of [protocol, action]) each.addEventListener("change", admit);
  admit();
  const noted = notes(row);
  const body = () => ({
    ...writable(site.policies.get(name)), ...noted.body(), priority: Number(priority.value), action: action.value, from: from.value(), to: to.value(),
    protocol: /^\d+$/.test(protocol.value) ? Number(protocol.value) : protocol.value || null, ports: ports.disabled ? [] : words(ports.value), replies: !replies.disabled && replies.checked,
  });
  return putForm({
    path: () => `/v1/policies/${part(name || own.value.trim())}`, body, revision: () => (name ? site.policies.get(name)?.revision ?? null : null),
    done: (answer) => { if (!name) open("policy", answer.name); },
    fields: [name ? null : field("Name", own), field("Action", action), field("Priority", priority, "the highest counts"), from.element, to.element, field("Protocol", protocol),
      field("Ports", ports), h("label.check", {}, replies, " replies of connections, too"), noted.fields],
  });
}

export function policyPanel(site, name, { open, shut }) {
  const facts = h("div", {});
  const forms = h("div", {});
  let built = null;
  const update = () => {
    const row = site.policies.get(name);
    redraw(facts, row, () => (row ? [
      h(`p.verdict.${row.action === "allow" ? "good" : "bad"}`, {}, row.action === "allow" ? "✓ allows " : "✕ denies ", trafficText(row)),
      pairs([["Description", row.description], ["Labels", labelText(row.labels)],
        ["From", side(row.from)], ["To", side(row.to)], ["Priority", row.priority]]),
    ] : h("p", {}, `Policy ${name} is not there any more.`)));
    if (row && row.revision !== built && !forms.contains(document.activeElement)) {
      built = row.revision;
      forms.replaceChildren(h("details", { "data-form": "policy" }, h("summary", {}, "Change it"), policyForm(site, name, open),
        deleteButton({ path: `/v1/policies/${part(name)}`, revision: () => site.policies.get(name)?.revision, what: `policy ${name}`, done: shut })));
    }
    if (!row) forms.replaceChildren();
  };
  update();
  return { title: `Policy ${name}`, element: h("div", {}, facts, forms, history("policy", name)), update };
}

export function newPolicyPanel(site, name, { open }) {
  return { title: "A new policy", element: h("div", { "data-form": "new-policy" }, policyForm(site, null, open)), update: () => {} };
}
