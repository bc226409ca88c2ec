// Moves: the list, and what there is to say and to do about each.

import { ApiError, part, post } from "./api.js";
import { clock, count, h, link, redraw, span, table } from "./dom.js";
import { isFinal } from "./site.js";

const STEPS = ["preparing", "prepared", "delivered", "activated", "committed"];
const SHOWN = 30;
const OPENED = 3; // so many moves under way show all there is of them
const FEW = 8; // so many switches are listed one by one
const SIGN = { committed: "✓", aborted: "⚠", failed: "✕" };
const MEANING = {
  preparing: "the switches make the target ready",
  prepared: "the target is ready; waiting for the VM to pause, or to appear there",
  delivered: "the VM has paused: its traffic goes to the target; waiting for it to appear there",
  activated: "the VM runs at the target; the source is closed",
  committed: "over; nothing is left at the source",
  aborted: "over; everything is as before",
  failed: "over; a switch refused what the move needs",
};

/** What may be done in each state: [step, words]. */
const DOABLE = {
  preparing: [["abort", "Abort"]],
  prepared: [["deliver", "Deliver"], ["activate", "Activate"], ["abort", "Abort"]],
  delivered: [["activate", "Activate"], ["abort", "Abort"]],
  activated: [["commit", "Commit"], ["abort", "Abort"]],
  returning: [["activate", "Activate"], ["force", "Abort now"]],
};

/** The step that a move has come to: its state, or that its traffic goes to the target already. */
const stepOf = (row) => (row.state === "prepared" && row.delivered ? "delivered" : row.state);

/** The steps that a move takes: only with delivery at the pause is there a moment of its own for it. */
const stepsOf = (row) => STEPS.filter((step) => step !== "delivered" || row.delivery === "at_pause");

const doable = (row) => (DOABLE[row.returning ? "returning" : stepOf(row)] ?? []).filter(([step]) => step !== "deliver" || row.delivery === "at_pause");

const since = (row, entry) => (Date.parse(entry.time) - Date.parse(row.timeline[0].time)) / 1000;

export function drawMoves(element, site) {
  const all = [...site.migrations.values()].reverse().sort((a, b) => Number(isFinal(a)) - Number(isFinal(b)));
  const picked = site.pickedMove;
  const rows = all.filter((row, number) => number < SHOWN || row.id === picked);
  const few = all.filter((row) => !isFinal(row)).length <= OPENED;
  const domains = new Map(site.fabric.servers.map((server) => [server.name, server.l2_domain]));
  redraw(element, [rows, site.fabric.revision, picked], () => (rows.length
    ? rows.map((row) => moveRow(row, domains, row.id === picked, few))
    : h("p.quiet", {}, "No move yet. Choose a VM to move it.")));
}

function moveRow(row, domains, picked, few) {
  const active = !isFinal(row);
  return h(`article.move.${row.state}${picked ? ".picked" : ""}`, { "data-migration": row.id },
    h("div.head", {},
      link("vm", row.vm),
      h("span", {}, `${row.from} → ${row.to}`),
      h(`span.state.${row.state}`, { title: MEANING[stepOf(row)] ?? "" }, `${SIGN[row.state] ?? "⇄"} ${row.state}`)),
    active ? steps(row) : null,
    active ? buttons(row) : null,
    moveDetails(row, domains, (active && few) || picked));
}

function steps(row) {
  const steps = stepsOf(row);
  const at = steps.indexOf(stepOf(row));
  return h("ol.steps", { "aria-label": `Step ${at + 1} of ${steps.length}: ${stepOf(row)}` }, steps.map((step, number) => {
    const entry = row.timeline.find((each) => each.state === step);
    return h(`li.${number < at ? "done" : number === at ? "now" : "ahead"}`, {}, h("span", {}, step),
      h("small", {}, entry ? (number ? `+${span(since(row, entry))}` : clock(entry.time)) : "\u00a0"));
  }));
}

function buttons(row) {
  const said = h("p.bad", { role: "alert" });
  const act = async (step) => {
    said.textContent = "";
    try {
      // An abort that waits for no switch: the one that would be waited for may be dead.
      await (step === "force" ? post(`/v1/migrations/${part(row.id)}/abort`, { force: true })
        : post(`/v1/migrations/${part(row.id)}/${step}`));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.textContent = error.message;
    }
  };
  const pending = row.switches.pending;
  return h("div.act", {},
    doable(row).map(([step, text]) => h(`button${["abort", "force"].includes(step) ? ".danger" : ""}`, {
      type: "button", onclick: () => act(step), "data-key": `${row.id}/${step}`, "aria-label": `${text} the move of ${row.vm}` }, text)),
    (row.switches.refused ?? []).map((fault) => h("span.verdict.warn", {}, `⚠ ${fault.switch} refused: ${fault.error}: ${fault.cause}`)),
    h("span.quiet", {}, pending.length ? `waits for ${pending.slice(0, FEW).join(", ")}${pending.length > FEW ? ` and ${pending.length - FEW} more` : ""}` : `${count(row.switches.acknowledged.length, "switch", "switches")} confirmed`),
    said);
}

/** VLAN-IDs, timeline and the time until it had settled, to unfold. */
export function moveDetails(row, domains, open) {
  const { settled } = row;
  const tag = (number, server) => `${number ?? "untagged"}${domains.get(server) ? ` in ${domains.get(server)}` : ""}`;
  return h("details", { open, "data-key": `details/${row.id}/${open}` },
    h("summary", { "data-key": `summary/${row.id}` }, isFinal(row)
      ? `${clock(row.timeline[0].time)}${row.reason ? ` · ${row.reason}` : ""}${settled === null ? "" : ` · settled in ${span(settled)}`}`
      : "VLAN-IDs and timeline"),
    table("VLAN-IDs", ["CUG", "VLAN-ID before", "after"],
      row.interfaces.map((leg) => [leg.cug, tag(leg.from_vlan_id, row.from), tag(leg.to_vlan_id, row.to)])),
    table("Timeline", ["State", "After", "Flow-mods", "Sent on", "Confirmed by"], row.timeline.map((entry) => [
      entry.state, span(since(row, entry)), flowMods(entry), entry.frames || "—", confirmations(row, entry)])),
    h("p.quiet", {}, settled === null ? "" : `Settled in ${span(settled)}: so long after the activation the last switch had confirmed it. `,
      `${row.mode}, delivery ${row.delivery}, activated by ${row.activate_on}, commit ${row.commit} · `,
    h("a", { href: `#move=${encodeURIComponent(row.id)}` }, row.id)));
}

function flowMods(entry) {
  const rows = Object.entries(entry.flow_mods);
  const sum = rows.reduce((total, [, number]) => total + number, 0);
  return rows.length ? h("span", { title: rows.map(([name, number]) => `${name} ${number}`).join(", ") }, String(sum)) : "none";
}

function confirmations(row, entry) {
  const names = Object.keys(entry.flow_mods);
  if (!names.length) return "—";
  const times = entry.acknowledged;
  const after = (name) => (times?.[name] ? (Date.parse(times[name]) - Date.parse(entry.time)) / 1000 : null);
  const waits = (name) => (times ? !times[name] : row.switches.pending.includes(name) && entry === row.timeline.at(-1));
  // The slowest first, and those that have not confirmed before all: of twenty that were quick one more says nothing.
  const slowest = [...names].sort((a, b) => Number(waits(b)) - Number(waits(a)) || after(b) - after(a));
  const lines = (some) => h("ul.plain", {}, some.map((name) => h("li", {}, `${name}: ${entry.flow_mods[name]}${waits(name) ? ", not yet" : after(name) === null ? "" : `, after ${span(after(name))}`}`)));
  if (names.length <= FEW) return lines(names);
  return [lines(slowest.slice(0, FEW - 1)), h("details", { "data-key": `confirmed/${row.id}/${entry.state}` }, h("summary", {}, `${names.length - FEW + 1} more`), lines(slowest.slice(FEW - 1)))];
}
