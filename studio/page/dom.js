// Small helpers around the document.

export const $ = (id) => document.getElementById(id);

// Makes an element: h("p", {class: "hint"}, "text", child). Functions become listeners, `on` before their name dropped.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A labelled slider that shows its value; `shown` turns the number into text.
export function slider(id, label, { min, max, step, value, shown = String }, oninput) {
  const input = h("input", { type: "range", id, min, max, step, value });
  const output = h("output", { for: id });
  const show = () => { output.value = shown(Number(input.value)); input.setAttribute("aria-valuetext", output.value); };
  input.addEventListener("input", () => { show(); oninput?.(Number(input.value)); });
  show();
  const field = h("label", { class: "field", for: id }, h("span", {}, label), output, input);
  return { field, input, show, get value() { return Number(input.value); } };
}

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A canvas in device pixels; returns its context and its size in CSS pixels.
export function fitted(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export const clock = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`);

// A place to drop or choose a file.
export function dropZone(id, text, accept, onfile) {
  const input = h("input", { type: "file", id, accept });
  const zone = h("div", { class: "drop" }, h("p", {}, text), h("div", {}, input, h("label", { class: "button", for: id }, "Choose a file")));
  input.addEventListener("change", () => { if (input.files[0]) onfile(input.files[0]); input.value = ""; });
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files[0]) onfile(event.dataTransfer.files[0]);
  });
  return zone;
}
