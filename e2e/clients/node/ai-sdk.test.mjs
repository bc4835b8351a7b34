// The AI SDK with @ai-sdk/openai through the chain, with store: false as a gateway without a store needs it, and on its defaults.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { assistantLines, baseURL, dot, testCase } from "./report.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const model = createOpenAI({ baseURL: baseURL ?? "http://127.0.0.1:9/v1", apiKey: "unused" }).responses("/mnt/models");
const openai = { store: false, forceReasoning: true, reasoningSummary: "detailed", include: ["reasoning.encrypted_content"] };
const options = { model, maxRetries: 0, providerOptions: { openai } };
const weather = (cities) => tool({
  description: "The weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => { cities.push(city); return "sunny"; },
});

testCase("generate-text", "system and prompt reach the model; usage is counted", async () => {
  const r = await generateText({ ...options, system: "Be kind.", prompt: "hello" });
  assert.match(r.text, /1 system: "Be kind\."/);
  assert.match(r.text, /hello/);
  assert.ok(r.usage.outputTokens > 0);
});

testCase("tool-loop", "a tool loop with a thought and text before the call: all of it goes back as one turn", async () => {
  const cities = [];
  const r = await generateText({ ...options, tools: { get_weather: weather(cities) }, stopWhen: stepCountIs(3),
    prompt: 'mock: reasoning="my plan" text="Let me look." call=get_weather\nOslo' });
  assert.deepEqual(cities, ["Oslo"]);
  assert.match(r.text, /The tools say: "?sunny/);
  const lines = assistantLines(r.text);
  assert.equal(lines.length, 1, r.text);
  for (const part of ['reasoning="my plan"', "Let me look.", "calls get_weather"]) assert.ok(lines[0].includes(part), lines[0]);
});

testCase("stream-thoughts", "a streamed loop shows the thought, and it goes back with its call", async () => {
  const cities = [];
  const r = streamText({ ...options, tools: { get_weather: weather(cities) }, stopWhen: stepCountIs(3),
    prompt: 'mock: reasoning="my plan" call=get_weather\nOslo' });
  let thought = "", text = "";
  for await (const part of r.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "reasoning-delta") thought += part.text;
    if (part.type === "text-delta") text += part.text;
  }
  assert.ok(thought.startsWith("my plan"), thought);
  assert.deepEqual(cities, ["Oslo"]);
  assert.match(assistantLines(text)[0], /reasoning="my plan"/);
});

testCase("messages", "the messages of one turn are the history of the next", async () => {
  const first = await generateText({ ...options, prompt: 'mock: reasoning="my thought" text="Fine."\nhi' });
  const r = await generateText({ ...options, messages: [{ role: "user", content: "hi" }, ...first.response.messages, { role: "user", content: "and now?" }] });
  const lines = assistantLines(r.text);
  assert.equal(lines.length, 1, r.text);
  assert.match(lines[0], /Fine\./);
  assert.match(lines[0], /reasoning="my thought"/);
});

testCase("object", "an object by a zod schema", async () => {
  const r = await generateObject({ ...options, schema: z.object({ name: z.string(), age: z.number().int().min(1) }), prompt: "Ann" });
  assert.deepEqual(r.object, { name: "Ann", age: 1 });
});

testCase("image", "an image reaches the model", async () => {
  const r = await generateText({ ...options, messages: [{ role: "user", content: [{ type: "text", text: "look" }, { type: "image", image: dot, mediaType: "image/png" }] }] });
  assert.match(r.text, /image_url image\/png/);
});

testCase("default-store", "on its defaults a second turn refers to the first one's items where there is a store, and is refused where there is none, with what to set", async () => {
  const own = { model, maxRetries: 0 };
  const first = await generateText({ ...own, prompt: 'mock: reasoning="plan" text="Fine."\nhi' });
  const second = generateText({ ...own, messages: [{ role: "user", content: "hi" }, ...first.response.messages, { role: "user", content: "and now?" }] });
  if (process.env.E2E_SERVER === "0") {
    await assert.rejects(second, (e) => e.statusCode === 400 && /item_reference/.test(e.message));
    return;
  }
  const lines = assistantLines((await second).text);
  assert.equal(lines.length, 1);
  for (const part of ['reasoning="plan"', "Fine."]) assert.ok(lines[0].includes(part), lines[0]);
});

testCase("default-tools", "on its defaults a tool loop with a thought and text before the call goes back by reference, whole", async () => {
  const cities = [];
  const r = await generateText({ model, maxRetries: 0, tools: { get_weather: weather(cities) }, stopWhen: stepCountIs(3),
    prompt: 'mock: reasoning="my plan" text="Let me look." call=get_weather\nOslo' });
  assert.deepEqual(cities, ["Oslo"]);
  assert.match(r.text, /The tools say: "?sunny/);
  const lines = assistantLines(r.text);
  assert.equal(lines.length, 1, r.text);
  for (const part of ['reasoning="my plan"', "Let me look.", "calls get_weather"]) assert.ok(lines[0].includes(part), lines[0]);
}, { needsServer: true });
