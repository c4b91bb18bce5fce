// Uses Rollbook through TinCanJS, the client in many courses and authoring tools. See README.md.

import { randomUUID } from "node:crypto";
import TinCan from "tincanjs";
import { finished, must, same, server, step } from "./steps.mjs";

const lrs = new TinCan.LRS({ endpoint: server.endpoint, username: server.key, password: server.secret, allowFail: false });

/** Calls a method and returns the arguments of its callback: `{err, result}`. */
const ask = (method, ...args) =>
  new Promise((resolve) => {
    const cfg = args.pop();
    lrs[method](...args, { ...cfg, callback: (err, result) => resolve({ err, result }) });
  });

/** Calls a method that must succeed, and returns its result. */
const get = async (method, ...args) => {
  const { err, result } = await ask(method, ...args);
  must(err === null, `${method}: ${err} ${result?.responseText ?? ""}`);
  return result;
};

const run = randomUUID();
const agent = new TinCan.Agent({ name: "Ben Moreau", account: { homePage: "https://hr.example.com", name: run } });
const activity = (name) => new TinCan.Activity({ id: `https://learn.example.com/${run}/${name}`, definition: { name: { en: name }, type: "http://adlnet.gov/expapi/activities/course" } });
const verb = (name) => new TinCan.Verb({ id: `http://adlnet.gov/expapi/verbs/${name}`, display: { en: name } });
const newStatement = (name, verbName = "completed", more = {}) => new TinCan.Statement({ actor: agent, verb: verb(verbName), target: activity(name), ...more });

await step(`about: the versions (it speaks ${lrs.version})`, async () => {
  const about = await get("about", {});
  must(about.version.includes(lrs.version), JSON.stringify(about.version));
});

let first;
await step("statements: puts one under its id, reads it", async () => {
  const sent = newStatement("one", "completed", { result: { score: { scaled: 0.5, raw: 5, min: 0, max: 10 }, success: true, duration: "PT1M30.5S" }, context: { registration: randomUUID(), contextActivities: { parent: [activity("course")] } } });
  first = sent.id;
  const saved = await get("saveStatement", sent, {});
  same(saved.status, 204);
  const read = await get("retrieveStatement", first, {});
  const own = (statement) => {
    const { authority, stored, version, timestamp, ...rest } = statement.asVersion("1.0.1");
    return { ...rest, at: Date.parse(timestamp) };
  };
  same(own(read), own(sent));
  same(read.authority.account.name, server.key);
});

const many = Array.from({ length: 12 }, (_, number) => newStatement(`many-${number % 3}`, "progressed"));
await step("statements: sends many", async () => {
  const answer = await get("saveStatements", many, {});
  same(JSON.parse(answer.responseText), many.map((statement) => statement.id));
});

await step("statements: finds them by agent, verb and activity, page by page to the end", async () => {
  const params = { agent, verb: verb("progressed"), activity: activity("many-1"), ascending: true, limit: 3 };
  let page = await get("queryStatements", { params });
  const found = page.statements.map((statement) => statement.id);
  while (page.more) {
    page = await get("moreStatements", { url: page.more });
    found.push(...page.statements.map((statement) => statement.id));
  }
  same(found, many.filter((_, number) => number % 3 === 1).map((statement) => statement.id));
});

await step("statements: related activities, since and until", async () => {
  const related = await get("queryStatements", { params: { activity: activity("course"), related_activities: true } });
  same(related.statements.map((statement) => statement.id), [first]);
  const { stored } = related.statements[0];
  const before = await get("queryStatements", { params: { agent, until: stored } });
  same(before.statements.map((statement) => statement.id), [first]);
  const after = await get("queryStatements", { params: { agent, since: stored } });
  same(after.statements.length, many.length);
});

await step("statements: a different one under a known id is a conflict", async () => {
  const other = newStatement("other", "failed", { id: first });
  same((await ask("saveStatement", other, {})).err, 409);
});

await step("statements: voids one, which is then read as voided", async () => {
  const voiding = new TinCan.Statement({ actor: agent, verb: verb("voided"), target: { objectType: "StatementRef", id: first } });
  await get("saveStatement", voiding, {});
  same((await ask("retrieveStatement", first, {})).err, 404);
  same((await get("retrieveVoidedStatement", first, {})).id, first);
});

await step("statements: a SubStatement comes back unchanged", async () => {
  const target = new TinCan.SubStatement({ actor: agent, verb: verb("attempted"), target: activity("tomorrow") });
  const sent = new TinCan.Statement({ actor: agent, verb: { id: "https://example.com/verbs/planned" }, target });
  await get("saveStatement", sent, {});
  same((await get("retrieveStatement", sent.id, {})).target.asVersion("1.0.1"), target.asVersion("1.0.1"));
});

// Texts only: in Node.js the client sends other bytes as text.
const file = (content) => {
  const attachment = new TinCan.Attachment({ usageType: "http://id.tincanapi.com/attachment/supporting_media", display: { en: "File" }, contentType: "text/plain" });
  attachment.setContentFromString(content);
  return attachment;
};
const texts = ["Größe, 😀", "\r\n--text\r\n\r\n--", "x".repeat(200_000), "the last\r\n"];
const contents = (statement) => statement.attachments.map((attachment) => attachment.getContentAsString());

await step("attachments: sends a text with a statement, reads it back", async () => {
  for (const content of texts) {
    const sent = newStatement("attached", "completed", { attachments: [file(content)] });
    await get("saveStatement", sent, {});
    same(contents(await get("retrieveStatement", sent.id, { params: { attachments: true } })), [content]);
  }
});

await step("attachments: sends several in one request, of one statement and of two, reads them back", async () => {
  const sent = newStatement("attached", "completed", { attachments: texts.map(file) });
  await get("saveStatement", sent, {});
  same(contents(await get("retrieveStatement", sent.id, { params: { attachments: true } })), texts);
  const two = [texts.slice(0, 2), texts.slice(2)].map((some) => newStatement("attached-each", "completed", { attachments: some.map(file) }));
  await get("saveStatements", two, {});
  const page = await get("queryStatements", { params: { activity: activity("attached-each"), attachments: true, ascending: true } });
  same(page.statements.map(contents), [texts.slice(0, 2), texts.slice(2)]);
});

await step("attachments: two statements share a content, a query gives it to both", async () => {
  for (let number = 0; number < 2; number += 1) await get("saveStatement", newStatement("shared", "completed", { attachments: [file("the same for both, ü")] }), {});
  const page = await get("queryStatements", { params: { activity: activity("shared"), attachments: true } });
  same(page.statements.map((statement) => statement.attachments[0].getContentAsString()), ["the same for both, ü", "the same for both, ü"]);
});

const place = { agent, activity: activity("state"), registration: randomUUID() };
await step("state: puts, reads and checks its ETag", async () => {
  await get("saveState", "bookmark", { page: 1 }, { ...place, contentType: "application/json" });
  const state = await get("retrieveState", "bookmark", place);
  same(state.contents, { page: 1 });
  must(/^(W\/)?".+"$/.test(state.etag), state.etag);
  await get("saveState", "bookmark", { page: 2 }, { ...place, contentType: "application/json", lastSHA1: state.etag });
  same((await ask("saveState", "bookmark", { page: 3 }, { ...place, contentType: "application/json", lastSHA1: state.etag })).err, 412);
  same((await get("retrieveState", "bookmark", place)).contents, { page: 2 });
});

await step("state: merges by POST, lists, drops", async () => {
  await get("saveState", "bookmark", { seen: [1, 2] }, { ...place, contentType: "application/json", method: "POST" });
  same((await get("retrieveState", "bookmark", place)).contents, { page: 2, seen: [1, 2] });
  await get("saveState", "suspend_data", "1;2;ü", { ...place, contentType: "text/plain" });
  same((await get("retrieveState", "suspend_data", place)).contents, "1;2;ü");
  same((await get("retrieveStateIds", place)).toSorted(), ["bookmark", "suspend_data"]);
  await get("dropState", "bookmark", place);
  same(await get("retrieveState", "bookmark", place), null);
  await get("dropState", null, place);
  same(await get("retrieveStateIds", place), []);
});

for (const [name, method, key] of [["activity", "ActivityProfile", { activity: activity("profile") }], ["agent", "AgentProfile", { agent }]]) {
  await step(`${name} profile: puts, reads and checks its ETag, lists, drops`, async () => {
    // Without an ETag the client sends `If-None-Match: *`, which 1.0.3 requires for a new document.
    const save = (value, cfg = {}) => ask(`save${method}`, "settings", value, { ...key, contentType: "application/json", ...cfg });
    same((await save({ theme: "dark" })).err, null);
    const profile = await get(`retrieve${method}`, "settings", key);
    same(profile.contents, { theme: "dark" });
    same((await save({ theme: "light" })).err, 412);
    same((await save({ theme: "light" }, { lastSHA1: profile.etag })).err, null);
    same((await save({ theme: "blue" }, { lastSHA1: profile.etag })).err, 412);
    same((await get(`retrieve${method}`, "settings", key)).contents, { theme: "light" });
    same(await get(`retrieve${method}Ids`, key), ["settings"]);
    await get(`drop${method}`, "settings", key);
    same(await get(`retrieve${method}`, "settings", key), null);
  });
}

await step("activities: the definition that statements gave", async () => {
  const found = await get("retrieveActivity", activity("one").id, {});
  same(found.definition.name.en, "one");
});

finished("tincanjs");
