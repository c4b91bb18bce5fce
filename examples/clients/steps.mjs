// Shared by both programs in JavaScript: the server from the environment, and steps that report their results.

import { deepStrictEqual, ok } from "node:assert/strict";

const url = process.env.ROLLBOOK_CLIENT_URL ?? "http://127.0.0.1:8080";
const [key, secret] = (process.env.ROLLBOOK_CLIENT_CREDENTIAL ?? "").split(":");
if (!secret) {
  console.error("set ROLLBOOK_CLIENT_CREDENTIAL to key:secret of a credential with the scope all");
  process.exit(2);
}

export const server = { endpoint: `${url.replace(/\/$/, "")}/xapi/`, key, secret };

let done = 0;

/** Runs a step and prints its name. A failure ends the program. */
export async function step(name, work) {
  try {
    await work();
    done += 1;
    console.log(`  ok  ${name}`);
  } catch (error) {
    console.error(`  NO  ${name}\n${error?.stack ?? error}`);
    process.exit(1);
  }
}

export function finished(client) {
  console.log(`${client}: all ${done} steps passed`);
}

export const same = deepStrictEqual;
export const must = ok;
