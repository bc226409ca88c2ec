// The events, each in the controller's own words (engine/event_kinds.py), which come with it.

import { clock, h, redraw } from "./dom.js";

const SHOWN = 120;
const CLASSES = { error: "bad", warning: "warn", success: "good", info: "plain" };
const SIGNS = { bad: "✕", warn: "⚠", good: "✓", plain: "·" };

const style = (row) => CLASSES[row.level] ?? "plain";

export function drawLog(element, site, family) {
  const rows = site.log.filter((row) => !family || row.event.split(".")[0] === family).slice(0, SHOWN);
  const build = () => (rows.length
    ? rows.map((row) => h(`li.${style(row)}`, {},
      h("time", { datetime: row.time }, clock(row.time)), h("span.sign", { "aria-hidden": "true" }, SIGNS[style(row)]),
      h("span.kind", {}, row.event), h("span.words", {}, row.text)))
    : h("li.none", {}, "Nothing yet."));
  redraw(element, rows, build);
}
