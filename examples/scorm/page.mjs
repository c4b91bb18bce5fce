// Opens player.html in headless Chromium twice, as a learner that suspends a package and resumes it. Started by run.sh.
//
// The first session has the learner's token and sends all commits with headers. The second one is launched, and its last
// commit is a beacon.
//
// Environment: ROLLBOOK_CLIENT_URL, ROLLBOOK_CLIENT_ADMIN_TOKEN, ROLLBOOK_CLIENT_LEARNER_TOKEN, ROLLBOOK_CLIENT_PAGE_PORT, CHROMIUM.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const base = process.env.ROLLBOOK_CLIENT_URL;
const port = Number(process.env.ROLLBOOK_CLIENT_PAGE_PORT);
const bearer = (token) => ({ Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' });
const admin = bearer(process.env.ROLLBOOK_CLIENT_ADMIN_TOKEN);
const learner = bearer(process.env.ROLLBOOK_CLIENT_LEARNER_TOKEN);
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript' };

let reported;
const server = createServer(async (request, response) => {
  const path = normalize(new URL(request.url, 'http://page').pathname);
  if (request.method === 'POST' && path === '/report') {
    let body = '';
    for await (const piece of request) body += piece;
    response.end();
    reported?.(JSON.parse(body));
    return;
  }
  try {
    const file = await readFile(join(folder, path));
    response.setHeader('Content-Type', types[path.slice(path.lastIndexOf('.'))] ?? 'text/plain');
    response.end(file);
  } catch {
    response.statusCode = 404;
    response.end();
  }
});
await new Promise((ready) => server.listen(port, '127.0.0.1', ready));

const content = { id: 'tiny-sco', title: 'A tiny package', type: 'item', content_type: 'scorm' };
const created = await fetch(`${base}/v1/contents/tiny-sco`, { method: 'PUT', headers: admin, body: JSON.stringify(content) });
assert.ok(created.ok, await created.text());

async function openPage(authorisation) {
  const profile = await mkdtemp(join(tmpdir(), 'rollbook-chromium-'));
  const query = new URLSearchParams({ url: `${base}/v1/scorm/tiny-sco`, ...authorisation });
  const options = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', `--user-data-dir=${profile}`,
    // Headless Chromium ends after it has loaded the page unless it can be debugged.
    '--remote-debugging-port=0',
  ];
  const report = new Promise((resolve) => { reported = resolve; });
  const browser = spawn(process.env.CHROMIUM, [...options, `http://127.0.0.1:${port}/player.html?${query}`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => browser.on('exit', resolve));
  const late = setTimeout(() => reported({ error: 'the page did not report within 60 seconds' }), 60_000);
  const result = await report;
  clearTimeout(late);
  browser.kill('SIGKILL');
  await ended;
  await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  assert.equal(result.error, undefined, result.error);
  return result;
}

async function waitForRows(isComplete) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const answer = await fetch(`${base}/v1/me/activities?content=tiny-sco&sort=happened_at`, { headers: learner });
    const { activities } = await answer.json();
    if (isComplete(activities)) return activities;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the last commit did not arrive');
}

try {
  const token = process.env.ROLLBOOK_CLIENT_LEARNER_TOKEN;
  assert.deepEqual(await openPage({ token }), { entry: 'ab-initio', location: '' });
  const [{ registration }] = await waitForRows((rows) => rows.length === 2);
  const body = JSON.stringify({ user: 'bo', content: 'tiny-sco', standard: 'scorm', registration });
  const launched = await fetch(`${base}/v1/launches`, { method: 'POST', headers: admin, body });
  assert.ok(launched.ok, await launched.clone().text());
  const launch = await launched.json();
  assert.deepEqual(await openPage({ access_token: launch.token }), { entry: 'resume', location: 'page 1' });
  const rows = await waitForRows((rows) => rows.length === 4);
  assert.deepEqual(rows.map((row) => row.action.label).sort(), ['Answered', 'Completed', 'Started', 'Suspended']);
  const completed = rows.find((row) => row.completed);
  assert.equal(completed.result.score.percent, 100);
  assert.equal(completed.result.total_time.seconds, 60);
  console.log('2 sessions of a page in Chromium played');
} finally {
  server.close();
  server.closeAllConnections();
}
