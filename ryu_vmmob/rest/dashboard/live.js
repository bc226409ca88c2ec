// How news comes: by /v1/events as a WebSocket, and by asking every two seconds while there is none.

import { get, token } from "./api.js";

const POLL = 2000;
const HEARTBEAT = 10_000;
const RETRY = [1000, 2000, 5000, 15_000];
const SUBPROTOCOL = "vmmob.events";

const base64url = (text) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export class Live {
  constructor(site) {
    this.site = site;
    this.revision = null;
    this.last = 0; // id of the newest event heard
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
      this.revision = (await get("/readyz", { accept: [503] })).revision;
      await this.site.loadAll();
      this.say("polling");
    } catch {
      return this.lose();
    }
    this.listen();
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
      this.take(JSON.parse(message.data));
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
        const page = await get(`/v1/events?since=${this.last}`);
        for (const row of page.items) this.take(row);
        this.say("polling");
      }
      if (ready.revision !== this.revision || wasLost) {
        await site.loadAll();
        this.revision = ready.revision;
      } else {
        await site.loadList("switch"); // what they count is no event
      }
      site.seen = new Date();
      site.changed(); // "in the last minute" goes on without news
    } catch {
      this.lose();
    }
    return undefined;
  }

  /** An event, by whichever way it came; by both ways it counts once. */
  take(row) {
    if (row.event !== "gap" && row.id <= this.last) return;
    this.last = row.id;
    this.site.heard(row);
  }
}
