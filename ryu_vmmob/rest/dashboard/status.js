// The strip on top: what somebody who was woken up wants to know first.

import { count, h, redraw } from "./dom.js";

const CONNECTION = {
  connecting: ["quiet", "…", "connecting"],
  live: ["good", "●", "live"],
  polling: ["good", "◌", "asked every 2 s"],
  lost: ["bad", "✕", "no answer from the controller"],
};

/** {name: [class, sign, text, what a click opens]} */
export function facts(site) {
  const [kind, sign, text] = CONNECTION[site.connection];
  const since = site.connection === "lost" && site.seen ? ` since ${site.seen.toLocaleTimeString([], { hour12: false })}` : "";
  const heard = [kind, sign, text + since];
  if (!site.known) return [heard];
  const rows = [...site.switches.keys()].map((name) => [name, site.standing(name)]);
  const not = (...kinds) => rows.filter(([, standing]) => kinds.includes(standing)).map(([name]) => name);
  const [away, behind, faulty] = [not("away"), not("behind"), not("faults")];
  const moves = site.underWay().length;
  const refused = site.refusedLately().frames;
  const named = (names) => (names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", "));
  const found = [];
  if (!away.length && !behind.length && !faulty.length) {
    found.push(["good", "✓", `${rows.length === 1 ? "the switch is" : `all ${rows.length} switches`} in step`]);
  }
  if (away.length) found.push(["bad", "✕", `${away.length} not connected: ${named(away)}`, "switch", away[0]]);
  if (behind.length) found.push(["warn", "⚠", `${behind.length} behind: ${named(behind)}`, "switch", behind[0]]);
  if (faulty.length) found.push(["warn", "⚠", `${faulty.length} refused flows: ${named(faulty)}`, "switch", faulty[0]]);
  found.push([moves ? "busy" : "quiet", moves ? "⇄" : "–", moves ? `${count(moves, "move")} under way` : "no move under way", "moves"]);
  found.push([refused ? "warn" : "quiet", refused ? "⚠" : "–",
    refused ? `${count(refused, "frame")} refused in the last minute` : "nothing refused in the last minute", "refused"]);
  for (const trouble of site.troubles) found.push(["bad", "✕", trouble]);
  found.push(heard);
  return found;
}

export function drawStatus(element, site) {
  const rows = facts(site);
  const worst = rows.some(([kind]) => kind === "bad") ? "✕ " : rows.some(([kind]) => kind === "warn") ? "⚠ " : "";
  document.title = `${worst}${site.fabric?.fabric ?? ""} – vmmob`;
  redraw(element, rows, () => rows.map(([kind, sign, text, opens, name]) => {
    const inside = [h("span.sign", { "aria-hidden": "true" }, sign), text];
    if (!opens) return h(`span.tile.${kind}`, {}, inside);
    return h(`button.tile.${kind}`, { type: "button", "data-open": opens, "data-name": name ?? "", "data-key": opens }, inside);
  }));
}
