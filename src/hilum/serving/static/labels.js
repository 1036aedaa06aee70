// The label tree as the server tells it: "normal" is a class, {"infected": [...]} is divided.

/** For every label the classes below it (of a class: itself), parents before children. */
export function membersOf(tree) {
  const members = new Map();
  const walk = (node) => {
    if (typeof node === "string") {
      members.set(node, [node]);
      return [node];
    }
    const [[name, below]] = Object.entries(node);
    members.set(name, []); // keeps parents before children
    members.set(name, below.flatMap(walk));
    return members.get(name);
  };
  tree.forEach(walk);
  return members;
}

/** The probability of a label: the sum over its classes. */
export function scoreOf(result, classes) {
  return classes.reduce((sum, name) => sum + result.probs[name], 0);
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
