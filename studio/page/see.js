// The page See: what one output of a dilated stack depends on, in one dimension and in two.

import { colour, fitted, h, slider } from "./dom.js";
import { dependencies, dilationCycle, holes, paths, receptiveField, stackParameters, waveNetParameters, WIDTHS } from "./stack.js";

const SHOWN = 64; // samples across the drawing
const EXAMPLES = {
  "WaveNet small": { dimensions: 1, kernel: 2, layers: 10, repeats: 2, base: 2 },
  "One cycle": { dimensions: 1, kernel: 2, layers: 5, repeats: 1, base: 2 },
  "Undilated": { dimensions: 1, kernel: 3, layers: 5, repeats: 1, base: 1 },
  "Holes": { dimensions: 1, kernel: 2, layers: 3, repeats: 1, base: 3 },
  "Gridding in 2-D": { dimensions: 2, kernel: 3, own: "2, 2, 2" },
  "No gridding in 2-D": { dimensions: 2, kernel: 3, own: "1, 2, 3" },
};

let canvas, parts, own, hovered = null, dimensions = 1, numbers, note;

export function setUp(section) {
  const redraw = () => { hovered = null; draw(); };
  parts = {
    kernel: slider("see-kernel", "Kernel size", { min: 2, max: 3, step: 1, value: 2 }, redraw),
    layers: slider("see-layers", "Layers in a cycle", { min: 1, max: 10, step: 1, value: 4 }, redraw),
    repeats: slider("see-repeats", "Cycles", { min: 1, max: 5, step: 1, value: 1 }, redraw),
    base: slider("see-base", "Dilations grow by", { min: 1, max: 4, step: 1, value: 2, shown: (value) => (value === 1 ? "nothing" : `× ${value}`) }, redraw),
  };
  own = h("input", { type: "text", id: "see-own", placeholder: "1, 2, 5", inputmode: "numeric", autocomplete: "off", oninput: redraw });
  const width = h("select", { id: "see-width", onchange: () => draw() }, ...Object.keys(WIDTHS).map((name) => new Option(name, name, false, name === "small")));
  parts.width = width;
  const choice = (value, label) => h("label", {}, h("input", { type: "radio", name: "see-dimensions", value, checked: value === 1, onchange: () => { setDimensions(value); redraw(); } }), h("span", {}, label));
  const examples = h("div", { class: "row" }, ...Object.entries(EXAMPLES).map(([name, values]) => h("button", { type: "button", onclick: () => apply(values) }, name)));
  canvas = h("canvas", { class: "see-canvas", id: "see-canvas", tabindex: 0, role: "img", "aria-describedby": "see-note" });
  canvas.addEventListener("pointermove", (event) => point(event));
  canvas.addEventListener("pointerdown", (event) => point(event));
  canvas.addEventListener("pointerleave", redraw);
  canvas.addEventListener("keydown", moveByKey);
  numbers = h("dl", { class: "meters" });
  note = h("p", { class: "hint", id: "see-note", role: "status" });
  section.append(
    h("div", { class: "intro" }, h("h2", {}, "What the network can see"), h("p", {}, "Each layer of a dilated stack reads a few inputs that lie apart. Point at any place, or use the arrow keys, and everything that it depends on lights up.")),
    h("div", { class: "columns" },
      h("form", { class: "card controls", "aria-label": "The stack", onsubmit: (event) => event.preventDefault() },
        h("fieldset", {}, h("legend", {}, "Dimensions"), h("div", { class: "segmented" }, choice(1, "1: sound"), choice(2, "2: pictures"))),
        parts.kernel.field, parts.layers.field, parts.repeats.field, parts.base.field,
        h("label", { class: "field" }, "Or your own dilations", own),
        h("label", { class: "field" }, "Width of the layers", width)),
      h("div", { class: "stage first" }, h("div", { class: "card panel" }, canvas, note), numbers, h("div", { class: "card panel" }, h("h3", {}, "Examples"), examples))),
  );
  new ResizeObserver(() => draw()).observe(canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  draw();
}

function setDimensions(value) {
  dimensions = value;
  for (const input of document.getElementsByName("see-dimensions")) input.checked = Number(input.value) === value;
  parts.kernel.input.min = value === 2 ? 3 : 2;
  parts.kernel.input.max = value === 2 ? 5 : 3;
  parts.kernel.input.step = value === 2 ? 2 : 1;
  if (value === 2 && parts.kernel.value % 2 === 0) parts.kernel.input.value = 3;
  parts.kernel.show();
}

function apply(values) {
  setDimensions(values.dimensions);
  for (const name of ["kernel", "layers", "repeats", "base"]) if (values[name]) { parts[name].input.value = values[name]; parts[name].show(); }
  own.value = values.own ?? "";
  hovered = null;
  draw();
}

export function stackNow() {
  const written = own.value.split(/[\s,]+/).map(Number).filter((number) => Number.isInteger(number) && number >= 1 && number <= 4096).slice(0, 64);
  const chosen = written.length ? written : dilationCycle(parts.layers.value, parts.repeats.value, parts.base.value);
  // WaveNet's front is a layer of dilation 1 before the others
  return { kernel: parts.kernel.value, dilations: chosen, layers: dimensions === 1 ? [1, ...chosen] : chosen };
}

function draw() {
  if (!canvas?.clientWidth) return;
  const { kernel, dilations, layers } = stackNow();
  const field = receptiveField(kernel, layers);
  if (dimensions === 1) drawLine(kernel, layers, field); else drawSquare(kernel, layers, field);
  const width = WIDTHS[parts.width.value];
  const parameters = dimensions === 1 ? waveNetParameters(kernel, dilations, width) : stackParameters(kernel, dilations, width.residual);
  const empty = holes(kernel, layers, dimensions);
  const facts = [
    ["Receptive field", dimensions === 1 ? `${field.toLocaleString("en")} samples` : `${field} × ${field}`, "field"],
    ...(dimensions === 1 ? [["At 16 kHz", `${((1000 * field) / 16_000).toPrecision(3)} ms`, "time"]] : []),
    ["Holes in it", empty ? `${(100 * empty).toFixed(1)} %` : "none", "holes"],
    ["Layers", String(layers.length), "layers"],
    ["Parameters", parameters.toLocaleString("en"), "parameters"],
  ];
  numbers.replaceChildren(...facts.map(([name, value, id]) => h("div", {}, h("dt", {}, name), h("dd", { id: `see-${id}` }, value))));
}

// Rows of nodes, the input at the bottom and the output at the top, the newest sample at the right.
function drawLine(kernel, layers, field) {
  const rows = layers.length + 1;
  canvas.style.height = `${Math.max(210, Math.min(560, rows * 46))}px`;
  const { context, width, height } = fitted(canvas);
  const shown = Math.min(SHOWN, Math.max(field, 16), Math.max(16, Math.floor(width / 9)));
  const left = 14, right = width - 14, top = 20, bottom = height - 26;
  const x = (place) => right - ((shown - 1 - place) * (right - left)) / (shown - 1);
  const y = (row) => bottom - (row * (bottom - top)) / (rows - 1);
  context.clearRect(0, 0, width, height);
  const target = hovered ?? { row: rows - 1, place: shown - 1 };
  const lit = dependencies(kernel, layers.slice(0, target.row), target.place);
  context.lineWidth = 1.4;
  context.strokeStyle = colour("accent");
  for (let row = target.row; row > 0; row--) {
    for (const place of lit[row]) {
      for (let tap = 0; tap < kernel; tap++) {
        const from = place - tap * layers[row - 1];
        if (place < 0) continue;
        context.globalAlpha = lit[row].size > 24 ? 0.35 : 0.7;
        context.beginPath(); context.moveTo(x(place), y(row)); context.lineTo(x(Math.max(from, -1.5)), y(row - 1)); context.stroke();
      }
    }
  }
  context.globalAlpha = 1;
  const radius = Math.max(2, Math.min(5.5, (right - left) / shown / 2.6));
  for (let row = 0; row < rows; row++) {
    for (let place = 0; place < shown; place++) {
      const on = lit[row]?.has(place);
      context.fillStyle = on ? (row === 0 ? colour("second") : colour("accent")) : colour("line");
      context.beginPath(); context.arc(x(place), y(row), on ? radius * 1.12 : radius * 0.72, 0, 7); context.fill();
    }
  }
  context.fillStyle = colour("soft");
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  context.fillText("newest sample", right + 6, height - 6);
  context.textAlign = "left";
  context.fillText(field > shown ? `… ${(field - shown).toLocaleString("en")} samples further back` : "older samples", left - 6, height - 6);
  const inputs = lit[0].size, extent = Math.max(...lit[0]) - Math.min(...lit[0]) + 1;
  note.textContent = `${target.row === rows - 1 ? "This output" : target.row === 0 ? "This input" : `This node of layer ${target.row}${target.row ? `, dilation ${layers[target.row - 1]},` : ""}`} depends on ${inputs.toLocaleString("en")} ${inputs === 1 ? "input" : `inputs within ${extent.toLocaleString("en")} samples`}.`;
  canvas.setAttribute("aria-label", `Drawing of a stack with kernel ${kernel} and dilations ${layers.join(", ")}. ${note.textContent}`);
  canvas.geometry = { x, y, rows, shown };
}

// Pixels, the darker the more paths lead from them to the one that is pointed at.
function drawSquare(kernel, layers, field) {
  const side = Math.min(canvas.clientWidth, 520);
  canvas.style.height = `${side}px`;
  const { context, width, height } = fitted(canvas);
  const counts = paths(kernel, layers), most = Math.max(...counts), half = (field - 1) / 2;
  const shown = Math.min(Math.max(field + 4, 15), 129);
  const middle = (shown - 1) / 2;
  const target = hovered ?? { row: Math.round(middle), place: Math.round(middle) };
  const size = Math.min(width, height) / shown, offset = (width - size * shown) / 2, gap = size > 6 ? 1 : size > 3 ? 0.5 : 0;
  context.clearRect(0, 0, width, height);
  for (let row = 0; row < shown; row++) {
    for (let column = 0; column < shown; column++) {
      const a = counts[row - target.row + half], b = counts[column - target.place + half];
      const share = a && b ? (a * b) / most ** 2 : 0;
      context.fillStyle = share ? colour("accent") : colour("well");
      context.globalAlpha = share ? 0.22 + 0.78 * share ** 0.4 : 1;
      context.fillRect(offset + column * size, row * size, size - gap, size - gap);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = colour("second");
  context.lineWidth = 2;
  context.strokeRect(offset + target.place * size, target.row * size, size - gap, size - gap);
  context.setLineDash([5, 4]);
  context.lineWidth = 1.2;
  context.strokeRect(offset + (target.place - half) * size, (target.row - half) * size, size * field - gap, size * field - gap);
  context.setLineDash([]);
  const reached = counts.reduce((sum, count) => sum + (count > 0), 0) ** 2;
  note.textContent = `This pixel depends on ${reached.toLocaleString("en")} of the ${(field ** 2).toLocaleString("en")} pixels of its receptive field (dashed).`;
  canvas.setAttribute("aria-label", `Pixels that one output of a stack with kernel ${kernel} and dilations ${layers.join(", ")} depends on. ${note.textContent}`);
  canvas.geometry = { size, offset, shown };
}

function point(event) {
  const { left, top } = canvas.getBoundingClientRect();
  const px = event.clientX - left, py = event.clientY - top, { x, y, rows, shown, size, offset } = canvas.geometry;
  const clamp = (value, most) => Math.max(0, Math.min(most, value));
  if (dimensions === 1) {
    const step = (x(shown - 1) - x(0)) / (shown - 1), rise = (y(0) - y(rows - 1)) / (rows - 1);
    hovered = { place: clamp(Math.round((px - x(0)) / step), shown - 1), row: clamp(Math.round((y(0) - py) / rise), rows - 1) };
  } else hovered = { place: clamp(Math.floor((px - offset) / size), shown - 1), row: clamp(Math.floor(py / size), shown - 1) };
  draw();
}

function moveByKey(event) {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!move) return;
  event.preventDefault();
  const { rows = canvas.geometry.shown, shown } = canvas.geometry, middle = Math.round((shown - 1) / 2);
  const from = hovered ?? (dimensions === 1 ? { row: rows - 1, place: shown - 1 } : { row: middle, place: middle });
  const up = dimensions === 1 ? move[1] : -move[1];
  hovered = { place: Math.max(0, Math.min(shown - 1, from.place + move[0])), row: Math.max(0, Math.min(rows - 1, from.row + up)) };
  draw();
}

export const enter = () => draw();
