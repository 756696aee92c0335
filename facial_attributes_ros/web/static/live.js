// The live page. The server sends each image together with the faces that were found in it and the places of their
// labels, so that boxes and image always belong together; the page only draws.

import { Connection } from "./connection.js";
import { LABELS, count, element, percent, setText, shape } from "./dom.js";
import { FaceCard } from "./face-card.js";

const GONE_AFTER = 1500;
const CARD_STAYS = 6000;
const STALE_AFTER = 3000;

const byId = (id) => document.getElementById(id);
const page = document.querySelector(".live");
const [picture, canvas, overlay] = [document.querySelector(".camera-image"), byId("image"), byId("labels")];
const context = canvas.getContext("2d", { alpha: false });
const choice = byId("view");
const decoder = new TextDecoder();

// ---- The image and its labels ----

let drawing = false;
let lastImage = 0;

async function showFrame(blob) {
  const buffer = await blob.arrayBuffer();
  const length = new DataView(buffer).getUint32(0);
  const frame = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
  const jpeg = new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" });
  const current = frame.view === view; // one of the view before may be on its way
  if (current && frame.faces) people.show(frame.faces, frame.labels.plates ?? []);
  if (jpeg.size === 0) return;
  try {
    if (current && !drawing) await showImage(jpeg, frame);
  } finally {
    connection.send({ shown: true });
  }
}

async function showImage(jpeg, frame) {
  drawing = true;
  try {
    const bitmap = await createImageBitmap(jpeg);
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    drawLabels(frame);
    lastImage = performance.now();
    byId("empty").hidden = true;
    picture.classList.remove("stale");
  } finally {
    drawing = false;
  }
}

function drawLabels(frame) {
  const { size, plates = [] } = frame.labels;
  if (!frame.faces || !size) {
    overlay.replaceChildren();
    return;
  }
  overlay.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  const scale = size[0] / frame.width;
  const colours = new Map(plates.map((plate) => [plate.face, plate.colour]));
  const boxes = frame.faces.flatMap((face, index) => box(face.box.map((value) => value * scale), colours.get(index)));
  overlay.replaceChildren(...boxes, ...plates.flatMap(leaderShapes), ...plates.flatMap(plateShapes));
}

function box([x, y, width, height], colour = "rgb(255, 255, 255)") {
  const place = { x, y, width, height, rx: 1 };
  return [
    shape("rect", { ...place, class: "stroke", stroke: page.dataset.plate, "stroke-width": 4 }),
    shape("rect", { ...place, class: "stroke", stroke: colour, "stroke-width": 2 }),
  ];
}

/** The line that joins a label to a face which it cannot touch. */
function leaderShapes({ colour, leader }) {
  if (!leader) return [];
  const [[x1, y1], [x2, y2]] = leader;
  const place = { x1, y1, x2, y2, class: "stroke" };
  return [
    shape("line", { ...place, stroke: page.dataset.plate, "stroke-width": 4 }),
    shape("line", { ...place, stroke: colour, "stroke-width": 2 }),
  ];
}

function plateShapes({ lines, colour, height, step, padding, box: [x, y, width, tall] }) {
  const bar = Math.floor(padding / 2);
  const texts = lines.map((line, number) =>
    shape(
      "text",
      {
        x: x + padding + bar,
        y: y + bar + step * number + 0.95 * height,
        "font-size": 0.92 * height,
        fill: number === 0 ? colour : page.dataset.text,
        ...fitted(line, height, width - 2 * padding - bar),
      },
      line,
    ),
  );
  return [
    shape("rect", { x, y, width, height: tall, fill: page.dataset.plate }),
    shape("rect", { x, y, width: bar, height: tall, fill: colour }),
    ...texts,
  ];
}

const ruler = document.createElement("canvas").getContext("2d");
const family = getComputedStyle(document.body).fontFamily;

/** The browser's font may be wider than the one that the plate was measured with: then it is narrowed. */
function fitted(text, height, room) {
  ruler.font = `${0.92 * height}px ${family}`;
  return ruler.measureText(text).width > room ? { textLength: room, lengthAdjust: "spacingAndGlyphs" } : {};
}

// ---- The people ----

/** The emotions of the last minute: a sentence, and a lane for every label. */
class LastMinute {
  #summary = element("p", { className: "note" });
  #lanes = new Map();

  constructor(place) {
    const rows = LABELS.emotion.map((label) => {
      const path = shape("path", {});
      this.#lanes.set(label, path);
      const lane = shape("svg", { viewBox: "0 0 60 1", preserveAspectRatio: "none", "aria-hidden": "true" }, path);
      return element("li", {}, element("span", { textContent: label }), lane);
    });
    const list = element("ul", { className: "lanes", "aria-hidden": "true" }, ...rows);
    place.append(element("section", { className: "task" }, element("h4", { textContent: "Emotion, last minute" }), this.#summary, list));
  }

  update(seconds) {
    const seen = seconds.filter((index) => index > -2);
    const counts = LABELS.emotion.map((label, index) => [label, seen.filter((one) => one === index).length]);
    counts.push(["unknown", seen.filter((one) => one === -1).length]);
    const parts = counts.filter(([, count]) => count > 0).sort((one, other) => other[1] - one[1]);
    const text = parts.map(([label, count]) => `${label} ${percent(count / seen.length)}`).join(", ");
    setText(this.#summary, `${text} of ${seen.length} s`);
    LABELS.emotion.forEach((label, index) => {
      const marks = seconds.map((one, second) => (one === index ? `M${second} 0h1v1h-1z` : "")).join("");
      this.#lanes.get(label).setAttribute("d", marks);
    });
  }
}

/** A card for every person, each in a place of its own that stays until the person has been gone for a while. */
class People {
  #grid = byId("faces");
  #people = new Map();

  show(faces, plates) {
    const now = performance.now();
    const colours = new Map(plates.map((plate) => [plate.face, plate.colour]));
    faces.forEach((face, index) => {
      const person = this.#people.get(face.id) ?? this.#enter(face.id);
      [person.seen, person.face] = [now, face];
      person.card.update(face, { note: count(face.observations, "observation"), unknown: face.why });
      if (colours.has(index)) person.card.element.style.borderInlineStartColor = colours.get(index);
    });
    this.tick();
  }

  remember(history) {
    for (const [id, seconds] of Object.entries(history)) this.#people.get(id)?.minute.update(seconds);
  }

  clear() {
    this.#people.clear();
    this.#grid.replaceChildren();
    this.tick();
  }

  /** Mark who has left, and free places. */
  tick() {
    const now = performance.now();
    let here = 0;
    for (const [id, person] of this.#people) {
      const away = now - person.seen;
      const gone = away > GONE_AFTER;
      here += gone ? 0 : 1;
      person.card.element.classList.toggle("left", gone);
      if (gone) person.card.update(person.face, { note: "out of view", unknown: person.face.why });
      if (away > CARD_STAYS) {
        person.slot.replaceChildren();
        this.#people.delete(id);
      }
    }
    while (this.#grid.lastElementChild && !this.#grid.lastElementChild.hasChildNodes()) this.#grid.lastElementChild.remove();
    setText(byId("count"), String(here));
    byId("nobody").hidden = this.#grid.hasChildNodes();
  }

  #enter(id) {
    const free = [...this.#grid.children].find((slot) => !slot.hasChildNodes());
    const slot = free ?? this.#grid.appendChild(element("div", { className: "slot" }));
    const card = new FaceCard();
    card.element.classList.add("person");
    slot.append(card.element);
    const person = { card, slot, seen: 0, face: null, minute: new LastMinute(card.extra) };
    this.#people.set(id, person);
    return person;
  }
}

const people = new People();

// ---- What runs, and what is wrong ----

let views = [];
let view = "";
let chosen = false;

/** The view to change to by itself, such as to a perception node that has begun to use the camera; null to stay. */
function betterView(status) {
  const current = views.find((one) => one.id === view);
  if (current) return current.node || chosen ? null : views.find((one) => one.node);
  return views.find((one) => one.image === view) ?? (view && status ? null : views[0]);
}

function showStatus({ views: found, status, nothing }) {
  views = found;
  const better = betterView(status);
  if (better) select(better.id);
  fillChoice();
  setText(byId("model"), status?.model ? `Model ${status.model}` : "");
  showRates(status?.rates ?? []);
  const problems = status ? status.problems : views.length ? [] : nothing;
  showHealth(problems, status ? "Running: nothing is wrong." : "Connecting …");
  if (status) people.remember(status.history);
  const waiting = problems.length ? "No image yet." : "Waiting for the first image …";
  setText(byId("empty"), views.length || status ? waiting : "No camera and no perception node was found.");
}

function fillChoice() {
  const titles = new Map(views.map((one) => [one.id, one.title]));
  if (view && !titles.has(view)) titles.set(view, `${view} (ended)`);
  const options = [...titles].map(([id, title]) => new Option(title, id, id === view, id === view));
  const same = options.length === choice.length && options.every((one, k) => one.value === choice[k].value && one.text === choice[k].text);
  if (!same) choice.replaceChildren(...(options.length ? options : [new Option("none", "")]));
  if (view) choice.value = view;
  choice.disabled = titles.size === 0;
}

function showRates(rates) {
  const list = byId("rates");
  if (list.childElementCount !== rates.length) {
    list.replaceChildren(...rates.map(({ title }) => element("div", {}, element("dt", { textContent: title }), element("dd"))));
  }
  rates.forEach(({ title, value }, k) => {
    setText(list.children[k].querySelector("dt"), title);
    setText(list.children[k].querySelector("dd"), value);
  });
}

/** The parts of a sentence, what stands between backticks as code. */
function withCode(text) {
  return text.split("`").map((part, k) => (k % 2 ? element("code", { textContent: part }) : part));
}

let healthKey = "";

function showHealth(problems, fine) {
  const key = JSON.stringify([problems, fine]);
  if (key === healthKey) return;
  healthKey = key;
  const words = { error: "Error: ", warn: "Warning: " };
  const lines = problems.map(({ level, text }) =>
    element("p", { className: `problem ${level}` }, element("strong", { textContent: words[level] ?? "" }), ...withCode(text)),
  );
  byId("health").replaceChildren(...(lines.length ? lines : [element("p", { className: "fine", textContent: fine })]));
}

function select(id) {
  if (id === view) return;
  const image = (one) => views.find(({ id }) => id === one)?.image ?? one;
  if (image(id) !== image(view)) byId("empty").hidden = false;
  view = id;
  people.clear();
  overlay.replaceChildren();
  introduce();
}

/** Tell the server what is shown, how large, and whether anybody sees it. */
function introduce() {
  const width = Math.round(canvas.getBoundingClientRect().width);
  connection.send({ view, width, visible: document.visibilityState === "visible" });
}

const connection = new Connection("/live/ws", {
  data: showFrame,
  message: showStatus,
  state: (state) => {
    if (state === "open") introduce();
    else showHealth([{ level: "error", text: "The viewer does not answer: it has ended, or cannot be reached. This page tries again." }], "");
  },
});

choice.addEventListener("change", () => {
  chosen = true;
  select(choice.value);
});
document.addEventListener("visibilitychange", introduce);
new ResizeObserver(introduce).observe(canvas);
// On a phone, everybody fits the screen before everything about the first one does.
const details = byId("details");
details.checked = matchMedia("(min-width: 40rem)").matches;
const showDetails = () => byId("faces").classList.toggle("brief", !details.checked);
details.addEventListener("change", showDetails);
showDetails();
setInterval(() => {
  people.tick();
  const stale = lastImage > 0 && performance.now() - lastImage > STALE_AFTER && document.visibilityState === "visible";
  picture.classList.toggle("stale", stale);
  if (stale) overlay.replaceChildren();
}, 500);
