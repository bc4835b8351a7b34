// The Agents SDK for JavaScript through the chain, with its Responses model and the tools that it runs itself.
import assert from "node:assert/strict";
import {
  Agent, applyDiff, applyPatchTool, MemorySession, OpenAIConversationsSession, OpenAIResponsesCompactionSession, OpenAIResponsesModel, OpenAIResponsesWSModel,
  run, setTracingDisabled, shellTool, tool,
} from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { assistantLines, baseURL, testCase } from "./report.mjs";

setTracingDisabled(true);
const client = new OpenAI({ baseURL: baseURL ?? "http://127.0.0.1:9/v1", apiKey: "unused", maxRetries: 0, timeout: 30_000 });
const model = new OpenAIResponsesModel(client, "/mnt/models");
const weather = (cities) => tool({
  name: "get_weather", description: "The weather", parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => { cities.push(city); return "sunny"; },
});

testCase("tool-loop", "a function tool is called, and its result and the thought before it reach the model", async () => {
  const cities = [];
  const agent = new Agent({ name: "a", instructions: "Be kind.", model, tools: [weather(cities)] });
  const r = await run(agent, 'mock: reasoning="my plan" call=get_weather\nOslo');
  assert.deepEqual(cities, ["Oslo"]);
  assert.match(r.finalOutput, /The tools say: sunny/);
  const lines = assistantLines(r.finalOutput);
  assert.equal(lines.length, 1, r.finalOutput);
  assert.match(lines[0], /reasoning="my plan"/);
});

testCase("streamed", "a streamed run gives the same", async () => {
  const cities = [];
  const r = await run(new Agent({ name: "a", model, tools: [weather(cities)] }), "weather in Rome", { stream: true });
  let text = "";
  for await (const piece of r.toTextStream()) text += piece;
  await r.completed;
  assert.deepEqual(cities, ["weather in Rome"]);
  assert.ok(r.finalOutput.startsWith("The tools say: sunny"));
  assert.ok(text.endsWith(r.finalOutput));
});

testCase("handoff", "a handoff is a call whose history the next agent's model reads", async () => {
  const forecaster = new Agent({ name: "forecaster", instructions: "You forecast.", model });
  const front = Agent.create({ name: "front", instructions: "You greet.", model, handoffs: [forecaster] });
  const r = await run(front, "please ask the forecaster");
  assert.equal(r.lastAgent.name, "forecaster");
  assert.match(r.finalOutput, /calls transfer_to_forecaster/);
});

testCase("output-type", "an output type is parsed", async () => {
  const r = await run(new Agent({ name: "a", model, outputType: z.object({ name: z.string(), people: z.number().int().min(1) }) }), "Lima");
  assert.deepEqual(r.finalOutput, { name: "Lima", people: 1 });
});

testCase("shell-tool", "shellTool: the client runs the model's commands, and what they wrote goes back", async () => {
  const ran = [];
  const shell = { run: async ({ commands }) => {
    ran.push(...commands);
    return { output: commands.map((c) => ({ stdout: `did ${c}`, stderr: "", outcome: { type: "exit", exitCode: 0 } })) };
  } };
  for (const stream of [false, true]) {
    const r = await run(new Agent({ name: "a", model, tools: [shellTool({ shell })] }), 'mock: call=`shell {"commands":["ls -l","pwd"]}`\nlist', { stream });
    if (stream) await r.completed;
    for (const part of ["did ls -l", "did pwd", "calls shell"]) assert.ok(r.finalOutput.includes(part), r.finalOutput);
  }
  assert.deepEqual(ran, ["ls -l", "pwd", "ls -l", "pwd"]);
});

testCase("apply-patch-tool", "applyPatchTool: the client applies the model's patch, and its result goes back", async () => {
  const files = {};
  const editor = {
    createFile: async ({ path, diff }) => { files[path] = applyDiff("", diff, "create"); return { status: "completed", output: `created ${path}` }; },
    updateFile: async ({ path, diff }) => { files[path] = applyDiff(files[path], diff); return { status: "completed", output: `updated ${path}` }; },
    deleteFile: async ({ path }) => { delete files[path]; return { status: "completed" }; },
  };
  const create = JSON.stringify({ type: "create_file", path: "a.txt", diff: '+one\n+two "ü"\n' });
  const r = await run(new Agent({ name: "a", model, tools: [applyPatchTool({ editor })] }), `patch\nmock: call=\`apply_patch ${create}\``);
  assert.equal(files["a.txt"].trimEnd(), 'one\ntwo "ü"');
  assert.match(r.finalOutput, /created a\.txt/);
  assert.match(r.finalOutput, /calls apply_patch/);
});

testCase("conversations-session", "OpenAIConversationsSession keeps a chat with a tool loop in a conversation, and a second run goes on from it", async () => {
  const cities = [];
  const session = new OpenAIConversationsSession({ client });
  const first = await run(new Agent({ name: "a", model, tools: [weather(cities)] }), "weather in Oslo", { session });
  assert.deepEqual(cities, ["weather in Oslo"]);
  assert.match(first.finalOutput, /The tools say: sunny/);
  const second = await run(new Agent({ name: "b", model }), "and now?", { session });
  for (const part of ['user: [text "weather in Oslo"]', "calls get_weather", 'user: "and now?"']) assert.ok(second.finalOutput.includes(part), second.finalOutput);
  assert.equal((await session.getItems()).length, 6);
  await session.popItem();
  assert.equal((await session.getItems()).length, 5);
  await session.clearSession();
}, { needsServer: true });

testCase("previous-response", "a tool loop and a streamed run go on by previousResponseId: only what is new is sent", async () => {
  const cities = [];
  const first = await run(new Agent({ name: "a", model }), "my name is Ada");
  const second = await run(new Agent({ name: "b", model, tools: [weather(cities)] }), "weather in Oslo", { previousResponseId: first.lastResponseId });
  assert.deepEqual(cities, ["weather in Oslo"]);
  assert.match(second.finalOutput, /The tools say: sunny/);
  const third = await run(new Agent({ name: "c", model }), "and now?", { previousResponseId: second.lastResponseId, stream: true });
  await third.completed;
  for (const part of ['user: "my name is Ada"', 'user: "weather in Oslo"', "calls get_weather", 'user: "and now?"']) {
    assert.equal(third.finalOutput.split(part).length - 1, 1, third.finalOutput); // once: nothing was sent along again
  }
}, { needsServer: true });

testCase("websocket-model", "OpenAIResponsesWSModel: a tool loop, and a streamed run that goes on from it by previousResponseId, over a WebSocket", async () => {
  globalThis.WebSocket ??= (await import("ws")).WebSocket; // Node has one from 22 on
  const cities = [];
  const ws = new OpenAIResponsesWSModel(client, "/mnt/models");
  const first = await run(new Agent({ name: "a", model: ws, tools: [weather(cities)] }), "weather in Oslo");
  assert.deepEqual(cities, ["weather in Oslo"]);
  assert.match(first.finalOutput, /The tools say: sunny/);
  const second = await run(new Agent({ name: "b", model: ws }), "and now?", { previousResponseId: first.lastResponseId, stream: true });
  await second.completed;
  for (const part of ['user: "weather in Oslo"', "calls get_weather", 'user: "and now?"']) assert.ok(second.finalOutput.includes(part), second.finalOutput);
  await ws.close();
}, { needsWebSocket: true });

testCase("compaction-session", "OpenAIResponsesCompactionSession compacts a chat by previous_response_id or by its items, and the next run goes on from what it keeps", async () => {
  for (const compactionMode of ["previous_response_id", "input"]) {
    const store = new MemorySession();
    const session = new OpenAIResponsesCompactionSession({ client, underlyingSession: store, compactionMode, shouldTriggerCompaction: () => false });
    session.model = "/mnt/models"; // its constructor takes names of OpenAI only
    const first = await run(new Agent({ name: "a", model, tools: [weather([])] }), "weather in Oslo", { session });
    assert.equal((await store.getItems()).length, 4);
    await session.runCompaction({ force: true, responseId: first.lastResponseId });
    assert.deepEqual((await store.getItems()).map((item) => item.type), ["message", "compaction"]);
    const second = await run(new Agent({ name: "b", model }), "and now?", { session });
    for (const part of ["I received 2 messages.", "Summary of the conversation so far", "weather in Oslo", '2 user: "and now?"']) {
      assert.ok(second.finalOutput.includes(part), second.finalOutput);
    }
  }
}, { needsServer: true });
