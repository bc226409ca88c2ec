// What is drawn: nodes and edges with their labels and classes, out of what is known. Pure.

import { count } from "./dom.js";
import { aggregated, isLarge, portOf, racksOf, switchOf } from "./fabric.js";
import { positions } from "./layout.js";

export const COLOURS = 8;

/** {CUG: number of its colour, from 0}, by name. By the key of its segment, which a CUG keeps: no other CUG changes its colour. */
export function colours(site) {
  const rows = [...site.cugs.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(rows.map((row) => [row.name, (row.segment_key - 1) % COLOURS]));
}

const STANDING = { in_step: "", settling: "", away: "✕ not connected", behind: "⚠ behind", refused: "⚠ refused flows", held: "✕ held" };

/** All elements as {id: {group, data, classes, position}}. `screen`: {w, h}, the pixels there are for it. */
export function scene(site, screen) {
  const { fabric } = site;
  const places = positions(site, screen);
  const large = isLarge(site);
  const counted = aggregated(site);
  const found = new Map();
  const put = (group, id, data, classes = "") => {
    const place = places.get(id);
    const size = place ? { w: place.w, h: place.h } : {};
    found.set(id, { group, data: { id, ...size, ...data }, classes: large ? `${classes} big` : classes, position: place && { x: place.x, y: place.y } });
  };
  const domains = new Map(fabric.l2_domains.map((row) => [row.name, row]));
  const lived = new Set(fabric.switches.map((row) => row.l2_domain).filter(Boolean));

  for (const row of fabric.data_centers) {
    if (fabric.switches.some((each) => each.data_center === row.name)) {
      put("nodes", `dc:${row.name}`, { kind: "dc", name: row.name, label: site.narrow ? row.name : `data centre ${row.name}` }, "dc");
    }
  }
  const served = new Set(fabric.servers.map((row) => switchOf(row.attach[0])));
  const low = new Set(fabric.switches.filter((row) => served.has(row.name)).map((row) => row.l2_domain));
  for (const name of large ? [] : lived) {
    const domain = domains.get(name);
    const parent = domain.data_center && found.has(`dc:${domain.data_center}`) ? `dc:${domain.data_center}` : undefined;
    put("nodes", `dom:${name}`, { kind: "domain", name, label: `${name} · VLAN ${domain.vlan_ids}`, parent }, low.has(name) ? "domain low" : "domain");
  }
  const boxOf = new Map();
  for (const row of fabric.switches) {
    const center = row.data_center ? `dc:${row.data_center}` : undefined;
    const parent = large ? center : row.l2_domain ? `dom:${row.l2_domain}` : center;
    boxOf.set(row.name, parent);
    const standing = site.standing(row.name);
    const behind = site.switches.get(row.name)?.behind;
    const words = standing === "behind" ? `⚠ ${behind} behind` : STANDING[standing];
    put("nodes", `sw:${row.name}`, { kind: "switch", name: row.name, label: words ? `${row.name}\n${words}` : row.name, parent,
      near: [row.name, domains.has(row.l2_domain) ? `${row.l2_domain} · VLAN ${domains.get(row.l2_domain).vlan_ids}` : null, words].filter(Boolean).join(" · ") },
      `switch ${row.role} stands-${standing}${places.has(`rack:${row.name}`) ? " carded" : ""}`);
  }
  const numbers = new Map();
  for (const vm of site.vms.values()) numbers.set(vm.server, (numbers.get(vm.server) ?? 0) + 1);
  const refusing = site.refusedLately().servers;
  for (const row of fabric.servers) {
    const number = numbers.get(row.name) ?? 0;
    const refused = refusing.has(row.name);
    const label = `${row.name}${refused ? " ⚠" : ""}${counted ? `\n${number} VM${number === 1 ? "" : "s"}` : ""}`;
    put("nodes", `srv:${row.name}`, { kind: "server", name: row.name, label, parent: boxOf.get(switchOf(row.attach[0])) },
      `server${large ? "" : counted ? " counted" : ""}${row.tagging === "untagged" ? " untagged" : ""}${refused ? " refused" : ""}`);
    row.attach.forEach((port, at) => put("edges", `at:${row.name}:${at}`,
      { source: `sw:${switchOf(port)}`, target: `srv:${row.name}`, kind: "server", name: row.name }, "attach"));
  }
  if (large) racks(site, numbers, refusing, boxOf, put);
  links(fabric, places, put);
  for (const row of fabric.externals) {
    put("nodes", `ext:${row.name}`, { kind: "external", name: row.name, label: `${row.name}${row.up ? "" : "\n✕ down"}` },
      `external${row.up ? "" : " away"}`);
    put("edges", `xt:${row.name}`, { source: `ext:${row.name}`, target: `sw:${switchOf(row.attach)}` }, `attach${row.up ? "" : " down"}`);
  }
  vms(site, places, put);
  return found;
}

/** Racks as cards: how much is in each, and what of it wants to be seen. */
function racks(site, numbers, refusing, boxOf, put) {
  const { fabric } = site;
  const moving = new Map();
  for (const row of site.underWay()) for (const server of new Set([row.from, row.to])) moving.set(server, (moving.get(server) ?? 0) + 1);
  const sum = (servers, of) => servers.reduce((total, server) => total + (of.get(server) ?? 0), 0);
  for (const [name, servers] of racksOf(fabric)) {
    const refused = servers.some((server) => refusing.has(server));
    const moves = sum(servers, moving);
    const rows = [count(servers.length, "server"), count(sum(servers, numbers), "VM"), moves ? `⇄ ${moves} moving` : null, refused ? "⚠ refused" : null];
    put("nodes", `rack:${name}`, { kind: "rack", name, label: rows.filter(Boolean).join("\n"), parent: boxOf.get(name), busy: moves }, `rack${refused ? " refused" : ""} stands-${site.standing(name)}`);
  }
}

function links(fabric, places, put) {
  const between = new Map();
  for (const row of fabric.links) {
    const [a, b] = [switchOf(row.a), switchOf(row.b)];
    const pair = [a, b].sort().join(" ");
    const number = between.get(pair) ?? 0;
    between.set(pair, number + 1);
    const [from, to] = [places.get(`sw:${a}`), places.get(`sw:${b}`)];
    const level = from && to && from.y === to.y;
    // Links along a row bend over the nodes between; parallel ones lie beside each other.
    const bend = level ? (from.x < to.x ? -1 : 1) * (26 + Math.abs(from.x - to.x) * 0.09 + number * 16) : number ? 16 * number : 0;
    put("edges", `ln:${row.name}`, {
      source: `sw:${a}`, target: `sw:${b}`, kind: "link", name: row.name, bend,
      label: level ? row.l2_domain : "", ends: `${portOf(row.a)} – ${portOf(row.b)}`,
    }, `link${row.up ? "" : " down"}${bend ? " bent" : ""}`);
  }
}

function vms(site, places, put) {
  const hues = colours(site);
  const rackOf = new Map(site.fabric.servers.map((row) => [row.name, switchOf(row.attach[0])]));
  for (const vm of site.vms.values()) {
    if (!places.has(`vm:${vm.name}`) && !places.has(`ghost:${vm.name}`)) continue;
    const move = site.moveOf(vm.name);
    const first = vm.interfaces[0];
    const colour = `cug${hues.get(first?.cug) ?? COLOURS - 1}`;
    const more = vm.interfaces.length > 1 ? ` +${vm.interfaces.length - 1}` : "";
    const tag = (number) => (number === null || number === undefined ? "untagged" : `${number}`);
    const second = first ? `${first.cug}${more} · ${tag(first.guest_vlan_id ?? first.vlan_id)}` : "";
    if (places.has(`vm:${vm.name}`)) {
      put("nodes", `vm:${vm.name}`, { kind: "vm", name: vm.name, server: vm.server, label: `${vm.name}\n${second}` },
        `vm ${colour}${move ? " moving" : ""}`);
    }
    if (move && places.has(`ghost:${vm.name}`)) {
      const arriving = move.to !== vm.server;
      const leg = move.interfaces[0];
      const there = leg ? ` · ${tag(arriving ? leg.to_vlan_id : leg.from_vlan_id)}` : "";
      const word = arriving ? (move.state === "preparing" ? "preparing" : "ready") : "leaving";
      put("nodes", `ghost:${vm.name}`, { kind: "vm", name: vm.name, label: `${vm.name}\n${word}${there}` }, `vm ghost ${colour}`);
      const [source, target] = arriving ? ["vm", "ghost"] : ["ghost", "vm"];
      put("edges", `mv:${vm.name}`, { source: `${source}:${vm.name}`, target: `${target}:${vm.name}`, kind: "vm", name: vm.name,
        label: `${vm.name}: ${move.state}` }, rackOf.get(move.from) === rackOf.get(move.to) ? "move inside" : "move");
    }
  }
}
