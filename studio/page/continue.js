// The page Continue: a recording that a voice goes on with, or that a vocoder makes again; heard side by side.

import { ClipStream, joined, wav } from "./clip.js";
import { $, clock, download, dropZone, h, slider } from "./dom.js";
import { describe, fillModels, modelNamed, temperatures } from "./models.js";
import { floats, openPlayer, playTogether, wake } from "./player.js";
import { client, get, query, send } from "./server.js";
import { clipCanvases, drawClip } from "./spectrum.js";

const MOST_BYTES = 64 * 2 ** 20, LONGEST_RECORDING = 60_000, RECALL_SECONDS = 3;

let model, facts, length, temperature, seed, go, save, both, record, status, sides = [], recorder = null;
let sent = null, sound = null, result = null, clip = null, player = null, together = null, chosen = 0, speakers;

export function setUp(section) {
  model = h("select", { id: "continue-model", onchange: showModel });
  facts = h("p", { class: "facts" });
  length = h("select", { id: "continue-length" }, ...[2, 4, 10, 30].map((seconds) => new Option(`${seconds} seconds`, seconds, seconds === 4, seconds === 4)));
  const lengthField = h("label", { class: "field", id: "continue-length-field" }, "Go on for", length);
  seed = h("input", { type: "number", id: "continue-seed", min: 0, step: 1, value: 0 });
  temperature = slider("continue-temperature", "Temperature", { min: 0, max: 1.5, step: 0.01, value: 0.97, shown: (value) => value.toFixed(2) });
  speakers = h("select", { id: "continue-speaker" });
  record = h("button", { type: "button", id: "continue-record", onclick: toggleRecording }, "Record");
  go = h("button", { class: "primary", id: "continue-go", disabled: true, onclick: () => (clip ? stop() : make()) }, "Continue");
  both = h("button", { id: "continue-both", disabled: true, onclick: () => (together ? together.stop() : hear(0)) }, "Play both");
  save = h("button", { id: "continue-save", disabled: true, onclick: () => download(wav(result.samples, result.rate), `${sent.name.replace(/\.\w+$/, "")}-${model.value.replace(/\.(pth|safetensors)$/, "")}.wav`) }, "Save WAV");
  status = h("p", { class: "status", role: "status", id: "continue-status" }, "Record something, or drop a file.");
  sides = [["original", "Original"], ["result", "Result"]].map(([id, name], index) => {
    const drawn = clipCanvases(document, id);
    const tag = h("button", { class: "tag", "aria-pressed": "false", disabled: true, id: `continue-${id}`, onclick: () => hear(index) }, `Hear ${index ? "B" : "A"}`);
    const facts = h("p", { class: "hint" });
    return { panel: h("div", { class: "panel" }, h("div", { class: "row" }, h("h2", {}, name), tag), drawn.screen, facts), tag, facts, ...drawn };
  });
  const zone = dropZone("continue-file", "Drop a recording here", "audio/*,video/webm,.flac,.opus,.wv,.ape", receive);
  if (navigator.mediaDevices?.getUserMedia) zone.append(record); else zone.append(h("p", { class: "hint" }, "Browsers let a page record only over HTTPS or on this machine itself."));
  section.append(
    h("div", { class: "intro" }, h("h2", {}, "Go on from a recording"), h("p", {}, "A voice continues what it hears; a vocoder makes the whole recording again from its mel frames. Recordings are kept only while this page is open.")),
    h("div", { class: "columns" },
      h("form", { class: "card controls", "aria-label": "What to make of it", onsubmit: (event) => event.preventDefault() },
        zone, h("label", { class: "field" }, "Model", model), facts, h("label", { class: "field", id: "continue-speaker-field" }, "Speaker", speakers), lengthField, temperature.field, h("label", { class: "field" }, "Seed", seed)),
      h("div", { class: "stage" },
        h("div", { class: "transport" }, go, both, save, status),
        h("div", { class: "two" }, ...sides.map(({ panel }) => panel)),
        h("p", { class: "hint" }, "While both play, press ", h("kbd", {}, "A"), " or ", h("kbd", {}, "B"), " to hear the original or the result at the same place, or ", h("kbd", {}, "X"), " to switch."))));
  fillModels(model);
  addEventListener("keydown", byKey);
  new ResizeObserver(() => { drawSide(0); drawSide(1); }).observe(sides[0].wave);
}

function showModel() {
  const found = modelNamed(model.value);
  facts.textContent = describe(found);
  $("continue-length-field").hidden = Boolean(found?.vocoder);
  $("continue-speaker-field").hidden = !found?.speakers.length;
  speakers.replaceChildren(...(found?.speakers ?? []).map((name, index) => new Option(name, index)));
  temperature.input.value = found?.temperature ?? 1;
  temperature.show();
  if (!clip) go.textContent = found?.vocoder ? "Vocode" : "Continue";
  if (sent) fetchOriginal();
}

async function receive(file) {
  if (file.size > MOST_BYTES) return say(`${file.name} is too large; at most 64 MB can be sent.`, true);
  say(`Reading ${file.name} …`);
  try {
    sent = await (await send(`api/clips?${query({ client, name: file.name })}`, file)).json();
    result = null;
    await fetchOriginal();
    drawSide(1);
  } catch (error) { say(error.message, true); }
}

// The original at the rate of the model, so that both have one time.
async function fetchOriginal() {
  const found = modelNamed(model.value);
  if (!found) return;
  try {
    const response = await get(`api/clips/${sent.key}?${query({ rate: found.sample_rate })}`);
    sound = { samples: new Int16Array(await response.arrayBuffer()), rate: found.sample_rate };
    const notes = JSON.parse(decodeURIComponent(response.headers.get("x-notes")));
    if (result && result.rate !== sound.rate) result = null;
    sides[0].facts.textContent = [`${sent.name}, ${clock(sent.seconds)}`, ...notes].join("; ");
    drawSide(0);
    enable();
    say("Ready.");
  } catch (error) { say(error.message, true); }
}

async function make() {
  const found = modelNamed(model.value);
  const settings = { model: found.name, clip: sent.key, seed: Math.max(0, Math.floor(Number(seed.value) || 0)), ...temperatures(found, temperature.value, found.quiet_temperature ?? temperature.value) };
  if (found.speakers.length) settings.speakers = found.speakers.map((_, index) => Number(index === Number(speakers.value)));
  const own = (clip = new ClipStream(found.vocoder ? settings : { ...settings, seconds: Number(length.value) }));
  window.studioClip = own; // what the tests of the page look at
  together?.stop();
  go.textContent = "Stop";
  result = null;
  enable();
  say(found.vocoder ? "Vocoding, and then refining …" : "Getting ready …");
  try {
    await wake(found.sample_rate);
    await own.start(found.vocoder ? "api/vocode" : "api/play");
    const before = found.vocoder ? [] : [sound.samples];
    if (!found.vocoder) {
      // the last second leads in, so that one hears where it goes on
      player = await openPlayer(own.rate, own.hold, ({ over }) => { if (over && clip === own) finish(); });
      player.feed(floats(sound.samples.slice(-RECALL_SECONDS * own.rate)));
      say("Playing: the end of the recording, then what follows.");
    }
    let drawnAt = 0;
    await own.read((samples) => {
      if (clip !== own) return;
      if (!found.vocoder) player.feed(floats(samples));
      result = { samples: joined([...before, ...own.parts]), rate: own.rate, second: found.vocoder ? Infinity : sound.samples.length };
      if (performance.now() - drawnAt > 120) { drawnAt = performance.now(); drawSide(1); }
    });
    if (clip !== own) return;
    drawSide(1);
    if (!own.length) throw new Error("the studio made no sound of this recording; its terminal says more");
    if (found.vocoder) finish(); else player.end();
  } catch (error) { if (clip === own) { finish(); say(error.message, true); } }
}

function finish() {
  clip = null;
  go.textContent = modelNamed(model.value)?.vocoder ? "Vocode" : "Continue";
  drawSide(1);
  enable();
  say(result ? "Done." : "Ready.");
}

function stop() {
  clip?.stop();
  player?.stop();
  finish();
}

function drawSide(index) {
  const of = index ? result : sound, side = sides[index];
  if (!side.wave.clientWidth) return;
  const longest = Math.max(sound?.samples.length ?? 0, result?.samples.length ?? 0);
  drawClip(side.wave, side.spectrum, of?.samples ?? new Int16Array(0), longest, of?.second);
  if (index) side.facts.textContent = result ? `${clock(result.samples.length / result.rate)}${result.second < Infinity ? "; the new part in another colour" : ""}` : "";
  if (index && sound) drawClip(sides[0].wave, sides[0].spectrum, sound.samples, longest);
}

async function hear(index) {
  chosen = index;
  if (together) together.choose(index);
  else {
    const clips = [sound.samples, ...(result ? [result.samples] : [])];
    together = await playTogether(clips, sound.rate, Math.min(index, clips.length - 1), () => { together = null; mark(); });
  }
  mark();
}

function mark() {
  sides.forEach(({ tag }, index) => { const on = Boolean(together) && index === chosen; tag.classList.toggle("heard", on); tag.setAttribute("aria-pressed", on); });
  both.textContent = together ? "Stop" : "Play both";
}

function byKey(event) {
  if (!together || event.ctrlKey || event.metaKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) || !result) return;
  const index = { a: 0, b: 1, x: 1 - chosen }[event.key.toLowerCase()];
  if (index !== undefined) hear(index);
}

async function toggleRecording() {
  if (recorder) return recorder.stop();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      const kind = recorder.mimeType.includes("mp4") ? "m4a" : "webm";
      recorder = null;
      record.textContent = "Record";
      receive(new File(parts, `recording.${kind}`));
    };
    recorder.start();
    setTimeout(() => recorder?.stop(), LONGEST_RECORDING);
    record.textContent = "Stop recording";
    say("Recording …");
  } catch { say("The browser gave no microphone.", true); }
}

function enable() {
  go.disabled = !sound && !clip;
  both.disabled = !sound || Boolean(clip);
  save.disabled = !result || Boolean(clip);
  sides[0].tag.disabled = both.disabled;
  sides[1].tag.disabled = !result || Boolean(clip);
}

function say(text, failed = false) { status.textContent = text; status.classList.toggle("error", failed); }

export function leave() { if (clip) stop(); together?.stop(); }
