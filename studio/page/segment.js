// The page Segment: a picture, its mask, and what is in it.

import { dropZone, h } from "./dom.js";
import { getJson, query, send } from "./server.js";

const MOST_BYTES = 32 * 2 ** 20;

let model, scales, flip, stride, opacity, status, original, overlay, legend, result, file = null, picture = null, mask = null, busy = false, empty, work;

export function setUp(section) {
  model = h("select", { id: "segment-model", onchange: again });
  scales = h("select", { id: "segment-scales", onchange: again }, new Option("as it is", "1"), new Option("0.75, 1 and 1.25", "0.75,1,1.25"), new Option("0.5 to 1.75", "0.5,0.75,1,1.25,1.5,1.75"));
  stride = h("select", { id: "segment-stride", onchange: again }, new Option("as trained", ""), ...[4, 8, 16].map((value) => new Option(value, value)));
  flip = h("input", { type: "checkbox", id: "segment-flip", onchange: again });
  opacity = h("input", { type: "range", id: "segment-opacity", min: 0, max: 100, value: 60, oninput: paint });
  status = h("p", { class: "status", role: "status", id: "segment-status" }, "Drop a picture to label it.");
  original = h("canvas", { role: "img", "aria-label": "The picture" });
  overlay = h("canvas", { role: "img", "aria-label": "The picture under its mask", id: "segment-overlay" });
  legend = h("tbody", {});
  result = h("div", { class: "stage", hidden: true },
    h("div", { class: "two" }, h("div", { class: "panel" }, h("h3", {}, "Picture"), h("div", { class: "picture" }, original)), h("div", { class: "panel" }, h("h3", {}, "Mask"), h("div", { class: "picture" }, overlay))),
    h("div", { class: "card panel" }, h("table", { id: "segment-legend" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Class"), h("th", { scope: "col", class: "number" }, "Share of the picture"))), legend)));
  empty = h("div", { class: "card empty", hidden: true }, h("h2", {}, "No model for pictures yet"), h("p", {}, "Train one on the built-in shapes in some minutes, or on a folder of pictures and masks:"), h("code", {}, "wavegen seg-train"));
  work = h("div", { class: "columns" },
    h("form", { class: "card controls", "aria-label": "How to label", onsubmit: (event) => event.preventDefault() },
      h("label", { class: "field" }, "Model", model),
      dropZone("segment-file", "Drop a picture here", "image/*", choose),
      h("label", { class: "field" }, "Scales", scales),
      h("label", { class: "field" }, "Output stride", stride),
      h("label", { class: "check" }, flip, "Average over the mirrored picture"),
      h("label", { class: "field" }, "Opacity of the mask", opacity)),
    h("div", { class: "stage" }, status, result));
  section.append(h("div", { class: "intro" }, h("h2", {}, "What is in a picture"), h("p", {}, "A DeepLab on the same dilated blocks names the class of every pixel. The picture stays on this machine and is deleted right after.")), empty, work);
}

export async function enter() {
  try {
    const { models } = await getJson("api/segmenters");
    const chosen = model.value;
    model.replaceChildren(...models.map((name) => new Option(name.replace(/\.(pth|safetensors)$/, ""), name)));
    if (models.includes(chosen)) model.value = chosen;
    empty.hidden = models.length > 0;
    work.hidden = !models.length;
  } catch (error) { say(error.message, true); }
}

function choose(chosen) {
  if (chosen.size > MOST_BYTES) return say(`${chosen.name} is too large; at most 32 MB can be sent.`, true);
  file = chosen;
  again();
}

async function again() {
  if (!file || busy) return;
  busy = true;
  const of = { file, model: model.value, scales: scales.value, flip: flip.checked, stride: stride.value };
  say(`Labelling ${file.name} …`);
  const began = performance.now();
  try {
    const answer = await (await send(`api/segment?${query({ client: "picture", name: file.name, model: of.model, scales: of.scales, flip: of.flip ? 1 : 0, stride: of.stride })}`, file)).json();
    mask = await createImageBitmap(blobOf(answer.mask));
    picture = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
    show(answer, performance.now() - began);
  } catch (error) { say(error.message, true); }
  busy = false;
  if (of.file !== file || of.model !== model.value || of.scales !== scales.value || of.flip !== flip.checked || of.stride !== stride.value) again();
}

const blobOf = (text) => new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/png" });

function show(answer, milliseconds) {
  for (const canvas of [original, overlay]) { canvas.width = answer.width; canvas.height = answer.height; }
  if (picture) original.getContext("2d").drawImage(picture, 0, 0, answer.width, answer.height);
  legend.replaceChildren(...answer.classes.map(({ name, colour: [red, green, blue], share }) => {
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = `rgb(${red} ${green} ${blue})`;
    return h("tr", {}, h("td", {}, swatch, name), h("td", { class: "number" }, `${(100 * share).toFixed(share < 0.001 ? 2 : 1)} %`));
  }));
  result.hidden = false;
  paint();
  const seen = picture ? "" : " Your browser cannot show this kind of file, so only its mask is drawn.";
  say(`${answer.width} × ${answer.height}, ${(milliseconds / 1000).toFixed(1)} s; ${answer.protocol}.${seen}`);
}

function paint() {
  opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
  if (!mask) return;
  const context = overlay.getContext("2d");
  context.clearRect(0, 0, overlay.width, overlay.height);
  if (picture) context.drawImage(picture, 0, 0, overlay.width, overlay.height);
  context.globalAlpha = picture ? opacity.value / 100 : 1;
  context.imageSmoothingEnabled = false;
  context.drawImage(mask, 0, 0);
  context.globalAlpha = 1;
}

function say(text, failed = false) {
  status.textContent = text;
  status.classList.toggle("error", failed);
}
