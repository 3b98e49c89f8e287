/* A table: the order of its rows, and the few of them that are in the page. */

import { Choosing } from "./choosing.js";
import { Head, Widths, buildChooser, sideOf } from "./columns.js";
import { parseFilter } from "./filter.js";
import { sortSlots } from "./order.js";
import { spark } from "./pictures.js";
import { cellText, countText, make, say, visibleText } from "./text.js";

const ROW = 24; // px, of every row, so that a scroll position is a row number
const HEAD = 26; // px, of the headings
const OVERSCAN = 6; // rows above and below the view
const QUIET_MS = 250; // rows do not change places so soon after the user scrolled or pressed

export class TableView {
  constructor(view, spec, parent) {
    this.view = view;
    this.spec = spec;
    this.rows = view.store.blocks[spec.id];
    this.isSelectable = spec.selectable ?? true;
    this.order = []; // slots, as shown
    this.isOrdered = false;
    this.sort = spec.sort ? { place: this.rows.places.get(spec.sort[0]), descending: spec.sort[1] } : null;
    this.columns = spec.columns.map((_, place) => place).filter((place) => spec.columns[place].shown ?? true);
    this.tonePlace = spec.row_tone ? this.rows.places.get(spec.row_tone) : undefined;
    this.filter = null;
    this.pool = [];
    this.busyUntil = 0;
    this.prefix = `fks-${Math.random().toString(36).slice(2)}`;
    this.element = make("div", "fks-table", parent);
    this.buildTools();
    this.buildGrid();
    this.choosing = new Choosing(this);
  }

  buildTools() {
    const { spec } = this;
    const tools = make("div", "fks-tools", this.element);
    make("span", "fks-label", tools).textContent = spec.label;
    if (spec.filterable ?? true) {
      this.input = make("input", "fks-filter", tools);
      this.input.type = "search";
      this.input.placeholder = "Filter: words, column:text, pnl<0, -not";
      this.input.setAttribute("aria-label", `Filter ${spec.label}`);
      this.input.addEventListener("input", () => this.setFilter(this.input.value));
    }
    this.count = make("span", "fks-count", tools);
    this.count.setAttribute("role", "status");
    if (spec.chooser ?? true) buildChooser(this, tools);
    this.hint = make("div", "fks-hint", this.element);
    this.hint.setAttribute("role", "status");
  }

  buildGrid() {
    const { spec } = this;
    this.grid = make("div", "fks-grid", this.element);
    this.grid.tabIndex = 0;
    this.grid.setAttribute("role", "grid");
    this.grid.setAttribute("aria-label", spec.label);
    if (this.isSelectable) this.grid.setAttribute("aria-multiselectable", "true");
    this.grid.style.maxHeight = `${(spec.rows_high ?? 14) * ROW + HEAD + 12}px`;
    this.head = new Head(this, this.grid);
    this.body = make("div", "fks-body", this.grid);
    this.body.setAttribute("role", "rowgroup");
    this.widths = new Widths(this.rows, this.grid);
    this.empty = make("div", "fks-empty", this.element);
    this.grid.addEventListener("scroll", () => { this.hold(); this.later(); }, { passive: true });
    this.grid.addEventListener("pointerdown", () => this.hold());
  }

  hold() {
    this.busyUntil = performance.now() + QUIET_MS;
  }

  // What is shown, and in which order

  setFilter(text) {
    const { test, hint, counts } = parseFilter(text, this.rows);
    say(this.hint, hint ?? "");
    this.input.setAttribute("aria-invalid", hint ? "true" : "false");
    this.filter = hint ? null : test;
    this.filterCounts = counts;
    this.refresh();
  }

  sortBy(place) {
    if (this.sort?.place !== place) this.sort = { place, descending: false };
    else this.sort = this.sort.descending ? null : { place, descending: true };
    this.head.build();
    this.refresh();
  }

  showColumn(place, isShown) {
    const others = this.columns.filter((each) => each !== place);
    this.columns = isShown ? [...others, place].sort((a, b) => a - b) : others;
    this.pool.forEach((line) => line.remove());
    this.pool = [];
    this.widths.forget();
    this.refresh();
  }

  refresh() {
    this.isOrdered = false;
    this.update();
  }

  update() {
    const isOther = !this.isOrdered || this.shape !== this.rows.shape;
    if (isOther || (this.isReordered() && performance.now() > this.busyUntil)) {
      this.reorder();
    } else if (this.isReordered()) {
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.view.later(this.spec.id), QUIET_MS);
    }
    if (this.widths.fit(this.columns, this.isSelectable, this.view.store.elapsed())) {
      this.grid.setAttribute("aria-colcount", String(this.columns.length + (this.isSelectable ? 1 : 0)));
      this.head.build();
    }
    this.paint();
    if (this.widths.tooNarrow) this.view.later(this.spec.id);
  }

  /** Whether cells changed by which rows are sorted or filtered. */
  isReordered() {
    const { edits, edited } = this.rows;
    if (edits === this.shownEdits) return false;
    return this.filter !== null || (this.sort !== null && edited[this.sort.place] > this.shownEdits);
  }

  reorder() {
    const { rows, filter } = this;
    const elapsed = this.view.store.elapsed();
    let slots = rows.keys.map((_, slot) => slot);
    if (filter) slots = slots.filter((slot) => filter(rows.rows[slot], slot, elapsed));
    if (this.sort) slots = sortSlots(slots, rows, this.sort.place, this.sort.descending);
    this.order = slots;
    this.isOrdered = true;
    this.shape = rows.shape;
    this.shownEdits = rows.edits;
    const all = rows.keys.length;
    say(this.count, filter
      ? `${countText(slots.length)} of ${countText(all)} shown`
      : `${countText(all)} row${all === 1 ? "" : "s"}`);
    this.body.style.height = `${slots.length * ROW}px`;
    this.grid.setAttribute("aria-rowcount", String(slots.length + 1));
    this.empty.hidden = slots.length > 0;
    this.element.classList.toggle("fks-bare", all === 0);
    say(this.empty, all && filter ? "No row passes the filter." : this.spec.empty ?? "");
  }

  keyAt(index) {
    return this.rows.keys[this.order[index]];
  }

  keysOf(low, high) {
    return this.order.slice(low, high).map((slot) => this.rows.keys[slot]);
  }

  // Where one is

  rowsInSight() {
    return Math.floor((this.grid.clientHeight - HEAD) / ROW);
  }

  moveTo(index, scrolls) {
    const at = Math.min(Math.max(index, 0), this.order.length - 1);
    if (at < 0) return;
    this.choosing.active = this.keyAt(at);
    if (scrolls) {
      const top = at * ROW;
      const room = this.grid.clientHeight - HEAD;
      if (top < this.grid.scrollTop) this.grid.scrollTop = top;
      else if (top + ROW > this.grid.scrollTop + room) this.grid.scrollTop = top + ROW - room;
    }
    this.paint();
  }

  // Painting

  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.paint();
    });
  }

  range() {
    const high = Math.ceil((this.grid.clientHeight || 400) / ROW);
    const first = Math.max(Math.floor(this.grid.scrollTop / ROW) - OVERSCAN, 0);
    return [first, Math.min(first + high + 2 * OVERSCAN, this.order.length)];
  }

  paint() {
    const [first, last] = this.range();
    const size = Math.max(last - first, 1);
    if (this.pool.length < size) this.grow(size);
    const elapsed = this.view.store.elapsed();
    const used = new Set();
    let active = null;
    for (let i = first; i < last; i += 1) {
      const line = this.pool[i % this.pool.length];
      used.add(line);
      this.fill(line, i, this.order[i], elapsed);
      if (this.keyAt(i) === this.choosing.active) active = line.id;
    }
    for (const line of this.pool) {
      if (!used.has(line) && !line.hidden) line.hidden = true;
    }
    if (active) this.grid.setAttribute("aria-activedescendant", active);
    else this.grid.removeAttribute("aria-activedescendant"); // out of sight, so not in the page
    const { selected, keys } = this.rows;
    const chosen = selected.size ? this.order.filter((slot) => selected.has(keys[slot])).length : 0;
    this.head.mark(this.order.length, chosen);
  }

  grow(size) {
    this.pool.forEach((line) => line.remove()); // places are taken modulo the pool's size
    this.pool = [];
    while (this.pool.length < size) {
      const line = make("div", "fks-row", this.body);
      line.setAttribute("role", "row");
      line.hidden = true;
      line.id = `${this.prefix}-${this.pool.length}`;
      if (this.isSelectable) {
        const mark = make("div", "fks-cell fks-mark", line);
        mark.setAttribute("role", "gridcell");
        make("span", "fks-box", mark).setAttribute("aria-hidden", "true");
      }
      line.cells = this.columns.map((place) => {
        const column = this.spec.columns[place];
        const cell = make("div", `fks-cell${sideOf(column)} fks-is-${column.kind}`, line);
        cell.setAttribute("role", "gridcell");
        return cell;
      });
      this.pool.push(line);
    }
  }

  fill(line, i, slot, elapsed) {
    const { rows, spec } = this;
    const key = rows.keys[slot];
    const isChosen = rows.selected.has(key);
    const isActive = key === this.choosing.active;
    const shownAs = `${i} ${slot} ${rows.shape} ${rows.stamps[slot]} ${isChosen} ${isActive}`;
    if (line.shownAs === shownAs && !line.hidden) return;
    line.shownAs = shownAs;
    line.hidden = false;
    line.style.transform = `translateY(${i * ROW}px)`;
    line.dataset.index = String(i);
    line.setAttribute("aria-rowindex", String(i + 2));
    if (this.isSelectable) line.setAttribute("aria-selected", String(isChosen));
    line.classList.toggle("fks-active", isActive);
    const row = rows.rows[slot];
    const word = this.tonePlace === undefined ? null : row[this.tonePlace];
    line.dataset.tone = (word && spec.columns[this.tonePlace].tones?.[word]) || "";
    this.columns.forEach((place, at) => this.fillCell(line.cells[at], place, row, elapsed, at));
  }

  fillCell(cell, place, row, elapsed, at) {
    const column = this.spec.columns[place];
    const value = row[place];
    if (column.kind === "spark") {
      spark(cell, value);
      return;
    }
    const text = cellText(column, value, elapsed);
    say(cell, text);
    const tip = column.tip ? row[this.rows.places.get(column.tip)] : text.length > 16 ? text : null;
    const title = tip ? visibleText(tip) : "";
    if (cell.title !== title) cell.title = title;
    if (column.kind === "word") cell.dataset.tone = column.tones?.[value] ?? "off";
    if (column.kind === "money") cell.dataset.sign = value > 0 ? "+" : value < 0 ? "-" : "";
    this.widths.notice(place, at, text.length);
  }

  /** Ages of the rows in sight, counted on. */
  tick(elapsed) {
    if (this.filterCounts && this.filter && performance.now() > this.busyUntil) this.refresh();
    const ages = this.columns
      .map((place, at) => [place, at])
      .filter(([place]) => this.spec.columns[place].kind === "age");
    if (!ages.length) return;
    for (const line of this.pool) {
      if (line.hidden || !line.shownAs) continue;
      const row = this.rows.rows[this.order[Number(line.dataset.index)]];
      if (row) ages.forEach(([place, at]) => this.fillCell(line.cells[at], place, row, elapsed, at));
    }
  }
}
