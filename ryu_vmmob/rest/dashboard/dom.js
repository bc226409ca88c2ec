// Elements are made here and nowhere else. Whatever comes from the controller becomes text, never markup.

/** An element: `h("button.danger", {type: "button", onclick: f}, "Abort")`. Children: text, elements, arrays, null for nothing. */
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const drawn = new WeakMap();

/**
 * Fill `element` again with what `build` returns, but only when `facts` (anything that is JSON) differ from last time. The focus stays
 * where it was, and what was unfolded stays so: by `data-key`.
 */
export function redraw(element, facts, build) {
  const signature = JSON.stringify(facts);
  if (drawn.get(element) === signature) return;
  drawn.set(element, signature);
  const active = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Map([...element.querySelectorAll("details[data-key]")].map((row) => [row.dataset.key, row.open]));
  const scrolled = element.scrollTop;
  element.replaceChildren(...[build()].flat(Infinity).filter(Boolean));
  for (const row of element.querySelectorAll("details[data-key]")) {
    if (open.has(row.dataset.key)) row.open = open.get(row.dataset.key);
  }
  element.scrollTop = scrolled;
  if (active) element.querySelector(`[data-key="${CSS.escape(active)}"]`)?.focus({ preventScroll: true });
}

/** A table with a caption for those who do not see it. Cells: text or elements. */
export function table(caption, heads, rows) {
  return h("div.scroll", {}, h("table", {},
    h("caption.unseen", {}, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell ?? "—")))))));
}

/** A button that opens an object: `link("vm", "web1")`. The click is handled in main.js, for all of them. */
export function link(kind, name, text = name) {
  return name ? h("button.link", { type: "button", "data-open": kind, "data-name": name, "data-key": `${kind}/${name}` }, text) : "—";
}

/** Time of day of an RFC 3339 time, here. */
export function clock(text) {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? String(text) : time.toLocaleTimeString([], { hour12: false });
}

/** Date and time of an RFC 3339 time, here: "30 Nov 12:44:36". */
export function moment(text) {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? String(text) : `${time.toLocaleDateString("en-GB", { day: "2-digit", month: "short" })} ${clock(text)}`;
}

/** A length of time in seconds, short. */
export function span(seconds) {
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** "1 VM", "3 VMs". */
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
