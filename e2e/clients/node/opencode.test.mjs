// The real opencode (the program that npm installs for Linux on x64) with the provider that docs/clients.md tells users to write.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runProgram, workspace } from "./agents-cli.mjs";
import { baseURL, testCase } from "./report.mjs";

const configuration = {
  $schema: "https://opencode.ai/config.json",
  autoupdate: false, share: "disabled", model: "antwort//mnt/models", small_model: "antwort//mnt/models", permission: { "*": "allow" },
  provider: { antwort: {
    npm: "@ai-sdk/openai", name: "antwort", options: { baseURL, apiKey: "unused" },
    models: { "/mnt/models": {
      name: "mock", reasoning: true, attachment: true, tool_call: true, limit: { context: 100000, output: 20000 },
      options: { reasoningSummary: "detailed", include: ["reasoning.encrypted_content"] },
    } },
  } },
};

const at = workspace("opencode");
const env = { OPENCODE_DISABLE_AUTOUPDATE: "1", OPENCODE_DISABLE_MODELS_FETCH: "1", OPENCODE_DISABLE_LSP_DOWNLOAD: "1", OPENCODE_DISABLE_DEFAULT_PLUGINS: "1" };

/** Runs opencode once and returns the parts that it printed. */
async function opencode(prompt, ...args) {
  const events = jsonLines(await runProgram("opencode-linux-x64/bin/opencode", ["run", "--format", "json", "--thinking", "--title", "e2e", ...args], { ...at, env, input: prompt }));
  assert.ok(!events.some((e) => e.type === "error"), JSON.stringify(events));
  const parts = (type) => events.filter((e) => e.type === type).map((e) => e.part);
  return { thoughts: parts("reasoning").map((p) => p.text), tools: parts("tool_use"), text: parts("text").at(-1)?.text ?? "" };
}

writeFileSync(join(at.work, "opencode.json"), JSON.stringify(configuration));

testCase("task", "a task of two tools: commands run, files are written, the thought is shown and goes back with its call", async () => {
  const write = JSON.stringify({ filePath: join(at.work, "b.txt"), content: 'two "ü"\n' });
  const r = await opencode(`do it
mock: turn=1 reasoning="my own plan" call=\`bash {"command":"echo one > a.txt","description":"writes"}\`
mock: turn=2 call=\`write ${write}\`
mock: turn=3 call=none`);
  assert.equal(readFileSync(join(at.work, "a.txt"), "utf8"), "one\n");
  assert.equal(readFileSync(join(at.work, "b.txt"), "utf8"), 'two "ü"\n');
  assert.deepEqual(r.tools.map((t) => [t.tool, t.state.status]), [["bash", "completed"], ["write", "completed"]]);
  assert.equal(r.thoughts[0], "my own plan");
  assert.match(r.text, /calls bash/);
  assert.match(r.text, /reasoning="my own plan"/);
});

testCase("continue", "a session that is continued has its history, calls included", async () => {
  const r = await opencode("and now?\nmock: call=none", "--continue");
  for (const part of ["my own plan", "calls bash", "calls write", "and now?"]) assert.ok(r.text.includes(part), part);
});
