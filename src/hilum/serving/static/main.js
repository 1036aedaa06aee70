// The page: what was dropped, which radiograph is chosen, and who is told when that changes.

import { ServerError, Server } from "./api.js";
import { ArrivalsNote } from "./arrivals.js";
import { save, toCsv } from "./csv.js";
import { byId, count, decodePng, el } from "./dom.js";
import { ExplainPanel } from "./explaining.js";
import { membersOf } from "./labels.js";
import { drawThumb, List } from "./list.js";
import { OperatingPanel } from "./operating.js";
import { NearestPanel } from "./nearest.js";
import { answerOf, lineOf } from "./reading.js";
import { bindKeys } from "./shortcuts.js";
import { Viewer } from "./viewer.js";

const AT_ONCE = 2; // requests under way; the server batches those of all its readers

const items = []; // {name, file, state: waiting|sent|done|failed, result, reason, preview …}
const server = new Server(askToken);
const viewer = new Viewer(step);
const list = new List(items, choose, remove);
let classifier;
let members;
let operating;
let explaining;
let nearest;
let arrivals;
let chosen = null;
let sending = 0;

start();

async function start() {
  try {
    classifier = await server.classifier();
  } catch (error) {
    complain(error.message);
    return;
  }
  members = membersOf(classifier.labels);
  describe();
  operating = new OperatingPanel(byId("operate-panel"), classifier, members, refresh);
  explaining = new ExplainPanel(server, classifier, members, viewer);
  nearest = new NearestPanel(server, classifier, viewer);
  arrivals = new ArrivalsNote(server, classifier, byId("arrivals"));
  byId("operate").hidden = false;
  list.offer(classifier.findings);
  bindFiles();
  bindShortcuts();
  byId("export").onclick = exportCsv;
  byId("clear").onclick = removeAll;
  byId("help-open").onclick = () => byId("help").showModal();
  window.addEventListener("beforeunload", (event) => {
    if (items.length) event.preventDefault(); // the browser asks whether to forget the list
  });
  document.body.dataset.ready = "true";
  refresh();
}

function describe() {
  const name = classifier.name || "classifier";
  byId("classifier-name").textContent = name;
  document.title = `${name} · Hilum`;
  byId("notes").replaceChildren(...classifier.notes.map((note) => el("li", {}, note)));
  byId("about").hidden = !classifier.notes.length;
  const { bytes } = classifier.limits;
  byId("limits").textContent = `PNG, JPEG, DICOM; up to ${mebibytes(bytes)}`;
}

/** Sizes have one unit, here and in what the server says. */
const mebibytes = (bytes) => `${Number((bytes / 2 ** 20).toPrecision(3))}\u00a0MiB`;

function complain(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

// ---- files ----------------------------------------------------------------------------------

function bindFiles() {
  const choose = byId("choose");
  choose.onchange = () => {
    add(choose.files);
    choose.value = ""; // the same file can be chosen again
  };
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dragging");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    add(event.dataTransfer.files);
  });
}

function add(files) {
  complain("");
  if (!items.length) byId("about").open = false; // read by now, and in the way
  for (const file of files) {
    items.push({ file, name: file.name, state: "waiting" });
  }
  if (!chosen && items.length) choose(items[0]);
  send();
  refresh();
}

function send() {
  while (sending < AT_ONCE) {
    const item = items.find(({ state }) => state === "waiting");
    if (!item) return;
    item.state = "sent";
    sending += 1;
    predict(item).finally(() => {
      sending -= 1;
      send();
      refresh();
      if (item !== chosen) return;
      refreshReading();
      showPicture();
    });
  }
}

async function predict(item) {
  const [size, most] = [item.file.size, classifier.limits.bytes];
  if (size > most) { // the server would cut it off, and a browser does not show why
    return fail(item, `The file has ${mebibytes(size)}; the server takes ${mebibytes(most)}.`);
  }
  try {
    const found = await server.predict(item.file, (seconds) => {
      item.waiting = `server busy, again in ${seconds} s`;
      refresh();
    });
    if (found.status !== "ok") return fail(item, found.reason);
    if (found.preview) drawThumb(item, await decodePng(found.preview));
    Object.assign(item, { state: "done", result: found, preview: found.preview });
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    fail(item, error.message, () => retry(item));
  }
}

function fail(item, reason, again = null) {
  Object.assign(item, { state: "failed", reason, retry: again });
}

function retry(item) {
  Object.assign(item, { state: "waiting", reason: null, retry: null, waiting: null });
  send();
  refresh();
  refreshReading();
}

function remove(item) {
  const next = list.beside(item, 1) ?? list.beside(item, -1) ?? null;
  items.splice(items.indexOf(item), 1);
  list.remove(item);
  if (item === chosen) choose(next);
  else refresh();
  (chosen?.button ?? byId("choose")).focus();
}

function removeAll() {
  items.splice(0).forEach((item) => list.remove(item));
  choose(null);
  byId("choose").focus();
}

// ---- what is chosen -------------------------------------------------------------------------

function choose(item) {
  chosen = item;
  refresh();
  refreshReading();
  showPicture();
}

function step(by) {
  const next = list.beside(chosen, by);
  if (!next) return;
  choose(next);
  if (byId("view").contains(document.activeElement)) byId("said").textContent = lineOf(next);
  else next.button.focus();
}

const isLooked = () => chosen !== null
  && ["list", "view"].some((id) => byId(id).contains(document.activeElement));

/** Arrow keys turn to another radiograph in the list, and where nothing else has the focus. */
function walk(by) {
  const { activeElement: at, documentElement: page } = document;
  const free = at === document.body && page.scrollHeight <= page.clientHeight;
  if (!free && !byId("list").contains(at)) return false;
  return step(by);
}

async function showPicture() {
  const item = chosen;
  const preview = item?.preview;
  byId("stage").setAttribute("aria-busy", true);
  const image = preview ? await decodePng(preview) : null;
  if (item !== chosen) return; // another was chosen while this one was decoded
  byId("stage").setAttribute("aria-busy", false);
  viewer.show(image, item?.name ?? "", item ? lineOf(item) : "", rulerOf(item?.result));
  const words = {
    failed: "No picture: the file was not read.",
    done: "The server sent no picture.",
  };
  byId("no-picture").hidden = image !== null;
  byId("no-picture").textContent = words[item?.state] ?? "Reading …";
}

/** Where the file says how far its pixels are from each other: see Pane. */
function rulerOf(result) {
  const { spacing, calibrated } = result?.dicom ?? {};
  if (!spacing) return null;
  const [down, across] = [spacing[0] * result.height, spacing[1] * result.width];
  return { across, down, note: calibrated ? "" : "at the detector" };
}

function refresh() {
  const [first, call] = [items.length === 0, operating.call];
  const over = items.filter(({ state }) => state === "done" || state === "failed");
  const failed = over.filter(({ state }) => state === "failed").length;
  byId("files").classList.toggle("empty", first);
  byId("view").hidden = byId("reading").hidden = byId("clear").hidden = first;
  byId("export").disabled = !over.length;
  byId("progress").textContent = first ? ""
    : `${over.length - failed} of ${count(items.length, "radiograph")} read`
      + `${failed ? `, ${failed} failed` : ""}.`;
  list.update(chosen, call);
  const results = over.filter(({ result }) => result).map(({ result }) => result);
  operating.update(results);
  arrivals.update(results);
}

function refreshReading() {
  explaining.turnTo(chosen);
  nearest.turnTo(chosen);
  if (!chosen) return;
  byId("view-title").textContent = chosen.name;
  byId("answer").replaceChildren(...answerOf(chosen, classifier, members));
}

function exportCsv() {
  const over = items.filter(({ state }) => state === "done" || state === "failed");
  const calls = operating.call ? [operating.call] : [];
  save("hilum-predictions.csv", toCsv(over, classifier, calls));
}

// ---- keys and the token ---------------------------------------------------------------------

function bindShortcuts() {
  bindKeys([
    ["u", "Choose files", () => byId("choose").click()],
    ["j", "Next radiograph", () => step(1)],
    ["k", "Radiograph before", () => step(-1)],
    ["ArrowDown", "In the list: the next radiograph", () => walk(1)],
    ["ArrowUp", "In the list: the one before", () => walk(-1)],
    ["Delete", "Remove the radiograph, in the list or on its picture", () => isLooked() && remove(chosen)],
    ["+", "Zoom in", () => viewer.step(1)],
    ["-", "Zoom out", () => viewer.step(-1)],
    ["f", "Full screen", () => viewer.toggleFull()],
    ["c", "Side by side: keep this picture, or put it away", () => viewer.pin()],
    ["n", "The nearest training radiograph beside, or away", () => nearest.toggle()],
    ["w", "Next window", () => viewer.nextPreset()],
    ["0", "Reset the view", () => viewer.reset()],
    ["[", "Narrower window: more contrast", () => viewer.widen(-16)],
    ["]", "Wider window: less contrast", () => viewer.widen(16)],
    [",", "Lower level: brighter", () => viewer.raise(-8)],
    [".", "Higher level: darker", () => viewer.raise(8)],
    ["m", "Measure by dragging, where the file says sizes; back to the window",
      () => viewer.toggleMeasuring()],
    ["Escape", "Remove what was measured", () => viewer.unmeasure()],
    ["i", "Invert", () => viewer.invert()],
    ["o", "Map on or off", () => explaining.toggle()],
    ["t", "Go to the threshold", () => operating.focus()],
    ["s", "Export CSV", () => !byId("export").disabled && exportCsv()],
    ["?", "This help", () => byId("help").showModal()],
  ]);
}

function askToken(refused) {
  const dialog = byId("token-dialog");
  if (refused) byId("token-why").textContent = "The server did not take this token.";
  dialog.oncancel = (event) => event.preventDefault(); // there is nothing to see without it
  dialog.showModal();
  return new Promise((done) => {
    byId("token-form").onsubmit = (event) => {
      event.preventDefault();
      const token = byId("token").value.trim();
      byId("token").value = "";
      dialog.close();
      done(token);
    };
  });
}
