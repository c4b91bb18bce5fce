// The journey with `@hey-api/openapi-ts`. The generated zod schemas parse each answer.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { client } from "./generated/hey/client.gen.js";
import * as rollbook from "./generated/hey/index.js";

client.setConfig({
  baseUrl: process.env.ROLLBOOK_CLIENT_URL ?? "",
  auth: (scheme) => (scheme.scheme === "bearer" ? process.env.ROLLBOOK_CLIENT_TOKEN : undefined),
});
const throwOnError = true as const;

// A user with a custom field, and a content.
await rollbook.putUser({
  path: { id: "ts-hey" },
  body: { first_name: "Bo", last_name: "Ek", email: "bo@ts-hey.example", role: "admin", custom: { Cohort: "ts-hey" } },
  throwOnError,
});
await rollbook.putContent({
  path: { id: "ts-hey-quiz" },
  body: { iri: "https://ts-hey.example/quiz", title: "Fire Safety", type: "quiz" },
  throwOnError,
});

// One activity, and a batch.
const { data: created } = await rollbook.createActivity({
  body: {
    user: "ts-hey",
    action: "completed",
    content: "ts-hey-quiz",
    happened_at: "2026-03-01T09:30:00Z",
    result: { score: 92, success: true, total_time: "PT5M" },
  },
  throwOnError,
});
assert.ok("action" in created && created.action.key === "completed");
const { data: batch } = await rollbook.createActivities({
  body: [1, 2, 3, 4].map((day) => ({
    user: "ts-hey",
    action: "viewed" as const,
    content: "ts-hey-quiz",
    happened_at: `2026-03-0${day}T10:00:00Z`,
  })),
  throwOnError,
});
assert.equal(batch.ids.length, 4);

// The log in pages, with filters and a custom field.
const rows: rollbook.Activity[] = [];
let cursor: string | undefined;
do {
  const { data: page } = await rollbook.listActivities({
    query: { action: ["viewed", "completed"], from: "2026-03-01", custom: { Cohort: "ts-hey" }, limit: 2, cursor },
    throwOnError,
  });
  rows.push(...page.activities);
  cursor = page.next ? (new URL(page.next, "http://rollbook").searchParams.get("cursor") ?? undefined) : undefined;
} while (cursor);
assert.equal(rows.length, 5);
assert.equal(rows.filter((row) => row.action.key === "completed")[0]?.result?.score?.percent, 92);

// The custom field is removed.
const { data: patched } = await rollbook.patchUser({
  path: { id: "ts-hey" },
  body: { custom: { Cohort: null } },
  throwOnError,
});
assert.deepEqual([patched.custom, patched.email], [{}, "bo@ts-hey.example"]);

// A report, a key and a schedule.
const { data: report } = await rollbook.createReport({
  body: { name: "Of ts-hey", filter: { user: ["ts-hey"], action: ["completed"] } },
  throwOnError,
});
assert.deepEqual(report.filter, { user: ["ts-hey"], action: ["completed"] });
const path = { id: report.id };
const { data: key } = await rollbook.createReportKey({ path, body: { name: "BI" }, throwOnError });
assert.ok(key.secret);
const { data: schedule } = await rollbook.createSchedule({
  path,
  body: { frequency: "weekly", at: "08:00", weekday: "monday", recipients: ["bo@ts-hey.example"] },
  throwOnError,
});
assert.equal(schedule.frequency, "weekly");

// A CSV goes to a file as it comes. The answer is a stream, so no schema parses it.
const csv = await rollbook.exportActivitiesCsv({
  query: { user: ["ts-hey"] },
  parseAs: "stream",
  responseValidator: async () => undefined,
  throwOnError,
});
await pipeline(Readable.fromWeb(csv.data as never), createWriteStream("hey.csv"));
assert.equal((await readFile("hey.csv", "utf8")).trim().split("\n").length, 6);

// Statements.
const headers = { "X-Experience-API-Version": "1.0.3" as const };
const id = randomUUID();
const { data: stored } = await rollbook.storeStatements({
  headers,
  body: [{
    id,
    actor: { mbox: "mailto:bo@ts-hey.example" },
    verb: { id: "http://adlnet.gov/expapi/verbs/completed", display: { en: "completed" } },
    object: { id: "https://ts-hey.example/quiz" },
  }],
  throwOnError,
});
assert.deepEqual(stored, [id]);
const { data: found } = await rollbook.readStatements({ headers, query: { statementId: id }, throwOnError });
assert.ok("actor" in found && found.id === id);
const { data: page } = await rollbook.readStatements({ headers, query: { limit: 1 }, throwOnError });
assert.ok("statements" in page && page.statements[0]?.id === id);

// Lists of other resources, parsed by their schemas.
for (const list of [
  rollbook.listUsers,
  rollbook.listContents,
  rollbook.listReports,
  rollbook.listFacets,
  rollbook.listActions,
  rollbook.listAllSchedules,
  rollbook.listCredentials,
  rollbook.readOrganisation,
]) {
  const { data } = await (list as (options: { throwOnError: true }) => Promise<{ data: unknown }>)({ throwOnError });
  assert.ok(data);
}
const { data: summary } = await rollbook.summariseActivities({ query: { by: ["action"] }, throwOnError });
assert.ok(summary);
const { data: single } = await rollbook.readActivity({ path: { id: created.id }, throwOnError });
assert.equal(single.id, created.id);

// A problem document.
const refused = await rollbook.createActivity({ body: { user: "ts-hey", action: "completed", content: "none" } });
assert.equal(refused.data, undefined);
assert.equal(refused.response?.status, 400);
assert.deepEqual([refused.error?.code, refused.error?.pointer], ["invalid-body", "/content"]);

console.log("typescript-hey: passed");
