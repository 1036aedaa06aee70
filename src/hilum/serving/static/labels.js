// The label tree as the server tells it: "normal" is a class, {"infected": [...]} is divided, and
// {"{}": [...]} are findings, present or absent beside each other.

import { probability } from "./dom.js";

/** For every label the classes below it (of a class: itself), parents before children. */
export function membersOf(tree) {
  const members = new Map();
  const labels = (nodes) => nodes.filter((node) => !node["{}"]); // without findings
  const walk = (node) => {
    const [[name, below]] = typeof node === "string" ? [[node, []]] : Object.entries(node);
    members.set(name, []); // keeps parents before children
    const found = labels(below).flatMap(walk);
    members.set(name, found.length ? found : [name]);
    return members.get(name);
  };
  labels(tree).forEach(walk);
  return members;
}

/** The probability of a label, the sum over its classes, or of a finding. */
export function scoreOf(result, label, members) {
  return members.get(label)?.reduce((sum, name) => sum + result.probs[name], 0)
    ?? findingOf(result, label).probability;
}

/** What is said of a finding: {name, probability, present, threshold}. */
export const findingOf = (result, name) => result.findings.find((f) => f.name === name);

/** The findings that are called present, or what is said where none is; nothing without findings. */
export function presentIn({ findings, predicted }) {
  const present = findings.filter((f) => f.present)
    .map((f) => `${f.name} ${probability(f.probability)}`).join(", ");
  return present || (findings.length && !predicted ? "no finding called present" : "");
}

/** What is said in short: the class and the findings called present, with their probabilities. */
export function saidOf(result) {
  const { predicted, probs } = result;
  const named = predicted ? `${predicted} ${probability(probs[predicted])}` : "";
  return [named, presentIn(result)].filter(Boolean).join(": ");
}

/** Whether the gate refuses a picture: what the networks make of it then means nothing. */
export const isOdd = (result) => result?.referred_because === "not such a radiograph";

/**
 * What the prediction set leaves open, {short, long}; null where it is one class, or there is none.
 */
export function stillPossible({ set, predicted, probs }) {
  if (!set || set.length === 1) return null;
  if (!set.length) return { short: "no class fits", long: "No class fits this picture." };
  if (set.length === Object.keys(probs).length) {
    return { short: "no information", long: "No information: any class is still possible." };
  }
  const others = set.filter((name) => name !== predicted).join(" or ");
  const long = `Undecided: ${set.join(" or ")}.`;
  return { short: set.includes(predicted) ? `or ${others}` : `rather ${others}`, long };
}

/** The steps that the answer took: [{decision, option, p}], from the root down. */
export function pathOf(result, members) {
  return result.decisions.map(({ name, options }) => {
    const taken = Object.keys(options).find((o) => members.get(o).includes(result.predicted));
    return { decision: name, option: taken, p: options[taken] };
  });
}
