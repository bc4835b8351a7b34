// The real pi coding agent with a provider of one's own, as docs/clients.md tells users to write it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runProgram, workspace } from "./agents-cli.mjs";
import { baseURL, testCase } from "./report.mjs";

const at = workspace("pi");
mkdirSync(join(at.home, ".pi", "agent"), { recursive: true });
writeFileSync(join(at.home, ".pi", "agent", "models.json"), JSON.stringify({ providers: { antwort: {
  baseUrl: baseURL, api: "openai-responses", apiKey: "unused",
  models: [{ id: "/mnt/models", name: "mock", reasoning: true, input: ["text", "image"], contextWindow: 100000, maxTokens: 20000,
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 } }],
} } }));
const env = { PI_OFFLINE: "1", PI_TELEMETRY: "0", PI_SKIP_VERSION_CHECK: "1" };

/** Runs pi once and returns the parts of the model's messages. */
async function pi(prompt, ...args) {
  const out = await runProgram(".bin/pi", ["--provider", "antwort", "--model", "/mnt/models", "--thinking", "medium", "--mode", "json", ...args, "-p", prompt], { ...at, env });
  return jsonLines(out).findLast((event) => event.type === "agent_end").messages.filter((m) => m.role === "assistant").flatMap((m) => m.content);
}

testCase("task", "a command runs, a file is written, the thought is shown and goes back with its call", async () => {
  const parts = await pi(`do it
mock: turn=1 reasoning="my own plan" call=\`bash {"command":"echo one > a.txt"}\`
mock: turn=2 call=\`write {"path":"b.txt","content":"two \\"ü\\"\\n"}\`
mock: turn=3 call=none`);
  assert.equal(readFileSync(join(at.work, "a.txt"), "utf8"), "one\n");
  assert.equal(readFileSync(join(at.work, "b.txt"), "utf8"), 'two "ü"\n');
  assert.equal(parts.find((p) => p.type === "thinking").thinking, "my own plan");
  const text = parts.findLast((p) => p.type === "text").text;
  assert.match(text, /reasoning="my own plan"/);
  assert.match(text, /calls bash/);
});

testCase("continue", "a session that is continued has its history", async () => {
  const text = (await pi("and now?\nmock: call=none", "--continue")).findLast((p) => p.type === "text").text;
  for (const part of ["my own plan", "calls write", "and now?"]) assert.ok(text.includes(part), part);
});
