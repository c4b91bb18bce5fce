// A unit of cmi5 that uses @xapi/cmi5: it is given the address of a launch, as a browser would open it. See README.md.
//
//   node unit.mjs "<url of the answer to POST /v1/launches>"

import "./xhr.mjs";
import { deepStrictEqual as same, ok } from "node:assert/strict";
import { createRequire } from "node:module";

const library = createRequire(import.meta.url)("@xapi/cmi5/dist/Cmi5.umd.js");
const Cmi5 = library.default ?? library;
const query = new URL(process.argv[2]).searchParams;
const parameters = Object.fromEntries(["fetch", "endpoint", "registration", "activityId"].map((name) => [name, query.get(name)]));
const unit = new Cmi5({ ...parameters, actor: JSON.parse(query.get("actor")) });

/** The status with which the server refuses a request. */
async function refused(request) {
  try {
    await request;
  } catch (error) {
    return error.response?.status;
  }
  throw new Error("the request is not refused");
}

// --- The session --------------------------------------------------------------------------------------------

await unit.initialize();
const data = unit.getLaunchData();
same([data.launchMode, data.moveOn, data.masteryScore], ["Normal", "CompletedAndPassed", 0.8]);
console.log("ok  the unit has its launch data");

await unit.progress(50);
await unit.interactionChoice("test", "q1", ["b"], ["b"], [{ id: "a", description: { en: "Steel" } }, { id: "b", description: { en: "Wood" } }], { en: "Material" }, undefined, true);
await unit.interactionTrueFalse("test", "q2", true, true, { en: "Three points of contact" }, undefined, true);
await unit.complete();
await unit.pass(0.9);
console.log("ok  progress, answers and results are recorded");

// --- What a record store must refuse ------------------------------------------------------------------------

same(await refused(unit.complete()), 403);
same(await refused(unit.pass(0.95)), 403);
same(await refused(unit.fail(0.1)), 403);
same((await (await fetch(parameters.fetch, { method: "POST" })).json())["error-code"], "1");
console.log("ok  repeated results and a second token are refused");

await unit.terminate();
same(await refused(unit.progress(80)), 403);
same(await refused(unit.terminate()), 403);
const states = await unit.xapi.getStates({ agent: unit.launchParameters.actor, activityId: parameters.activityId, registration: parameters.registration });
ok(states.data.includes("LMS.LaunchData"));
console.log("ok  the session is over");
