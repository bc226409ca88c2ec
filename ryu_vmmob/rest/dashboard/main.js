// The page: who draws what, and what opens what.

import { drawAbout } from "./about.js";
import { token } from "./api.js";
import { LISTS } from "./columns.js";
import { cugPanel, newCugPanel } from "./cug.js";
import { h } from "./dom.js";
import { Legend } from "./legend.js";
import { Lists } from "./lists.js";
import { Live } from "./live.js";
import { Log } from "./log.js";
import { FabricMap } from "./map.js";
import { drawMoves } from "./moves.js";
import { newPolicyPanel, policyPanel } from "./policy.js";
import { domainPanel } from "./pool.js";
import { portPanel } from "./ports.js";
import { searchBox } from "./search.js";
import { Site } from "./site.js";
import { drawStatus } from "./status.js";
import { externalPanel, linkPanel, serverPanel, switchPanel } from "./things.js";
import "./token.js";
import { vmPanel } from "./vm.js";

const at = (id) => document.getElementById(id);
const PANELS = {
  vm: vmPanel, server: serverPanel, switch: switchPanel, external: externalPanel, link: linkPanel, port: portPanel, domain: domainPanel, cug: cugPanel, policy: policyPanel,
  new: (site_, name, use) => (name === "policy" ? newPolicyPanel : newCugPanel)(site_, name, use),
};

const site = new Site();
const map = new FabricMap(at("map"), at("map-says"), open);
const log = new Log(at("log"), site, () => ({
  text: lists.kind === "events" ? at("list-find").value.trim() : "", family: at("log-filter").value, minutes: Number(at("log-time").value),
}));
const lists = new Lists(site, {
  tabs: at("tabs"), find: at("list-find"), place: at("list"), events: at("log-choice"), make: at("list-make"),
  chosen: (kind, text) => {
    note(addressOf(kind, text), true);
    log.draw();
  },
});
const legend = new Legend(at("legend"), site, (ids) => map.only(ids));
let panel = null;
let cameFrom = null;
let followed = null; // the address that was opened last

/** What is looked at, as the part of the address after "#": it can be pasted elsewhere, and opened there. */
const addressOf = (kind, name) => `#${kind}=${encodeURIComponent(name)}`;

function note(address, instead = false) {
  followed = address;
  if (location.hash === address) return;
  history[instead ? "replaceState" : "pushState"](null, "", address || location.pathname + location.search);
}

/** Open what the address names, when that is not open yet. */
function follow() {
  if (!site.known || location.hash === followed) return;
  followed = location.hash;
  const [, kind, name] = /^#([a-z]+)=?(.*)$/.exec(location.hash) ?? [];
  if (PANELS[kind] || kind === "move" || isList(kind)) open(kind, decoded(name));
  else shut();
}

const isList = (kind) => kind === "events" || Object.hasOwn(LISTS, kind ?? "");

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function open(kind, name) {
  if (kind === "moves" && name === undefined) return reveal(at("moves"));
  if (isList(kind)) {
    lists.choose(kind, name);
    note(addressOf(kind, name));
    log.draw();
    return reveal(at("list-area"));
  }
  if (kind === "migration" || kind === "move") {
    site.pickedMove = name;
    note(addressOf("move", name));
    drawMoves(at("moves-list"), site);
    return reveal(at("moves-list").querySelector(`[data-migration="${CSS.escape(name)}"]`) ?? at("moves"));
  }
  if (kind === "refused") {
    lists.choose("events", "");
    at("log-filter").value = "refused";
    draw();
    return reveal(at("log"));
  }
  if (!panel) cameFrom = document.activeElement;
  note(addressOf(kind, name));
  map.showPath(null);
  site.picked = kind === "vm" ? name : null;
  map.draw(site);
  map.pick(kind, name);
  panel?.close?.();
  panel = PANELS[kind](site, name, { show: (path) => map.showPath(path), open, shut, single: (cug) => legend.choose(cug) });
  const close = h("button.plain", { type: "button", onclick: shut, "aria-label": "Close" }, "✕");
  at("details").replaceChildren(h("div.bar", {}, h("h2", {}, panel.title), close), panel.element);
  at("details").hidden = false;
  at("details").setAttribute("aria-label", panel.title);
  at("details").focus({ preventScroll: true });
  at("details").scrollIntoView({ block: "nearest" });
  return undefined;
}

function reveal(element) {
  element.scrollIntoView({ block: "nearest" });
  element.setAttribute("tabindex", element.getAttribute("tabindex") ?? "-1");
  element.focus({ preventScroll: true });
}

function shut() {
  if (!panel) return;
  panel.close?.();
  panel = null;
  note("");
  at("details").hidden = true;
  at("details").replaceChildren();
  map.showPath(null);
  map.pick(null);
  site.picked = null;
  map.draw(site);
  map.back();
  (cameFrom?.isConnected ? cameFrom : at("find")).focus({ preventScroll: true });
}

function draw() {
  drawStatus(at("status"), site);
  if (!site.known) return;
  at("fabric-name").textContent = site.fabric.fabric;
  at("forget").hidden = !token.get();
  map.draw(site);
  legend.draw();
  drawMoves(at("moves-list"), site);
  log.draw();
  lists.draw();
  panel?.update();
  follow();
  document.body.dataset.drawn = String(site.fabric.revision);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-open]");
  if (button) open(button.dataset.open, button.dataset.name);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !at("token-dialog").open) shut();
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    at("find").value = "";
    at("find").focus();
    event.preventDefault();
  }
});
at("forget").addEventListener("click", () => {
  token.forget();
  location.reload();
});
at("zoom-in").addEventListener("click", () => map.zoom(1.25));
at("zoom-out").addEventListener("click", () => map.zoom(0.8));
at("zoom-all").addEventListener("click", () => map.fit());
for (const id of ["log-filter", "log-time"]) at(id).addEventListener("change", () => log.draw());
searchBox(at("find"), at("found"), site, open);
site.addEventListener("change", draw);
addEventListener("popstate", follow);
addEventListener("hashchange", follow);
draw();
site.addEventListener("known", () => drawAbout(at("about")));
new Live(site).start();
