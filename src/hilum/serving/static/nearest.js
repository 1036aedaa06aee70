// The nearest training radiographs of the chosen one: asked for when they are to be seen.

import { byId, decodePng, el } from "./dom.js";
import { isOdd } from "./labels.js";

export class NearestPanel {
  #item = null;
  #follow = false; // whether the nearest is to stand beside as soon as it is known
  #rows = []; // {image, words, button} of the training radiographs that can be shown beside

  constructor(server, classifier, viewer) {
    Object.assign(this, { server, viewer });
    this.offered = classifier.neighbours;
    byId("near").ontoggle = () => this.#update();
    viewer.onBeside = () => this.#mark();
  }

  /** Turn to an item; while one's nearest stands beside, so does the next one's. */
  turnTo(item) {
    byId("near").hidden = !this.offered || !item?.result;
    if (item !== this.#item) {
      this.#follow = this.viewer.besides("nearest");
      if (this.#follow) this.viewer.beside(null);
      this.#item = item;
      this.#rows = [];
      byId("near-list").replaceChildren();
      byId("near-status").textContent = "";
    }
    this.#update();
  }

  /** Show the nearest beside the picture, or put it away; false where none is told. */
  toggle() {
    if (byId("near").hidden) return false;
    if (this.viewer.besides("nearest")) {
      this.viewer.beside(null);
    } else if (this.#rows.length) {
      this.#show(this.#rows[0]);
    } else {
      this.#follow = true;
      byId("near").open = true;
      this.#update();
    }
    return true;
  }

  async #update() {
    const item = this.#item;
    if (byId("near").hidden || !byId("near").open || byId("near-list").children.length) return;
    const status = byId("near-status");
    status.textContent = "Looking for them …";
    try {
      const busy = (s) => { status.textContent = `The server is busy; trying again in ${s} s.`; };
      item.asked ??= item.neighbours ? Promise.resolve(item.neighbours)
        : this.server.neighbours(item.file, busy);
      item.neighbours = await item.asked;
      item.nearest ??= await Promise.all(item.neighbours.map(({ thumbnail }) =>
        thumbnail && decodePng(thumbnail)));
    } catch (error) {
      item.asked = null;
      if (item === this.#item) status.textContent = error.message;
      return;
    }
    if (item !== this.#item || byId("near-list").children.length) return;
    status.textContent = `${isOdd(item.result) ? "Of a picture like this they mean nothing. " : ""}`
      + "By what the networks make of them; distances compare only with each other."
      + (item.nearest.some(Boolean) ? " The pictures are small, and as the networks see them." : "");
    byId("near-list").replaceChildren(this.#table(item));
    if (this.#follow) this.#show(this.#rows[0]);
    this.#follow = false;
    this.#mark();
  }

  #table({ neighbours, nearest }) {
    const shown = nearest.some(Boolean);
    const rows = neighbours.map(({ label, distance }, i) => {
      const said = distance.toFixed(2);
      const row = { image: nearest[i], words: `Training radiograph: ${label}, distance ${said}` };
      if (row.image) {
        const thumb = el("canvas", { width: row.image.width, height: row.image.height });
        thumb.getContext("2d").drawImage(row.image, 0, 0);
        row.button = el("button", { type: "button", title: "Show it beside the picture",
          "aria-label": `${row.words}: show it beside`, onclick: () => this.#show(row) }, thumb);
        this.#rows.push(row);
      }
      return el("tr", {}, shown && el("td", {}, row.button), el("td", {}, label), el("td", {}, said));
    });
    return el("table", { className: "near" },
      el("thead", {}, el("tr", {}, shown && el("td"), el("th", { scope: "col" }, "Label"),
        el("th", { scope: "col" }, "Distance"))),
      el("tbody", {}, ...rows));
  }

  /** Show one beside the picture; the one that is there already is put away. */
  #show(row) {
    if (!row) return;
    const away = this.viewer.besides("nearest") && this.viewer.pinned.image === row.image;
    this.viewer.beside(away ? null : row.image, row.words, null, "nearest");
  }

  #mark() {
    const beside = this.viewer.besides("nearest") ? this.viewer.pinned.image : null;
    for (const { image, button } of this.#rows) {
      button.setAttribute("aria-pressed", image === beside);
    }
  }
}
