// What ports of switches count, for as long as a panel shows it: the controller asks switches only on demand.

import { ApiError, get, part } from "./api.js";
import { count, h, link, redraw, table } from "./dom.js";
import { pairs } from "./facts.js";
import { portOf, switchOf } from "./fabric.js";

const EVERY = 1500; // milliseconds; the controller asks the switch less often
const FIRST = 800; // until a switch that was not polled before has answered

/** Asks for the ports of some switches and gives {switch: answer} to `take`, until the function that it returns is called. */
export function watchPorts(switches, take) {
  let over = false;
  const found = {};
  const look = async (wait) => {
    if (!document.hidden) {
      await Promise.all(switches.map(async (name) => {
        try {
          found[name] = await get(`/v1/switches/${part(name)}/ports`);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          found[name] = { items: [], counted: null, why: error.message };
        }
      }));
    }
    if (over) return;
    take(found);
    setTimeout(() => { if (!over) look(EVERY); }, wait);
  };
  look(FIRST);
  return () => { over = true; };
}

const UNITS = ["", "k", "M", "G", "T"];

/** A number with three digits and a unit: 12.4 M. */
export function short(number) {
  if (number === null || number === undefined) return "—";
  let [value, unit] = [number, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit && value < 99.95 ? value.toFixed(1) : Math.round(value)}\u00a0${UNITS[unit]}`;
}

const rate = (way) => (way && way.bits_per_second !== null ? h("span.rate", {}, `${short(way.bits_per_second)}bit/s`) : "—");

/** Frames that a port has dropped or found wrong, both ways; how many are new since the last look. */
function losses(row) {
  const sum = (ways) => [ways?.received, ways?.sent].reduce((total, way) => total + (way?.dropped ?? 0) + (way?.errors ?? 0), 0);
  const [all, fresh] = [sum(row.counts), sum(row.rates)];
  if (!all) return "0";
  return fresh ? h("span.warn", { title: `${short(all)} in all` }, `⚠ ${short(fresh)} new`) : short(all);
}

const at = (row) => (row.kind ? link(row.kind, row.name) : h("span.quiet", {}, "nothing of the fabric file"));

/** The table of a switch's ports. */
export function portsTable(name, answer) {
  if (!answer) return h("p.quiet", {}, "asking…");
  if (answer.why) return h("p.bad", {}, answer.why);
  if (!answer.items.length) return h("p.quiet", {}, "none");
  return table("Ports", ["Port", "There", "Receives", "Sends", "Lost"], answer.items.map((row) => [
    link("port", `${name}:${row.port}`, String(row.port)), at(row),
    row.counts ? rate(row.rates?.received) : h("span.quiet", {}, answer.counted ? "⚠ no such port" : "—"), rate(row.rates?.sent), row.counts ? losses(row) : "—"]));
}

/** Counters and rates of one port, in words. */
export function portFacts(port, answer) {
  const row = answer?.items.find((each) => String(each.port) === portOf(port));
  if (!answer || (!answer.counted && !answer.why)) return h("p.quiet", {}, "The switch is being asked…");
  if (answer.why) return h("p.bad", {}, answer.why);
  if (!row?.counts) return h("p.verdict.warn", {}, `⚠ Switch ${switchOf(port)} says nothing of a port ${portOf(port)}.`);
  const [received, sent] = ["received", "sent"].map((name) => [row.counts[name], row.rates?.[name]]);
  const line = (title, cell) => [title, cell(...received), cell(...sent)];
  return table("Counters", ["", "Received", "Sent"], [line("Now", (_, now) => rate(now)), line("Frames a second", (_, now) => short(now?.packets_per_second)),
    line("Frames", (all) => short(all.packets)), line("Bytes", (all) => short(all.bytes)),
    line("Dropped", (all, now) => wrong(all.dropped, now?.dropped)), line("Errors", (all, now) => wrong(all.errors, now?.errors))]);
}

const wrong = (all, fresh) => (fresh ? h("span.warn", {}, `⚠ ${short(all)}, ${short(fresh)} new`) : short(all));

/** The panel of a port, "tor-a:49". */
export function portPanel(site, name) {
  const facts = h("div", {});
  let answers = {};
  const update = () => {
    const answer = answers[switchOf(name)];
    const row = answer?.items.find((each) => String(each.port) === portOf(name));
    redraw(facts, answer, () => [
      pairs([["Switch", link("switch", switchOf(name))], ["There", row ? at(row) : null]]),
      portFacts(name, answer),
      answer?.seconds ? h("p.quiet", {}, `As the switch sees it, over the last ${count(Math.round(answer.seconds), "second")}.`) : null,
    ]);
  };
  const close = watchPorts([switchOf(name)], (found) => {
    answers = structuredClone(found);
    update();
  });
  update();
  return { title: `Port ${name}`, element: facts, update, close };
}
