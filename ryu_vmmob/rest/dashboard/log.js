// The events, each in the controller's own words (engine/event_kinds.py), which come with it. What is searched for is asked of the
// controller, which keeps more of them than the page does.

import { ApiError, get, part } from "./api.js";
import { h, moment, redraw } from "./dom.js";

const SHOWN = 120;
const FOUND = 500;
const PAUSE = 250; // milliseconds after the last letter
const CLASSES = { error: "bad", warning: "warn", success: "good", info: "plain" };
const SIGNS = { bad: "✕", warn: "⚠", good: "✓", plain: "·" };

const style = (row) => CLASSES[row.level] ?? "plain";

export class Log {
  /** `choice` gives {text, family, minutes} as the user has them now. */
  constructor(element, site, choice) {
    Object.assign(this, { element, site, choice });
    this.found = null; // what the controller found, for the question `asked`
    this.asked = "";
    this.why = "";
  }

  draw() {
    const { text, family, minutes } = this.choice();
    const question = text || minutes ? JSON.stringify([text, family, minutes]) : "";
    if (question !== this.asked) this.ask(question, { text, family, minutes });
    const words = text.toLowerCase();
    const from = minutes ? Date.now() - 60_000 * minutes : 0;
    const meant = (row) => (!family || row.event.split(".")[0] === family) && Date.parse(row.time) >= from
      && (row.text.toLowerCase().includes(words) || row.event.includes(words));
    // What has come since, and what is shown until the controller has answered, is of what the page knows.
    const last = this.found?.[0]?.id ?? -1;
    const known = this.site.log.filter((row) => meant(row) && (!this.found || row.id > last));
    const rows = [...known, ...(this.found ?? [])].slice(0, this.found ? FOUND : SHOWN);
    redraw(this.element, [rows, this.why], () => (this.why ? h("li.none.bad", {}, this.why) : rows.length ? rows.map(line)
      : h("li.none", {}, question ? "Nothing like that is kept." : "Nothing yet.")));
  }

  ask(question, { text, family, minutes }) {
    this.asked = question;
    this.found = null;
    this.why = "";
    clearTimeout(this.timer);
    if (!question) return;
    this.timer = setTimeout(async () => {
      try {
        const after = minutes ? `&after=${part(new Date(Date.now() - 60_000 * minutes).toISOString())}` : "";
        const { items } = await get(`/v1/events?limit=${FOUND}${text ? `&text=${part(text)}` : ""}${family ? `&types=${part(family)}` : ""}${after}`);
        if (question === this.asked) this.found = items.reverse();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (question === this.asked) this.why = error.message;
      }
      this.draw();
    }, PAUSE);
  }
}

function line(row) {
  return h(`li.${style(row)}`, {}, h("time", { datetime: row.time }, moment(row.time)), h("span.sign", { "aria-hidden": "true" }, SIGNS[style(row)]),
    h("span.kind", {}, row.event), h("span.words", {}, row.text));
}
