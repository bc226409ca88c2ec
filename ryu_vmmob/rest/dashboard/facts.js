// Small pieces that several panels are made of.

import { h } from "./dom.js";

/** A list of [name, value]; what has no value is left out. */
export function pairs(rows) {
  return h("dl", {}, rows.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** {a: "b"} as "a=b". */
export const labelText = (labels) => Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`).join(", ");

/** The end of a policy in words: {any}, {cug}, {vm} or {prefix}. */
export function endText(row) {
  if (row.any) return "any";
  const [kind, name] = Object.entries(row)[0];
  return kind === "prefix" ? name : `${kind === "cug" ? "CUG" : "VM"} ${name}`;
}

/** What a policy is about, in words. */
export function trafficText(row) {
  if (row.protocol === null) return "everything";
  return `${row.protocol}${row.ports.length ? ` ${row.ports.join(", ")}` : ""}${row.replies ? ", with replies" : ""}`;
}

/** How a switch stands, with a sign: the words of the map and of the lists. */
const STANDING = {
  in_step: ["good", "✓", "in step"], settling: ["plain", "…", "settling"], behind: ["warn", "⚠", "behind"],
  refused: ["warn", "⚠", "refused flows"], held: ["bad", "✕", "left as it is"], away: ["bad", "✕", "not connected"],
};

export function standingText(name) {
  const [, sign, words] = STANDING[name];
  return `${sign} ${words}`;
}

export const standingClass = (name) => STANDING[name][0];
