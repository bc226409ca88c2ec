// A schema of the description as text and elements: what type it is, within which limits, and what properties it has.

import { h, table } from "./dom.js";

/** Text with what stands between backticks as code. */
export function words(text) {
  return (text ?? "").split("`").map((piece, number) => (number % 2 ? h("code", {}, piece) : piece));
}

export const code = (value) => h("code", {}, typeof value === "string" ? value : JSON.stringify(value));
export const nameOf = (reference) => reference.slice(reference.lastIndexOf("/") + 1);

/** The link to a schema of the page. */
export const schemaLink = (name) => h("a", { href: `#schema=${name}` }, name);

function between(parts, word) {
  return parts.flatMap((part, number) => (number ? [word, part] : [part]));
}

/** What a map has under its keys, whatever way the schema says it. */
function mapped(schema) {
  const [pattern] = Object.values(schema.patternProperties ?? {});
  return pattern ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : null);
}

/** The type in words, with links to the schemas that it is made of. */
export function typeOf(schema) {
  if (schema.$ref) return [schemaLink(nameOf(schema.$ref))];
  if (schema.anyOf) {
    const kinds = schema.anyOf.filter((one) => one.type || one.$ref || one.enum || one.anyOf || "const" in one);
    if (kinds.length) return between(kinds.map(typeOf), " or ").flat();
  }
  if ("const" in schema) return [code(schema.const)];
  if (schema.enum) return between(schema.enum.map(code), ", ");
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items ?? {})];
  if (schema.type === "object" && !schema.properties) {
    const inner = mapped(schema);
    return inner ? ["map of names to ", ...typeOf(inner)] : ["object"];
  }
  return [schema.format ? `${schema.type} (${schema.format})` : schema.type ?? "anything"];
}

/** The limits of a value, its default and what it may look like; nothing where it has none. */
export function limitsOf(schema) {
  const rows = [];
  for (const one of [schema, ...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])]) {
    const low = one.minimum ?? (one.exclusiveMinimum === undefined ? undefined : `more than ${one.exclusiveMinimum}`);
    if (low !== undefined && one.maximum !== undefined) rows.push([`${low} to ${one.maximum}`]);
    else if (low !== undefined) rows.push([one.minimum === undefined ? low : `at least ${low}`]);
    if (one.minLength || one.maxLength) rows.push([`${one.minLength ?? 0} to ${one.maxLength ?? "any number of"} characters`]);
    if (one.minItems) rows.push([`at least ${one.minItems}`]);
    if (one.maxProperties > 1) rows.push([`at most ${one.maxProperties} keys`]);
    if (one.examples) rows.push(["such as ", ...between(one.examples.map(code), ", ")]);
  }
  if (schema.default !== undefined && schema.default !== null) rows.push(["default ", code(schema.default)]);
  return rows.length ? h("small.limits", {}, between(rows, "; ").flat()) : null;
}

/** The properties of a schema as a table; nothing where it has none. */
export function propertiesOf(schema, name) {
  const rows = Object.entries(schema.properties ?? {});
  if (!rows.length) return null;
  const needed = new Set(schema.required ?? []);
  return table(`Properties of ${name}`, ["key", "type", "meaning"], rows.map(([key, row]) => [
    [h("span.name", {}, key), needed.has(key) ? h("span.needed", {}, "required") : null],
    [...typeOf(row), limitsOf(row)],
    words(row.description),
  ]));
}
