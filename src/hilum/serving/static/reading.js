// What the classifier says of one radiograph, in words and bars.

import { count, el, probability } from "./dom.js";
import { isOdd, pathOf, saidOf, stillPossible } from "./labels.js";

/** The answer for one item: {state, result, reason, retry}. members: see membersOf. */
export function answerOf(item, classifier, members) {
  const { result } = item;
  if (item.state === "failed") {
    return [
      el("p", { className: "verdict" }, "No answer"),
      el("p", { className: "flag" }, item.reason),
      item.retry ? el("button", { type: "button", onclick: item.retry }, "Try again") : null,
    ].filter(Boolean);
  }
  if (!result) return [el("p", { className: "quiet" }, "Waiting for the server …")];
  const named = result.predicted
    ? [el("span", { className: "class" }, result.predicted), " ",
      el("span", { className: "share" }, probability(result.probs[result.predicted]))]
    : [el("span", { className: "class findings" }, calledIn(result))];
  if (isOdd(result)) {
    return [
      el("p", { className: "verdict" }, "No answer: unlike the training radiographs"),
      ...facts(result),
      ...flags(result),
      el("div", { className: "void" },
        el("h3", {}, "What the networks compute all the same"),
        el("p", { className: "quiet" }, "Of a picture like this it means nothing."),
        el("p", {}, ...named),
        ...reasons(result, classifier, members)),
    ];
  }
  return [
    el("p", { className: "verdict" }, ...named),
    result.predicted ? pathLine(result, members) : "",
    ...facts(result),
    ...setOf(result),
    ...gateOf(result),
    ...flags(result),
    ...reasons(result, classifier, members),
  ];
}

const UNITS = { D: "day", W: "week", M: "month", Y: "year" };
const SEXES = { F: "female", M: "male", O: "other sex" };

/** What a DICOM file says of its picture, in words: "PA, 34 years, female". */
export function factsOf({ dicom }) {
  if (!dicom) return "";
  const { view, age, sex } = dicom;
  const years = age && count(parseInt(age, 10), UNITS[age.at(-1)]);
  return [view, years, SEXES[sex]].filter(Boolean).join(", ");
}

/** The answer in a line, for the picture's caption. */
export function lineOf({ name, state, result }) {
  if (state === "failed") return `${name}: no answer`;
  if (!result) return name;
  if (isOdd(result)) return `${name}: no answer, unlike the training radiographs`;
  const open = stillPossible(result);
  return `${name}: ${saidOf(result)}${open ? `, ${open.short}` : ""}`;
}

/** How the networks come to what they say. */
function reasons(result, classifier, members) {
  return [
    ...(result.predicted ? [el("h3", {}, "Down the label tree"), treeOf(result, members)] : []),
    ...findingsOf(result),
    classifier.calibrated ? "" : el("p", { className: "quiet" },
      "This classifier is not calibrated: read the numbers as an order, not as probabilities."),
    helpOf(result, classifier),
  ];
}

function facts(result) {
  const said = factsOf(result);
  return said ? [el("p", { className: "gate" }, `The file says: ${said}.`)] : [];
}

function pathLine(result, members) {
  const line = el("p", { className: "path" });
  pathOf(result, members).forEach(({ decision, option, p }, i) => {
    if (i) line.append(" → ");
    line.append(`${decision}: ${option} `, el("b", {}, probability(p)));
  });
  return line;
}

function flags(result) {
  const found = [];
  if (isOdd(result)) {
    found.push(el("p", { className: "flag" },
      el("strong", {}, "For a radiologist: "), result.referred_because));
  }
  if (result.colour) {
    found.push(el("p", { className: "flag" },
      "The picture has colours, which a radiograph has not; they were read as grey."));
  }
  return found;
}

// The decisions come from the root down, so each list goes below the option that it divides.
function treeOf(result, members) {
  let top = null;
  const places = new Map();
  const steps = pathOf(result, members);
  result.decisions.forEach(({ name, options }, i) => {
    const list = el("ul", { className: "tree", "aria-label": name });
    for (const [option, p] of Object.entries(options)) {
      const bar = el("span", { className: "bar", "aria-hidden": "true" }, el("span"));
      bar.firstChild.style.width = `${100 * p}%`;
      const row = el("li", { className: option === steps[i].option ? "taken" : "" },
        el("span", { className: "option" }, option), bar,
        el("span", { className: "value" }, probability(p)));
      places.set(option, row);
      list.append(row);
    }
    if (top) places.get(name)?.append(list);
    top ??= list;
  });
  return top;
}

/** What is called present, in words. */
function calledIn({ findings }) {
  const present = findings.filter((f) => f.present).map((f) => f.name);
  return present.length ? `Present: ${present.join(", ")}` : "No finding called present";
}

/** A bar for each finding, with a mark at its threshold. */
function findingsOf(result) {
  if (!result.findings.length) return [];
  const rows = result.findings.map(({ name, probability: p, present, threshold }) => {
    const bar = el("span", { className: "bar", "aria-hidden": "true" }, el("span"), el("i"));
    bar.firstChild.style.width = `${100 * p}%`;
    bar.lastChild.style.left = `${100 * threshold}%`;
    return el("li", { className: present ? "taken" : "" },
      el("span", { className: "option" }, name), bar,
      el("span", { className: "value" }, probability(p)),
      el("small", {}, `from ${probability(threshold)}`,
        el("span", { className: "unseen" }, present ? ": present" : ": absent")));
  });
  return [
    el("h3", {}, "Findings"),
    result.predicted && el("p", { className: "quiet" }, `${calledIn(result)}.`),
    el("ul", { className: "tree findings", "aria-label": "findings" }, ...rows),
    el("p", { className: "quiet" }, "Each is called present from a probability of its own on, at the mark."),
  ].filter(Boolean);
}

function setOf(result) {
  if (!result.set) return [];
  const said = stillPossible(result)?.long ?? `Only ${result.set[0]} fits.`;
  return [el("p", { className: "set" }, said, result.referred ? " For a radiologist." : "")];
}

function helpOf({ decisions, set }, { coverage, validation }) {
  const step = decisions.length > 1 ? "Each step counts as if the steps above it were right. " : "";
  const held = set ? `Of the images of each class, at least ${Math.round(coverage * 100)} % keep `
    + `the true class in what is left open. ${validation?.holds ?? ""}` : "";
  return step || held ? el("details", {}, el("summary", {}, "How to read this"),
    el("p", { className: "quiet" }, step, held)) : "";
}

function gateOf({ gate_p_value: p }) {
  return p === null || p === undefined ? []
    : [el("p", { className: "gate" }, "Like the training radiographs.")];
}
