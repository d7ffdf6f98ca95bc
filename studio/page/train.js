// The page Train: a folder, what there is to know of it, a run, its curve, and how it sounds.

import { $, clock, colour, fitted, h } from "./dom.js";
import { loadModels } from "./models.js";
import { getJson, postJson } from "./server.js";

const INTERVAL = 2_000;

let path, sets, preset, minutes, name, status, report, list, detail, title, chart, verdict, previews, log, startButton, stopButton, resumeButton;
let timer = 0, chosen = null, shown = null, heard = "", visible = false, bits = null;

export function setUp(section) {
  sets = h("datalist", { id: "train-sets" });
  path = h("input", { type: "text", id: "train-path", list: "train-sets", placeholder: "recordings/", autocomplete: "off", spellcheck: "false" });
  preset = h("select", { id: "train-preset" }, ...["auto", "tiny", "small", "base", "large"].map((one) => new Option(one)));
  minutes = h("input", { type: "number", id: "train-minutes", min: 0.1, step: "any", value: 30 });
  name = h("input", { type: "text", id: "train-name", placeholder: "as the folder", autocomplete: "off", spellcheck: "false" });
  startButton = h("button", { class: "primary", id: "train-start", type: "submit" }, "Train");
  const look = h("button", { type: "button", id: "train-inspect", onclick: inspect }, "Inspect");
  status = h("p", { class: "hint", role: "status", id: "train-status" });
  report = h("div", { class: "card panel", hidden: true, id: "train-report" });
  list = h("div", { class: "runs", role: "group", "aria-label": "Runs" });
  title = h("h2", {});
  stopButton = h("button", { id: "train-stop", hidden: true, onclick: stop }, "Stop");
  resumeButton = h("button", { id: "train-resume", hidden: true, onclick: resume }, "Resume");
  chart = h("canvas", { class: "chart", role: "img", id: "train-chart", "aria-label": "No curve yet" });
  verdict = h("p", { class: "hint", id: "train-verdict" });
  previews = h("ul", { class: "previews" });
  log = h("pre", { class: "log", tabindex: 0, "aria-label": "What the training says" });
  detail = h("div", { class: "card stack", hidden: true },
    h("div", { class: "row" }, title, stopButton, resumeButton),
    h("div", { class: "panel" }, h("h3", {}, "Bits per sample on held-out clips"), chart, verdict),
    h("div", { class: "panel", id: "train-previews", hidden: true }, h("h3", {}, "How it sounds"), previews),
    h("details", {}, h("summary", {}, "What the training says"), log));
  section.append(
    h("div", { class: "intro" }, h("h2", {}, "Train a voice"), h("p", {}, "The same as ", h("b", {}, "wavegen train"), ": runs, curves and checkpoints are the files of the command line, and each can go on where the other stopped.")),
    h("div", { class: "columns" },
      h("div", { class: "stack" },
        h("form", { class: "card controls", "aria-label": "A new run", onsubmit: (event) => { event.preventDefault(); start(); } },
          h("label", { class: "field" }, "Folder of recordings", path, sets),
          h("p", { class: "hint" }, "A path on this machine, or a name in the data folder. Empty: built-in plucked strings."),
          h("div", { class: "pair" }, h("label", { class: "field" }, "Preset", preset), h("label", { class: "field" }, "Minutes", minutes)),
          h("label", { class: "field" }, "Name of the run", name),
          h("div", { class: "row" }, startButton, look), status),
        h("div", { class: "card panel" }, h("h3", {}, "Runs"), list)),
      h("div", { class: "stage" }, report, detail, h("div", { class: "card empty", id: "train-empty" }, h("h2", {}, "No run yet"), h("p", {}, "Name a folder and press Train. Half an hour on two cores gives a voice that babbles in the manner of your recordings.")))));
  new ResizeObserver(() => drawChart()).observe(chart);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);
}

export async function enter() {
  visible = true;
  getJson("api/training/sets").then((found) => sets.replaceChildren(...found.sets.map((one) => new Option(one)))).catch(() => {});
  await refresh();
}

export function leave() { visible = false; clearTimeout(timer); }

async function refresh() {
  clearTimeout(timer);
  try {
    const { runs, training } = await getJson("api/training");
    chosen ??= training.name ?? runs[0]?.name ?? null;
    if (!runs.some((run) => run.name === chosen) && chosen !== training.name) chosen = runs[0]?.name ?? null;
    showRuns(runs, training);
    startButton.disabled = training.running;
    await showRun(training, runs.some((run) => run.name === chosen));
  } catch (error) { say(error.message, true); }
  if (visible) timer = setTimeout(refresh, INTERVAL);
}

function showRuns(runs, training) {
  const known = runs.some((run) => run.name === training.name);
  const all = training.running && !known ? [{ name: training.name, bits: null, minutes: null, training: true }, ...runs] : runs;
  list.replaceChildren(...all.map((run) => {
    const facts = [run.bits === null ? "no bits yet" : `${run.bits.toFixed(3)} bits`, ...(run.minutes === null ? [] : [clock(60 * run.minutes)])].join(" · ");
    return h("button", { "aria-pressed": String(run.name === chosen), onclick: () => { chosen = run.name; heard = ""; refresh(); } }, h("span", {}, run.name), run.training ? h("span", { class: "tag live" }, "training") : "", h("small", {}, facts));
  }));
  if (!all.length) list.replaceChildren(h("p", { class: "hint" }, "None yet."));
  $("train-empty").hidden = Boolean(chosen);
}

async function showRun(training, known) {
  if (!chosen) { detail.hidden = true; return; }
  const own = training.name === chosen;
  const found = known ? await getJson(`api/training/runs/${encodeURIComponent(chosen)}`) : { name: chosen, rows: [], baseline: null, previews: [], training: own && training.running, resumable: false };
  shown = found;
  detail.hidden = false;
  title.textContent = chosen;
  stopButton.hidden = !(own && training.running);
  stopButton.disabled = training.stopping;
  stopButton.textContent = training.stopping ? "Stopping …" : "Stop";
  resumeButton.hidden = found.training || !found.resumable || training.running;
  const last = found.rows.at(-1), lpc = found.baseline?.lpc;
  const best = Math.min(...found.rows.map((row) => row.validation));
  if (bits !== null && bits !== found.bits && !found.training) loadModels().catch(() => {});
  bits = found.bits ?? null;
  verdict.textContent = !last ? (own && training.running ? "The recordings are being read; the first figure comes after the first validation." : own && training.failed ? "The training failed; what it says is below." : "No figures yet.")
    : lpc === undefined ? `${best.toFixed(3)} bits after ${clock(last.seconds)}.`
    : best < lpc ? `${best.toFixed(3)} bits: ${(lpc - best).toFixed(2)} below linear prediction (LPC-24, ${lpc.toFixed(3)}), so it has learned something of its own.`
    : `${best.toFixed(3)} bits: still above linear prediction (LPC-24, ${lpc.toFixed(3)}), so expect noise.`;
  drawChart();
  log.parentElement.hidden = !own;
  if (own) { if (training.failed) log.parentElement.open = true; const end = log.scrollTop + log.clientHeight >= log.scrollHeight - 8; if (log.textContent !== training.log) { log.textContent = training.log; if (end) log.scrollTop = log.scrollHeight; } }
  showPreviews(found);
}

function showPreviews(found) {
  const newest = found.previews.slice(-6).reverse();
  const key = `${found.name} ${newest.map(({ index }) => index)}`;
  $("train-previews").hidden = !newest.length;
  if (key === heard) return; // or what sounds just now would stop
  heard = key;
  previews.replaceChildren(...newest.map(({ kind, step, index }) => {
    const label = kind === "real" ? "a real clip" : `step ${step.toLocaleString("en")}`;
    return h("li", {}, h("span", {}, label), h("audio", { controls: true, preload: "none", "aria-label": `Sound of ${label}`, src: `api/training/runs/${encodeURIComponent(found.name)}/previews/${index}` }));
  }));
}

// The curve of the held-out bits over minutes, above it the figure of linear prediction.
function drawChart() {
  if (!shown || !chart.clientWidth) return;
  const { context, width, height } = fitted(chart);
  context.clearRect(0, 0, width, height);
  const rows = shown.rows, lpc = shown.baseline?.lpc;
  chart.setAttribute("aria-label", rows.length ? `Curve of ${rows.length} validations, the last at ${rows.at(-1).validation.toFixed(3)} bits` : "No curve yet");
  if (!rows.length) return;
  const values = [...rows.map((row) => row.validation), ...(lpc ? [lpc] : [])];
  const low = Math.floor(Math.min(...values) * 4 - 0.4) / 4, high = Math.min(Math.max(...values) + 0.1, low + 4);
  const most = Math.max(rows.at(-1).seconds / 60, 1e-6);
  const left = 40, right = width - 12, top = 10, bottom = height - 30;
  const x = (seconds) => left + ((seconds / 60) / most) * (right - left), y = (value) => bottom - ((Math.min(value, high) - low) / (high - low)) * (bottom - top);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colour("soft");
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  const step = [0.1, 0.25, 0.5, 1].find((one) => (high - low) / one <= 6) ?? 2;
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    context.beginPath(); context.moveTo(left, y(value)); context.lineTo(right, y(value)); context.stroke();
    context.textAlign = "right"; context.fillText(value.toFixed(2), left - 7, y(value) + 4);
  }
  context.textAlign = "left"; context.fillText("0", left, height - 10);
  context.textAlign = "right"; context.fillText(`${most.toFixed(most < 10 ? 1 : 0)} min`, right, height - 10);
  if (lpc) {
    context.strokeStyle = colour("second"); context.setLineDash([6, 4]); context.lineWidth = 1.6;
    context.beginPath(); context.moveTo(left, y(lpc)); context.lineTo(right, y(lpc)); context.stroke(); context.setLineDash([]);
    context.fillStyle = colour("second"); context.fillText("LPC-24", right, y(lpc) - 6);
  }
  context.strokeStyle = context.fillStyle = colour("accent"); context.lineWidth = 2.2; context.lineJoin = "round";
  context.beginPath(); rows.forEach((row, index) => context[index ? "lineTo" : "moveTo"](x(row.seconds), y(row.validation))); context.stroke();
  const last = rows.at(-1);
  context.beginPath(); context.arc(x(last.seconds), y(last.validation), 4, 0, 7); context.fill();
}

async function start() {
  if (startButton.disabled) return;
  startButton.disabled = true;
  try {
    const found = await postJson("api/training/start", { path: path.value.trim(), name: name.value.trim(), preset: preset.value, minutes: Number(minutes.value) || 0 });
    chosen = found.name;
    say("");
    await refresh();
  } catch (error) { startButton.disabled = false; say(error.message, true); }
}

async function stop() {
  stopButton.disabled = true;
  try { await postJson("api/training/stop", {}); say("Stopping after this step; both checkpoints are kept."); await refresh(); } catch (error) { say(error.message, true); }
}

async function resume() {
  try { await postJson("api/training/resume", { name: chosen }); say(""); await refresh(); } catch (error) { say(error.message, true); }
}

async function inspect() {
  say("Looking at every file …");
  report.hidden = true;
  try {
    const found = await postJson("api/training/inspect", { path: path.value.trim() });
    say("");
    showReport(found);
  } catch (error) { say(error.message, true); }
}

function showReport(found) {
  const count = (values) => Object.entries(values).map(([key, many]) => `${key}${many > 1 ? ` (${many} files)` : ""}`).join(", ");
  const spread = (one, unit) => one && `${one.minimum.toFixed(1)} to ${one.maximum.toFixed(1)} ${unit}, median ${one.median.toFixed(1)}`;
  const corpus = found.corpus, trouble = [["clipped", found.clipped], ["narrow band", found.narrow], ["constant offset", found.offset], ["very short", found.short], ["silent", found.silent], ["damaged", found.damaged], ["unreadable", found.unreadable], ["twice the same", found.duplicates]].filter(([, files]) => files.length).map(([what, files]) => `${files.length} ${what}`);
  const facts = [
    ["Length", `${(found.hours * 60).toFixed(1)} minutes`], ["Sample rates", count(found.sample_rates)], ["Formats", count(found.formats)],
    ["Peak", spread(found.peak, "dBFS")], ["Level", spread(found.rms, "dBFS")],
    ["For training", corpus && `${corpus.training_clips} clips at ${corpus.sample_rate} Hz, ${corpus.validation_clips} held out`],
    ["To beat", corpus?.bits && `LPC-24: ${corpus.bits.lpc.toFixed(3)} bits per sample`],
    ["An epoch takes", Object.entries(found.seconds_per_epoch).map(([one, seconds]) => `${one} ${clock(seconds)}`).join(", ")],
    ["Look at", trouble.join(", ") || "nothing stands out"],
  ].filter(([, value]) => value);
  report.hidden = false;
  report.replaceChildren(
    h("h2", {}, "What inspect says"),
    h("table", {}, h("tbody", {}, ...facts.map(([what, value]) => h("tr", {}, h("th", { scope: "row" }, what), h("td", {}, value))))),
    ...(found.corpus_problem ? [h("p", { class: "error" }, found.corpus_problem)] : []),
    ...found.advice.map((line) => h("p", { class: "hint" }, line)));
}

function say(text, failed = false) { status.textContent = text; status.classList.toggle("error", failed); }
