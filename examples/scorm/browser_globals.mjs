// What the player `scorm-again` needs from a browser: a synchronous XMLHttpRequest, and navigator.sendBeacon.
//
// A worker sends each synchronous request while this thread waits for it, as a browser does.

import { Worker } from 'node:worker_threads';

const worker = new Worker(
  `const { parentPort } = require('node:worker_threads');
   parentPort.on('message', async ({ url, method, headers, body, shared }) => {
     const state = new Int32Array(shared, 0, 2);
     let status = 0, text = '';
     try {
       const answer = await fetch(url, { method, headers, body });
       status = answer.status;
       text = await answer.text();
     } catch (error) {
       text = String(error);
     }
     const bytes = new TextEncoder().encode(text);
     new Uint8Array(shared, 12).set(bytes.subarray(0, shared.byteLength - 12));
     new Int32Array(shared, 8, 1)[0] = bytes.length;
     Atomics.store(state, 1, status);
     Atomics.store(state, 0, 1);
     Atomics.notify(state, 0);
   });`,
  { eval: true },
);
worker.unref();

globalThis.XMLHttpRequest = class {
  #request = { headers: {} };
  status = 0;
  responseText = '';

  open(method, url) {
    Object.assign(this.#request, { method, url });
  }

  setRequestHeader(name, value) {
    this.#request.headers[name] = value;
  }

  send(body) {
    const shared = new SharedArrayBuffer(1024 * 1024);
    const state = new Int32Array(shared, 0, 2);
    worker.postMessage({ ...this.#request, body, shared });
    if (Atomics.wait(state, 0, 0, 30_000) === 'timed-out') throw new Error('no answer within 30 seconds');
    this.status = Atomics.load(state, 1);
    const length = new Int32Array(shared, 8, 1)[0];
    this.responseText = new TextDecoder().decode(new Uint8Array(shared, 12, length).slice());
  }
};

// The answers to beacons, which a browser does not show to the page.
export const beacons = [];

// A browser sends no header of the page with a beacon. `headers` is for the tests that have no launch token.
export function installBeacons(headers = {}) {
  const sendBeacon = (url, body) => {
    beacons.push(body.text().then((text) => fetch(url, { method: 'POST', headers: { ...headers, 'Content-Type': body.type }, body: text })));
    return true;
  };
  Object.defineProperty(globalThis, 'navigator', { value: { sendBeacon }, configurable: true });
}

// Waits until all beacons are answered and returns the answers.
export async function settleBeacons() {
  return Promise.all(beacons.splice(0));
}
