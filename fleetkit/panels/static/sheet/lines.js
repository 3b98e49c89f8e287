/* Lines of segments, and notices. */

import { ageText, leftText, make, say, visibleText } from "./text.js";

export class LineView {
  constructor(view, spec, parent) {
    this.view = view;
    this.spec = spec;
    this.block = view.store.blocks[spec.id];
    this.element = make("div", "fks-line", parent);
    this.element.setAttribute("role", "status");
    this.element.setAttribute("aria-label", spec.label);
    this.element.setAttribute("aria-live", spec.aria_live ?? "polite");
    this.timed = [];
  }

  update() {
    const segments = this.block.shown ?? [];
    if (this.told === this.block.shown) return;
    this.told = this.block.shown;
    this.element.replaceChildren();
    this.timed = [];
    this.element.hidden = !segments.length;
    for (const segment of segments) this.add(segment);
    this.tick(this.view.store.elapsed());
  }

  add(segment) {
    const part = make("span", `fks-segment fks-${segment.kind ?? "text"}`, this.element);
    part.dataset.tone = segment.tone ?? "";
    if (segment.title) part.title = visibleText(segment.title);
    if (segment.text) make("bdi", "", part).textContent = visibleText(segment.text);
    if (segment.kind === "progress") this.addBar(segment, part);
    this.count(segment.since, part, (elapsed) => `${ageText(elapsed - segment.since)} ago`);
    this.count(segment.until, part, (elapsed) => leftText(segment.until - elapsed));
  }

  addBar(segment, part) {
    const bar = make("span", "fks-bar", part);
    const share = Math.min(Math.max(segment.share ?? 0, 0), 1);
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-label", visibleText(segment.text || this.spec.label));
    bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    make("span", "fks-done", bar).style.width = `${share * 100}%`;
  }

  count(moment, part, text) {
    if (moment === undefined || moment === null) return;
    const counted = make("span", "fks-counted", part);
    counted.setAttribute("aria-hidden", "true"); // or a reader would hear every second of it
    this.timed.push((elapsed) => say(counted, text(elapsed)));
  }

  tick(elapsed) {
    this.timed.forEach((count) => count(elapsed));
  }
}

export class NoteView {
  constructor(view, spec, parent) {
    this.block = view.store.blocks[spec.id];
    this.element = make("div", "fks-note", parent);
    this.element.setAttribute("role", "alert");
    this.element.hidden = true;
  }

  update() {
    const text = this.block.shown;
    this.element.hidden = !text;
    say(this.element, text ? visibleText(text, 1000) : "");
  }

  tick() {}
}
