// How news comes: by /v1/events as a WebSocket, and by asking every two seconds while there is none. And that none comes: the
// stream has a heartbeat, so silence means that what is shown may be true no more.

import { ApiError, get, token } from "./api.js";

const POLL = 2000;
const LOOK = 10_000;
const HEARTBEAT = 2; // seconds
const PATIENCE = 5000; // milliseconds of silence after which the page says how old it is
const WATCH = 250;
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
    this.heardAt = performance.now(); // anything at all
    this.spokeAt = 0; // the stream
  }

  /** Learn everything, then stay up to date for ever. */
  async start() {
    setInterval(() => this.watch(), WATCH);
    await this.begin();
    for (;;) {
      await new Promise((done) => {
        this.wake = done;
        setTimeout(done, this.site.connection === "live" ? LOOK : POLL);
      });
      await this.look();
    }
  }

  async begin() {
    try {
      const page = await get("/v1/events?limit=200");
      for (const row of page.items) this.site.note(row);
      this.last = page.last;
      await this.site.loadAll();
      this.revision = this.site.fabric.revision;
      this.heard("polling");
    } catch {
      return this.lose();
    }
    this.listen();
    return undefined;
  }

  /** The controller has said something: what is shown is of now, or will be in a moment. */
  heard(connection) {
    const { site } = this;
    this.heardAt = performance.now();
    site.seen = new Date();
    if (site.connection === connection) return;
    if (site.connection === "lost") this.wasLost = true;
    site.connection = connection;
    site.changed();
    if (this.wasLost) this.wake?.();
  }

  lose() {
    if (this.site.connection === "lost") return;
    this.site.connection = "lost";
    this.site.changed();
  }

  /** Check the time-out: a controller that is silent for so long counts as away, and is polled. */
  watch() {
    if (this.site.connection === "connecting" || performance.now() - this.heardAt < PATIENCE) return;
    if (this.site.connection !== "lost") {
      this.lose();
      this.wake?.();
    }
  }

  listen() {
    const address = new URL(`/v1/events?since=${this.last}&heartbeat=${HEARTBEAT}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const known = token.get();
    const socket = new WebSocket(address, known ? [SUBPROTOCOL, `bearer.${base64url(known)}`] : [SUBPROTOCOL]);
    this.socket = socket;
    const speaks = () => {
      this.tries = 0;
      this.spokeAt = performance.now();
      this.heard("live");
    };
    socket.addEventListener("open", () => {
      if (this.socket === socket) speaks();
    });
    socket.addEventListener("message", (message) => {
      if (this.socket !== socket) return;
      speaks();
      this.take(JSON.parse(message.data));
    });
    socket.addEventListener("close", () => {
      if (this.socket === socket) this.again();
    });
  }

  /** No stream for the moment: another one soon. */
  again() {
    this.socket = null;
    if (this.site.connection === "live") {
      this.site.connection = "polling";
      this.site.changed();
      this.wake?.();
    }
    setTimeout(() => this.listen(), RETRY[Math.min(this.tries++, RETRY.length - 1)]);
  }

  /** Ask how things stand; learn again what has changed. */
  async look() {
    const { site } = this;
    if (!site.known) return this.begin();
    try {
      await site.loadHealth({ seconds: PATIENCE / 1000 });
      const streams = this.socket?.readyState === WebSocket.OPEN;
      if (streams && performance.now() - this.spokeAt > 2 * PATIENCE) {
        // It answers, and the stream is silent: the connection of that is dead, and only we do not know.
        this.socket.close();
        this.again();
      }
      const live = this.socket?.readyState === WebSocket.OPEN;
      const wasLost = this.wasLost || site.connection === "lost";
      if (!live) {
        const page = await get(`/v1/events?since=${this.last}`);
        for (const row of page.items) this.take(row);
      }
      if (site.health.revision !== this.revision || wasLost) {
        await site.loadAll();
        this.revision = site.health.revision;
      } else {
        await site.loadList("switch"); // what they count is no event
      }
      this.wasLost = false;
      this.heard(live ? "live" : "polling");
      this.wasLost = false;
      site.changed();
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error); // a fault of the page; it goes on looking
      else if (error.status === 0 && performance.now() - this.spokeAt >= PATIENCE) this.lose();
    }
    return undefined;
  }

  /** An event, by whichever way it came; by both ways it counts once. */
  take(row) {
    if (row.event === "heartbeat") {
      this.last = Math.max(this.last, row.id);
      return;
    }
    if (row.event !== "gap" && row.id <= this.last) return;
    this.last = row.id;
    this.site.heard(row);
  }
}
