// The radiographs that are looked at: one, or two side by side under the same view.

import { byId, el } from "./dom.js";
import { Pane, PRESETS } from "./pane.js";

const MOST_ZOOM = 16;
const TOOLS = ["window", "move", "measure"];
const STEP = 1.1; // of a key, a button or a notch of the wheel
const NOTCH = 100; // what browsers call one, in pixels
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Viewer {
  #pointers = new Map();
  #drawing = false;
  #over = null; // the pane and the place under the mouse
  #why = ""; // why a picture stands beside
  onBeside = () => {}; // called when another does, or none

  // The view, which the panes share. centre: the part of a picture in the middle of its canvas.
  preset = "whole"; // null: the window was set by hand
  window = { width: 255, centre: 127.5 };
  inverted = false;
  zoom = 1;
  centre = { x: 0.5, y: 0.5 };
  overlayShown = true;
  opacity = 0.5;
  tool = "window";

  /** onStep(by): turn to another radiograph. */
  constructor(onStep) {
    this.onStep = onStep;
    this.main = new Pane(byId("picture"), this);
    this.pinned = new Pane(byId("pinned"), this);
    for (const pane of [this.main, this.pinned]) this.#bindPane(pane);
    this.#bindTools();
  }

  /**
   * Show a picture (an ImageBitmap, or null for none), called by its name. words: its caption.
   * ruler: see Pane.
   */
  show(image, name, words, ruler = null) {
    this.main.show(image, words, ruler);
    byId("view").classList.toggle("bare", image === null);
    byId("picture").setAttribute("aria-label", `${name}. Plus and minus zoom. Arrow keys move the `
      + "picture when it is zoomed, and otherwise turn to the next radiograph.");
    if (!image) return;
    if (!this.pinned.image) this.#unzoom();
    this.preset ??= "whole";
    this.#apply();
  }

  /** Keep the picture beside the ones that are turned to, or put away what is beside. */
  pin() {
    const { image, caption, ruler } = this.main;
    this.beside(this.pinned.image ? null : image, caption.textContent, ruler, "kept");
  }

  /** Show a picture beside (null puts it away), with its caption. why: what besides() asks for. */
  beside(image, words = "", ruler = null, why = "") {
    this.#why = image ? why : "";
    this.pinned.show(image, words, ruler);
    byId("pinned").parentElement.hidden = !image;
    byId("pin").setAttribute("aria-pressed", image !== null);
    byId("pinned").setAttribute("aria-label", `${words}, beside`);
    this.onBeside();
    this.#later();
  }

  /** Whether a picture stands beside for this reason: "kept" or "nearest". */
  besides(why) {
    return this.#why === why;
  }

  /** Lay a map over the picture that it was made of. */
  lay(seen, map) {
    this.main.lay({ seen, map });
  }

  reset() {
    this.preset = "whole";
    this.inverted = false;
    this.#unzoom();
    this.#apply();
  }

  setWindow(width, centre) {
    this.preset = null;
    this.window = { width: clamp(width, 1, 510), centre: clamp(centre, 0, 255) };
    this.#apply();
  }

  setPreset(name) {
    this.preset = name;
    this.#apply();
  }

  nextPreset() {
    const names = Object.keys(PRESETS);
    this.setPreset(names[(names.indexOf(this.preset) + 1) % names.length]);
  }

  widen(step) {
    this.setWindow(this.window.width + step, this.window.centre);
  }

  raise(step) {
    this.setWindow(this.window.width, this.window.centre + step);
  }

  invert() {
    this.inverted = !this.inverted;
    this.#apply();
  }

  /** One step nearer (1) or away (-1), to where the mouse is. */
  step(by) {
    this.zoomBy(STEP ** by, this.#over?.at, this.#over?.pane);
  }

  /** at: what stays in its place, in CSS pixels from the middle of the pane. */
  zoomBy(factor, at = { x: 0, y: 0 }, pane = this.main) {
    const before = pane.place();
    const zoom = clamp(this.zoom * factor, 1, MOST_ZOOM);
    const change = zoom / this.zoom;
    const middle = (size, start, room, x) =>
      (room / 2 + x - start) / size - x / (size * change);
    this.centre = {
      x: middle(before.width, before.x, before.box.width, at.x),
      y: middle(before.height, before.y, before.box.height, at.y),
    };
    this.zoom = zoom;
    this.moveBy(0, 0, pane);
  }

  /** Move the picture by CSS pixels, as far as there is more of it. */
  moveBy(x, y, pane = this.main) {
    const { width, height, box } = pane.place();
    const within = (centre, size, room) =>
      size <= room ? 0.5 : clamp(centre, room / 2 / size, 1 - room / 2 / size);
    this.centre = {
      x: within(this.centre.x - x / width, width, box.width),
      y: within(this.centre.y - y / height, height, box.height),
    };
    this.#later();
  }

  /** What dragging does: "window", "move" or, where sizes are known, "measure". */
  useTool(tool) {
    this.tool = tool;
    for (const name of TOOLS) byId(`tool-${name}`).setAttribute("aria-pressed", name === tool);
  }

  /** Take to measuring, or back to the window; false where no size is known. */
  toggleMeasuring() {
    if (byId("tool-measure").hidden || byId("tool-measure").disabled) return false;
    this.useTool(this.tool === "measure" ? "window" : "measure");
    return true;
  }

  /** Remove what was measured; false where nothing was. */
  unmeasure() {
    const measured = [this.main, this.pinned].filter(({ line }) => line);
    for (const pane of measured) pane.line = null;
    this.#later();
    return measured.length > 0;
  }

  setOverlay(shown, opacity) {
    this.overlayShown = shown;
    this.opacity = opacity;
    this.#apply();
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId("view").requestFullscreen();
  }

  #unzoom() {
    this.zoom = 1;
    this.centre = { x: 0.5, y: 0.5 };
  }

  #bindPane(pane) {
    const { canvas } = pane;
    canvas.addEventListener("pointerdown", (event) => this.#down(event, pane));
    canvas.addEventListener("pointermove", (event) => this.#move(event, pane));
    canvas.addEventListener("pointerleave", () => { this.#over = null; });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.#up(event, pane));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      // A pinch on a touchpad comes as a wheel with Ctrl, in small parts of a notch.
      const notches = event.deltaY * (event.deltaMode ? 33 : 1) / (event.ctrlKey ? 10 : NOTCH);
      this.zoomBy(STEP ** -clamp(notches, -1, 1), this.#at(event, pane), pane);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#later()).observe(canvas);
  }

  #bindTools() {
    for (const name of TOOLS) byId(`tool-${name}`).onclick = () => this.useTool(name);
    byId("zoom-in").onclick = () => this.zoomBy(STEP);
    byId("zoom-out").onclick = () => this.zoomBy(1 / STEP);
    byId("invert").onclick = () => this.invert();
    byId("reset").onclick = () => this.reset();
    byId("pin").onclick = () => this.pin();
    byId("full").onclick = () => this.toggleFull();
    byId("full").hidden = !document.fullscreenEnabled;
    document.addEventListener("fullscreenchange", () =>
      byId("full").setAttribute("aria-pressed", document.fullscreenElement !== null));
    byId("preset").append(...Object.entries(PRESETS).map(([value, [name]]) =>
      el("option", { value }, name)), el("option", { value: "", hidden: true }, "By hand"));
    byId("preset").onchange = (event) => this.setPreset(event.target.value);
    byId("window").oninput = (event) =>
      this.setWindow(Number(event.target.value), this.window.centre);
    byId("level").oninput = (event) =>
      this.setWindow(this.window.width, Number(event.target.value));
  }

  #at(event, pane) {
    const box = pane.canvas.getBoundingClientRect();
    return {
      x: event.clientX - box.left - box.width / 2,
      y: event.clientY - box.top - box.height / 2,
    };
  }

  #down(event, pane) {
    event.preventDefault(); // no selection, no scrolling by the middle button
    pane.canvas.focus({ preventScroll: true, focusVisible: false });
    pane.canvas.setPointerCapture(event.pointerId);
    const at = this.#at(event, pane);
    this.#pointers.set(event.pointerId, at);
    if (this.tool !== "measure" || !pane.measurable || event.shiftKey || event.buttons > 1) return;
    const from = pane.shareAt(at);
    pane.line = this.#pointers.size === 1 ? { from, to: from } : null; // of two fingers: a pinch
    this.#later();
  }

  #up({ pointerId }, pane) {
    if (!this.#pointers.delete(pointerId) || this.tool !== "measure" || !pane.line) return;
    const { from, to } = pane.line;
    if (from.x === to.x && from.y === to.y) pane.line = null; // a click
    else byId("said").textContent = `Measured: ${pane.measured}.`;
    this.#later();
  }

  #move(event, pane) {
    const now = this.#at(event, pane);
    if (event.pointerType === "mouse") this.#over = { pane, at: now };
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    this.#pointers.set(event.pointerId, now);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    if (other) {
      const distance = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      this.moveBy(dx / 2, dy / 2, pane);
      this.zoomBy(distance(now) / distance(before), middle, pane);
    } else if (this.tool === "move" || event.shiftKey || event.buttons > 1) {
      this.moveBy(dx, dy, pane);
    } else if (this.tool === "measure") {
      if (pane.line) pane.line.to = pane.shareAt(now);
      this.#later();
    } else {
      this.setWindow(this.window.width + dx, this.window.centre + dy / 2);
    }
  }

  #key(event) {
    const step = 40;
    const moves = {
      ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (this.zoom > 1) this.moveBy(...move);
    else this.onStep(move[0] + move[1] < 0 ? 1 : -1);
  }

  #apply() {
    if (this.preset) this.window = this.main.windowOf(this.preset);
    const { width, centre } = this.window;
    byId("preset").value = this.preset ?? "";
    byId("window").value = width;
    byId("level").value = centre;
    byId("window-value").textContent = Math.round(width);
    byId("level-value").textContent = Math.round(centre);
    byId("invert").setAttribute("aria-pressed", this.inverted);
    this.#later();
  }

  #offerMeasuring() {
    const panes = [this.main, this.pinned];
    const button = byId("tool-measure");
    button.hidden = !panes.some(({ ruler }) => ruler);
    button.disabled = !panes.some(({ measurable }) => measurable);
    if (this.tool === "measure" && button.disabled) this.useTool("window");
  }

  // Many moves of the mouse between two frames are one drawing.
  #later() {
    byId("zoom-value").textContent = `${Math.round(100 * this.zoom)} %`;
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#offerMeasuring();
      this.main.draw();
      this.pinned.draw();
    });
  }
}
