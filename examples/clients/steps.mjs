// What both programs in JavaScript need: the server from the environment, and steps that are told as they are done.

import { deepStrictEqual, ok } from "node:assert/strict";

const url = process.env.ROLLBOOK_CLIENT_URL ?? "http://127.0.0.1:8080";
const [key, secret] = (process.env.ROLLBOOK_CLIENT_CREDENTIAL ?? "").split(":");
if (!secret) {
  console.error("set ROLLBOOK_CLIENT_CREDENTIAL to key:secret of a credential with the scope all");
  process.exit(2);
}

export const server = { endpoint: `${url.replace(/\/$/, "")}/xapi/`, key, secret };

let done = 0;

/** Does one thing and tells it; anything that goes wrong, or is not as it should be, ends the program. */
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
  console.log(`${client}: ${done} steps, all as they should be`);
}

export const same = deepStrictEqual;
export const must = ok;
