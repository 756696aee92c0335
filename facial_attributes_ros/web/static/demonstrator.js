// The demonstrator: sends images, videos and webcam frames, and shows what comes back.

import { Connection } from "./connection.js";
import { ageText, count, element, percent, setText } from "./dom.js";
import { FaceCard } from "./face-card.js";
import { timelinePlot } from "./timeline.js";
import { openWebcam } from "./webcam.js";

const LIMITS = JSON.parse(document.getElementById("settings").dataset.limits);
const VIDEO_NAME = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|wmv)$/i;
const MB = 1024 * 1024;
const LINGER = 4000; // milliseconds for which the card of a face that has left the webcam's image stays

const $ = Object.fromEntries([...document.querySelectorAll("[id]")].map((node) => [node.id, node]));

let job = 0; // messages about an older one come too late
let upload = null; // the video that waits for its turn to be sent
let again = null; // what is repeated when another model is chosen
let webcam = null;
let cards = new Map();
let expected = null; // a message whose files have not all come
let addresses = []; // of blobs that the page shows

const connection = new Connection("/demonstrator/ws", {
  message(message) {
    if (message.files?.length) expected = { message, files: [] };
    else receive(message, {});
  },
  data(blob) {
    expected.files.push(blob);
    const { message, files } = expected;
    if (files.length === message.files.length) {
      expected = null;
      receive(message, Object.fromEntries(message.files.map((name, index) => [name, files[index]])));
    }
  },
  state(state) {
    document.body.dataset.connection = state;
    if (state !== "waiting") return;
    setText($["model-status"], "The server does not answer; trying again …");
    if (job && !$.stop.hidden) fail("The connection to the server was lost.");
  },
});

function receive(message, files) {
  if (message.type === "models") return showModels(message.models);
  if (message.job !== job) return undefined;
  const handlers = { place: showPlace, send: sendUpload, progress: showProgress, image: showImage, frame: showFrame, video: showVideo };
  if (message.type === "error") return fail(message.message);
  return handlers[message.type]?.(message, files);
}

// Models

const STATUS = {
  missing: "Weights missing. ",
  here: "Ready to load. ",
  loading: "Loading. ",
  ready: "Ready. ",
  failed: "Cannot be loaded. ",
};

let models = [];

function showModels(list) {
  models = list;
  const chosen = $.model.value || list.find(({ status }) => status !== "missing")?.name;
  if ([...$.model.options].map(({ value }) => value).join("\n") !== list.map(({ name }) => name).join("\n")) {
    $.model.replaceChildren(...list.map(({ name }) => element("option", { value: name })));
  }
  list.forEach(({ title, status }, index) => {
    const note = { missing: " – weights missing", failed: " – cannot be loaded", loading: " – loading" }[status] ?? "";
    setText($.model.options[index], `${title}${note}`);
  });
  const first = !$.model.dataset.asked;
  if (chosen) $.model.value = chosen;
  showModel();
  if (first && chosen) {
    $.model.dataset.asked = "yes"; // loaded while the visitor still chooses an image
    request({ type: "load" });
  }
}

function showModel() {
  const model = models.find(({ name }) => name === $.model.value);
  if (!model) return;
  const terms = model.commercial_use === "no" ? "For research and non-commercial use only. " : "";
  setText($["model-status"], `${STATUS[model.status]}${model.message ? `${model.message} ` : terms}`);
  $["model-progress"].hidden = model.status !== "loading";
  $["model-card"].href = `/models/${encodeURIComponent(model.name)}`;
}

$.model.addEventListener("change", () => {
  showModel();
  if (again) again();
  else request({ type: "load" });
});

// Sources

function request(message) {
  job += 1;
  $.problem.hidden = true;
  connection.send({ ...message, job, model: $.model.value });
}

/** Say how far a job is; a screen reader hears what changes all the time only when it asks. */
function showState(text, { quiet = false } = {}) {
  $.state.ariaLive = quiet ? "off" : "polite";
  setText($.state, text);
}

function begin(text, { keepWebcam = false } = {}) {
  if (!keepWebcam) stopWebcam();
  upload = null;
  showState(text);
  $.stop.hidden = false;
  $.progress.hidden = true;
  // On a phone the result is below what was chosen.
  if (matchMedia("(max-width: 70rem)").matches) $.stage.scrollIntoView({ block: "nearest" });
}

function end(text) {
  showState(text);
  $.stop.hidden = true;
  $.progress.hidden = true;
}

function fail(text) {
  stopWebcam();
  job += 1; // what still comes is late
  end("No result.");
  setText($.problem, text);
  $.problem.hidden = false;
}

function chooseFile(file) {
  const video = file.type.startsWith("video/") || VIDEO_NAME.test(file.name);
  const limit = video ? LIMITS.video : LIMITS.image;
  if (file.size > limit) {
    fail(`${file.name} has ${Math.ceil(file.size / MB)} MB, and the limit is ${limit / MB} MB.`);
    return;
  }
  again = () => chooseFile(file);
  begin(`Sending ${file.name} …`);
  request({ type: video ? "video" : "image", name: file.name, size: file.size });
  upload = file;
  if (!video) sendUpload();
}

async function sendUpload() {
  const [mine, file] = [job, upload];
  for (let start = 0; start < file.size && mine === job; start += LIMITS.piece) {
    connection.send(file.slice(start, start + LIMITS.piece));
    while (connection.waitingBytes > 4 * LIMITS.piece) await new Promise((done) => setTimeout(done, 20));
    showShare(start / file.size, `Sending ${file.name} …`);
  }
  if (mine === job) showState("Waiting for the answer …");
}

$.file.addEventListener("change", () => {
  if ($.file.files.length) chooseFile($.file.files[0]);
  $.file.value = "";
});
$.drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  $.drop.classList.add("over");
});
$.drop.addEventListener("dragleave", () => $.drop.classList.remove("over"));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  $.drop.classList.remove("over");
  if (event.dataTransfer.files.length) chooseFile(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (file) chooseFile(file);
});
for (const button of document.querySelectorAll(".example")) {
  button.addEventListener("click", () => {
    again = () => button.click();
    begin("Waiting for the answer …");
    request({ type: "example", number: Number(button.dataset.number) });
  });
}
$.stop.addEventListener("click", () => {
  stopWebcam();
  request({ type: "stop" });
  end("Stopped.");
  $.webcam.focus();
});

// Webcam

$.webcam.addEventListener("click", async () => {
  again = null; // the stream takes the chosen model with its next frame
  begin("Waiting for the webcam …");
  request({ type: "stop" });
  clear();
  const mine = job;
  try {
    const opened = await openWebcam(LIMITS.frame);
    if (mine !== job) return opened.close();
    webcam = { camera: opened, rate: 0, last: performance.now() };
    await sendFrame();
  } catch (error) {
    fail(error.message);
  }
  return undefined;
});

async function sendFrame() {
  if (!webcam) return;
  const blob = await webcam.camera.frame();
  if (!webcam || !blob) return;
  request({ type: "frame", stamp: performance.now() / 1000, size: blob.size });
  connection.send(blob);
}

function showFrame(message, files) {
  if (!webcam) return;
  const now = performance.now();
  webcam.rate += 0.1 * (1000 / Math.max(now - webcam.last, 1) - webcam.rate);
  webcam.last = now;
  showPicture(files.annotated, `Webcam with ${count(message.faces.length, "face")} marked`);
  showFaces(message.faces, (face) => ({ note: count(face.observations, "estimate") }), LINGER);
  const rate = Math.max(Math.round(webcam.rate), 1);
  showState(`Webcam, ${rate} frames/s, ${count(message.faces.length, "face")}`, { quiet: true });
  requestAnimationFrame(sendFrame);
}

function stopWebcam() {
  webcam?.camera.close();
  webcam = null;
}
addEventListener("pagehide", stopWebcam);

// Results

function showPlace({ place }) {
  if (!webcam) showState(`Waiting: number ${place} in the line.`);
}

function showShare(share, text) {
  $.progress.hidden = false;
  $.progress.value = share;
  showState(text, { quiet: true });
}

function showProgress({ done, total }) {
  showShare(total ? done / total : 0, `${done} of ${total} frames`);
}

function clear() {
  for (const address of addresses.splice(0)) URL.revokeObjectURL(address);
  cards = new Map();
  $.faces.replaceChildren();
  for (const node of [$.downloads, $.people, $.timeline, $.playback]) node.hidden = true;
  $.playback.removeAttribute("src");
  $.playback.load();
}

function address(blob) {
  addresses.push(URL.createObjectURL(blob));
  return addresses.at(-1);
}

let picture = null;

function showPicture(blob, description) {
  const before = picture;
  picture = URL.createObjectURL(blob);
  $.annotated.src = picture;
  $.annotated.alt = description;
  $.annotated.hidden = false;
  $.empty.hidden = true;
  if (before) $.annotated.addEventListener("load", () => URL.revokeObjectURL(before), { once: true });
}

/** Show a card for each face. A face that is gone keeps its place for `linger` milliseconds, so that nothing jumps. */
function showFaces(faces, describe, linger = 0) {
  const now = performance.now();
  const present = new Set(faces.map(({ id }) => id));
  for (const [id, { card, seen }] of cards) {
    card.gone = !present.has(id);
    if (present.has(id) || now - seen < linger) continue;
    card.element.remove();
    cards.delete(id);
  }
  for (const face of faces) {
    if (!cards.has(face.id)) {
      const card = new FaceCard();
      cards.set(face.id, { card, seen: now });
      $.faces.append(card.element);
    }
    const shown = cards.get(face.id);
    shown.seen = now;
    shown.card.update(face, { unknown: face.unknown, crop: face.crop, ...describe(face) });
  }
  $["no-faces"].hidden = cards.size > 0;
  setText($["no-faces"], "No face was found.");
}

function showDownloads(files, kind, suffix) {
  const all = { "save-annotated": [files.annotated, suffix], "save-json": [files.json, "json"], "save-csv": [files.csv, "csv"] };
  for (const [id, [blob, ending]] of Object.entries(all)) {
    $[id].href = address(blob);
    $[id].download = `faces.${ending}`;
  }
  setText($["save-annotated"], `Save the ${kind}`);
  $.downloads.hidden = false;
}

function showImage(message, files) {
  clear();
  const found = count(message.faces.length, "face");
  showPicture(files.annotated, `Image with ${found} marked`);
  showFaces(message.faces, (face) => ({
    note: `Confidence of the detector ${percent(face.detection_confidence)}`,
  }));
  showDownloads(files, "image", "jpg");
  end(`${found}, ${message.width} × ${message.height} pixels`);
}

function showVideo(message, files) {
  clear();
  $.annotated.hidden = true;
  $.empty.hidden = true;
  $.playback.src = address(new Blob([files.annotated], { type: "video/webm" }));
  $.playback.hidden = false;
  showFaces(message.people, (person) => ({ note: `${count(person.observations, "estimate")}, at the end` }));
  $["people-rows"].replaceChildren(...message.people.map(personRow));
  $["timeline-plots"].replaceChildren(...message.timeline.map((person) => timelinePlot(person, message.seconds)));
  $.people.hidden = $.timeline.hidden = message.people.length === 0;
  showDownloads(files, "video", "webm");
  const cut = message.cut ? `, the first ${LIMITS.seconds} seconds` : "";
  end(`${count(message.people.length, "person", "people")} in ${count(message.frames, "frame")}${cut}`);
}

function personRow(person) {
  const emotions = Object.entries(person.emotions).sort(([, one], [, other]) => other - one);
  const cells = [
    `${person.first}–${person.last}`,
    ageText(person.age, person.age_stddev) ?? "unknown",
    person.age_group ?? "unknown",
    person.gender ?? "unknown",
    emotions.map(([label, share]) => `${label} ${percent(share)}`).join(", "),
  ];
  const head = element("th", { scope: "row", textContent: person.id });
  return element("tr", {}, head, ...cells.map((text) => element("td", { textContent: text })));
}
