// The journey with `openapi-typescript` and `openapi-fetch`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./generated/fetch.js";

const client = createClient<paths>({
  baseUrl: process.env.ROLLBOOK_CLIENT_URL ?? "",
  headers: { Authorization: `Bearer ${process.env.ROLLBOOK_CLIENT_TOKEN}` },
});

/** Returns the data of a successful answer. A problem document becomes an error. */
function dataOf<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) {
    const problem = answer.error as components["schemas"]["Problem"] | undefined;
    throw new Error(`${answer.response.status} ${problem?.code}: ${problem?.detail}`);
  }
  return answer.data;
}

// A user with a custom field, and a content.
const user = { first_name: "Bo", last_name: "Ek", email: "bo@ts-fetch.example", role: "admin", custom: { Cohort: "ts-fetch" } } as const;
dataOf(await client.PUT("/v1/users/{id}", { params: { path: { id: "ts-fetch" } }, body: user }));
dataOf(
  await client.PUT("/v1/contents/{id}", {
    params: { path: { id: "ts-fetch-quiz" } },
    body: { iri: "https://ts-fetch.example/quiz", title: "Fire Safety", type: "quiz" },
  }),
);

// One activity, and a batch.
const created = dataOf(
  await client.POST("/v1/activities", {
    body: {
      user: "ts-fetch",
      action: "completed",
      content: "ts-fetch-quiz",
      happened_at: "2026-03-01T09:30:00Z",
      result: { score: 92, success: true, total_time: "PT5M" },
    },
  }),
);
assert.ok("action" in created && created.action.key === "completed");
const batch = dataOf(
  await client.POST("/v1/activities/batch", {
    body: [1, 2, 3, 4].map((day) => ({
      user: "ts-fetch",
      action: "viewed" as const,
      content: "ts-fetch-quiz",
      happened_at: `2026-03-0${day}T10:00:00Z`,
    })),
  }),
);
assert.equal(batch.ids.length, 4);

// The log in pages, with filters and a custom field.
const rows: components["schemas"]["Activity"][] = [];
let cursor: string | undefined;
do {
  const page = dataOf(
    await client.GET("/v1/activities", {
      params: {
        query: { action: ["viewed", "completed"], from: "2026-03-01", custom: { Cohort: "ts-fetch" }, limit: 2, cursor },
      },
    }),
  );
  rows.push(...page.activities);
  cursor = page.next ? (new URL(page.next, "http://rollbook").searchParams.get("cursor") ?? undefined) : undefined;
} while (cursor);
assert.equal(rows.length, 5);
assert.equal(rows.filter((row) => row.action.key === "completed")[0]?.result?.score?.percent, 92);

// The custom field is removed.
const patched = dataOf(
  await client.PATCH("/v1/users/{id}", { params: { path: { id: "ts-fetch" } }, body: { custom: { Cohort: null } } }),
);
assert.deepEqual([patched.custom, patched.email], [{}, "bo@ts-fetch.example"]);

// A report, a key and a schedule.
const report = dataOf(
  await client.POST("/v1/reports", { body: { name: "Of ts-fetch", filter: { user: ["ts-fetch"], action: ["completed"] } } }),
);
assert.deepEqual(report.filter, { user: ["ts-fetch"], action: ["completed"] });
const path = { id: report.id };
const key = dataOf(await client.POST("/v1/reports/{id}/keys", { params: { path }, body: { name: "BI" } }));
assert.ok(key.secret);
const schedule = dataOf(
  await client.POST("/v1/reports/{id}/schedules", {
    params: { path },
    body: { frequency: "weekly", at: "08:00", weekday: "monday", recipients: ["bo@ts-fetch.example"] },
  }),
);
assert.equal(schedule.frequency, "weekly");

// A CSV goes to a file as it comes.
const csv = await client.GET("/v1/activities/export.csv", {
  params: { query: { user: ["ts-fetch"] } },
  parseAs: "stream",
});
assert.ok(csv.data);
await pipeline(Readable.fromWeb(csv.data as never), createWriteStream("fetch.csv"));
assert.equal((await readFile("fetch.csv", "utf8")).trim().split("\n").length, 6);

// Statements.
const version = { "X-Experience-API-Version": "1.0.3" };
const id = randomUUID();
const stored = dataOf(
  await client.POST("/xapi/statements", {
    params: { header: version },
    body: [{
      id,
      actor: { mbox: "mailto:bo@ts-fetch.example" },
      verb: { id: "http://adlnet.gov/expapi/verbs/completed", display: { en: "completed" } },
      object: { id: "https://ts-fetch.example/quiz" },
    }],
  }),
);
assert.deepEqual(stored, [id]);
const found = dataOf(
  await client.GET("/xapi/statements", { params: { header: version, query: { statementId: id } } }),
);
// With attachments, the answer is a multipart text.
assert.ok(typeof found === "object" && "actor" in found && found.id === id);
const page = dataOf(await client.GET("/xapi/statements", { params: { header: version, query: { limit: 1 } } }));
assert.ok(typeof page === "object" && "statements" in page && page.statements[0]?.id === id);

// A problem document.
const refused = await client.POST("/v1/activities", { body: { user: "ts-fetch", action: "completed", content: "none" } });
assert.equal(refused.data, undefined);
assert.equal(refused.response.status, 400);
assert.deepEqual([refused.error?.code, refused.error?.pointer], ["invalid-body", "/content"]);

console.log("typescript-fetch: passed");
