// Players of samples that come in parts: an audio worklet, or scheduled buffers where a page may not have one.

export const HOLD_SECONDS = 0.15;

let context = null;

// Contexts are few, and resample by themselves, so there is one at the rate of the last clip.
async function contextAt(rate) {
  if (context && context.sampleRate !== rate) { await context.close(); context = null; }
  context ??= new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
  if (context.state === "suspended") await context.resume();
  if (context.audioWorklet && !context.ringLoaded) {
    await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    context.ringLoaded = true;
  }
  return context;
}

// Wakes the sound device, as browsers allow only while a button is pressed.
export const wake = (rate) => contextAt(rate).catch(() => {});

// Returns a player with feed(Float32Array), end(), stop() and hold(seconds); onstate gets played, held, underruns, over.
export async function openPlayer(rate, holdSeconds, onstate) {
  const open = await contextAt(rate);
  return open.audioWorklet ? ringPlayer(open, rate, holdSeconds, onstate) : scheduledPlayer(open, rate, holdSeconds, onstate);
}

function ringPlayer(open, rate, holdSeconds, onstate) {
  const options = { numberOfInputs: 0, outputChannelCount: [1], processorOptions: { hold: Math.round(holdSeconds * rate) } };
  const node = new AudioWorkletNode(open, "ring", options);
  node.connect(open.destination);
  node.port.onmessage = ({ data }) => { if (data.over) node.disconnect(); onstate(data); };
  return {
    feed: (samples) => node.port.postMessage({ samples }, [samples.buffer]),
    end: () => node.port.postMessage({ ended: true }),
    stop: () => { node.port.postMessage({ stop: true }); node.disconnect(); },
    hold: (seconds) => node.port.postMessage({ hold: Math.round(seconds * rate) }),
  };
}

// Over plain HTTP from another machine, browsers offer no worklets.
function scheduledPlayer(open, rate, holdSeconds, onstate) {
  let waiting = [], waitingLength = 0, at = 0, fed = 0, underruns = 0, ended = false, sources = [];
  const release = () => {
    if (!waiting.length) return;
    if (at < open.currentTime) { if (fed > 0) underruns += 1; at = open.currentTime + 0.02; }
    for (const samples of waiting) {
      const buffer = open.createBuffer(1, samples.length, rate);
      buffer.copyToChannel(samples, 0);
      const source = new AudioBufferSourceNode(open, { buffer });
      source.connect(open.destination);
      source.start(at);
      sources.push(source);
      at += buffer.duration;
      fed += samples.length;
    }
    waiting = []; waitingLength = 0;
  };
  const timer = setInterval(() => {
    const held = Math.max(0, Math.round((at - open.currentTime) * rate));
    const over = ended && held === 0;
    onstate({ played: Math.max(0, fed - held), held, underruns, over });
    if (over) clearInterval(timer);
  }, 30);
  return {
    feed: (samples) => {
      waiting.push(samples);
      waitingLength += samples.length;
      if (at > open.currentTime || waitingLength >= holdSeconds * rate) release();
    },
    end: () => { ended = true; release(); },
    stop: () => { ended = true; clearInterval(timer); for (const source of sources) source.stop(); },
    hold: (seconds) => { holdSeconds = seconds; },
  };
}

export const floats = (samples) => Float32Array.from(samples, (sample) => sample / 32768);

// Plays whole clips; several share one position and `choose` says which is heard.
export async function playTogether(clips, rate, chosen, onend) {
  const open = await contextAt(rate);
  const start = open.currentTime + 0.03;
  const longest = Math.max(...clips.map((clip) => clip.length));
  const parts = clips.map((clip, index) => {
    const buffer = open.createBuffer(1, Math.max(1, clip.length), rate);
    buffer.copyToChannel(floats(clip), 0);
    const source = new AudioBufferSourceNode(open, { buffer });
    const gain = new GainNode(open, { gain: index === chosen ? 1 : 0 });
    source.connect(gain).connect(open.destination);
    source.start(start);
    return { source, gain };
  });
  let over = false;
  const finish = () => { if (over) return; over = true; clearTimeout(timer); onend(); };
  const timer = setTimeout(finish, (longest / rate + 0.1) * 1000);
  return {
    choose: (index) => parts.forEach(({ gain }, at) => gain.gain.setTargetAtTime(at === index ? 1 : 0, open.currentTime, 0.008)),
    stop: () => { for (const { source } of parts) source.stop(); finish(); },
    get position() { return Math.max(0, Math.round((open.currentTime - start) * rate)); },
  };
}
