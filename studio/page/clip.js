// Clips: asked of the studio as a stream of 16-bit samples, kept, and saved.

import { client, newName, post, send, query } from "./server.js";

export const KEPT_SECONDS = 300; // of an endless clip: 10 MB at 16 kHz

// Asks for a clip; calls onpart with each part, an Int16Array, and returns when the last has come. Only the newest
// samples are kept, so that an endless clip does not fill the memory.
export class ClipStream {
  constructor(settings, keptSeconds = KEPT_SECONDS) {
    this.keptSeconds = keptSeconds;
    this.dropped = 0; // samples that came before those that are kept
    this.job = newName();
    this.settings = settings;
    this.parts = [];
    this.length = 0;
    this.rate = 0;
    this.changed = null; // seconds at which the settings were first changed
    this.abort = new AbortController();
  }

  async start(path = "api/play") {
    this.asked = performance.now();
    const response = await post(path, { client, job: this.job, ...this.settings }, this.abort.signal);
    this.rate = Number(response.headers.get("x-sample-rate"));
    this.hold = Number(response.headers.get("x-buffer-seconds"));
    this.engine = decodeURIComponent(response.headers.get("x-engine") || "");
    this.notes = JSON.parse(decodeURIComponent(response.headers.get("x-notes") || "%5B%5D"));
    this.reader = response.body.getReader();
    return this;
  }

  async read(onpart) {
    let odd = null; // a byte whose other half has not come yet
    try {
      for (;;) {
        const { done, value } = await this.reader.read();
        if (done) break;
        let bytes = value;
        if (odd !== null) { bytes = new Uint8Array(value.length + 1); bytes[0] = odd; bytes.set(value, 1); }
        odd = bytes.length % 2 ? bytes[bytes.length - 1] : null;
        const even = bytes.slice(0, bytes.length - (bytes.length % 2));
        if (!even.length) continue;
        const samples = new Int16Array(even.buffer);
        this.parts.push(samples);
        this.length += samples.length;
        this.forget();
        onpart?.(samples);
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }

  steer(settings) {
    return post("api/steer", { client, job: this.job, ...settings })
      .then((response) => response.json())
      .then(({ from_sample: from }) => { this.changed ??= from / this.rate; })
      .catch(() => {}); // it has just ended
  }

  // Drops whole parts from the start, so that at least `keptSeconds` stay.
  forget() {
    const kept = this.keptSeconds * this.rate;
    while (this.length - this.parts[0].length >= kept) {
      this.length -= this.parts[0].length;
      this.dropped += this.parts.shift().length;
    }
  }

  stop() { this.abort.abort(); }

  // Seconds that have come, with those that were dropped.
  get seconds() { return (this.dropped + this.length) / this.rate; }

  get samples() { return joined(this.parts); }
}

export function joined(parts) {
  const samples = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { samples.set(part, at); at += part.length; }
  return samples;
}

export function wav(samples, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF"); header.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
  header.setUint32(24, rate, true); header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true); header.setUint16(34, 16, true);
  text(36, "data"); header.setUint32(40, 2 * samples.length, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

export const flac = async (samples, rate) => (await send(`api/flac?${query({ rate })}`, new Blob([samples]))).blob();
