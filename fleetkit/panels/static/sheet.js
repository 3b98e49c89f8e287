/* The browser's half of a Sheet: tables, lines, pictures and notices from numbered messages.
 *
 * Everything an agent said reaches the page through textContent. Rows live here by slot, the
 * place in order of arrival, as they do in Python; only the rows in sight are in the page.
 */

const ROW = 24; // px, of every row, so that a scroll position is a row number
const OVERSCAN = 6; // rows above and below the view
const LONGEST = 240; // characters of one value
const QUIET_MS = 250; // rows do not change places so soon after the user scrolled or pressed
const RESYNC_MS = 5_000;
const PADDING = 15; // px, left and right of a cell's text
const CHAR = 7.5; // px, roughly
const WIDEST = 28; // characters that a column takes at most
const SAMPLE = 400; // rows looked at for the width of a column
const UNKNOWN = "–";
const TEXTS = new Set(["text", "id", "word", "flag"]);
const TO_RIGHT = new Set(["number", "money", "count", "price", "age"]);
const NOTE = "This panel shows live figures. If they do not appear, run its cell to connect it again.";

// ---- text ------------------------------------------------------------------------------

/** Like html.py's visible_text: nothing invisible, nothing that reorders, nothing endless. */
function visibleText(value, longest = LONGEST) {
  const text = String(value);
  const clipped = text.length > longest ? text.slice(0, longest) : text;
  // eslint-disable-next-line no-control-regex
  const shown = clipped.replace(/[\u0000-\u001f\u007f]|[\p{Cf}\p{Cc}\p{Co}\p{Cs}\u2028\u2029]/gu, (c) => {
    const code = c.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    if (code === 0x200c || code === 0x200d) return c;
    return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });
  return text.length > longest ? `${shown}…` : shown;
}

const formats = new Map();
function decimals(digits) {
  if (!formats.has(digits)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    formats.set(digits, new Intl.NumberFormat("en-US", options));
  }
  return formats.get(digits);
}

function ageText(seconds) {
  const s = Math.max(Math.floor(seconds), 0);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
  return `${Math.floor(s / 86400)} d`;
}

function leftText(seconds) {
  const s = Math.max(Math.ceil(seconds), 0);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

function cellText(column, value, elapsed) {
  if (value === null || value === undefined) return UNKNOWN;
  switch (column.kind) {
    case "number":
    case "money":
      return decimals(column.digits ?? 2).format(value).replace(/^-([0.,]*)$/, "$1");
    case "count":
      return decimals(0).format(value);
    case "price":
      return String(value);
    case "age":
      return ageText(elapsed - value);
    case "time":
      return new Date(value * 1000).toISOString().slice(0, 19).replace("T", " ");
    case "flag":
      return value ? "yes" : "no";
    case "spark":
      return "";
    default:
      return visibleText(value);
  }
}

function make(tag, name, parent) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (parent) parent.append(element);
  return element;
}

// ---- what is known, shared by all views of one widget ------------------------------------

class Store {
  constructor(specs) {
    this.specs = specs;
    this.version = null;
    this.blocks = {};
    this.views = new Set();
    this.asked = 0;
    this.base = { now: 0, perf: performance.now(), wall: Date.now() };
    for (const spec of specs) {
      this.blocks[spec.id] = spec.type === "table" ? new Rows(spec) : { shown: null };
    }
  }

  /** The Python clock, as far as this page can tell: a sleeping laptop stops one of the two. */
  elapsed() {
    const { now, perf, wall } = this.base;
    return now + Math.max(performance.now() - perf, Date.now() - wall) / 1000;
  }

  apply(message, ask) {
    const whole = message.kind === "full";
    if (!whole && (message.kind !== "patch" || message.base !== this.version)) {
      const now = performance.now();
      if (message.kind === "patch" && now - this.asked > RESYNC_MS) {
        this.asked = now;
        ask({ kind: "resync", have: this.version ?? 0 });
      }
      return;
    }
    if (whole) this.asked = -RESYNC_MS;
    this.version = message.version;
    this.base = { now: message.now, perf: performance.now(), wall: Date.now() };
    for (const [id, content] of Object.entries(message.blocks)) {
      const block = this.blocks[id];
      if (block instanceof Rows) block.take(content);
      else if (block) block.shown = content;
    }
    for (const view of this.views) view.changed(message.blocks);
  }
}

class Rows {
  constructor(spec) {
    this.spec = spec;
    this.places = new Map(spec.columns.map((column, place) => [column.name, place]));
    this.replace([], [], []);
  }

  replace(keys, rows, selected) {
    this.keys = keys;
    this.rows = rows;
    this.stamps = new Array(keys.length).fill(1);
    this.hay = new Array(keys.length).fill(null);
    this.selected = new Set(selected);
    this.reindex();
    this.shape = (this.shape ?? 0) + 1; // changes when rows come or go
    this.touched = null; // columns changed since somebody looked; null: all of them
  }

  reindex() {
    this.slots = new Map(this.keys.map((key, slot) => [key, slot]));
  }

  take(content) {
    if (content.keys) {
      this.replace(content.keys, content.rows, content.selected);
      return;
    }
    if (content.remove) this.remove(new Set(content.remove));
    for (const [key, row] of content.add ?? []) {
      this.slots.set(key, this.keys.length);
      this.keys.push(key);
      this.rows.push(row);
      this.stamps.push(1);
      this.hay.push(null);
      this.shape += 1;
    }
    for (const group of content.set ?? []) this.set(group);
    if (content.selected) this.selected = new Set(content.selected);
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
    if (this.touched) columns.forEach((place) => this.touched.add(place));
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

// ---- the filter's little language ----------------------------------------------------------

const TERM = /(-)?(?:([\p{L}_][\p{L}\p{N}_.%]*)(:|<=|>=|<|>|=))?("[^"]*"?|\S+)/gu;

/** Parse a filter: a test of (row, slot, elapsed), or a sentence that says what is wrong. */
function parseFilter(text, rows) {
  const { columns } = rows.spec;
  const known = new Map();
  columns.forEach((column, place) => {
    known.set(column.label.toLowerCase(), place);
    known.set(column.label.toLowerCase().replaceAll(" ", "_"), place);
  });
  columns.forEach((column, place) => known.set(column.name.toLowerCase(), place));
  const tests = [];
  for (const [, minus, name, operator, raw] of text.matchAll(TERM)) {
    const wanted = raw.replaceAll('"', "").toLowerCase();
    if (!wanted && !operator) continue;
    const place = name === undefined ? undefined : known.get(name.toLowerCase());
    if (name !== undefined && place === undefined) {
      const names = columns.map((column) => column.name).join(", ");
      return { hint: `There is no column “${visibleText(name, 40)}”. Columns: ${names}.` };
    }
    const test = place === undefined
      ? (row, slot) => rows.haystack(slot).includes(wanted)
      : columnTest(columns[place], place, operator, wanted);
    if (typeof test === "string") return { hint: test };
    tests.push(minus ? (...given) => !test(...given) : test);
  }
  return { test: tests.length ? (...given) => tests.every((each) => each(...given)) : null };
}

function columnTest(column, place, operator, wanted) {
  if (operator === ":") {
    return (row, slot, elapsed) => cellText(column, row[place], elapsed).toLowerCase().includes(wanted);
  }
  if (operator === "=" && TEXTS.has(column.kind) && column.kind !== "id") {
    return (row) => cellText(column, row[place], 0).toLowerCase() === wanted;
  }
  const number = Number(wanted.replaceAll(",", ""));
  if (wanted === "" || Number.isNaN(number)) {
    return `“${visibleText(column.name)}${operator}” needs a number, such as ${column.name}${operator}100.`;
  }
  const compare = {
    "<": (value) => value < number,
    ">": (value) => value > number,
    "<=": (value) => value <= number,
    ">=": (value) => value >= number,
    "=": (value) => value === number,
  }[operator];
  if (column.kind === "age") {
    return (row, slot, elapsed) => row[place] !== null && compare(elapsed - row[place]);
  }
  return (row) => typeof row[place] === "number" && compare(row[place]);
}

// ---- order ----------------------------------------------------------------------------------

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Slots in the order of a column; what is not known comes last, equals stay as they are. */
function sortSlots(slots, rows, place, descending) {
  const { kind } = rows.spec.columns[place];
  const last = Infinity;
  const rank = new Float64Array(rows.keys.length);
  const values = slots.map((slot) => rows.rows[slot][place]);
  const isNumeric = values.every((value) => value === null || typeof value !== "string");
  const sign = descending ? -1 : 1;
  if (isNumeric) {
    const flip = kind === "age" ? -sign : sign; // the oldest was born first
    slots.forEach((slot, i) => {
      const value = Array.isArray(values[i]) ? values[i].at(-1) ?? null : values[i];
      rank[slot] = value === null ? last : flip * Number(value);
    });
  } else {
    const words = [...new Set(values.filter((value) => value !== null).map(String))];
    words.sort(collator.compare);
    const places = new Map(words.map((word, i) => [word, i]));
    slots.forEach((slot, i) => {
      rank[slot] = values[i] === null ? last : sign * places.get(String(values[i]));
    });
  }
  return slots.sort((a, b) => (rank[a] === rank[b] ? 0 : rank[a] - rank[b]));
}

// ---- a table ----------------------------------------------------------------------------------

class TableView {
  constructor(view, spec, parent) {
    this.view = view;
    this.spec = spec;
    this.rows = view.store.blocks[spec.id];
    this.order = [];
    this.sort = spec.sort ? { place: this.rows.places.get(spec.sort[0]), descending: spec.sort[1] } : null;
    this.columns = spec.columns.map((_, place) => place).filter((place) => spec.columns[place].shown ?? true);
    this.tonePlace = spec.row_tone ? this.rows.places.get(spec.row_tone) : undefined;
    this.filter = null;
    this.pool = [];
    this.longest = new Map(); // characters, by column
    this.active = null; // key of the row that the keyboard is at
    this.anchor = null;
    this.busyUntil = 0;
    this.build(parent);
  }

  build(parent) {
    const { spec } = this;
    this.element = make("div", "fks-table", parent);
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
    if (spec.chooser ?? true) this.buildChooser(tools);
    this.hint = make("div", "fks-hint", this.element);
    this.hint.setAttribute("role", "status");
    this.grid = make("div", "fks-grid", this.element);
    this.grid.tabIndex = 0;
    this.grid.setAttribute("role", "grid");
    this.grid.setAttribute("aria-label", spec.label);
    if (spec.selectable ?? true) this.grid.setAttribute("aria-multiselectable", "true");
    this.grid.style.maxHeight = `${((spec.rows_high ?? 14) + 1) * ROW + 14}px`;
    this.head = make("div", "fks-head", this.grid);
    this.head.setAttribute("role", "row");
    this.body = make("div", "fks-body", this.grid);
    this.body.setAttribute("role", "rowgroup");
    this.empty = make("div", "fks-empty", this.grid);
    this.empty.textContent = spec.empty ?? "";
    this.grid.addEventListener("scroll", () => { this.hold(); this.later(); }, { passive: true });
    this.grid.addEventListener("pointerdown", () => this.hold());
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("dblclick", (event) => this.opened(event));
    this.prefix = `fks-${Math.random().toString(36).slice(2)}`;
  }

  buildChooser(tools) {
    const menu = make("details", "fks-chooser", tools);
    const summary = make("summary", "", menu);
    summary.textContent = "Columns";
    const list = make("div", "fks-menu", menu);
    this.spec.columns.forEach((column, place) => {
      const label = make("label", "", list);
      const box = make("input", "", label);
      box.type = "checkbox";
      box.checked = this.columns.includes(place);
      label.append(` ${column.label}`);
      box.addEventListener("change", () => {
        const chosen = new Set(this.columns);
        if (box.checked) chosen.add(place);
        else chosen.delete(place);
        this.columns = [...chosen].sort((a, b) => a - b);
        this.measured = null;
        this.rebuild();
      });
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        menu.open = false;
        summary.focus();
      }
    });
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
    });
  }

  hold() {
    this.busyUntil = performance.now() + QUIET_MS;
  }

  setFilter(text) {
    const { test, hint } = parseFilter(text, this.rows);
    this.hint.textContent = hint ?? "";
    this.input.setAttribute("aria-invalid", hint ? "true" : "false");
    this.filter = hint ? null : test;
    this.ordered = null;
    this.update();
  }

  // What is shown, and in which order

  update() {
    const { rows } = this;
    const isOld = this.shape !== rows.shape || this.ordered === null || this.isReordered();
    if (isOld && (this.shape !== rows.shape || this.ordered === null || performance.now() > this.busyUntil)) {
      this.reorder();
    } else if (isOld) {
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.view.later(), QUIET_MS);
    }
    this.fit();
    this.paint();
    if (this.tooNarrow) this.view.later();
  }

  /** Whether cells changed by which rows are sorted or filtered. */
  isReordered() {
    const { touched } = this.rows;
    if (!touched || !touched.size) return false;
    return this.filter !== null || (this.sort !== null && touched.has(this.sort.place));
  }

  reorder() {
    const { rows, filter } = this;
    const elapsed = this.view.store.elapsed();
    let slots = rows.keys.map((_, slot) => slot);
    if (filter) slots = slots.filter((slot) => filter(rows.rows[slot], slot, elapsed));
    if (this.sort) slots = sortSlots(slots, rows, this.sort.place, this.sort.descending);
    this.order = slots;
    this.ordered = true;
    this.shape = rows.shape;
    rows.touched = new Set();
    const all = rows.keys.length;
    this.count.textContent = filter
      ? `${slots.length.toLocaleString("en-US")} of ${all.toLocaleString("en-US")} shown`
      : `${all.toLocaleString("en-US")} row${all === 1 ? "" : "s"}`;
    this.body.style.height = `${slots.length * ROW}px`;
    this.grid.setAttribute("aria-rowcount", String(slots.length + 1));
    this.empty.hidden = slots.length > 0;
    this.element.classList.toggle("fks-bare", all === 0);
    this.empty.textContent = all && filter ? "No row passes the filter." : this.spec.empty ?? "";
  }

  /** Widths of columns from a sample of what is in them; again when a number needs more. */
  fit() {
    const { rows, spec } = this;
    if (this.measured === rows.shape && !this.tooNarrow) return;
    this.measured = rows.shape;
    this.tooNarrow = false; // until a cell in sight turns out longer: columns only grow
    const step = Math.max(Math.floor(rows.rows.length / SAMPLE), 1);
    const elapsed = this.view.store.elapsed();
    this.chars = this.columns.map((place) => {
      const column = spec.columns[place];
      if (column.width) return null;
      let most = Math.max(column.label.length + 1, this.longest.get(place) ?? 0);
      for (let slot = 0; slot < rows.rows.length; slot += step) {
        most = Math.max(most, cellText(column, rows.rows[slot][place], elapsed).length);
      }
      const least = column.kind === "age" ? 7 : column.kind === "spark" ? 12 : 4;
      this.longest.set(place, most);
      return Math.min(Math.max(most + (column.kind === "word" ? 2 : 0), least), WIDEST);
    });
    const tracks = this.columns.map((place, i) => {
      const width = this.spec.columns[place].width;
      // Shares like the widths, or one column's share would blow up all others.
      const share = width ? width / CHAR : this.chars[i] + PADDING / CHAR;
      const least = width ? `${width}px` : `calc(${this.chars[i]}ch + ${PADDING}px)`;
      return `minmax(${least}, ${share.toFixed(1)}fr)`;
    });
    const mark = this.spec.selectable ?? true ? ["30px"] : [];
    const template = [...mark, ...tracks].join(" ");
    if (template !== this.template) {
      this.template = template;
      const wide = this.columns.reduce((sum, place, i) => {
        const { width } = this.spec.columns[place];
        return { px: sum.px + (width ?? PADDING), ch: sum.ch + (width ? 0 : this.chars[i]) };
      }, { px: mark.length * 30, ch: 0 });
      this.grid.style.setProperty("--fks-least", `calc(${wide.px}px + ${wide.ch}ch)`);
      this.grid.style.setProperty("--fks-columns", template);
      this.buildHead();
    }
  }

  rebuild() {
    this.pool.forEach((line) => line.remove());
    this.pool = [];
    this.template = null;
    this.update();
  }

  buildHead() {
    const focused = this.head.contains(document.activeElement) ? document.activeElement.dataset.place : null;
    this.head.replaceChildren();
    this.grid.setAttribute("aria-colcount", String(this.columns.length));
    if (this.spec.selectable ?? true) {
      const all = make("div", "fks-cell fks-mark", this.head);
      all.setAttribute("role", "columnheader");
      this.all = make("input", "", all);
      this.all.type = "checkbox";
      this.all.title = "Choose all rows that are shown";
      this.all.setAttribute("aria-label", "Choose all rows that are shown");
      this.all.addEventListener("change", () => this.chooseAll(this.all.checked));
    }
    for (const place of this.columns) {
      const column = this.spec.columns[place];
      const cell = make("div", `fks-cell${TO_RIGHT.has(column.kind) ? " fks-right" : ""}`, this.head);
      cell.setAttribute("role", "columnheader");
      const button = make("button", "fks-sort", cell);
      button.type = "button";
      button.dataset.place = String(place);
      button.textContent = column.label;
      button.title = `Sort by ${column.name}`;
      const mine = this.sort?.place === place;
      const way = mine ? (this.sort.descending ? "descending" : "ascending") : "none";
      cell.setAttribute("aria-sort", way);
      if (mine) make("span", "fks-way", button).textContent = this.sort.descending ? "▾" : "▴";
      button.addEventListener("click", () => this.sortBy(place));
      if (focused === String(place)) button.focus();
    }
  }

  sortBy(place) {
    if (this.sort?.place !== place) this.sort = { place, descending: false };
    else if (!this.sort.descending) this.sort = { place, descending: true };
    else this.sort = null;
    this.ordered = null;
    this.buildHead();
    this.busyUntil = 0;
    this.update();
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
    for (let i = first; i < last; i += 1) {
      const line = this.pool[i % this.pool.length];
      used.add(line);
      this.fill(line, i, this.order[i], elapsed);
    }
    for (const line of this.pool) {
      if (!used.has(line) && !line.hidden) line.hidden = true;
    }
    if (this.all) {
      const shown = this.order.length;
      const chosen = shown ? this.order.filter((slot) => this.rows.selected.has(this.rows.keys[slot])).length : 0;
      this.all.checked = shown > 0 && chosen === shown;
      this.all.indeterminate = chosen > 0 && chosen < shown;
    }
  }

  grow(size) {
    for (const line of this.pool) line.shownAs = null; // places are taken modulo the pool's size
    while (this.pool.length < size) {
      const line = make("div", "fks-row", this.body);
      line.setAttribute("role", "row");
      line.cells = [];
      if (this.spec.selectable ?? true) {
        const mark = make("div", "fks-cell fks-mark", line);
        mark.setAttribute("role", "gridcell");
        make("span", "fks-box", mark).setAttribute("aria-hidden", "true");
      }
      for (const place of this.columns) {
        const column = this.spec.columns[place];
        const right = TO_RIGHT.has(column.kind) ? " fks-right" : "";
        const cell = make("div", `fks-cell${right} fks-is-${column.kind}`, line);
        cell.setAttribute("role", "gridcell");
        line.cells.push(cell);
      }
      this.pool.push(line);
    }
  }

  fill(line, i, slot, elapsed) {
    const { rows, spec } = this;
    const key = rows.keys[slot];
    const chosen = rows.selected.has(key);
    const active = key === this.active;
    const shownAs = `${i} ${slot} ${rows.shape} ${rows.stamps[slot]} ${chosen} ${active}`;
    if (line.shownAs === shownAs) return;
    line.shownAs = shownAs;
    line.hidden = false;
    line.style.transform = `translateY(${i * ROW}px)`;
    line.dataset.index = String(i);
    line.id = `${this.prefix}-${i}`;
    line.setAttribute("aria-rowindex", String(i + 2));
    if (spec.selectable ?? true) line.setAttribute("aria-selected", String(chosen));
    line.classList.toggle("fks-active", active);
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
    if (cell.textContent !== text) cell.textContent = text;
    const tip = column.tip ? row[this.rows.places.get(column.tip)] : text.length > 16 ? text : null;
    const title = tip ? visibleText(tip) : "";
    if (cell.title !== title) cell.title = title;
    if (column.kind === "word") cell.dataset.tone = column.tones?.[value] ?? "off";
    if (column.kind === "money") cell.dataset.sign = value > 0 ? "+" : value < 0 ? "-" : "";
    if (text.length > (this.longest.get(place) ?? WIDEST) && this.chars[at] < WIDEST) {
      this.longest.set(place, Math.min(text.length, WIDEST));
      this.tooNarrow = true;
    }
  }

  /** Ages of the rows in sight, counted on. */
  tick(elapsed) {
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

  // Choosing rows: always by key, for rows change places

  indexOf(target) {
    const line = target.closest?.(".fks-row");
    return line ? Number(line.dataset.index) : null;
  }

  keyAt(index) {
    return this.rows.keys[this.order[index]];
  }

  clicked(event) {
    const index = this.indexOf(event.target);
    if (index === null) return;
    const key = this.keyAt(index);
    const toggles = event.ctrlKey || event.metaKey || event.target.closest(".fks-mark");
    if (event.shiftKey && this.anchor !== null) this.chooseRange(index, Boolean(toggles));
    else if (toggles) this.choose([key], "toggle");
    else this.choose([key], "only");
    if (!event.shiftKey) this.anchor = key;
    this.moveTo(index, false);
  }

  opened(event) {
    const index = this.indexOf(event.target);
    if (index !== null && !event.target.closest(".fks-mark")) this.act(index);
  }

  act(index) {
    this.view.send({ kind: "act", block: this.spec.id, key: this.keyAt(index) });
  }

  chooseRange(index, adds) {
    const from = this.order.indexOf(this.rows.slots.get(this.anchor));
    const [low, high] = from < 0 ? [index, index] : [Math.min(from, index), Math.max(from, index)];
    const keys = this.order.slice(low, high + 1).map((slot) => this.rows.keys[slot]);
    this.choose(keys, adds ? "add" : "only");
  }

  chooseAll(on) {
    const keys = this.order.map((slot) => this.rows.keys[slot]);
    this.choose(keys, on ? "add" : "drop");
  }

  choose(keys, how) {
    if (!(this.spec.selectable ?? true)) return;
    const chosen = how === "only" ? new Set() : new Set(this.rows.selected);
    for (const key of keys) {
      if (how === "drop" || (how === "toggle" && chosen.has(key))) chosen.delete(key);
      else chosen.add(key);
    }
    this.rows.selected = chosen;
    this.view.send({ kind: "select", block: this.spec.id, keys: [...chosen] });
    this.paint();
  }

  moveTo(index, scroll = true) {
    const at = Math.min(Math.max(index, 0), this.order.length - 1);
    if (at < 0) return;
    this.active = this.keyAt(at);
    if (scroll) {
      const top = at * ROW;
      const room = this.grid.clientHeight - this.head.offsetHeight;
      if (top < this.grid.scrollTop) this.grid.scrollTop = top;
      else if (top + ROW > this.grid.scrollTop + room) this.grid.scrollTop = top + ROW - room;
    }
    this.paint();
    this.grid.setAttribute("aria-activedescendant", `${this.prefix}-${at}`);
  }

  key(event) {
    if (event.target !== this.grid) return;
    const at = this.active === null ? -1 : this.order.indexOf(this.rows.slots.get(this.active));
    const page = Math.max(Math.floor(this.grid.clientHeight / ROW) - 2, 1);
    const moves = {
      ArrowDown: at + 1,
      ArrowUp: Math.max(at - 1, 0),
      Home: 0,
      End: this.order.length - 1,
      PageDown: at + page,
      PageUp: at - page,
    };
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain && event.key in moves) {
      this.moveTo(moves[event.key]);
      if (event.shiftKey && this.anchor !== null) this.chooseRange(this.order.indexOf(this.rows.slots.get(this.active)), false);
    } else if (plain && event.key === " " && at >= 0) {
      this.anchor = this.active;
      this.choose([this.active], "toggle");
    } else if (plain && event.key === "Enter" && at >= 0) {
      this.act(at);
    } else if (plain && event.key === "Escape") {
      this.choose([], "only");
    } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a") {
      this.chooseAll(true);
      event.stopPropagation();
    } else {
      return;
    }
    this.hold();
    event.preventDefault();
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** A small line of the last values, drawn once per change. */
function spark(cell, values) {
  const list = Array.isArray(values) ? values.filter((value) => typeof value === "number") : [];
  const told = list.join(" ");
  if (cell.dataset.told === told) return;
  cell.dataset.told = told;
  cell.replaceChildren();
  if (list.length < 2) {
    cell.textContent = list.length ? "" : UNKNOWN;
    return;
  }
  const [wide, high] = [80, 16];
  const most = Math.max(...list);
  const least = Math.min(...list);
  const span = most - least || 1;
  const points = list.map((value, i) => {
    const x = 1 + (i * (wide - 2)) / (list.length - 1);
    return `${x.toFixed(1)},${(high - 1 - ((value - least) / span) * (high - 2)).toFixed(1)}`;
  });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.setAttribute("class", "fks-sparkline");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  cell.append(svg);
  cell.title = `last ${list.at(-1).toFixed(1)}, least ${least.toFixed(1)}, most ${most.toFixed(1)}`;
}

// ---- lines, notices, pictures -------------------------------------------------------------------

class LineView {
  constructor(view, spec, parent) {
    this.view = view;
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
    if (segment.kind === "progress") {
      const bar = make("span", "fks-bar", part);
      const share = Math.min(Math.max(segment.share ?? 0, 0), 1);
      bar.setAttribute("role", "progressbar");
      bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
      make("span", "fks-done", bar).style.width = `${share * 100}%`;
    }
    for (const [name, text] of [["since", (age) => `${ageText(age)} ago`], ["until", leftText]]) {
      if (segment[name] === undefined || segment[name] === null) continue;
      const counted = make("span", "fks-counted", part);
      counted.setAttribute("aria-hidden", "true"); // or a reader would hear every second of it
      const sign = name === "since" ? 1 : -1;
      this.timed.push((elapsed) => { counted.textContent = text(sign * (elapsed - segment[name])); });
    }
  }

  tick(elapsed) {
    this.timed.forEach((count) => count(elapsed));
  }
}

class NoteView {
  constructor(view, spec, parent) {
    this.block = view.store.blocks[spec.id];
    this.element = make("div", "fks-note", parent);
    this.element.setAttribute("role", "alert");
    this.element.hidden = true;
  }

  update() {
    const text = this.block.shown;
    this.element.hidden = !text;
    const shown = text ? visibleText(text, 1000) : "";
    if (this.element.textContent !== shown) this.element.textContent = shown;
  }

  tick() {}
}

const SVG_ELEMENTS = new Set([
  "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan",
  "defs", "clipPath", "use", "title", "desc",
]);
const SVG_ATTRIBUTES = /^(id|class|d|x|y|x1|x2|y1|y2|dx|dy|r|rx|ry|cx|cy|width|height|viewBox|points|transform|clip-path|clip-rule|fill|fill-opacity|fill-rule|stroke|stroke-[a-z]+|opacity|font-[a-z]+|text-anchor|dominant-baseline|preserveAspectRatio|version)$/;
const STYLE_NAMES = /^(fill|fill-opacity|fill-rule|stroke|stroke-[a-z]+|opacity|font|font-[a-z]+|text-anchor|dominant-baseline|clip-path|clip-rule|white-space)$/;
const OUTSIDE = /url\((?!\s*['"]?#)|expression|javascript:|@import/i;

/** A copy of an SVG element that has nothing but shapes and text. */
function safeCopy(node) {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(visibleText(node.data));
  if (node.nodeType !== Node.ELEMENT_NODE || !SVG_ELEMENTS.has(node.localName)) return null;
  const copy = document.createElementNS(SVG, node.localName);
  for (const { name, localName, value } of node.attributes) {
    if (localName === "href") {
      if (/^#[\w-]+$/.test(value)) copy.setAttribute("href", value);
    } else if (name === "style") {
      for (const rule of value.split(";")) {
        const at = rule.indexOf(":");
        const property = rule.slice(0, at).trim();
        if (at > 0 && STYLE_NAMES.test(property) && !OUTSIDE.test(rule)) {
          copy.style.setProperty(property, rule.slice(at + 1).trim());
        }
      }
    } else if (SVG_ATTRIBUTES.test(name) && !OUTSIDE.test(value)) {
      copy.setAttribute(name, value);
    }
  }
  for (const child of node.childNodes) {
    const safe = safeCopy(child);
    if (safe) copy.append(safe);
  }
  return copy;
}

class PictureView {
  constructor(view, spec, parent) {
    this.block = view.store.blocks[spec.id];
    this.element = make("div", "fks-picture", parent);
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", spec.label);
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

// ---- a view of the whole sheet --------------------------------------------------------------------

const KINDS = { table: TableView, line: LineView, note: NoteView, picture: PictureView };

class SheetView {
  constructor(store, model, el) {
    this.store = store;
    this.model = model;
    this.id = Math.random().toString(36).slice(2);
    this.element = make("div", "fks-sheet", el);
    this.waiting = make("div", "fks-waiting", this.element);
    this.parts = new Map();
    for (const spec of store.specs) {
      const Kind = KINDS[spec.type];
      if (Kind) this.parts.set(spec.id, new Kind(this, spec, this.place(spec)));
    }
    this.dirty = new Set(this.parts.keys());
    this.isVisible = null;
    this.onScreen = false;
    this.leave = new AbortController();
    this.watch();
  }

  /** Pictures that follow each other stand side by side where there is room. */
  place(spec) {
    const last = this.element.lastElementChild;
    if (spec.type !== "picture") return this.element;
    return last.className === "fks-pictures" ? last : make("div", "fks-pictures", this.element);
  }

  send(message) {
    try {
      this.model.send(message);
    } catch {
      // without a kernel there is nobody to tell
    }
  }

  watch() {
    const { signal } = this.leave;
    this.observer = new IntersectionObserver((entries) => {
      this.onScreen = entries.at(-1).isIntersecting;
      guard(this.element, signal);
      this.look();
    });
    this.observer.observe(this.element);
    document.addEventListener("visibilitychange", () => this.look(), { signal });
    window.addEventListener("pagehide", () => this.send({ kind: "gone", view: this.id }), { signal });
    this.patience = setTimeout(() => {
      if (this.store.version === null) this.waiting.textContent = NOTE;
    }, 1500);
    this.send({ kind: "hello", view: this.id });
  }

  look() {
    const visible = this.onScreen && document.visibilityState === "visible";
    if (visible === this.isVisible) return;
    this.isVisible = visible;
    this.tell();
    clearInterval(this.ticking);
    if (!visible) return;
    this.ticking = setInterval(() => this.tick(), 1000);
    this.later();
  }

  tell() {
    this.send({ kind: "visible", view: this.id, visible: this.isVisible });
  }

  changed(blocks) {
    for (const id of Object.keys(blocks)) this.dirty.add(id);
    if (this.isVisible) this.later();
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.update();
    });
  }

  update() {
    if (this.store.version === null) return;
    this.waiting.hidden = true;
    for (const [id, part] of this.parts) {
      if (this.dirty.has(id) || part instanceof TableView) part.update();
    }
    this.dirty.clear();
  }

  tick() {
    const elapsed = this.store.elapsed();
    for (const part of this.parts.values()) part.tick(elapsed);
  }

  close() {
    this.leave.abort();
    this.observer.disconnect();
    clearInterval(this.ticking);
    clearTimeout(this.patience);
    if (this.frame) cancelAnimationFrame(this.frame);
    this.store.views.delete(this);
    this.send({ kind: "gone", view: this.id });
  }
}

/** Keys pressed anywhere in the panel are the panel's: in a notebook, x cuts a cell. */
function guard(element, signal) {
  let root = element.closest(".fleetkit-panel") ?? element;
  for (let outer = root; outer; outer = outer.parentElement?.closest(".fleetkit-panel")) root = outer;
  if (root.dataset.fksGuarded) return;
  root.dataset.fksGuarded = "yes";
  signal.addEventListener("abort", () => delete root.dataset.fksGuarded);
  root.addEventListener("keydown", (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain || event.key === "Enter") event.stopPropagation();
  }, { signal });
  root.addEventListener("focusin", (event) => {
    event.target.setAttribute?.("data-lm-suppress-shortcuts", "true");
  }, { signal });
}

export default () => {
  let store = null;
  const ready = (model) => {
    store ??= new Store(model.get("blocks"));
    const saved = model.get("saved");
    if (saved && store.version === null) store.apply(saved, () => {});
  };
  return {
    initialize({ model }) {
      ready(model);
      model.on("msg:custom", (message) => store.apply(message, (answer) => model.send(answer)));
    },
    render({ model, el }) {
      ready(model);
      const view = new SheetView(store, model, el);
      store.views.add(view);
      return () => view.close();
    },
  };
};
