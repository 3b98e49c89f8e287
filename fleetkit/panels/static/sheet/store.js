/* What is known of a sheet, shared by all views of one widget.
 *
 * Rows are kept by slot, the place in order of arrival, as Python keeps them: take out, add,
 * change, in that order. Each view remembers itself which of the changes it has shown.
 */

import { TEXTS, cellText } from "./text.js";

const RESYNC_MS = 5_000;
const SETTLES_MS = 1_000; // so long an answer may still be about the selection before the last

export class Store {
  constructor(specs) {
    this.specs = specs;
    this.version = null;
    this.blocks = {};
    this.views = new Set();
    this.asking = null;
    this.base = { now: 0, perf: performance.now(), wall: Date.now() };
    for (const spec of specs) {
      const settled = () => this.tellViews([spec.id]);
      this.blocks[spec.id] = spec.type === "table" ? new Rows(spec, settled) : { shown: null };
    }
  }

  /** The Python clock, as far as this page can tell: a sleeping laptop stops one of the two. */
  elapsed() {
    const { now, perf, wall } = this.base;
    return now + Math.max(performance.now() - perf, Date.now() - wall) / 1000;
  }

  apply(message, ask) {
    const isWhole = message.kind === "full";
    if (!isWhole && message.kind !== "patch") return;
    if (!isWhole && message.base !== this.version) {
      this.lost(ask);
      return;
    }
    if (isWhole) this.found();
    this.version = message.version;
    this.base = { now: message.now, perf: performance.now(), wall: Date.now() };
    for (const [id, content] of Object.entries(message.blocks)) {
      const block = this.blocks[id];
      if (block instanceof Rows) block.take(content);
      else if (block) block.shown = content;
    }
    this.tellViews(Object.keys(message.blocks));
  }

  tellViews(ids) {
    for (const view of this.views) view.changed(ids);
  }

  /** A message is missing: ask for everything, and again while nothing comes. */
  lost(ask) {
    if (this.asking !== null || this.version === null) return; // each view said hello
    const again = () => {
      if (this.views.size) ask({ kind: "resync", have: this.version ?? 0 });
      else this.found(); // a view that comes asks by itself
    };
    this.asking = setInterval(again, RESYNC_MS);
    again();
  }

  found() {
    clearInterval(this.asking);
    this.asking = null;
  }
}

export class Rows {
  constructor(spec, settled) {
    this.spec = spec;
    this.settled = settled;
    this.places = new Map(spec.columns.map((column, place) => [column.name, place]));
    this.shape = 0; // changes when rows come or go
    this.edits = 0; // changes when cells do
    this.edited = spec.columns.map(() => 0); // the edit that touched a column last
    this.selected = new Set();
    this.chosenAt = -SETTLES_MS;
    this.replace([], []);
  }

  replace(keys, rows) {
    this.keys = keys;
    this.rows = rows;
    this.stamps = new Array(keys.length).fill(1);
    this.hay = new Array(keys.length).fill(null);
    this.reindex();
    this.shape += 1;
  }

  reindex() {
    this.slots = new Map(this.keys.map((key, slot) => [key, slot]));
  }

  take(content) {
    if (content.keys) this.replace(content.keys, content.rows);
    if (content.remove) this.remove(new Set(content.remove));
    for (const [key, row] of content.add ?? []) this.add(key, row);
    for (const group of content.set ?? []) this.set(group);
    if (content.selected) this.tell(new Set(content.selected));
  }

  add(key, row) {
    this.slots.set(key, this.keys.length);
    this.keys.push(key);
    this.rows.push(row);
    this.stamps.push(1);
    this.hay.push(null);
    this.shape += 1;
  }

  remove(gone) {
    const stay = this.keys.map((key) => !gone.has(key));
    const kept = (list) => list.filter((_, slot) => stay[slot]);
    this.keys = kept(this.keys);
    this.rows = kept(this.rows);
    this.stamps = kept(this.stamps);
    this.hay = kept(this.hay);
    for (const key of gone) this.selected.delete(key);
    this.reindex();
    this.shape += 1;
  }

  set({ c: columns, s: slots, v: values }) {
    for (let i = 0; i < slots.length; i += 1) {
      const row = this.rows[slots[i]];
      if (!row) continue;
      for (let j = 0; j < columns.length; j += 1) row[columns[j]] = values[j][i];
      this.stamps[slots[i]] += 1;
      this.hay[slots[i]] = null;
    }
    this.edits += 1;
    for (const place of columns) this.edited[place] = this.edits;
  }

  /** Chosen here; shown at once, and Python is told by who calls. */
  choose(keys) {
    this.selected = keys;
    this.chosenAt = performance.now();
  }

  /** Chosen as Python says, but not while it may be answering to the click before the last. */
  tell(keys) {
    clearTimeout(this.settling);
    const wait = this.chosenAt + SETTLES_MS - performance.now();
    if (wait <= 0) {
      this.selected = keys;
      return;
    }
    this.settling = setTimeout(() => {
      this.tell(keys);
      this.settled();
    }, wait);
  }

  /** What bare words are looked for in. */
  haystack(slot) {
    if (this.hay[slot] === null) {
      const row = this.rows[slot];
      const parts = [];
      this.spec.columns.forEach((column, place) => {
        if (TEXTS.has(column.kind) && row[place] !== null) parts.push(cellText(column, row[place], 0));
      });
      this.hay[slot] = parts.join("\n").toLowerCase();
    }
    return this.hay[slot];
  }
}
