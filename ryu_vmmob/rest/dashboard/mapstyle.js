// Colours and shapes of the map. Colours are those of style.css, so that light and dark are said once.

import { COLOURS } from "./scene.js";

const NAMES = ["ground", "card", "text", "quiet", "line", "accent", "bad", "warn", "good", "box", "box-inner", "node", "node-line"];

export function palette() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const found = Object.fromEntries(NAMES.map((name) => [name, read(name)]));
  found.font = read("font");
  found.cugs = Array.from({ length: COLOURS }, (_, at) => ({ fill: read(`cug${at}-fill`), line: read(`cug${at}-line`) }));
  return found;
}

/** How far a box's label, which is centred, must go to begin at the left edge: there the fewest lines cross it. */
function atLeft(box) {
  const wide = box.data("label").length * box.numericStyle("font-size") * 0.52;
  return wide / 2 + 12 - (box.width() / 2 + box.numericStyle("padding"));
}

/** A move's arrow hangs through beneath what is between, the more the longer it is. */
function bow(edge) {
  const [from, to] = [edge.source().position(), edge.target().position()];
  const distance = Math.hypot(to.x - from.x, to.y - from.y);
  return (to.x >= from.x ? 1 : -1) * Math.min(160, 40 + 0.16 * distance);
}

const rule = (selector, style) => ({ selector, style });

export function sheet(p) {
  return [
    rule("node", {
      label: "data(label)", color: p.text, "font-family": p.font, "font-size": 12, "text-wrap": "wrap", "text-valign": "center",
      "text-halign": "center", "line-height": 1.2, "background-color": p.node, "border-color": p["node-line"], "border-width": 1,
      shape: "round-rectangle", "overlay-opacity": 0, "min-zoomed-font-size": 4, "text-max-width": 400,
    }),
    rule("node[w]", { width: "data(w)", height: "data(h)" }),
    rule(".dc, .domain", {
      "text-valign": "top", "text-halign": "center", "border-width": 1, "background-opacity": 1, "text-margin-y": 22,
      "corner-radius": 10, "compound-sizing-wrt-labels": "exclude", "text-margin-x": atLeft,
    }),
    rule(".dc", { "background-color": p.box, "border-color": p.line, padding: 28, "font-size": 15, "font-weight": 600, color: p.quiet }),
    rule(".domain", { "background-color": p["box-inner"], "border-color": p.line, "border-style": "dashed", padding: 22, "font-size": 12,
      color: p.quiet, "text-margin-y": 18 }),
    rule(".domain.low", { "text-valign": "bottom", "text-margin-y": -17 }),
    rule(".switch", { "font-weight": 600, "font-size": 13, "border-width": 1.5, "corner-radius": 6 }),
    rule(".switch.border, .switch.spine", { "background-color": p.card }),
    rule(".server", { "text-valign": "top", "text-margin-y": 18, "background-color": p.card, "border-color": p["node-line"], color: p.quiet,
      "font-size": 12, "corner-radius": 5 }),
    rule(".server.counted", { "text-margin-y": 34, color: p.text }),
    rule(".server.untagged", { "border-style": "dotted" }),
    rule(".server.refused", { "border-color": p.warn, "border-width": 2.5, color: p.warn }),
    rule(".external", { shape: "ellipse", "background-color": p.card, "border-style": "solid" }),
    rule(".vm", { "z-compound-depth": "top", "z-index": 5, "font-size": 12, "line-height": 1.1, "border-width": 1.5, "corner-radius": 4 }),
    ...p.cugs.map((row, at) => rule(`.cug${at}`, { "background-color": row.fill, "border-color": row.line })),
    rule(".vm.moving", { "border-width": 3, "z-index": 9 }),
    rule(".vm.ghost", { "background-opacity": 0.25, "border-style": "dashed", "border-width": 2, color: p.quiet, "z-index": 6 }),
    rule(".switch.stands-behind, .switch.stands-refused", { "border-color": p.warn, "border-width": 4, color: p.warn }),
    rule(".switch.stands-away, .switch.stands-held, .external.away", { "border-color": p.bad, "border-width": 4, "border-style": "dashed", color: p.bad }),
    rule("edge", { width: 1.6, "line-color": p["node-line"], "curve-style": "straight", "font-family": p.font, "font-size": 11, color: p.quiet,
      "overlay-opacity": 0, "text-background-color": p.ground, "text-background-opacity": 0.85, "text-background-padding": 2,
      "min-zoomed-font-size": 5 }),
    rule(".link", { width: 2.2, label: "data(label)" }),
    rule(".bent", { "curve-style": "unbundled-bezier", "control-point-distances": "data(bend)", "control-point-weights": 0.5 }),
    rule("edge.down", { "line-color": p.bad, "line-style": "dashed", label: "✕ down", color: p.bad }),
    rule(".move", { width: 3, "line-color": p.accent, "line-style": "dashed", "target-arrow-shape": "triangle", "target-arrow-color": p.accent,
      "curve-style": "unbundled-bezier", "control-point-distances": bow, "control-point-weights": 0.5, label: "data(label)", color: p.accent,
      "font-size": 12, "font-weight": 600, "z-compound-depth": "top", "z-index": 20, "arrow-scale": 1.2, "text-background-color": p.card,
      "text-background-opacity": 1, "text-background-padding": 4, "text-border-color": p.accent, "text-border-width": 1, "text-border-opacity": 1,
      "text-background-shape": "round-rectangle" }),
    rule(".dim", { opacity: 0.38 }),
    rule("edge.onpath", { width: 4.5, "line-color": p.accent, "line-style": "solid", "z-index": 15, "z-compound-depth": "top" }),
    rule("edge.onpath[hop]", { label: "data(hop)", color: p.text, "font-size": 12, "font-weight": 600, "text-background-opacity": 1 }),
    rule("node.onpath", { "border-color": p.accent, "border-width": 3.5 }),
    rule("edge.picked", { "line-color": p.accent, width: 6, opacity: 1 }),
    rule(".picked", { "outline-color": p.accent, "outline-width": 3, "outline-offset": 2, "outline-style": "solid", opacity: 1 }),
    rule(".focused", { "outline-color": p.text, "outline-width": 2, "outline-offset": 4, "outline-style": "dashed" }),
  ];
}
