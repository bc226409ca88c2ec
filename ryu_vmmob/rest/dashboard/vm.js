// A VM: interfaces, VLAN-IDs, policies, its move, and the forms to move it and to ask for a path.

import { ApiError, get, part, post } from "./api.js";
import { h, link, redraw, table } from "./dom.js";
import { endText, labelText, pairs, trafficText } from "./facts.js";
import { history } from "./history.js";
import { traceForm } from "./trace.js";

/** Policies that name the VM or a CUG of it, or any: [policy, how]. */
export function policiesOf(site, vm) {
  const cugs = new Set(vm.interfaces.map((row) => row.cug));
  const names = (end) => (end.vm === vm.name ? `VM ${vm.name}` : end.cug && cugs.has(end.cug) ? `CUG ${end.cug}` : null);
  return [...site.policies.values()].filter((row) => names(row.from) || names(row.to))
    .sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
}

/** The panel of a VM: {element, update}. `show` draws a path. */
export function vmPanel(site, name, { show }) {
  const facts = h("div", {});
  const forms = h("div", {});
  let built = "";
  const update = () => {
    const vm = site.vms.get(name);
    if (!vm) {
      redraw(facts, "gone", () => h("p", {}, `VM ${name} is not there any more.`));
      forms.replaceChildren();
      built = "";
      return;
    }
    const rules = policiesOf(site, vm);
    const move = site.moveOf(name);
    redraw(facts, [vm, rules, move?.state], () => [
      h("p", {}, "on ", link("server", vm.server), move ? ` · ${move.state}, ${vm.server === move.to ? `came from ${move.from}` : `to ${move.to}`}` : ""),
      pairs([["Description", vm.description], ["Labels", labelText(vm.labels)]]),
      table("Interfaces", ["CUG", "Addresses", "VLAN-ID"], vm.interfaces.map((row) => [
        link("cug", row.cug), [h("div.mono", {}, row.mac), row.ips.map((ip) => h("div.mono", {}, ip))],
        row.guest_vlan_id !== null ? `${row.guest_vlan_id}, the guest's own` : String(row.vlan_id ?? "untagged")])),
      h("h3", {}, "Policies that name it"),
      rules.length ? table("Policies", ["Policy", "From", "To", "What"], rules.map((row) => [
        h("span", { class: row.action === "allow" ? "good" : "bad" }, row.action === "allow" ? "✓ allow " : "✕ deny ", link("policy", row.name)),
        endText(row.from), endText(row.to), trafficText(row)]))
        : h("p.quiet", {}, "None: inside its CUG everything passes, beyond it nothing."),
    ]);
    const wanted = JSON.stringify([vm.server, vm.interfaces.map((row) => [row.cug, row.ips]), Boolean(move)]);
    if (wanted !== built && !forms.contains(document.activeElement)) {
      built = wanted;
      forms.replaceChildren(
        h("h3", {}, "Path to"), traceForm(site, vm, show),
        h("h3", {}, "Move"), move ? h("p.quiet", {}, "It is moving; see below.") : moveForm(site, name));
    }
  };
  update();
  return { title: `VM ${name}`, element: h("div", {}, facts, forms, history("vm", name)), update };
}

const OPTIONS = {
  mode: ["hot", "cold"], delivery: ["at_pause", "early", "on_activation"], activate_on: ["announcement", "request"], commit: ["automatic", "request"],
};

function moveForm(site, name) {
  const places = h("fieldset.places", {}, h("legend", {}, "To server"), h("p.quiet", {}, "asking…"));
  const said = h("p", { role: "alert" });
  const choices = Object.entries(OPTIONS).map(([key, values]) => [key, h("select", { name: key }, values.map((value) => h("option", { value }, value)))]);
  const ask = async () => {
    try {
      const { items } = await get(`/v1/vms/${part(name)}/placements`);
      items.sort((a, b) => Number(b.possible) - Number(a.possible));
      places.replaceChildren(h("legend", {}, "To server"), ...items.map((row) => h(`label.place${row.possible ? "" : ".no"}`, {},
        h("input", { type: "radio", name: "to", value: row.server, disabled: !row.possible, required: true }), h("span", {}, row.server),
        h("small", {}, row.possible ? row.interfaces.map((leg) => `${leg.cug} ${leg.to_vlan_id ?? "untagged"}`).join(", ") : `✕ ${row.reason}`,
          (row.warnings ?? []).map((text) => h("div.warn", {}, `⚠ ${text}`))))));
    } catch (error) {
      places.append(h("p.bad", {}, error.message));
    }
  };
  const begin = async (event) => {
    event.preventDefault();
    const to = places.querySelector("input:checked")?.value;
    if (!to) return;
    said.className = "";
    said.textContent = "";
    try {
      await post("/v1/migrations", { vm: name, to, ...Object.fromEntries(choices.map(([key, select]) => [key, select.value])) });
      said.textContent = `${name} begins to move to ${to}.`;
      event.target.closest("form").querySelector("button").blur();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.className = "bad";
      said.textContent = error.message;
    }
  };
  ask();
  return h("form.grid", { onsubmit: begin, "data-form": "move" }, places,
    h("details", {}, h("summary", {}, "How"), h("div.grid", {}, choices.map(([key, select]) => h("label", {}, `${key.replaceAll("_", " ")} `, select)))),
    h("p.buttons", {}, h("button", { type: "submit" }, "Prepare the move")), said);
}
