/* Columns of a table: how wide, which are shown, and the headings that sort. */

import { cellText, make } from "./text.js";

const PADDING = 15; // px, left and right of a cell's text
const CHAR = 7.5; // px, roughly
const MARK = 30; // px, of the boxes that choose rows
const WIDEST = 28; // characters that a column takes at most
const SAMPLE = 400; // rows looked at for the width of a column
const LEAST = { age: 7, spark: 12 };
const TO_RIGHT = new Set(["number", "money", "count", "price", "age"]);

/** The class of a column's cells and heading. */
export function sideOf(column) {
  return TO_RIGHT.has(column.kind) ? " fks-right" : "";
}

/** Widths from a sample of what is in the columns; they only grow, or the page would wobble. */
export class Widths {
  constructor(rows, grid) {
    this.rows = rows;
    this.grid = grid;
    this.longest = new Map(); // characters, by column
    this.tooNarrow = false;
    this.forget();
  }

  forget() {
    this.measured = null;
    this.template = null;
  }

  /** Measure where rows came or a cell was cut; whether the columns are other ones now. */
  fit(columns, hasMarks, elapsed) {
    if (this.measured === this.rows.shape && !this.tooNarrow) return false;
    this.measured = this.rows.shape;
    this.tooNarrow = false;
    this.chars = columns.map((place) => this.measure(place, elapsed));
    const tracks = columns.map((place, at) => this.track(place, at));
    const template = [...(hasMarks ? [`${MARK}px`] : []), ...tracks].join(" ");
    if (template === this.template) return false;
    this.template = template;
    let px = hasMarks ? MARK : 0;
    let ch = 0;
    columns.forEach((place, at) => {
      const { width } = this.rows.spec.columns[place];
      px += width ?? PADDING;
      ch += width ? 0 : this.chars[at];
    });
    this.grid.style.setProperty("--fks-least", `calc(${px}px + ${ch}ch)`);
    this.grid.style.setProperty("--fks-columns", template);
    return true;
  }

  measure(place, elapsed) {
    const column = this.rows.spec.columns[place];
    if (column.width) return null;
    const { rows } = this.rows;
    const step = Math.max(Math.floor(rows.length / SAMPLE), 1);
    let most = Math.max(column.label.length + 1, this.longest.get(place) ?? 0);
    for (let slot = 0; slot < rows.length; slot += step) {
      most = Math.max(most, cellText(column, rows[slot][place], elapsed).length);
    }
    this.longest.set(place, most);
    const dot = column.kind === "word" ? 2 : 0;
    return Math.min(Math.max(most + dot, LEAST[column.kind] ?? 4), WIDEST);
  }

  track(place, at) {
    const { width } = this.rows.spec.columns[place];
    // Shares like the widths, or one column's share would blow up all others.
    const share = width ? width / CHAR : this.chars[at] + PADDING / CHAR;
    const least = width ? `${width}px` : `calc(${this.chars[at]}ch + ${PADDING}px)`;
    return `minmax(${least}, ${share.toFixed(1)}fr)`;
  }

  /** A cell in sight turned out longer than any of the sample. */
  notice(place, at, length) {
    if (length <= (this.longest.get(place) ?? WIDEST) || this.chars[at] >= WIDEST) return;
    this.longest.set(place, Math.min(length, WIDEST));
    this.tooNarrow = true;
  }
}

/** The row of headings: one stop of the Tab key, and arrows within. */
export class Head {
  constructor(table, parent) {
    this.table = table;
    this.element = make("div", "fks-head", parent);
    this.element.setAttribute("role", "row");
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.at = null; // the column whose heading Tab comes to
  }

  build() {
    const { table } = this;
    const hadFocus = this.element.contains(document.activeElement);
    this.element.replaceChildren();
    if (!table.columns.includes(this.at)) [this.at] = table.columns;
    if (table.isSelectable) this.addBox();
    for (const place of table.columns) this.add(place);
    if (hadFocus) this.element.querySelector(".fks-sort[tabindex='0']")?.focus();
  }

  addBox() {
    const cell = make("div", "fks-cell fks-mark", this.element);
    cell.setAttribute("role", "columnheader");
    this.box = make("input", "", cell);
    this.box.type = "checkbox";
    this.box.title = "Choose all rows that are shown";
    this.box.setAttribute("aria-label", this.box.title);
    this.box.addEventListener("change", () => this.table.choosing.all(this.box.checked));
  }

  add(place) {
    const { sort, spec } = this.table;
    const column = spec.columns[place];
    const cell = make("div", `fks-cell${sideOf(column)}`, this.element);
    cell.setAttribute("role", "columnheader");
    const button = make("button", "fks-sort", cell);
    button.type = "button";
    button.tabIndex = place === this.at ? 0 : -1;
    button.dataset.place = String(place);
    button.textContent = column.label;
    button.title = `Sort by ${column.name}`;
    const isMine = sort?.place === place;
    const way = sort?.descending ? "descending" : "ascending";
    cell.setAttribute("aria-sort", isMine ? way : "none");
    if (isMine) {
      const arrow = make("span", "fks-way", button);
      arrow.setAttribute("aria-hidden", "true"); // aria-sort says it
      arrow.textContent = sort.descending ? "▾" : "▴";
    }
    button.addEventListener("focus", () => this.come(button));
    button.addEventListener("click", () => this.table.sortBy(place));
  }

  come(button) {
    this.element.querySelector(".fks-sort[tabindex='0']")?.setAttribute("tabindex", "-1");
    button.tabIndex = 0;
    this.at = Number(button.dataset.place);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const buttons = [...this.element.querySelectorAll(".fks-sort")];
    const at = buttons.indexOf(event.target);
    if (!step || at < 0) return;
    buttons[Math.min(Math.max(at + step, 0), buttons.length - 1)].focus();
    event.preventDefault();
  }

  /** The box says whether all, some or none of the shown rows are chosen. */
  mark(shown, chosen) {
    if (!this.box) return;
    this.box.checked = shown > 0 && chosen === shown;
    this.box.indeterminate = chosen > 0 && chosen < shown;
  }
}

/** The menu of columns: opens by click or Enter, closes on Escape, elsewhere, or away. */
export function buildChooser(table, parent) {
  const menu = make("details", "fks-chooser", parent);
  const summary = make("summary", "", menu);
  summary.textContent = "Columns";
  const list = make("div", "fks-menu", menu);
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", `Columns of ${table.spec.label}`);
  table.spec.columns.forEach((column, place) => {
    const label = make("label", "", list);
    const box = make("input", "", label);
    box.type = "checkbox";
    box.checked = table.columns.includes(place);
    label.append(` ${column.label}`);
    box.addEventListener("change", () => table.showColumn(place, box.checked));
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    summary.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  const { signal } = table.view.leave;
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  }, { signal, capture: true });
}
