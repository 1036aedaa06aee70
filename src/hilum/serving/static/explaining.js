// Attribution maps of the chosen radiograph, one at a time, kept as long as the page is open.

import { byId, decodePng, el } from "./dom.js";
import { isOdd, pathOf } from "./labels.js";

const METHODS = { occlusion: "Occlusion", gradcam: "Grad-CAM", ig: "Integrated gradients" };
const SIGNED = "Orange speaks for it, violet against it.";
const COLOURS = { occlusion: SIGNED, gradcam: "Yellow is strongest.", ig: SIGNED };
const VOID = "The picture is unlike the training radiographs, so that this map means nothing. ";

/** The finding of the highest probability. */
const likeliest = ({ findings }) => findings.toSorted((a, b) => b.probability - a.probability)[0].name;

export class ExplainPanel {
  #item = null;

  constructor(server, classifier, members, viewer) {
    Object.assign(this, { server, classifier, members, viewer });
    byId("method").replaceChildren(...classifier.explanations.map((name) =>
      el("option", { value: name }, METHODS[name] ?? name)));
    byId("explain-form").onsubmit = (event) => {
      event.preventDefault();
      this.#draw();
    };
    byId("overlay").onchange = byId("opacity").oninput = () => this.#show();
  }

  /** Turn to an item; null or a failed one has nothing to explain. */
  turnTo(item) {
    const result = item?.result;
    byId("explain").hidden = !result;
    if (this.#item === item && byId("option").options.length) return;
    this.#item = item;
    byId("overlay-tools").hidden = true;
    byId("explain-status").textContent = "";
    byId("option").replaceChildren();
    if (!result) return;
    // Unless asked otherwise, the last step to the answer; a flat network has one for all.
    const last = pathOf(result, this.members).at(-1);
    const networks = this.classifier.networks;
    const own = networks.find(({ name }) => name === last?.decision) ?? networks[0];
    const one = networks.length === 1; // whose name then says nothing
    byId("option").append(...networks.map(({ name, options, findings }) =>
      el("optgroup", { label: name }, ...options.map((option) =>
        el("option", {
          value: JSON.stringify([name, option]),
          selected: name === own.name && this.members.get(option).includes(result.predicted),
        }, one ? option : `${name}: ${option}`)), ...findings.map((finding) =>
        el("option", {
          value: JSON.stringify([name, finding]), selected: !last && finding === likeliest(result),
        }, finding)))));
  }

  /** Show the map or hide it; true if there is one. */
  toggle() {
    if (byId("overlay-tools").hidden) return false;
    byId("overlay").checked = !byId("overlay").checked;
    this.#show();
    return true;
  }

  #show() {
    const percent = Number(byId("opacity").value);
    byId("opacity-value").textContent = `${percent} %`;
    this.viewer.setOverlay(byId("overlay").checked, percent / 100);
  }

  async #draw() {
    const item = this.#item;
    const [decision, option] = JSON.parse(byId("option").value);
    const method = byId("method").value;
    const status = byId("explain-status");
    const key = JSON.stringify([method, decision, option]);
    item.maps ??= new Map();
    try {
      if (!item.maps.has(key)) {
        byId("draw").disabled = true;
        status.textContent = "Drawing …";
        const busy = (s) => { status.textContent = `The server is busy; trying again in ${s} s.`; };
        const asked = { method, decision, option };
        const found = await this.server.explain(item.file, asked, busy);
        const [seen, map] = [decodePng(found.radiograph), decodePng(found.map.png)];
        const alt = `${isOdd(found) ? VOID : ""}${found.alt}`;
        item.maps.set(key, { seen: await seen, map: await map, alt });
        item.neighbours ??= found.neighbours;
      }
    } catch (error) {
      if (item === this.#item) status.textContent = error.message;
      return;
    } finally {
      byId("draw").disabled = false;
    }
    if (item !== this.#item) return; // another radiograph was chosen meanwhile
    const { seen, map, alt } = item.maps.get(key);
    status.textContent = `${alt} ${COLOURS[method] ?? ""}`;
    byId("overlay-tools").hidden = false;
    byId("overlay").checked = true;
    this.viewer.lay(seen, map);
    this.#show();
  }
}
