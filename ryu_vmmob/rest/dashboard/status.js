// The strip on top: what an operator on call needs first. The controller says it (/v1/health); here it is drawn.

import { clock, h, redraw } from "./dom.js";

const SIGNS = { bad: "✕", warn: "⚠", good: "✓", busy: "⇄", quiet: "–" };
const CONNECTION = {
  connecting: ["quiet", "…", "connecting"],
  live: ["good", "●", "live"],
  polling: ["good", "◌", "asked every 2 s"],
};

/** When the controller was last heard of, for a page that it does not answer. */
const asOf = (site) => (site.seen ? `as of ${clock(site.seen)}` : "nothing is known");

function connection(site) {
  if (site.connection === "lost") return h("span.tile.lost", {}, h("span.sign", { "aria-hidden": "true" }, "✕"), `no answer from the controller, ${asOf(site)}`);
  const [kind, sign, text] = CONNECTION[site.connection];
  return h(`span.tile.${kind}`, {}, h("span.sign", { "aria-hidden": "true" }, sign), text);
}

function tile({ kind, level, text, opens }) {
  const inside = [h("span.sign", { "aria-hidden": "true" }, SIGNS[level]), text];
  if (!opens) return h(`span.tile.${level}`, {}, inside);
  return h(`button.tile.${level}`, { type: "button", "data-open": opens.kind, "data-name": opens.name, "data-key": `tile/${kind}` }, inside);
}

export function drawStatus(element, site) {
  const lost = site.connection === "lost";
  const tiles = site.health?.tiles ?? [];
  const sign = lost ? "✕ " : { bad: "✕ ", warn: "⚠ " }[site.health?.level] ?? "";
  document.title = `${sign}${lost ? `${asOf(site)} · ` : ""}${site.health?.fabric ?? ""} – vmmob`;
  document.body.classList.toggle("lost", lost);
  redraw(element, [tiles, site.connection, lost && asOf(site)], () => {
    const rows = tiles.map(tile);
    return lost ? [connection(site), ...rows] : [...rows, connection(site)];
  });
}
