// How news comes: by /v1/events as a WebSocket, and by asking every two seconds while there is none.

import { ApiError, get, token } from "./api.js";

const POLL = 2000;
const HEARTBEAT = 10_000;
const RETRY = [1000, 2000, 5000, 15_000];
const SUBPROTOCOL = "vmmob.events";

const base64url = (text) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export class Live {
  constructor(site) {
    this.site = site;
    this.revision = null;
    this.last = null; // id of the newest event heard; null: this controller has no events
    this.tries = 0;
    this.socket = null;
  }

  /** Learn everything, then stay up to date for ever. */
  async start() {
    await this.begin();
    for (;;) {
      await new Promise((done) => setTimeout(done, this.site.connection === "live" ? HEARTBEAT : POLL));
      await this.look();
    }
  }

  async begin() {
    try {
      const page = await get("/v1/events?limit=200");
      for (const row of page.items) this.site.note(row);
      this.last = page.last;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) return this.lose();
    }
    try {
      this.revision = (await get("/readyz", { accept: [503] })).revision;
      await this.site.loadAll();
      this.say("polling");
    } catch {
      return this.lose();
    }
    if (this.last === null) this.compare({ migrations: new Map(), switches: new Map() });
    if (this.last !== null) this.listen();
    return undefined;
  }

  say(connection) {
    if (this.site.connection === connection) return;
    this.site.connection = connection;
    this.site.seen = new Date();
    this.site.changed();
  }

  lose() {
    this.say("lost");
  }

  listen() {
    const address = new URL(`/v1/events?since=${this.last}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const known = token.get();
    const socket = new WebSocket(address, known ? [SUBPROTOCOL, `bearer.${base64url(known)}`] : [SUBPROTOCOL]);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.tries = 0;
      this.say("live");
    });
    socket.addEventListener("message", (message) => {
      const row = JSON.parse(message.data);
      this.last = row.id;
      this.site.heard(row);
    });
    socket.addEventListener("close", () => {
      if (this.site.connection === "live") this.say("polling");
      setTimeout(() => this.listen(), RETRY[Math.min(this.tries++, RETRY.length - 1)]);
    });
  }

  /** Ask how things stand; learn anew what has changed. */
  async look() {
    const { site } = this;
    if (!site.known) return this.begin();
    try {
      const ready = await get("/readyz", { accept: [503] });
      site.troubles = ready.troubles;
      const wasLost = site.connection === "lost";
      if (site.connection !== "live") {
        const before = { migrations: site.migrations, switches: site.switches };
        await Promise.all([site.loadList("migration"), site.loadList("switch")]);
        this.compare(before);
        this.say("polling");
      }
      if (ready.revision !== this.revision || wasLost) {
        await site.loadAll();
        this.revision = ready.revision;
      } else if (site.connection === "live") {
        await site.loadList("switch"); // what they count is no event
      }
      site.seen = new Date();
      site.changed(); // "in the last minute" goes on without news
    } catch {
      this.lose();
    }
    return undefined;
  }

  /** News made out of what has changed, for as long as nobody tells it. */
  compare({ migrations, switches }) {
    const { site } = this;
    const now = new Date().toISOString();
    const steps = [...site.migrations.values()].flatMap((row) => row.timeline.slice(migrations.get(row.id)?.timeline.length ?? 0)
      .map((entry) => ({ event: `migration.${entry.state}`, time: entry.time, vm: row.vm, from: row.from, to: row.to, reason: row.reason })));
    for (const row of steps.sort((a, b) => Date.parse(a.time) - Date.parse(b.time))) site.note(row);
    for (const [name, row] of site.switches) {
      const before = switches.get(name);
      if (before && before.connected !== row.connected) {
        site.note({ event: row.connected ? "switch.connected" : "switch.disconnected", time: now, switch: name });
      }
      for (const [server, number] of Object.entries(row.refused ?? {})) {
        const more = number - (before?.refused?.[server] ?? 0);
        if (before && more > 0) site.note({ event: "refused.frames", time: now, switch: name, server, count: more });
      }
    }
  }
}
