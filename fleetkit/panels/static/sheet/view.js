/* A view of a whole sheet: what it is made of, whether it is seen, and whose its keys are. */

import { LineView, NoteView } from "./lines.js";
import { PictureView } from "./pictures.js";
import { Store } from "./store.js";
import { TableView } from "./table.js";
import { make, say } from "./text.js";

const KINDS = { table: TableView, line: LineView, note: NoteView, picture: PictureView };
const PATIENCE_MS = 1_500;
const BEAT = 60; // seconds after which a view says again that it is seen, should it be forgotten
const AGAIN = 5; // seconds after which a view says again that it knows nothing
const NOTE = "This panel shows live figures. If they do not appear, run its cell to connect it again.";

class SheetView {
  constructor(store, model, el) {
    this.store = store;
    this.model = model;
    this.id = Math.random().toString(36).slice(2);
    this.leave = new AbortController();
    this.element = make("div", "fks-sheet", el);
    this.waiting = make("div", "fks-waiting", this.element);
    this.parts = new Map();
    for (const spec of store.specs) {
      const Kind = KINDS[spec.type];
      if (Kind) this.parts.set(spec.id, new Kind(this, spec, this.place(spec)));
    }
    this.dirty = new Set();
    this.isVisible = null;
    this.isOnScreen = false;
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
      this.isOnScreen = entries.at(-1).isIntersecting;
      this.guard();
      this.look();
    });
    this.observer.observe(this.element);
    document.addEventListener("visibilitychange", () => this.look(), { signal });
    window.addEventListener("pagehide", () => this.send({ kind: "gone", view: this.id }), { signal });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted && this.isVisible) this.tell();
    }, { signal });
    this.patience = setTimeout(() => {
      if (this.store.version === null) say(this.waiting, NOTE);
    }, PATIENCE_MS);
    this.hello();
  }

  hello() {
    this.send({ kind: "hello", view: this.id });
  }

  tell() {
    this.send({ kind: "visible", view: this.id, visible: this.isVisible });
  }

  look() {
    const isVisible = this.isOnScreen && document.visibilityState === "visible";
    if (isVisible === this.isVisible) return;
    this.isVisible = isVisible;
    this.tell();
    clearInterval(this.ticking);
    if (!isVisible) return;
    this.beats = 0;
    this.ticking = setInterval(() => this.tick(), 1000);
    this.changed(this.parts.keys()); // it may have another size now
  }

  changed(ids) {
    for (const id of ids) this.dirty.add(id);
    if (this.isVisible) this.later();
  }

  later(id) {
    if (id !== undefined) this.dirty.add(id);
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.update();
    });
  }

  update() {
    if (this.store.version === null || !this.isVisible) return;
    this.waiting.hidden = true;
    const due = [...this.dirty];
    this.dirty.clear();
    for (const id of due) this.attempt(id, (part) => part.update());
  }

  tick() {
    this.beats += 1;
    if (this.beats % BEAT === 0) this.tell();
    if (this.store.version === null) {
      if (this.beats % AGAIN === 0) this.hello();
      return;
    }
    const elapsed = this.store.elapsed();
    for (const id of this.parts.keys()) this.attempt(id, (part) => part.tick(elapsed));
  }

  /** One part that cannot be drawn must not take the others with it. */
  attempt(id, draw) {
    const part = this.parts.get(id);
    if (!part) return;
    try {
      draw(part);
    } catch (error) {
      console.error(`fleetkit: ${id} could not be drawn`, error);
    }
  }

  /** Keys pressed anywhere in the panel are the panel's: in a notebook, x cuts a cell. */
  guard() {
    let root = this.element.closest(".fleetkit-panel") ?? this.element;
    for (let up = root; up; up = up.parentElement?.closest(".fleetkit-panel")) root = up;
    if (root === this.guarded) return;
    this.guarded = root;
    const { signal } = this.leave;
    const suppress = (element) => element.setAttribute?.("data-lm-suppress-shortcuts", "true");
    root.addEventListener("keydown", (event) => {
      const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
      if (isPlain || event.key === "Enter") event.stopPropagation();
    }, { signal });
    // Notebook 7 looks for this before any handler of the key can run.
    root.addEventListener("focusin", (event) => suppress(event.target), { signal });
    if (root.contains(document.activeElement)) suppress(document.activeElement);
  }

  close() {
    this.leave.abort();
    this.observer.disconnect();
    clearInterval(this.ticking);
    clearTimeout(this.patience);
    if (this.frame) cancelAnimationFrame(this.frame);
    this.isVisible = false;
    this.store.views.delete(this);
    this.send({ kind: "gone", view: this.id });
  }
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
