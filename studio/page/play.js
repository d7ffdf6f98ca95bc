// The page Play: sound while it is generated, steered while it sounds.

import { ClipStream, flac, KEPT_SECONDS, wav } from "./clip.js";
import { $, clock, download, h } from "./dom.js";
import { describe, fillModels, modelNamed, temperatures } from "./models.js";
import { floats, openPlayer } from "./player.js";
import { onState, postJson } from "./server.js";
import { RunningPicture } from "./spectrum.js";

const STEER_MILLISECONDS = 60;

let picture, clip = null, player = null, playing = false, heard = 0, timer = 0, latest = {}, commands = 0;

const topK = () => ($("play-top-k").value === "0" ? 0 : 2 ** $("play-top-k").value);

function sampling() {
  const model = modelNamed($("play-model").value), ranks = model?.ranks;
  return {
    ...temperatures(model, Number($("play-temperature").value), Number($("play-quiet").value)),
    top_p: ranks ? Number($("play-top-p").value) : 1,
    top_k: ranks ? topK() : 0,
    speakers: [...$("play-speakers").querySelectorAll("input")].map((input) => Number(input.value)),
  };
}

function settings() {
  const length = $("play-length").value;
  return {
    ...sampling(),
    model: $("play-model").value,
    engine: $("play-engine").value,
    precision: $("play-precision").value,
    seed: Math.max(0, Math.floor(Number($("play-seed").value) || 0)),
    seconds: length ? Number(length) : null,
  };
}

export function setUpPlay() {
  picture = new RunningPicture($("play-wave"), $("play-spectrum"));
  fillModels($("play-model"), (model) => !model.vocoder);
  $("play-model").addEventListener("change", showModel);
  for (const id of ["play-temperature", "play-quiet", "play-top-p", "play-top-k"]) $(id).addEventListener("input", steer);
  $("play-speakers").addEventListener("input", steer);
  $("play-form").addEventListener("change", () => { if (!playing) showCommand(settings()); });
  $("play-form").addEventListener("submit", (event) => { event.preventDefault(); if (!playing) start(); });
  $("play-dice").addEventListener("click", () => {
    $("play-seed").value = Math.floor(Math.random() * 1_000_000);
    if (!playing) showCommand(settings());
  });
  $("play-button").addEventListener("click", () => (playing ? stop() : start()));
  $("play-wav").addEventListener("click", () => download(wav(clip.samples, clip.rate), fileName("wav")));
  $("play-flac").addEventListener("click", saveFlac);
  $("play-copy").addEventListener("click", copy);
  onState(showState);
  showNumbers();
}

export const leavePlay = () => { if (playing) stop(); };

function showModel() {
  const model = modelNamed($("play-model").value);
  $("play-facts").textContent = describe(model);
  $("play-button").disabled = !model;
  $("play-ranks").hidden = !model?.ranks;
  const speakers = model?.speakers ?? [];
  $("play-speakers").hidden = !speakers.length;
  if ($("play-speakers").dataset.of !== model?.name) {
    $("play-speakers").dataset.of = model?.name ?? "";
    $("play-temperature").value = model?.temperature ?? 1;
    $("play-quiet").value = model?.quiet_temperature ?? model?.temperature ?? 1;
    $("play-speakers").replaceChildren(h("legend", {}, "Speakers"), ...speakers.map(speakerSlider));
  }
  showNumbers();
  if (model && !playing) showCommand(settings());
}

function speakerSlider(name, index) {
  const input = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: index ? 0 : 1 });
  return h("label", { class: "field" }, name, input);
}

function showNumbers() {
  const shown = { "play-temperature": Number($("play-temperature").value).toFixed(2), "play-quiet": Number($("play-quiet").value).toFixed(2), "play-top-p": Number($("play-top-p").value).toFixed(2), "play-top-k": topK() || "all" };
  for (const [id, text] of Object.entries(shown)) { $(`${id}-out`).textContent = text; $(id).setAttribute("aria-valuetext", text); }
}

async function start() {
  const wanted = settings();
  playing = true;
  heard = 0;
  latest = {};
  button("Stop", true);
  say("Getting ready …");
  for (const id of ["play-wav", "play-flac"]) $(id).disabled = true;
  for (const id of ["speed", "buffer", "underruns", "first", "heard"]) $(`play-${id}`).textContent = "–";
  const own = (clip = new ClipStream(wanted));
  window.studioClip = own; // what the tests of the page look at
  try {
    await own.start();
    if (clip !== own || !playing) return own.stop();
    player = await openPlayer(own.rate, own.hold, (state) => { if (clip === own) onPlayer(state); });
    picture.clear(own.rate);
    showCommand(wanted);
    requestAnimationFrame(draw);
    await own.read((samples) => {
      own.firstPart ??= performance.now();
      player.feed(floats(samples));
    });
    own.ended = performance.now();
    if (clip === own) player.end();
    if (clip === own && !own.length) finish("There was nothing to hear.");
  } catch (error) {
    if (clip === own) { player?.stop(); finish(error.message, true); }
  }
}

function stop() {
  clip?.stop();
  player?.stop();
  finish("Stopped.");
}

function finish(text, failed = false) {
  playing = false;
  button("Play", false);
  say(text, failed);
  const any = Boolean(clip?.length);
  for (const id of ["play-wav", "play-flac"]) $(id).disabled = !any;
  if (any) showCommand({ ...clip.settings, seconds: clip.seconds });
}

function onPlayer({ played, held, underruns, over }) {
  if (played > 0 && clip.firstSound === undefined) {
    clip.firstSound = performance.now();
    $("play-first").textContent = `${((clip.firstSound - clip.asked) / 1000).toFixed(2)} s`;
    say("Playing.");
  }
  heard = played;
  clip.underruns = underruns;
  $("play-heard").textContent = clock(played / clip.rate);
  $("play-buffer").textContent = `${Math.round((1000 * held) / clip.rate)} ms`;
  $("play-underruns").textContent = underruns;
  if (over && playing) finish("Done.");
}

function draw() {
  if (!clip?.rate) return;
  picture.advance(clip.parts, heard, clip.dropped);
  if (playing || heard - picture.drawn > 0) { if (playing) requestAnimationFrame(draw); }
}

function steer() {
  showNumbers();
  if (!playing) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    const own = clip;
    own.steer(sampling()).then(() => { if (own === clip) showCommand(own.settings); });
  }, STEER_MILLISECONDS);
}

function showState({ jobs }) {
  const job = jobs.find((one) => one.job === clip?.job);
  if (!job || !playing) return;
  if (job.speed) {
    $("play-speed").textContent = `${job.speed.toFixed(1)} ×`;
    player?.hold(job.buffer);
    // what is slower than real time is held back first, so that it has no gaps
    if (!heard && job.speed < 1 && job.state === "playing") say(`Slower than real time, so sound begins in about ${Math.max(1, Math.ceil((job.buffer - job.made) / job.speed))} s.`);
  }
  const { state, place, note } = job;
  if (state === latest.state && place === latest.place && note === latest.note) return;
  if (state === "loading" && note) say(`${note[0].toUpperCase()}${note.slice(1)} …`);
  else if (state === "waiting" && place) say(`Others are being served: you are number ${place} in the queue.`);
  else if (latest.state === "waiting" && state === "playing") say(heard ? "Playing." : "Getting ready …");
  latest = { state, place, note };
}

async function showCommand(wanted) {
  const own = ++commands;
  try {
    const { command } = await postJson("api/command", { client: "command", job: "command", ...wanted });
    if (own !== commands) return; // a later one was asked for meanwhile
    $("play-command").textContent = command;
    const changed = clip && clip.changed !== null && playing === (wanted === clip.settings) ? clip.changed : null;
    $("play-command-note").textContent = changed !== null
      ? `You changed settings ${clock(changed)} into this clip, so the command gives it only up to there. Saving keeps it as you heard it.`
      : wanted.seconds === null ? `Endless: stop it with Ctrl-C. This page keeps the last ${KEPT_SECONDS / 60} minutes to save.`
      : clip?.dropped && !playing ? `Saving keeps the last ${clock(clip.length / clip.rate)}; the command gives the whole clip.` : "";
  } catch (error) {
    if (own !== commands) return;
    $("play-command").textContent = "";
    $("play-command-note").textContent = error.message;
  }
}

async function saveFlac() {
  try { download(await flac(clip.samples, clip.rate), fileName("flac")); } catch (error) { say(error.message, true); }
}

async function copy() {
  const text = $("play-command").textContent;
  try { await navigator.clipboard.writeText(text); } catch { getSelection().selectAllChildren($("play-command")); document.execCommand("copy"); }
  $("play-copy").textContent = "Copied";
  setTimeout(() => { $("play-copy").textContent = "Copy"; }, 1_500);
}

const fileName = (suffix) => `${clip.settings.model.replace(/^wavenet_|\.(pth|safetensors)$/g, "")}-seed${clip.settings.seed}.${suffix}`;

function button(text, on) {
  $("play-button").firstElementChild.textContent = text;
  $("play-button").classList.toggle("on", on);
}

function say(text, failed = false) {
  $("play-status").textContent = text;
  $("play-status").classList.toggle("error", failed);
}
