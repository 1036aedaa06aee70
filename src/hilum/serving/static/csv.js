// The results as CSV, with the columns of `hilum predict`.

import { findingOf } from "./labels.js";

const FORMULA = /^[=+\-@\t\r\n＝＋－＠']/;

/** A text as a cell that no spreadsheet runs, and that CSV can hold. */
export function toCell(value) {
  if (value === null || value === undefined) return "";
  let text = String(value);
  if (typeof value === "string" && FORMULA.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const namesOf = (findings) => findings.map(({ name }) => name).join("|");

/**
 * items: those with a result or a reason. classifier: as the server describes it.
 * calls: [{name, of(result)}], columns of 1 and 0 beside the probabilities.
 */
export function toCsv(items, classifier, calls) {
  const options = classifier.decisions.flatMap((d) => d.options.map((o) => [d.name, o]));
  const findings = classifier.findings.map(({ name }) => name);
  const chooses = classifier.classes.length > 0;
  const first = ["path", ...(chooses ? ["predicted"] : []), ...(findings.length ? ["present"] : [])];
  const header = [
    ...first, "status", "reason",
    ...classifier.classes.map((name) => `p(${name})`),
    ...options.map(([decision, option]) => `${decision}/${option}`),
    ...findings.map((name) => `p(${name})`),
    ...calls.map((call) => call.name),
    ...(chooses ? ["set"] : []), "gate_p_value", "referred", "referral",
  ];
  const rows = items.map(({ name, result, reason }) => {
    if (!result) {
      const told = [name, ...first.slice(1).map(() => null), "failed", reason];
      return [...told, ...Array(header.length - told.length).fill(null)];
    }
    const decided = Object.fromEntries(result.decisions.map((d) => [d.name, d.options]));
    return [
      name, ...(chooses ? [result.predicted] : []),
      ...(findings.length ? [namesOf(result.findings.filter((f) => f.present))] : []), "ok", "",
      ...classifier.classes.map((label) => result.probs[label]),
      ...options.map(([decision, option]) => decided[decision]?.[option]),
      ...findings.map((label) => findingOf(result, label).probability),
      ...calls.map((call) => (call.of(result) ? 1 : 0)),
      ...(chooses ? [result.set?.join("|")] : []), result.gate_p_value, result.referred ? 1 : 0, result.referred_because,
    ];
  });
  return [header, ...rows].map((row) => `${row.map(toCell).join(",")}\r\n`).join("");
}

/** Hand a text to the reader as a file. */
export function save(name, text) {
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
