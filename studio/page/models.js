// The list of models, shared by all pages.

import { getJson } from "./server.js";

let models = [];
const listeners = new Set();

export const onModels = (listener) => { listeners.add(listener); if (models.length) listener(models); };
export const modelNamed = (name) => models.find((model) => model.name === name);

export async function loadModels() {
  const found = await getJson("api/models");
  models = found.models;
  if (found.unread) setTimeout(() => loadModels().catch(() => {}), 1_000); // files that take a while
  for (const listener of listeners) listener(models);
  return found.problems;
}

// Fills a select, and keeps what was chosen.
export function fillModels(select, wanted = () => true) {
  onModels((all) => {
    const chosen = select.value;
    select.replaceChildren();
    const groups = { voice: "Shipped voices", run: "Your runs", export: "Exported files" };
    for (const [kind, label] of Object.entries(groups)) {
      const found = all.filter((model) => model.kind === kind && wanted(model));
      if (!found.length) continue;
      const group = document.createElement("optgroup");
      group.label = label;
      for (const model of found) group.append(new Option(model.name.replace(/^wavenet_|\.(pth|safetensors)$/g, ""), model.name));
      select.append(group);
    }
    if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
    select.disabled = !select.options.length;
    select.dispatchEvent(new Event("change"));
  });
}

// What a request says of temperatures: nothing where they are the model's usual ones; a temperature of 0 is for all parts.
export function temperatures(model, temperature, quiet) {
  if (!model || (temperature === model.temperature && quiet === (model.quiet_temperature ?? quiet))) return {};
  return { temperature, quiet_temperature: model.quiet_temperature !== null && temperature > 0 ? quiet : null };
}

// One line of facts.
export function describe(model) {
  if (!model) return "There is no model of this kind yet.";
  const facts = [];
  if (model.bits !== null) facts.push(`${model.bits.toFixed(2)} bits per sample${model.lpc !== null ? ` (LPC-24: ${model.lpc.toFixed(2)})` : ""}`);
  if (model.minutes !== null) facts.push(`${Math.round(model.minutes)} min of training`);
  facts.push(`${model.sample_rate / 1000} kHz`);
  if (model.language) facts.push(model.language);
  if (model.speakers.length) facts.push(`${model.speakers.length} speakers`);
  if (model.vocoder) facts.push("vocoder");
  if (model.date) facts.push(new Date(model.date).toLocaleDateString(undefined, { dateStyle: "medium" }));
  return facts.join(" · ");
}
