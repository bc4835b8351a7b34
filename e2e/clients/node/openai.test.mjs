// The official openai package for Node through the chain. The mock model answers with what it received, so a lost input
// shows. Its stream() is the strictest reader of events there is: it throws on names that it does not know and on items
// that change.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { assistantLines, baseURL, testCase } from "./report.mjs";

const model = "/mnt/models";
const client = new OpenAI({ baseURL: baseURL ?? "http://127.0.0.1:9/v1", apiKey: "unused", maxRetries: 0, timeout: 30_000 });

const Person = z.object({ name: z.string(), age: z.number().int() });
const weather = zodResponsesFunction({ name: "get_weather", description: "The weather", parameters: z.object({ city: z.string() }) });
const time = zodResponsesFunction({ name: "get_time", parameters: z.object({ zone: z.enum(["Europe/Paris"]) }) });

const collect = async (stream) => {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
};
const joined = (events, type, index) =>
  events.filter((e) => e.type === type && (index === undefined || e.output_index === index)).map((e) => e.delta).join("");

testCase("create", "the prompt reaches the model; usage is counted; output_text is the answer", async () => {
  const r = await client.responses.create({ model, instructions: "You are terse.", input: "Grüße 👋", temperature: 0.5 });
  assert.match(r.output_text, /1 system: "You are terse\."/);
  assert.match(r.output_text, /2 user: "Grüße 👋"/);
  assert.match(r.output_text, /temperature=0\.5/);
  assert.equal(r.status, "completed");
  assert.equal(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens);
  assert.ok(r.usage.output_tokens > 5);
});

testCase("stream-events", "created first, completed last, sequence numbers without a gap, ids the same throughout (openai/codex#41340)", async () => {
  const events = await collect(await client.responses.create({ model, input: "stream me", stream: true }));
  assert.deepEqual(events.slice(0, 2).map((e) => e.type), ["response.created", "response.in_progress"]);
  const final = events.at(-1);
  assert.equal(final.type, "response.completed");
  assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
  assert.deepEqual(events.filter((e) => e.type === "response.output_item.done").map((e) => e.item), final.response.output);
  assert.equal(joined(events, "response.output_text.delta"), final.response.output[0].content[0].text);
  assert.ok(final.response.usage.output_tokens > 5);
});

testCase("stream", "stream() accepts every event and accumulates to the final response (vllm#45742)", async () => {
  const stream = client.responses.stream({ model, input: 'mock: reasoning="let me see" text="Here you are." call=get_weather\nweather', tools: [weather] });
  let text = "";
  stream.on("response.output_text.delta", (e) => { text += e.delta; });
  const events = await collect(stream);
  const final = await stream.finalResponse();
  assert.equal(text, "Here you are.");
  assert.equal(final.output_text, text);
  assert.deepEqual(final.output.map((i) => i.type), ["reasoning", "message", "function_call"]);
  assert.equal(joined(events, "response.reasoning_text.delta"), "let me see");
  assert.deepEqual(final.output[2].parsed_arguments, { city: "weather" });
});

testCase("stream-parallel", "interleaved parallel calls are items one after another with whole arguments (litellm#19368)", async () => {
  const stream = client.responses.stream({ model, input: "mock: calls=3 interleave=1\nweather and time", tools: [weather, time] });
  const events = await collect(stream);
  const calls = (await stream.finalResponse()).output;
  assert.deepEqual(calls.map((c) => c.name), ["get_weather", "get_time", "get_weather"]);
  assert.equal(new Set(calls.map((c) => c.call_id)).size, 3);
  calls.forEach((call, i) => assert.equal(joined(events, "response.function_call_arguments.delta", i), call.arguments));
  const order = events.filter((e) => e.type.startsWith("response.output_item.")).map((e) => `${e.type.split(".").at(-1)}${e.output_index}`);
  assert.deepEqual(order, ["added0", "done0", "added1", "done1", "added2", "done2"]);
});

testCase("parse", "a zod schema reaches the model, and the answer is parsed by it, whole and streamed", async () => {
  const ask = { model, input: "Ann", text: { format: zodTextFormat(Person, "person") } };
  const r = await client.responses.parse(ask);
  assert.deepEqual(r.output_parsed, { name: "Ann", age: r.output_parsed.age });
  assert.ok(Number.isInteger(r.output_parsed.age));
  const stream = client.responses.stream(ask);
  assert.equal((await stream.finalResponse()).output_parsed.name, "Ann");
});

testCase("tools", "a parsed call, its result and the reasoning before it reach the model as one turn (litellm#13420, #21154)", async () => {
  const input = [{ role: "user", content: 'mock: reasoning="plan" call=get_weather\nweather' }];
  let r = await client.responses.parse({ model, input, tools: [weather] });
  const call = r.output.find((i) => i.type === "function_call");
  assert.deepEqual(call.parsed_arguments, { city: "weather" });
  input.push(...r.output.map(({ parsed_arguments, ...item }) => item), { type: "function_call_output", call_id: call.call_id, output: "sunny" });
  r = await client.responses.create({ model, input, tools: [weather] });
  assert.ok(r.output_text.startsWith("The tools say: sunny"), r.output_text);
  const assistant = assistantLines(r.output_text);
  assert.equal(assistant.length, 1);
  assert.match(assistant[0], /calls get_weather/);
  assert.match(assistant[0], /reasoning="plan"/);
});

testCase("custom-tool", "a custom tool's call has free text, whole and streamed (litellm#20905)", async () => {
  const tools = [{ type: "custom", name: "apply_patch", description: "Edits files" }];
  const ask = { model, input: "apply_patch:\n*** Begin \"Patch\"\\n", tools, tool_choice: "required" };
  const r = await client.responses.create(ask);
  assert.equal(r.output[0].type, "custom_tool_call");
  assert.equal(r.output[0].name, "apply_patch");
  assert.equal(r.output[0].input, ask.input);
  const events = await collect(await client.responses.create({ ...ask, stream: true }));
  assert.equal(joined(events, "response.custom_tool_call_input.delta"), ask.input);
  assert.equal(events.at(-1).response.output[0].input, ask.input);
  const after = await client.responses.create({ model, tools, input: [{ role: "user", content: "go" }, ...r.output,
    { type: "custom_tool_call_output", call_id: r.output[0].call_id, output: "patched" }] });
  assert.ok(after.output_text.startsWith("The tools say: patched"), after.output_text);
});

testCase("incomplete", "a cut answer is incomplete, whole and streamed (litellm#37710)", async () => {
  const ask = { model, input: "please echo this at length", max_output_tokens: 16 };
  const r = await client.responses.create(ask);
  assert.deepEqual([r.status, r.incomplete_details.reason], ["incomplete", "max_output_tokens"]);
  const final = await client.responses.stream(ask).finalResponse().catch((error) => error);
  const events = await collect(await client.responses.create({ ...ask, stream: true }));
  assert.equal(events.at(-1).type, "response.incomplete");
  assert.ok(final instanceof Error || final.status === "incomplete", String(final));
});

testCase("refusal", "a refusal is a refusal part, whole and streamed", async () => {
  const ask = { model, input: 'mock: refusal="No."\nhi' };
  assert.equal((await client.responses.create(ask)).output[0].content[0].refusal, "No.");
  const stream = client.responses.stream(ask);
  assert.equal(joined(await collect(stream), "response.refusal.delta"), "No.");
  assert.equal((await stream.finalResponse()).output[0].content[0].refusal, "No.");
});

testCase("errors", "statuses are the SDK's error classes with type, code and param", async () => {
  const fails = (body, kind, check = {}) => assert.rejects(client.responses.create({ model, input: "hi", ...body }), (e) => {
    assert.ok(e instanceof kind, `${e}`);
    for (const [key, value] of Object.entries(check)) assert.equal(e[key], value, `${key} of ${JSON.stringify(e.error)}`);
    return true;
  });
  await fails({ temperature: 3 }, OpenAI.BadRequestError, { param: "temperature", type: "invalid_request_error" });
  await fails({ tools: [{ type: "web_search" }] }, OpenAI.BadRequestError, { param: "tools[0].type" });
  await fails({ model: "nope" }, OpenAI.NotFoundError, { code: "model_not_found" });
  await fails({ input: "mock: status=429\nhi" }, OpenAI.RateLimitError, { status: 429 });
  await fails({ input: "mock: status=500\nhi" }, OpenAI.InternalServerError, { status: 500 });
  await fails({ input: "a ".repeat(2 ** 20) }, OpenAI.BadRequestError, { code: "context_length_exceeded" });
  await fails({ previous_response_id: "resp_x" }, OpenAI.BadRequestError, { code: "previous_response_not_found" });
});

testCase("stream-cut", "a cut stream rejects; it is never a final response (codex-lb#1833)", async () => {
  for (const fault of ["cut-after=6", "end-after=6", "error-after=6"]) {
    const ask = { model, input: `mock: ${fault}\nhello there` };
    await assert.rejects(client.responses.stream(ask).finalResponse(), fault);
    await assert.rejects(client.responses.create({ ...ask, stream: true }).then(collect), OpenAI.APIError, fault);
  }
}, { needsServer: true });

testCase("stream-first-error", "an error as the first event of a 200 is a real status (clawrouter#101)", async () => {
  await assert.rejects(client.responses.create({ model, input: "mock: error-after=0\nhi", stream: true }), (e) => e.status >= 400);
}, { needsServer: true });

testCase("stream-silence", "a silent stream is kept alive, and the comments that do it disturb nothing (litellm#34821)", async () => {
  const start = performance.now();
  let created;
  const stream = client.responses.stream({ model, input: 'mock: text="a b" first-delay=4500ms\nhi' });
  stream.on("response.created", () => { created = performance.now() - start; });
  assert.equal((await stream.finalResponse()).output_text, "a b");
  assert.ok(created > 2900 && created < 4300, `created after ${created} ms`);
}, { needsServer: true });

testCase("abort", "an aborted stream ends the generation upstream (litellm#37140)", async () => {
  const upstream = process.env.UPSTREAM_URL;
  if (!upstream) return; // nobody to ask
  const stats = async (query = "") => (await fetch(`${upstream}/mock/stats${query}`)).json();
  const before = (await stats()).aborted;
  const stream = await client.responses.create({ model, input: "mock: tokens=100000 delay=5ms\nhi", stream: true });
  for await (const event of stream) if (event.type === "response.output_text.delta") break;
  stream.controller.abort();
  const after = await stats(`?aborted=${before + 1}&idle=1&wait=5s`);
  assert.deepEqual([after.aborted, after.active], [before + 1, 0]);
});

testCase("models", "models.list() gives upstream's models", async () => {
  const names = [];
  for await (const m of client.models.list()) names.push(m.id);
  assert.deepEqual(names, [model]);
});

testCase("conversations", "a conversation is made, read, changed and deleted; its items page by page; responses on it see it and become a part of it", async () => {
  const message = (n) => ({ type: "message", role: "user", content: `number ${n}` });
  const made = await client.conversations.create({ items: [message(0)], metadata: { topic: "demo" } });
  assert.equal(made.object, "conversation");
  assert.deepEqual(await client.conversations.retrieve(made.id), made);
  let added;
  for (let first = 1; first < 45; first += 11) {
    added = await client.conversations.items.create(made.id, { items: Array.from({ length: 11 }, (_, i) => message(first + i)) });
    assert.equal(added.data.length, 11);
  }
  const numbers = [];
  for await (const item of client.conversations.items.list(made.id, { order: "asc", limit: 7 })) numbers.push(Number(item.content[0].text.split(" ")[1]));
  assert.deepEqual(numbers, Array.from({ length: 45 }, (_, i) => i));
  const one = added.data[0];
  assert.deepEqual(await client.conversations.items.retrieve(one.id, { conversation_id: made.id }), one);
  assert.deepEqual(await client.conversations.items.delete(one.id, { conversation_id: made.id }), made);
  assert.deepEqual((await client.conversations.update(made.id, { metadata: { a: "b" } })).metadata, { a: "b" });

  const chat = await client.conversations.create();
  const first = await client.responses.create({ model, input: "hello", conversation: chat.id });
  assert.equal(first.conversation.id, chat.id);
  const final = await client.responses.stream({ model, input: "and now?", conversation: { id: chat.id } }).finalResponse();
  assert.match(final.output_text, /1 user: "hello"/);
  assert.match(final.output_text, /3 user: "and now\?"/);
  assert.equal((await client.conversations.items.list(chat.id)).data.length, 4);
  assert.deepEqual(await client.conversations.delete(chat.id), { id: chat.id, object: "conversation.deleted", deleted: true });
  await assert.rejects(client.conversations.retrieve(chat.id), (e) => e instanceof OpenAI.NotFoundError && e.code === "conversation_not_found");
}, { needsServer: true });

testCase("stored", "a response is read again, its input items page, it is continued whole and streamed, and deleted", async () => {
  const input = Array.from({ length: 45 }, (_, n) => ({ role: "user", content: `number ${n}` }));
  const first = await client.responses.create({ model, input });
  assert.deepEqual(await client.responses.retrieve(first.id), first);
  const numbers = [];
  for await (const item of client.responses.inputItems.list(first.id, { order: "asc", limit: 7 })) numbers.push(item.content[0].text);
  assert.deepEqual(numbers, input.map((i) => i.content));
  const second = await client.responses.create({ model, input: "and now?", previous_response_id: first.id });
  const third = await client.responses.stream({ model, input: "and then?", previous_response_id: second.id }).finalResponse();
  for (const part of ['user: "number 44"', 'user: "and now?"', 'user: "and then?"']) assert.ok(third.output_text.includes(part), third.output_text);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), (e) => e instanceof OpenAI.NotFoundError && e.code === "response_not_found");
}, { needsServer: true });

testCase("background", "a response in the background is polled; a stream that broke is resumed by stream() and by retrieve(); one that runs is cancelled, and its stream ends", async () => {
  let polled = await client.responses.create({ model, input: "mock: tokens=5 delay=10ms", background: true });
  assert.equal(polled.status, "queued");
  while (["queued", "in_progress"].includes(polled.status)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    polled = await client.responses.retrieve(polled.id);
  }
  assert.equal(polled.status, "completed");

  const broken = await client.responses.create({ model, input: "mock: tokens=20 delay=20ms", background: true, stream: true });
  const seen = [];
  for await (const event of broken) if (seen.push(event) === 6) break; // which cuts the connection
  const id = seen[0].response.id;
  const after = seen.at(-1).sequence_number;
  const rest = await collect(await client.responses.retrieve(id, { stream: true, starting_after: after }));
  assert.deepEqual([...seen, ...rest].map((e) => e.sequence_number), Array.from({ length: seen.length + rest.length }, (_, i) => i));
  assert.equal(rest.at(-1).type, "response.completed");
  const resumed = client.responses.stream({ response_id: id, starting_after: after });
  assert.deepEqual((await collect(resumed)).map((e) => e.sequence_number), rest.map((e) => e.sequence_number));
  assert.equal((await resumed.finalResponse()).output_text, rest.at(-1).response.output[0].content[0].text);

  const running = await client.responses.create({ model, input: "mock: tokens=1000 delay=50ms", background: true, stream: true });
  const told = [];
  for await (const event of running) {
    told.push(event);
    if (event.type === "response.output_text.delta" && told.filter((e) => e.type === event.type).length === 1) {
      assert.equal((await client.responses.cancel(told[0].response.id)).status, "cancelled");
    }
  }
  assert.equal(told.at(-1).response.status, "cancelled");
}, { needsServer: true });

testCase(
  "websocket",
  "ResponsesWS: turns over one WebSocket go on from what is not stored; another connection does not know it, and says so",
  async () => {
    const connect = () => {
      const ws = new ResponsesWS(client);
      ws.on("error", () => {}); // the events say it too
      const events = ws.stream()[Symbol.asyncIterator]();
      const turn = async (request) => {
        ws.send({ type: "response.create", model, store: false, ...request });
        for (;;) {
          const { value } = await events.next();
          if (value.type === "message" && ["response.completed", "error"].includes(value.message.type)) return value.message;
          if (value.type === "close") throw new Error("the connection was closed");
          if (value.type === "error" && value.error?.error) return value.error;
        }
      };
      return { ws, turn };
    };
    const one = connect();
    const first = (await one.turn({ input: "one" })).response;
    const second = (await one.turn({ input: "two", previous_response_id: first.id, stream_id: "lane" })).response;
    const text = second.output.at(-1).content[0].text;
    assert.ok(text.indexOf('user: "one"') < text.indexOf('user: "two"'), text);
    one.ws.close();
    const other = connect();
    const unknown = await other.turn({ input: "three", previous_response_id: second.id });
    assert.equal((unknown.error.error ?? unknown.error).code, "previous_response_not_found");
    other.ws.close();
  },
  { needsWebSocket: true },
);

testCase(
  "websocket-reconnects",
  "ResponsesWS with reconnect: a connection that breaks is made anew by itself; what is stored goes on there, what is not is refused",
  async () => {
    const { hostname, port } = new URL(baseURL);
    const open = new Set();
    const between = createServer((from) => {
      const to = connect(Number(port), hostname);
      for (const [a, b] of [[from, to], [to, from]]) {
        open.add(a.on("error", () => {}).on("close", () => { open.delete(a); b.destroy(); }));
        a.pipe(b);
      }
    });
    await new Promise((listens) => between.listen(0, "127.0.0.1", listens));
    const through = new OpenAI({ baseURL: `http://127.0.0.1:${between.address().port}/v1`, apiKey: "unused", maxRetries: 0, timeout: 30_000 });
    let tried = 0;
    const ws = new ResponsesWS(through, { reconnect: { onReconnecting: () => { tried++; }, initialDelay: 10 } });
    const turn = (request) => new Promise((ended) => {
      const on = (message) => {
        if (!["response.completed", "error"].includes(message.type)) return;
        ws.off("event", on);
        ended(message);
      };
      ws.on("event", on);
      ws.send({ type: "response.create", model, ...request });
    });
    ws.on("error", () => {}); // the events say it too
    const stored = (await turn({ input: "one" })).response;
    const unstored = (await turn({ input: "two", previous_response_id: stored.id, store: false })).response;
    const anew = new Promise((is) => ws.once("reconnected", is));
    for (const socket of open) socket.destroy();
    await anew;
    const third = (await turn({ input: "three", previous_response_id: stored.id })).response;
    const text = third.output.at(-1).content[0].text;
    assert.ok(text.indexOf('user: "one"') < text.indexOf('user: "three"') && !text.includes('"two"'), text);
    const lost = await turn({ input: "four", previous_response_id: unstored.id });
    assert.equal((lost.error?.error ?? lost.error).code, "previous_response_not_found");
    assert.ok(tried > 0);
    ws.close();
    between.close();
  },
  { needsWebSocket: true },
);
