// What happened to an object: asked for when it is unfolded, newest first.

import { ApiError, get, part } from "./api.js";
import { h, moment } from "./dom.js";

const SHOWN = 100;

/** To unfold in the panel of an object. */
export function history(kind, name) {
  const place = h("div", {});
  const ask = async (event) => {
    if (!event.target.open) return;
    place.replaceChildren(h("p.quiet", {}, "asking…"));
    try {
      const { items } = await get(`/v1/events?about=${part(`${kind}/${name}`)}&limit=${SHOWN}`);
      place.replaceChildren(items.length ? h("ol.history", {}, items.reverse().map((row) => h(`li.${row.level}`, {},
        h("time", { datetime: row.time }, moment(row.time)), h("span", {}, row.text))))
        : h("p.quiet", {}, "Nothing since the controller began to keep events."));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      place.replaceChildren(h("p.bad", {}, error.message));
    }
  };
  return h("details.past", { ontoggle: ask }, h("summary", {}, "History"), place);
}
