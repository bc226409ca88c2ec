// The path from a VM to another: asked for, listed, drawn.

import { ApiError, post } from "./api.js";
import { count, h, table } from "./dom.js";

const GOOD = new Set(["delivered", "answered"]);

/** {edges: Map of id to label, nodes} of a trace's answer, for the map. */
export function pathOf(answer, site) {
  const edges = new Map();
  const nodes = new Set();
  const tag = (number) => (number === null ? "untagged" : `VLAN ${number}`);
  const attach = (server, port, number) => {
    const row = site.fabric.servers.find((each) => each.name === server);
    const at = row ? Math.max(0, row.attach.indexOf(port)) : -1;
    if (at >= 0) edges.set(`at:${server}:${at}`, tag(number));
    nodes.add(`srv:${server}`);
  };
  const { from } = answer;
  if (from.server) {
    attach(from.server, from.port, from.vlan_id);
    nodes.add(`vm:${from.vm}`);
  } else if (from.external) {
    nodes.add(`ext:${from.external}`);
    edges.set(`xt:${from.external}`, tag(from.vlan_id));
  }
  for (const hop of answer.hops) {
    nodes.add(`sw:${hop.switch}`);
    for (const output of hop.outputs) if (output.link) edges.set(`ln:${output.link}`, tag(output.vlan_id));
  }
  for (const row of answer.deliveries) {
    if (row.server) {
      attach(row.server, row.port, row.vlan_id);
      for (const vm of row.vms) nodes.add(`vm:${vm}`);
    } else if (row.external) {
      nodes.add(`ext:${row.external}`);
      edges.set(`xt:${row.external}`, tag(row.vlan_id));
    }
  }
  return { edges, nodes };
}

/** The form of a VM, and beneath it the answer. `show` gets the path, or null. */
export function traceForm(site, vm, show) {
  const others = [...site.vms.values()].filter((row) => row.name !== vm.name).sort((a, b) => (a.name < b.name ? -1 : 1));
  const list = h("datalist", { id: "trace-goals" }, others.flatMap((row) => row.interfaces.flatMap((nic) => nic.ips.map((ip) =>
    h("option", { value: ip }, `${row.name} (${nic.cug})`)))), others.map((row) => h("option", { value: row.name })));
  const goal = h("input", { type: "text", list: "trace-goals", required: true, autocomplete: "off", spellcheck: "false", placeholder: "VM or address" });
  const nics = h("select", {}, vm.interfaces.map((row, at) => h("option", { value: String(at) }, `${row.cug} (${row.ips[0] ?? row.mac})`)));
  const protocol = h("select", {}, ["icmp", "tcp", "udp", "arp"].map((name) => h("option", { value: name }, name)));
  const port = h("input.short", { type: "number", min: 1, max: 65535, value: "80", disabled: true });
  const answer = h("div.answer", { "aria-live": "polite" });
  protocol.addEventListener("change", () => { port.disabled = !["tcp", "udp"].includes(protocol.value); });
  const ask = async (event) => {
    event.preventDefault();
    const sender = site.vms.get(vm.name) ?? vm;
    const number = Number(nics.value);
    const ip = addressOf(site, goal.value.trim(), sender.interfaces[number]);
    const body = { from: { vm: vm.name, interface: number }, to: { ip }, protocol: protocol.value };
    if (!port.disabled) body.port = Number(port.value);
    try {
      const found = await post("/v1/trace", body);
      show(pathOf(found, site));
      answer.replaceChildren(...shown(found));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      show(null);
      answer.replaceChildren(h("p.bad", {}, error.message));
    }
  };
  const clear = () => {
    show(null);
    answer.replaceChildren();
  };
  return h("form.grid", { onsubmit: ask, "data-form": "trace" },
    h("label", {}, "To ", goal), list,
    vm.interfaces.length > 1 ? h("label", {}, "From ", nics) : null,
    h("label", {}, "Protocol ", protocol), h("label", {}, "Port ", port),
    h("p.buttons", {}, h("button", { type: "submit" }, "Show the path"), h("button.plain", { type: "button", onclick: clear }, "Clear")),
    answer);
}

/** The address of a VM given by name, best one in the sender's CUG and family; anything else is taken for an address. */
function addressOf(site, text, from) {
  const vm = site.vms.get(text);
  if (!vm) return text;
  const nics = [...vm.interfaces].sort((a, b) => Number(b.cug === from?.cug) - Number(a.cug === from?.cug));
  const four = (from?.ips ?? []).some((ip) => ip.includes("."));
  const ips = nics.flatMap((nic) => nic.ips);
  return ips.find((ip) => ip.includes(".") === four) ?? ips[0] ?? text;
}

function shown(answer) {
  const good = GOOD.has(answer.verdict);
  const rows = answer.hops.flatMap((hop) => {
    const tables = (Array.isArray(hop.tables) ? hop.tables : []).map((row) => row.table).join(" → ");
    const what = `${hop.routed ? "routed: " : ""}${tables}`;
    const ins = `${hop.in_port} · ${hop.vlan_id ?? "untagged"}`;
    const outs = hop.outputs.map((row) => `${row.to} · ${row.vlan_id ?? "untagged"}${row.dropped ? ` ✕ ${row.dropped}` : ""}`);
    return [[h("strong", {}, hop.switch), ins, what, outs.length ? outs.map((text) => h("div", {}, text)) : hop.dropped ?? hop.ended]];
  });
  return [
    h(`p.verdict.${good ? "good" : "bad"}`, {}, h("strong", {}, `${good ? "✓" : "✕"} ${answer.verdict}`), `: ${answer.reason}`),
    ...(answer.refused ?? []).map((fault) => h("p.verdict.warn", {}, `⚠ ${fault.switch} does not have a flow on this way (${fault.owner.reason}): ${fault.error}: ${fault.cause}`)),
    answer.hops.length ? table("The way", ["Switch", "In: port · VLAN-ID", "Tables", "Out: to · VLAN-ID"], rows) : "",
    h("p.quiet", {}, `${count(answer.hops.length, "switch", "switches")} on the way${
      answer.not_in_step?.length ? `; not in step, so it may be otherwise for a moment: ${answer.not_in_step.join(", ")}` : ""}`),
  ];
}
