// The events, each in a sentence.

import { clock, h, redraw } from "./dom.js";

const SHOWN = 120;
const REASONS = { requested: "on request" };

const why = (row) => (row.reason ? `: ${REASONS[row.reason] ?? row.reason}` : "");
const place = (row) => `${row.server ?? row.switch}${row.port ? ` (${row.switch}:${row.port})` : ""}`;
const more = (row) => (row.more ? `, and ${row.more} more` : "");

const WORDS = {
  "migration.preparing": (row) => `${row.vm} begins to move${row.target ?? row.to ? ` from ${row.source ?? row.from} to ${row.target ?? row.to}` : ""}`,
  "migration.prepared": (row) => `${row.vm}: the new place is ready`,
  "migration.activated": (row) => `${row.vm} has arrived${why(row)}`,
  "migration.committed": (row) => `${row.vm}: the old place is gone, the move is over`,
  "migration.aborted": (row) => `${row.vm}: the move was aborted${why(row)}`,
  "migration.failed": (row) => `${row.vm}: the move failed${why(row)}`,
  "migration.confirmed": (row) => `${row.vm}: all switches have confirmed “${row.state}”`,
  "migration.announced": (row) => `${row.vm} speaks at ${place(row)} already${why(row)}`,
  "refused.move": (row) => `refused: the MAC of ${row.vm} at ${place(row)}, but ${row.vm} is at ${row.placed}${more(row)}`,
  "refused.spoofing": (row) => `refused at ${place(row)}: ${row.mac ?? "a frame"}${row.address ? ` claims ${row.address}` : ""}${more(row)}`,
  "refused.frames": (row) => `refused at ${row.server}: ${row.count} frame${row.count === 1 ? "" : "s"}`,
  "switch.connected": (row) => `${row.switch} is connected`,
  "switch.disconnected": (row) => `${row.switch} is not connected any more`,
  "switch.in_step": (row) => `${row.switch} is in step`,
  "switch.out_of_step": (row) => `${row.switch} is ${row.behind} behind`,
  "switch.fault": (row) => `${row.switch} refused ${row.cause ?? "a flow"}: ${row.error}`,
  "presence.extended": (row) => `${row.cug ?? row.routing_domain} came to ${places(row)}`,
  "presence.pruned": (row) => `${row.cug ?? row.routing_domain} left ${places(row)}`,
  gap: (row) => `${row.missed ?? "some"} events were missed`,
};

function places(row) {
  return [...(row.data_centers ?? []), ...(row.l2_domains ?? []), ...(row.edges ?? [])].join(", ");
}

/** An event as a sentence. One that is not known here is shown with all it has. */
export function words(row) {
  const say = WORDS[row.event];
  if (say) return say(row);
  const rest = Object.entries(row).filter(([key]) => !["id", "time", "event"].includes(key));
  return rest.map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

/** "bad", "warn", "good" or "": how loud an event is. */
export function loudness(row) {
  if (row.event.startsWith("refused")) return "warn";
  if (["migration.failed", "switch.disconnected", "store.failed"].includes(row.event)) return "bad";
  if (["migration.aborted", "switch.fault", "switch.out_of_step", "gap"].includes(row.event)) return "warn";
  return ["migration.committed", "migration.activated", "switch.in_step"].includes(row.event) ? "good" : "";
}

const SIGNS = { bad: "✕", warn: "⚠", good: "✓", "": "·" };

export function drawLog(element, site, family) {
  const rows = site.log.filter((row) => !family || row.event.split(".")[0] === family).slice(0, SHOWN);
  const build = () => (rows.length
    ? rows.map((row) => h(`li.${loudness(row) || "plain"}`, {},
      h("time", { datetime: row.time }, clock(row.time)), h("span.sign", { "aria-hidden": "true" }, SIGNS[loudness(row)]),
      h("span.kind", {}, row.event), h("span.words", {}, words(row))))
    : h("li.none", {}, "Nothing yet."));
  redraw(element, rows, build);
}
