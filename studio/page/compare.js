// The page Compare: two models or settings, heard blind, with a tally and its significance.

import { twoSided } from "./binomial.js";
import { ClipStream } from "./clip.js";
import { h, slider } from "./dom.js";
import { describe, fillModels, modelNamed, temperatures } from "./models.js";
import { playTogether, wake } from "./player.js";

const SECONDS = 3;

let sides, trial = null, next = null, tally = { A: 0, B: 0, same: 0 }, playing = null, seed = 0, buttons, choices, status, table, started = false, startButton;

export function setUp(section) {
  sides = ["A", "B"].map(side);
  buttons = [0, 1].map((index) => h("button", { class: "primary", disabled: true, id: `compare-play-${index + 1}`, onclick: () => hear(index) }, `Play ${index + 1}`));
  choices = [["1 sounds better", 0], ["2 sounds better", 1], ["No difference", null]].map(([text, index]) => h("button", { disabled: true, onclick: () => vote(index) }, text));
  status = h("p", { class: "status", role: "status", id: "compare-status" }, "Choose two models or settings that differ. Each trial plays them in random order, and tells nothing.");
  startButton = h("button", { class: "primary", id: "compare-start", onclick: begin }, "Start");
  table = h("div", { class: "panel", id: "compare-tally" });
  section.append(
    h("div", { class: "intro" }, h("h2", {}, "Which one sounds better?"), h("p", {}, "A blind comparison: you hear two clips of the same length and seed and say which is better, without knowing which is which.")),
    h("div", { class: "stack" },
      h("div", { class: "two" }, ...sides.map(({ card }) => card)),
      h("div", { class: "card stack" },
        h("div", { class: "transport" }, startButton, status),
        h("div", { class: "vote" }, ...buttons),
        h("div", { class: "row" }, ...choices),
        h("details", {}, h("summary", {}, "Show the tally (it may bias you)"), table))));
  showTally();
}

function side(name) {
  const model = h("select", { id: `compare-model-${name}` });
  const facts = h("p", { class: "facts" });
  const temperature = slider(`compare-temperature-${name}`, "Temperature", { min: 0, max: 1.5, step: 0.01, value: name === "A" ? 0.97 : 1, shown: (value) => value.toFixed(2) }, restart);
  const quiet = slider(`compare-quiet-${name}`, "In quiet parts", { min: 0.05, max: 1.5, step: 0.01, value: 1, shown: (value) => value.toFixed(2) }, restart);
  const topP = slider(`compare-top-p-${name}`, "Top-p", { min: 0.05, max: 1, step: 0.01, value: 1, shown: (value) => value.toFixed(2) }, restart);
  model.addEventListener("change", () => { facts.textContent = describe(modelNamed(model.value)); topP.field.hidden = quiet.field.hidden = !modelNamed(model.value)?.ranks; restart(); });
  fillModels(model, (one) => !one.vocoder);
  const card = h("form", { class: "card controls", "aria-label": `Side ${name}`, onsubmit: (event) => event.preventDefault() }, h("h2", {}, `Side ${name}`), h("label", { class: "field" }, "Model", model), facts, temperature.field, quiet.field, topP.field);
  const settings = () => {
    const found = modelNamed(model.value);
    return { model: model.value, ...temperatures(found, temperature.value, quiet.value), top_p: found?.ranks ? topP.value : 1, seconds: SECONDS, paced: false };
  };
  return { card, settings };
}

function restart() {
  if (!started) return;
  started = false;
  trial = next = null;
  tally = { A: 0, B: 0, same: 0 };
  startButton.hidden = false;
  enable(false);
  showTally();
  say("The settings have changed: press Start for a new comparison.");
}

async function prepare() {
  const own = seed++;
  const first = Math.random() < 0.5 ? 0 : 1;
  const order = [sides[first], sides[1 - first]];
  const clips = await Promise.all(order.map(async ({ settings }) => {
    const clip = await new ClipStream({ ...settings(), seed: own }).start();
    await clip.read();
    return { samples: clip.samples, rate: clip.rate };
  }));
  if (clips[0].rate !== clips[1].rate) throw new Error("these two models have different sample rates, which one would hear; choose others");
  return { clips, names: first === 0 ? ["A", "B"] : ["B", "A"], heard: new Set() };
}

async function begin() {
  const [one, other] = sides.map(({ settings }) => JSON.stringify(settings()));
  if (one === other) return say("Both sides are the same: change one.", true);
  wake(modelNamed(sides[0].settings().model).sample_rate);
  seed = Math.floor(Math.random() * 1e9);
  tally = { A: 0, B: 0, same: 0 };
  started = true;
  startButton.hidden = true;
  showTally();
  say("Making the first clips …");
  await advance(prepare());
}

async function advance(coming) {
  enable(false);
  try {
    const found = await coming;
    if (!started) return;
    trial = found;
    window.studioTrial = trial; // what the tests of the page look at
    next = prepare();
    next.catch(() => {});
    buttons.forEach((button) => { button.disabled = false; });
    say(`Trial ${tally.A + tally.B + tally.same + 1}: listen to both.`);
  } catch (error) { restart(); say(error.message, true); }
}

async function hear(index) {
  playing?.stop();
  trial.heard.add(index);
  const own = (playing = await playTogether([trial.clips[index].samples], trial.clips[index].rate, 0, () => {}));
  if (own !== playing) own.stop();
  if (trial.heard.size === 2) choices.forEach((button) => { button.disabled = false; });
}

function vote(index) {
  playing?.stop();
  tally[index === null ? "same" : trial.names[index]] += 1;
  showTally();
  advance(next);
}

function showTally() {
  const { A, B, same } = tally, count = A + B;
  const chance = twoSided(A, count);
  const verdict = count === 0 ? "No votes yet." : chance < 0.05 ? `That is unlikely to be chance (p = ${chance.toFixed(3)}, exact binomial test).` : `That may well be chance (p = ${chance.toFixed(2)}, exact binomial test); go on.`;
  const row = (name, value) => h("tr", {}, h("td", {}, name), h("td", { class: "number" }, String(value)));
  table.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Preferred"), h("th", { scope: "col", class: "number" }, "Votes"))), h("tbody", {}, row("Side A", A), row("Side B", B), row("No difference", same))), h("p", { class: "hint" }, verdict));
}

function enable(on) { for (const button of [...buttons, ...choices]) button.disabled = !on; }

function say(text, failed = false) { status.textContent = text; status.classList.toggle("error", failed); }

export function leave() { playing?.stop(); }
