// The map: the scene drawn by cytoscape, changed only where something has changed, and walked through by keyboard.

import cytoscape from "./vendor/cytoscape.esm.min.js";
import { isLarge, switchOf } from "./fabric.js";
import { FAR, palette, sheet } from "./mapstyle.js";
import { scene } from "./scene.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const LEG = 420; // milliseconds for each piece of a move's way
const SLIDE = 180;
const MARGIN = 24;
const STEP = 40; // pixels
const NARROW = 640; // pixels: on less, racks are cards however few they are
const SEEN = 0.9; // as near one goes to show a thing among what is around it
const OPENED = new Set(["vm", "server", "switch", "external", "link"]);

export class FabricMap {
  constructor(element, says, onOpen) {
    this.says = says;
    this.onOpen = onOpen;
    this.element = element;
    this.servers = new Map(); // VM -> where it was drawn last
    this.cy = cytoscape({
      container: element, style: sheet(palette()), layout: { name: "preset" }, autoungrabify: true, boxSelectionEnabled: false,
      autounselectify: true, minZoom: 0.05, maxZoom: 2.5,
    });
    this.cy.on("tap", "node, edge", (event) => {
      const { kind, name } = event.target.data();
      if (OPENED.has(kind)) onOpen(kind, name);
      else if (kind === "rack" && this.cy.zoom() < FAR) this.show([event.target.id()]);
    });
    this.cy.on("mouseover", "node", () => { element.classList.add("pointing"); });
    this.cy.on("mouseout", "node", () => { element.classList.remove("pointing"); });
    this.cy.on("pan zoom", (event) => { if (!this.fitting && event.type) this.moved = true; });
    this.cy.on("zoom", () => this.rescale());
    dark.addEventListener("change", () => this.cy.style(sheet(palette())));
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("blur", () => this.cy.elements(".focused").removeClass("focused"));
    new ResizeObserver(() => {
      this.cy.resize();
      if (this.site?.known) this.draw(this.site);
      if (!this.moved) this.again();
    }).observe(element);
  }

  fit() {
    this.fitting = true;
    this.shown = null;
    this.cy.fit(undefined, MARGIN);
    if (this.cy.zoom() > 1.25) {
      this.cy.zoom(1.25);
      this.cy.center();
    }
    this.fitting = false;
    this.moved = false;
  }

  zoom(factor) {
    const box = this.element.getBoundingClientRect();
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { x: box.width / 2, y: box.height / 2 } });
  }

  /** The pixels there are, in steps: a few less move nothing. */
  screen() {
    const box = this.element.getBoundingClientRect();
    return { w: Math.max(STEP, STEP * Math.round(box.width / STEP)), h: Math.max(STEP, STEP * Math.round(box.height / STEP)) };
  }

  /** Names are as large as the distance wants it, and what could not be read is left out. Once for several steps of a zoom. */
  rescale() {
    if (!this.site || !isLarge(this.site) || this.rescaling) return;
    this.rescaling = requestAnimationFrame(() => {
      this.rescaling = 0;
      this.cy.elements().toggleClass("far", this.cy.zoom() < FAR);
      this.cy.style().update();
    });
  }

  /** Bring things into view: near enough to be read, with what is around them. Nothing where all can be read anyway. */
  show(ids) {
    if (!this.site || !isLarge(this.site)) return;
    const eles = this.cy.collection(ids.map((id) => this.cy.getElementById(id)).filter((each) => each.nonempty()));
    if (eles.empty()) return;
    this.shown = ids;
    const box = eles.boundingBox({ includeLabels: false, includeOverlays: false });
    const [width, height] = [this.cy.width() - 2 * MARGIN, this.cy.height() - 2 * MARGIN];
    const zoom = Math.min(SEEN, width / Math.max(1, box.w), height / Math.max(1, box.h));
    const pan = { x: this.cy.width() / 2 - zoom * (box.x1 + box.x2) / 2, y: this.cy.height() / 2 - zoom * (box.y1 + box.y2) / 2 };
    this.fitting = true;
    this.cy.stop();
    if (still.matches || document.hidden) {
      this.cy.viewport({ zoom, pan });
      this.fitting = false;
    } else {
      this.cy.animate({ zoom, pan }, { duration: SLIDE * 2, complete: () => { this.fitting = false; } });
    }
  }

  /** Back to all of it, if the user has not gone elsewhere meanwhile. */
  back() {
    const led = this.shown;
    this.shown = null;
    if (led && !this.moved) this.fit();
  }

  /** The same in a place of another size. */
  again() {
    if (this.shown) this.show(this.shown);
    else this.fit();
  }

  /** Draw what is so now. */
  draw(site) {
    const { cy } = this;
    this.site = site;
    site.narrow = this.element.clientWidth > 0 && this.element.clientWidth < NARROW;
    const wanted = scene(site, this.screen());
    // Where what stands still is drawn; when that changes all of it is shown again, unless the user looks at a part.
    const frame = JSON.stringify([isLarge(site), ...[...wanted.values()].filter((row) => row.position && row.data.kind !== "vm").map((row) => row.position)]);
    const grown = frame !== this.frame;
    this.frame = frame;
    cy.batch(() => {
      cy.elements().forEach((element) => { if (!wanted.has(element.id())) element.remove(); });
      const added = [];
      for (const [id, row] of wanted) {
        const known = cy.getElementById(id);
        if (known.empty()) {
          // Copied, because cytoscape keeps what it is given.
          added.push({ group: row.group, data: { ...row.data }, classes: row.classes, position: row.position && { ...row.position } });
        } else {
          this.change(known, row);
        }
      }
      cy.add(added);
    });
    for (const [id, row] of wanted) if (row.position) this.place(cy.getElementById(id), row);
    if (grown && !this.moved) this.again();
    this.mark();
    this.rescale();
  }

  change(known, row) {
    for (const [key, value] of Object.entries(row.data)) {
      if (key !== "id" && key !== "source" && key !== "target" && key !== "parent" && known.data(key) !== value) known.data(key, value);
    }
    if (row.group === "edges" && (known.data("source") !== row.data.source || known.data("target") !== row.data.target)) {
      known.move({ source: row.data.source, target: row.data.target });
    }
    const kept = ["picked", "focused", "onpath", "dim", "far", "named"].filter((name) => known.hasClass(name));
    known.classes([row.classes, ...kept].join(" "));
  }

  /** Bring a node to its place: at once, or, if it is a VM that has moved, along the way over its switches. */
  place(node, row) {
    const before = this.servers.get(node.id());
    if (row.data.server) this.servers.set(node.id(), row.data.server);
    const goal = node.scratch("goal") ?? node.position();
    if (goal.x === row.position.x && goal.y === row.position.y) return;
    node.scratch("goal", { ...row.position });
    node.stop(true);
    if (still.matches || row.data.kind !== "vm" || document.hidden) {
      node.position(row.position);
      return;
    }
    if (before && row.data.server && before !== row.data.server) {
      const ways = [before, row.data.server].map((server) => this.cy.getElementById(`at:${server}:0`).source());
      const stops = ways[0].same(ways[1]) ? ways.slice(0, 1) : ways;
      for (const stop of stops) {
        if (stop.nonempty()) node.animate({ position: { ...stop.position() } }, { duration: LEG, easing: "ease-in-out" });
      }
      node.animate({ position: { ...row.position } }, { duration: LEG, easing: "ease-in-out" });
    } else {
      node.animate({ position: { ...row.position } }, { duration: SLIDE });
    }
  }

  // What is picked, and the path of a trace

  pick(kind, name) {
    this.picked = kind ? { kind, name } : null;
    this.mark();
    const node = this.node(kind, name);
    if (kind && isLarge(this.site)) this.show(this.around(kind, name));
    else if (node?.nonempty() && node.isNode() && !this.inView(node)) this.cy.animate({ center: { eles: node } }, { duration: still.matches ? 0 : SLIDE });
  }

  /** What is shown together with a thing: its rack, the ends of a link, both places of a VM that moves. */
  around(kind, name) {
    const { site } = this;
    const rackOf = (server) => {
      const row = site.fabric.servers.find((each) => each.name === server);
      return row ? `rack:${switchOf(row.attach[0])}` : "";
    };
    if (kind === "vm") {
      const move = site.moveOf(name);
      return [site.vms.get(name)?.server, move?.from, move?.to].filter(Boolean).map(rackOf);
    }
    if (kind === "server") return [rackOf(name)];
    if (kind === "link") {
      const row = site.fabric.links.find((each) => each.name === name);
      return row ? [`sw:${switchOf(row.a)}`, `sw:${switchOf(row.b)}`] : [];
    }
    return kind === "switch" && this.cy.getElementById(`rack:${name}`).nonempty() ? [`rack:${name}`] : [this.node(kind, name)?.id() ?? ""];
  }

  node(kind, name) {
    const prefix = { vm: "vm", server: "srv", switch: "sw", external: "ext", link: "ln" }[kind];
    return prefix && this.cy.getElementById(`${prefix}:${name}`);
  }

  inView(node) {
    const view = this.cy.extent();
    const { x, y } = node.position();
    return x > view.x1 && x < view.x2 && y > view.y1 && y < view.y2;
  }

  /** Show a path: {id of an edge: its label}, and the ids of nodes on it; null: no path. */
  showPath(path) {
    this.path = path;
    const { site } = this;
    const before = site?.traced.size ?? 0;
    if (site) site.traced = new Set([...(path?.nodes ?? [])].filter((id) => id.startsWith("vm:")).map((id) => id.slice(3)));
    if (site && (before || site.traced.size)) this.draw(site);
    else this.mark();
    if (path) this.show([...path.nodes]);
  }

  /** Only these ("vm:…", "srv:…", "rack:…": how many members are there) stand out; null: all do. */
  only(ids) {
    this.few = ids;
    this.mark();
  }

  mark() {
    const { cy, path, picked, few } = this;
    cy.batch(() => {
      cy.elements().removeClass("picked onpath dim named").removeData("hop members");
      if (picked) this.node(picked.kind, picked.name)?.addClass("picked");
      if (picked?.kind === "vm") for (const id of ["vm", "ghost", "mv"]) cy.getElementById(`${id}:${picked.name}`).addClass("named");
      for (const name of this.site?.traced ?? []) cy.getElementById(`vm:${name}`).addClass("named");
      if (path) {
        cy.elements().not(":parent").addClass("dim");
        for (const id of path.nodes) cy.getElementById(id).removeClass("dim").addClass("onpath");
        for (const [id, label] of path.edges) cy.getElementById(id).removeClass("dim").addClass("onpath").data("hop", label);
      } else if (few) {
        cy.nodes(".vm, .server.counted, .server.big, .rack").forEach((node) => {
          if (!few.has(node.id())) node.addClass("dim");
          else if (node.data("kind") !== "vm") node.data("members", `${few.get(node.id())} of its ${node.data("label").split("\n")[1]}`);
        });
      }
    });
  }

  // By keyboard

  key(event) {
    const nodes = this.cy.nodes().filter((node) => OPENED.has(node.data("kind")) && !node.hasClass("ghost"))
      .sort((a, b) => a.position("y") - b.position("y") || a.position("x") - b.position("x"));
    if (!nodes.length) return;
    const now = this.cy.nodes(".focused").first();
    const actions = { Enter: () => now.nonempty() && this.onOpen(now.data("kind"), now.data("name")), "+": () => this.zoom(1.25),
      "-": () => this.zoom(0.8), 0: () => this.fit() };
    const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (directions[event.key]) {
      this.focus(now.empty() ? nodes.first() : nearest(now, nodes, directions[event.key]));
    } else if (actions[event.key]) {
      actions[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  }

  focus(node) {
    this.cy.nodes(".focused").removeClass("focused");
    node.addClass("focused");
    const { kind, label } = node.data();
    this.says.textContent = `${kind === "vm" ? "VM" : kind} ${label.replaceAll("\n", ", ")}`;
    if (!this.inView(node)) this.cy.center(node);
  }
}

/** The node next to `from` in a direction: what lies straight ahead before what lies aside. */
function nearest(from, nodes, [dx, dy]) {
  const here = from.position();
  let best = from;
  let least = Infinity;
  nodes.forEach((node) => {
    const [x, y] = [node.position("x") - here.x, node.position("y") - here.y];
    const ahead = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    const cost = ahead + 2.5 * aside;
    if (ahead > 1 && cost < least) [best, least] = [node, cost];
  });
  return best;
}
