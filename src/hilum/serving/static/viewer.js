// One radiograph on a canvas: window and level, zoom, move, and a map laid over it.

import { byId } from "./dom.js";

const MOST_ZOOM = 16;
const FULL = { width: 255, centre: 127.5 };
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Viewer {
  #canvas = byId("picture");
  #image = null; // the picture as it came
  #laid = null; // {seen, map}: a map, and the picture that it was made of
  #shown = null; // the one of the two pictures that is drawn
  #grey = null; // its pixels
  #levelled = document.createElement("canvas"); // its pixels under the window
  #pointers = new Map();
  #drawing = false;

  window = { ...FULL };
  inverted = false;
  zoom = 1;
  shift = { x: 0, y: 0 }; // CSS pixels, from the middle
  tool = "window";
  overlayShown = true;
  opacity = 0.5;

  constructor() {
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), this.#fromMiddle(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#later()).observe(canvas);
    this.#bindTools();
  }

  /** Show a picture (an ImageBitmap, or null for none), called by its name. */
  show(image, name) {
    this.#image = image;
    this.#laid = null;
    this.#canvas.hidden = image === null;
    byId("view").classList.toggle("bare", image === null);
    this.#canvas.setAttribute(
      "aria-label", `${name}. Arrow keys move the picture, plus and minus zoom.`);
    if (image) {
      this.#turnTo(image);
      this.reset();
    }
  }

  /** Lay a map over the picture that it was made of, which may be cropped or stretched. */
  lay(seen, map) {
    this.#laid = { seen, map };
  }

  reset() {
    this.window = { ...FULL };
    this.inverted = false;
    this.zoom = 1;
    this.shift = { x: 0, y: 0 };
    this.#relevel();
  }

  setWindow(width, centre) {
    this.window = { width: clamp(width, 1, 510), centre: clamp(centre, 0, 255) };
    this.#relevel();
  }

  widen(step) {
    this.setWindow(this.window.width + step, this.window.centre);
  }

  raise(step) {
    this.setWindow(this.window.width, this.window.centre + step);
  }

  invert() {
    this.inverted = !this.inverted;
    this.#relevel();
  }

  /** at: what stays in its place, in CSS pixels from the middle. */
  zoomBy(factor, at = { x: 0, y: 0 }) {
    const zoom = clamp(this.zoom * factor, 1, MOST_ZOOM);
    const change = zoom / this.zoom;
    this.zoom = zoom;
    this.shift.x = at.x - (at.x - this.shift.x) * change;
    this.shift.y = at.y - (at.y - this.shift.y) * change;
    this.moveBy(0, 0);
  }

  /** The picture's middle cannot leave the stage. */
  moveBy(x, y) {
    const { width, height } = this.#place();
    this.shift.x = clamp(this.shift.x + x, -width / 2, width / 2);
    this.shift.y = clamp(this.shift.y + y, -height / 2, height / 2);
    if (this.zoom === 1) this.shift = { x: 0, y: 0 };
    this.#later();
  }

  useTool(tool) {
    this.tool = tool;
    byId("tool-window").setAttribute("aria-pressed", tool === "window");
    byId("tool-move").setAttribute("aria-pressed", tool === "move");
  }

  setOverlay(shown, opacity) {
    this.overlayShown = shown;
    this.opacity = opacity;
    const wanted = this.#laid && shown ? this.#laid.seen : this.#image;
    if (wanted !== this.#shown) this.#turnTo(wanted);
    this.#later();
  }

  #turnTo(image) {
    this.#shown = image;
    this.#levelled.width = image.width;
    this.#levelled.height = image.height;
    const context = this.#levelled.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    this.#grey = context.getImageData(0, 0, image.width, image.height);
    this.#later(true);
  }

  #bindTools() {
    byId("tool-window").onclick = () => this.useTool("window");
    byId("tool-move").onclick = () => this.useTool("move");
    byId("zoom-in").onclick = () => this.zoomBy(1.25);
    byId("zoom-out").onclick = () => this.zoomBy(0.8);
    byId("invert").onclick = () => this.invert();
    byId("reset").onclick = () => this.reset();
    byId("window").oninput = (event) =>
      this.setWindow(Number(event.target.value), this.window.centre);
    byId("level").oninput = (event) =>
      this.setWindow(this.window.width, Number(event.target.value));
  }

  #fromMiddle(event) {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: event.clientX - box.left - box.width / 2,
      y: event.clientY - box.top - box.height / 2,
    };
  }

  #down(event) {
    event.preventDefault(); // no selection, no scrolling by the middle button
    this.#canvas.focus({ preventScroll: true, focusVisible: false });
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#fromMiddle(event));
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#fromMiddle(event);
    this.#pointers.set(event.pointerId, now);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    if (other) {
      const distance = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      this.moveBy(dx / 2, dy / 2);
      this.zoomBy(distance(now) / distance(before), middle);
    } else if (this.tool === "move" || event.shiftKey || event.buttons > 1) {
      this.moveBy(dx, dy);
    } else {
      this.setWindow(this.window.width + dx, this.window.centre + dy / 2);
    }
  }

  #key(event) {
    const step = 40;
    const moves = {
      ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.moveBy(...moves[event.key]);
  }

  #relevel() {
    const { width, centre } = this.window;
    byId("window").value = width;
    byId("level").value = centre;
    byId("window-value").textContent = Math.round(width);
    byId("level-value").textContent = Math.round(centre);
    byId("invert").setAttribute("aria-pressed", this.inverted);
    this.#later(true);
  }

  // Many moves of the mouse between two frames are one drawing.
  #later(pixels = false) {
    this.stale ||= pixels;
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      if (this.#image) this.#draw();
    });
  }

  #place() {
    const box = this.#canvas.getBoundingClientRect();
    const image = this.#shown ?? { width: 1, height: 1 };
    const scale = Math.min(box.width / image.width, box.height / image.height) * this.zoom;
    const [width, height] = [image.width * scale, image.height * scale];
    return {
      width, height,
      x: (box.width - width) / 2 + this.shift.x,
      y: (box.height - height) / 2 + this.shift.y,
    };
  }

  #draw() {
    if (this.stale) this.#level();
    const canvas = this.#canvas;
    const [ratio, box] = [window.devicePixelRatio, canvas.getBoundingClientRect()];
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.imageSmoothingQuality = "high";
    const { x, y, width, height } = this.#place();
    context.drawImage(this.#levelled, x, y, width, height);
    if (this.#laid && this.overlayShown) {
      context.globalAlpha = this.opacity;
      context.drawImage(this.#laid.map, x, y, width, height);
    }
  }

  #level() {
    this.stale = false;
    const { width, centre } = this.window;
    const table = new Uint8ClampedArray(256);
    for (let value = 0; value < 256; value += 1) {
      const share = clamp((value - centre) / width + 0.5, 0, 1);
      table[value] = 255 * (this.inverted ? 1 - share : share);
    }
    const [from, made] = [this.#grey.data, new ImageData(this.#grey.width, this.#grey.height)];
    const to = made.data;
    for (let i = 0; i < from.length; i += 4) {
      to[i] = table[from[i]];
      to[i + 1] = table[from[i + 1]];
      to[i + 2] = table[from[i + 2]];
      to[i + 3] = 255;
    }
    this.#levelled.getContext("2d").putImageData(made, 0, 0);
  }
}
