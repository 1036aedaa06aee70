// Building elements. Text from anywhere goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element. props: properties (className, hidden, onclick …); names with a hyphen and 'role'
 * are attributes. children: elements and texts; null, undefined and false are left out.
 */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => (child ?? false) !== false));
  return made;
}

/** A new element of a drawing, with attributes. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A probability with two digits; never rounded to a certainty that it is not. */
export function probability(p) {
  if (p > 0 && p < 0.005) return "<0.01";
  if (p < 1 && p >= 0.995) return ">0.99";
  return p.toFixed(2);
}

/** An estimate with its 95 % interval, or why there is none. */
export function estimate(found) {
  if (found.value === null) return `undefined: ${found.reason}`;
  const value = found.value.toFixed(2);
  if (found.low === null) return `${value} (no interval)`;
  return `${value} (${found.low.toFixed(2)} to ${found.high.toFixed(2)})`;
}

/** "1 radiograph", "3 radiographs". */
export const count = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** A picture from base64; by hand, as the content security policy allows no data: address. */
export async function decodePng(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}
