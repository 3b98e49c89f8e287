/* Rows chosen by mouse and keyboard: always by key, for rows change places. */

const ROW_AWAY = 2; // rows that a page keeps in sight

export class Choosing {
  constructor(table) {
    this.table = table;
    this.active = null; // key of the row that the keyboard is at
    this.anchor = null; // key of the row that a range begins at
    table.grid.addEventListener("keydown", (event) => this.key(event));
    table.body.addEventListener("click", (event) => this.clicked(event));
    table.body.addEventListener("dblclick", (event) => this.opened(event));
  }

  indexOf(key) {
    return key === null ? -1 : this.table.order.indexOf(this.table.rows.slots.get(key));
  }

  indexAt(target) {
    const line = target.closest?.(".fks-row");
    return line ? Number(line.dataset.index) : null;
  }

  clicked(event) {
    const index = this.indexAt(event.target);
    if (index === null) return;
    const key = this.table.keyAt(index);
    const toggles = Boolean(event.ctrlKey || event.metaKey || event.target.closest(".fks-mark"));
    if (event.shiftKey && this.anchor !== null) this.range(index, toggles);
    else this.choose([key], toggles ? "toggle" : "only");
    if (!event.shiftKey) this.anchor = key;
    this.table.moveTo(index, false);
  }

  opened(event) {
    const index = this.indexAt(event.target);
    if (index !== null && !event.target.closest(".fks-mark")) this.act(this.table.keyAt(index));
  }

  act(key) {
    this.table.view.send({ kind: "act", block: this.table.spec.id, key });
  }

  range(index, adds) {
    const from = this.indexOf(this.anchor);
    const [low, high] = from < 0 ? [index, index] : [Math.min(from, index), Math.max(from, index)];
    this.choose(this.table.keysOf(low, high + 1), adds ? "add" : "only");
  }

  all(on) {
    this.choose(this.table.keysOf(0), on ? "add" : "drop");
  }

  choose(keys, how) {
    const { table } = this;
    if (!table.isSelectable) return;
    const chosen = how === "only" ? new Set() : new Set(table.rows.selected);
    for (const key of keys) {
      if (how === "drop" || (how === "toggle" && chosen.has(key))) chosen.delete(key);
      else chosen.add(key);
    }
    table.rows.choose(chosen);
    table.view.send({ kind: "select", block: table.spec.id, keys: [...chosen] });
    table.view.store.tellViews([table.spec.id]);
    table.paint();
  }

  key(event) {
    const { table } = this;
    if (event.target !== table.grid) return;
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const isAll = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a";
    if (isAll) this.all(true);
    else if (!isPlain || !(this.move(event) || this.press(event.key))) return;
    if (isAll) event.stopPropagation();
    table.hold();
    event.preventDefault();
  }

  /** Whether the key moves, and with Shift chooses all on the way. */
  move(event) {
    const at = this.indexOf(this.active);
    const page = Math.max(this.table.rowsInSight() - ROW_AWAY, 1);
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: this.table.order.length - 1,
      PageDown: at + page,
      PageUp: at - page,
    }[event.key];
    if (to === undefined) return false;
    this.table.moveTo(to, true);
    if (!event.shiftKey || this.anchor === null) this.anchor = this.active;
    else this.range(this.indexOf(this.active), false);
    return true;
  }

  press(key) {
    const isAtRow = this.indexOf(this.active) >= 0;
    if (key === "Escape") this.choose([], "only");
    else if (key === " " && isAtRow) this.choose([this.active], "toggle");
    else if (key === "Enter" && isAtRow) this.act(this.active);
    else return false;
    return true;
  }
}
