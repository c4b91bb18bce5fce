// Uses Rollbook through @xapi/xapi, a client for browsers and Node.js. See README.md.

import { createHash, randomUUID } from "node:crypto";
import XAPI from "@xapi/xapi";
import { finished, must, same, server, step } from "./steps.mjs";

const Client = XAPI.default ?? XAPI;
const auth = Client.toBasicAuth(server.key, server.secret);
// The client's own adapter `fetch` can send everything that a browser can, also attachments.
const xapi = new Client({ endpoint: server.endpoint, auth, version: "1.0.3", adapter: "fetch" });

// The client's own adapters throw at a refusal and lose its body. This adapter returns status and body.
async function adapter({ url, method, data, headers }) {
  const json = headers["Content-Type"] === "application/json" && data !== undefined;
  const answer = await fetch(url, { method, headers, body: json ? JSON.stringify(data) : data });
  const text = await answer.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: a document of another kind, or an empty body.
  }
  return { status: answer.status, headers: Object.fromEntries(answer.headers), data: body };
}
const careful = new Client({ endpoint: server.endpoint, auth, version: "1.0.3", adapter });
const two = new Client({ endpoint: server.endpoint, auth, version: "2.0.0", adapter });

const run = randomUUID();
const actor = { objectType: "Agent", name: "Ada Obi", mbox: `mailto:ada.${run}@example.com` };
const activity = (name) => ({ id: `https://learn.example.com/${run}/${name}`, definition: { name: { "en-US": name, de: `${name} auf Deutsch` } } });
const newStatement = (name, verb = Client.Verbs.COMPLETED) => ({ actor, verb, object: activity(name) });

await step("about: the versions", async () => {
  const about = (await xapi.getAbout()).data;
  must(about.version.includes("1.0.3") && about.version.includes("2.0.0"), JSON.stringify(about));
});

let first;
await step("statements: sends one, reads it by its id", async () => {
  const sent = { ...newStatement("one"), result: { score: { scaled: 0.85, raw: 17, min: 0, max: 20 }, duration: Client.calculateISO8601Duration(new Date(0), new Date(90_500)) } };
  const ids = (await xapi.sendStatement({ statement: sent })).data;
  same(ids.length, 1);
  first = ids[0];
  const answer = await xapi.getStatement({ statementId: first });
  const { id, stored, timestamp, version, authority, ...rest } = answer.data;
  same(rest, sent);
  same([id, timestamp, version], [first, stored, "1.0.0"]);
  must(authority.account.name === server.key, JSON.stringify(authority));
  must(answer.headers["x-experience-api-version"] === "1.0.3");
  must(Date.parse(answer.headers["x-experience-api-consistent-through"]) > 0);
});

const many = Array.from({ length: 23 }, (_, number) => ({ id: randomUUID(), ...newStatement(`many-${number % 2}`, Client.Verbs.PROGRESSED) }));
await step("statements: sends many, sends them again", async () => {
  const ids = many.map((statement) => statement.id);
  same((await xapi.sendStatements({ statements: many })).data, ids);
  same((await xapi.sendStatements({ statements: many })).data, ids);
});

await step("statements: finds them by agent, verb and activity, page by page to the end", async () => {
  const query = { agent: { mbox: actor.mbox }, verb: Client.Verbs.PROGRESSED.id, activity: activity("many-0").id, limit: 5, ascending: true };
  let page = (await xapi.getStatements(query)).data;
  const found = [];
  const sizes = [];
  for (;;) {
    found.push(...page.statements.map((statement) => statement.id));
    sizes.push(page.statements.length);
    if (!page.more) break;
    page = (await xapi.getMoreStatements({ more: page.more })).data;
  }
  same(found, many.filter((_, number) => number % 2 === 0).map((statement) => statement.id));
  same(sizes, [5, 5, 2]);
});

await step("statements: an empty result is an empty list", async () => {
  same((await xapi.getStatements({ activity: activity("nothing").id })).data, { statements: [], more: "" });
});

await step("statements: in the formats ids and canonical", async () => {
  const ids = (await xapi.getStatement({ statementId: first, format: "ids" })).data;
  same([ids.actor, ids.object], [{ objectType: "Agent", mbox: actor.mbox }, { id: activity("one").id }]);
  const canonical = (await xapi.getStatement({ statementId: first, format: "canonical" })).data;
  same(canonical.object.definition.name, { "en-US": "one" });
});

await step("statements: a faulty one is refused with its place", async () => {
  const answer = await careful.sendStatement({ statement: { ...newStatement("bad"), actor: { mbox: "ada" } } });
  same([answer.status, answer.data.pointer], [400, "/actor/mbox"]);
});

await step("statements: a different one under a known id is a conflict", async () => {
  const answer = await careful.sendStatement({ statement: { ...many[0], object: activity("other") } });
  same(answer.status, 409);
});

await step("statements: voids one, which is then read as voided", async () => {
  const voiding = (await xapi.voidStatement({ actor, statementId: first })).data[0];
  same((await careful.getStatement({ statementId: first })).status, 404);
  same((await xapi.getVoidedStatement({ voidedStatementId: first })).data.id, first);
  const found = (await xapi.getStatements({ activity: activity("one").id })).data.statements;
  same(found.map((statement) => statement.id), [voiding]);
});

await step("statements: speaks 2.0.0 as well", async () => {
  const statement = { ...newStatement("two"), context: { contextAgents: [{ objectType: "contextAgent", agent: { mbox: "mailto:coach@example.com" } }] } };
  const answer = await two.sendStatement({ statement });
  same([answer.status, answer.headers["x-experience-api-version"]], [200, "2.0.0"]);
  same((await careful.sendStatement({ statement })).status, 400);
  const found = await two.getStatements({ agent: { mbox: "mailto:coach@example.com" }, related_agents: true, activity: activity("two").id });
  same(found.data.statements.map((one) => one.id), answer.data);
});

const declared = (content, contentType = "text/plain") => ({
  usageType: Client.AttachmentUsages.CERTIFICATE_OF_COMPLETION, display: { en: "Certificate" }, contentType,
  length: content.length, sha2: createHash("sha256").update(content).digest("hex"),
});
// The form in which the client takes the content of an attachment.
const buffer = (content) => Uint8Array.from(content).buffer;
// The client keeps only the last line of a content that it reads.
const lastLine = (content) => content.toString().split("\r\n").at(-1);

const certificates = ['{"grade": "A", "für": "😀"}', "Certificate\r\n\r\nof Ada"].map((text) => Buffer.from(text));
await step("attachments: sends one, reads it back", async () => {
  for (const content of certificates) {
    const attachments = [declared(content, "text/json")];
    const statement = { ...newStatement("attached"), attachments };
    const id = (await xapi.sendStatement({ statement, attachments: [buffer(content)] })).data[0];
    const parts = (await xapi.getStatement({ statementId: id, attachments: true })).data;
    same([parts.length, parts[0].id, parts[0].attachments], [2, id, attachments]);
    same(parts[1], lastLine(content));
  }
});

await step("attachments: sends several in one request, of one statement and of two, reads them back", async () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const contents = [...certificates, every];
  const attachments = contents.map((content) => declared(content));
  const statement = { ...newStatement("attached-several"), attachments };
  const id = (await xapi.sendStatement({ statement, attachments: contents.map(buffer) })).data[0];
  const parts = (await xapi.getStatement({ statementId: id, attachments: true })).data;
  same([parts.length, parts[0].id, parts[0].attachments], [4, id, attachments]);
  for (const content of certificates) must(parts.includes(lastLine(content)), lastLine(content));
  const statements = certificates.map((content) => ({ ...newStatement("attached-each"), attachments: [declared(content)] }));
  const ids = (await xapi.sendStatements({ statements, attachments: certificates.map(buffer) })).data;
  same(ids.length, 2);
  const page = (await xapi.getStatements({ activity: activity("attached-each").id, attachments: true, ascending: true })).data;
  same([page.length, page[0].statements.map((one) => one.id)], [3, ids]);
});

await step("attachments: a statement without its content is refused", async () => {
  const attachment = { usageType: Client.AttachmentUsages.SUPPORTING_MEDIA, display: { en: "x" }, contentType: "text/plain", length: 1, sha2: "0".repeat(64) };
  same((await careful.sendStatement({ statement: { ...newStatement("attached"), attachments: [attachment] } })).status, 400);
});

const registration = randomUUID();
const place = { agent: actor, activityId: activity("state").id, registration };
await step("state: puts, reads, merges", async () => {
  same((await xapi.setState({ ...place, stateId: "bookmark", state: { page: 1, seen: [1] }, contentType: "application/json" })).status, 204);
  same((await xapi.createState({ ...place, stateId: "bookmark", state: { page: 2 } })).status, 204);
  const answer = await xapi.getState({ ...place, stateId: "bookmark" });
  same(answer.data, { page: 2, seen: [1] });
  must(/^(W\/)?".+"$/.test(answer.headers.etag), answer.headers.etag);
});

await step("state: If-Match is honoured", async () => {
  const { etag } = (await xapi.getState({ ...place, stateId: "bookmark" })).headers;
  const set = (page, tag) => careful.setState({ ...place, stateId: "bookmark", state: { page }, contentType: "application/json", matchHeader: "If-Match", etag: tag });
  same((await set(3, etag)).status, 204);
  const refused = await set(4, etag);
  same(refused.status, 412);
  must(refused.data.detail.length > 10, "the reason");
  same((await xapi.getState({ ...place, stateId: "bookmark" })).data, { page: 3 });
});

await step("state: a text is a document too; list and delete", async () => {
  await xapi.setState({ ...place, stateId: "note", state: "just text, ü", contentType: "text/plain" });
  const note = await xapi.getState({ ...place, stateId: "note" });
  same([note.data, note.headers["content-type"]], ["just text, ü", "text/plain"]);
  same((await xapi.getStates(place)).data.toSorted(), ["bookmark", "note"]);
  same((await xapi.getStates({ ...place, registration: randomUUID() })).data, []);
  same((await xapi.deleteState({ ...place, stateId: "note" })).status, 204);
  same((await careful.getState({ ...place, stateId: "note" })).status, 404);
  same((await xapi.deleteStates(place)).status, 204);
  same((await xapi.getStates(place)).data, []);
});

for (const [name, method, key] of [["activity", "ActivityProfile", { activityId: activity("profile").id }], ["agent", "AgentProfile", { agent: actor }]]) {
  await step(`${name} profile: puts with If-None-Match, reads, merges, checks the ETag, deletes`, async () => {
    const profile = { ...key, profileId: "settings" };
    const set = (value, matchHeader, etag) => careful[`set${method}`]({ ...profile, profile: value, contentType: "application/json", matchHeader, etag });
    same((await set({ theme: "dark" }, "If-None-Match", "*")).status, 204);
    same((await set({ theme: "light" }, "If-None-Match", "*")).status, 412);
    same((await careful[`create${method}`]({ ...profile, profile: { size: 12 } })).status, 204);
    const read = await xapi[`get${method}`](profile);
    same(read.data, { theme: "dark", size: 12 });
    same((await set({ theme: "light" }, "If-Match", '"0000000000000000000000000000000000000000"')).status, 412);
    same((await set({ theme: "light" }, "If-Match", read.headers.etag)).status, 204);
    same((await xapi[`get${method}`](profile)).data, { theme: "light" });
    same((await xapi[`get${method}s`](key)).data, ["settings"]);
    same((await xapi[`get${method}s`]({ ...key, since: "2999-01-01T00:00:00Z" })).data, []);
    same((await xapi[`delete${method}`](profile)).status, 204);
    same((await careful[`get${method}`](profile)).status, 404);
  });
}

await step("agents: the Person of an agent", async () => {
  const person = (await xapi.getAgent({ agent: actor })).data;
  same([person.objectType, person.mbox], ["Person", [actor.mbox]]);
});

await step("activities: the definition that statements gave", async () => {
  const found = (await xapi.getActivity({ activityId: activity("many-1").id })).data;
  same([found.id, found.definition.name], [activity("many-1").id, activity("many-1").definition.name]);
});

await step("a wrong secret is refused", async () => {
  const wrong = new Client({ endpoint: server.endpoint, auth: Client.toBasicAuth(server.key, "wrong"), adapter });
  same((await wrong.getStatements({ limit: 1 })).status, 401);
});

finished("@xapi/xapi");
