// Plays sessions with the player scorm-again, as published on npm, against Rollbook: SCORM 1.2 and 2004, each format of
// commits, synchronous and asynchronous. Started by run.sh.
//
// Environment: ROLLBOOK_CLIENT_URL, ROLLBOOK_CLIENT_ADMIN_TOKEN, ROLLBOOK_CLIENT_LEARNER_TOKEN (a token of the learner `bo`).

import assert from 'node:assert/strict';

import { Scorm12API } from 'scorm-again/scorm12';
import { Scorm2004API } from 'scorm-again/scorm2004';

import { installBeacons, settleBeacons } from './browser_globals.mjs';

const base = process.env.ROLLBOOK_CLIENT_URL;
const learner = { Authorization: `Bearer ${process.env.ROLLBOOK_CLIENT_LEARNER_TOKEN}` };
const admin = { Authorization: `Bearer ${process.env.ROLLBOOK_CLIENT_ADMIN_TOKEN}` };
installBeacons(learner);

async function request(method, path, headers, body) {
  const options = { method, headers: { ...headers, 'Content-Type': 'application/json' } };
  if (body !== undefined) options.body = JSON.stringify(body);
  const answer = await fetch(base + path, options);
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? null : answer.json();
}

// Both versions by the names of SCORM 1.2.
const versions = {
  '1.2': {
    Api: Scorm12API,
    call: { start: 'LMSInitialize', get: 'LMSGetValue', set: 'LMSSetValue', commit: 'LMSCommit', end: 'LMSFinish' },
    score: 'cmi.core.score.raw',
    max: 'cmi.core.score.max',
    location: 'cmi.core.lesson_location',
    exit: 'cmi.core.exit',
    entry: 'cmi.core.entry',
    total: 'cmi.core.total_time',
    sessionTime: (seconds) => ['cmi.core.session_time', `00:00:${String(seconds).padStart(2, '0')}`],
    pass: [['cmi.core.lesson_status', 'passed']],
    incomplete: [['cmi.core.lesson_status', 'incomplete']],
    response: 'student_response',
    wrong: 'wrong',
  },
  2004: {
    Api: Scorm2004API,
    call: { start: 'Initialize', get: 'GetValue', set: 'SetValue', commit: 'Commit', end: 'Terminate' },
    score: 'cmi.score.raw',
    max: 'cmi.score.max',
    location: 'cmi.location',
    exit: 'cmi.exit',
    entry: 'cmi.entry',
    total: 'cmi.total_time',
    sessionTime: (seconds) => ['cmi.session_time', `PT${seconds}S`],
    pass: [['cmi.completion_status', 'completed'], ['cmi.success_status', 'passed']],
    incomplete: [['cmi.completion_status', 'incomplete']],
    response: 'learner_response',
    wrong: 'incorrect',
  },
};

// A session of the player with the data of the attempt.
async function open(version, content, settings = {}, query = '') {
  const names = versions[version];
  const address = `/v1/scorm/${content}?version=${version}${query}`;
  const flattened = settings.dataCommitFormat !== 'json';
  const data = await request('GET', address + (flattened ? '&format=flattened' : ''), learner);
  const api = new names.Api({
    lmsCommitUrl: `${base}/v1/scorm/${content}${query.replace('&', '?')}`,
    xhrHeaders: learner,
    logLevel: 4,
    ...settings,
  });
  if (flattened) api.loadFromFlattenedJSON(data);
  else api.loadFromJSON(data);
  const player = {
    api,
    get: (element) => api[names.call.get](element),
    set: (...pairs) => {
      for (const [element, value] of pairs) {
        assert.equal(String(api[names.call.set](element, value)), 'true', `${element} = ${value}: ${api.lastErrorCode}`);
      }
    },
    commit: async () => {
      assert.equal(String(api[names.call.commit]('')), 'true');
      await settle(api);
    },
    end: async () => {
      assert.equal(String(api[names.call.end]('')), 'true');
      await settle(api);
    },
  };
  assert.equal(String(api[names.call.start]('')), 'true');
  return player;
}

// Waits for the answers to all commits.
async function settle(api) {
  await api.whenCommitsSettled({ timeoutMs: 10_000 });
  for (const answer of await settleBeacons()) assert.equal(answer.status, 200, await answer.clone().text());
}

async function rowsOf(content) {
  const page = await request('GET', `/v1/me/activities?content=${content}&sort=happened_at&limit=1000`, learner);
  return page.activities;
}

async function secondsOf(content) {
  const summary = await request('GET', `/v1/activities/summary?by=content&content=${content}`, learner);
  return summary.total.total_seconds;
}

const labels = (rows) => rows.map((row) => row.action.label);

async function createPackage(id) {
  await request('PUT', `/v1/contents/${id}`, admin, { id, title: `Package ${id}`, type: 'item', content_type: 'scorm' });
}

let played = 0;

// Two sessions: the learner suspends the first one, and passes in the second one.
async function playTwoSessions(version, content, settings) {
  const names = versions[version];
  await createPackage(content);
  let player = await open(version, content, settings);
  assert.equal(player.get(names.entry), 'ab-initio');
  player.set(...names.incomplete, [names.location, 'page 2'], ['cmi.suspend_data', 'a&b=c%20d+e ü {"x":1}']);
  player.set(['cmi.interactions.0.id', 'q1'], ['cmi.interactions.0.type', 'choice']);
  await player.commit();
  player.set([`cmi.interactions.0.${names.response}`, version === '1.2' ? 'a,b' : 'a[,]b']);
  player.set(['cmi.interactions.0.result', names.wrong]);
  player.set(['cmi.objectives.0.id', 'o1'], [names.exit, 'suspend'], names.sessionTime(20));
  await player.commit();
  await player.end();
  assert.deepEqual(labels(await rowsOf(content)).sort(), ['Answered', 'Started', 'Suspended'], content);

  player = await open(version, content, settings);
  assert.equal(player.get(names.entry), 'resume');
  assert.equal(player.get(names.location), 'page 2');
  assert.equal(player.get('cmi.suspend_data'), 'a&b=c%20d+e ü {"x":1}');
  assert.equal(player.get('cmi.objectives.0.id'), 'o1');
  assert.match(player.get(names.total), /20/);
  player.set([names.score, '80'], [names.max, '100']);
  await player.commit();
  player.set(...names.pass, [names.exit, version === '1.2' ? '' : 'normal'], names.sessionTime(25));
  await player.commit();
  const before = await rowsOf(content);
  await player.commit();
  await player.end();
  const rows = await rowsOf(content);
  assert.equal(rows.length, before.length, `${content}: a repeated commit creates no rows`);
  assert.equal(rows.filter((row) => row.action.key === 'started').length, 1, content);
  assert.equal(rows.filter((row) => row.action.key === 'answered').length, 1, content);
  const completed = rows.filter((row) => row.completed);
  assert.equal(completed.length, names.pass.length, content);
  assert.ok(completed.every((row) => row.result.score.percent === 80 && row.origin === 'scorm'), content);
  assert.ok(rows.every((row) => row.registration === rows[0].registration), content);
  assert.equal(await secondsOf(content), 45, `${content}: the time of the attempt counts once`);
  played += 2;
}

for (const version of Object.keys(versions)) {
  for (const dataCommitFormat of ['json', 'flattened', 'params']) {
    for (const [mode, settings] of [
      ['sync', {}],
      ['async', { useAsynchronousCommits: true }],
      ['beacon', { useAsynchronousCommits: true, asyncModeBeaconBehavior: 'always' }],
      ['common', { renderCommonCommitFields: true, autoPopulateCommitMetadata: true, courseId: 'c', scoId: 's' }],
      ['total', { alwaysSendTotalTime: true, sendFullCommit: false, includeCommitSequence: true, terminateCommitParam: 'final' }],
    ]) {
      const content = `sco-${version}-${dataCommitFormat}-${mode}`.replace('.', '');
      await playTwoSessions(version, content, { dataCommitFormat, ...settings });
    }
  }
}

// A session that times out, and one whose window is closed without an end.
for (const version of Object.keys(versions)) {
  const names = versions[version];
  const content = `sco-${version}-odd`.replace('.', '');
  await createPackage(content);
  let player = await open(version, content, { dataCommitFormat: 'json' });
  player.set(...names.incomplete, [names.exit, 'time-out'], names.sessionTime(10));
  await player.commit();
  await player.end();
  player = await open(version, content, { dataCommitFormat: 'json' });
  assert.equal(player.get(names.entry), '', 'after a time-out');
  player.set(names.sessionTime(5));
  await player.commit();
  // The window is closed. The next session adds no time, completes, and takes the status back.
  player = await open(version, content, { dataCommitFormat: 'json' });
  player.set(...names.pass, names.sessionTime(0));
  await player.commit();
  player.set(...names.incomplete);
  await player.commit();
  await player.end();
  assert.equal(await secondsOf(content), 15);
  const rows = await rowsOf(content);
  assert.equal(rows.filter((row) => row.completed).length, names.pass.length, 'a downgrade removes nothing');
  played += 3;

  // A new attempt with a new registration, 64,000 characters of suspend data and a negative score.
  const registration = crypto.randomUUID();
  player = await open(version, content, { dataCommitFormat: 'params' }, `&registration=${registration}`);
  assert.equal(player.get(names.entry), 'ab-initio');
  const long = 'x'.repeat(version === '1.2' ? 4_096 : 64_000);
  player.set(['cmi.suspend_data', long]);
  if (version === '2004') player.set([names.score, '-2.5']);
  await player.commit();
  await player.end();
  player = await open(version, content, { dataCommitFormat: 'params' });
  assert.equal(player.get('cmi.suspend_data'), long);
  assert.equal((await rowsOf(content)).filter((row) => row.action.key === 'started').length, 2);
  played += 2;
}

// A launch: the settings come from the answer, and the last commit is a beacon without headers, as in a browser.
installBeacons();
for (const version of Object.keys(versions)) {
  const names = versions[version];
  const content = `sco-${version}-launch`.replace('.', '');
  await createPackage(content);
  const launch = await request('POST', '/v1/launches', admin, { user: 'bo', content, standard: 'scorm' });
  const player = await open(version, content, launch.scorm.settings, `&registration=${launch.registration}`);
  player.set(...names.pass, names.sessionTime(30));
  await player.commit();
  await player.end();
  const rows = await rowsOf(content);
  assert.ok(rows.length >= 2 && rows.every((row) => row.registration === launch.registration), content);
  assert.equal(await secondsOf(content), 30);
  played += 1;
}

console.log(`${played} sessions of scorm-again played`);
