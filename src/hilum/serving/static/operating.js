// The threshold: presets, a slider, and what it does to sensitivity and specificity.

import { count, el, estimate, svg } from "./dom.js";
import { isOdd, scoreOf } from "./labels.js";

const WIDTH = 340;
const HEIGHT = 146;
const LEFT = 20;
const BASE = 108; // the chart's zero; the radiographs' scores and the ticks stand below it

const MEASURES = {
  sensitivity: ["Sensitivity", (label) => `of radiographs that are ${label}, the share called so`],
  specificity: ["Specificity", () => "of the others, the share not called so"],
  ppv: ["PPV", (label) => `of those called so, the share that are ${label}, at validation's mix`],
  npv: ["NPV", (label) => `of those not called so, the share not ${label}, at validation's mix`],
};

export class OperatingPanel {
  /** classifier: as the server describes it. onChange: called when the threshold moves. */
  constructor(panel, classifier, members, onChange) {
    this.classifier = classifier;
    this.members = members;
    this.onChange = onChange;
    this.results = [];
    this.labels = Object.keys(classifier.operating_curve);
    if (!this.labels.length) {
      panel.append(el("p", {}, "This classifier carries no validation figures, so that nothing "
        + "can be said of thresholds. Give it some: hilum calibrate."));
      return;
    }
    this.#build(panel);
    // A label that has presets is a finding; the others are names for "nothing found".
    this.#show(this.labels.find((label) => this.#points(label).length) ?? this.labels[0]);
  }

  /** The call at the threshold, or null: {name, label, score(result), of(result)}. */
  get call() {
    if (!this.labels.length) return null;
    const { label, members, threshold } = this;
    const name = `${label}: score>=${threshold.toFixed(4)}`;
    const score = (result) => scoreOf(result, label, members);
    return { name, label, score, of: (result) => score(result) >= threshold };
  }

  /** Tell which results there are. */
  update(results) {
    if (!this.labels.length) return;
    this.results = results.filter((result) => !isOdd(result));
    this.odd = results.length - this.results.length;
    this.#draw();
  }

  focus() {
    this.slider?.focus();
  }

  #build(panel) {
    const option = (name) => el("option", { value: name }, name);
    this.select = el("select", { id: "target", onchange: () => this.#choose(this.select.value) },
      ...this.labels.map(option));
    this.presets = el("div", { className: "tools", role: "group", "aria-label": "Presets" });
    this.slider = el("input", { type: "range", id: "threshold", min: 0, step: 1,
      "aria-keyshortcuts": "t", oninput: () => this.#slide() });
    this.value = el("output", { id: "threshold-value" });
    this.figures = el("dl", { className: "figures", id: "figures" });
    this.notes = el("div", { className: "quiet" });
    this.tally = el("p", { id: "tally", role: "status" });
    this.chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    panel.append(
      el("div", { className: "tools" },
        el("label", {}, "Call a radiograph ", this.select),
        el("label", { htmlFor: "threshold" }, "if its probability is at least ", this.value)),
      this.slider, this.presets, this.figures, this.chart,
      el("p", { className: "legend" }, el("span", { className: "key sensitivity" }),
        " sensitivity ", el("span", { className: "key specificity" }), " specificity"),
      this.tally, this.notes,
    );
  }

  #choose(label) {
    this.#show(label);
    this.onChange();
  }

  #show(label) {
    this.label = this.select.value = label;
    this.curve = this.classifier.operating_curve[label];
    this.slider.max = this.curve.thresholds.length - 1;
    this.#showPresets();
    this.#place(this.classifier.findings.find(({ name }) => name === label)?.threshold ?? 0.5);
  }

  #points(label = this.label) {
    return Object.entries(this.classifier.presets).flatMap(([name, points]) =>
      points.filter((point) => point.target === label).map((point) => ({ name, point })));
  }

  #showPresets() {
    const buttons = this.#points().map(({ name, point }) => {
      const demands = point.demands.map((d) =>
        `${MEASURES[d.measure][0].replace(/^S/, "s")} ≥ ${d.least}`).join(", ");
      const usable = point.chosen?.satisfied;
      return el("button", { type: "button", disabled: !usable, "data-preset": name,
        "aria-pressed": "false", onclick: () => this.#set(point.chosen.threshold, point) },
      name, el("small", {}, usable ? demands : "out of reach"));
    });
    this.presets.replaceChildren(...buttons);
    this.presets.hidden = !buttons.length;
  }

  #slide() {
    this.#set(this.curve.thresholds[Number(this.slider.value)]);
  }

  #set(threshold, point = null) {
    this.#place(threshold, point);
    this.onChange();
  }

  // A preset keeps its own threshold, between those of the curve.
  #place(threshold, point = null) {
    const distances = this.curve.thresholds.map((t) => Math.abs(t - threshold));
    this.index = distances.indexOf(Math.min(...distances));
    this.point = point;
    this.threshold = point ? threshold : this.curve.thresholds[this.index];
    this.slider.value = this.index;
    this.#draw();
  }

  #draw() {
    const measured = this.point?.chosen.expected ?? {
      sensitivity: this.curve.sensitivity[this.index],
      specificity: this.curve.specificity[this.index],
    };
    const demanded = this.point?.demands.map(({ measure }) => measure) ?? [];
    const shown = new Set(["sensitivity", "specificity", ...demanded]);
    this.value.textContent = this.threshold.toFixed(3);
    this.slider.setAttribute("aria-valuetext",
      `${this.threshold.toFixed(3)}: sensitivity ${estimate(measured.sensitivity)}, `
      + `specificity ${estimate(measured.specificity)}`);
    this.figures.replaceChildren(...[...shown].flatMap((measure) => {
      const [title, meaning] = MEASURES[measure];
      return [el("dt", {}, title), el("dd", {}, estimate(measured[measure]),
        el("small", {}, meaning(this.label)))];
    }));
    for (const button of this.presets.children) {
      const on = this.point?.preset === button.dataset.preset;
      button.setAttribute("aria-pressed", on);
    }
    this.notes.replaceChildren(...this.#notes().map((text) => el("p", {}, text)));
    this.#tally();
    this.#drawChart();
  }

  #notes() {
    const { validation } = this.classifier;
    const image = validation?.shifted ? "shifted validation image" : "validation image";
    const on = validation ? count(validation.n, image) : "validation images";
    const from = `${on}${validation?.name ? ` of ${validation.name}` : ""}`;
    const chosen = this.point
      ? [`Expected elsewhere, with the choice on ${from} allowed for; 95 % intervals.`,
        ...this.point.chosen.notes]
      : [`Measured on ${from}; 95 % Wilson intervals. A threshold picked for its figures does `
        + "worse elsewhere; the presets allow for that."];
    const missed = this.#points().filter(({ point }) => !point.chosen?.satisfied)
      .map(({ name, point }) => `${name}: ${point.chosen?.reason ?? "not fitted"}`);
    return [...chosen, ...(validation ? [validation.holds] : []), ...missed,
      this.members.has(this.label)
        ? "The threshold calls this one label; the predicted label does not follow it."
        : "What is called present does not follow this threshold; it keeps the classifier's own."];
  }

  #tally() {
    const { results } = this;
    const called = results.filter((result) => this.call.of(result)).length;
    const odd = this.odd ? ` Left out: ${this.odd} unlike the training radiographs.` : "";
    this.tally.textContent = results.length || odd
      ? `Of ${count(results.length, "radiograph")} here, ${called} called ${this.label}.${odd}` : "";
  }

  #drawChart() {
    const { thresholds } = this.curve;
    const x = (threshold) => (LEFT + threshold * (WIDTH - LEFT - 8)).toFixed(1);
    const y = (value) => (BASE - value * (BASE - 6)).toFixed(1);
    const tick = (text, tx, ty, anchor) =>
      svg("text", { class: "tick", x: tx, y: ty, "text-anchor": anchor }, text);
    const parts = [
      svg("line", { class: "axis", x1: LEFT, x2: WIDTH - 8, y1: BASE, y2: BASE }),
      tick("1", LEFT - 6, 12, "end"), tick("0", LEFT - 6, BASE + 3, "end"),
      tick("0", LEFT, HEIGHT - 4, "middle"), tick("1", WIDTH - 8, HEIGHT - 4, "middle"),
      tick("threshold", (LEFT + WIDTH - 8) / 2, HEIGHT - 4, "middle"),
    ];
    for (const name of ["specificity", "sensitivity"]) {
      const known = this.curve[name].map((e, i) => ({ ...e, t: thresholds[i] }))
        .filter((e) => e.value !== null);
      const at = (key) => known.map((e) => `${x(e.t)},${y(e[key] ?? e.value)}`);
      parts.push(
        svg("polygon", { class: `band ${name}`,
          points: [...at("low"), ...at("high").reverse()].join(" ") }),
        svg("polyline", { class: `curve ${name}`, points: at("value").join(" ") }),
      );
    }
    for (const result of this.results) {
      const place = x(scoreOf(result, this.label, this.members));
      const mark = { class: "score", x1: place, x2: place, y1: BASE + 5, y2: BASE + 18 };
      parts.push(svg("line", mark));
    }
    const now = x(this.threshold);
    parts.push(svg("line", { class: "now", x1: now, x2: now, y1: 2, y2: BASE + 20 }));
    this.chart.setAttribute("aria-label", "Sensitivity and specificity at thresholds from 0 to 1, "
      + "with their intervals; below, the radiographs here by their probability");
    this.chart.replaceChildren(...parts);
  }
}
