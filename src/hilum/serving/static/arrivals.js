// What the server says of all radiographs of this page together.

import { ServerError } from "./api.js";

/** Asks anew, one question at a time, whenever there are others. place: the element that tells. */
export class ArrivalsNote {
  #told = "0";
  #results = [];
  #asking = false;

  constructor(server, classifier, place) {
    Object.assign(this, { server, classifier, place });
  }

  async update(results) {
    this.#results = results;
    if (!this.classifier.gate || this.#asking) return;
    this.#asking = true;
    try {
      for (let tally; (tally = this.#tally()).key !== this.#told; ) {
        this.#told = tally.key;
        this.#show(tally.n ? await this.#ask(tally) : "");
      }
    } finally {
      this.#asking = false;
    }
  }

  #tally() {
    const pValues = this.#results.map((result) => result.gate_p_value);
    const n = pValues.length;
    const flagged = pValues.filter((p) => p <= this.classifier.false_alarms).length;
    const mean = pValues.reduce((sum, p) => sum + p, 0) / n;
    return { n, flagged, mean, key: n ? `${n} ${flagged} ${mean}` : "0" };
  }

  async #ask(tally) {
    try {
      return (await this.server.arrivals(tally))?.warning ?? "";
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      return `Whether these pictures are like the training radiographs is not known: ${error.message}`;
    }
  }

  #show(text) {
    this.place.textContent = text;
    this.place.hidden = !text;
  }
}
