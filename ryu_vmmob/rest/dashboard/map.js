// The map: the scene drawn by cytoscape, changed only where something has changed, and walked through by keyboard.

import cytoscape from "./vendor/cytoscape.esm.min.js";
import { palette, sheet } from "./mapstyle.js";
import { scene } from "./scene.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const LEG = 420; // milliseconds for each piece of a move's way
const SLIDE = 180;
const MARGIN = 24;
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
    });
    this.cy.on("mouseover", "node", () => { element.classList.add("pointing"); });
    this.cy.on("mouseout", "node", () => { element.classList.remove("pointing"); });
    this.cy.on("pan zoom", (event) => { if (!this.fitting && event.type) this.moved = true; });
    dark.addEventListener("change", () => this.cy.style(sheet(palette())));
    element.addEventListener("keydown", (event) => this.key(event));
    element.addEventListener("blur", () => this.cy.elements(".focused").removeClass("focused"));
    new ResizeObserver(() => {
      this.cy.resize();
      if (!this.moved) this.fit();
    }).observe(element);
  }

  fit() {
    this.fitting = true;
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

  /** Draw what is so now. */
  draw(site) {
    const { cy } = this;
    const wanted = scene(site);
    // Where what stands still is drawn; when that changes all of it is shown again, unless the user looks at a part.
    const frame = JSON.stringify([...wanted.values()].filter((row) => row.position && row.data.kind !== "vm").map((row) => row.position));
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
    if (grown && !this.moved) this.fit();
    this.mark();
  }

  change(known, row) {
    for (const [key, value] of Object.entries(row.data)) {
      if (key !== "id" && key !== "source" && key !== "target" && key !== "parent" && known.data(key) !== value) known.data(key, value);
    }
    if (row.group === "edges" && (known.data("source") !== row.data.source || known.data("target") !== row.data.target)) {
      known.move({ source: row.data.source, target: row.data.target });
    }
    const kept = ["picked", "focused", "onpath", "dim"].filter((name) => known.hasClass(name));
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
    if (node?.nonempty() && node.isNode() && !this.inView(node)) this.cy.animate({ center: { eles: node } }, { duration: still.matches ? 0 : SLIDE });
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
    this.mark();
  }

  /** Only these nodes ("vm:…", "srv:…") stand out of all VMs and servers; null: all do. */
  only(ids) {
    this.few = ids;
    this.mark();
  }

  mark() {
    const { cy, path, picked, few } = this;
    cy.batch(() => {
      cy.elements().removeClass("picked onpath dim").removeData("hop");
      if (picked) this.node(picked.kind, picked.name)?.addClass("picked");
      if (path) {
        cy.elements().not(":parent").addClass("dim");
        for (const id of path.nodes) cy.getElementById(id).removeClass("dim").addClass("onpath");
        for (const [id, label] of path.edges) cy.getElementById(id).removeClass("dim").addClass("onpath").data("hop", label);
      } else if (few) {
        cy.nodes(".vm, .server.counted").forEach((node) => { if (!few.has(node.id())) node.addClass("dim"); });
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
