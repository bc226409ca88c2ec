// Which controller this is, who asks, and what else there is to look at: beside the name of the fabric.

import { ApiError, get } from "./api.js";
import { h } from "./dom.js";

const WEB = new Set(["http:", "https:"]);

function outside(address, text) {
  // An address is the operator's own, and still no script may come by it.
  try {
    if (!WEB.has(new URL(address).protocol)) return null;
  } catch {
    return null;
  }
  return h("a", { href: address, target: "_blank", rel: "noreferrer" }, text);
}

export async function drawAbout(element) {
  try {
    const { version, grafana, caller } = await get("/v1/controller");
    const who = caller.token ? `${caller.token}, ${caller.role}` : caller.role;
    element.replaceChildren(...[h("span", { title: "Version of the controller, and who asks" }, `${version} · ${who}`), grafana ? outside(grafana, "Grafana") : null,
      h("a", { href: "/docs", title: "Every call of the REST interface" }, "REST")].filter(Boolean));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}
