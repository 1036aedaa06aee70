// What the classifier says of one radiograph, in words and bars.

import { el, probability } from "./dom.js";
import { isOdd, pathOf } from "./labels.js";

/** The answer for one item: {state, result, reason, retry, neighbours}. members: see membersOf. */
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
  const named = [el("span", { className: "class" }, result.predicted), " ",
    el("span", { className: "share" }, probability(result.probs[result.predicted]))];
  if (isOdd(result)) {
    return [
      el("p", { className: "verdict" }, "No answer: unlike the training radiographs"),
      ...flags(result),
      ...gateOf(result),
      el("div", { className: "void" },
        el("h3", {}, "What the networks compute all the same"),
        el("p", { className: "quiet" }, "Of a picture like this it means nothing."),
        el("p", {}, ...named),
        ...reasons(result, classifier, members),
        ...neighboursOf(item.neighbours)),
    ];
  }
  return [
    el("p", { className: "verdict" }, ...named),
    pathLine(result, members),
    ...flags(result),
    ...reasons(result, classifier, members),
    ...setOf(result, classifier.coverage),
    ...gateOf(result),
    ...neighboursOf(item.neighbours),
  ];
}

/** How the networks come to what they say. */
function reasons(result, classifier, members) {
  return [
    el("h3", {}, "Down the label tree"),
    treeOf(result, members),
    el("p", { className: "quiet" },
      result.decisions.length > 1 ? "Each step counts as if the steps above it were right. " : "",
      classifier.calibrated ? "" : "This classifier is not calibrated: read the numbers as an "
        + "order, not as probabilities."),
  ];
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
  if (result.referred) {
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

function setOf(result, coverage) {
  if (!result.set) return [];
  const held = `In at least ${Math.round(coverage * 100)} % of the images of each class the set `
    + "holds the true one, if these are like the validation images.";
  const text = {
    0: "No class is left: none fits as it fits its validation images.",
    1: `${result.set[0]} alone`,
  }[result.set.length] ?? result.set.join(" or ");
  return [
    el("h3", {}, "Cannot be ruled out"),
    el("p", { className: "set" }, text),
    el("p", { className: "quiet" }, held),
  ];
}

function gateOf(result) {
  if (result.gate_p_value === null || result.gate_p_value === undefined) return [];
  const percent = 100 * result.gate_p_value;
  const share = percent >= 10 ? percent.toFixed(0) : percent.toPrecision(2);
  return [
    el("h3", {}, "Like the training radiographs?"),
    el("p", {}, `${share} % of them are at least as odd as this one.`),
  ];
}

function neighboursOf(neighbours) {
  if (!neighbours?.length) return [];
  return [
    el("h3", {}, "Nearest training radiographs"),
    el("table", { className: "near" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Label"),
        el("th", { scope: "col" }, "Distance"))),
      el("tbody", {}, ...neighbours.map(({ label, distance }) =>
        el("tr", {}, el("td", {}, label), el("td", {}, distance.toFixed(2)))))),
    el("p", { className: "quiet" },
      "By what the networks make of them; distances compare only with each other."),
  ];
}
