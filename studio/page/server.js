// Requests to the studio, and what it tells while the page is open.

// Names need no secrecy, and crypto.randomUUID is missing where a page comes over plain HTTP from another machine.
const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
export const newName = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => letters[byte % 36]).join("");

export const client = newName();

export class Refused extends Error {}

async function checked(response) {
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refused(answer.error || `the studio answered ${response.status}`);
}

async function request(path, options) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof Refused || error.name === "AbortError") throw error;
    throw new Refused("the studio does not answer");
  }
}

export const get = (path) => request(path);
export const getJson = async (path) => (await get(path)).json();
export const post = (path, values, signal) =>
  request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values), signal });
export const postJson = async (path, values) => (await post(path, values)).json();
export const send = (path, body) => request(path, { method: "POST", body });

// Parts of a path or query.
export const query = (values) => new URLSearchParams(values).toString();

const listeners = new Set();
let instance = null;

// Calls `listener` with every state that the studio tells.
export const onState = (listener) => listeners.add(listener);

export function listen(onLost, onBack) {
  const events = new EventSource(`api/events?${query({ client })}`);
  let lost = false;
  events.onmessage = (event) => {
    const state = JSON.parse(event.data);
    const restarted = instance !== null && instance !== state.studio;
    instance = state.studio;
    if (lost || restarted) onBack(restarted);
    lost = false;
    for (const listener of listeners) listener(state);
  };
  events.onerror = () => {
    if (!lost) onLost();
    lost = true;
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(() => { events.close(); listen(onLost, onBack); }, 1_000);
    }
  };
}
