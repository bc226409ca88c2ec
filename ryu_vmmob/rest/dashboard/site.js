// What is known of the controller's state, and how to learn it again. Views listen to "change".

import { ApiError, get, part } from "./api.js";

const LOG = 500;
const MANY = 12;
const TOLD = new Set(["batch", "cug", "external", "fabric", "link", "migration", "neighbour", "refused", "store", "switch"]); // what health is made of
const FINAL = new Set(["committed", "aborted", "failed"]);
const LISTS = { vm: "vms", cug: "cugs", policy: "policies", migration: "migrations", switch: "switches" };

export const isFinal = (migration) => FINAL.has(migration.state);

export class Site extends EventTarget {
  constructor() {
    super();
    this.fabric = null;
    this.known = false; // whether everything has been learnt once: half of it would be a false comfort
    this.vms = new Map();
    this.cugs = new Map();
    this.policies = new Map();
    this.migrations = new Map();
    this.switches = new Map();
    this.log = [];
    this.picked = null; // the VM that is looked at: it is drawn even where VMs are only counted
    this.traced = new Set(); // VMs at the ends of a path that is shown
    this.pickedMove = null; // the move that an address names: it is listed however old it is
    this.health = null;
    this.connection = "connecting"; // live, polling, lost
    this.seen = null; // when the controller was last heard of
    this.wanted = new Map();
    this.flushing = null;
    this.announced = false;
  }

  // Telling

  changed() {
    if (this.announced) return;
    this.announced = true;
    setTimeout(() => {
      this.announced = false;
      this.dispatchEvent(new Event("change"));
    }, 30);
  }

  note(row) {
    if (row.id && this.log.some((known) => known.id === row.id)) return;
    this.log.unshift(row);
    this.log.length = Math.min(this.log.length, LOG);
    this.changed();
  }

  // Learning

  async loadAll() {
    const kinds = Object.keys(LISTS);
    await Promise.all([this.loadHealth(), this.loadFabric(), ...kinds.map((kind) => this.loadList(kind))]);
    if (!this.known) this.dispatchEvent(new Event("known"));
    this.known = true;
    this.changed();
  }

  async loadFabric() {
    this.fabric = await get("/v1/fabric");
    this.changed();
  }

  async loadHealth(options = {}) {
    this.health = await get("/v1/health", options);
    this.changed();
  }

  async loadList(kind) {
    const key = kind === "migration" ? "id" : "name";
    const items = (await get(`/v1/${LISTS[kind]}`)).items;
    this[LISTS[kind]] = new Map(items.map((row) => [row[key], row]));
    this.changed();
  }

  async loadOne(kind, name) {
    const rows = this[LISTS[kind]];
    try {
      rows.set(name, await get(`/v1/${LISTS[kind]}/${part(name)}`));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      rows.delete(name);
    }
    this.changed();
  }

  /** Learn something again, soon and together with what else is wanted; without a name, all of the kind. */
  want(kind, name = null) {
    if (!this.wanted.has(kind)) this.wanted.set(kind, new Set());
    this.wanted.get(kind).add(name);
    this.flushing ??= new Promise((done) => setTimeout(done, 80)).then(() => this.flush());
  }

  async flush() {
    const wanted = this.wanted;
    this.wanted = new Map();
    try {
      for (const [kind, names] of wanted) {
        if (kind === "health") await this.loadHealth();
        else if (kind === "fabric") await this.loadFabric();
        else if (names.has(null) || names.size > MANY) await this.loadList(kind);
        else await Promise.all([...names].map((name) => this.loadOne(kind, name)));
      }
    } catch {
      // live.js looks every few seconds, and finds it out.
    }
    this.flushing = null;
    if (this.wanted.size) for (const [kind, names] of [...this.wanted]) for (const name of names) this.want(kind, name);
  }

  /** An event of /v1/events: note it, and learn again what it is about. */
  heard(row) {
    const [family] = row.event.split(".");
    this.note(row);
    if (TOLD.has(family)) this.want("health");
    if (row.event === "gap" || family === "fabric") {
      this.loadAll().catch(() => {});
      return;
    }
    if (family === "migration" || family === "batch") this.want("migration", row.migration ?? null);
    if (row.vm) this.want("vm", row.vm);
    if (row.cug && family !== "refused") this.want("cug", row.cug);
    if (family === "cug" || family === "vlan_id") this.want("vm");
    if (row.policy) this.want("policy", row.policy);
    if (["switch", "refused", "migration", "store"].includes(family)) this.want("switch");
    if (["link", "external", "neighbour"].includes(family)) this.want("fabric");
  }

  // Asking

  /** How a switch stands, in the controller's word: in_step, settling, behind, refused, held, away. */
  standing(name) {
    return this.health?.switches[name] ?? "away";
  }

  underWay() {
    return [...this.migrations.values()].filter((row) => !isFinal(row));
  }

  /** The migration of a VM that is under way, if there is one. */
  moveOf(vm) {
    const id = this.vms.get(vm)?.migration;
    const row = id ? this.migrations.get(id) : undefined;
    return row && !isFinal(row) ? row : undefined;
  }

  /** {frames, servers}: how many were refused in the last minute, as far as they were reported, and where. */
  refusedLately() {
    const from = Date.now() - 60_000;
    const found = { frames: 0, servers: new Set() };
    for (const row of this.log) {
      if (!row.event.startsWith("refused") || Date.parse(row.time) < from) continue;
      found.frames += 1 + (row.more ?? 0);
      found.servers.add(row.server);
    }
    return found;
  }
}
