// What follows from the facts for every drawing: which switch is how far from servers, what stands where, and how much there is.

const byName = (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });
export const switchOf = (port) => port.slice(0, port.lastIndexOf(":"));
export const portOf = (port) => port.slice(port.lastIndexOf(":") + 1);

/** With more servers than that, racks are cards. */
const MANY_SERVERS = 48;

/** So many VMs are drawn one by one; with more, a server says how many it has. */
export const MANY_VMS = 160;

/** Whether VMs are counted instead of drawn. */
export const aggregated = (site) => site.vms.size > MANY_VMS || isLarge(site);

/** Whether racks are drawn as cards. */
export const isLarge = (site) => site.narrow || site.fabric.servers.length > MANY_SERVERS;

/** The switches of a fabric in rows: 0 is the lowest, with servers; each switch above is one further from any server. */
export function ranks(fabric) {
  const rank = new Map();
  let edge = new Set(fabric.servers.map((server) => switchOf(server.attach[0])));
  const neighbours = new Map(fabric.switches.map((row) => [row.name, []]));
  for (const link of fabric.links) {
    neighbours.get(switchOf(link.a))?.push(switchOf(link.b));
    neighbours.get(switchOf(link.b))?.push(switchOf(link.a));
  }
  for (const row of fabric.switches) if (row.role === "tor") edge.add(row.name);
  if (!edge.size) edge = new Set(fabric.switches.map((row) => row.name));
  for (let level = 0; edge.size; level += 1) {
    for (const name of edge) rank.set(name, level);
    edge = new Set([...edge].flatMap((name) => neighbours.get(name)).filter((name) => !rank.has(name)));
  }
  for (const row of fabric.switches) if (!rank.has(row.name)) rank.set(row.name, 1);
  // Where borders stand beside spines, they stand above them.
  const spines = fabric.switches.filter((row) => row.role === "spine").map((row) => rank.get(row.name));
  if (spines.length) {
    for (const row of fabric.switches) {
      if (row.role === "border" && rank.get(row.name) > 0) rank.set(row.name, Math.max(rank.get(row.name), Math.max(...spines) + 1));
    }
  }
  return rank;
}

/** What stands in which server: VMs, and places that are ready for one or that one is leaving. Sorted, so that places are kept. */
export function occupants(site) {
  const found = new Map(site.fabric.servers.map((server) => [server.name, []]));
  const counted = aggregated(site);
  for (const vm of site.vms.values()) {
    const move = site.moveOf(vm.name);
    if (!counted || move || site.picked === vm.name || site.traced.has(vm.name)) found.get(vm.server)?.push({ vm: vm.name, ghost: false });
    const other = move && (move.to === vm.server ? move.from : move.to);
    if (other && other !== vm.server) found.get(other)?.push({ vm: vm.name, ghost: true });
  }
  for (const rows of found.values()) rows.sort((a, b) => (a.vm < b.vm ? -1 : 1));
  return found;
}

/** {switch: names of its servers} of the switches that are at the foot of the fabric. */
export function racksOf(fabric) {
  const found = new Map();
  for (const server of [...fabric.servers].sort(byName)) {
    const at = switchOf(server.attach[0]);
    if (!found.has(at)) found.set(at, []);
    found.get(at).push(server.name);
  }
  for (const row of fabric.switches) if (row.role === "tor" && !found.has(row.name)) found.set(row.name, []);
  return found;
}
