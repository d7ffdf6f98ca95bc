// Arithmetic of dilated stacks, the same as the program's own; a test holds both equal.

// `repeats` cycles of the dilations 1, base, base^2, ... with `count` dilations a cycle.
export const dilationCycle = (count, repeats, base = 2) =>
  Array.from({ length: count * repeats }, (_, index) => base ** (index % count));

// The extent along one axis that one output sees.
export const receptiveField = (kernel, dilations) => 1 + (kernel - 1) * dilations.reduce((sum, dilation) => sum + dilation, 0);

// How many paths lead from each input of the field to the output, the oldest input first; 0 is a hole of the grid.
export function paths(kernel, dilations) {
  let counts = new Float64Array([1]);
  for (const dilation of dilations) {
    const next = new Float64Array(counts.length + (kernel - 1) * dilation);
    for (let tap = 0; tap < kernel; tap++) counts.forEach((count, at) => { next[at + tap * dilation] += count; });
    counts = next;
  }
  return counts;
}

// Which inputs of the field the output depends on, the oldest first.
export const reached = (kernel, dilations) => Array.from(paths(kernel, dilations), (count) => count > 0);

// Share of the inputs of the field that no path reaches, along one axis or in a square of two.
export function holes(kernel, dilations, dimensions) {
  const found = reached(kernel, dilations);
  return 1 - (found.filter(Boolean).length / found.length) ** dimensions;
}

// The nodes that an output depends on: for each layer, the input first, a Set of places; the output is in the last.
export function dependencies(kernel, dilations, place, centred = false) {
  const layers = [new Set([place])];
  for (let layer = dilations.length - 1; layer >= 0; layer--) {
    const below = new Set();
    for (const at of layers[0]) {
      for (let tap = 0; tap < kernel; tap++) below.add(at - tap * dilations[layer] + (centred ? ((kernel - 1) * dilations[layer]) / 2 : 0));
    }
    layers.unshift(below);
  }
  return layers;
}

// Widths of the program's presets.
export const WIDTHS = {
  tiny: { residual: 24, dilation: 24, skip: 64, codes: 256 },
  small: { residual: 32, dilation: 32, skip: 128, codes: 256 },
  base: { residual: 64, dilation: 64, skip: 256, codes: 256 },
};

// Of the tables that read a linear prediction: for its value, the size of the residual, and the last innovation.
const PREDICTION_ROWS = 256 + 64 + 64;

// Parameters of a WaveNet with these dilations: fronts, gated blocks, skips, and two layers onto the codes.
export function waveNetParameters(kernel, dilations, { residual, dilation, skip, codes }) {
  const front = kernel * codes * residual + residual + PREDICTION_ROWS * residual;
  const gate = kernel * residual * 2 * dilation + 2 * dilation;
  const skips = dilation * skip + skip;
  const carried = dilation * residual + residual; // the last block hands nothing on
  const output = skip * skip + skip + skip * codes + codes;
  return front + dilations.length * (gate + skips) + (dilations.length - 1) * carried + output;
}

// Parameters of a stack of plain convolutions in two dimensions, of equal width.
export const stackParameters = (kernel, dilations, channels) => dilations.length * (kernel ** 2 * channels ** 2 + channels);
