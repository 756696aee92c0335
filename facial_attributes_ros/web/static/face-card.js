// The card of a face or a person: age, gender and emotion with all class probabilities.
//
// Its elements are made once and only their texts and widths change, so that nothing jumps while a stream runs.

import { LABELS, ageText, element, percent, setText } from "./dom.js";

const TASKS = [
  { key: "age_group", labels: "age", title: "Age" },
  { key: "gender", labels: "gender", title: "Gender" },
  { key: "emotion", labels: "emotion", title: "Emotion" },
];

let counter = 0;

/** The card of one face. `element` is to be put into the page; `extra` is a place for more, at the end of the card. */
export class FaceCard {
  #heading;
  #note;
  #crop;
  #tasks = new Map();

  constructor() {
    const id = `face-${++counter}`;
    this.#crop = element("img", { className: "crop", alt: "", width: 96, height: 96, hidden: true });
    this.#heading = element("h3", { id });
    this.#note = element("p", { className: "note" });
    this.extra = element("div", { className: "extra" });
    const tasks = TASKS.map((task) => this.#task(task));
    this.element = element(
      "article",
      { className: "card face", "aria-labelledby": id },
      element("header", {}, this.#crop, element("div", {}, this.#heading, this.#note)),
      element("div", { className: "tasks" }, ...tasks),
      this.extra,
    );
  }

  /**
   * Show a face.
   *
   * `face` is the JSON form of a face, see `attributes.face_dict`. `title` is its heading and `note` the line below it.
   * `unknown` has a sentence per key (`age_group`, `gender`, `emotion`) that says why the label is unknown. `crop` is
   * the address of an image.
   */
  update(face, { title = face.id, note = "", unknown = {}, crop = null } = {}) {
    setText(this.#heading, title);
    setText(this.#note, note);
    if (crop && this.#crop.src !== crop) this.#crop.src = crop;
    this.#crop.hidden = !crop;
    for (const { key } of TASKS) this.#show(key, face, unknown[key]);
  }

  /** Mark the face as one that has left the image, or as one that is there. */
  set gone(gone) {
    this.element.classList.toggle("gone", gone);
    if (gone) setText(this.#note, "has left the image");
  }

  #task({ key, labels, title }) {
    const value = element("p", { className: "value" });
    const reason = element("p", { className: "note" });
    const rows = (LABELS[labels] ?? []).map((label) => {
      const bar = element("span", { className: "bar" });
      const number = element("span", { className: "number" });
      const track = element("span", { className: "track", "aria-hidden": "true" }, bar);
      return { label, bar, number, row: element("li", {}, element("span", { className: "label", textContent: label }), track, number) };
    });
    this.#tasks.set(key, { value, reason, rows });
    const list = element("ul", { className: "bars", "aria-label": `Class probabilities of ${title.toLowerCase()}` });
    list.append(...rows.map(({ row }) => row));
    return element("section", { className: "task" }, element("h4", { textContent: title }), value, reason, list);
  }

  #show(key, face, why) {
    const { value, reason, rows } = this.#tasks.get(key);
    const label = face[key];
    const probabilities = face[`${key}_probabilities`] ?? {};
    const age = key === "age_group" ? ageText(face.age, face.age_stddev) : null;
    setText(value, age ?? label ?? "unknown");
    value.classList.toggle("unknown", age === null && label === null);
    setText(reason, reasonText(key, label, age, probabilities[label], why));
    for (const { label: name, bar, number, row } of rows) {
      const fraction = probabilities[name] ?? 0;
      bar.style.transform = `scaleX(${fraction})`;
      setText(number, percent(probabilities[name]));
      row.classList.toggle("chosen", name === label);
    }
  }
}

function reasonText(key, label, age, probability, why) {
  if (label === null || label === undefined) return key === "age_group" && age ? `Group unknown: ${why ?? "too uncertain"}` : (why ?? "");
  return key === "age_group" ? `Group ${label}, ${percent(probability)}` : percent(probability);
}
