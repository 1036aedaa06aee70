// The server's answers, and what it refuses in words.

const TRIES = 4; // of a request that the server had no room for
const LONGEST_WAIT_S = 30;

/** A refusal. status: the HTTP status, 0 where the server cannot be reached. */
export class ServerError extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
  }
}

const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const title = problem.title ?? (response.statusText || `The server answered ${response.status}`);
  const detail = typeof problem.detail === "string" ? problem.detail : "";
  return new ServerError(response.status, title, detail);
}

/** The server. askToken(rejected): a promise of a token; kept as long as the page is open. */
export class Server {
  #token = null;
  #asking = null;

  constructor(askToken) {
    this.askToken = askToken;
  }

  classifier() {
    return this.#request("/v1/classifier", {});
  }

  /** What is said of one file. onWait(seconds): the server is busy, and is asked again then. */
  async predict(file, onWait) {
    const body = new FormData();
    body.append("files", file, file.name);
    const found = await this.#request(
      "/v1/predictions?preview=true&details=true", { method: "POST", body }, onWait);
    return found.predictions[0];
  }

  /** What is said of n pictures together; null of a few. */
  arrivals({ n, flagged, mean }) {
    const query = new URLSearchParams({ n, flagged, mean_p_value: mean });
    return this.#request(`/v1/arrivals?${query}`, {});
  }

  explain(file, { method, decision, option }, onWait) {
    const query = new URLSearchParams({ method, decision, option });
    const body = new FormData();
    body.append("files", file, file.name);
    return this.#request(`/v1/explanations?${query}`, { method: "POST", body }, onWait);
  }

  /** The nearest training radiographs of one file. */
  neighbours(file, onWait) {
    const body = new FormData();
    body.append("files", file, file.name);
    return this.#request("/v1/neighbours", { method: "POST", body }, onWait);
  }

  async #request(address, options, onWait = () => {}) {
    for (let tried = 1; ; ) {
      const sent = this.#token;
      const headers = sent === null ? {} : { Authorization: `Bearer ${sent}` };
      let response;
      try {
        response = await fetch(address, { ...options, headers });
      } catch {
        throw new ServerError(0, "The server cannot be reached.", "");
      }
      if (response.ok) return response.json();
      if (response.status === 401) {
        await this.#renew(sent);
        continue;
      }
      const busy = response.status === 429 || response.status === 503;
      if (!busy || tried === TRIES) throw await problemOf(response);
      const asked = Number(response.headers.get("Retry-After")) || 1;
      const seconds = Math.min(asked, LONGEST_WAIT_S);
      onWait(seconds);
      await sleep(seconds);
      tried += 1;
    }
  }

  // Requests that are refused at the same time lead to one question.
  async #renew(refused) {
    if (this.#token !== refused) return;
    this.#asking ??= this.askToken(refused !== null);
    this.#token = await this.#asking;
    this.#asking = null;
  }
}
