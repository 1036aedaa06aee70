// One picture on a canvas: its grey values under a window, its place, and a map laid over it.

import { el } from "./dom.js";

/** Windows by name, from and to which share of the picture's grey values; null is the whole range. */
export const PRESETS = {
  whole: ["Whole range", null],
  contrast: ["Contrast", [0.01, 0.99]],
  dark: ["Lungs", [0.02, 0.8]],
  bright: ["Mediastinum", [0.3, 0.995]],
};

const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500]; // mm

/** Strokes and words in a colour, on black edges that are seen on any grey. */
function outline(context, path, text, place, colour) {
  Object.assign(context, { font: "13px sans-serif", lineJoin: "round", globalAlpha: 1 });
  for (const [style, lineWidth] of [["#000", 4], [colour, 1.5]]) {
    Object.assign(context, { strokeStyle: style, fillStyle: style, lineWidth });
    context.stroke(path);
    if (lineWidth > 2) context.strokeText(text, ...place);
    else context.fillText(text, ...place);
  }
}

export class Pane {
  #image = null; // the picture as it came
  #laid = null; // {seen, map}: a map, and the picture that it was made of
  #shown = null; // the one of the two pictures that is drawn
  #grey = null; // its pixels
  #counts = null; // how many of them have each grey value
  #levelled = document.createElement("canvas"); // its pixels under the window
  #key = ""; // the window that those were made under

  /** canvas: where it draws; its parent gets a caption. view: see Viewer, which several share. */
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    this.caption = el("figcaption", { className: "caption" });
    canvas.after(this.caption);
  }

  get image() {
    return this.#image;
  }

  /**
   * Show a picture (an ImageBitmap, or null for none), with a line of words. ruler: {across, down,
   * note}, how many millimetres it is wide and high and where that holds, or null.
   */
  show(image, words = "", ruler = null) {
    this.#image = image;
    this.ruler = ruler;
    this.line = null; // what is measured: {from, to}, as shares of the picture
    this.#laid = null;
    this.canvas.hidden = image === null;
    this.caption.textContent = words;
    if (image) this.#turnTo(image);
  }

  /** Lay a map over the picture that it was made of, which may be cropped or stretched. */
  lay(laid) {
    this.#laid = laid;
  }

  /** Whether sizes are known; a map lies on what may be cropped, whose size is not. */
  get measurable() {
    return Boolean(this.#image && this.ruler && !(this.#laid && this.view.overlayShown));
  }

  /** The length of what is measured, in words; "" where nothing is. */
  get measured() {
    if (!this.line) return "";
    const { ruler: { across, down, note }, line: { from, to } } = this;
    const mm = Math.hypot((to.x - from.x) * across, (to.y - from.y) * down);
    return `${mm.toFixed(mm < 10 ? 1 : 0)} mm ${note}`.trim();
  }

  /** The place on the picture, as shares of it, that is so far from the middle of the canvas. */
  shareAt(at) {
    const { box, x, y, width, height } = this.place();
    const share = (start, size) => Math.min(1, Math.max(0, start / size));
    return {
      x: share(at.x + box.width / 2 - x, width), y: share(at.y + box.height / 2 - y, height),
    };
  }

  /** Width and height of the canvas and of the picture on it, in CSS pixels, and where it lies. */
  place() {
    const box = this.canvas.getBoundingClientRect();
    const image = this.#shown ?? { width: 1, height: 1 };
    const scale = Math.min(box.width / image.width, box.height / image.height) * this.view.zoom;
    const [width, height] = [image.width * scale, image.height * scale];
    // What is larger than the canvas covers it; what is smaller stands in its middle.
    const start = (room, size, centre) =>
      size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - centre * size));
    return {
      box, width, height, scale,
      x: start(box.width, width, this.view.centre.x),
      y: start(box.height, height, this.view.centre.y),
    };
  }

  /** The window of a preset, {width, centre}, by this picture's grey values. */
  windowOf(preset) {
    const shares = PRESETS[preset][1];
    if (!shares || !this.#counts) return { width: 255, centre: 127.5 };
    const [low, high] = shares.map((share) => this.#quantile(share));
    return { width: Math.max(1, high - low), centre: (low + high) / 2 };
  }

  draw() {
    if (!this.#image) return;
    const { view, canvas } = this;
    const wanted = this.#laid && view.overlayShown ? this.#laid.seen : this.#image;
    if (wanted !== this.#shown) this.#turnTo(wanted);
    const { box, x, y, width, height } = this.place();
    this.#level(view.preset ? this.windowOf(view.preset) : view.window, view.inverted);
    const ratio = window.devicePixelRatio;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#levelled, x, y, width, height);
    if (this.#laid && view.overlayShown) {
      context.globalAlpha = view.opacity;
      context.drawImage(this.#laid.map, x, y, width, height);
    } else if (this.measurable) {
      this.#drawRuler(context, { box, width });
      if (this.line) this.#drawLine(context, { x, y, width, height });
    }
  }

  /** A ruler with ten parts in the right lower corner, as long as fits a third of the canvas. */
  #drawRuler(context, { box, width }) {
    const { across, note } = this.ruler;
    const long = LENGTHS.findLast((mm) => mm * width / across < box.width / 3);
    if (!long) return;
    const [part, right, base] = [long * width / across / 10, box.width - 14, box.height - 14];
    const path = new Path2D();
    for (let i = 0; i <= 10; i += 1) {
      path.moveTo(right - i * part, base);
      path.lineTo(right - i * part, base - (i % 5 ? 5 : 10));
    }
    path.moveTo(right, base);
    path.lineTo(right - 10 * part, base);
    context.textAlign = "right";
    outline(context, path, `${long} mm ${note}`, [right, base - 15], "#fff");
  }

  /** What is measured: a line with a cross stroke at both ends, and its length beside the middle. */
  #drawLine(context, { x, y, width, height }) {
    const [a, b] = [this.line.from, this.line.to].map((p) => [x + p.x * width, y + p.y * height]);
    const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
    const stroke = 6 / (Math.hypot(dx, dy) || 1);
    const path = new Path2D();
    path.moveTo(...a);
    path.lineTo(...b);
    for (const [px, py] of [a, b]) {
      path.moveTo(px - dy * stroke, py + dx * stroke);
      path.lineTo(px + dy * stroke, py - dx * stroke);
    }
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    context.textAlign = Math.abs(dx) > Math.abs(dy) ? "center" : "left";
    const place = context.textAlign === "center" ? [middle[0], middle[1] - 12]
      : [middle[0] + 12, middle[1] + 4];
    outline(context, path, this.measured, place, "#ffe08a");
  }

  #turnTo(image) {
    this.#shown = image;
    this.#key = "";
    this.#levelled.width = image.width;
    this.#levelled.height = image.height;
    const context = this.#levelled.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    this.#grey = context.getImageData(0, 0, image.width, image.height);
    this.#counts = new Uint32Array(256);
    const { data } = this.#grey;
    for (let i = 0; i < data.length; i += 4) this.#counts[data[i]] += 1;
    this.#counts[0] = 0; // borders are black, and say nothing
  }

  #quantile(share) {
    const all = this.#counts.reduce((sum, n) => sum + n, 0);
    let [value, below] = [0, 0];
    while (value < 255 && (below += this.#counts[value]) < share * all) value += 1;
    return value;
  }

  #level({ width, centre }, inverted) {
    const key = `${width} ${centre} ${inverted}`;
    if (key === this.#key) return;
    this.#key = key;
    const table = new Uint8ClampedArray(256);
    for (let value = 0; value < 256; value += 1) {
      const share = Math.min(1, Math.max(0, (value - centre) / width + 0.5));
      table[value] = 255 * (inverted ? 1 - share : share);
    }
    const [from, made] = [this.#grey.data, new ImageData(this.#grey.width, this.#grey.height)];
    const to = made.data;
    for (let i = 0; i < from.length; i += 4) {
      to[i] = to[i + 1] = to[i + 2] = table[from[i]];
      to[i + 3] = 255;
    }
    this.#levelled.getContext("2d").putImageData(made, 0, 0);
  }
}
