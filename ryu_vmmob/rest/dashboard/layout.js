// Where everything is drawn: data centres side by side, switches in rows above their servers, VMs in their servers. The same fabric
// is always drawn the same way. Pure: facts in, positions out.

import { aggregated, isLarge, occupants, ranks, switchOf } from "./fabric.js";
import { cardPositions } from "./racks.js";

export const SIZE = {
  chip: { w: 104, h: 34 },
  server: { pad: 7, head: 20, gap: 12 },
  small: { w: 104, h: 40 },
  switch: { w: 132, h: 42 },
  external: { w: 132, h: 40 },
};
const ROW = 124; // between the middles of two rows of switches
const DOMAIN_GAP = 62;
const BLOCK_GAP = 24;
const ASPECT = 1.7; // how much wider than tall
const CENTER_GAP = 132; // the frames on both sides of it, and a gap

const byName = (a, b) => (a.name < b.name ? -1 : 1);

function serverSize(rows, counted) {
  const { chip, server, small } = SIZE;
  if (counted && !rows) return { w: small.w + 2 * server.pad, h: small.h, columns: 1 };
  const columns = rows > 8 ? 3 : rows > 4 ? 2 : 1;
  const lines = Math.ceil(rows / columns);
  return {
    columns,
    w: columns * (chip.w + 5) - 5 + 2 * server.pad,
    h: (counted ? small.h : server.head) + lines * (chip.h + 5) + server.pad,
  };
}

/** The lowest switches with their servers, `perRow` of these in a row: blocks of a size, places relative to the switch. */
function blocks(site, inside, perRow) {
  const counted = aggregated(site);
  const tallest = Math.max(counted ? 0 : 2, ...[...inside.values()].map((rows) => rows.length));
  const found = new Map();
  for (const row of site.fabric.switches) found.set(row.name, { w: SIZE.switch.w, h: 0, servers: [] });
  const hung = new Map();
  for (const server of [...site.fabric.servers].sort(byName)) {
    const at = switchOf(server.attach[0]);
    if (!hung.has(at)) hung.set(at, []);
    hung.get(at).push(server.name);
  }
  for (const [at, names] of hung) {
    const block = found.get(at);
    if (!block) continue;
    let y = SIZE.switch.h / 2 + 38;
    for (let start = 0; start < names.length; start += perRow) {
      const line = names.slice(start, start + perRow);
      const sizes = line.map((name) => serverSize(counted ? inside.get(name).length : tallest, counted));
      const width = sizes.reduce((sum, size) => sum + size.w + SIZE.server.gap, -SIZE.server.gap);
      const height = Math.max(...sizes.map((size) => size.h));
      let x = -width / 2;
      line.forEach((name, at_) => {
        block.servers.push({ name, x: x + sizes[at_].w / 2, y: y + height / 2, h: height, ...sizes[at_], top: y });
        x += sizes[at_].w + SIZE.server.gap;
      });
      block.w = Math.max(block.w, width);
      y += height + SIZE.server.gap;
    }
    block.h = y;
  }
  return found;
}

function arrange(site, inside, rank, perRow) {
  const { fabric } = site;
  const block = blocks(site, inside, perRow);
  const centers = [...fabric.data_centers.map((row) => row.name).sort(), null];
  const x = new Map();
  let left = 0;
  const top = Math.max(...rank.values());
  for (const center of centers) {
    const own = fabric.switches.filter((row) => (row.data_center ?? null) === center).sort(byName);
    if (!own.length) continue;
    const start = left;
    const low = own.filter((row) => rank.get(row.name) === 0)
      .sort((a, b) => (a.l2_domain ?? "").localeCompare(b.l2_domain ?? "") || byName(a, b));
    let domain;
    for (const row of low) {
      if (domain !== undefined) left += row.l2_domain === domain ? BLOCK_GAP : DOMAIN_GAP;
      domain = row.l2_domain;
      x.set(row.name, left + block.get(row.name).w / 2);
      left += block.get(row.name).w;
    }
    left = Math.max(left, start + SIZE.switch.w);
    for (let level = 1; level <= top; level += 1) {
      const row = own.filter((each) => rank.get(each.name) === level);
      // Beside those of its own domain, where there are any below; else spread evenly.
      const wish = row.map((each, at) => {
        const below = low.filter((other) => other.l2_domain && other.l2_domain === each.l2_domain).map((other) => x.get(other.name));
        const even = start + ((at + 0.5) / row.length) * (left - start);
        return { name: each.name, x: below.length ? below.reduce((sum, value) => sum + value, 0) / below.length : even };
      }).sort((a, b) => a.x - b.x);
      wish.forEach((each, at) => {
        const least = at ? wish[at - 1].x + SIZE.switch.w + BLOCK_GAP + 24 : -Infinity;
        each.x = Math.max(each.x, least);
        x.set(each.name, each.x);
      });
      left = Math.max(left, (wish.at(-1)?.x ?? 0) + SIZE.switch.w / 2);
    }
    left += CENTER_GAP;
  }
  const deepest = Math.max(0, ...[...block.values()].map((row) => row.h));
  return { x, block, top, width: left - CENTER_GAP, height: (top + 2) * ROW + deepest };
}

/** {id: {x, y, w, h}} of all that is drawn by itself; ids are "sw:", "srv:", "vm:", "ghost:" and "ext:" with the name. */
export function positions(site, screen) {
  if (isLarge(site)) return cardPositions(site, screen);
  const inside = occupants(site);
  const rank = ranks(site.fabric);
  let best = null;
  for (let perRow = 1; perRow <= 8; perRow += 1) {
    const tried = arrange(site, inside, rank, perRow);
    tried.miss = Math.abs(Math.log(tried.width / tried.height / ASPECT));
    if (!best || tried.miss < best.miss - 0.01) best = tried;
  }
  const found = new Map();
  const levelY = (level) => (best.top - level) * ROW;
  for (const row of site.fabric.switches) {
    const at = { x: best.x.get(row.name), y: levelY(rank.get(row.name)) };
    found.set(`sw:${row.name}`, { ...at, ...SIZE.switch });
    for (const server of best.block.get(row.name).servers) {
      const place = { x: at.x + server.x, y: at.y + server.y, w: server.w, h: server.h };
      found.set(`srv:${server.name}`, place);
      chips(found, inside.get(server.name), place, server.columns, aggregated(site) ? SIZE.small.h : SIZE.server.head);
    }
  }
  const used = [];
  for (const external of [...site.fabric.externals].sort(byName)) {
    let x = best.x.get(switchOf(external.attach)) ?? 0;
    while (used.some((other) => Math.abs(other - x) < SIZE.external.w + 16)) x += SIZE.external.w + 16;
    used.push(x);
    found.set(`ext:${external.name}`, { x, y: -ROW * 0.95, ...SIZE.external });
  }
  return found;
}

function chips(found, rows, place, columns, head) {
  const { chip, server } = SIZE;
  const left = place.x - place.w / 2 + server.pad + chip.w / 2;
  const top = place.y - place.h / 2 + head + chip.h / 2;
  rows.forEach((row, at) => {
    found.set(`${row.ghost ? "ghost" : "vm"}:${row.vm}`, {
      x: left + (at % columns) * (chip.w + 5), y: top + Math.floor(at / columns) * (chip.h + 5), ...chip,
    });
  });
}
