// The exact binomial test of votes against a fair coin.

// Probability of a tally at least as uneven as this one, if both sides were equal.
export function twoSided(wins, count) {
  if (!count) return 1;
  const logs = [0];
  for (let n = 1; n <= count; n++) logs.push(logs[n - 1] + Math.log(n));
  const chance = (k) => Math.exp(logs[count] - logs[k] - logs[count - k] - count * Math.LN2);
  const own = chance(wins) * (1 + 1e-7); // equal chances differ by rounding
  let sum = 0;
  for (let k = 0; k <= count; k++) if (chance(k) <= own) sum += chance(k);
  return Math.min(1, sum);
}
