// The real GitHub Copilot CLI with a provider of one's own, as docs/clients.md tells users to set it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram, workspace } from "./agents-cli.mjs";
import { baseURL, testCase } from "./report.mjs";

const at = workspace("copilot");
const env = { COPILOT_PROVIDER_BASE_URL: baseURL, COPILOT_PROVIDER_API_KEY: "unused", COPILOT_PROVIDER_WIRE_API: "responses", COPILOT_MODEL: "/mnt/models",
  COPILOT_OFFLINE: "true", COPILOT_AUTO_UPDATE: "false" };
const run = (at, env, prompt, ...args) => runProgram(".bin/copilot", ["--allow-all-tools", "--no-color", "--stream", "off", "-p", prompt, ...args], { ...at, env });
const copilot = (...args) => run(at, env, ...args);

testCase("task", "a task of two commands, whose outputs go back to the model", async () => {
  const out = await copilot(`do it
mock: turn=1 call=\`bash {"command":"echo one > a.txt","description":"writes"}\`
mock: turn=2 call=\`bash {"command":"cat a.txt; echo two > b.txt","description":"reads"}\`
mock: turn=3 call=none`);
  assert.equal(readFileSync(join(at.work, "a.txt"), "utf8"), "one\n");
  assert.equal(readFileSync(join(at.work, "b.txt"), "utf8"), "two\n");
  assert.match(out, /The tools say: one/);
});

testCase("continue", "a session that is continued has its history", async () => {
  const out = await copilot("and now?\nmock: call=none", "--continue");
  for (const part of ["calls bash", "and now?"]) assert.ok(out.includes(part), out.slice(0, 2000));
});

testCase("websocket", "COPILOT_PROVIDER_TRANSPORT=websockets: a task of two commands and a session that is continued, over WebSockets", async () => {
  const other = workspace("copilot-websocket");
  const over = (...args) => run(other, { ...env, COPILOT_PROVIDER_TRANSPORT: "websockets" }, ...args);
  await over(`do it
mock: turn=1 call=\`bash {"command":"echo one > a.txt","description":"writes"}\`
mock: turn=2 call=\`bash {"command":"cat a.txt; echo two > b.txt","description":"reads"}\`
mock: turn=3 call=none`);
  assert.equal(readFileSync(join(other.work, "b.txt"), "utf8"), "two\n");
  const out = await over("and now?\nmock: call=none", "--continue");
  for (const part of ["calls bash", "and now?"]) assert.ok(out.includes(part), out.slice(0, 2000));
}, { needsWebSocket: true });
