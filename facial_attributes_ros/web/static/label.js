// The labelling page: shows one face after another, and sends each answer as soon as it is complete.

import { FaceCard } from "./face-card.js";
import { LABELS, count, element, setText } from "./dom.js";

const QUESTIONS = { age: "How old does this person look?", gender: "Which gender do you see?", emotion: "What does the face show?" };
const CANNOT_SAY = "cannot say";

const $ = (id) => document.getElementById(id);
let tasks = [];
let facts = null;
let face = null;
let answers = {}; // per task a label or CANNOT_SAY; for age also `years`
let marked = 0; // the question that the keys answer
let canUndo = false;
let busy = false;

// Talking to the server

async function ask(path, body) {
  const init = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(`/label/${path}`, init);
  } catch {
    throw new Error("The server does not answer: is the command still running?");
  }
  const text = await response.text();
  if (!response.ok) throw new Error(errorText(text));
  return JSON.parse(text);
}

function errorText(text) {
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text;
  }
}

/** Do something with the current face, and show what comes next. */
async function act(path, body = {}) {
  if (busy) return;
  busy = true;
  try {
    show(await ask(path, { number: face?.number ?? -1, ...body }));
  } catch (error) {
    problem(error.message);
  } finally {
    busy = false;
  }
}

function problem(sentence) {
  $("problem").hidden = !sentence;
  setText($("problem"), sentence);
}

// Answers

function choose(task, label, years = null) {
  answers[task] = label;
  if (task === "age") answers.years = years;
  const open = tasks.findIndex((one) => answers[one] === undefined);
  if (open < 0) return send();
  mark(open);
  return drawAnswers();
}

function send() {
  const labels = Object.fromEntries(tasks.filter((task) => answers[task] !== CANNOT_SAY).map((task) => [task, answers[task]]));
  drawAnswers();
  return act("answer", {
    labels,
    cannot_say: tasks.filter((task) => answers[task] === CANNOT_SAY),
    age_years: labels.age === undefined ? null : (answers.years ?? null),
  });
}

/** Take the last answer of this face back, or else the last face. */
function undo() {
  const before = tasks.filter((task) => answers[task] !== undefined && !face?.before[task]).at(-1);
  if (!before || !face) return act("undo");
  delete answers[before];
  mark(tasks.indexOf(before));
  return drawAnswers();
}

function mark(number) {
  marked = Math.max(0, Math.min(number, tasks.length - 1));
}

function takeYears(input) {
  const years = Number(input.value);
  if (input.value.trim() === "" || !(years >= 0 && years <= 120)) return problem("An age is a number of years from 0 to 120.");
  problem("");
  const starts = LABELS.age.map((label) => parseInt(label, 10));
  input.blur();
  return choose("age", LABELS.age[starts.filter((start) => start <= years).length - 1], years);
}

// Showing

function show({ face: next, status }) {
  const other = next?.number !== face?.number;
  face = next;
  problem("");
  canUndo = status.can_undo;
  drawStatus(status);
  $("work").hidden = !face;
  $("end").hidden = Boolean(face);
  if (!face) return $("end-title").focus();
  answers = {};
  for (const [task, label] of Object.entries(face.before)) if (tasks.includes(task)) answers[task] = label;
  const open = tasks.findIndex((task) => answers[task] === undefined);
  mark(open < 0 ? tasks.length - 1 : open);
  setText($("face-title"), face.title);
  setText($("face-note"), `${face.width} pixels wide${face.validation ? " · drawn at random, for validation" : ""}`);
  $("model").replaceChildren();
  $("estimate").disabled = false;
  if (other) {
    $("face").src = `/label/image/face/${face.number}`;
    drawScene();
  }
  for (const input of $("tasks").querySelectorAll("input[type=number]")) input.value = "";
  return drawAnswers();
}

function drawScene() {
  if ($("whole").open && face) $("scene").src = `/label/image/scene/${face.number}`;
  else $("scene").removeAttribute("src");
}

function drawAnswers() {
  $("undo").disabled = !canUndo && Object.keys(answers).length === 0;
  tasks.forEach((task, number) => {
    const group = $(`task-${task}`);
    group.classList.toggle("marked", number === marked);
    for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === answers[task]));
  });
}

function drawStatus(status) {
  $("bar").max = Math.max(status.total, 1);
  $("bar").value = status.answered;
  const left = status.seconds_left === null || !(status.total - status.answered) ? "" : `, about ${duration(status.seconds_left)} left`;
  const out = status.left_out ? `, ${status.left_out} of them left out` : "";
  const skipped = status.skipped ? `; ${status.skipped} skipped` : "";
  setText($("done"), `${status.answered} of ${status.total} faces${out}${skipped}${left}`);
  $("counts").replaceChildren(
    ...Object.entries(status.counts).map(([task, counts]) =>
      element(
        "section",
        {},
        element("h3", { textContent: title(task) }),
        element("ul", {}, ...Object.entries(counts).map(([label, count]) => element("li", { className: count ? "" : "none" }, `${label} `, element("strong", { textContent: count })))),
      ),
    ),
  );
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(Math.round(seconds / 10) * 10, 10)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function title(task) {
  return task[0].toUpperCase() + task.slice(1);
}

async function showEstimate() {
  if (!face || $("model").children.length) return;
  try {
    const estimate = await ask(`estimate/${face.number}`, {});
    const card = new FaceCard();
    const unsure = "Less confident than a label needs.";
    card.update(estimate, {
      title: "The model’s estimate",
      note: "From this view alone. The row of this face notes that you have seen it.",
      unknown: { age_group: "too uncertain", gender: unsure, emotion: unsure },
    });
    $("model").replaceChildren(card.element);
    $("estimate").disabled = true;
  } catch (error) {
    problem(error.message);
  }
}

// Making the page

function makeTask(task, number) {
  const name = `question-${task}`;
  const labels = [...LABELS[task], CANNOT_SAY];
  const buttons = labels.map((label, place) => {
    const key = label === CANNOT_SAY ? 0 : place + 1;
    const button = element("button", { type: "button", value: label, "aria-pressed": "false" }, element("kbd", { textContent: key, "aria-hidden": "true" }), label);
    button.addEventListener("click", () => {
      mark(number);
      choose(task, label);
    });
    return button;
  });
  const group = element(
    "fieldset",
    { id: `task-${task}`, className: "question", "aria-labelledby": name },
    element("legend", { id: name, textContent: QUESTIONS[task] ?? title(task) }),
    element("div", { className: "choices" }, ...buttons),
  );
  if (task === "age") group.append(makeYears());
  return group;
}

function makeYears() {
  const input = element("input", { type: "number", id: "years", min: 0, max: 120, step: "any", inputMode: "decimal", autocomplete: "off" });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      takeYears(input);
    } else if (event.key === "Escape") input.blur();
  });
  const take = element("button", { type: "button", textContent: "Take" });
  take.addEventListener("click", () => takeYears(input));
  const label = element("label", { htmlFor: "years" }, element("kbd", { textContent: "Y", "aria-hidden": "true" }), " or the age in years, if known");
  return element("p", { className: "years" }, label, input, take);
}

const KEYS = {
  u: undo,
  s: () => face && act("skip"),
  x: () => face && act("leave-out"),
  m: showEstimate,
  y: () => $("years")?.focus(),
  ArrowUp: () => (mark(marked - 1), drawAnswers()),
  ArrowDown: () => (mark(marked + 1), drawAnswers()),
};

function onKey(event) {
  const typing = event.target.matches("input[type=number], select, textarea");
  if ($("work").hidden && $("end").hidden) return;
  if (!$("keys").checked || typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const task = tasks[marked];
  const label = event.key === "0" ? CANNOT_SAY : LABELS[task]?.[Number(event.key) - 1];
  if (face && /^[0-9]$/.test(event.key) && label) {
    event.preventDefault();
    choose(task, label);
    return;
  }
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function drawFacts() {
  for (const node of document.querySelectorAll("[data-fact]")) node.textContent = facts[node.dataset.fact];
  $("kept-videos").hidden = !facts.videos;
  const without = facts.without_faces ? `; ${facts.without_faces} show no face that is large enough` : "";
  setText($("found"), `${facts.found} faces in ${facts.files} files${without}. Your labels are those of labeller ${facts.labeller}.`);
  $("broken").hidden = !facts.broken.length;
  setText($("broken").querySelector("summary"), `${count(facts.broken.length, "file")} cannot be read`);
  $("broken").querySelector("ul").replaceChildren(...facts.broken.map((sentence) => element("li", { textContent: sentence })));
}

async function start() {
  let begun;
  try {
    begun = await ask("begin");
  } catch (error) {
    setText($("found"), error.message);
    return;
  }
  facts = begun.facts;
  tasks = facts.tasks;
  drawFacts();
  $("tasks").replaceChildren(...tasks.map(makeTask));
  $("begin").disabled = false;
  $("begin").addEventListener("click", () => {
    $("consent-again").replaceChildren(...document.querySelectorAll("#consent > .points, #consent > #broken"));
    $("consent").hidden = true;
    show(begun);
    if (face) $("face-title").focus();
  });
}

$("undo").addEventListener("click", undo);
$("undo-end").addEventListener("click", () => act("undo"));
$("skip").addEventListener("click", KEYS.s);
$("leave-out").addEventListener("click", KEYS.x);
$("estimate").addEventListener("click", showEstimate);
$("whole").addEventListener("toggle", drawScene);
$("tasks").addEventListener("submit", (event) => event.preventDefault());
addEventListener("keydown", onKey);
start();
