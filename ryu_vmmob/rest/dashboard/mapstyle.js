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

/** Written so large that it is `pixels` high on the screen however far away it is, and `least` in the drawing. */
const size = (least, pixels = 11) => (element) => Math.max(least, pixels / element.cy().zoom());

/** What is so far away that servers could not be read: then a rack says what is in it. */
export const FAR = 0.52;

/** Places of VMs grow when they are far away, or they could not be seen. */
const grown = (key) => (node) => Math.min(2.4, Math.max(1, 0.8 / node.cy().zoom())) * node.data(key);

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
    rule(".rack.stands-away, .rack.stands-held", { "border-color": p.bad, "border-width": 6 }),
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
    ...cards(p),
    rule(".dim", { opacity: 0.38 }),
    rule(".link.big.dim", { opacity: 0.2 }),
    rule(".attach.big", { opacity: 0 }),
    rule("edge.onpath", { opacity: 1 }),
    rule("edge.onpath", { width: 4.5, "line-color": p.accent, "line-style": "solid", "z-index": 15, "z-compound-depth": "top" }),
    rule("edge.onpath[hop]", { label: "data(hop)", color: p.text, "font-size": size(12, 10), "font-weight": 600, "text-background-opacity": 1 }),
    rule("node.onpath", { "border-color": p.accent, "border-width": 3.5 }),
    rule("edge.picked", { "line-color": p.accent, width: 6, opacity: 1 }),
    rule(".picked", { "outline-color": p.accent, "outline-width": 3, "outline-offset": 2, "outline-style": "solid", opacity: 1 }),
    rule(".focused", { "outline-color": p.text, "outline-width": 2, "outline-offset": 4, "outline-style": "dashed" }),
  ];
}

/** A large site: racks as cards, and names that can be read from afar. */
function cards(p) {
  return [
    rule(".rack", { "background-color": p["box-inner"], "border-color": p["node-line"], "corner-radius": 12, "z-index": 0, label: "" }),
    rule(".rack.far", { label: "data(label)", "font-size": size(12, 10.5), color: p.text, "text-valign": "center", "text-margin-y": 20, "background-color": p.card }),
    rule(".rack.far[members]", { label: "data(members)", "border-color": p.accent, "border-width": 5 }),
    rule(".rack.far[busy > 0]", { "border-color": p.accent, "border-width": 5 }),
    rule(".rack.far.refused", { "border-color": p.warn, "border-width": 6, color: p.warn }),
    rule(".server.big", { "text-margin-y": 34, color: p.text, "font-size": 12, "z-index": 2 }),
    rule(".server.big[members]", { "border-color": p.accent, "border-width": 3 }),
    rule(".server.big.far", { visibility: "hidden" }),
    rule(".server.big.far.onpath", { visibility: "visible" }),
    rule(".switch.big", { "font-size": size(15), "z-index": 3 }),
    rule(".switch.carded", { label: "data(near)" }),
    rule(".switch.carded.far", { label: "data(label)" }),
    rule(".switch.carded.far.stands-in_step, .switch.carded.far.stands-settling", { "background-opacity": 0, "border-width": 0 }),
    rule(".external.big", { "font-size": size(15), "border-width": 2.5 }),
    rule(".dc.big", { "text-max-width": 4000, "font-size": size(15, 12), "text-margin-y": (node) => 8 + 12 / node.cy().zoom() }),
    rule(".vm.big.named", { width: grown("w"), height: grown("h"), "font-size": (node) => Math.min(12 * 2.4, Math.max(12, 9.6 / node.cy().zoom())) }),
    // From afar VMs that move are dots, and only the one that is looked at has its name.
    rule(".vm.big.far", { label: "", shape: "ellipse", width: size(12, 9), height: size(12, 9) }),
    rule(".vm.big.far.named", { label: "data(label)", shape: "round-rectangle", width: grown("w"), height: grown("h"), "z-index": 12 }),
    rule(".vm.ghost.named", { "background-opacity": 0.9 }),
    rule(".move.big", { "font-size": size(12, 10.5), width: size(3, 2) }),
    rule(".move.big.far", { label: "" }),
    rule(".move.big.far.named", { label: "data(label)" }),
    rule(".move.big.far.inside", { display: "none" }),
    rule(".link.big", { width: 3, label: "", opacity: 0.75 }),
  ];
}
