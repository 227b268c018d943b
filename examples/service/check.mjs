// node check.mjs < account.json
import { readFileSync } from "node:fs";

const service = process.env.ACX_SERVICE ?? "http://127.0.0.1:8450";
const token = readFileSync(process.env.ACX_TOKEN_FILE ?? "token", "ascii").trim();

/** The hits of an account, most probable first. */
export async function check(account) {
  const answer = await fetch(`${service}/v1/check`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(account),
    signal: AbortSignal.timeout(10_000),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${body.title}: ${body.detail}`);
  return body;
}

try {
  console.log(JSON.stringify(await check(JSON.parse(readFileSync(0, "utf8")))));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
