// What the lists are lists of: for each kind the rows, and for each column its head, the text that is searched and sorted by, and,
// where that is more than text, what is shown.

import { h, link, moment, span } from "./dom.js";
import { switchOf } from "./fabric.js";
import { endText, labelText, standingClass, standingText, trafficText } from "./facts.js";
import { colours } from "./scene.js";

const column = (head, text, cell = null) => ({ head, text: (row) => String(text(row) ?? ""), cell });
const named = (kind) => column("Name", (row) => row.name, (row) => link(kind, row.name));
const each = (kind, names) => names.map((name, at) => [at ? " " : "", link(kind, name)]);
const number = (head, of, cell) => ({ ...column(head, of, cell), number: of });
const about = column("Notes", (row) => [row.description, labelText(row.labels)].filter(Boolean).join(" · "));

export function swatch(colour) {
  return h(`span.swatch.cug${colour}`, { "aria-hidden": "true" });
}

function members(site) {
  const found = new Map();
  for (const vm of site.vms.values()) for (const cug of new Set(vm.interfaces.map((nic) => nic.cug))) found.set(cug, (found.get(cug) ?? 0) + 1);
  return found;
}

function placed(site) {
  const found = new Map();
  for (const vm of site.vms.values()) found.set(vm.server, (found.get(vm.server) ?? 0) + 1);
  return found;
}

const cugsOf = (vm) => [...new Set(vm.interfaces.map((nic) => nic.cug))];

function share(row) {
  const part = row.size ? (row.used + row.resting) / row.size : 1;
  const level = row.free === 0 ? "bad" : part > 0.9 ? "warn" : "good";
  return h(`meter.${level}`, { min: 0, max: row.size, value: row.used + row.resting, title: `${row.used} used, ${row.resting} resting, ${row.free} free` });
}

/** {kind: {title, rows, columns}}; `rows` and `columns` are called again with each change. */
export const LISTS = {
  vms: {
    title: "VMs", rows: (site) => [...site.vms.values()],
    columns: (site) => [
      named("vm"), column("Server", (row) => row.server, (row) => link("server", row.server)),
      column("CUGs", (row) => cugsOf(row).join(" "), (row) => each("cug", cugsOf(row))),
      column("Addresses", (row) => row.interfaces.flatMap((nic) => [...nic.ips, nic.mac]).join(" "), (row) => h("span.mono", {}, row.interfaces.flatMap((nic) => nic.ips).join(" ") || "—")),
      column("VLAN-ID", (row) => row.interfaces.map((nic) => nic.guest_vlan_id ?? nic.vlan_id ?? "untagged").join(" ")),
      column("Move", (row) => site.moveOf(row.name)?.state, (row) => {
        const move = site.moveOf(row.name);
        return move ? link("move", move.id, `⇄ ${move.state}`) : "";
      }), about],
  },
  servers: {
    title: "Servers", rows: (site) => site.fabric.servers,
    columns: (site) => {
      const numbers = placed(site);
      const refused = (row) => site.switches.get(switchOf(row.attach[0]))?.refused?.[row.name] ?? 0;
      return [named("server"), column("Switch", (row) => switchOf(row.attach[0]), (row) => link("switch", switchOf(row.attach[0]))),
        column("Ports", (row) => row.attach.join(" "), (row) => each("port", row.attach)), column("Data centre", (row) => row.data_center),
        number("VMs", (row) => numbers.get(row.name) ?? 0),
        number("Refused frames", refused, (row) => (refused(row) ? h("span.warn", {}, `⚠ ${refused(row)}`) : "0")), column("Tagging", (row) => row.tagging.replace("_", " ")), about];
    },
  },
  switches: {
    title: "Switches", rows: (site) => [...site.switches.values()],
    columns: (site) => {
      const flows = (row) => Object.values(row.flows).reduce((sum, each_) => sum + each_, 0);
      return [named("switch"), column("State", (row) => standingText(site.standing(row.name)), (row) => h(`span.${standingClass(site.standing(row.name))}`, {}, standingText(site.standing(row.name)))),
        column("Role", (row) => row.role), column("Data centre", (row) => row.data_center),
        column("L2 domain", (row) => row.l2_domain, (row) => link("domain", row.l2_domain)), number("Flows", flows), number("Groups", (row) => row.groups),
        column("Connected since", (row) => row.connected_since, (row) => (row.connected_since ? moment(row.connected_since) : "—")), about];
    },
  },
  links: {
    title: "Links", rows: (site) => [...site.fabric.links, ...site.fabric.externals.map((row) => ({ ...row, a: row.attach, b: row.name, external: true }))],
    columns: () => [column("Name", (row) => row.name, (row) => link(row.external ? "external" : "link", row.name)),
      column("State", (row) => (row.up ? "✓ up" : "✕ down"), (row) => h(row.up ? "span.good" : "span.bad", {}, row.up ? "✓ up" : "✕ down")),
      column("From", (row) => row.a, (row) => link("port", row.a)), column("To", (row) => row.b, (row) => (row.external ? "outside" : link("port", row.b))),
      column("L2 domain", (row) => row.l2_domain, (row) => (row.external ? `routing domain ${row.routing_domain}` : link("domain", row.l2_domain))), about],
  },
  cugs: {
    title: "CUGs", make: "cug", rows: (site) => [...site.cugs.values()],
    columns: (site) => {
      const [hues, numbers] = [colours(site), members(site)];
      return [column("Name", (row) => row.name, (row) => [swatch(hues.get(row.name)), " ", link("cug", row.name)]),
        column("Subnets", (row) => row.subnets.join(" "), (row) => h("span.mono", {}, row.subnets.join(" "))), column("Routing domain", (row) => row.routing_domain),
        number("VMs", (row) => numbers.get(row.name) ?? 0), column("Data centres", (row) => row.presence.data_centers.join(" ")), about];
    },
  },
  policies: {
    title: "Policies", make: "policy", rows: (site) => [...site.policies.values()],
    columns: () => [named("policy"), number("Priority", (row) => row.priority),
      column("Action", (row) => row.action, (row) => h(row.action === "allow" ? "span.good" : "span.bad", {}, row.action === "allow" ? "✓ allow" : "✕ deny")),
      column("From", (row) => endText(row.from)), column("To", (row) => endText(row.to)), column("What", trafficText), about],
  },
  domains: {
    title: "VLAN-IDs", rows: (site) => site.pools ?? [], asks: true,
    columns: () => [column("L2 domain", (row) => row.name, (row) => link("domain", row.name)), column("Data centre", (row) => row.data_center),
      column("VLAN-IDs", (row) => row.vlan_ids), number("Use", (row) => (row.size - row.free) / row.size, share), number("Used", (row) => row.used),
      number("Resting", (row) => row.resting), number("Free", (row) => row.free, (row) => (row.free ? row.free : h("span.bad", {}, "✕ 0"))),
      column("Nothing left for", (row) => row.starved.join(" ")), about],
  },
  moves: {
    title: "Moves", rows: (site) => [...site.migrations.values()].reverse(),
    columns: () => [column("Begun", (row) => row.timeline[0].time, (row) => moment(row.timeline[0].time)), column("VM", (row) => row.vm, (row) => link("vm", row.vm)),
      column("From", (row) => row.from, (row) => link("server", row.from)), column("To", (row) => row.to, (row) => link("server", row.to)),
      column("State", (row) => row.state, (row) => h(`span.state.${row.state}`, {}, row.state)), number("Settled in", (row) => row.settled ?? -1, (row) => (row.settled === null ? "—" : span(row.settled))),
      column("Why", (row) => row.reason), column("Id", (row) => row.id, (row) => link("move", row.id))],
  },
};
