// Where everything is drawn on a large site or a small screen: racks are cards that stay where they are however near one looks, and
// data centres stand beside or above each other as the screen is wide or tall. Pure: facts in, positions out.

import { occupants, racksOf, ranks, switchOf } from "./fabric.js";

export const CARD = {
  server: { w: 138, h: 78, gap: 10 },
  pad: 12,
  switch: { w: 300, h: 84 },
  head: 60, // the ToR on top of its card
  chip: { w: 120, h: 36 },
  external: { w: 260, h: 70 },
};
const READ = { w: 100, h: 66 }; // pixels of a card that can be read from afar
const PILE = 4; // so many chips are seen of a pile
const GAP = 46; // between cards, and between the frame of a data centre and what is in it
const CENTER_GAP = 90;
const ROW = 170; // between the middles of two rows of switches above the cards

const byName = (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });

/** The switches of each data centre: cards, and rows above them from the top. */
function centers(fabric, racks) {
  const rank = ranks(fabric);
  const names = [...fabric.data_centers.map((row) => row.name).sort(), null];
  return names.map((name) => {
    const own = fabric.switches.filter((row) => (row.data_center ?? null) === name).sort(byName);
    const above = new Map();
    for (const row of own) {
      if (racks.has(row.name)) continue;
      const level = rank.get(row.name);
      if (!above.has(level)) above.set(level, []);
      above.get(level).push(row);
    }
    const rows = [...above.entries()].sort(([a], [b]) => b - a).map(([, row]) => row);
    const outside = fabric.externals.filter((row) => own.some((each) => each.name === switchOf(row.attach))).sort(byName);
    return { cards: own.filter((row) => racks.has(row.name)), rows, outside };
  }).filter((center) => center.cards.length || center.rows.length);
}

/** How large everything is with so many servers in a row, so many cards in a row, and data centres beside or above each other. */
function measure(all, most, perRow, columns, beside) {
  const { server, pad, head, external } = CARD;
  const lines = Math.max(1, Math.ceil(most / perRow));
  const card = { w: perRow * (server.w + server.gap) - server.gap + 2 * pad, h: head + lines * (server.h + server.gap) + pad };
  const boxes = all.map((center) => {
    const cards = Math.min(columns, center.cards.length);
    const widest = Math.max(0, ...center.rows.map((row) => row.length));
    const above = center.rows.length * ROW;
    return {
      cards, above, top: center.outside.length ? external.h + GAP : 0,
      w: Math.max(cards * (card.w + GAP) - GAP, widest * (CARD.switch.w + GAP)),
      h: above + Math.ceil(center.cards.length / Math.max(1, cards)) * (card.h + GAP) + GAP,
    };
  });
  const along = (key) => boxes.reduce((sum, box) => sum + box[key] + (key === "h" ? box.top : 0) + CENTER_GAP, -CENTER_GAP);
  const across = (key) => Math.max(...boxes.map((box) => box[key] + (key === "h" ? box.top : 0)));
  return { card, perRow, boxes, beside, w: beside ? along("w") : across("w"), h: beside ? across("h") : along("h") };
}

function best(all, most, screen) {
  let found = null;
  for (const beside of [true, false]) {
    for (let perRow = 1; perRow <= Math.min(6, Math.max(1, most)); perRow += 1) {
      for (let columns = 1; columns <= 12; columns += 1) {
        const tried = measure(all, most, perRow, columns, beside);
        tried.zoom = Math.min(screen.w / tried.w, screen.h / tried.h);
        // Cards in which a name and a few lines can be read, and then as much of everything as there is room for.
        tried.worth = Math.min(1, tried.zoom * tried.card.w / READ.w, tried.zoom * tried.card.h / READ.h) + tried.zoom;
        if (!found || tried.worth > found.worth) found = tried;
      }
    }
  }
  return found;
}

/** {id: {x, y, w, h}} of all that is drawn by itself. */
export function cardPositions(site, screen) {
  const { fabric } = site;
  const racks = racksOf(fabric);
  const inside = occupants(site);
  const all = centers(fabric, racks);
  const most = Math.max(1, ...[...racks.values()].map((row) => row.length));
  const how = best(all, most, screen);
  const found = new Map();
  let [left, top] = [0, 0];
  all.forEach((center, at) => {
    const box = how.boxes[at];
    const middle = left + box.w / 2;
    const spread = (row, size, y, prefix) => row.forEach((each, number) => {
      const pitch = Math.max(size.w + GAP, box.w / row.length);
      found.set(`${prefix}:${each.name}`, { x: middle + (number - (row.length - 1) / 2) * pitch, y, ...size });
    });
    spread(center.outside, CARD.external, top + CARD.external.h / 2, "ext");
    center.rows.forEach((row, number) => spread(row, CARD.switch, top + box.top + GAP + CARD.switch.h / 2 + number * ROW, "sw"));
    center.cards.forEach((row, number) => {
      const [column, line] = [number % box.cards, Math.floor(number / box.cards)];
      const corner = { x: middle - (box.cards * (how.card.w + GAP) - GAP) / 2 + column * (how.card.w + GAP), y: top + box.top + box.above + GAP + line * (how.card.h + GAP) };
      card(found, row.name, racks.get(row.name), corner, how, inside);
    });
    if (how.beside) left += box.w + CENTER_GAP;
    else top += box.top + box.h + CENTER_GAP;
  });
  return found;
}

function card(found, name, servers, corner, how, inside) {
  const { server, pad, head, chip } = CARD;
  found.set(`rack:${name}`, { x: corner.x + how.card.w / 2, y: corner.y + how.card.h / 2, w: how.card.w, h: how.card.h });
  found.set(`sw:${name}`, { x: corner.x + how.card.w / 2, y: corner.y + head / 2, w: how.card.w - 2 * pad, h: head - 16 });
  servers.forEach((each, number) => {
    const x = corner.x + pad + server.w / 2 + (number % how.perRow) * (server.w + server.gap);
    const y = corner.y + head + server.h / 2 + Math.floor(number / how.perRow) * (server.h + server.gap);
    found.set(`srv:${each}`, { x, y, w: server.w, h: server.h });
    // VMs that are drawn lie over the foot of their server, several like cards in a hand.
    inside.get(each).forEach((row, at) => found.set(`${row.ghost ? "ghost" : "vm"}:${row.vm}`, { x: x + 6 * Math.min(at, PILE), y: y + (server.h - chip.h) / 2 - 5 - 8 * Math.min(at, PILE), ...chip }));
  });
}
