// Content that uses @xapi/xapi: it is given the address of a launch, as a browser would open it. See README.md.
//
//   node content.mjs "<url of the answer to POST /v1/launches>"

import { deepStrictEqual as same } from "node:assert/strict";
import { randomUUID } from "node:crypto";
import XAPI from "@xapi/xapi";

const Client = XAPI.default ?? XAPI;
const parameters = Object.fromEntries(new URL(process.argv[2]).searchParams);
const { endpoint, auth, registration, activity_id: activityId } = parameters;
const actor = JSON.parse(parameters.actor);
const xapi = new Client({ endpoint, auth, version: "1.0.3", adapter: "fetch" });

const object = (id) => ({ id, definition: { name: { en: id.split("/").at(-1) } } });
const newStatement = (verb, id, further = {}) => ({ actor, verb, object: object(id), context: { registration }, ...further });

/** The status with which the server refuses a request. */
async function refused(request) {
  try {
    await request;
  } catch (error) {
    return Number(/\b(4\d\d)\b/.exec(`${error?.response?.status ?? ""} ${error?.message ?? error}`)?.[1]);
  }
  throw new Error("the request is not refused");
}

// --- The attempt: statements about the content and its parts ------------------------------------------------

await xapi.sendStatement({ statement: newStatement(Client.Verbs.INITIALIZED, activityId) });
const parts = [1, 2, 3].map((number) => newStatement(Client.Verbs.PROGRESSED, `${activityId}/slide${number}`));
await xapi.sendStatements({ statements: parts });
const result = { completion: true, success: true, score: { scaled: 0.9 } };
const [passed] = (await xapi.sendStatement({ statement: newStatement(Client.Verbs.PASSED, activityId, { result }) })).data;
console.log("ok  statements are written");

// --- States -------------------------------------------------------------------------------------------------

const place = { agent: actor, activityId, registration };
await xapi.setState({ ...place, stateId: "resume", state: { slide: 3 }, contentType: "application/json" });
await xapi.createState({ ...place, stateId: "resume", state: { volume: 5 } });
same((await xapi.getState({ ...place, stateId: "resume" })).data, { slide: 3, volume: 5 });
same((await xapi.getStates(place)).data, ["resume"]);
await xapi.deleteState({ ...place, stateId: "resume" });
console.log("ok  states are written, read and deleted");

// --- Reading ------------------------------------------------------------------------------------------------

same((await xapi.getStatement({ statementId: passed })).data.result, result);
let page = (await xapi.getStatements({ agent: actor, registration, limit: 2 })).data;
let count = page.statements.length;
while (page.more) {
  page = (await xapi.getMoreStatements({ more: page.more })).data;
  count += page.statements.length;
}
same(count, 5);
same((await xapi.getAgent({ agent: actor })).data.account, [actor.account]);
same((await xapi.getActivity({ activityId })).data.id, activityId);
same((await xapi.getAbout()).data.version.length > 1, true);
console.log("ok  its own statements are read, page by page");

// --- The bounds ---------------------------------------------------------------------------------------------

const other = { objectType: "Agent", mbox: "mailto:other@example.org" };
const outside = [
  newStatement(Client.Verbs.PASSED, activityId, { actor: other }),
  newStatement(Client.Verbs.PASSED, activityId, { context: { registration: randomUUID() } }),
  newStatement(Client.Verbs.PASSED, "https://example.org/another-course"),
];
for (const statement of outside) same(await refused(xapi.sendStatement({ statement })), 403);
same(await refused(xapi.voidStatement({ actor, statementId: passed })), 403);
same(await refused(xapi.setState({ ...place, agent: other, stateId: "resume", state: {} })), 403);
same(await refused(xapi.setActivityProfile({ activityId, profileId: "p", profile: {}, matchHeader: "If-None-Match", etag: "*" })), 403);
same((await xapi.getStatements({ agent: other })).data.statements, []);
console.log("ok  everything else is refused");
