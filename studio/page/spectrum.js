// Waveforms and spectrograms on canvases, in the colours of matplotlib's magma, which are even to the eye.

const STOPS = [
  [0, 0, 4], [10, 8, 34], [29, 17, 71], [54, 16, 107], [81, 18, 124], [106, 28, 129], [131, 38, 129], [156, 46, 127], [183, 55, 121],
  [208, 65, 111], [231, 82, 99], [245, 107, 92], [252, 137, 97], [254, 167, 114], [254, 196, 136], [253, 226, 163], [252, 253, 191],
];
const COLOURS = Uint32Array.from({ length: 256 }, (_, value) => {
  const place = (value / 255) * (STOPS.length - 1), low = Math.min(STOPS.length - 2, Math.floor(place)), share = place - low;
  const [red, green, blue] = STOPS[low].map((from, channel) => Math.round(from + share * (STOPS[low + 1][channel] - from)));
  return (255 << 24) | (blue << 16) | (green << 8) | red;
});
const LOUD = -18, QUIET = -92; // decibels of a full-scale sine
export const POINTS = 512;

const window_ = Float32Array.from({ length: POINTS }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / POINTS));
const cosines = Float32Array.from({ length: POINTS / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / POINTS));
const sines = Float32Array.from({ length: POINTS / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / POINTS));
const reversed = Uint16Array.from({ length: POINTS }, (_, n) => {
  let bits = 0;
  for (let bit = 0, size = Math.log2(POINTS); bit < size; bit++) bits |= ((n >> bit) & 1) << (size - 1 - bit);
  return bits;
});
const real = new Float32Array(POINTS), imaginary = new Float32Array(POINTS);

// Decibels of the frequencies from 0 to half the rate, (POINTS / 2,), of samples around a place; outside there is silence.
export function decibels(samples, centre, out = new Float32Array(POINTS / 2)) {
  for (let n = 0; n < POINTS; n++) {
    const at = centre - POINTS / 2 + n;
    real[reversed[n]] = at >= 0 && at < samples.length ? (samples[at] / 32768) * window_[n] : 0;
    imaginary[n] = 0;
  }
  for (let size = 2; size <= POINTS; size *= 2) {
    const half = size / 2, step = POINTS / size;
    for (let start = 0; start < POINTS; start += size) {
      for (let k = 0; k < half; k++) {
        const a = start + k, b = a + half, c = cosines[k * step], s = sines[k * step];
        const re = real[b] * c - imaginary[b] * s, im = real[b] * s + imaginary[b] * c;
        real[b] = real[a] - re; imaginary[b] = imaginary[a] - im;
        real[a] += re; imaginary[a] += im;
      }
    }
  }
  for (let k = 0; k < POINTS / 2; k++) {
    const power = (real[k] ** 2 + imaginary[k] ** 2) / (POINTS / 4) ** 2;
    out[k] = 10 * Math.log10(power + 1e-12);
  }
  return out;
}

const shade = (level) => COLOURS[Math.max(0, Math.min(255, Math.round((255 * (level - QUIET)) / (LOUD - QUIET))))];

// Fills one column of pixels, the low frequencies at the bottom.
function paintColumn(pixels, width, x, levels, height) {
  for (let y = 0; y < height; y++) {
    const low = Math.floor(((height - 1 - y) * levels.length) / height);
    const high = Math.max(low + 1, Math.floor(((height - y) * levels.length) / height));
    let level = -200;
    for (let k = low; k < high; k++) level = Math.max(level, levels[k]);
    pixels[y * width + x] = shade(level);
  }
}

const sized = (canvas) => {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  return { context: canvas.getContext("2d"), width, height };
};

// A waveform and a spectrogram that scroll with what is heard.
export class RunningPicture {
  constructor(wave, spectrum) {
    this.wave = wave;
    this.spectrum = spectrum;
    this.forget(16_000); // the canvases are sized when something is drawn, as asking for their size lays out the page
  }

  forget(rate) {
    this.rate = rate;
    this.seconds = 5; // across the picture
    this.drawn = 0; // columns
    this.peak = 0.02;
    this.held = new Int16Array(0);
    this.from = 0; // place of held[0] in the clip
  }

  clear(rate) {
    this.forget(rate);
    for (const canvas of [this.wave, this.spectrum]) {
      const { context, width, height } = sized(canvas);
      context.clearRect(0, 0, width, height);
    }
  }

  // Takes all parts of the clip so far and the place that is heard, and draws what is new.
  advance(parts, heard, dropped = 0) {
    const { context, width, height } = sized(this.spectrum);
    const wave = sized(this.wave);
    const hop = (this.seconds * this.rate) / width;
    const until = Math.floor(heard / hop);
    const count = Math.min(until - this.drawn, width);
    if (count <= 0) return;
    const first = until - count;
    const begin = Math.max(0, Math.floor(first * hop) - POINTS);
    const samples = slice(parts, begin - dropped, Math.ceil(heard) + POINTS / 2 - dropped);
    for (const [canvas, drawing] of [[this.spectrum, context], [this.wave, wave.context]]) {
      drawing.globalCompositeOperation = "copy"; // or what is drawn would shine through where it moves
      drawing.drawImage(canvas, -count, 0);
      drawing.globalCompositeOperation = "source-over";
    }
    const image = context.createImageData(count, height);
    const pixels = new Uint32Array(image.data.buffer);
    const middle = wave.height / 2;
    wave.context.fillStyle = "#8fb0ff";
    for (let x = 0; x < count; x++) {
      const place = Math.floor((first + x) * hop) - begin;
      paintColumn(pixels, count, x, decibels(samples, place), height);
      const [low, high] = extremes(samples, place, Math.ceil(hop));
      const top = middle - high * middle * 0.95, bottom = middle - low * middle * 0.95;
      wave.context.fillRect(width - count + x, top, 1, Math.max(1, bottom - top));
    }
    context.putImageData(image, width - count, 0);
    this.drawn = until;
  }
}

function slice(parts, begin, end) {
  const found = new Int16Array(Math.max(0, end - begin));
  let at = 0;
  for (const part of parts) {
    const from = Math.max(begin, at), to = Math.min(end, at + part.length);
    if (to > from) found.set(part.subarray(from - at, to - at), from - begin);
    at += part.length;
    if (at >= end) break;
  }
  return found;
}

function extremes(samples, place, count) {
  let low = 0, high = 0;
  for (let at = place; at < place + count; at++) {
    const value = (samples[at] || 0) / 32768;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [-shown(-low), shown(high)];
}

// Quiet sound is drawn larger, as it is heard.
const shown = (level) => level ** 0.65;

// Draws a whole clip; `marks` are places at which a line is drawn, `second` the place from which the trace has another colour.
export function drawClip(wave, spectrum, samples, length = samples.length, second = Infinity) {
  const { context, width, height } = sized(spectrum);
  const line = sized(wave);
  const hop = Math.max(1, length) / width;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  line.context.clearRect(0, 0, width, line.height);
  const middle = line.height / 2;
  for (let x = 0; x < width; x++) {
    const place = Math.floor(x * hop);
    if (place >= samples.length) break;
    paintColumn(pixels, width, x, decibels(samples, Math.floor(place + hop / 2)), height);
    const [low, high] = extremes(samples, place, Math.ceil(hop));
    line.context.fillStyle = place >= second ? "#ffb184" : "#8fb0ff";
    const top = middle - high * middle * 0.95, bottom = middle - low * middle * 0.95;
    line.context.fillRect(x, top, 1, Math.max(1, bottom - top));
  }
  context.putImageData(image, 0, 0);
}

// The pair of canvases of a clip.
export function clipCanvases(document, label) {
  const screen = document.createElement("div");
  screen.className = "card screen small";
  const wave = document.createElement("canvas"), spectrum = document.createElement("canvas");
  wave.className = "wave";
  spectrum.className = "spectrum";
  for (const [canvas, what] of [[wave, "Waveform"], [spectrum, "Spectrogram"]]) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${what} of the ${label}`);
  }
  screen.append(wave, spectrum);
  return { screen, wave, spectrum };
}
