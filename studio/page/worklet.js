// Plays samples as they come: holds back until enough are there, and counts when it runs empty.

class Ring extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.hold = options.processorOptions.hold; // samples
    this.parts = [];
    this.offset = 0;
    this.held = 0;
    this.played = 0;
    this.underruns = 0;
    this.running = false;
    this.ended = false;
    this.told = 0;
    this.port.onmessage = ({ data }) => {
      if (data.samples) {
        this.parts.push(data.samples);
        this.held += data.samples.length;
      }
      if (data.hold !== undefined) this.hold = data.hold;
      if (data.ended) this.ended = true;
      if (data.stop) { this.parts = []; this.held = 0; this.ended = true; }
    };
  }

  process(_inputs, [[channel]]) {
    if (!this.running && this.held > 0 && (this.held >= this.hold || this.ended)) this.running = true;
    let written = 0;
    while (this.running && written < channel.length && this.parts.length) {
      const part = this.parts[0];
      const count = Math.min(channel.length - written, part.length - this.offset);
      channel.set(part.subarray(this.offset, this.offset + count), written);
      written += count;
      this.offset += count;
      if (this.offset === part.length) { this.parts.shift(); this.offset = 0; }
    }
    this.held -= written;
    this.played += written;
    const empty = this.running && written < channel.length;
    if (empty && !this.ended) { this.underruns += 1; this.running = false; }
    const over = this.ended && this.held === 0;
    if (this.played - this.told >= 256 || empty || over) {
      this.told = this.played;
      this.port.postMessage({ played: this.played, held: this.held, underruns: this.underruns, over });
    }
    return !over;
  }
}

registerProcessor("ring", Ring);
