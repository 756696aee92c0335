// The emotions of the people in a video over time: a band for each emotion, as thick as it is probable.

import { LABELS, element, shape } from "./dom.js";

const WIDTH = 800;
const ROW = 16;

/** Return the plot of one person. `seconds` is the length of the video. */
export function timelinePlot({ id, times, emotions, probabilities }, seconds) {
  const labels = LABELS.emotion;
  const plot = shape("svg", { viewBox: `0 0 ${WIDTH} ${ROW * labels.length}`, preserveAspectRatio: "none", role: "img" });
  plot.setAttribute("aria-label", `Emotions of ${id} from ${times[0]} to ${times.at(-1)} seconds`);
  const at = (time) => (WIDTH * time) / Math.max(seconds, 0.001);
  const step = times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : seconds;
  labels.forEach((label, row) => {
    const middle = ROW * (row + 0.5);
    plot.append(shape("line", { class: "axis", x1: 0, x2: WIDTH, y1: middle, y2: middle }));
    times.forEach((time, index) => {
      const thick = Math.max((ROW - 3) * probabilities[index][row], 0.5);
      const name = emotions[index] === label ? "band chosen" : "band";
      plot.append(shape("rect", { class: name, x: at(time), y: middle - thick / 2, width: at(step) + 0.4, height: thick }));
    });
  });
  const names = element("ul", { className: "rows", "aria-hidden": "true" });
  names.append(...labels.map((label) => element("li", { textContent: label })));
  const axis = element("p", { className: "note axis-text", "aria-hidden": "true" });
  axis.append(element("span", { textContent: "0 s" }), element("span", { textContent: `${seconds.toFixed(1)} s` }));
  return element("figure", { className: "timeline" }, element("figcaption", { textContent: id }), names, plot, axis);
}
