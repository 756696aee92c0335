// Small helpers that all pages share.

/** Return an element. `attributes` set properties such as `textContent`, and attributes such as `aria-label`. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    if (name in node && !name.includes("-")) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Return an element of SVG with attributes. */
export function shape(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Return a number with its noun, such as `1 face` or `3 faces`. */
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** Return a fraction as a percentage, such as `93 %`. */
export function percent(fraction) {
  return fraction === null || fraction === undefined ? "–" : `${Math.round(100 * fraction)} %`;
}

/** Return an age in completed years with its standard deviation, such as `44 ± 9 years`; null while it is unknown. */
export function ageText(age, deviation) {
  if (age === null || age === undefined) return null;
  const spread = deviation === null || deviation === undefined ? "" : ` ± ${Math.round(deviation)}`;
  return `${Math.floor(age)}${spread} years`;
}

/** Set a text only if it differs, so that a screen reader hears changes only. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Labels of every task, in the order of their class index. */
export const LABELS = JSON.parse(document.getElementById("facts")?.dataset.labels ?? "{}");
