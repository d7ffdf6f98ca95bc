// The page: its tabs, and the connection to the studio.

import { $ } from "./dom.js";
import { loadModels } from "./models.js";
import { leavePlay, setUpPlay } from "./play.js";
import { listen, onState } from "./server.js";

const TABS = ["play", "continue", "compare", "train", "segment", "see"];
const LATER = { continue: "./continue.js", compare: "./compare.js", train: "./train.js", segment: "./segment.js", see: "./see.js" };
const pages = { play: { leave: leavePlay } };

async function show(name, focus = false) {
  for (const tab of TABS) {
    const chosen = tab === name;
    $(`tab-${tab}`).setAttribute("aria-selected", chosen);
    $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
    if (!chosen && !$(tab).hidden) pages[tab]?.leave?.();
    $(tab).hidden = !chosen;
  }
  requestAnimationFrame(() => $(`tab-${name}`).scrollIntoView({ block: "nearest", inline: "nearest" })); // not before the first layout
  if (focus) $(`tab-${name}`).focus();
  document.title = name === "play" ? "wavegen studio" : `${$(`tab-${name}`).textContent} – wavegen studio`;
  if (location.hash.slice(1) !== name) history.replaceState(null, "", `#${name}`);
  if (LATER[name] && !pages[name]) {
    pages[name] = await import(LATER[name]);
    pages[name].setUp($(name));
  }
  pages[name]?.enter?.();
}

const named = () => (TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "play");

for (const [index, name] of TABS.entries()) {
  $(`tab-${name}`).addEventListener("click", () => show(name));
  $(`tab-${name}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? TABS.length - 1 : step ? (index + step + TABS.length) % TABS.length : null;
    if (to === null) return;
    event.preventDefault();
    show(TABS[to], true);
  });
}
addEventListener("hashchange", () => show(named()));

const complain = (lines) => { if (lines.length) console.warn(lines.join("\n")); };

setUpPlay();
show(named());
loadModels().then(complain).catch(() => {});
onState(({ visitors, running, waiting }) => {
  const others = visitors > 1 ? `${visitors} visitors` : "";
  $("here").textContent = others && running + waiting ? `${others}, ${running} playing${waiting ? `, ${waiting} waiting` : ""}` : others;
});
listen(
  () => { $("stopped").hidden = false; },
  () => { $("stopped").hidden = true; loadModels().then(complain).catch(() => {}); },
);
addEventListener("pagehide", leavePlay);
document.documentElement.dataset.ready = "yes";
