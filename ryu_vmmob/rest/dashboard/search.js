// The search box: a combobox over everything that has a name, an address or a MAC.

import { h } from "./dom.js";

const SHOWN = 12;
const KINDS = { vm: "VM", server: "server", switch: "switch", external: "external network", cug: "CUG", policy: "policy", domain: "L2 domain", link: "link" };

function* everything(site) {
  for (const vm of site.vms.values()) {
    yield ["vm", vm.name, vm.server, [vm.name, ...vm.interfaces.flatMap((row) => [row.mac, ...row.ips, String(row.guest_vlan_id ?? row.vlan_id ?? "")])]];
  }
  for (const row of site.fabric.servers) yield ["server", row.name, row.attach.join(", "), [row.name]];
  for (const row of site.fabric.switches) yield ["switch", row.name, row.role, [row.name, row.dpid]];
  for (const row of site.fabric.externals) yield ["external", row.name, row.attach, [row.name]];
  for (const row of site.cugs.values()) yield ["cug", row.name, row.subnets.join(", "), [row.name, row.routing_domain ?? "", ...row.subnets]];
  for (const row of site.policies.values()) yield ["policy", row.name, row.action, [row.name]];
  for (const row of site.fabric.l2_domains) yield ["domain", row.name, `VLAN ${row.vlan_ids}`, [row.name]];
  for (const row of site.fabric.links) yield ["link", row.name, row.l2_domain, [row.name]];
}

export function find(site, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const rows = [];
  for (const [kind, name, where, keys] of everything(site)) {
    const best = Math.min(...keys.map((key) => key.toLowerCase().indexOf(wanted)).map((at) => (at < 0 ? Infinity : at)));
    if (best < Infinity) rows.push({ kind, name, where, best: name.toLowerCase() === wanted ? -1 : best });
  }
  return rows.sort((a, b) => a.best - b.best || a.name.localeCompare(b.name, "en", { numeric: true })).slice(0, SHOWN);
}

/** Make the box work; `open` gets kind and name. */
export function searchBox(input, box, site, open) {
  let rows = [];
  let at = -1;
  const close = () => {
    box.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    at = -1;
  };
  const take = (row) => {
    close();
    input.value = "";
    open(row.kind, row.name);
  };
  const mark = () => {
    [...box.children].forEach((child, number) => child.setAttribute("aria-selected", String(number === at)));
    if (at >= 0) input.setAttribute("aria-activedescendant", box.children[at].id);
    box.children[at]?.scrollIntoView({ block: "nearest" });
  };
  input.addEventListener("input", () => {
    if (!site.known) return;
    rows = find(site, input.value);
    at = rows.length ? 0 : -1;
    box.replaceChildren(...rows.map((row, number) => h("li", { role: "option", id: `found-${number}`, onmousedown: (event) => {
      event.preventDefault();
      take(row);
    } }, h("strong", {}, row.name), ` ${KINDS[row.kind]} · ${row.where}`)));
    if (!rows.length && input.value.trim()) box.replaceChildren(h("li.quiet", {}, "Nothing of that name."));
    box.hidden = !input.value.trim();
    input.setAttribute("aria-expanded", String(!box.hidden));
    mark();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "/") {
      // No name or address has one; it begins the search again, also where the focus is here already.
      input.value = "";
      close();
      event.preventDefault();
    } else if (event.key === "Escape" && !box.hidden) {
      event.stopPropagation();
      close();
    } else if (["ArrowDown", "ArrowUp"].includes(event.key) && rows.length) {
      at = (at + (event.key === "ArrowDown" ? 1 : rows.length - 1)) % rows.length;
      mark();
      event.preventDefault();
    } else if (event.key === "Enter" && rows[at]) {
      take(rows[at]);
    }
  });
  input.addEventListener("blur", close);
}
