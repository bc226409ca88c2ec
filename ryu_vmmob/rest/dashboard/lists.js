// The lists beneath the map: one at a time, filtered by what is typed, sorted by a click on a head, as long as one wants to see.

import { get } from "./api.js";
import { LISTS } from "./columns.js";
import { count, h, redraw } from "./dom.js";

const PAGE = 100;
const ASK = 5000; // between two requests for state that has no events

/** The rows in which every word of `text` stands somewhere. */
export function filtered(rows, columns, text) {
  const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  if (!wanted.length) return rows;
  return rows.filter((row) => {
    const all = columns.map((each) => each.text(row)).join(" ").toLowerCase();
    return wanted.every((word) => all.includes(word));
  });
}

function sorted(rows, column, down) {
  if (!column) return rows;
  const turn = down ? -1 : 1;
  const by = column.number ? (a, b) => column.number(a) - column.number(b)
    : (a, b) => column.text(a).localeCompare(column.text(b), "en", { numeric: true });
  return [...rows].sort((a, b) => turn * by(a, b));
}

export class Lists {
  /** `chosen` is called with the kind ("events" for none of these) and the filter, whenever the user changes them. */
  constructor(site, { tabs, find, place, events, make, chosen }) {
    Object.assign(this, { site, tabs, find, place, events, make, chosen });
    this.kind = "events";
    this.sort = {}; // kind -> [head, whether downwards]
    this.shown = PAGE;
    this.texts = {};
    tabs.append(...[["events", "Events"], ...Object.entries(LISTS).map(([kind, list]) => [kind, list.title])].map(([kind, title]) =>
      h("button.tab", { type: "button", role: "tab", id: `tab-${kind}`, "data-kind": kind, "aria-controls": "list-area", onclick: () => this.turn(kind) }, title)));
    tabs.addEventListener("keydown", (event) => this.key(event));
    find.addEventListener("input", () => {
      this.texts[this.kind] = find.value;
      this.shown = PAGE;
      this.draw();
      this.chosen(this.kind, find.value);
    });
    this.mark();
  }

  /** Show a list, with a filter if one is given. */
  choose(kind, text = this.texts[kind] ?? "") {
    if (kind !== "events" && !LISTS[kind]) return;
    this.kind = kind;
    this.texts[kind] = text;
    this.find.value = text;
    this.shown = PAGE;
    this.mark();
    this.draw();
    this.ask();
  }

  /** As the user does it. */
  turn(kind) {
    this.choose(kind);
    this.chosen(kind, this.find.value);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...this.tabs.children];
    const next = all[(all.findIndex((each) => each.dataset.kind === this.kind) + step + all.length) % all.length];
    this.turn(next.dataset.kind);
    next.focus();
    event.preventDefault();
  }

  mark() {
    for (const tab of this.tabs.children) {
      const now = tab.dataset.kind === this.kind;
      tab.setAttribute("aria-selected", String(now));
      tab.tabIndex = now ? 0 : -1;
    }
    const list = LISTS[this.kind];
    this.events.hidden = Boolean(list);
    document.getElementById("log").hidden = Boolean(list);
    this.place.hidden = !list;
    this.place.setAttribute("aria-labelledby", `tab-${this.kind}`);
    this.find.placeholder = list ? `Filter ${list.title}` : "Search events";
    this.make.hidden = !list?.make;
    if (list?.make) {
      this.make.textContent = `New ${list.make === "cug" ? "CUG" : list.make}`;
      this.make.dataset.name = list.make;
    }
    document.body.classList.toggle("listing", Boolean(list));
  }

  /** What is not in what the page knows anyway is asked for as long as it is looked at. */
  async ask() {
    clearTimeout(this.timer);
    if (!LISTS[this.kind]?.asks) return;
    if (!document.hidden) {
      try {
        this.site.pools = (await get("/v1/l2_domains")).items;
        this.site.changed();
      } catch {
        // The strip says that the controller does not answer.
      }
    }
    this.timer = setTimeout(() => this.ask(), ASK);
  }

  draw() {
    const list = LISTS[this.kind];
    if (!list || !this.site.known) return;
    const columns = list.columns(this.site);
    const all = list.rows(this.site);
    const found = filtered(all, columns, this.find.value);
    const [head, down] = this.sort[this.kind] ?? [];
    const rows = sorted(found, columns.find((each) => each.head === head), down).slice(0, this.shown);
    // A column that has nothing to say of anything is left out.
    const seen = columns.filter((each) => each.head === columns[0].head || all.some((row) => each.text(row)));
    redraw(this.place, [this.kind, head, down, found.length, all.length, rows.map((row) => seen.map((each) => each.text(row)))], () => [
      h("p.quiet.total", { role: "status" }, found.length === all.length ? count(all.length, "row") : `${found.length} of ${all.length}`),
      h("table", {}, h("caption.unseen", {}, list.title), h("thead", {}, h("tr", {}, seen.map((each) => this.head(each)))),
        h("tbody", {}, rows.map((row) => h("tr", {}, seen.map((each) => h(`td${each.number ? ".number" : ""}`, {}, each.cell ? each.cell(row) : each.text(row) || "—")))))),
      found.length > rows.length ? h("button.more", { type: "button", onclick: () => { this.shown += 10 * PAGE; this.draw(); } }, `Show ${Math.min(10 * PAGE, found.length - rows.length)} more`) : null,
    ]);
  }

  head(each) {
    const [head, down] = this.sort[this.kind] ?? [];
    const mine = head === each.head;
    return h("th", { scope: "col", "aria-sort": mine ? (down ? "descending" : "ascending") : "none", class: each.number ? "number" : null },
      h("button.plain", { type: "button", "data-key": `sort/${each.head}`, onclick: () => {
        this.sort[this.kind] = [each.head, mine && !down];
        this.draw();
      } }, `${each.head}${mine ? (down ? " ▾" : " ▴") : ""}`));
  }
}
