// The page of the REST interface, drawn from the controller's own description of it.

import { ApiError, get } from "./api.js";
import { h, table } from "./dom.js";
import { code, limitsOf, nameOf, propertiesOf, schemaLink, typeOf, words } from "./schema.js";
import "./token.js";

const at = (id) => document.getElementById(id);
const METHODS = ["get", "put", "post", "delete"];
const JSON_TYPE = "application/json";
const entries = []; // {key, element, link, text}: everything that can be found and opened
let description = null;

const schemas = () => description.components.schemas;
const resolved = (row) => (row.$ref ? description.components.responses[nameOf(row.$ref)] : row);
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** One operation or schema, drawn when it is opened first. */
function entry(key, kind, head, text, draw) {
  const element = h(`details.entry${kind}`, { id: key, "data-key": key, ontoggle: () => {
    if (!element.open) return;
    if (element.childElementCount === 1) element.append(h("div.inside", {}, draw()));
  } }, h("summary", {}, head));
  const link = h("a", { href: `#${key}` }, text.short);
  entries.push({ key, element, link, text: text.all.toLowerCase() });
  return element;
}

function example(path, method, row) {
  const body = row.requestBody?.content[JSON_TYPE]?.example;
  const known = new Map((row.parameters ?? []).filter((one) => one.in === "path").map((one) => [one.name, one.example ?? one.name.toUpperCase()]));
  const address = location.origin + path.replace(/\{(\w+)\}/g, (_, name) => known.get(name) ?? name);
  const lines = [`curl${method === "get" ? "" : ` -X ${method.toUpperCase()}`} ${address}`];
  if (!row.security || row.security.some((one) => one.bearer)) lines.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined) lines.push(`-H "Content-Type: ${JSON_TYPE}"`, `-d ${quoted(JSON.stringify(body, null, 1))}`);
  return h("pre", { "aria-label": "Example for a shell" }, lines.join(" \\\n  "));
}

function parameters(rows) {
  if (!rows?.length) return null;
  return [h("h3", {}, "Parameters"), table("Parameters", ["name", "type", "meaning"], rows.map((row) => [
    [h("span.name", {}, row.name), h("span.limits", {}, `in ${row.in === "header" ? "a header" : `the ${row.in}`}`), row.required ? h("span.needed", {}, "required") : null],
    [...typeOf(row.schema), limitsOf(row.schema)],
    words(row.description),
  ]))];
}

/** What a body or an answer is: its schema with the properties, or its type. */
function content(found) {
  const types = Object.keys(found ?? {});
  if (!types.length) return [h("p.quiet", {}, "Without a body.")];
  const schema = found[types[0]].schema;
  const name = schema.$ref ? nameOf(schema.$ref) : null;
  return [
    h("p", {}, typeOf(schema), " as ", types.flatMap((type, number) => (number ? [" or ", code(type)] : [code(type)]))),
    name ? propertiesOf(schemas()[name], name) : null,
  ];
}

function body(row) {
  if (!row.requestBody) return null;
  return [h("h3", {}, row.requestBody.required ? "Body" : "Body, which may be left out"), content(row.requestBody.content)];
}

function answers(row) {
  return [h("h3", {}, "Answers"), Object.entries(row.responses).map(([status, found]) => {
    const answer = resolved(found);
    const headers = Object.entries(answer.headers ?? {});
    return h("details.answer", { open: /^2/.test(status) }, h("summary", {}, h("span.name", {}, status), " ", words(answer.description)),
      content(answer.content),
      headers.length ? table(`Headers of ${status}`, ["header", "meaning"], headers.map(([name, one]) => [h("span.name", {}, name), words(one.description)])) : null);
  })];
}

function access(row) {
  if (!row.security) return "A token is needed, where the controller has tokens.";
  return row.security.some((one) => one.bearer) ? "Without a token the answer is in brief." : "No token is needed.";
}

function operation(path, method, row) {
  const names = (row.parameters ?? []).map((one) => one.name);
  const head = [h(`span.method.${method}`, {}, method.toUpperCase()), h("span.path", {}, path), h("span.about", {}, words(row.summary))];
  const all = [method, path, row.operationId, row.summary, row.description, ...names].join(" ");
  return entry(`operation=${row.operationId}`, "", head, { short: row.operationId.replaceAll("_", " "), all }, () => [
    h("p", {}, words(row.description)), h("p.quiet", {}, access(row)), example(path, method, row), parameters(row.parameters), body(row), answers(row),
  ]);
}

function schema(name, row) {
  const all = [name, row.description, ...Object.entries(row.properties ?? {}).flatMap(([key, one]) => [key, one.description])].join(" ");
  const head = [h("span.name", {}, name), h("span.about", {}, words(row.description))];
  return entry(`schema=${name}`, ".schema", head, { short: name, all }, () => [
    propertiesOf(row, name) ?? h("p", {}, typeOf(row)), users(name),
  ]);
}

/** Who else has this schema in it. */
function users(name) {
  const mine = `"#/components/schemas/${name}"`;
  const found = Object.entries(schemas()).filter(([other, row]) => other !== name && JSON.stringify(row).includes(mine));
  return found.length ? h("p.quiet", {}, "In ", found.flatMap(([other], number) => (number ? [", ", schemaLink(other)] : [schemaLink(other)])), ".") : null;
}

function section(title, text, rows) {
  const own = entries.slice(entries.length - rows.length);
  const heading = h("h2", {}, title);
  const links = h("div", {}, h("h2", {}, title), h("ul", {}, own.map((row) => h("li", {}, row.link))));
  at("contents").append(links);
  at("reference").append(h("section", { "aria-label": title }, heading, text ? h("p.quiet", {}, words(text)) : null, rows));
}

function draw() {
  at("version").textContent = `REST · ${description.info.version}`;
  at("intro").replaceChildren(...words(description.info.description));
  const all = Object.entries(description.paths).flatMap(([path, row]) => METHODS.filter((method) => row[method]).map((method) => [path, method, row[method]]));
  for (const tag of description.tags) {
    section(tag.name, tag.description, all.filter(([, , row]) => row.tags.includes(tag.name)).map((row) => operation(...row)));
  }
  section("Schemas", "What bodies and answers are made of.", Object.entries(schemas()).map((row) => schema(...row)));
}

/** Leave what has every word that is looked for. */
function search() {
  const wanted = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of entries) {
    const hit = wanted.every((word) => row.text.includes(word));
    row.element.hidden = row.link.parentElement.hidden = !hit;
    count += Number(hit);
  }
  for (const group of [...at("reference").querySelectorAll("section"), ...at("contents").children]) {
    group.hidden = ![...group.querySelectorAll(".entry, li")].some((row) => !row.hidden);
  }
  at("total").textContent = wanted.length ? `${count} of ${entries.length}` : `${entries.length} entries`;
}

/** Open what the address names. */
function follow() {
  const key = decodeURIComponent(location.hash.slice(1));
  for (const row of entries) row.link.toggleAttribute("aria-current", row.key === key);
  const found = entries.find((row) => row.key === key);
  if (!found) return;
  if (found.element.hidden) {
    at("find").value = "";
    search();
  }
  found.element.open = true;
  found.element.scrollIntoView({ block: "start" });
  found.element.querySelector("summary").focus({ preventScroll: true });
}

at("find").addEventListener("input", search);
at("find").addEventListener("keydown", (event) => {
  const first = entries.find((row) => !row.element.hidden);
  if (event.key === "Enter" && first) location.hash = first.key;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    at("find").select();
    at("find").focus();
    event.preventDefault();
  }
});
at("reference").addEventListener("click", (event) => {
  // What is opened by hand stands in the address as well, so that it can be passed on.
  const opened = event.target.closest?.("summary")?.parentElement;
  if (opened?.classList.contains("entry") && !opened.open) history.replaceState(null, "", `#${opened.dataset.key}`);
});
at("skip").addEventListener("click", (event) => {
  event.preventDefault();
  at("find").focus();
});
addEventListener("hashchange", follow);

try {
  description = await get("/openapi.json");
  draw();
  search();
  follow();
  document.body.dataset.drawn = "yes";
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  at("intro").replaceChildren(h("span.bad", {}, `The description cannot be shown: ${error.message}.`));
}
