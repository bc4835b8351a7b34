// LangChain for JavaScript: ChatOpenAI with useResponsesApi through the chain. With zdrEnabled it would lose streamed thoughts:
// it then sends back only those whose encrypted_content it has kept, and of streams it keeps none.
import assert from "node:assert/strict";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { concat } from "@langchain/core/utils/stream";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { assistantLines, baseURL, dot, testCase } from "./report.mjs";

const chat = (how = {}) => new ChatOpenAI({ model: "/mnt/models", apiKey: "unused", useResponsesApi: true, maxRetries: 0,
  configuration: { baseURL: baseURL ?? "http://127.0.0.1:9/v1" }, ...how });
const weather = tool(async ({ city }) => `sunny in ${city}`, { name: "get_weather", description: "The weather", schema: z.object({ city: z.string() }) });
// By modelKwargs, as LangChain asks only models for thoughts whose names it knows.
const thinking = { modelKwargs: { reasoning: { effort: "medium", summary: "detailed" } } };
const thoughts = (message) => message.contentBlocks.filter((b) => b.type === "reasoning").map((b) => b.reasoning).join("");

async function streamed(model, messages, how) {
  let whole;
  for await (const chunk of await model.stream(messages, how)) whole = whole === undefined ? chunk : concat(whole, chunk);
  return whole;
}

testCase("invoke", "system and human messages reach the model; usage comes back", async () => {
  const r = await chat().invoke([new SystemMessage("Be kind."), new HumanMessage("hello")]);
  assert.match(r.text, /1 system: "Be kind\."/);
  assert.ok(r.usage_metadata.output_tokens > 0);
});

testCase("tools", "a call, its result and the next turn, whole and streamed", async () => {
  const bound = chat().bindTools([weather]);
  for (const ask of [(m) => bound.invoke(m), (m) => streamed(bound, m)]) {
    const messages = [new HumanMessage("weather in Bonn")];
    const answer = await ask(messages);
    assert.deepEqual(answer.tool_calls.map((c) => c.args), [{ city: "weather in Bonn" }]);
    messages.push(answer, await weather.invoke(answer.tool_calls[0]));
    const text = (await ask(messages)).text;
    assert.ok(text.startsWith("The tools say: sunny in weather in Bonn"), text);
    assert.equal(assistantLines(text).length, 1);
  }
});

testCase("thoughts", "thoughts are shown and go back to the model, whole and streamed", async () => {
  const model = chat(thinking);
  for (const ask of [(m) => model.invoke(m), (m) => streamed(model, m)]) {
    const messages = [new HumanMessage('mock: reasoning="my thought" text="Fine."\nhi')];
    const answer = await ask(messages);
    assert.equal(thoughts(answer), "my thought");
    const lines = assistantLines((await ask([...messages, answer, new HumanMessage("and now?")])).text);
    assert.equal(lines.length, 1);
    assert.match(lines[0], /reasoning="my thought"/);
  }
});

testCase("previous-response", "previous_response_id: only what is new is sent, a tool's result too, and the model sees every turn, whole and streamed", async () => {
  const bound = chat().bindTools([weather]);
  for (const ask of [(m, how) => bound.invoke(m, how), (m, how) => streamed(bound, m, how)]) {
    const after = (message) => ({ previous_response_id: message.response_metadata.id });
    const first = await ask([new HumanMessage("weather in Bonn")]);
    const second = await ask([await weather.invoke(first.tool_calls[0])], after(first));
    assert.ok(second.text.startsWith("The tools say: sunny in weather in Bonn"), second.text);
    const text = (await chat().invoke([new HumanMessage("and now?")], after(second))).text;
    for (const part of ['user: "weather in Bonn"', "calls get_weather", "sunny in weather in Bonn", 'user: "and now?"']) assert.ok(text.includes(part), text);
  }
}, { needsServer: true });

testCase("structured-output", "withStructuredOutput parses by a zod schema", async () => {
  const r = await chat().withStructuredOutput(z.object({ name: z.string(), age: z.number().int().min(1) }), { name: "person" }).invoke("Zoe");
  assert.deepEqual(r, { name: "Zoe", age: 1 });
});

testCase("image", "an image reaches the model", async () => {
  const url = `data:image/png;base64,${dot}`;
  const r = await chat().invoke([new HumanMessage({ content: [{ type: "text", text: "look" }, { type: "image_url", image_url: { url } }] })]);
  assert.match(r.text, /image_url image\/png/);
});
