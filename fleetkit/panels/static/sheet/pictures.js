/* Pictures: sparklines of our own, and copies of SVG that hold nothing but shapes and text. */

import { UNKNOWN, make, visibleText } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, HIGH] = [80, 16]; // px, of a sparkline

/** A small line of the last values, drawn once per change. */
export function spark(cell, values) {
  const list = Array.isArray(values) ? values.filter((value) => typeof value === "number") : [];
  const told = list.join(" ");
  if (cell.dataset.told === told) return;
  cell.dataset.told = told;
  cell.replaceChildren();
  cell.title = "";
  if (list.length < 2) {
    cell.textContent = list.length ? "" : UNKNOWN;
    return;
  }
  const most = Math.max(...list);
  const least = Math.min(...list);
  const span = most - least || 1;
  const points = list.map((value, i) => {
    const x = 1 + (i * (WIDE - 2)) / (list.length - 1);
    return `${x.toFixed(1)},${(HIGH - 1 - ((value - least) / span) * (HIGH - 2)).toFixed(1)}`;
  });
  const said = `last ${list.at(-1).toFixed(1)}, least ${least.toFixed(1)}, most ${most.toFixed(1)}`;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
  svg.setAttribute("class", "fks-sparkline");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", said);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  cell.append(svg);
  cell.title = said;
}

const ELEMENTS = new Set([
  "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan",
  "defs", "clipPath", "use", "title", "desc",
]);
const ATTRIBUTES = new Set([
  "id", "class", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "r", "rx", "ry", "cx", "cy",
  "width", "height", "viewBox", "points", "transform", "version", "preserveAspectRatio",
]);
const PAINT = /^(fill|fill-opacity|fill-rule|stroke|stroke-[a-z]+|opacity|font|font-[a-z]+|text-anchor|dominant-baseline|clip-path|clip-rule|white-space)$/;
// A backslash could spell any of these words in a way that only the browser reads.
const OUTSIDE = /\\|url\((?!\s*['"]?#)|src\(|image|expression|javascript:|@import/i;

function copyStyle(style, copy) {
  for (const rule of style.split(";")) {
    const at = rule.indexOf(":");
    const property = rule.slice(0, at).trim();
    if (at > 0 && PAINT.test(property) && !OUTSIDE.test(rule)) {
      copy.style.setProperty(property, rule.slice(at + 1).trim());
    }
  }
}

/** A copy of an SVG node; what is not known to be harmless is left out. */
function safeCopy(node) {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(visibleText(node.data));
  if (node.nodeType !== Node.ELEMENT_NODE || !ELEMENTS.has(node.localName)) return null;
  const copy = document.createElementNS(SVG, node.localName);
  for (const { name, localName, value } of node.attributes) {
    if (name === "style") copyStyle(value, copy);
    else if (localName === "href") {
      if (/^#[\w-]+$/.test(value)) copy.setAttribute("href", value);
    } else if ((ATTRIBUTES.has(name) || PAINT.test(name)) && !OUTSIDE.test(value)) {
      copy.setAttribute(name, value);
    }
  }
  for (const child of node.childNodes) {
    const safe = safeCopy(child);
    if (safe) copy.append(safe);
  }
  return copy;
}

export class PictureView {
  constructor(view, spec, parent) {
    this.block = view.store.blocks[spec.id];
    this.element = make("div", "fks-picture", parent);
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", spec.label);
    this.element.hidden = true;
  }

  update() {
    const drawing = this.block.shown;
    if (this.told === drawing) return;
    this.told = drawing;
    this.element.replaceChildren();
    this.element.hidden = !drawing;
    if (!drawing) return;
    this.element.setAttribute("aria-label", visibleText(drawing.alt, 1000));
    const read = new DOMParser().parseFromString(drawing.svg, "image/svg+xml").documentElement;
    const copy = read.localName === "svg" ? safeCopy(read) : null;
    if (copy) this.element.append(copy);
  }

  tick() {}
}
