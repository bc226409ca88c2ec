// The events, each in a sentence.

import { clock, h, redraw } from "./dom.js";

const SHOWN = 120;
const REASONS = { requested: "on request" };

const why = (row) => (row.reason ? `: ${REASONS[row.reason] ?? row.reason}` : "");
const place = (row) => `${row.server ?? row.switch}${row.port ? ` (${row.switch}:${row.port})` : ""}`;
const more = (row) => (row.more ? `, and ${row.more} more` : "");

const owner = (row) => (row.vm ? `${row.vm} in ${row.cug}` : row.cug ?? row.routing_domain);
const where = (row) => (row.server ? `on the cable of ${row.server}` : `in ${row.l2_domain}`);

const OBJECTS = { cug: "CUG", vm: "VM", policy: "policy", routing_domain: "routing domain" };
const DONE = { created: "is there", changed: "was changed", deleted: "was deleted" };

const WORDS = {
  "migration.preparing": (row) => `${row.vm} begins to move${row.target ?? row.to ? ` from ${row.source ?? row.from} to ${row.target ?? row.to}` : ""}`,
  "migration.prepared": (row) => `${row.vm}: the new place is ready`,
  "migration.delivered": (row) => `${row.vm} has paused: its traffic goes to the new place`,
  "migration.conflict": (row) => `${row.vm} still speaks at ${row.source}${row.undone ? ": its arrival is undone" : ""}`,
  "migration.activated": (row) => `${row.vm} has arrived${why(row)}`,
  "migration.committed": (row) => `${row.vm}: the old place is gone, the move is over`,
  "migration.overdue": (row) => `${row.vm}: the time of the move is over, and it stays open${why(row)}`,
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
  "vlan_id.allocated": (row) => `${owner(row)} has VLAN-ID ${row.vlan_id} ${where(row)}`,
  "vlan_id.released": (row) => `${owner(row)} has given up VLAN-ID ${row.vlan_id} ${where(row)}`,
  "vlan_id.free": (row) => `VLAN-ID ${row.vlan_id} is free again ${where(row)}`,
  "clock.set": (row) => `the clock of the controller's host was set by ${row.seconds} s`,
  "batch.started": (row) => `evacuation of ${row.servers.join(", ")} begins: ${row.vms} VMs${row.refused ? `, ${row.refused} of them have no place to go` : ""}`,
  "batch.passed": (row) => `${row.vm} is not moved${why(row)}`,
  "batch.aborting": (row) => `evacuation of ${row.servers.join(", ")}: no more moves begin${why(row)}`,
  "batch.aborted": (row) => `evacuation of ${row.servers.join(", ")} was aborted${why(row)}`,
  "batch.finished": (row) => `evacuation of ${row.servers.join(", ")} is over`,
  "switch.unknown": (row) => `a switch with datapath id ${row.dpid} connected, which the fabric file does not have`,
  "switch.held": (row) => `${row.switch} is left as it is: it has flows that the store knows nothing of`,
  "switch.keeps_cookies": (row) => `${row.switch} keeps old cookies: it is told otherwise`,
  "switch.unreadable": (row) => `${row.switch} cannot be asked for its flows in ${row.tables.join(", ")}`,
  "switch.repaired": (row) => `${row.switch} was not as it should be, and was put right`,
  "switch.foreign_flows": (row) => `${row.switch} has ${row.flows} flows in our tables that are not ours`,
  "switch.floods": (row) => `${row.switch} sends more than anybody asked for; the rest is dropped unread`,
  "link.down": (row) => `link ${row.link} carries nothing`,
  "link.up": (row) => `link ${row.link} works again`,
  "external.down": (row) => `external network ${row.external} is down`,
  "external.up": (row) => `external network ${row.external} is up again`,
  "neighbour.found": (row) => `${row.address} answers in ${row.external}`,
  "neighbour.lost": (row) => `${row.address} answers no more in ${row.external}`,
  "fabric.reloaded": () => "the fabric file was read anew",
  "fabric.refused": (row) => `the fabric file was read anew and is refused: ${(row.reasons ?? []).join("; ")}`,
  "store.failed": (row) => `the store does not take what it is given${why(row)}`,
  "store.recovered": () => "the store works again",
  gap: (row) => `${row.missed ?? "some"} events were missed`,
};

function places(row) {
  return [...(row.data_centers ?? []), ...(row.l2_domains ?? []), ...(row.edges ?? [])].join(", ");
}

/** An event as a sentence. One that is not known here is shown with all it has. */
export function words(row) {
  const say = WORDS[row.event];
  if (say) return say(row);
  const [kind, done] = row.event.split(".");
  if (OBJECTS[kind] && DONE[done]) return `${OBJECTS[kind]} ${row[kind]} ${DONE[done]}${row.server ? `, at ${row.server}` : ""}`;
  const rest = Object.entries(row).filter(([key]) => !["id", "time", "event"].includes(key));
  return rest.map(([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

const WARNINGS = new Set(["migration.aborted", "migration.announced", "migration.overdue", "batch.aborted", "batch.passed", "switch.fault",
  "switch.out_of_step", "switch.unknown", "switch.repaired", "switch.foreign_flows", "switch.floods", "switch.keeps_cookies",
  "switch.unreadable", "link.down", "external.down", "gap"]);

/** "bad", "warn", "good" or "": how loud an event is. */
export function loudness(row) {
  if (row.event.startsWith("refused")) return "warn";
  if (["migration.failed", "switch.disconnected", "switch.held", "store.failed", "fabric.refused"].includes(row.event)) return "bad";
  if (WARNINGS.has(row.event)) return "warn";
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
