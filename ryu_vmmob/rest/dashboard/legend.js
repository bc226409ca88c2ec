// The CUGs beneath the map: their colours, how many members they have, and who they are on the map. Many are searched.

import { h, redraw } from "./dom.js";
import { isLarge, switchOf } from "./fabric.js";
import { colours } from "./scene.js";

const MANY = 12;

/** {name, colour, domain, members, servers} of every CUG, by name. */
function groups(site) {
  const rows = new Map([...colours(site)].map(([name, colour]) => [name, { name, colour, domain: site.cugs.get(name).routing_domain, members: 0, servers: new Set(), vms: [] }]));
  for (const vm of site.vms.values()) {
    for (const cug of new Set(vm.interfaces.map((nic) => nic.cug))) {
      const row = rows.get(cug);
      if (!row) continue;
      row.members += 1;
      row.servers.add(vm.server);
      row.vms.push(vm.name);
    }
  }
  return [...rows.values()];
}

export class Legend {
  /** `single` gets the ids of what stands out on the map, with how many members are there; null: everything does. */
  constructor(element, site, single) {
    this.site = site;
    this.single = single;
    this.only = null;
    this.find = h("input", { type: "search", "aria-label": "Find a CUG", autocomplete: "off", spellcheck: "false", hidden: true,
      oninput: () => this.draw() });
    this.list = h("ul", { "aria-label": "Closed user groups" });
    element.append(this.find, this.list);
  }

  draw() {
    const rows = groups(this.site);
    this.find.hidden = rows.length <= MANY;
    this.find.placeholder = `Find one of ${rows.length} CUGs`;
    const text = this.find.hidden ? "" : this.find.value.trim().toLowerCase();
    const shown = rows.filter((row) => row.name === this.only || [row.name, row.domain ?? ""].some((word) => word.toLowerCase().includes(text)));
    if (this.only && !rows.some((row) => row.name === this.only)) this.choose(null);
    redraw(this.list, [this.only, shown.map((row) => [row.name, row.colour, row.domain, row.members])], () => (shown.length
      ? shown.map((row) => this.chip(row)) : h("li.quiet", {}, "No CUG of that name.")));
  }

  chip(row) {
    return h("li", {}, h("button.cug", {
      type: "button", "data-key": `cug/${row.name}`, "aria-pressed": String(this.only === row.name),
      title: row.domain ? `routing domain ${row.domain}` : "in no routing domain",
      onclick: () => this.choose(this.only === row.name ? null : row.name),
    }, h(`span.swatch.cug${row.colour}`, { "aria-hidden": "true" }), `${row.name} · ${row.members}`));
  }

  /** Bring out the members of a CUG; null: of none. */
  choose(name) {
    this.only = name;
    const row = groups(this.site).find((each) => each.name === name);
    this.single(row ? members(this.site, row) : null);
    this.draw();
  }
}

/** {id on the map: how many members are there}. */
function members(site, row) {
  const found = new Map(row.vms.map((name) => [`vm:${name}`, 1]));
  const placed = row.vms.map((name) => site.vms.get(name).server);
  const racks = new Map(site.fabric.servers.map((server) => [server.name, `rack:${switchOf(server.attach[0])}`]));
  for (const server of placed) {
    for (const id of [`srv:${server}`, ...(isLarge(site) ? [racks.get(server)] : [])]) found.set(id, (found.get(id) ?? 0) + 1);
  }
  return found;
}
