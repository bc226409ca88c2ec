// Forms that put an object: what is typed is tried first and its plan shown, then it is done. And the button that deletes one.

import { ApiError, call } from "./api.js";
import { count, h } from "./dom.js";
import { labelText } from "./facts.js";

/** Values after commas, blanks or line ends. */
export const words = (text) => text.split(/[\s,]+/).filter(Boolean);

/** "a: 1, b: 2" as {a: 1, b: 2}; other text stays as it is, so that the controller says what is wrong. */
export function numbers(text) {
  return Object.fromEntries(text.split(/[\n,]+/).map((row) => row.trim()).filter(Boolean).map((row) => {
    const [key, value] = row.split(/\s*[:=]\s*/);
    return [key, /^\d+$/.test(value ?? "") ? Number(value) : value ?? ""];
  }));
}

const READ_ONLY = new Set(["description", "labels", "name", "revision", "presence", "segment_key", "switches"]);

/** What may be put of an object as it was got. */
export const writable = (row) => Object.fromEntries(Object.entries(row ?? {}).filter(([key]) => !READ_ONLY.has(key)));

/** Fields for what people note of an object, and what is put of them: nothing that was not there and is not typed. */
export function notes(row) {
  const description = h("input", { type: "text", maxlength: 1000, value: row?.description ?? "" });
  const labels = h("input", { type: "text", value: labelText(row?.labels), placeholder: "team=shop, tier=web", spellcheck: "false" });
  return {
    fields: [field("Description", description), field("Labels", labels)],
    body: () => {
      const pairs = Object.fromEntries(labels.value.split(",").map((each) => each.trim()).filter(Boolean).map((each) => [each.split("=")[0].trim(), each.split("=").slice(1).join("=").trim()]));
      return { ...(description.value.trim() ? { description: description.value.trim() } : {}), ...(Object.keys(pairs).length ? { labels: pairs } : {}) };
    },
  };
}

/** A field with its label. */
export const field = (label, element, help = "") => h("label", {}, `${label} `, element, help ? h("small.quiet", {}, help) : null);

const condition = (revision) => (revision === null ? { "If-None-Match": "*" } : { "If-Match": `"${revision}"` });

function plan(answer) {
  const { changes = [], flow_mods: mods = {} } = answer?.plan ?? {};
  const touched = Object.keys(mods).length;
  return [changes.length ? h("ul.plain.mono", {}, changes.map((row) => h("li", {}, change(row)))) : h("p.quiet", {}, "That changes nothing."),
    h("p.quiet", {}, touched ? `${count(touched, "switch", "switches")} would be sent something: ${Object.keys(mods).join(", ")}.` : "No switch would be sent anything.")];
}

function change(row) {
  const fields = row.fields.map(({ path, before, after }) => `${path}: ${JSON.stringify(before ?? null)} → ${JSON.stringify(after ?? null)}`);
  return `${row.sign} ${row.kind} ${row.name}${fields.length ? ` (${fields.join("; ")})` : ""}`;
}

function refusal(error) {
  const rows = error.errors ?? [];
  return [h("p.bad", {}, rows.length ? "The controller does not take it:" : error.message),
    rows.length ? h("ul.plain.bad", {}, rows.map((row) => h("li", {}, h("strong", {}, row.path), ` ${row.message}`))) : null];
}

/**
 * A form. `path` gives the address from what is typed, `body` what is put, `revision` that of the object (null: there must be none),
 * `done` is called when it is put.
 */
export function putForm({ path, body, revision, fields, done }) {
  const said = h("div.answer", { "aria-live": "polite" });
  const attempt = async (work) => {
    said.replaceChildren();
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.replaceChildren(...refusal(error).filter(Boolean));
    }
  };
  const put = (query) => call("PUT", `${path()}${query}`, body(), { headers: condition(revision()) });
  const look = () => attempt(async () => {
    said.replaceChildren(...plan(await put("?dry_run=true")).filter(Boolean));
  });
  const save = (event) => {
    event.preventDefault();
    return attempt(async () => {
      const answer = await put("");
      said.replaceChildren(h("p.good", { role: "status" }, "✓ Done."));
      done(answer);
    });
  };
  return h("form.grid", { onsubmit: save }, fields,
    h("p.buttons", {}, h("button", { type: "submit" }, revision() === null ? "Create" : "Save"), h("button", { type: "button", onclick: look }, "Show what would change")), said);
}

/** First it is asked whether one means it. */
export function deleteButton({ path, revision, what, done }) {
  const said = h("span.bad", { role: "alert" });
  let meant = false;
  const button = h("button.danger", { type: "button", onclick: async () => {
    said.textContent = "";
    if (!meant) {
      meant = true;
      button.textContent = `Really delete ${what}`;
      return;
    }
    try {
      await call("DELETE", path, undefined, { headers: { "If-Match": `"${revision()}"` } });
      done();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.textContent = error.message;
      meant = false;
      button.textContent = "Delete";
    }
  } }, "Delete");
  return h("p.buttons", {}, button, said);
}
