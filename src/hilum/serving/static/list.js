// The radiographs of this page as a list of buttons.

import { el, probability } from "./dom.js";
import { isOdd } from "./labels.js";

const THUMB = 52; // CSS pixels

/** A row for an item, whose button chooses it. */
export function rowOf(item, onChoose) {
  item.thumb = el("canvas", { className: "thumb", width: THUMB * 2, height: THUMB * 2,
    "aria-hidden": "true" });
  item.about = el("span", { className: "about" });
  item.button = el("button", { type: "button", className: "item", onclick: () => onChoose(item) },
    item.thumb,
    el("span", { className: "words" }, el("span", { className: "file-name" }, item.name),
      item.about));
  return el("li", {}, item.button);
}

/** Bring a row up to date. call: the threshold's, or null. */
export function updateRow(item, chosen, call) {
  item.button.setAttribute("aria-current", chosen);
  item.about.replaceChildren(...aboutOf(item, call));
}

function aboutOf({ state, result, waiting }, call) {
  if (state === "failed") return [el("span", { className: "tag trouble" }, "no answer")];
  if (!result) return [waiting ?? (state === "sent" ? "reading …" : "waiting …")];
  if (isOdd(result)) return [el("span", { className: "tag warn" }, "unlike the training radiographs")];
  return [
    `${result.predicted} ${probability(result.probs[result.predicted])} `,
    call?.of(result) ? el("span", { className: "tag" }, `called ${call.label}`) : "",
    result.referred ? el("span", { className: "tag warn" }, "for a radiologist") : "",
  ];
}

/** Draw a picture's thumbnail. */
export function drawThumb(item, image) {
  const side = THUMB * 2;
  const scale = Math.min(side / image.width, side / image.height);
  const [width, height] = [image.width * scale, image.height * scale];
  const context = item.thumb.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (side - width) / 2, (side - height) / 2, width, height);
}
