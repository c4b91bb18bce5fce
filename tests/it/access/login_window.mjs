// Asks Chromium whether it would open its own login window for the requests of a page, and for an address that is opened.
// Usage: node login_window.mjs <base> <new folder for the profile> <JSON array of Authorization values, null for none>
// Chromium is driven by its DevTools protocol over a pipe, so that no package is needed.

import { spawn } from "node:child_process";

const [base, profile, authorizations] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4])];
const chromium = spawn(
  "chromium",
  [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", `--user-data-dir=${profile}`,
    "--host-resolver-rules=MAP lrs.example 127.0.0.1",
  ],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);
const watchdog = setTimeout(() => end(1), 60_000);

let lastId = 0;
let windows = 0;
const waiting = new Map();
const listeners = new Map();

function send(method, params = {}, sessionId = undefined) {
  const id = ++lastId;
  chromium.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

let buffered = "";
chromium.stdio[4].on("data", (bytes) => {
  buffered += bytes;
  const messages = buffered.split("\0");
  buffered = messages.pop();
  for (const text of messages) {
    const message = JSON.parse(text);
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    } else {
      listeners.get(message.method)?.(message.params);
    }
  }
});

function end(code) {
  clearTimeout(watchdog);
  chromium.once("exit", () => process.exit(code));
  chromium.kill("SIGKILL");
}

const { targetId } = await send("Target.createTarget", { url: "about:blank" });
const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
const command = (method, params) => send(method, params, sessionId);
listeners.set("Fetch.requestPaused", ({ requestId }) => command("Fetch.continueRequest", { requestId }));
listeners.set("Fetch.authRequired", ({ requestId }) => {
  windows += 1;
  command("Fetch.continueWithAuth", { requestId, authChallengeResponse: { response: "CancelAuth" } });
});
await command("Fetch.enable", { handleAuthRequests: true });
await command("Page.enable");

async function open(path) {
  const loaded = new Promise((resolve) => listeners.set("Page.loadEventFired", resolve));
  await command("Page.navigate", { url: base + path });
  await loaded;
}

await open("/docs/problems");
const answers = [];
for (const authorization of authorizations) {
  const before = windows;
  const expression = `(async () => {
    const authorization = ${JSON.stringify(authorization)};
    const answer = await fetch("/v1/me", authorization === null ? {} : { headers: { authorization } });
    return { code: (await answer.json()).code, challenge: answer.headers.get("www-authenticate") };
  })()`;
  const { result } = await command("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  answers.push({ ...result.value, windows: windows - before });
}
const before = windows;
await open("/v1/me");
console.log(JSON.stringify({ answers, windows_of_an_opened_address: windows - before }));
end(0);
